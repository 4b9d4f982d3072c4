"""Models that answer requests: what shall be served, and the processes that do it."""
