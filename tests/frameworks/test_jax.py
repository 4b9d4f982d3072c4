"""Keras on JAX, behind the same components as any estimator."""

from __future__ import annotations

from framework import Keras, skip_unless_alone

skip_unless_alone("jax")


class TestJax(Keras):
    name = "Jax"
