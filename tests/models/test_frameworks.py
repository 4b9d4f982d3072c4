"""Networks where their framework is not installed; `tests/frameworks` has those where it is."""

from __future__ import annotations

import importlib.util

import pytest

from turnout import ComponentError
from turnout.models.estimators import make_estimator


@pytest.mark.parametrize("name", ["TensorFlow", "Jax", "Torch"])
def test_a_framework_that_is_missing_is_told_with_the_extra_that_brings_it(name: str) -> None:
    if importlib.util.find_spec(name.lower()):
        pytest.skip(f"{name} is installed")
    path = f"turnout.models.frameworks.{name}Classifier"
    with pytest.raises(ComponentError, match=rf"{name.lower()} is not installed[\s\S]*'turnout\[{name.lower()}\]'"):
        make_estimator(path, {"network": "networks.small"}, 0, "classification")
