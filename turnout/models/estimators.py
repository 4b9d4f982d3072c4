"""From a table to a fitted scikit-learn pipeline: any estimator by its dotted path, preprocessing included."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from sklearn.base import is_classifier
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, StandardScaler

from turnout.data.tables import require
from turnout.errors import ComponentError, did_you_mean
from turnout.extras import hint_for
from turnout.models import preparation
from turnout.models.frameworks.network import Network
from turnout.models.inputs import check_inputs, plain_types
from turnout.models.target import Task, plain_target, rows_with_target

RARE = 0.002
"""Categories rarer than this share of the rows are one: `infrequent`, together with those never seen."""


def make_estimator(path: str, hyperparameters: Mapping[str, Any], seed: int, task: Task) -> Any:
    """An estimator by its dotted path, such as `lightgbm.LGBMClassifier`.

    Args:
        hyperparameters: its constructor's arguments.
        seed: `random_state`, for estimators that have one and are not told otherwise.

    Raises:
        ComponentError: no such class, not the task's kind of estimator, or arguments it does not have.
    """
    module, _, name = path.rpartition(".")
    try:
        kind: Any = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError, ValueError) as error:
        hint = hint_for(error) or "such as sklearn.linear_model.Ridge"
        raise ComponentError(f"no estimator: {error}", where=path, hint=hint) from error
    if not (all(hasattr(kind, method) for method in ("fit", "predict", "get_params")) and isinstance(kind, type)):
        raise ComponentError("not an estimator with scikit-learn's API", where=path,
                             hint="name a class with fit and predict, such as sklearn.linear_model.Ridge")  # fmt: skip
    known: list[str] = list(kind().get_params())
    open_ended = any(item.kind is item.VAR_KEYWORD for item in inspect.signature(kind).parameters.values())
    more = _lightgbm_names() if module.partition(".")[0] == "lightgbm" else hyperparameters if open_ended else ()
    for unknown in (item for item in hyperparameters if item not in (*known, *more)):
        raise ComponentError(
            f"no hyperparameter '{unknown}'", where=path, available=known, hint=did_you_mean(unknown, known)
        )
    defaults = {"random_state": seed} if "random_state" in known else {}
    if module.partition(".")[0] == "lightgbm":
        # Repeatable to the last bit, which its parallel histograms are not by themselves.
        defaults |= {"deterministic": True, "force_row_wise": True, "verbose": -1}
    estimator = kind(**{**defaults, **hyperparameters})
    if is_classifier(estimator) is not (task == "classification"):
        hint = f"choose another estimator, or set task={'regression' if task == 'classification' else 'classification'}"
        raise ComponentError(f"not an estimator for {task}", where=path, hint=hint)
    if task == "classification" and not hasattr(estimator, "predict_proba"):
        raise ComponentError("the estimator gives no probabilities", where=path, hint="such as SVC(probability=true)")
    if isinstance(estimator, Network):
        estimator.check()
    return estimator


def _lightgbm_names() -> frozenset[str]:
    """The names that LightGBM takes beside its estimators' arguments; it passes over others without a word."""
    from lightgbm.basic import _ConfigAliases

    return frozenset(name for names in _ConfigAliases._get_all_param_aliases().values() for name in names)


def split_columns(
    table: pd.DataFrame, target: str, ignore: Iterable[str], derive: Sequence[str] = (), timezone: str = "UTC"
) -> tuple[pd.DataFrame, pd.Series]:
    """The columns to learn from, and the target in the form that models learn.

    Args:
        derive: calendar features that the model makes of times.
        timezone: IANA name of the zone in which it counts them.

    Raises:
        ComponentError: a named column is missing, one cannot be learned from, or a target is null.
    """
    require(table, [target, *ignore], "data")
    inputs = table.drop(columns=[target, *ignore])
    check_inputs(inputs, derive, timezone)
    rows_with_target(table, target, drop_null=False)
    return plain_types(inputs), plain_target(table[target])


def make_model(inputs: pd.DataFrame, estimator: Any, derive: Sequence[str] = (), timezone: str = "UTC") -> Pipeline:
    """The estimator behind preprocessing for the columns of a table, to be fitted and logged as one model.

    Numbers: missing and infinite ones become the median, with a column that says so; scaled. Categories: one column
    each; a missing one is a category of its own, rare and unseen ones are one category. Times: calendar features, as
    numbers. The estimator gets an array: names that it would refuse, such as LightGBM `a[0]`, are no matter to it, and
    `model[:-1].get_feature_names_out()` tells them.

    Args:
        inputs: as `plain_types` gives them.
        derive: calendar features to make of times.
        timezone: IANA name of the zone in which they are counted.
    """
    numbers = [name for name in inputs if pd.api.types.is_numeric_dtype(inputs[name])]
    times = [name for name in inputs if pd.api.types.is_datetime64_any_dtype(inputs[name])]
    categories = [name for name in inputs if name not in numbers and name not in times]
    number_steps = [("impute", SimpleImputer(strategy="median", add_indicator=True)), ("scale", StandardScaler())]
    calendar_step = FunctionTransformer(
        preparation.calendar,
        feature_names_out=preparation.calendar_names,
        kw_args={"derive": tuple(derive), "timezone": timezone},
    )
    finite_step = FunctionTransformer(preparation.finite, feature_names_out="one-to-one")
    category_steps = [
        ("impute", SimpleImputer(strategy="constant", fill_value="missing", missing_values=None)),
        ("encode", OneHotEncoder(min_frequency=RARE, handle_unknown="infrequent_if_exist", sparse_output=False,
                                 dtype=np.float32)),
    ]  # fmt: skip
    parts = [
        ("numbers", Pipeline([("finite", finite_step), *number_steps]), numbers),
        ("times", Pipeline([("calendar", calendar_step), *number_steps]), times),
        ("categories", Pipeline(category_steps), categories),
    ]
    prepare = ColumnTransformer([part for part in parts if part[2]])
    return Pipeline([("prepare", prepare), ("estimator", estimator)])
