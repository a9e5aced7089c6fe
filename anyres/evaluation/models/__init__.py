"""Models that an evaluation asks: a checkpoint on this machine, an endpoint, another library's process, a cluster.

A model knows no benchmark: it is asked a `Query` and says what came of it.
"""
