"""What users saw of a release on this machine: Envoy's access log, in windows for the judge of releases.

Who looks every few seconds reads only what came since: log files are continued where the last look ended, and files of
predictions are read once.
"""

from __future__ import annotations

import contextlib
import datetime
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from turnout.serving import access_log
from turnout.serving.directory import Directory
from turnout.serving.release import Release
from turnout.serving.rollout.labels import LabelSource, judged, key_columns, read_labels, stamp
from turnout.serving.rollout.observations import Window, by_user, windows_of

_LOGGED_AFTER_S = 130.0
"""In which workers surely have written what they keep: twice their interval, and some."""

_MOST_PIECES = 64

_REQUESTS = pa.schema(
    {
        "request_id": pa.string(),
        "time": pa.float64(),
        "version": pa.string(),
        "split": pa.dictionary(pa.int32(), pa.string()),
        "user": pa.string(),
        "error": pa.bool_(),
        "latency_ms": pa.float64(),
    }
)

_FAILED = pa.schema({"request_id": pa.string(), "version": pa.string()})


class Observer:
    """The logs of a serving directory, as far as they have been read.

    Args:
        since: with a time zone; what was before is left out.
        labels: where labels come to.
    """

    def __init__(self, directory: Directory, since: datetime.datetime, labels: LabelSource | None = None):
        self.directory, self.since, self.labels = directory, since, labels
        self._reader = access_log.Reader(directory.access, since)
        self._requests = _REQUESTS.empty_table()
        self._kept: list[pa.Table] = []
        self._failed = _FAILED.empty_table()
        self._files: set[str] = set()
        self._labels: tuple[object, pa.Table] | None = None

    def windows(self, release: Release) -> list[Window]:
        """The requests of the version in service and of the one that is tried out.

        Each line of the log says how traffic was split when Envoy routed the request, so that windows end exactly where
        that changed. A request whose client went away before the answer counts for nobody. Of a release that keeps the
        version of a user, the first request of each user counts.
        """
        self._read()
        shadow = not release.routed[1:] and bool(release.shadows)
        tried = [served.version for served in (release.shadows if shadow else release.routed[1:])]
        canary, stable = (tried or [""])[-1], release.stable.version
        rows = self._of(stable, canary)
        said = self._said(stable, canary)
        if shadow:
            return windows_of(_with_copies(rows, said, self._failed, stable, canary))
        if release.sticky:
            rows = _first_of_users(rows)
        found = rows.join(said, ["request_id", "version"], join_type="left outer", use_threads=False)
        # Workers write their predictions at different times: of the last seconds those of one version may be there, and
        # those of the other not yet. To compare them would find a difference where there is none.
        begin = _incomplete(found)
        early = pc.less(found["time"], begin)
        for name in ("prediction", "loss", "bias", "business"):
            values = pc.if_else(early, found[name], pa.scalar(None, found[name].type))
            found = found.set_column(found.schema.get_field_index(name), name, values)
        tried_out = pc.if_else(pc.greater(found["share"], 0), pa.scalar(canary), pa.scalar(""))
        return windows_of(found.drop_columns("version").append_column("version", tried_out))

    def _read(self) -> None:
        rows = [row for line in self._reader.lines() if (row := _row(line)) is not None]
        if rows:
            new = pa.Table.from_pylist(rows, _REQUESTS)
            self._requests = _joined([self._requests, new])
        for place, kept in ((self.directory.requests, True), (self.directory.failures, False)):
            for file in _files(place, self.since):
                if file in self._files:
                    continue
                self._files.add(file)
                with contextlib.suppress(FileNotFoundError):  # its day was removed meanwhile
                    if kept:
                        self._kept.append(_kept(file, key_columns(self.labels)))
                    else:
                        new = pq.ParquetFile(file).read(columns=_FAILED.names, use_threads=False)
                        self._failed = _joined([self._failed, new.cast(_FAILED)])

    def _of(self, stable: str, canary: str) -> pa.Table:
        """The requests of the two versions, with the share that the second was to have when each was routed."""
        rows = self._requests.filter(pc.is_in(self._requests["version"], pa.array([stable, canary])))
        rows = rows.unify_dictionaries().combine_chunks()
        share = pa.array([_share(split, stable, canary) for split in _classes(rows["split"])], pa.float64())
        codes = _codes(rows["split"])
        shares = share.take(codes) if len(rows) else pa.array([], pa.float64())
        canaries = pc.equal(rows["version"], canary)
        return rows.append_column("share", shares).append_column("canary", canaries)

    def _come(self, source: LabelSource) -> pa.Table:
        """The labels that have come: a file is read again when it is another, or has grown."""
        before = stamp(source)
        if before is None or self._labels is None or self._labels[0] != before:
            self._labels = (before, read_labels(source))
        return self._labels[1]

    def _said(self, stable: str, canary: str) -> pa.Table:
        """What both versions said, once for each request: `prediction`, `taken_ms`, and what labels say of it."""
        wanted = pa.array([stable, canary])
        chosen = [table.filter(pc.is_in(table["version"], wanted)) for table in self._kept]
        kept = pa.concat_tables(_alike([table for table in chosen if len(table)]) or [_nothing(self.labels)])
        rest = [name for name in kept.column_names if name not in ("request_id", "version")]
        kept = kept.group_by(["request_id", "version"], use_threads=False).aggregate([(name, "last") for name in rest])
        kept = kept.rename_columns([name.removesuffix("_last") for name in kept.column_names])
        said = kept["probability"]
        if not pc.any(pc.is_valid(said)).as_py():
            said = kept["predicted"]
        if self.labels is not None and len(kept):
            kept = judged(kept, self._come(self.labels), self.labels)
        else:
            for name in ("loss", "bias", "business"):
                kept = kept.append_column(name, pa.nulls(len(kept), pa.float64()))
        return kept.select(["request_id", "version", "taken_ms", "loss", "bias", "business"]).append_column(
            "prediction", said
        )


