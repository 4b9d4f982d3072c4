"""Which way a metric is better is told from its name, or not at all."""

from __future__ import annotations

import pytest

from turnout.plan.metric_directions import higher_is_better


@pytest.mark.parametrize(
    ("name", "higher"),
    [
        ("roc_auc", True),
        ("neg_log_loss", True),
        ("evaluate.neg_brier_score", True),
        ("log_loss", False),
        ("val_loss", False),
        ("testRMSE", False),
        ("training_seconds", False),
        ("brier_score", False),
        ("F1", True),
        ("rows", None),
        ("mapped", None),
        ("", None),
    ],
)
def test_the_direction_of_a_metric(name: str, higher: bool | None) -> None:
    assert higher_is_better(name) is higher
