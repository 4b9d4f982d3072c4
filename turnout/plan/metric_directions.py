"""Which way a metric is better, told from its name."""

from __future__ import annotations

import re

_LOWER = {
    "brier", "deviance", "distance", "drift", "error", "errors", "gap", "latency", "logloss", "loss", "mae", "mape",
    "medae", "mse", "msle", "perplexity", "rmse", "rmsle", "seconds", "smape",
}  # fmt: skip
_HIGHER = {
    "accuracy", "ap", "auc", "auroc", "concordance", "f1", "gain", "kappa", "lift", "map", "mcc", "mrr", "ndcg",
    "precision", "prauc", "r2", "recall", "score", "sensitivity", "specificity",
}  # fmt: skip


def higher_is_better(name: str) -> bool | None:
    """Whether a higher value is better; None when the name does not tell.

    scikit-learn's scorers are higher is better whatever they measure: those with `neg_` are, too.
    """
    words = re.split(r"[^a-z0-9]+", re.sub(r"([a-z])([A-Z])", r"\1_\2", name.rpartition(".")[2]).lower())
    if "neg" in words:
        return True
    if _LOWER & set(words):
        return False
    return True if _HIGHER & set(words) else None