def observed(
    directory: Directory, release: Release, since: datetime.datetime, labels: LabelSource | None = None
) -> list[Window]:
    """What users saw since a time, for who looks once."""
    return Observer(directory, since, labels).windows(release)


def logged(directory: Directory, version: str, since: datetime.datetime) -> pa.Table:
    """What the request log keeps of a version: `request_id`, `prediction` (a probability where there is one), inputs.

    With a probability also `predicted`, the class.
    Of a request with several rows, the first.
    """
    import pyarrow.dataset as ds

    tables = []
    for file in _files(directory.requests, since):
        data = ds.dataset(file)
        names = data.schema.names
        prefix = _prefix(names)
        value = next((prefix + name for name in ("probability", "prediction") if prefix + name in names), None)
        if value is None:
            continue
        own = {prefix + name for name in ("row", "time", "version", "latency_ms", "fallback", "request_id")}
        said = {name for name in names if name.removeprefix(prefix).startswith(("prediction", "probabilit"))}
        chosen = {"request_id": prefix + "request_id", "prediction": value}
        if value.endswith("probability") and prefix + "prediction" in names:
            chosen["predicted"] = prefix + "prediction"
        chosen |= {name: name for name in names if name not in own | said and name not in chosen}
        columns = {name: ds.field(source) for name, source in chosen.items()}
        first = (ds.field(prefix + "version") == version) & (ds.field(prefix + "row") == 0)
        first &= pc.is_valid(ds.field(value))
        if prefix + "time" in names:
            first &= ds.field(prefix + "time") >= pa.scalar(since, pa.timestamp("us", "UTC"))
        tables.append(data.to_table(columns=columns, filter=first))
    empty = pa.table({"request_id": pa.array([], pa.string()), "prediction": pa.array([], pa.float64())})
    found = [table for table in tables if len(table)]
    return pa.concat_tables(found, promote_options="permissive") if found else empty


