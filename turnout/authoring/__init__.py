"""Authoring: the only package that imports kfp."""
