"""How often a check alarms where nothing has changed: Turnout beside the rules of thumb, on the same samples.

    .venv/bin/python benchmarks/false_alarms.py [--times N] [--days-only]

Both samples come from one distribution, so each alarm is false; 5 % of the checks may have one. `wasserstein` is the
distance over the reference's standard deviation, above 0.1 (Evidently's default for numbers from 1,000 reference rows);
`psi` the population stability index in ten bins, above 0.1; `ks` Kolmogorov-Smirnov with Bonferroni's correction. A `*`
marks a rate that is more than the promised one by more than chance (binomial, 99.9 %).

Last, rows that come in days: all rows of a day share something, and the reference has 100 days. Turnout knows the days.
"""

from __future__ import annotations

import argparse
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from scipy import stats

from turnout.monitoring.checks.drift import compare
from turnout.monitoring.findings import QUALITY
from turnout.monitoring.profile import count, make_profile

warnings.simplefilter("ignore")
RATE = 0.05
SIZES = [
    (50, 50),
    (1_000, 50),
    (50, 1_000),
    (1_000, 1_000),
    (100_000, 200),
    (1_000_000, 10_000),
    (1_000_000, 1_000_000),
]
Draw = Callable[[np.random.Generator, int], Any]
KINDS: dict[str, Draw] = {
    "normal": lambda rng, rows: rng.normal(size=rows),
    "heavy tails": lambda rng, rows: rng.standard_cauchy(size=rows),
    "few values": lambda rng, rows: rng.poisson(1.5, rows).astype(float),
    "constant": lambda rng, rows: np.ones(rows),
    "90 % nulls": lambda rng, rows: np.where(rng.random(rows) < 0.9, np.nan, rng.normal(size=rows)),
    "1,000 categories": lambda rng, rows: (rng.zipf(1.3, rows) % 1000).astype(str),
}


def psi(reference: np.ndarray, current: np.ndarray) -> float:
    edges = np.unique(np.quantile(reference, np.linspace(0, 1, 11)))[1:-1]
    shares = [
        np.bincount(np.searchsorted(edges, of), minlength=len(edges) + 1) / len(of) for of in (reference, current)
    ]
    first, second = (np.maximum(share, 1e-4) for share in shares)
    return float(((second - first) * np.log(second / first)).sum())


def wasserstein(reference: np.ndarray, current: np.ndarray) -> float:
    spread = reference.std()
    return stats.wasserstein_distance(reference, current) / spread if spread else 0.0


def ours(
    reference: pa.Table, current: pa.Table, rate: float = RATE, blocks: Sequence[np.ndarray] = (), days: int = 1
) -> tuple[bool, bool]:
    """Whether a distribution is said to be another, and whether anything else is."""
    profile = make_profile(reference, blocks=blocks)
    found = compare(profile, count(current, profile), rate=rate, blocks=days)
    return bool(found.drifted), bool(found.counting(QUALITY))


REFERENCE_DAYS = 100
DAY_ROWS = 200
DAYS: dict[str, Draw] = {
    "days: their own": lambda rng, days: _rows(rng.normal(size=days)) + 0.1 * rng.normal(size=days * DAY_ROWS),
    "days: a little": lambda rng, days: _rows(rng.normal(size=days)) + 4 * rng.normal(size=days * DAY_ROWS),
    "days: storms": lambda rng, days: _rows(rng.exponential(size=days) ** 2) + rng.normal(size=days * DAY_ROWS),
    "days: late": lambda rng, days: (rng.random(days * DAY_ROWS) < _rows(rng.beta(1, 4, days))).astype(float),
    "days: nothing": lambda rng, days: rng.normal(size=days * DAY_ROWS),
}
"""Columns of rows that come in days, each with something that the rows of a day share."""


def _rows(of_days: np.ndarray) -> np.ndarray:
    return np.repeat(of_days, DAY_ROWS)


def rates(
    draw: Draw, sizes: tuple[int, int], columns: int, times: int, in_days: bool = False, seed: int = 0
) -> dict[str, float]:
    """The share of checks with an alarm; the sizes are rows, or days."""
    rng, alarms = np.random.default_rng(seed), dict.fromkeys(["turnout", "quality", "ks", "wasserstein", "psi"], 0)
    blocks = np.split(np.arange(sizes[0] * DAY_ROWS), sizes[0]) if in_days else []
    for _ in range(times):
        tables = [pa.table({f"x{index}": draw(rng, size) for index in range(columns)}) for size in sizes]
        drifted, spoiled = ours(*tables, blocks=blocks, days=sizes[1] if in_days else 1)
        alarms["turnout"] += drifted
        alarms["quality"] += spoiled
        pairs = [[table[name].to_numpy() for table in tables] for name in tables[0].column_names]
        if pairs[0][0].dtype == object:
            continue
        pairs = [[of[~np.isnan(of)] for of in pair] for pair in pairs]
        pairs = [pair for pair in pairs if len(pair[0]) and len(pair[1])]
        alarms["ks"] += any(stats.ks_2samp(*pair, method="asymp").pvalue <= RATE / columns for pair in pairs)
        alarms["wasserstein"] += any(wasserstein(*pair) > 0.1 for pair in pairs)
        alarms["psi"] += any(psi(*pair) > 0.1 for pair in pairs)
    return {name: found / times for name, found in alarms.items()}


def show(name: str, sizes: tuple[int, int], columns: int, times: int, found: dict[str, float]) -> None:
    told = []
    for rate in found.values():
        over = stats.binomtest(round(rate * times), times, RATE, alternative="greater").pvalue < 0.001
        told.append(f"{rate:8.1%}{'*' if over else ' '}")
    print(f"{name:<18}{sizes[0]:>10,}{sizes[1]:>11,}{columns:>9}{times:>7}  {' '.join(told)}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--times", type=int, default=400)
    parser.add_argument("--days-only", action="store_true", help="only rows that come in days")
    options = parser.parse_args()
    times = options.times
    print(f"{'column':<18}{'reference':>10}{'current':>11}{'columns':>9}{'checks':>7}  ", end="")
    print(" ".join(f"{name:>9}" for name in ("turnout", "quality", "ks", "wasserst.", "psi")))
    for name, draw in () if options.days_only else KINDS.items():
        for sizes in SIZES:
            repeated = max(20, min(times, round(times * 200_000 / sum(sizes))))
            show(name, sizes, 1, repeated, rates(draw, sizes, 1, repeated))
    for columns in () if options.days_only else (20, 200):
        for sizes in SIZES[:4]:
            show("normal", sizes, columns, times // 2, rates(KINDS["normal"], sizes, columns, times // 2))
    for name, draw in DAYS.items():
        for now in (1, 7):
            found = rates(draw, (REFERENCE_DAYS, now), 1, times, in_days=True)
            show(name, (REFERENCE_DAYS * DAY_ROWS, now * DAY_ROWS), 1, times, found)


if __name__ == "__main__":
    main()
