"""How often a change is found: Turnout beside Kolmogorov-Smirnov and the rules of thumb, on the same samples.

    .venv/bin/python benchmarks/drift_power.py [--times N]

One column, 5 % false alarms. The rules of thumb are in brackets where they alarm in more than 10 % of the checks
without any change: what they find there is no finding. Turnout's own cells: `--cells` compares numbers of them.
"""

from __future__ import annotations

import argparse
import functools
import warnings
from collections.abc import Callable

import numpy as np
import pyarrow as pa
from false_alarms import RATE, ours, psi, wasserstein
from scipy import stats

from turnout.monitoring import profile

warnings.simplefilter("ignore")
Draw = Callable[[np.random.Generator, int, float], np.ndarray]
CHANGES: dict[str, Draw] = {
    "shift": lambda rng, rows, size: rng.normal(size, 1, rows),
    "wider": lambda rng, rows, size: rng.normal(0, 1 + size, rows),
    "longer tails": lambda rng, rows, size: np.where(
        rng.random(rows) < size / 2, 2 * rng.standard_t(1.5, rows), rng.normal(size=rows)
    ),
    "rare events": lambda rng, rows, size: np.where(rng.random(rows) < size / 4, 4.0, rng.normal(size=rows)),
    "a narrow bump": lambda rng, rows, size: np.where(
        rng.random(rows) < size, rng.normal(0.5, 0.1, rows), rng.normal(size=rows)
    ),
}
ROWS = [(200, 200), (10_000, 200), (10_000, 1_000), (100_000, 10_000)]
AMOUNTS = [0.05, 0.1, 0.2, 0.4]


def found(draw: Draw, rows: tuple[int, int], amount: float, times: int) -> dict[str, float]:
    rng, alarms = np.random.default_rng(0), dict.fromkeys(["turnout", "ks", "wasserstein", "psi"], 0)
    for _ in range(times):
        reference, current = rng.normal(size=rows[0]), draw(rng, rows[1], amount)
        alarms["turnout"] += ours(pa.table({"x": reference}), pa.table({"x": current}))[0]
        alarms["ks"] += stats.ks_2samp(reference, current, method="asymp").pvalue <= RATE
        alarms["wasserstein"] += wasserstein(reference, current) > 0.1
        alarms["psi"] += psi(reference, current) > 0.1
    return {name: alarm / times for name, alarm in alarms.items()}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--times", type=int, default=200)
    parser.add_argument("--cells", type=int, default=profile.CELLS)
    given = parser.parse_args()
    profile.CELLS = given.cells
    false = functools.cache(lambda rows: found(CHANGES["shift"], rows, 0.0, given.times))
    print(f"{'change':<15}{'reference':>10}{'current':>9}{'amount':>8}", end="")
    print("".join(f"{name:>13}" for name in ("turnout", "ks", "wasserstein", "psi")))
    for name, draw in CHANGES.items():
        for rows in ROWS:
            for amount in AMOUNTS:
                power = found(draw, rows, amount, given.times)
                if max(power["turnout"], power["ks"]) < 0.15 or min(power["turnout"], power["ks"]) > 0.97:
                    continue  # where none or all is found there is nothing to compare
                told = [f"({rate:.0%})" if false(rows)[of] > 0.1 else f"{rate:.0%}" for of, rate in power.items()]
                print(
                    f"{name:<15}{rows[0]:>10,}{rows[1]:>9,}{amount:>8}" + "".join(f"{one:>13}" for one in told),
                    flush=True,
                )


if __name__ == "__main__":
    main()
