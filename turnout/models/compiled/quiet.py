"""Compiling without words of others: of converters about their choices, of numpy about what odd rows do to numbers."""

from __future__ import annotations

import contextlib
import logging
import warnings
from collections.abc import Iterator

import numpy as np


@contextlib.contextmanager
def without_logs() -> Iterator[None]:
    """No warnings, and errors of this process alone are logged meanwhile."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)


@contextlib.contextmanager
def without_warnings() -> Iterator[None]:
    """No warnings, numpy's of numbers among them."""
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        yield
