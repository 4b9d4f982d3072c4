"""A shadow beside the version in service: what both said to the same request, row by row."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

LEAST = 1e-6
"""Numbers that differ by less are the same: a compiled model's are not the same to the last bit."""

_SHOWN = 50


@dataclass(frozen=True)
class Differences:
    """Where two versions said otherwise.

    Attributes:
        pairs: requests that both answered.
        different: those with another class, or numbers that differ by more than `least`.
        low, high: confidence sequence for the share of these, in [0, 1].
        labels: whether the predictions are classes; of numbers most differ, and by how much is what counts.
        rows: request, both predictions, and how far they are apart; the largest differences first.
        table: all that differ, with the inputs where the log has them.
    """

    pairs: int
    different: int
    low: float
    high: float
    classes: bool
    least: float
    labels: bool
    rows: tuple[tuple[str, Any, Any, float], ...]
    table: pa.Table

    @property
    def share(self) -> float:
        return self.different / self.pairs if self.pairs else 0.0


def differences(
    champion: pa.Table, shadow: pa.Table, column: str = "prediction", least: float = LEAST, alpha: float = 0.05
) -> Differences:
    """Hold the predictions of two versions against each other.

    Of probabilities with classes beside them (`predicted`) those count that give another class.

    Args:
        champion: the request log of the version in service: `request_id`, `column`, and whatever else it keeps.
        shadow: the log of the other version. Of a request that was tried twice, its last answer counts.
        column: with the predictions, classes or numbers.
    """
    theirs, ours = _last(champion), _last(shadow)
    named = all("predicted" in table.column_names for table in (theirs, ours))
    chosen = ["request_id", column, *(["predicted"] if named else [])]
    joined = theirs.join(ours.select(chosen), "request_id", join_type="inner", right_suffix="_shadow").combine_chunks()
    first, second = joined[column], joined[f"{column}_shadow"]
    classes = not (pa.types.is_floating(first.type) or pa.types.is_integer(first.type))
    if classes:
        apart = np.asarray(pc.not_equal(first.cast(pa.string()), second.cast(pa.string())).to_pylist(), float)
    else:
        apart = np.abs(second.cast(pa.float64()).to_numpy() - first.cast(pa.float64()).to_numpy())
    apart = np.nan_to_num(apart, nan=math.inf)
    differ = np.flatnonzero(apart > (0.5 if classes else least))
    if named:
        shown = [joined[name].cast(pa.string()) for name in ("predicted", "predicted_shadow")]
        differ = np.flatnonzero(np.asarray(pc.not_equal(*shown).to_pylist(), float) == 1)
        classes = True
    order = differ[np.argsort(-apart[differ], kind="stable")]
    table = joined.take(pa.array(order)).append_column("difference", pa.array(apart[order]))
    rows = tuple(
        zip(*(table[name].slice(0, _SHOWN).to_pylist() for name in
              ("request_id", column, f"{column}_shadow", "difference")), strict=True)
    )  # fmt: skip
    low, high = _share(len(differ), len(joined), alpha)
    labels = named or not pa.types.is_floating(first.type)
    return Differences(len(joined), len(differ), low, high, classes, least, labels, rows, table)


def _share(hits: int, trials: int, alpha: float) -> tuple[float, float]:
    """Ends of a confidence sequence for a share: a uniform mixture of binomial likelihoods (Robbins, 1970)."""
    from scipy.special import betaln

    tried = np.linspace(1e-6, 1 - 1e-6, 20_001)
    likelihood = hits * np.log(tried) + (trials - hits) * np.log1p(-tried)
    kept = tried[betaln(hits + 1, trials - hits + 1) - likelihood < math.log(1 / alpha)]
    return (0.0 if not hits else float(kept[0])), (1.0 if hits == trials else float(kept[-1]))


def _last(rows: pa.Table) -> pa.Table:
    """One row for each request."""
    _, places = np.unique(rows["request_id"].to_numpy(zero_copy_only=False)[::-1].astype(str), return_index=True)
    return rows.take(pa.array(np.sort(len(rows) - 1 - places)))


def write_differences(found: Differences | None, path: str) -> None:
    """Write all rows that differ as Parquet; a table without rows where no shadow was compared."""
    none = pa.table({"request_id": pa.array([], pa.string()), "difference": pa.array([], pa.float64())})
    pq.write_table(found.table if found is not None else none, path)
