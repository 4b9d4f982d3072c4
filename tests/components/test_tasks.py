"""Every kind of target through train, evaluate, predict and monitor, as a user calls them."""

from __future__ import annotations

import decimal
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from kfp.dsl import HTML, Artifact, ClassificationMetrics, Dataset, Metrics, Model

from turnout import ComponentError
from turnout.components.deploy import deploy
from turnout.components.evaluate import evaluate
from turnout.components.monitor import monitor
from turnout.components.predict import predict
from turnout.components.register import register
from turnout.components.split import split
from turnout.components.train import train
from turnout.inference import table as tables
from turnout.models.scoring import Predictions

ROWS = 500


def rows(seed: int, count: int = ROWS) -> pd.DataFrame:
    """Rows of two days, with an amount that two numbers and a group make."""
    rng = np.random.default_rng(seed)
    table = pd.DataFrame(
        {"x": rng.normal(size=count), "y": rng.normal(size=count), "group": rng.choice(["f", "m"], count)}
    )
    table["amount"] = 2 * table["x"] + table["y"] + (table["group"] == "m") + rng.normal(size=count)
    table["when"] = pd.date_range("2024-01-01", periods=count, freq=pd.Timedelta(days=2) / count, tz="UTC")
    return table


def two(names: Any) -> Callable[[pd.Series], pd.Series]:
    return lambda amount: pd.Series(np.array(names)[(amount > 0).astype(int)])


def three(names: Any) -> Callable[[pd.Series], pd.Series]:
    return lambda amount: pd.Series(np.array(names)[np.digitize(amount, [-1, 1])])


TARGETS: dict[str, Callable[[pd.Series], pd.Series]] = {
    "bool": two([False, True]),
    "nullable bool": lambda amount: two([False, True])(amount).astype("boolean"),
    "two texts": two(["no", "yes"]),
    "two categories": lambda amount: two(["no", "yes"])(amount).astype("category"),
    "1 and 2": two([1, 2]),
    "three texts": three(["high", "low", "middle of all"]),
    "three categories": lambda amount: three(["a", "b", "c"])(amount).astype("category"),
    "three numbers": three([1, 2, 3]),
    "nullable numbers of classes": lambda amount: three([1, 2, 3])(amount).astype("Int64"),
    "numbers": lambda amount: amount,
    "whole numbers": lambda amount: (10 * amount).round().astype(int),
    "nullable whole numbers": lambda amount: (10 * amount).round().astype("Int64"),
    "decimals": lambda amount: amount.map(lambda value: decimal.Decimal(f"{value:.2f}")),
}
REGRESSIONS = ("numbers", "whole numbers", "nullable whole numbers", "decimals")


