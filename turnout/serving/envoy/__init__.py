"""Envoy before the workers: its configuration as files, and its processes."""
