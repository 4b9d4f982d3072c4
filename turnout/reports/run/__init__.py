"""The pages of a run and of a step, the same for every track."""