@pytest.mark.parametrize("name", TARGETS)
def test_a_target_of_any_kind_goes_all_the_way(name: str, artifact: Any, tracking: str, tmp_path: Path) -> None:
    task = "regression" if name in REGRESSIONS else "classification"
    several = "three" in name or "of classes" in name

    def table(seed: int) -> pd.DataFrame:
        made = rows(seed)
        return (
            made.drop(columns="amount")
            .assign(target=TARGETS[name](made["amount"]).to_numpy(dtype=object))
            .astype({"target": TARGETS[name](made["amount"]).dtype})
        )

    model, metrics = artifact(Model, "model"), artifact(Metrics, "metrics")
    train.python_func(
        data=artifact(Dataset, "train", table(0)), model=model, metrics=metrics, target="target", task=task,
        estimator="sklearn.linear_model." + ("Ridge" if task == "regression" else "LogisticRegression"),
        ignore=["when"], timestamp="when",
    )  # fmt: skip
    metric = "r2" if task == "regression" else "roc_auc"
    outputs = {"classification": artifact(ClassificationMetrics, "classification"), "report": artifact(HTML, "report")}
    verdict = evaluate.python_func(
        model=model, data=artifact(Dataset, "test", table(1)), metrics=metrics, registered_model="m", metric=metric,
        slices=["group"], **outputs,
    )  # fmt: skip
    assert verdict.promote
    assert verdict.score > 0.7
    version = register.python_func(model=model, registered_model="m").version
    deploy.python_func(sample=artifact(Dataset, "test"), registered_model="m", version=version)

    now = table(2)
    predict.python_func(
        data=artifact(Dataset, "now", now), predictions=artifact(Dataset, "predictions"), metrics=metrics,
        model="models:/m@champion", table=str(tmp_path / "out"), since="2024-01-01", until="2024-01-03",
        timestamp="when", keys=["x"],
    )  # fmt: skip
    found = tables.read(str(tmp_path / "out")).to_pandas().set_index("x").loc[now["x"]]
    if task == "classification":
        plain = now["target"].tolist()
        assert set(found["prediction"]) <= set(plain)
        assert np.mean([a == b for a, b in zip(found["prediction"], plain, strict=True)]) > 0.6
        matrix = outputs["classification"].metadata["confusionMatrix"]
        assert [item["displayName"] for item in matrix["annotationSpecs"]] == [str(item) for item in sorted(set(plain))]
        assert ("confidenceMetrics" in outputs["classification"].metadata) is not several
    if several:
        chances = pd.DataFrame([dict(row) for row in found["probabilities"]])
        assert list(chances) == [str(item) for item in sorted(set(plain))]
        assert chances.idxmax(axis=1).tolist() == [str(item) for item in found["prediction"]]
        page = Path(outputs["report"].path).read_text()
        for word in ("Confusion matrix", "ROC curves", "most frequent"):
            assert word in page
    elif task == "classification":
        assert ((found["probability"] > 0.5) == (found["prediction"] == sorted(set(plain))[1])).all()

    def watch(current: pd.DataFrame) -> Any:
        return monitor.python_func(
            artifact(Dataset, "now", current), artifact(HTML, "watched"), artifact(Artifact, "findings"), metrics,
            model="models:/m@champion", predictions=str(tmp_path / "out"), since="2024-01-01", until="2024-01-03",
            timestamp="when", metric=metric, target="target", least_loss=0.05, concept="adwin",
            groups=["group"] if task == "classification" else [], least_unfairness=0.4,
        )  # fmt: skip

    same = watch(now)
    assert (same.alert, same.reasons) == (False, [])
    findings = json.loads(Path(artifact(Artifact, "findings").path).read_text())["findings"]
    checks = {item["check"] for item in findings}
    assert checks >= {"performance", "concept", *(["calibration", "fairness"] if task == "classification" else [])}
    predicted = "probability" if task == "classification" and not several else "prediction"
    assert any(item["column"] == predicted and item["check"] == "distribution" for item in findings)
    shuffled = now["target"].sample(frac=1, random_state=0).to_numpy(dtype=object)
    worse = watch(now.assign(target=pd.Series(shuffled).astype(now["target"].dtype)))
    assert (worse.train, worse.drifted, worse.broken) == (True, False, False)
    assert metric in "".join(worse.reasons)
    unlabelled = watch(now.drop(columns="target")) if task == "classification" else same
    assert not unlabelled.alert


def fit(artifact: Any, table: pd.DataFrame, **parameters: Any) -> Model:
    model = artifact(Model, "model")
    given = {"target": "target", "ignore": ["when"], "estimator": "sklearn.linear_model.LogisticRegression"}
    train.python_func(
        data=artifact(Dataset, "train", table), model=model, metrics=artifact(Metrics, "m"), **{**given, **parameters}
    )
    return model


def judge(artifact: Any, model: Model, table: pd.DataFrame, **parameters: Any) -> Any:
    return evaluate.python_func(
        model=model, data=artifact(Dataset, "test", table), metrics=artifact(Metrics, "m"),
        classification=artifact(ClassificationMetrics, "c"), report=artifact(HTML, "h"), registered_model="m",
        **parameters,
    )  # fmt: skip


def labelled(seed: int, target: Callable[[pd.Series], pd.Series]) -> pd.DataFrame:
    made = rows(seed)
    return made.drop(columns="amount").assign(target=target(made["amount"]))


