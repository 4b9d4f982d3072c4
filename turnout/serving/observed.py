"""What users saw of a release on this machine: Envoy's access log, in windows for the judge of releases."""

from __future__ import annotations

import datetime
import time
from collections.abc import Callable
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from turnout.serving import access_log
from turnout.serving.directory import Directory
from turnout.serving.release import Release
from turnout.serving.rollout.observations import Window, windows_of


def observed(directory: Directory, release: Release, since: datetime.datetime) -> list[Window]:
    """The requests of the version in service and of the one that is tried out.

    Each line of the log says how traffic was split when Envoy routed the request, so that windows end exactly where
    that changed. A request whose client went away before the answer counts for nobody.

    Args:
        since: with a time zone.
    """
    shadow = not release.routed[1:] and bool(release.shadows)
    tried = [served.version for served in (release.shadows if shadow else release.routed[1:])]
    canary, stable = (tried or [""])[-1], release.stable.version
    kept = predictions(directory, since)
    rows = [
        row for line in access_log.lines(directory.access, since) if (row := _row(line, stable, canary)) is not None
    ]
    for row in rows:
        row["prediction"] = kept.get((row["request_id"], canary if row["canary"] else stable), (None, None))[0]
    if shadow:
        rows = _with_copies(rows, kept, stable, canary)
    else:
        # Workers write their predictions at different times: of the last seconds those of one version may be there, and
        # those of the other not yet. To compare them would find a difference where there is none.
        begin = _incomplete(rows, lambda row: row["prediction"] is None)
        rows = [row if row["time"] < begin else {**row, "prediction": None} for row in rows]
    columns = {name: pa.array([row[name] for row in rows], kind) for name, kind in _TYPES.items()}
    values = [row["prediction"] for row in rows]
    numbers = all(isinstance(value, int | float) for value in values if value is not None)
    columns["prediction"] = pa.array(values if numbers else [None if v is None else str(v) for v in values])
    return windows_of(pa.table(columns))


_LOGGED_AFTER_S = 130.0
"""In which workers surely have written what they keep: twice their interval, and some."""

_TYPES = {
    "time": pa.float64(),
    "canary": pa.bool_(),
    "share": pa.float64(),
    "shadow": pa.bool_(),
    "version": pa.string(),
    "error": pa.bool_(),
    "latency_ms": pa.float64(),
}


def predictions(directory: Directory, since: datetime.datetime) -> dict[tuple[str, str], tuple[Any, float]]:
    """What was predicted, and in how many milliseconds by the worker, by request and version; of the first row each.

    A probability where there is one, else the prediction. Only what the request log keeps.
    """
    found: dict[tuple[str, str], tuple[Any, float]] = {}
    for file in _files(directory, since):
        data = pq.ParquetFile(file)
        # A model's own columns may have the log's names: then these have a prefix, and come first.
        known = data.schema_arrow.names
        prefix = next(name for name in known if name.endswith("request_id")).removesuffix("request_id")
        value = next((prefix + name for name in ("probability", "prediction") if prefix + name in known), None)
        names = [prefix + name for name in ("request_id", "version", "latency_ms", "row")]
        table = data.read(columns=[*names, value] if value else names, use_threads=False)
        table = table.select([*names, value] if value else names)
        columns = [column.to_pylist() for column in table.columns]
        values = columns[4] if value else [None] * len(table)
        for request, version, taken, row, said in zip(*columns[:4], values, strict=True):
            if row == 0:
                found[request, version] = (said, taken)
    return found


def logged(directory: Directory, version: str, since: datetime.datetime) -> pa.Table:
    """What the request log keeps of a version: `request_id`, `prediction` (a probability where there is one), inputs.

    Of a request with several rows, the first.
    """
    import pyarrow.compute as pc
    import pyarrow.dataset as ds

    tables = []
    for file in _files(directory, since):
        data = ds.dataset(file)
        names = data.schema.names
        prefix = next(name for name in names if name.endswith("request_id")).removesuffix("request_id")
        value = next((prefix + name for name in ("probability", "prediction") if prefix + name in names), None)
        if value is None:
            continue
        own = {prefix + name for name in ("row", "time", "version", "latency_ms", "fallback", "request_id")}
        said = {name for name in names if name.removeprefix(prefix).startswith(("prediction", "probabilit"))}
        chosen = {"request_id": prefix + "request_id", "prediction": value}
        chosen |= {name: name for name in names if name not in own | said and name not in chosen}
        columns = {name: ds.field(source) for name, source in chosen.items()}
        first = (ds.field(prefix + "version") == version) & (ds.field(prefix + "row") == 0)
        tables.append(data.to_table(columns=columns, filter=first & pc.is_valid(ds.field(value))))
    empty = pa.table({"request_id": pa.array([], pa.string()), "prediction": pa.array([], pa.float64())})
    found = [table for table in tables if len(table)]
    return pa.concat_tables(found, promote_options="permissive") if found else empty


def _files(directory: Directory, since: datetime.datetime) -> list[str]:
    """The files of the request log, from the day on."""
    day = since.astimezone(datetime.UTC).date().isoformat()
    return [
        str(file)
        for place in directory.requests.glob("date=*")
        if place.name.removeprefix("date=") >= day
        for file in place.glob("*.parquet")
    ]


def _with_copies(
    rows: list[dict[str, Any]], kept: dict[tuple[str, str], tuple[Any, float]], stable: str, shadow: str
) -> list[dict[str, Any]]:
    """The requests that both versions have answered, as their workers saw it: a copy does not come back through Envoy.

    A copy that failed, or that the shadow was too slow for, is not in the request log: its request counts for neither.
    """
    found = []
    for row in rows:
        own, copy = (kept.get((row["request_id"], version)) for version in (stable, shadow))
        if own is not None and copy is not None and not row["canary"]:
            both = {**row, "shadow": True, "share": 0.5, "version": shadow}
            found += [
                {**both, "latency_ms": own[1]},
                {**both, "canary": True, "error": False, "latency_ms": copy[1], "prediction": copy[0]},
            ]
    return found


def _incomplete(rows: list[dict[str, Any]], lacks: Callable[[dict[str, Any]], bool]) -> float:
    """The time from which on answers are not in the request log yet; what is lacking for longer never will be."""
    recent = time.time() - _LOGGED_AFTER_S
    lacking = (row["time"] for row in rows if row["latency_ms"] is not None and row["time"] > recent and lacks(row))
    return min(lacking, default=float("inf"))


def _row(line: dict[str, Any], stable: str, canary: str) -> dict[str, Any] | None:
    """What a line says of one of the two versions; None when it is about neither."""
    version, code = str(line.get("version", "")), int(line.get("code", 0))
    if version not in (stable, canary) or not version or line.get("method") != "POST":
        return None
    if "DC" in str(line.get("flags", "")):  # the client has gone
        return None
    percents = parts(str(line.get("split", "")))
    ours = percents.get(stable, 0.0) + percents.get(canary, 0.0)
    failed = code >= 500 or code == 0 or bool(line.get("fallback"))
    return {
        "request_id": str(line.get("request_id", "")),
        "time": line["time"],
        "canary": version == canary,
        "share": percents.get(canary, 0.0) / ours if ours else 0.0,
        "version": canary if percents.get(canary) else "",
        "shadow": False,
        "error": failed,
        "latency_ms": line["duration_us"] / 1000 if code == 200 and "duration_us" in line else None,
    }


def parts(split: str) -> dict[str, float]:
    """The percentages in `8=10 7=90`, as the access log has them."""
    found = {}
    for item in split.split():
        version, _, percent = item.rpartition("=")
        found[version] = float(percent)
    return found
