"""What users saw of a release on this machine: Envoy's access log, in windows for the judge of releases."""

from __future__ import annotations

import datetime
from typing import Any

import pyarrow as pa

from turnout.serving import access_log
from turnout.serving.directory import Directory
from turnout.serving.rollout.observations import Window, windows_of
from turnout.serving.state import Release


def observed(directory: Directory, release: Release, since: datetime.datetime) -> list[Window]:
    """The requests of the version in service and of the one that is tried out.

    Each line of the log says how traffic was split when Envoy routed the request, so that windows end exactly where
    that changed. A request whose client went away before the answer counts for nobody.

    Args:
        since: with a time zone.
    """
    tried = [served.version for served in release.routed[1:]] or [served.version for served in release.shadows]
    canary, stable = (tried or [""])[-1], release.stable.version
    rows = [
        row for line in access_log.lines(directory.access, since) if (row := _row(line, stable, canary)) is not None
    ]
    names = ("time", "canary", "share", "error", "latency_ms")
    columns = {name: [row[name] for row in rows] for name in names}
    types = {"time": pa.float64(), "canary": pa.bool_(), "share": pa.float64(), "error": pa.bool_()}
    types["latency_ms"] = pa.float64()
    return windows_of(pa.table({name: pa.array(columns[name], types[name]) for name in names}))


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
        "time": line["time"],
        "canary": version == canary,
        "share": percents.get(canary, 0.0) / ours if ours else 0.0,
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
