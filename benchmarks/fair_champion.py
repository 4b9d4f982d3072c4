"""Does the better model become the champion? 50 trainings on each of some tables without time whose rows come and go.

    .venv/bin/python benchmarks/fair_champion.py [--trainings N] [--tables N] [--rows N]

Before each training a tenth of the rows go and some more come, and their order changes. The first champion is a
random forest as it is by default; then candidates are drawn from estimators of all kinds, some of which learn by heart.
All ways see the same rows and candidates, and decide by the same rule: a higher ROC AUC on the test rows.

position  positions are drawn, as Turnout did before
keys      `split` by a hash of the row's key; rows that either model has learned are left out
changed   the same with another seed in each training, so that the fingerprints alone keep it fair

An oracle scores all models on fresh rows. It says which candidates were better than the champion of their time, and
which were worse; differences below 0.002 count as neither, from 0.01 on they are clear. `flattery` is by how much the
champion's score on the test rows is above the oracle's, `champion` the oracle's mean score of the models in service,
and `best` that of the best model until then.
"""

from __future__ import annotations

import argparse
import time
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from scipy.special import expit
from sklearn.ensemble import ExtraTreesClassifier, RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.neighbors import KNeighborsClassifier
from sklearn.tree import DecisionTreeClassifier

from turnout.data.rows import identify, in_test
from turnout.models.judged_rows import judged_rows
from turnout.models.learned import Learned, learned
from turnout.models.registry import ModelVersion

warnings.simplefilter("ignore")
TEST_FRACTION, MINIMUM_ROWS = 0.2, 50
NEITHER, CLEARLY = 0.002, 0.01
FRESH_ROWS, TREES = 10_000, 25
NUMBERS = [f"x{index}" for index in range(8)]
CANDIDATES: list[Callable[[np.random.Generator], Any]] = [
    lambda rng: LogisticRegression(C=10 ** rng.uniform(-4, 1)),
    lambda rng: DecisionTreeClassifier(max_depth=int(rng.integers(2, 25)), random_state=0),
    lambda rng: KNeighborsClassifier(int(rng.integers(1, 80))),
    lambda rng: RandomForestClassifier(TREES, min_samples_leaf=int(rng.integers(1, 40)), random_state=0),
    lambda rng: ExtraTreesClassifier(TREES, min_samples_leaf=int(rng.integers(1, 40)), random_state=0),
]
"""Estimators and how their hyperparameters are drawn."""


def rows(rng: np.random.Generator, count: int, first_id: int) -> pd.DataFrame:
    """Rows with a noisy target that depends on the numbers, partly by interactions."""
    numbers = rng.normal(size=(count, len(NUMBERS)))
    chance = expit(numbers[:, 0] - 0.7 * numbers[:, 1] + 0.8 * numbers[:, 2] * numbers[:, 3] - np.abs(numbers[:, 4]))
    table = pd.DataFrame(numbers, columns=NUMBERS).assign(id=np.arange(first_id, first_id + count))
    return table.assign(target=(rng.random(count) < chance).astype(int))


def tables(rng: np.random.Generator, count: int, trainings: int) -> Iterator[pd.DataFrame]:
    """The table as each training finds it."""
    table, made = rows(rng, count, 0), count
    for _ in range(trainings):
        yield table
        come = int(len(table) * rng.uniform(0.1, 0.15))
        kept = table.sample(frac=0.9, random_state=int(rng.integers(2**31)))
        table, made = pd.concat([kept, rows(rng, come, made)]).sample(frac=1, random_state=0), made + come


def score(model: Any, table: pd.DataFrame) -> float:
    return float(roc_auc_score(table["target"], model.predict_proba(table[NUMBERS])[:, 1]))


def test_rows(way: str, table: pd.DataFrame, training: int) -> np.ndarray:
    if way == "position":
        numbered = table.reset_index(drop=True)
        return numbered.index.isin(numbered.sample(frac=TEST_FRACTION, random_state=0).index)
    return in_test(identify(table, ["id"]).digests, TEST_FRACTION, training if way == "changed" else 0)


