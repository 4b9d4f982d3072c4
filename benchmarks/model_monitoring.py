"""How often a model is called worse: by what rows let one expect, and by the plain metric, on the same samples.

    .venv/bin/python benchmarks/model_monitoring.py [--times N]

The plain metric of an interval is held against that of the reference, with its error and what is known of days, as
Turnout did before. A `*` marks a rate of false alarms that is more than 5 % by more than chance (binomial, 99.9 %);
power is in brackets where the same check has such a rate on these rows without any change of the model.

regression      a year of hours whose target has a season, or none: months, weeks and days held against it. Noise is the
                same all year, or grows with the amount, or with the season alone, which predictions do not tell apart;
                the rows of a day share a part of it. Days that are not known are of rows that share nothing.
classification  2,000 rows against 20,000: as before, with other shares of classes, with rows that are all more alike,
                with harder rows; of a model whose probabilities are right, and of one that is too sure
"""

from __future__ import annotations

import argparse
from collections.abc import Callable

import numpy as np
from scipy import stats

from turnout.models.metrics import METRICS, metric_function
from turnout.monitoring.checks.performance import held_against, measure
from turnout.monitoring.dependence import Dependence, learn_from

RATE = 0.05
Rows = tuple[np.ndarray, np.ndarray]
"""Truth and values."""

# --- the plain metric


def plain(metric: str, rows: Rows, blocks: list[np.ndarray] | None = None) -> tuple[float, float, Dependence | None]:
    """A metric, its standard error, and what blocks tell of it."""
    function, rng, size = metric_function(metric), np.random.default_rng(0), len(rows[0])
    drawn = [rng.integers(0, size, size) for _ in range(100)]
    value, error = function(*rows), float(np.nanstd([function(*(of[chosen] for of in rows)) for chosen in drawn]))
    apart, sizes = [], []
    for block in blocks or []:
        apart.append((value - function(*(of[block] for of in rows))) / (error * np.sqrt(size / len(block))))
        sizes.append(len(block))
    return value, error, learn_from(np.array(apart), np.array(sizes, float), size, power=0.5)


def plain_alarm(before: tuple[float, float, Dependence | None], metric: str, rows: Rows, blocks: int) -> bool:
    """As `held_against` was: a smaller metric is a worse model."""
    value, error, _ = plain(metric, rows)
    known = before[2]
    both = np.hypot(
        before[1] * (known.inflation() if known else 1) ** 0.5,
        error * (known.inflation(len(rows[0]) / blocks) if known else 1) ** 0.5,
    )
    p_value = stats.norm.sf((before[0] - value) / both)
    return max(p_value, known.p_value((before[0] - value) / both) if known else 0.0) <= RATE


# --- regression

HOURS, YEAR = 24, 364


def hours(rng: np.random.Generator, days: np.ndarray, season: float, noise: str, shared: float) -> Rows:
    """The hours of some days."""
    level = 20 + season * np.sin(2 * np.pi * np.repeat(days, HOURS) / YEAR)
    hour = np.tile(np.arange(HOURS), len(days))
    known = level * (1 + 0.15 * np.sin(2 * np.pi * hour / HOURS) + 0.1 * rng.normal(size=len(level)))
    scale = {"the same": np.full(len(level), 3.0), "the amount": 0.15 * known, "the season": 0.15 * level}[noise]
    off = np.repeat(shared * rng.normal(size=len(days)), HOURS) + rng.normal(size=len(level))
    return known + scale * off, known


def worse(rng: np.random.Generator, rows: Rows, share: float) -> Rows:
    """Predictions whose mean squared error is larger by a share."""
    truth, values = rows
    error = np.sqrt(share * ((truth - values) ** 2).mean())
    return truth, values + error * rng.normal(size=len(values))


def regression(
    metric: str, season: float, noise: str, known_days: bool, days: int, amounts: list[float], times: int
) -> np.ndarray:
    """The share of checks with an alarm by amount: of ours, and of the plain metric; shape (amounts, 2)."""
    rng, alarms = np.random.default_rng(0), np.zeros((len(amounts), 2))
    blocks = list(np.arange(YEAR * HOURS).reshape(YEAR, HOURS)[::2]) if known_days else []
    shared = 0.5 if known_days else 0.0
    for number in range(times):
        if number % 20 == 0:
            whole = hours(rng, np.arange(YEAR), season, noise, shared)
            before, old = measure(metric, *whole, blocks=blocks), plain(metric, whole, blocks)
        same = hours(rng, rng.integers(0, YEAR) + np.arange(days), season, noise, shared)
        for row, amount in zip(alarms, amounts, strict=True):
            rows = worse(rng, same, amount)
            row += [
                held_against(before, measure(metric, *rows, before), days).p_value <= RATE,
                plain_alarm(old, metric, rows, days),
            ]
    return alarms / times