def parts(split: str) -> dict[str, float]:
    """The percentages in `8=10 7=90`, as the access log has them."""
    found = {}
    for item in split.split():
        version, _, percent = item.rpartition("=")
        found[version] = float(percent)
    return found


# --- the access log -----------------------------------------------------------------------------------------


def _row(line: dict[str, Any]) -> dict[str, Any] | None:
    """What a line says of an answer; None when it is about something else, or the client has gone."""
    version, code = str(line.get("version", "")), int(line.get("code", 0))
    if not version or line.get("method") != "POST" or "DC" in str(line.get("flags", "")):
        return None
    return {
        "request_id": str(line.get("request_id", "")),
        "time": line["time"],
        "version": version,
        "split": str(line.get("split", "")),
        "user": str(line["user"]) if "user" in line else None,
        "error": code >= 500 or code == 0 or bool(line.get("fallback")),
        "latency_ms": line["duration_us"] / 1000 if code == 200 and "duration_us" in line else None,
    }


def _share(split: str, stable: str, canary: str) -> float:
    percents = parts(split)
    ours = percents.get(stable, 0.0) + percents.get(canary, 0.0)
    return percents.get(canary, 0.0) / ours if ours else 0.0


def _first_of_users(rows: pa.Table) -> pa.Table:
    """The first request of each user with each split. One of nobody got its version by chance, and counts by itself."""
    known, others = (rows.filter(chosen) for chosen in (pc.is_valid(rows["user"]), pc.is_null(rows["user"])))
    if not len(known):
        return rows
    name = pc.binary_join_element_wise(known["split"].cast(pa.string()), known["user"], " ")
    return pa.concat_tables([by_user(known.append_column("who", name), "who").drop_columns("who"), others])


def _incomplete(rows: pa.Table) -> float:
    """The time from which on answers are not in the request log yet; what is lacking for longer never will be."""
    lacking = pc.and_(pc.is_valid(rows["latency_ms"]), pc.is_null(rows["prediction"]))
    lacking = pc.and_(lacking, pc.greater(rows["time"], time.time() - _LOGGED_AFTER_S))
    first = pc.min(rows["time"].filter(lacking)).as_py()
    return float("inf") if first is None else float(first)


def _with_copies(rows: pa.Table, said: pa.Table, failed: pa.Table, stable: str, shadow: str) -> pa.Table:
    """The requests of which it is known how both versions did, as their workers saw it: copies do not come back.

    A version has answered, or failed. A copy that never came to a worker is neither: its request counts for nobody.
    """
    rows = rows.filter(pc.invert(rows["canary"]))
    own = rows.drop_columns(["version", "latency_ms"]).join(
        _one(said, stable), "request_id", join_type="left outer", use_threads=False
    )
    own = own.filter(pc.or_(pc.is_valid(own["taken_ms"]), own["error"]))
    copies = _one(said, shadow)
    copies = copies.append_column("error", pa.array([False] * len(copies), pa.bool_()))
    lost = failed.filter(pc.equal(failed["version"], shadow)).select(["request_id"])
    lost = lost.group_by("request_id", use_threads=False).aggregate([])
    lost = lost.join(copies, "request_id", join_type="left anti", use_threads=False)
    lost = lost.append_column("error", pa.array([True] * len(lost), pa.bool_()))
    copies = pa.concat_tables([copies, lost], promote_options="default")
    copies = own.select(["request_id", "time", "share"]).join(
        copies, "request_id", join_type="inner", use_threads=False
    )
    own = own.join(copies.select(["request_id"]), "request_id", join_type="left semi", use_threads=False)
    both = []
    for table, canary in ((own, False), (copies, True)):
        table = table.rename_columns({"taken_ms": "latency_ms"})
        values = {
            "canary": pa.array([canary] * len(table), pa.bool_()), "shadow": pa.array([True] * len(table), pa.bool_()),
            "share": pa.array([0.5] * len(table)), "version": pa.array([shadow] * len(table), pa.string()),
        }  # fmt: skip
        names = ("time", "error", "latency_ms", "prediction", "loss", "bias", "business")
        both.append(pa.table({**{name: table[name] for name in names}, **values}))
    return pa.concat_tables(both)


