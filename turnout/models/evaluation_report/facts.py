"""What was judged, and by what: the model, the champion, the rows, the parameters."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from sklearn.calibration import calibration_curve

from turnout.data.times import series_in_utc
from turnout.models.evaluation_report.intervals import Measured
from turnout.models.registry import ModelVersion
from turnout.models.scoring import Difference, Predictions
from turnout.reports.page import Link, Section


def facts_section(
    said: Mapping[str, Any], champion: ModelVersion | None, rows: pd.DataFrame, given: int, data: Mapping[str, Any]
) -> Section:
    """Where the model and the rows come from.

    Args:
        said: the metadata of the model's artifact.
        rows: those that it was judged by.
        given: how many rows there were to choose these from.
        data: the metadata of their artifact.
    """
    timestamp = said.get("timestamp", "")
    facts: list[tuple[str, Any]] = [
        ("estimator", said.get("estimator", "")),
        ("task", f"{said['task']}, of {said['target']}"),
        ("MLflow run", _run(said)),
        ("champion", f"{champion.name}, version {champion.version} (MLflow run {champion.run_id})" if champion else ""),
        ("rows judged by", f"{len(rows):,}" + (f" of {given:,}" if given != len(rows) else "")),
        ("from and until", _period(rows, timestamp)),
        *((name, said.get(key) or data.get(key) or "") for name, key in (
            ("data", "source"), ("data, revision", "revision"), ("data, digest", "data_digest"),
            ("features, digest", "features_digest"), ("code, commit", "code_revision"),
        )),
    ]  # fmt: skip
    return Section("Facts", "", ["", ""], [[name, value] for name, value in facts if value])


def compared_facts(metric: str, measured: Measured, truth: np.ndarray, ours: Predictions) -> dict[str, Any]:
    """What comparisons of runs need beside the scores, for the artifact's metadata: a few numbers, all of them finite.

    Args:
        metric: that decided.
        truth: labels in the form of the predictions.
    """
    intervals = _ends(measured.ours) | {f"champion_{name}": ends for name, ends in _ends(measured.theirs).items()}
    facts: dict[str, Any] = {"metric": metric, "intervals": intervals}
    if measured.differences:
        facts["differences"] = _ends(measured.differences)
    if len(ours.classes) == 2:
        observed, predicted = calibration_curve(truth, ours.values, n_bins=10, strategy="quantile")
        pairs = zip(predicted, observed, strict=True)
        facts["calibration"] = [[round(float(x), 4), round(float(y), 4)] for x, y in pairs]
    return facts


def about(said: Mapping[str, Any], rows: pd.DataFrame) -> str:
    """What was judged, by what, in a line."""
    period = _period(rows, said.get("timestamp", ""))
    estimator = f"{said['estimator']}, " if said.get("estimator") else ""
    return f"{estimator}{said['task']} of {said['target']}, judged by {len(rows):,} rows{period and f' of {period}'}"


def _ends(found: Mapping[str, Difference]) -> dict[str, list[float]]:
    """The ends of intervals, of those that have both."""
    return {
        name: [round(of.low, 6), round(of.high, 6)]
        for name, of in found.items()
        if math.isfinite(of.low) and math.isfinite(of.high)
    }


def parameters_section(model: Any, said: Mapping[str, Any]) -> list[Section]:
    """The estimator's parameters that differ from its defaults.

    Args:
        model: the fitted model; nothing is said of one that does not tell its parameters.
    """
    estimator = model.steps[-1][1] if hasattr(model, "steps") else model
    if not hasattr(estimator, "get_params"):
        return []
    own = estimator.get_params(deep=False)
    try:
        defaults = type(estimator)().get_params(deep=False)
    except TypeError:  # it has parameters without defaults
        defaults = {}
    rows = [
        [name, _text(value), _text(defaults[name]) if name in defaults else "–"]
        for name, value in sorted(own.items())
        if name not in defaults or _text(value) != _text(defaults[name])
    ]
    rows += [[name, _text(said[name]), ""] for name in ("ignore", "derive") if said.get(name)]
    text = "" if rows else "All are the defaults."
    return [Section("Parameters that differ from the defaults", text, ["parameter", "value", "default"], rows)]


def _run(said: Mapping[str, Any]) -> Any:
    uri, run, experiment = (
        said.get(key, "") for key in ("mlflow_tracking_uri", "mlflow_run_id", "mlflow_experiment_id")
    )
    if str(uri).startswith("http"):
        return Link(run, f"{uri}/#/experiments/{experiment}/runs/{run}")
    return run


def _period(rows: pd.DataFrame, timestamp: str) -> str:
    if timestamp not in rows or not len(rows):
        return ""
    times = series_in_utc(rows[timestamp])
    return f"{times.min():%Y-%m-%d %H:%M} to {times.max():%Y-%m-%d %H:%M} UTC"


def _text(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.6g}"
    return value if isinstance(value, str) else json.dumps(value, default=str)
