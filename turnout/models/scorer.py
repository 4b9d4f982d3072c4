"""A registered model as a function of Arrow batches, by the fastest way that its flavour has."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from turnout.data.parquet import open_table
from turnout.errors import ComponentError
from turnout.models.files import load
from turnout.models.predicted import by_name, lacking
from turnout.models.signature import Column, check_columns, signature_columns

if TYPE_CHECKING:
    from turnout.models.compiled.opening import AnyScorer

_SAMPLE_ROWS = 256
"""Of each batch, by which it is seen whether a classifier's label is its most probable class."""


class Scorer:
    """A model that is loaded: predictions for a batch of rows.

    Args:
        directory: the model's files, in MLflow's format.

    Attributes:
        columns: what the model takes, by its signature.
        classes: of a classifier, in the order of its probabilities; empty for any other model.

    Raises:
        ComponentError: the model has no signature, or cannot be loaded.
    """

    def __init__(self, directory: str | Path):
        from mlflow.models import Model

        definition = Model.load(str(directory))
        self.columns: tuple[Column, ...] = signature_columns(definition)
        self.classes: tuple[Any, ...] = ()
        flavor, model = load(directory)
        if flavor == "pyfunc":
            self._predict = _pyfunc(model, self.columns)
        elif flavor == "lightgbm" and not hasattr(model, "get_params"):
            self._predict = _booster(model)
        else:
            self._predict = self._by_estimator(model)

    @property
    def names(self) -> list[str]:
        return [column.name for column in self.columns]

    def row(self, values: Sequence[Any]) -> dict[str, Any]:
        """The predictions of one row, as Python's values; see `turnout.models.compiled.scorer.CompiledScorer.row`."""
        pairs = zip(self.columns, values, strict=True)
        arrays = [pa.array([value], column.arrow) for column, value in pairs]
        found = self._predict(arrays)
        if any(pc.any(lacking(array)).as_py() for array in found.values()):
            hint = "look for missing and extreme values in the row"
            raise ComponentError("the model gives no prediction", where="row", hint=hint)
        return {
            name: dict(array[0].as_py()) if pa.types.is_map(array.type) else array[0].as_py()
            for name, array in found.items()
        }

    def __call__(self, batch: pa.RecordBatch) -> dict[str, pa.Array]:
        """Predictions by column.

        `prediction` is the label or the number; with two classes, `probability` is that of the second; with
        more, `probabilities` maps each class's name to its own.

        Args:
            batch: has the columns that the model takes, of any type that they can be read from.
        """
        return self._predict([column.cast(batch[column.name]) for column in self.columns])

    def _by_estimator(self, model: Any) -> Callable[[list[pa.Array]], dict[str, pa.Array]]:
        """A model with scikit-learn's API, called on the plainest input that it takes."""
        _on_one_core(model)
        as_input = _table if _needs_names(model, self.columns) else _block
        names = self.names
        if not hasattr(model, "predict_proba"):
            return lambda arrays: _predicted(_unnamed(model.predict, as_input(arrays, names)))
        classes = np.asarray(model.classes_)
        self.classes = tuple(classes.tolist())
        by_probability = True

        def predict(arrays: list[pa.Array]) -> dict[str, pa.Array]:
            nonlocal by_probability
            inputs = as_input(arrays, names)
            chances = _unnamed(model.predict_proba, inputs)
            labels = classes[(chances[:, 1] > 0.5).astype(int) if len(classes) == 2 else chances.argmax(axis=1)]
            # A model may have a threshold of its own. To ask all rows for their labels would take as long again.
            sample = slice(None, None, max(1, len(inputs) // _SAMPLE_ROWS))
            by_probability = by_probability and bool((_unnamed(model.predict, inputs[sample]) == labels[sample]).all())
            if not by_probability:
                labels = _unnamed(model.predict, inputs)
            if len(classes) == 2:
                return {"prediction": pa.array(labels), "probability": pa.array(np.ascontiguousarray(chances[:, 1]))}
            return {"prediction": pa.array(labels), "probabilities": by_name(chances, self.classes)}

        return predict


def try_out(scorer: AnyScorer, data: str, rows: int, where: str) -> int:
    """Predict the first rows of a table, as a trial before a model is put into service; how many there are.

    Args:
        data: path or URI of Parquet; columns that the model does not take are left out.
        where: the model, for errors.

    Raises:
        ComponentError: a column is missing, the model fails, or it gives no prediction for some row.
    """
    sample = open_table(data)[0].head(rows)
    check_columns(sample.schema, scorer.columns, [])
    hint = "try the model on these rows where it was trained; it is not put into service"
    try:
        predicted = scorer(sample.combine_chunks().to_batches()[0]) if len(sample) else {}
    except Exception as error:  # a model may raise anything
        raise ComponentError(f"the model fails on sample rows: {error}", where=where, hint=hint) from error
    for name, array in predicted.items():
        nulls = pc.sum(lacking(array)).as_py()
        if len(array) != len(sample) or nulls:
            what = f"{len(array)} values of {name}, {nulls} of them null, for {len(sample)} rows"
            raise ComponentError(what, where=where, hint=hint)
    return len(sample)


def _unnamed(method: Callable[[Any], Any], inputs: Any) -> Any:
    """A method's result; without the warning that it learnt from columns with names or without: the order is right."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="X (does not have valid|has) feature names")
        return method(inputs)


def _on_one_core(model: Any) -> None:
    """One process a core is faster than threads in each."""
    if hasattr(model, "get_params"):
        own = {name: 1 for name in model.get_params() if name == "n_jobs" or name.endswith("__n_jobs")}
        model.set_params(**own)


def _needs_names(model: Any, columns: tuple[Column, ...]) -> bool:
    """Whether a model tells columns by their names, or takes more than one kind of numbers."""
    from sklearn.compose import ColumnTransformer

    steps = [step for _, step in model.steps] if hasattr(model, "steps") else [model]
    named = any(isinstance(step, ColumnTransformer) for step in steps) or not all(
        type(step).__module__.split(".")[0] in ("sklearn", "lightgbm", "xgboost") for step in steps
    )
    kinds = {column.kind for column in columns}
    return named or len(kinds) > 1 or not all(column.numeric for column in columns)


def _matrix(arrays: list[pa.Array], kind: Any = np.float64) -> np.ndarray:
    """Numbers as one block, column by column in memory, null as nan; shape (rows, columns)."""
    block = np.empty((len(arrays), len(arrays[0])), dtype=kind)
    for row, array in zip(block, arrays, strict=True):
        row[:] = array.to_numpy(zero_copy_only=False)
    return block.T


def _block(arrays: list[pa.Array], names: list[str]) -> np.ndarray:
    """Numbers of one kind as a block of that kind; of floats, where some are null."""
    return _matrix(arrays, np.float64 if any(map(_whole_with_null, arrays)) else arrays[0].type.to_pandas_dtype())


def _table(arrays: list[pa.Array], names: list[str]) -> Any:
    """Columns, each of its own kind; whole numbers and booleans as floats, where some are null."""
    plain = [
        array.cast(pa.int8()) if pa.types.is_boolean(array.type) and array.null_count else array for array in arrays
    ]
    return pa.table(plain, names=names).to_pandas()


def _whole_with_null(array: pa.Array) -> bool:
    return bool(array.null_count and not pa.types.is_floating(array.type))


def _booster(model: Any) -> Callable[[list[pa.Array]], dict[str, pa.Array]]:
    return lambda arrays: _predicted(model.predict(_matrix(arrays), num_threads=1))


def _pyfunc(model: Any, columns: tuple[Column, ...]) -> Callable[[list[pa.Array]], dict[str, pa.Array]]:
    names = [column.name for column in columns]

    def predict(arrays: list[pa.Array]) -> dict[str, pa.Array]:
        for column, array in zip(columns, arrays, strict=True):
            if column.numeric and _whole_with_null(array):  # MLflow refuses it in other words
                hint = "fill it in, or log the model with a signature that says double there"
                raise ComponentError(f"null, and the model takes {column.kind}", where=column.name, hint=hint)
        return _predicted(model.predict(_table(arrays, names)))

    return predict


def _predicted(found: Any) -> dict[str, pa.Array]:
    """What a model gave, by column: one, or several with names of their own."""
    if isinstance(found, Mapping):
        return {f"prediction_{name}": pa.array(np.asarray(values)) for name, values in found.items()}
    if hasattr(found, "columns"):
        if len(found.columns) > 1:
            return {f"prediction_{name}": pa.array(found[name].to_numpy()) for name in found.columns}
        found = found.iloc[:, 0]
    values = np.asarray(found)
    if values.ndim == 2 and values.shape[1] == 1:
        values = values[:, 0]
    if values.ndim == 2:
        return {f"prediction_{index}": pa.array(np.ascontiguousarray(row)) for index, row in enumerate(values.T)}
    return {"prediction": pa.array(values)}
