"""The forms of requests and answers: the Open Inference Protocol, MLflow's, OpenAPI."""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import workers
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from workers import Running, as_json, expected, worker

from turnout.errors import ComponentError
from turnout.models.signature import Column
from turnout.serving.inputs import BadRequest, Inputs

INFER = "/v2/models/digits/infer"


@pytest.fixture(scope="module")
def rows() -> pd.DataFrame:
    return workers.mixed_rows()[:7]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return workers.mixed_model(tmp_path_factory.mktemp("model") / "files")


@pytest.fixture(scope="module")
def served(model: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with worker(tmp_path_factory.mktemp("worker"), model) as running:
        yield running


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Running, Path, pd.DataFrame]]:
    """A model of ten classes and 64 numbers."""
    table, labels = load_digits(return_X_y=True, as_frame=True)
    fitted = LogisticRegression(max_iter=30).fit(table[:300], labels[:300])
    files = workers.save(fitted, table[:300], tmp_path_factory.mktemp("digits") / "files")
    with worker(tmp_path_factory.mktemp("worker"), files) as running:
        yield running, files, table[300:320]


def close_to(found: list[dict[str, Any]], wanted: list[dict[str, Any]]) -> bool:
    """Same labels, same probabilities; BLAS adds in another order for another number of rows."""
    assert [row["prediction"] for row in found] == [row["prediction"] for row in wanted]
    assert [row["probability"] for row in found] == pytest.approx([row["probability"] for row in wanted], abs=1e-12)
    return True


# --- values, by one rule with batch inference ---------------------------------------------------------------

VALUES = st.one_of(
    st.none(), st.booleans(), st.integers(-(2**40), 2**40), st.integers(2**63 - 2, 2**63 - 1), st.text(max_size=5),
    st.floats(allow_nan=True, allow_infinity=False), st.integers(-9, 9).map(float),
    st.floats(width=32, allow_nan=False),
)  # fmt: skip


@given(VALUES, st.sampled_from(["double", "float", "long", "integer", "boolean", "string"]))
@settings(max_examples=600, deadline=None)
def test_a_value_of_json_is_read_as_batch_inference_reads_it(value: Any, kind: str) -> None:
    column, array = Column("c", kind), pa.array([value])

    def of_batch() -> Any:
        if not column.reads(array.type):
            raise ComponentError("of another type", hint="")
        found = column.cast(array)[0].as_py()
        return None if found != found else found

    try:
        wanted = of_batch()
    except ComponentError:
        with pytest.raises(ComponentError):
            column.value(value)
        with pytest.raises(BadRequest):
            Inputs([column]).row({"c": value})
        with pytest.raises(BadRequest):
            Inputs([column]).table({"c": [value, None]}, 2)
    else:
        assert column.value(value) == wanted
        assert Inputs([column]).row({"c": value}) == [wanted]
        assert Inputs([column]).table({"c": [value, None]}, 2).column(0).to_pylist() == [wanted, None]


def test_times_are_read_in_utc() -> None:
    column = Column("t", "datetime")
    for text in ("2026-01-31T12:30:00Z", "2026-01-31T14:30:00+02:00", "2026-01-31 12:30"):
        assert column.value(text).isoformat() == "2026-01-31T12:30:00"
    for wrong in ("yesterday", 1_700_000_000, True):
        with pytest.raises(ComponentError, match="the model takes datetime"):
            column.value(wrong)


# --- MLflow's ------------------------------------------------------------------------------------------------


def in_mlflows_ways(rows: list[dict[str, Any]]) -> dict[str, Any]:
    names = list(rows[0])
    lists = [list(row.values()) for row in rows]
    return {
        "dataframe_split": {"columns": names, "data": lists, "index": list(range(len(rows)))},
        "dataframe_records": rows,
        "instances": lists,
        "inputs": {name: [row[name] for row in rows] for name in names},
    }


@pytest.mark.parametrize("way", ["dataframe_split", "dataframe_records", "instances", "inputs"])
@pytest.mark.parametrize("count", [1, 7])
def test_mlflows_ways_give_the_predictions_of_batch_inference(
    served: Running, model: Path, rows: pd.DataFrame, way: str, count: int
) -> None:
    answer = served.post("/invocations", {way: in_mlflows_ways(as_json(rows)[:count])[way]})
    assert answer.status == 200
    said = answer.json
    found = [dict(zip(("prediction", "probability"), pair, strict=True)) for pair in zip(said["predictions"],
             said["probability"], strict=True)]  # fmt: skip
    assert close_to(found, expected(model, rows)[:count])
    assert said["metadata"]["version"] == "3"


