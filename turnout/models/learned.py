"""Which rows a model has learned, kept with its MLflow run, so that no model is judged by what it knows.

The record is a set of fingerprints: the first bits of each row's digest, sorted, about three bytes a row. It has
no false negatives. A row that was not learned is taken for one that was with a probability of at most
`FALSE_POSITIVE_RATE`; what that costs is the row.

Source: a set of hashes of as many bits as the error asks for (Carter et al., Exact and Approximate Membership Testers,
1978) takes no more room than a Bloom filter when its sorted numbers are packed, as Parquet's delta encoding does.
"""

from __future__ import annotations

import json
import math
import os
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from turnout.data.rows import SCHEME, identify
from turnout.data.times import series_in_utc
from turnout.errors import ComponentError

FALSE_POSITIVE_RATE = 1e-6
_DIRECTORY, _FILE, _COLUMN = "rows", "learned.parquet", "fingerprint"
_KEY = b"turnout.learned"


@dataclass(frozen=True)
class Learned:
    """The rows that a model has learned.

    Attributes:
        columns: what identifies a row, with how their values are read.
        rows: how many there are.
        bits: of a fingerprint.
        fingerprints: sorted, each once; uint64.
        until: the latest time of a row, in UTC; None for a table without time.
        scheme: how its digests were made.
    """

    columns: dict[str, str]
    rows: int
    bits: int
    fingerprints: np.ndarray
    until: pd.Timestamp | None = None
    scheme: str = SCHEME

    @property
    def false_positive_rate(self) -> float:
        """How likely a row that was not learned is taken for one that was."""
        return float(len(self.fingerprints) * 2.0**-self.bits)

    def knows(self, table: pd.DataFrame) -> np.ndarray:
        """Which rows of a table the model has learned; shape (rows,), bool.

        Raises:
            ComponentError: this cannot be told: a column is missing, its values are of another kind, or digests are
                made in another way now.
        """
        if self.scheme != SCHEME:
            what = f"its rows are recorded by the scheme {self.scheme}, and not {SCHEME}"
            raise ComponentError(what, where="rows/learned.parquet", hint="train it again with this version")
        now = identify(table, list(self.columns))
        for name, kind in self.columns.items():
            if kind != now.kinds[name] and "null" not in (kind, now.kinds[name]):
                what = f"column '{name}' was learned as {kind}, and is {now.kinds[name]} now"
                raise ComponentError(what, where="data", hint="convert it at the source")
        return np.isin(_fingerprints(now.digests, self.bits), self.fingerprints)

    def share_of(self, other: Learned) -> float | None:
        """The share of another record's rows that are in this one too; None when they tell rows by other columns."""
        if (self.columns, self.scheme) != (other.columns, other.scheme):
            return None
        bits = min(self.bits, other.bits)
        ours, theirs = (of.fingerprints >> np.uint64(of.bits - bits) for of in (self, other))
        return float(np.isin(theirs, ours).mean())

    def write(self, path: Path) -> None:
        """Write it as Parquet, which says the rest in its metadata."""
        rest = {
            "scheme": self.scheme,
            "columns": self.columns,
            "rows": self.rows,
            "bits": self.bits,
            "until": self.until and self.until.isoformat(),
            "false_positive_rate": self.false_positive_rate,
        }
        table = pa.table({_COLUMN: self.fingerprints.view(np.int64)}).replace_schema_metadata({_KEY: json.dumps(rest)})
        encoding = {_COLUMN: "DELTA_BINARY_PACKED"}
        pq.write_table(table, path, use_dictionary=False, column_encoding=encoding, write_statistics=False)

    @classmethod
    def read(cls, path: Path) -> Learned:
        """Read back what `write` wrote."""
        table = pq.read_table(path)
        rest = json.loads(table.schema.metadata[_KEY])
        until = pd.Timestamp(rest["until"]) if rest["until"] else None
        fingerprints = table[_COLUMN].to_numpy().view(np.uint64)
        return cls(rest["columns"], rest["rows"], rest["bits"], fingerprints, until, rest["scheme"])


def row_columns(metadata: Mapping[str, Any], table: pd.DataFrame) -> list[str]:
    """The columns that identify a row: those that `split` recorded with the table, else all."""
    recorded = metadata.get("row_columns")
    return [str(name) for name in (recorded or table.columns)]


def learned(table: pd.DataFrame, columns: Sequence[str], times: pd.Series | None = None) -> Learned:
    """The rows of a table as a model that is fitted on them has learned them.

    Args:
        columns: what identifies a row.
        times: of the rows.

    Raises:
        ComponentError: as for `identify`.
    """
    rows = identify(table, columns)
    bits = min(63, math.ceil(math.log2(max(len(table), 1) / FALSE_POSITIVE_RATE)))
    timed = times is not None and pd.api.types.is_datetime64_any_dtype(times) and times.notna().any()
    until = series_in_utc(times).max() if timed else None
    known = np.unique(_fingerprints(rows.digests, bits))
    return Learned({**rows.kinds}, len(table), bits, known, until)


def keep_learned(run_id: str, rows: Learned) -> None:
    """Keep which rows a model has learned with its MLflow run."""
    import mlflow

    with tempfile.TemporaryDirectory() as directory:
        rows.write(Path(directory, _FILE))
        mlflow.MlflowClient().log_artifact(run_id, str(Path(directory, _FILE)), _DIRECTORY)


def load_learned(run_id: str) -> Learned | None:
    """Which rows the model of an MLflow run has learned; None when its run keeps no record of them.

    Raises:
        ComponentError: MLflow cannot be reached.
    """
    import mlflow
    from mlflow.exceptions import MlflowException

    if not run_id:
        return None
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    with tempfile.TemporaryDirectory() as directory:
        try:
            known = [item.path for item in mlflow.MlflowClient().list_artifacts(run_id, _DIRECTORY)]
            if f"{_DIRECTORY}/{_FILE}" not in known:
                return None
            uri = f"runs:/{run_id}/{_DIRECTORY}/{_FILE}"
            path = mlflow.artifacts.download_artifacts(artifact_uri=uri, dst_path=directory)
        except (MlflowException, OSError) as error:
            if isinstance(error, MlflowException) and error.error_code == "RESOURCE_DOES_NOT_EXIST":
                return None
            hint = "is the artifact store of the tracking server reachable?"
            what = f"the record of the rows that the model has learned cannot be had: {error}"
            raise ComponentError(what, where=f"MLflow run {run_id}", hint=hint) from error
        return Learned.read(Path(path))


def _fingerprints(digests: np.ndarray, bits: int) -> np.ndarray:
    shortened: np.ndarray = digests >> np.uint64(64 - bits)
    return shortened
