"""How good a model is class by class, and that as KFP's metrics."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from sklearn import metrics

from turnout.models.metrics import average_precision, roc_auc, said
from turnout.models.scoring import Predictions, calibration_error

CURVE_POINTS = 100


def log_classification(artifact: Any, labels: pd.Series, found: Predictions) -> None:
    """Write the confusion matrix, and of two classes the ROC curve (at most 100 points), into KFP's artifact."""
    truth = found.truth(labels)
    if len(found.classes) == 2 and len(np.unique(truth)) == 2:
        false, true, thresholds = metrics.roc_curve(truth, found.values)
        chosen = np.unique(np.linspace(0, len(false) - 1, CURVE_POINTS).round().astype(int))
        finite = np.minimum(thresholds, 1.0)  # the first is infinite, which JSON cannot say
        artifact.log_roc_curve(false[chosen].tolist(), true[chosen].tolist(), finite[chosen].tolist())
    artifact.log_confusion_matrix([str(item) for item in found.classes], confusion(truth, found).tolist())


def confusion(truth: np.ndarray, found: Predictions) -> np.ndarray:
    """Rows by their class and by what the model says, at one half or the most probable; shape (classes, classes).

    Rows of classes that the model does not know are left out.
    """
    known, classes = truth >= 0, np.arange(len(found.classes))
    matrix: np.ndarray = metrics.confusion_matrix(truth[known], said(found.values)[known], labels=classes)
    return matrix


def class_scores(truth: np.ndarray, found: Predictions) -> pd.DataFrame:
    """A row for each class against the others: how many there are and are said to be, and how good that is."""
    matrix = confusion(truth, found)
    chosen = said(found.values)
    chances = np.column_stack([1 - found.values, found.values]) if found.values.ndim == 1 else found.values
    rows = []
    for index, name in enumerate(found.classes):
        of_class, value = (truth == index).astype(int), chances[:, index]
        here, told, right = int(of_class.sum()), int((chosen == index).sum()), int(matrix[index, index])
        varied = 0 < here < len(truth)
        rows.append([
            str(name), here, told,
            right / told if told else float("nan"), right / here if here else float("nan"),
            2 * right / (here + told) if here + told else float("nan"),
            roc_auc(of_class, value) if varied else float("nan"),
            average_precision(of_class, value) if varied else float("nan"),
            calibration_error(of_class, value),
        ])  # fmt: skip
    names = ["class", "rows", "predicted", "precision", "recall", "f1", "roc_auc", "average_precision"]
    return pd.DataFrame(rows, columns=[*names, "calibration error"])
