"""The form of MLflow's own server: `POST /invocations`, with the predictions alone under `predictions`.

Source: https://mlflow.org/docs/latest/ml/deployment/deploy-model-locally, "Local inference server specification".
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from turnout.serving.inputs import BadRequest, Inputs
from turnout.serving.predictor import Answer
from turnout.serving.protocols.protocol import Asked, JsonErrors, Request, Written, dumps, parse, require_rows

PATH = "/invocations"

_MAIN = "prediction"


class Invocations(JsonErrors):
    """MLflow's four ways to give rows.

    `dataframe_split` and `dataframe_records` are pandas' orients; `instances` and `inputs` are TensorFlow Serving's, by
    row and by column, and may also be lists of values in the columns' order. A classifier's probabilities, which
    MLflow's server does not give, stand beside its predictions.
    """

    name = "invocations"

    def __init__(self, model: str, inputs: Inputs, rows_limit: int):
        self._model, self._inputs, self._limit = model, inputs, rows_limit
        self._ways: dict[str, Callable[[Any], Asked]] = {
            "dataframe_split": self._split,
            "dataframe_records": self._records,
            "instances": self._rows,
            "inputs": self._columns,
        }

    def read(self, request: Request) -> Asked:
        kind = request.headers.get(b"content-type", b"application/json").split(b";")[0].strip().lower()
        if kind in (b"text/csv", b"application/vnd.apache.parquet"):
            raise BadRequest(415, f"{kind.decode()} is not read here", hint="send JSON, such as dataframe_split")
        given = parse(request.body)
        ways = [name for name in self._ways if type(given) is dict and name in given]
        if len(ways) != 1:
            what = f"the body has {' and '.join(ways) or 'none of'} {'' if ways else ', '.join(self._ways)}".rstrip()
            raise BadRequest(400, what, hint=f"send an object with one of {', '.join(self._ways)}")
        if given.get("params"):
            raise BadRequest(422, "params are not taken", hint="leave them out: the model predicts as it was trained")
        return self._ways[ways[0]](given[ways[0]])

    def _split(self, given: Any) -> Asked:
        if type(given) is not dict or type(given.get("data")) is not list:
            hint = 'write {"columns": [...], "data": [[...], ...]}, as pandas does with orient="split"'
            raise BadRequest(422, "dataframe_split is not a table", hint=hint)
        names = given.get("columns", self._inputs.names)
        if type(names) is not list or not all(type(name) is str for name in names):
            raise BadRequest(422, "the columns of dataframe_split are no list of names", hint="write their names")
        return self._lists(names, given["data"], "dataframe_split.data")

    def _records(self, given: Any) -> Asked:
        if type(given) is not list:
            hint = 'write [{"COLUMN": VALUE, ...}, ...], as pandas does with orient="records"'
            raise BadRequest(422, "dataframe_records is not a list of rows", hint=hint)
        require_rows(len(given), self._limit)
        if len(given) == 1 and type(given[0]) is dict:
            return Asked(values=self._inputs.row(given[0]))
        return Asked(batch=self._inputs.rows(given))

    def _rows(self, given: Any) -> Asked:
        if type(given) is list and given and type(given[0]) is list:
            return self._lists(self._inputs.names, given, "instances")
        return self._records(given)

    def _columns(self, given: Any) -> Asked:
        if type(given) is not dict:
            return self._rows(given)
        lists = {name: value if type(value) is list else [value] for name, value in given.items()}
        counts = {len(values) for values in lists.values()}
        if len(counts) > 1:
            raise BadRequest(422, f"the columns of inputs have {min(counts)} to {max(counts)} values",
                             hint="give all the same number of values")  # fmt: skip
        require_rows(max(counts, default=0), self._limit)
        return self._table(lists, counts.pop())

    def _lists(self, names: list[str], rows: list[Any], place: str) -> Asked:
        """Rows as lists of values, in the order of some columns."""
        require_rows(len(rows), self._limit)
        for index, row in enumerate(rows):
            if type(row) is not list or len(row) != len(names):
                found = f"{len(row)} values" if type(row) is list else "no list"
                raise BadRequest(422, f"{place}[{index}] has {found}, for {len(names)} columns",
                                 hint=f"give each row a value for each of {', '.join(names[:50])}")  # fmt: skip
        return self._table({name: [row[index] for row in rows] for index, name in enumerate(names)}, len(rows))

    def _table(self, columns: Mapping[str, list[Any]], rows: int) -> Asked:
        if rows == 1:
            return Asked(values=self._inputs.row({name: values[0] for name, values in columns.items()}))
        return Asked(batch=self._inputs.table(columns, rows))

    def write(self, asked: Asked, answer: Answer, request: Request) -> Written:
        found = answer.predictions
        said: dict[str, Any] = {}
        if _MAIN in found:
            said["predictions"] = found[_MAIN]
            said.update((name, values) for name, values in found.items() if name != _MAIN)
        else:  # a model with several outputs: a table, as pyfunc gives it
            names = [name.removeprefix(f"{_MAIN}_") for name in found]
            said["predictions"] = [dict(zip(names, row, strict=True)) for row in zip(*found.values(), strict=True)]
        said["metadata"] = {"model": self._model, "version": answer.version, "request_id": request.request_id}
        if answer.fallback:
            said["metadata"]["fallback"] = {"by": answer.fallback, "reason": answer.reason}
        return Written(dumps(said))
