"""The OpenAPI document of a worker: its addresses, with the columns of the model and their types."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from typing import Any

import pyarrow as pa

from turnout.models.signature import Column
from turnout.serving.inputs import Inputs
from turnout.serving.model import ServedModel, plain
from turnout.serving.protocols import invocations, rows, v2, v2_rest

_OF_COLUMN: dict[str, dict[str, Any]] = {
    "double": {"type": ["number", "null"], "format": "double"},
    "float": {"type": ["number", "null"], "format": "float"},
    "long": {"type": ["integer", "null"], "format": "int64"},
    "integer": {"type": ["integer", "null"], "format": "int32"},
    "boolean": {"type": ["boolean", "null"]},
    "string": {"type": ["string", "null"]},
    "datetime": {"type": ["string", "null"], "format": "date-time"},
}


def document(name: str, model: ServedModel, inputs: Inputs) -> dict[str, Any]:
    """The document, in OpenAPI 3.1.

    Args:
        inputs: what requests give; the model's own, unless features are looked up.
    """
    known: dict[str, Any] = {column: plain(model.example[column])[0] for column in model.inputs.names}
    example = {column: known.get(column) for column in inputs.names}
    fields = {
        column: value.isoformat() if isinstance(value, datetime.datetime) else value
        for column, value in example.items()
    }
    row = {"$ref": "#/components/schemas/Row"}
    several = {"type": "object", "properties": {"rows": {"type": "array", "items": row}}, "required": ["rows"]}
    infer, ready = f"{v2_rest.paths(name, model.version)[0]}/infer", f"{v2_rest.paths(name, model.version)[0]}/ready"
    return {
        "openapi": "3.1.0",
        "info": {"title": name, "version": model.version},
        "paths": {
            rows.PATH: _post("Predict one row, or several", {"oneOf": [row, several]}, fields,
                             {"oneOf": [_ref("Prediction"), _ref("Predictions")]}),
            invocations.PATH: _post("Predict, in the form of MLflow's server", _ref("Invocations"),
                                    {"dataframe_records": [fields]}, {"type": "object"}),
            infer: _post("Predict, in the Open Inference Protocol v2", _ref("Tensors"), _tensors(inputs, fields),
                         {"type": "object"}),
            "/health/live": _get("Whether the process works"),
            "/health/ready": _get("Whether requests are answered"),
            ready: _get("Whether requests are answered, in the Open Inference Protocol v2"),
        },
        "components": {
            "schemas": {
                "Row": _row(inputs.columns),
                "Prediction": {"type": "object", "properties": {**_outputs(model.outputs), **_SAID}},
                "Predictions": {"type": "object", "properties": {
                    "predictions": {"type": "array", "items": {"type": "object",
                                                               "properties": _outputs(model.outputs)}}, **_SAID}},
                "Invocations": {"type": "object", "minProperties": 1, "properties": {
                    "dataframe_split": {"type": "object"},
                    "dataframe_records": {"type": "array", "items": row},
                    "instances": {"type": "array"},
                    "inputs": {"type": ["object", "array"]}}},
                "Tensors": {"type": "object", "required": ["inputs"], "properties": {
                    "id": {"type": "string"}, "inputs": {"type": "array", "items": {"type": "object"}},
                    "outputs": {"type": "array", "items": {"type": "object"}}}},
                "Error": {"type": "object", "required": ["error"], "properties": {
                    "error": {"type": "string"},
                    "faults": {"type": "array", "items": {"type": "object", "properties": {
                        "what": {"type": "string"}, "where": {"type": "string"}, "hint": {"type": "string"},
                        "available": {"type": "array", "items": {"type": "string"}}}}}}},
            }
        },
    }  # fmt: skip


_SAID: dict[str, Any] = {
    "model": {"type": "string"},
    "version": {"type": "string", "description": "Which version gave the predictions."},
    "request_id": {"type": "string"},
    "fallback": {"type": "object", "description": "Only when something answered in the model's place."},
}

_ERRORS = {
    400: "It is not the protocol's form.",
    413: "It is too long.",
    422: "The input is not what the model takes: each column, and why.",
    429: "Too many requests wait; ask again after Retry-After seconds.",
    500: "The model failed.",
    503: "The model is not ready yet.",
    504: "The model was too slow.",
}


def _ref(name: str) -> dict[str, Any]:
    return {"$ref": f"#/components/schemas/{name}"}


def _row(columns: tuple[Column, ...]) -> dict[str, Any]:
    names = [column.name for column in columns]
    return {"type": "object", "required": names, "properties": {item.name: _OF_COLUMN[item.kind] for item in columns}}


def _outputs(outputs: Mapping[str, pa.DataType]) -> dict[str, Any]:
    return {name: _output(kind) for name, kind in outputs.items()}


def _output(kind: pa.DataType) -> dict[str, Any]:
    if pa.types.is_map(kind):
        return {"type": "object", "additionalProperties": {"type": "number"}}
    if pa.types.is_boolean(kind):
        return {"type": "boolean"}
    return {"type": "integer" if pa.types.is_integer(kind) else "number" if pa.types.is_floating(kind) else "string"}


def _tensors(inputs: Inputs, fields: Mapping[str, Any]) -> dict[str, Any]:
    kinds = v2.model_metadata("", "", inputs.columns, {}, ())["inputs"]
    return {"inputs": [{**item, "shape": [1], "data": [fields[item["name"]]]} for item in kinds]}


def _post(summary: str, body: dict[str, Any], example: Any, answer: dict[str, Any]) -> dict[str, Any]:
    error = {"application/json": {"schema": _ref("Error")}}
    return {
        "post": {
            "summary": summary,
            "requestBody": {"required": True, "content": {"application/json": {"schema": body, "example": example}}},
            "responses": {
                "200": {"description": "Predictions.", "content": {"application/json": {"schema": answer}}},
                **{str(code): {"description": what, "content": error} for code, what in _ERRORS.items()},
            },
        }
    }


def _get(summary: str) -> dict[str, Any]:
    return {"get": {"summary": summary, "responses": {"200": {"description": "Yes."}, "503": {"description": "No."}}}}
