"""Rows as plain JSON: `{"a": 1.5, "b": "x"}` for one row, `{"rows": [{...}, {...}]}` for several."""

from __future__ import annotations

from typing import Any

from turnout.serving.inputs import BadRequest, Inputs
from turnout.serving.predictor import Answer
from turnout.serving.protocols.protocol import Asked, JsonErrors, Request, Written, dumps, parse, require_rows

PATH = "/predict"


class Rows(JsonErrors):
    """The plain form. One row's answer is an object, that of several has a list of them under `predictions`."""

    name = "rows"

    def __init__(self, model: str, inputs: Inputs, rows_limit: int):
        self._model, self._inputs, self._limit = model, inputs, rows_limit

    def read(self, request: Request) -> Asked:
        given = parse(request.body)
        if type(given) is not dict:
            hint = 'send one row as {"COLUMN": VALUE, ...}, or several as {"rows": [{...}, ...]}'
            raise BadRequest(422, "the body is not an object", hint=hint)
        rows = given.get("rows")
        if type(rows) is list:
            require_rows(len(rows), self._limit)
            return Asked(batch=self._inputs.rows(rows))
        return Asked(values=self._inputs.row(given))

    def write(self, asked: Asked, answer: Answer, request: Request) -> Written:
        said: dict[str, Any] = {"model": self._model, "version": answer.version, "request_id": request.request_id}
        if answer.fallback:
            said["fallback"] = {"by": answer.fallback, "reason": answer.reason}
        found = answer.predictions
        if asked.values is not None:
            return Written(dumps({**{name: values[0] for name, values in found.items()}, **said}))
        rows = [dict(zip(found, row, strict=True)) for row in zip(*found.values(), strict=True)]
        return Written(dumps({"predictions": rows, **said}))
