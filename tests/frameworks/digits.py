"""Networks for the tests, and scikit-learn's digits as a table: what a user of Turnout writes."""

from __future__ import annotations

from typing import Any

import pandas as pd
from sklearn.datasets import load_diabetes, load_digits


def keras_network(inputs: int, outputs: int, units: int = 64) -> Any:
    import keras

    return keras.Sequential([keras.Input((inputs,)), keras.layers.Dense(units, "relu"), keras.layers.Dense(outputs)])


def torch_network(inputs: int, outputs: int, units: int = 64) -> Any:
    from torch import nn

    return nn.Sequential(nn.Linear(inputs, units), nn.ReLU(), nn.Linear(units, outputs))


def digits() -> pd.DataFrame:
    """64 numbers a row, and which of ten digits it is."""
    return load_digits(as_frame=True).frame.rename_axis("row").reset_index()


def diabetes() -> pd.DataFrame:
    return load_diabetes(as_frame=True).frame


class Told(Exception):
    """What the code of a user raises."""


def keras_with_softmax(inputs: int, outputs: int) -> Any:
    import keras

    return keras.Sequential([keras_network(inputs, outputs), keras.layers.Softmax()])


def torch_with_softmax(inputs: int, outputs: int) -> Any:
    from torch import nn

    return nn.Sequential(torch_network(inputs, outputs), nn.Softmax(dim=1))


def keras_too_narrow(inputs: int, outputs: int) -> Any:
    return keras_network(inputs, 1)


def torch_too_narrow(inputs: int, outputs: int) -> Any:
    return torch_network(inputs, 1)


def broken(inputs: int, outputs: int) -> Any:
    raise Told("no such layer")


keras_broken = torch_broken = broken
