"""The page of an evaluation: what stands where, how sure its numbers are, and which columns and slices it names."""

from __future__ import annotations

import functools
import json
import re
from html.parser import HTMLParser
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LinearRegression, LogisticRegression

from turnout.models.evaluation_report.document import evaluation_report
from turnout.models.evaluation_report.importance import MOST, importance
from turnout.models.evaluation_report.intervals import measure
from turnout.models.evaluation_report.slices import slices_of
from turnout.models.registry import ModelVersion
from turnout.models.scoring import Predictions, all_scores, difference, predictions, score
from turnout.models.verdict import Verdict
from turnout.reports.numbers import with_interval
from turnout.reports.report import Report


class Page(HTMLParser):
    """Headings in order, the rows of each section's table as texts, and how many drawings a section has."""

    def __init__(self, text: str):
        super().__init__()
        self.headings: list[str] = []
        self.rows: dict[str, list[list[str]]] = {}
        self.drawings: dict[str, int] = {}
        self._open = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self._open = tag if tag in ("h2", "td", "th") else self._open
        if tag == "h2":
            self.headings.append("")
        elif self.headings and tag == "tr":
            self.rows.setdefault(self.headings[-1], []).append([])
        elif self.headings and tag in ("td", "th"):
            self.rows[self.headings[-1]][-1].append("")
        elif self.headings and tag == "svg":
            self.drawings[self.headings[-1]] = self.drawings.get(self.headings[-1], 0) + 1

    def handle_endtag(self, tag: str) -> None:
        self._open = "" if tag == self._open else self._open

    def handle_data(self, data: str) -> None:
        if self._open == "h2":
            self.headings[-1] += data
        elif self._open in ("td", "th") and self.headings:
            self.rows[self.headings[-1]][-1][-1] += data.strip()


def rows(count: int = 1200) -> pd.DataFrame:
    """`strong` decides, `weak` a little, `noise` nothing; in the group `odd` the target is tossed."""
    rng = np.random.default_rng(0)
    table = pd.DataFrame({name: rng.normal(size=count) for name in ("noise", "strong", "weak")})
    table["group"] = rng.choice(["even", "odd", "rare"], count, p=[0.7, 0.28, 0.02])
    value = 3 * table["strong"] + 0.7 * table["weak"]
    value = value.where(table["group"] != "odd", rng.permutation(value)) + rng.normal(size=count)
    return table.assign(number=value, two=(value > 1).astype(int),
                        three=np.select([value < -1, value < 2], ["low", "middle"], "high"))  # fmt: skip


INPUTS = ["noise", "strong", "weak"]


@functools.cache
def told(target: str) -> Report:
    table, task = rows(), "regression" if target == "number" else "classification"
    metric = "r2" if target == "number" else "roc_auc"
    kind = LinearRegression if target == "number" else LogisticRegression
    labels, inputs = table[target], table[INPUTS]
    model = (kind() if target == "number" else kind(C=0.5)).fit(inputs, labels)
    weaker = kind().fit(inputs[["weak"]], labels)
    ours, theirs = predictions(model, inputs, task), predictions(weaker, inputs[["weak"]], task)
    compared = difference(metric, labels, ours, theirs)
    baseline = score(metric, labels, ours.constant(labels))
    verdict = Verdict(
        True, ["a reason"], all_scores(task, labels, ours), baseline, ours, all_scores(task, labels, theirs), theirs,
        compared,
    )  # fmt: skip
    said = {"task": task, "target": target, "code_revision": "c0ffee", "mlflow_run_id": "ab12", "estimator": "of tests"}
    return evaluation_report(
        model, inputs, table, labels, verdict, task=task, metric=metric, slices=["group"], said=said,
        champion=ModelVersion("m", "3", "cd34"), given=1300,
    )  # fmt: skip


@functools.cache
def evaluated(target: str) -> str:
    return told(target).to_html()


@pytest.mark.parametrize(
    ("target", "middle"),
    [
        ("two", ["Curves", "Calibration", "Confusion matrix", "Thresholds", "Classes"]),
        ("three", ["Curves", "Calibration", "Confusion matrix", "Classes"]),
        ("number", ["Predicted and observed", "Residuals"]),
    ],
)
def test_the_verdict_comes_first_then_what_it_rests_on_then_the_facts(target: str, middle: list[str]) -> None:
    text = evaluated(target)
    page = Page(text)
    end = ["Permutation importance", "Slices", "Facts", "Parameters that differ from the defaults"]
    assert page.headings == ["Metrics", *middle, *end]
    assert text.index("Promote: this model") < text.index("a reason") < text.index("<h2>")
    assert len(text) < 500_000
    assert not re.findall(r"""(?:src|href)=["'](?!#)|@import|url\((?!#)""", text.replace('xlink:href="data:', ""))

    assert page.rows["Metrics"][0] == ["metric", "this model", "champion", "difference"]
    for row in page.rows["Metrics"][1:]:
        for cell in row[1:]:
            value, low, high = (float(part.replace(",", "")) for part in re.findall(r"[-+]?[\d,]+(?:\.\d+)?", cell))
            assert low <= value <= high
    assert page.rows["Metrics"][1][0].endswith("(decides)")
    importance_rows = page.rows["Permutation importance"][1:]
    assert [row[0] for row in importance_rows] == ["strong", "weak", "noise"]
    slices = page.rows["Slices"][1:]
    assert slices[0][1] == "odd"
    assert slices[0][-1] == "worse"
    assert {row[1]: row[-1] for row in slices}["rare"] == "uncertain"
    facts = dict(page.rows["Facts"][1:])
    assert facts["code, commit"] == "c0ffee"
    assert facts["rows judged by"] == "1,200 of 1,300"
    assert facts["champion"] == "m, version 3 (MLflow run cd34)"
    if target != "number":
        assert ["C", "0.5", "1"] in page.rows["Parameters that differ from the defaults"]


