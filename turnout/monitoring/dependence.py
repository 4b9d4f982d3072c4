"""Rows that come together are not independent: flights of a day share its weather, and no day is like a year.

So the reference's own blocks of rows, such as its days, are held against the rest of it. By how much more they differ
than independent rows would, another table may differ too, and it means nothing.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats

from turnout.data.times import series_in_utc

Array = NDArray[np.float64]
Counts = NDArray[np.int64]
Blocks = Sequence[NDArray[np.int64]]
"""Indices of rows that come together, such as those of a day, for each block."""

LEAST_BLOCKS = 20
"""Blocks of the reference below which nothing is known of how they differ."""

MOST_BLOCKS = 200
LEAST_ROWS = 10
"""Of a block, below which it is not looked at."""

_TAIL = 0.15


@dataclass(frozen=True)
class Dependence:
    """How a statistic behaves that holds a block of rows against the rest.

    Attributes:
        correlation: of two rows of a block (intraclass): with it the statistic grows with the rows of a block.
        rows: of a block, on average.
        threshold: above which `share` of the blocks have the statistic, after what `effect` explains.
        shape, scale: of the generalised Pareto distribution of how far it is above.
    """

    correlation: float
    rows: float
    threshold: float
    share: float
    shape: float
    scale: float

    def effect(self, rows: float, blocks: float, reference_rows: float) -> float:
        """By how much larger the statistic of a table is than for independent rows, on average; at least 1.

        Args:
            rows: of the table, which come in so many blocks.

        Source: the design effect; Kish, Survey Sampling (1965), and for tests Rao and Scott (1981).
        """
        current_inflation, reference_inflation = self.inflation(rows / blocks), self.inflation(self.rows)
        return (current_inflation / rows + reference_inflation / reference_rows) / (1 / rows + 1 / reference_rows)

    def inflation(self, rows: float = 0.0) -> float:
        """By how much fewer independent rows a block of so many tells as much; by default a block of the reference."""
        return 1 + max(0.0, (rows or self.rows) - 1) * self.correlation

    def p_value(self, statistic: float) -> float:
        """How often a block has a statistic as large, after what `effect` explains; the share where it is often.

        Source: Knijnenburg et al., Fewer permutations, more accurate P-values (2009).
        """
        if statistic <= self.threshold:
            return self.share
        above = statistic - self.threshold
        return float(self.share * stats.genpareto.sf(above, self.shape, scale=self.scale))


def learn(statistic: Callable[[Counts, Counts], float], pairs: Sequence[tuple[Counts, Counts]]) -> Dependence | None:
    """What blocks tell of a statistic of counts.

    Args:
        statistic: of the rest and a block; 1 on average where rows are independent.
        pairs: counts of the rest of the reference and of the block, in the same cells, for each block.
    """
    rows = np.array([block.sum() for _, block in pairs], float)
    values = np.array([statistic(rest, block) for rest, block in pairs], float)
    return learn_from(values, rows, float(pairs[0][0].sum() + pairs[0][1].sum()) if pairs else 0.0)


def learn_from(statistics: Array, rows: Array, reference_rows: float, power: float = 1.0) -> Dependence | None:
    """What the statistics of blocks tell.

    Args:
        statistics: of each block against the rest; its mean, or that of its square, is 1 for independent rows;
            shape (blocks,).
        rows: of each block; shape (blocks,).
        power: 1 for a statistic that grows with the design effect, 0.5 for one that does with its root.

    Returns:
        None when there are too few blocks.

    Source: the moments of the generalised Pareto distribution; Hosking and Wallis, Technometrics 29 (1987).
    """
    if len(statistics) < LEAST_BLOCKS:
        return None
    squared = np.abs(statistics) ** (1 / power)
    correlation = float(np.clip((squared - 1).sum() / (rows - 1).sum(), 0, 1))
    plain = Dependence(correlation, float(rows.mean()), 0.0, 1.0, 0.0, 1.0)
    effects = np.array([plain.effect(count, 1, reference_rows) for count in rows])
    left = statistics / effects**power
    threshold = float(np.quantile(left, 1 - _TAIL))
    above = left[left > threshold] - threshold
    if not len(above):
        return dataclasses.replace(plain, threshold=threshold, share=1 / (1 + len(left)), scale=1e-9)
    mean, spread = float(above.mean()), float(above.var())
    ratio = mean**2 / spread if spread else 1.0
    shape = min(0.5 * (1 - ratio), 0.45)
    shape, scale = (shape, 0.5 * mean * (1 + ratio)) if shape > 0 else (0.0, mean)  # without an end
    share = float(len(above) / len(left))
    return dataclasses.replace(plain, threshold=threshold, share=share, shape=shape, scale=scale)


def blocks_of(times: pd.Series | None, seed: int = 0) -> Blocks:
    """The rows of some days, drawn at random, each day's rows as indices.

    Args:
        times: of the rows, meant in UTC where they have no zone; None, where nothing is known of them, gives no blocks.
    """
    if times is None:
        return []
    days = series_in_utc(times).dt.floor("D").reset_index(drop=True)
    parts = [np.asarray(rows) for rows in days.groupby(days).indices.values() if len(rows) >= LEAST_ROWS]
    if len(parts) > MOST_BLOCKS:
        chosen = np.sort(np.random.default_rng(seed).choice(len(parts), MOST_BLOCKS, replace=False))
        parts = [parts[index] for index in chosen]
    return parts
