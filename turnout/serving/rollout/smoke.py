"""The smoke test of a version: golden requests, their latency, and whether clients can go on as they are."""

from __future__ import annotations

import http.client
import json
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import pyarrow as pa

from turnout.models.scorer import Scorer
from turnout.models.signature import Column, check_columns
from turnout.serving.model import ServedModel, plain

TOLERANCE = 1e-6
"""By which a number in an answer may differ from what the model as it was registered says."""

_MOST_FAULTS = 10

Ask = Callable[[Mapping[str, Any]], Mapping[str, Any]]
"""The answer to a row. Raises OSError or ValueError when there is none."""


@dataclass(frozen=True)
class Smoke:
    """What came of the requests.

    Attributes:
        p50_ms, p99_ms: of the answers' latencies; nan without any.
        faults: what is wrong, a line each; at most ten.
    """

    requests: int
    p50_ms: float
    p99_ms: float
    faults: tuple[str, ...]


def schema_faults(new: Scorer, old: Scorer) -> list[str]:
    """Why clients of one version could not be clients of another."""
    known: dict[str, Column] = {column.name: column for column in old.columns}
    faults = [
        f"it takes the column {column.name} ({column.kind}), which the version in service does not take"
        if column.name not in known
        else f"it takes the column {column.name} as {column.kind}, the version in service as {known[column.name].kind}"
        for column in new.columns
        if column.name not in known or column.kind != known[column.name].kind
    ]
    if new.classes and old.classes and set(map(str, new.classes)) != set(map(str, old.classes)):
        faults.append(f"it predicts the classes {_list(new.classes)}, the version in service {_list(old.classes)}")
    return faults


def smoke(ask: Ask, model: Scorer, rows: pa.Table, limit_ms: float) -> Smoke:
    """Ask for each row by itself, and hold the answers against the model's own.

    Args:
        model: as it was registered.
        rows: golden rows; columns that the model does not take are left out.
        limit_ms: of the p99; 0 for none.

    Raises:
        ComponentError: the rows lack a column that the model takes.
    """
    check_columns(rows.schema, model.columns, [])
    rows = rows.select([column.name for column in model.columns]).combine_chunks()
    if not len(rows):
        return Smoke(0, math.nan, math.nan, ("there are no golden rows",))
    expected = {name: plain(array) for name, array in model(rows.to_batches()[0]).items()}
    faults, taken = [], []
    for place, row in enumerate(map(_sendable, rows.to_pylist())):
        started = time.perf_counter()
        try:
            answer = ask(row)
        except (OSError, ValueError, http.client.HTTPException) as error:
            faults.append(f"golden row {place + 1} has no answer: {error}")
            continue
        taken.append(1000 * (time.perf_counter() - started))
        if answer.get("fallback"):
            faults.append(f"golden row {place + 1} was answered by the fallback")
        faults += [
            f"golden row {place + 1}: {name} is {answer.get(name)!r}, and {values[place]!r} by the model as registered"
            for name, values in expected.items()
            if not same(answer.get(name), values[place])
        ]
    p50, p99 = (float(np.quantile(taken, quantile)) if taken else math.nan for quantile in (0.5, 0.99))
    if limit_ms and p99 > limit_ms:
        faults.append(f"p99 of {len(taken)} golden requests is {p99:.1f} ms, and may be {limit_ms:g} ms")
    more = len(faults) - _MOST_FAULTS
    return Smoke(len(rows), p50, p99, tuple(faults[:_MOST_FAULTS] + ([f"and {more} more"] if more > 0 else [])))


def same(given: Any, expected: Any) -> bool:
    """Whether two predictions are the same, numbers to within the tolerance."""
    if isinstance(expected, Mapping):
        return isinstance(given, Mapping) and given.keys() == expected.keys() and all(
            same(given[key], expected[key]) for key in expected
        )  # fmt: skip
    if isinstance(expected, float) and isinstance(given, int | float):
        return math.isclose(given, expected, rel_tol=TOLERANCE, abs_tol=TOLERANCE)
    return bool(given == expected)


def in_process(version: str, directory: str) -> Ask:
    """The version in this process, as a server's worker holds it."""
    served = ServedModel(version, directory)

    def ask(row: Mapping[str, Any]) -> Mapping[str, Any]:
        try:
            return served.row(served.inputs.row(dict(row)))
        except Exception as error:  # a model may raise anything
            raise ValueError(str(error)) from error

    return ask


def by_http(address: str, version: str, seconds: float = 10.0) -> Ask:
    """A server at an address such as `http://127.0.0.1:8080`, whose answers must be the version's."""
    parts = urlsplit(address)
    kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    connection = kind(parts.hostname or "", parts.port, timeout=seconds)

    def ask(row: Mapping[str, Any]) -> Mapping[str, Any]:
        try:
            connection.request("POST", "/predict", json.dumps(row), {"content-type": "application/json"})
            answer = connection.getresponse()
            body = answer.read()
        except (OSError, http.client.HTTPException):
            connection.close()  # the next request opens it again
            raise
        if answer.status != 200:
            raise ValueError(f"{answer.status}: {body[:300].decode(errors='replace')}")
        found: dict[str, Any] = json.loads(body)
        if str(found.get("version")) != version:
            raise ValueError(f"version {found.get('version')} answered, and not version {version}")
        return found

    return ask


def _sendable(row: Mapping[str, Any]) -> dict[str, Any]:
    """A row as JSON has it: not a number is null, times are texts."""
    return {
        name: None if isinstance(value, float) and not math.isfinite(value)
        else value.isoformat() if hasattr(value, "isoformat") else value
        for name, value in row.items()
    }  # fmt: skip


def _list(values: Sequence[Any]) -> str:
    return ", ".join(map(str, values))
