"""Evaluation: benchmarks of the field, run on any model, scored so that the numbers can be trusted.

A `Benchmark` says how its samples are read and asked, and by which `Scoring`s an answer is judged. A run makes one
`Record` for each sample; scores and reports are computed from records alone, without a model.
"""