def _one(said: pa.Table, version: str) -> pa.Table:
    return said.filter(pc.equal(said["version"], version)).drop_columns("version")


# --- the request log ----------------------------------------------------------------------------------------


def _kept(file: str, keys: Sequence[str]) -> pa.Table:
    """What a file keeps of each request's first row. What something else has said in a version's place is left out."""
    data = pq.ParquetFile(file)
    names = data.schema_arrow.names
    # A model's own columns may have the log's names: then these have a prefix, and come first.
    prefix = _prefix(names)
    own = {"request_id": "request_id", "version": "version", "taken_ms": "latency_ms", "row": "row",
           "fallback": "fallback", "predicted": "prediction", "probability": "probability"}  # fmt: skip
    columns = {name: prefix + column for name, column in own.items() if prefix + column in names}
    columns |= {key: key for key in keys if key in names and key not in columns}
    table = data.read(columns=list(columns.values()), use_threads=False).select(list(columns.values()))
    table = table.rename_columns(list(columns))
    table = table.filter(pc.equal(table["row"], 0))
    if "fallback" in columns:
        table = table.filter(pc.is_null(table["fallback"]))
    table = table.drop_columns([name for name in ("row", "fallback") if name in columns])
    for name in ("predicted", "probability"):
        if name not in columns:
            table = table.append_column(name, pa.nulls(len(table), pa.float64()))
    return table


def _prefix(names: Sequence[str]) -> str:
    return next(name for name in names if name.endswith("request_id")).removesuffix("request_id")


def _files(directory: Path, since: datetime.datetime) -> list[str]:
    """The files of a log that is kept by day, from the day on."""
    day = since.astimezone(datetime.UTC).date().isoformat()
    return [
        str(file)
        for place in sorted(directory.glob("date=*"))
        if place.name.removeprefix("date=") >= day
        for file in sorted(place.glob("*.parquet"))
    ]


def _nothing(labels: LabelSource | None) -> pa.Table:
    kinds = {"request_id": pa.string(), "version": pa.string(), "taken_ms": pa.float64(), "predicted": pa.float64(),
             "probability": pa.float64(), **dict.fromkeys(key_columns(labels), pa.string())}  # fmt: skip
    return pa.schema(kinds).empty_table()


def _alike(tables: list[pa.Table]) -> list[pa.Table]:
    """Tables of versions whose predictions are of several types, with one type: numbers, or texts."""
    kinds = {table.schema.field("predicted").type for table in tables}
    if len(kinds) > 1:
        numbers = all(pa.types.is_integer(kind) or pa.types.is_floating(kind) for kind in kinds)
        kind = pa.float64() if numbers else pa.string()
        tables = [
            table.set_column(
                table.schema.get_field_index("predicted"), "predicted", table["predicted"].cast(kind)
            ).select(tables[0].column_names)
            for table in tables
        ]
    return tables


def _joined(tables: list[pa.Table]) -> pa.Table:
    found = pa.concat_tables(tables)
    if found.column(0).num_chunks > _MOST_PIECES:
        found = found.unify_dictionaries().combine_chunks()
    return found


def _classes(column: pa.ChunkedArray) -> list[str]:
    return list(column.chunk(0).dictionary.to_pylist()) if column.num_chunks else []


def _codes(column: pa.ChunkedArray) -> pa.Array:
    return column.chunk(0).indices if column.num_chunks else pa.array([], pa.int32())
