"""From a model's files to its compiled form, proved; or the reason why there is none."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from turnout.extras import hint_for
from turnout.models.compiled import preparation
from turnout.models.compiled.form import Form, NotCompiled, Output, Proof, Refused, digests, write_form, write_proof
from turnout.models.compiled.graph import Graph, graphs_of
from turnout.models.compiled.odd import odd_rows
from turnout.models.compiled.proof import answers, compare, facts
from turnout.models.compiled.quiet import without_warnings
from turnout.models.compiled.reading import Read, read
from turnout.models.compiled.scorer import CompiledScorer
from turnout.models.files import load
from turnout.models.scorer import Scorer
from turnout.models.signature import Column, columns_of


def compile_model(model_directory: str | Path, rows: pd.DataFrame, rows_of: str, target: Path) -> Proof:
    """Compile a model, and hold the compiled form against it on rows and on odd ones made of them.

    Args:
        model_directory: the model's files, in MLflow's format.
        rows: have the columns that the model takes; one at least.
        rows_of: what the rows are of, such as `the evaluation`.
        target: directory for the compiled form; it stays empty when there is none.

    Raises:
        NotCompiled: there is none that says what the model says.
    """
    try:
        import onnx  # noqa: F401
        import onnxruntime  # noqa: F401
        import skl2onnx  # noqa: F401
        import treelite  # noqa: F401
    except ImportError as error:
        raise NotCompiled(f"{error.name} is not installed: {hint_for(error)}") from error
    with without_warnings():  # of what odd rows do to numbers
        return _compiled(model_directory, rows, rows_of, target)


def _compiled(model_directory: str | Path, rows: pd.DataFrame, rows_of: str, target: Path) -> Proof:
    flavor, model = load(model_directory)
    if flavor != "sklearn":
        raise NotCompiled(f"it is a model of MLflow's flavour {flavor}, and only scikit-learn's API can be read")
    scorer = Scorer(model_directory)
    batch = batch_of(rows, scorer.columns)
    if not batch.num_rows:
        raise NotCompiled("there are no rows to prove it on")
    good, found = answers(scorer, batch)
    if not good.all():
        raise NotCompiled(f"the model itself has no prediction for {int((~good).sum())} of the rows of {rows_of}")
    unknown = set(found) - {"prediction", "probability", "probabilities"}
    if unknown:
        raise NotCompiled("it predicts several numbers at once")
    kind = str(found["prediction"].type)
    parts = read(model, scorer.columns)
    refused = _refused(scorer, parts, batch)
    reasons: list[str] = []
    for graph in graphs_of(parts.rest, parts.preparation.width):
        output = Output(_plain(scorer.classes), kind)
        form = _form(scorer.columns, parts.preparation, output, refused, graph)
        try:
            return _proved(form, graph, scorer, batch, rows_of, target)
        except NotCompiled as error:
            reasons.append(str(error))
    raise NotCompiled(reasons[0])


def _form(
    columns: Sequence[Column], prepared: preparation.Preparation, output: Output, refused: Refused, graph: Graph
) -> Form:
    return Form(
        columns=tuple(columns), preparation=prepared, output=output, refused=refused, graph_input=graph.input,
        graph_output=graph.output, precision=graph.precision, made_by=graph.made_by,
    )  # fmt: skip


def _proved(form: Form, graph: Graph, scorer: Scorer, batch: pa.RecordBatch, rows_of: str, target: Path) -> Proof:
    with tempfile.TemporaryDirectory() as directory:
        place = Path(directory)
        compiled = written(form, graph.onnx, place)
        largest, _ = compare(scorer, compiled, batch, rows_of, graph.tolerance)
        odd = odd_batch(batch, scorer.columns)
        odd_largest, refused = compare(scorer, compiled, odd, "the odd rows", graph.odd_tolerance)
        proof = facts(batch.num_rows, rows_of, odd.num_rows, refused, max(largest, odd_largest), digests(place))
        write_proof(proof, place)
        shutil.copytree(place, target, dirs_exist_ok=True)
    return proof


def written(form: Form, onnx: bytes, place: Path) -> CompiledScorer:
    """A form's files in a directory, opened. Raises NotCompiled when that fails."""
    write_form(form, onnx, place)
    try:
        return CompiledScorer(place)
    except Exception as error:  # onnxruntime has its own
        what = str(error).strip().partition("\n")[0][:300]
        raise NotCompiled(f"onnxruntime does not load what {form.made_by} made: {what}") from error


def batch_of(rows: pd.DataFrame, columns: Sequence[Column]) -> pa.RecordBatch:
    """The columns that a model takes, in the types of its signature."""
    table = pa.Table.from_pandas(columns_of(rows, columns), preserve_index=False)
    return _batch(
        pa.table([column.cast(table[column.name]) for column in columns], [column.name for column in columns])
    )


def odd_batch(batch: pa.RecordBatch, columns: Sequence[Column]) -> pa.RecordBatch:
    """Odd rows made from rows; see `odd_rows`."""
    return _batch(odd_rows(pa.Table.from_batches([batch]), columns))


def _batch(table: pa.Table) -> pa.RecordBatch:
    return table.combine_chunks().to_batches()[0] if len(table) else pa.RecordBatch.from_pylist([], table.schema)


def _plain(classes: Sequence[Any]) -> tuple[Any, ...]:
    plain = tuple(item.item() if isinstance(item, np.generic) else item for item in classes)
    for item in plain:
        if not isinstance(item, str | bool | int | float):
            raise NotCompiled(f"a class is a {type(item).__name__}")
    return plain


# --- what the model refuses ---------------------------------------------------------------------------------


def _refused(scorer: Scorer, parts: Read, batch: pa.RecordBatch) -> Refused:
    """What the model refuses, found by trying: a missing or infinite value in each column, and for the estimator."""
    row = {name: batch[name][0].as_py() for name in batch.schema.names}
    tries: dict[str, list[int]] = {}
    for what, value in (("missing", None), ("infinite", float("inf"))):
        places = [
            place for place, column in enumerate(scorer.columns) if value is None or column.kind in ("double", "float")
        ]
        rows = [row | {scorer.columns[place].name: value} for place in places]
        tried = pa.table(
            {column.name: pa.array([one[column.name] for one in rows], column.arrow) for column in scorer.columns}
        )
        good, _ = answers(scorer, _batch(tried))
        tries[what] = [place for place, answered in zip(places, good, strict=True) if not answered]
    prepared = preparation.of_rows(parts.preparation, scorer.names)(
        [column.cast(batch[column.name]) for column in scorer.columns]
    )[:1]
    inputs = [name for name, value in _EXTREMES.items() if not _takes(parts.rest, prepared, value)]
    return Refused(tuple(tries["missing"]), tuple(tries["infinite"]), tuple(inputs))


_EXTREMES = {"nan": np.nan, "infinite": np.inf, "large": 1e300}


def _takes(estimator: Any, prepared: np.ndarray, value: float) -> bool:
    """Whether an estimator takes a number among its inputs."""
    odd = prepared.copy()
    odd[0, 0] = value
    try:
        getattr(estimator, "predict_proba", estimator.predict)(odd)
    except Exception:  # a model may raise anything
        return False
    return True