def test_rows_without_a_target_are_dropped_and_counted_when_asked(
    artifact: Any, tracking: str, capsys: pytest.CaptureFixture[str]
) -> None:
    table, test = labelled(0, three([1, 2, 3])).astype({"target": "Int64"}), labelled(1, three([1, 2, 3]))
    table.loc[table.index[:40], "target"] = None
    with pytest.raises(ComponentError, match=r"null in 40 of 500 rows @ data\.target\n.*drop_null_target=true"):
        fit(artifact, table)
    model = fit(artifact, table, drop_null_target=True)
    assert "40 of 500 rows are left out: their target is null" in capsys.readouterr().out
    some = test.assign(target=test["target"].where(test.index % 5 > 0))  # whole numbers as floats, for the nulls
    with pytest.raises(ComponentError, match="null in 100 of 500 rows"):
        judge(artifact, model, some)
    assert judge(artifact, model, some, drop_null_target=True).score > 0.7
    assert "100 of 500 rows are left out" in capsys.readouterr().out
    with pytest.raises(ComponentError, match="the target is null in every row"):
        judge(artifact, model, test.assign(target=None), drop_null_target=True)
    # The newest rows have no target yet: the test is the last part of those that have.
    late = table.assign(target=table["target"].where(table.index < 300))
    parts = [artifact(Dataset, name) for name in ("a", "b")]
    split.python_func(
        artifact(Dataset, "whole", late), *parts, timestamp="when", target="target", drop_null_target=True
    )
    assert [pd.read_parquet(part.path)["target"].notna().all() for part in parts] == [True, True]


BAD: dict[str, tuple[Callable[[pd.Series], pd.Series], str, str]] = {
    "one value": (lambda amount: pd.Series("a", amount.index), "classification", "the same value in every row: a"),
    "fractions": (lambda amount: amount, "classification", "a number with fractions, and no class"),
    "identifiers": (lambda amount: pd.Series(range(len(amount))), "classification", "500 classes, more than 100"),
    "texts as numbers": (two(["no", "yes"]), "regression", "is not a number"),
    "truth values as numbers": (two([False, True]), "regression", "is not a number"),
    "infinite": (lambda amount: amount.where(amount < 2, np.inf), "regression", r"the target is infinite in \d+ rows"),
    "times": (lambda amount: pd.Series(pd.Timestamp("2024-01-01"), amount.index), "classification", "type Timestamp"),
    "lists": (lambda amount: pd.Series([[1]] * len(amount)), "classification", "type ndarray"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_target_that_cannot_be_learned_is_told(
    name: str, artifact: Any, tracking: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("turnout.models.target.MOST_CLASSES", 100)
    target, task, message = BAD[name]
    with pytest.raises(ComponentError, match=message):
        fit(artifact, labelled(0, target), task=task)


def test_classes_that_come_and_go(artifact: Any, tracking: str) -> None:
    model = fit(artifact, labelled(0, two(["a", "b"])))
    with pytest.raises(ComponentError, match=r"\d+ rows have a target that the model does not know: 'c'"):
        judge(artifact, model, labelled(1, three(["a", "b", "c"])))
    version = register.python_func(model=model, registered_model="m").version
    test = labelled(1, three(["a", "b", "c"]))
    deploy.python_func(sample=artifact(Dataset, "test", test), registered_model="m", version=version)
    # A challenger that knows a third class is held against a champion that does not.
    better = judge(artifact, fit(artifact, labelled(2, three(["a", "b", "c"]))), test)
    assert better.promote
    # A class that the model has never seen is wrong, and no reason to fail.
    four = test.assign(target=test["target"].where(test.index % 10 > 0, "new"))
    assert judge(artifact, fit(artifact, labelled(2, three(["a", "b", "c"]))), four, metric="accuracy").score < 0.75
    assert "10 rows" not in (Path(artifact(HTML, "h").path).read_text())
    assert "50 rows are of classes that the model does not know" in Path(artifact(HTML, "h").path).read_text()


def test_predictions_of_other_classes_are_put_side_by_side() -> None:
    binary = Predictions(np.array([0.2, 0.9]), ("a", "c"))
    wider = binary.of_classes(["a", "b", "c"])
    np.testing.assert_allclose(wider.values, [[0.8, 0, 0.2], [0.1, 0, 0.9]])
    assert wider.truth(pd.Series(["b", "z"])).tolist() == [1, -1]