# --- classification

Draw = Callable[[np.random.Generator, int], Rows]


def draw(rng: np.random.Generator, rows: int, wide: float = 1.5, middle: float = -1.2) -> Rows:
    chances = 1 / (1 + np.exp(-rng.normal(middle, wide, rows)))
    return (rng.random(rows) < chances).astype(int), chances


def mixed(rng: np.random.Generator, rows: int, share: float) -> Rows:
    """As many positive rows as that, which are as they were."""
    truth, values = draw(rng, 8 * rows)
    wanted = round(share * rows)
    chosen = np.concatenate([np.flatnonzero(truth == 1)[:wanted], np.flatnonzero(truth == 0)[: rows - wanted]])
    return truth[chosen], values[chosen]


ROWS: dict[str, Draw] = {
    "as before": draw,
    "40 % positive": lambda rng, rows: mixed(rng, rows, 0.4),
    "15 % positive": lambda rng, rows: mixed(rng, rows, 0.15),
    "more alike": lambda rng, rows: draw(rng, rows, wide=0.9),
    "harder": lambda rng, rows: draw(rng, rows, middle=-0.3),
}


def classification(metric: str, now: Draw, too_sure: bool, amounts: list[float], times: int) -> np.ndarray:
    """As `regression`; an amount is the share of labels that are dealt out at random."""
    rng, alarms = np.random.default_rng(0), np.zeros((len(amounts), 2))

    def seen(rows: Rows) -> Rows:
        truth, chances = rows
        odds = (chances / (1 - chances)) ** (1.8 if too_sure else 1.0)
        return truth, odds / (1 + odds)

    for number in range(times):
        if number % 20 == 0:
            whole = seen(draw(rng, 20_000))
            before, old = measure(metric, *whole), plain(metric, whole)
        truth, values = seen(now(rng, 2_000))
        for row, amount in zip(alarms, amounts, strict=True):
            rows = np.where(rng.random(len(truth)) < amount, rng.permutation(truth), truth), values
            row += [
                held_against(before, measure(metric, *rows, before)).p_value <= RATE,
                plain_alarm(old, metric, rows, 1),
            ]
    return alarms / times


def told(times: int, rates: np.ndarray) -> str:
    """False alarms and power of both checks."""
    over = [
        stats.binomtest(round(rate * times), times, RATE, alternative="greater").pvalue < 0.001 for rate in rates[0]
    ]
    cells = [f"{rate:.1%}{'*' if over[index] else ''}" for index, rate in enumerate(rates[0])]
    cells += [f"({rate:.0%})" if over[index] else f"{rate:.0%}" for row in rates[1:] for index, rate in enumerate(row)]
    return "".join(f"{cell:>10}" for cell in cells)


KINDS = [
    (season, noise, known)
    for known in (True, False)
    for season, noise in ((0, "the same"), (8, "the same"), (8, "the amount"), (8, "the season"))
]


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--times", type=int, default=400)
    parser.add_argument("--only", choices=["regression", "classification"])
    given = parser.parse_args()
    times = given.times
    if given.only != "classification":
        amounts = [0.0, 0.1, 0.3]
        print(f"{'regression':<48}" + "".join(f"{f'+{a:.0%} mse':>20}" for a in amounts))
        heads = f"{'metric':<8}{'noise as':<12}{'season':>7}{'days':>6}{'known':>7}{'':8}"
        print(heads + f"{'turnout':>10}{'plain':>10}" * len(amounts))
        for metric, name in (("r2", "r2"), ("neg_root_mean_squared_error", "rmse")):
            for season, noise, known in KINDS:
                for days in (1, 7, 28):
                    rates = regression(metric, season, noise, known, days, amounts, times)
                    line = f"{name:<8}{noise:<12}{season:>7}{days:>6}{'yes' if known else 'no':>7}{'':8}"
                    print(line + told(times, rates), flush=True)
    if given.only != "regression":
        amounts = [0.0, 0.1]
        print(f"\n{'classification':<48}" + "".join(f"{f'{a:.0%} dealt out':>20}" for a in amounts))
        print(f"{'rows':<16}{'metric':<20}{'model':<12}" + f"{'turnout':>10}{'plain':>10}" * len(amounts))
        for name, now in ROWS.items():
            for too_sure in (False, True):
                for metric in ("roc_auc", "neg_log_loss") if too_sure else METRICS["classification"]:
                    rates = classification(metric, now, too_sure, amounts, times)
                    kind = "too sure" if too_sure else "right"
                    print(f"{name:<16}{metric:<20}{kind:<12}{told(times, rates)}", flush=True)


if __name__ == "__main__":
    main()