def test_mlflows_own_client_reads_the_answer(served: Running, rows: pd.DataFrame) -> None:
    from mlflow.deployments import PredictionsResponse

    answer = served.post("/invocations", {"dataframe_records": as_json(rows)})
    frame = PredictionsResponse.from_json(answer.body.decode()).get_predictions()
    assert frame[0].tolist() == answer.json["predictions"]
    assert served.ask("GET", "/ping").status == 200


@pytest.mark.parametrize(
    ("body", "status", "what"),
    [
        ({}, 400, "the body has none of dataframe_split"),
        ({"inputs": [], "instances": []}, 400, "the body has instances and inputs"),
        ({"dataframe_split": {"data": [[1, 2]]}}, 422, "dataframe_split.data[0] has 2 values, for 3 columns"),
        ({"dataframe_split": {"columns": [1], "data": [[1]]}}, 422, "no list of names"),
        ({"dataframe_records": {"a": 1}}, 422, "not a list of rows"),
        ({"inputs": {"number": [1, 2], "count": [1], "kind": ["a"]}}, 422, "have 1 to 2 values"),
        ({"instances": []}, 422, "the request has no rows"),
        ({"instances": [[1, 1, "a"]], "params": {"top": 3}}, 422, "params are not taken"),
        ({"inputs": {"number": "x", "count": 1, "kind": "a"}}, 422, "number: the model takes double"),
    ],
)
def test_what_is_not_mlflows_form_is_said(served: Running, body: Any, status: int, what: str) -> None:
    answer = served.post("/invocations", body)
    assert (answer.status, what in answer.json["error"]) == (status, True), answer.json
    assert all(fault.get("hint") for fault in answer.json["faults"])


# --- the Open Inference Protocol ----------------------------------------------------------------------------


def tensors(rows: list[dict[str, Any]], flat: bool = True) -> dict[str, Any]:
    kinds = {"number": "FP64", "count": "INT64", "kind": "BYTES"}
    count = len(rows)
    return {
        "id": "mine",
        "inputs": [
            {
                "name": name,
                "datatype": kind,
                "shape": [count] if flat else [count, 1],
                "data": [row[name] if flat else [row[name]] for row in rows],
            }
            for name, kind in kinds.items()
        ],
    }


def by_output(answer: dict[str, Any]) -> list[dict[str, Any]]:
    data = {output["name"]: output["data"] for output in answer["outputs"]}
    return [dict(zip(data, values, strict=True)) for values in zip(*data.values(), strict=True)]


@pytest.mark.parametrize("count", [1, 7])
@pytest.mark.parametrize("flat", [True, False])
def test_tensors_give_the_predictions_of_batch_inference(
    served: Running, model: Path, rows: pd.DataFrame, count: int, flat: bool
) -> None:
    answer = served.post(INFER, tensors(as_json(rows)[:count], flat))
    said = answer.json
    assert (said["model_name"], said["model_version"], said["id"]) == ("digits", "3", "mine")
    assert [(item["name"], item["datatype"], item["shape"]) for item in said["outputs"]] == [
        ("prediction", "INT64", [count]),
        ("probability", "FP64", [count]),
    ]
    assert close_to(by_output(said), expected(model, rows)[:count])
    assert served.post("/v2/models/digits/versions/3/infer", tensors(as_json(rows)[:count])).status == 200


def test_one_tensor_may_hold_all_columns_and_probabilities_have_their_classes(
    digits: tuple[Running, Path, pd.DataFrame],
) -> None:
    served, files, table = digits
    block = {"name": "input", "shape": list(table.shape), "datatype": "FP32", "data": table.to_numpy().tolist()}
    said = served.post(INFER, {"inputs": [block]}).json
    labels, chances = said["outputs"]
    assert labels["data"] == [row["prediction"] for row in expected(files, table)]
    assert chances["shape"] == [20, 10]
    assert chances["parameters"]["classes"] == [str(number) for number in range(10)]
    wanted = [dict(row["probabilities"])["3"] for row in expected(files, table)]
    assert np.reshape(chances["data"], (20, 10))[:, 3] == pytest.approx(wanted)
    rows = served.post("/predict", {"rows": as_json(table)}).json["predictions"]
    assert [row["probabilities"]["3"] for row in rows] == pytest.approx(wanted)


def binary(inputs: list[tuple[str, str, list[int], bytes]], **more: Any) -> tuple[bytes, dict[str, str]]:
    """A request of Triton's clients: tensors as bytes behind the JSON."""
    listed = [{"name": name, "datatype": kind, "shape": shape, "parameters": {"binary_data_size": len(data)}}
              for name, kind, shape, data in inputs]  # fmt: skip
    header = json.dumps({"inputs": listed, **more}).encode()
    return header + b"".join(item[3] for item in inputs), {"Inference-Header-Content-Length": str(len(header))}


