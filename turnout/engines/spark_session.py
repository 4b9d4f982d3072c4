"""Spark sessions, wherever Spark is; and what Spark says when something went wrong."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator, Mapping
from typing import Any

from turnout.errors import ComponentError


def connect(master: str, settings: Mapping[str, str]) -> Any:
    """A Spark session.

    Args:
        master: `local[*]`, `spark://HOST:PORT`, `k8s://...`, or `sc://HOST:PORT` for Spark Connect.
        settings: Spark's own, such as `spark.executor.memory`.

    Raises:
        ComponentError: there is no Spark at that address.
    """
    from pyspark.sql import SparkSession

    builder: Any = SparkSession.builder
    if master.startswith("sc://"):
        builder = builder.remote(master)
    else:
        # Otherwise workers take whichever Python is first on their path.
        os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
        builder = builder.master(master).appName("turnout").config("spark.ui.enabled", "false")
    for name, value in settings.items():
        builder = builder.config(name, value)
    try:
        return builder.getOrCreate()
    except Exception as error:  # Java's, py4j's or gRPC's
        raise ComponentError(f"Spark cannot be reached: {error}", where=master, hint="is Java installed?") from error


@contextlib.contextmanager
def session(master: str, settings: Mapping[str, str]) -> Iterator[Any]:
    """A Spark session that ends with what it is for.

    Args:
        master: as for `connect`; $SPARK_MASTER, or this machine, when empty.
    """
    opened = connect(master or os.environ.get("SPARK_MASTER", "") or "local[*]", settings)
    try:
        yield opened
    finally:
        opened.stop()


def reason(error: BaseException) -> str:
    """What went wrong in a Spark job, in a worker's own words where it has any."""
    text = str(error)
    marker = "ComponentError: "
    if marker in text:
        said = text.split(marker)[-1].split("\n\n")[0]
        return said.split("\n\tat ")[0].strip()
    return text.split("\n")[0]