@dataclass
class Way:
    """A way to split and to compare, and what became of it: a line for each training."""

    name: str
    champion: Any
    record: Learned
    oracle: float
    done: list[dict[str, float]] = field(default_factory=list)

    def train(self, table: pd.DataFrame, model: Any, training: int, fresh: pd.DataFrame) -> float:
        """Train a candidate and decide; the oracle's score of it."""
        tested = test_rows(self.name, table, training)
        before, test, refused = table[~tested], table[tested], ""
        model.fit(before[NUMBERS], before["target"])
        record, oracle = learned(before, ["id"]), score(model, fresh)
        if self.name != "position":
            judged = judged_rows(
                test, record, ModelVersion("m", "1", ""), self.record,
                target="target", task="classification", minimum_rows=MINIMUM_ROWS,
            )  # fmt: skip
            test, refused = test[judged.chosen], judged.refused
        theirs, better = score(self.champion, test), oracle - self.oracle
        promoted = not refused and score(model, test) > theirs
        self.done.append({
            "better": better, "promoted": promoted, "refused": bool(refused),
            "rows": len(test), "flattery": theirs - self.oracle,
        })  # fmt: skip
        if promoted:
            self.champion, self.record, self.oracle = model, record, oracle
        self.done[-1]["champion"] = self.oracle
        return oracle


def simulate(seed: int, count: int, trainings: int) -> tuple[pd.DataFrame, list[float]]:
    """What each way did in each training, and the best score until then."""
    rng = np.random.default_rng(seed)
    fresh, ways, best = rows(rng, FRESH_ROWS, -FRESH_ROWS), [], [0.0]
    for training, table in enumerate(tables(rng, count, trainings + 1)):
        if not training:
            for name in ("position", "keys", "changed"):
                ways.append(Way(name, *_first(name, table, fresh)))
            continue
        draw, drawn = CANDIDATES[int(rng.integers(len(CANDIDATES)))], int(rng.integers(2**31))
        found = [way.train(table, draw(np.random.default_rng(drawn)), training, fresh) for way in ways]
        best.append(max(best[-1], *found))
    return pd.concat([pd.DataFrame(way.done).assign(way=way.name) for way in ways]), best[1:]


def _first(name: str, table: pd.DataFrame, fresh: pd.DataFrame) -> tuple[Any, Learned, float]:
    before = table[~test_rows(name, table, 0)]
    model = RandomForestClassifier(TREES, random_state=0).fit(before[NUMBERS], before["target"])
    return model, learned(before, ["id"]), score(model, fresh)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--trainings", type=int, default=50)
    parser.add_argument("--tables", type=int, default=8)
    parser.add_argument("--rows", type=int, default=2_000)
    options = parser.parse_args()
    started = time.monotonic()
    with ProcessPoolExecutor(2) as pool:
        given = [range(options.tables), [options.rows] * options.tables, [options.trainings] * options.tables]
        ran = list(pool.map(simulate, *given))
    done, best = pd.concat([of for of, _ in ran]), np.mean([until for _, until in ran])
    print(f"{options.tables} tables of {options.rows:,} rows at first, {options.trainings} trainings each")
    print(f"{'':<10}{'better':>8}{'refused':>9}{'clearly':>9}{'refused':>9}{'worse':>8}{'promoted':>10}", end="")
    print(f"{'not judged':>12}{'test rows':>11}{'flattery':>10}{'champion':>10}{'best':>8}")
    for name, way in done.groupby("way", sort=False):
        better, clearly = way[way["better"] > NEITHER], way[way["better"] > CLEARLY]
        worse = way[way["better"] < -NEITHER]
        print(f"{name:<10}{len(better):>8}{1 - better['promoted'].mean():>9.0%}{len(clearly):>9}", end="")
        print(f"{1 - clearly['promoted'].mean():>9.0%}{len(worse):>8}{worse['promoted'].mean():>10.0%}", end="")
        print(f"{way['refused'].sum():>12}{way['rows'].mean():>11,.0f}", end="")
        print(f"{way['flattery'].mean():>+10.4f}{way['champion'].mean():>10.4f}{best:>8.4f}")
    print(f"{time.monotonic() - started:.0f} s")


if __name__ == "__main__":
    main()