def test_tensors_may_be_bytes_both_ways(served: Running, model: Path, rows: pd.DataFrame) -> None:
    whole = rows.dropna(subset=["kind"])
    texts = b"".join(struct.pack("<I", len(text)) + text.encode() for text in whole.kind)
    body, headers = binary(
        [
            ("number", "FP64", [len(whole)], whole.number.to_numpy().tobytes()),  # nan is null
            ("count", "INT32", [len(whole)], whole["count"].to_numpy(np.int32).tobytes()),
            ("kind", "BYTES", [len(whole)], texts),
        ],
        parameters={"binary_data_output": True},
    )
    answer = served.post(INFER, body, headers)
    length = int(answer.headers["inference-header-content-length"])
    said = json.loads(answer.body[:length])
    sizes = [output["parameters"]["binary_data_size"] for output in said["outputs"]]
    assert length + sum(sizes) == len(answer.body)
    labels = np.frombuffer(answer.body, "<i8", len(whole), length)
    chances = np.frombuffer(answer.body, "<f8", len(whole), length + sizes[0])
    found = [{"prediction": int(a), "probability": float(b)} for a, b in zip(labels, chances, strict=True)]
    assert close_to(found, expected(model, whole))


def test_only_the_outputs_that_are_asked_for_are_given(served: Running, rows: pd.DataFrame) -> None:
    wanted = {**tensors(as_json(rows)), "outputs": [{"name": "probability"}]}
    assert [item["name"] for item in served.post(INFER, wanted).json["outputs"]] == ["probability"]
    unknown = served.post(INFER, {**wanted, "outputs": [{"name": "chance"}]})
    assert unknown.status == 422
    assert unknown.json["faults"][0]["available"] == ["prediction", "probability"]


def test_metadata_and_health_are_those_of_the_protocol(served: Running) -> None:
    assert served.ask("GET", "/v2").json["extensions"] == ["binary_tensor_data"]
    said = served.ask("GET", "/v2/models/digits").json
    assert said["name"] == "digits"
    assert said["versions"] == ["3"]
    assert said["inputs"] == [
        {"name": "number", "datatype": "FP64", "shape": [-1]},
        {"name": "count", "datatype": "INT64", "shape": [-1]},
        {"name": "kind", "datatype": "BYTES", "shape": [-1]},
    ]
    assert [item["name"] for item in said["outputs"]] == ["prediction", "probability"]
    for path in (
        "/v2/health/live",
        "/v2/health/ready",
        "/v2/models/digits/ready",
        "/v2/models/digits/versions/3/ready",
    ):
        assert served.ask("GET", path).status == 200
    assert served.ask("GET", "/v2/models/other/ready").status == 404


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({"shape": [3]}, "has 1 values, and its shape says 3"),
        ({"shape": [1, 2], "data": [1, 2]}, "has the shape [1, 2]"),
        ({"shape": [-1]}, "has no shape"),
        ({"shape": [2**31 - 1] * 9}, "has 1 values, and its shape says"),
        ({"datatype": "FP128"}, "has the datatype FP128"),
        ({"data": [[1], 2], "shape": [2]}, "nested unevenly"),
        ({"data": None}, "has no data"),
        ({"name": 7}, "has no name"),
        ({"data": ["x"]}, "number: the model takes double, and this is the text 'x'"),
        ({"parameters": {"binary_data_size": 8}}, "the body ends before the 8 bytes"),
    ],
)
def test_what_is_wrong_with_a_tensor_is_said(served: Running, change: dict[str, Any], what: str) -> None:
    body = tensors([{"number": 1.0, "count": 1, "kind": "a"}])
    body["inputs"][0] |= change
    answer = served.post(INFER, body)
    assert answer.status in (400, 422)
    assert what in answer.json["error"]


# --- OpenAPI -------------------------------------------------------------------------------------------------


def test_the_openapi_document_describes_what_is_taken_and_given(served: Running, rows: pd.DataFrame) -> None:
    document = served.ask("GET", "/openapi.json").json
    schemas = document["components"]["schemas"]

    def accepts(name: str, value: Any) -> bool:
        schema = {"$ref": f"#/components/schemas/{name}", "components": {"schemas": schemas}}
        return jsonschema.Draft202012Validator(schema).is_valid(value)

    for row in as_json(rows):
        assert accepts("Row", row)
        assert accepts("Prediction", served.post("/predict", row).json)
    assert accepts("Predictions", served.post("/predict", {"rows": as_json(rows)}).json)
    wrong = {"number": "x", "count": 1, "kind": "a"}
    assert not accepts("Row", wrong)
    assert accepts("Error", served.post("/predict", wrong).json)
    for path, methods in document["paths"].items():
        if "post" in methods:
            example = methods["post"]["requestBody"]["content"]["application/json"]["example"]
            assert served.post(path, example).status == 200, path
        else:
            assert served.ask("GET", path).status == 200, path
