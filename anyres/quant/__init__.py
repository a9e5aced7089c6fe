"""Quantised checkpoints: made, measured, read."""
