"""An existing KFP project: where its pipelines are, what each track makes of them, what is left to do."""
