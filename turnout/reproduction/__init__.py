"""Repeats the training of a registered model, and says whether it gives the same model."""
