"""Where versions of a model are put to answer requests: the targets, each with what it keeps, lowers and refuses."""
