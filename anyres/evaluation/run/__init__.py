"""Running benchmarks on models: what is missing is asked, by any number of processes, and every answer is kept at once.

A file of records is only ever appended to; a sample is claimed by a lock that ends with its process; an answer that was
given before, anywhere, is not asked for again. So a run may be killed at any moment and goes on with the same command.
"""
