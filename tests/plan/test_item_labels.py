"""What the items of a loop are called."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from turnout.pipelines.candidates import CANDIDATES
from turnout.plan.item_labels import LONGEST, item_labels
from turnout.spec.step_contract import Artifact

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


def test_an_item_is_called_by_itself() -> None:
    assert item_labels(["north", 2, 0.25, True, None]) == ["north", "2", "0.25", "true", "null"]


def test_a_struct_is_called_by_what_tells_it_from_the_others() -> None:
    assert item_labels([{"kind": "a", "depth": 2}, {"kind": "a", "depth": 3}]) == ["depth=2", "depth=3"]
    assert item_labels([{"a": 1, "b": 1}, {"a": 1, "b": 2}, {"a": 2, "b": 1}]) == ["a=1, b=1", "a=1, b=2", "a=2, b=1"]


def test_the_candidates_are_called_by_their_estimators() -> None:
    assert item_labels(CANDIDATES) == [
        "estimator=lightgbm.LGBMClassifier",
        "estimator=HistGradientBoostingClassifier",
        "estimator=LogisticRegression",
    ]


def test_an_artifact_is_called_by_the_end_of_its_uri() -> None:
    (label,) = item_labels([Artifact("model", "system.Model", "s3://bucket/runs/1/train@0/model").to_dict()])
    assert label == "train@0/model"


def test_alike_and_empty_items_are_numbered() -> None:
    assert item_labels(["a", "a", ""]) == ["a", "a #2", "#3"]


@given(st.lists(JSON, max_size=8))
def test_labels_are_short_lines_and_each_is_its_own(items: list[object]) -> None:
    labels = item_labels(items)
    assert len(labels) == len(items) == len(set(labels))
    assert all(0 < len(label) <= LONGEST and label.isprintable() for label in labels)
