"""Batch inference: a registered model over tables of any size, one scoring function on every engine."""