@pytest.mark.parametrize(("target", "calibrated"), [("two", True), ("three", False), ("number", False)])
def test_comparisons_of_runs_find_intervals_and_calibration_beside_the_page(target: str, calibrated: bool) -> None:
    kept = told(target).metadata()
    assert json.loads(json.dumps(kept, allow_nan=False)) == kept  # as artifacts' metadata has it
    assert kept["metric"] == ("r2" if target == "number" else "roc_auc")
    low, high = kept["intervals"][kept["metric"]]
    assert low < high
    assert ("calibration" in kept) == calibrated
    for predicted, observed in kept.get("calibration", ()):
        assert 0 <= predicted <= 1
        assert 0 <= observed <= 1


def test_the_champion_s_curves_are_beside_the_model_s() -> None:
    two, three, number = (evaluated(target) for target in ("two", "three", "number"))
    assert two.count(">champion</text>") == 3  # ROC, precision and recall, calibration
    assert "Dotted: the champion" in three
    assert Page(number).drawings["Predicted and observed"] == 2


def test_thresholds_flag_more_and_more_rows_in_ten_lines_at_most() -> None:
    table = Page(evaluated("two")).rows["Thresholds"][1:]
    assert 5 <= len(table) <= 10
    counts = [int(row[2].replace(",", "")) for row in table]
    recalls = [float(row[4].rstrip("%")) for row in table]
    assert counts == sorted(counts)
    assert recalls == sorted(recalls)
    half = next(row for row in table if row[0] == "0.500")
    confusion = [[int(cell.replace(",", "")) for cell in row[1:]] for row in Page(evaluated("two")).rows["Confusion matrix"][1:]]  # fmt: skip  # noqa: E501
    assert int(half[2]) == confusion[0][1] + confusion[1][1]


def test_intervals_hold_the_truth_as_often_as_they_say_also_with_fewer_rows_than_the_table() -> None:
    """Accuracy 0.8 by construction: of 100 tables, the interval misses it in about 5."""
    rng = np.random.default_rng(0)
    for count in (300, 45_000):
        missed = 0
        for seed in range(40):
            right = rng.random(count) < 0.8
            found = Predictions(np.where(right, 0.9, 0.1), (0, 1))
            told = measure(["accuracy"], pd.Series(np.ones(count, int)), found, seed=seed, resamples=100)
            missed += not told.ours["accuracy"].low <= 0.8 <= told.ours["accuracy"].high
        assert missed <= 7, count


def test_the_worst_slice_is_first_and_one_without_a_score_last() -> None:
    table = rows().assign(group=lambda rows: np.where(rows.index < 5, "one class", rows["group"]), two=1)
    table.loc[5:, "two"] = rows()["two"][5:]
    found = predictions(LogisticRegression().fit(table[INPUTS], table["two"]), table[INPUTS], "classification")
    slices = slices_of("roc_auc", table, ["group", "noise"], table["two"], found)
    scores = [item.score.value for item in slices]
    assert slices[0].value == "odd"
    assert slices[-1].value == "one class"
    assert np.isnan(scores[-1])
    assert slices[-1].uncertain
    assert scores[:-1] == sorted(scores[:-1])
    assert len([item for item in slices if item.column == "noise" and " to " in item.value]) == 5


def test_of_a_wide_table_the_columns_that_matter_are_searched_for() -> None:
    rng = np.random.default_rng(0)
    table = pd.DataFrame(rng.normal(size=(600, 700)), columns=[f"column {index}" for index in range(700)])
    labels = (2 * table["column 77"] - 2 * table["column 500"] > 0).astype(int)
    model = LogisticRegression(C=0.001).fit(table, labels)
    found = importance(model, table, labels, task="classification", metric="roc_auc", seconds=1.0)
    assert found is not None
    assert [name for name, *_ in found.columns[:2]] in (["column 77", "column 500"], ["column 500", "column 77"])
    assert len(found.columns) <= MOST


def test_numbers_have_the_digits_that_their_intervals_leave() -> None:
    assert with_interval(0.84215, 0.8312, 0.8531) == "0.842 (0.831 to 0.853)"
    assert with_interval(-1511.22, -1546.9, -1470.1) == "-1,511 (-1,547 to -1,470)"
    assert with_interval(0.0011, -0.0047, 0.0088, sign=True) == "+0.0011 (-0.0047 to +0.0088)"
    assert with_interval(float("nan"), 0, 1) == "–"
