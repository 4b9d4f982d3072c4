"""Features looked up in Feast's online store: those that training's join gives for a row of this moment."""

from __future__ import annotations

import runpy
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from open_inference import INFER, framed
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LinearRegression
from sklearn.pipeline import make_pipeline
from tritonclient.grpc import service_pb2
from workers import expected, save, worker

from turnout.errors import ComponentError
from turnout.features.feast import historical_features
from turnout.features.online import OnlineFeatures

DEFINITIONS = """
from datetime import timedelta
from pathlib import Path

from feast import Entity, FeatureService, FeatureView, Field, FileSource, ValueType
from feast.types import Float64, Int64

here = Path(__file__).parent
user = Entity(name="user", join_keys=["user"], value_type=ValueType.STRING)
shop = Entity(name="shop", join_keys=["shop"], value_type=ValueType.INT64)


def view(name, entity, ttl, *fields):
    source = FileSource(name=name, path=str(here / f"{name}.parquet"), timestamp_field="event_timestamp")
    return FeatureView(name=name, entities=[entity], ttl=ttl, schema=list(fields), source=source, online=True)


of_users = [Field(name="spend", dtype=Float64), Field(name="visits", dtype=Int64)]
users = view("users", user, timedelta(hours=1), *of_users)
shops = view("shops", shop, timedelta(days=900), Field(name="turnover", dtype=Float64))
buying = FeatureService(name="buying", features=[users, shops])
"""


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Users a and c are known, c with a null; b was, and the online store has it still. Shop 7 is known."""
    from feast import FeatureStore

    place = tmp_path_factory.mktemp("feast")
    now = pd.Timestamp.now(tz="UTC").floor("s")
    age = pd.to_timedelta([7000, 60, 5000, 120], unit="s")
    visits = pd.DataFrame({"user": ["a", "a", "b", "c"], "spend": [1.0, 2.0, 3.0, None], "visits": [1, 2, 3, 4]})
    visits["event_timestamp"] = now - age
    visits.to_parquet(place / "users.parquet")
    days = pd.DataFrame({"shop": [7], "turnover": [0.5], "event_timestamp": [now - pd.Timedelta(days=1)]})
    days.to_parquet(place / "shops.parquet")
    (place / "feature_store.yaml").write_text(
        "project: buying\nprovider: local\nregistry: registry.db\nonline_store: {type: sqlite, path: online.db}\n"
        "offline_store: {type: file}\nentity_key_serialization_version: 3\n"
    )
    (place / "definitions.py").write_text(DEFINITIONS)
    defined = runpy.run_path(str(place / "definitions.py"))
    store = FeatureStore(repo_path=str(place))
    store.apply([defined[name] for name in ("user", "shop", "users", "shops", "buying")])
    store.materialize(now - pd.Timedelta(days=2), now + pd.Timedelta(minutes=1))
    store.write_to_online_store("users", visits[visits.user == "b"])
    return place


KEYS = {"user": ["a", "b", "c", "nobody", None], "shop": [7, 7, 8, 7, 7]}


def of_training(repository: Path) -> pd.DataFrame:
    """What training's join gives for rows of this moment."""
    rows = pd.DataFrame(KEYS).assign(event_timestamp=pd.Timestamp.now(tz="UTC"))
    return historical_features(rows, repository, "buying")


def test_the_features_are_those_of_trainings_join(repository: Path) -> None:
    features = OnlineFeatures(repository, "buying")
    assert features.keys == {"user": "string", "shop": "long"}
    wanted, found = of_training(repository), pd.DataFrame(features(KEYS))
    pd.testing.assert_frame_equal(found.astype(float), wanted[list(found)].astype(float))
    assert wanted.spend.isna().tolist() == [False, True, True, True, True]  # of b, since it is too old


@pytest.mark.slow
def test_a_request_gives_keys_in_the_place_of_features(repository: Path, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    names = ["amount", "spend", "visits", "turnover"]
    rows = pd.DataFrame(rng.normal(size=(50, 4)), columns=names)
    fitted = make_pipeline(SimpleImputer(), LinearRegression()).fit(rows, rows.sum(axis=1))
    files = save(fitted, rows, tmp_path / "files")
    with worker(tmp_path, files, feature_repository=str(repository), feature_service="buying",
                log_directory=str(tmp_path / "requests")) as running:  # fmt: skip
        given = [{"amount": 1.0, "user": user, "shop": shop} for user, shop in zip(*KEYS.values(), strict=True)]
        whole = of_training(repository).assign(amount=1.0)[names]
        answers = expected(files, whole)
        for row, answer in zip(given, answers, strict=True):
            assert running.post("/predict", row).json["prediction"] == pytest.approx(answer["prediction"])
        many = running.post("/predict", {"rows": given}).json["predictions"]
        assert [row["prediction"] for row in many] == pytest.approx([answer["prediction"] for answer in answers])
        call = service_pb2.ModelInferRequest(model_name="digits")
        for name, kind, values in (("amount", "FP64", [1.0]), ("user", "BYTES", [b"a"]), ("shop", "INT64", [7])):
            field = {"FP64": "fp64_contents", "BYTES": "bytes_contents", "INT64": "int64_contents"}[kind]
            getattr(call.inputs.add(name=name, datatype=kind, shape=[1]).contents, field).extend(values)
        by_grpc = running.post(INFER, framed(call.SerializeToString()), {"content-type": "application/grpc"})
        said = service_pb2.ModelInferResponse.FromString(by_grpc.body[5:])
        assert said.outputs[0].contents.fp64_contents[0] == pytest.approx(answers[0]["prediction"])
        wrong = running.post("/predict", {"amount": 1.0, "user": 7.5, "spend": 1})
        assert {fault["where"] for fault in wrong.json["faults"]} == {"user", "shop"}
        metadata = running.ask("GET", "/v2/models/digits").json
        assert [item["name"] for item in metadata["inputs"]] == ["amount", "user", "shop"]
        assert running.metrics()["turnout_serving_rows_total"] == 11  # Feast has not moved the metrics into files
        running.terminate()
        running.ended()
    from turnout.data.parquet import open_table

    kept = open_table(str(tmp_path / "requests"))[0].to_table().to_pandas()
    assert sorted(kept.turnover.fillna(-1)) == sorted([*whole.turnover.fillna(-1)] * 2 + [0.5])  # what monitor compares


def test_a_service_that_is_not_there_is_told_with_those_that_are(repository: Path, tmp_path: Path) -> None:
    with pytest.raises(ComponentError, match="did you mean buying"):
        OnlineFeatures(repository, "buyin")
    with pytest.raises(ComponentError, match="no Feast repository here"):
        OnlineFeatures(tmp_path, "buying")


def test_a_model_that_takes_none_of_the_features_is_refused(repository: Path) -> None:
    from turnout.models.signature import Column
    from turnout.serving.inputs import Inputs
    from turnout.serving.lookup import open_lookup

    with pytest.raises(ComponentError, match="takes none of the service's features"):
        open_lookup(str(repository), "buying", Inputs([Column("amount", "double")]), 1.0)
