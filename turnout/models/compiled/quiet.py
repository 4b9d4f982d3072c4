"""Converters without their lines about each operator, and about their own choices."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator


@contextlib.contextmanager
def without_logs() -> Iterator[None]:
    """Errors of this process alone are logged meanwhile."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(before)
