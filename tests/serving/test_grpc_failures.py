"""Failures by gRPC, whose calls all have HTTP's 200: they raise the alerts all the same, or a fallback answers."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cloudpickle
import numpy as np
import pandas as pd
import pytest
import tritonclient.grpc as triton
import workers
import yaml
from open_inference import MODEL, Behind, behind, tensor
from sklearn.base import BaseEstimator, ClassifierMixin
from tritonclient.utils import InferenceServerException
from waiting import wait

from turnout.monitoring.alerts.serving import CALLS, FAILED_CALLS, failed_part, serving_rules
from turnout.serving import access_log, observed
from turnout.serving.metrics_page import Merged

PROMTOOL = shutil.which("promtool")
Page = dict[str, float]


class Raising(ClassifierMixin, BaseEstimator):
    """Fails where a row says so."""

    classes_ = np.array([0, 1])

    def predict(self, rows: pd.DataFrame) -> np.ndarray:
        if rows.number.gt(1).any():
            raise RuntimeError("as was asked")
        return np.zeros(len(rows), dtype=int)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    cloudpickle.register_pickle_by_value(sys.modules[__name__])
    return workers.save(Raising(), pd.DataFrame({"number": [0.0, 1.0]}), tmp_path_factory.mktemp("model") / "files")


@pytest.fixture(scope="module")
def server(model: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Behind]:
    with behind(tmp_path_factory.mktemp("server"), model, ("3",)) as found:
        yield found


def page(server: Behind) -> Page:
    """What Prometheus gets: each series and its value."""
    merged = Merged(server.envoys.prometheus, lambda: MODEL)
    return {
        f"{sample.name}{{{','.join(f'{name}={chr(34)}{value}{chr(34)}' for name, value in sample.labels.items())}}}":
        sample.value for family in merged.collect() for sample in family.samples
    }  # fmt: skip


def call(client: triton.InferenceServerClient, number: float | str, count: int) -> set[str]:
    """The statuses of calls with a row."""
    found = set()
    for _ in range(count):
        status = "OK"
        try:
            client.infer(MODEL, [tensor("number", "BYTES" if isinstance(number, str) else "FP64", [number])])
        except InferenceServerException as error:
            status = error.status().removeprefix("StatusCode.")
        found.add(status)
    return found


def test_statuses_that_count_as_failures_are_those_that_the_judge_counts() -> None:
    assert {status for status, code in access_log._OF_GRPC.items() if code >= 500} == set(FAILED_CALLS)


@pytest.mark.skipif(not PROMTOOL, reason="needs promtool, of the package prometheus")
def test_failed_calls_raise_the_alerts_and_good_and_wrong_ones_do_not(server: Behind, tmp_path: Path) -> None:
    """Calls that the model fails, and those that Envoy answers itself when no worker does."""
    pages = []
    with triton.InferenceServerClient(server.address) as client:

        def counted(*asked: tuple[float | str, int, str]) -> None:
            for number, count, status in asked:
                assert call(client, number, count) == {status}
            pages.append(page(server))

        call(client, 5.0, 1)
        counted((0.0, 1, "OK"), ("wrong", 1, "INVALID_ARGUMENT"))
        with contextlib.suppress(InferenceServerException):
            client.get_inference_statistics(MODEL)  # it is not offered
        counted((0.0, 15, "OK"), ("wrong", 4, "INVALID_ARGUMENT"))
        counted((0.0, 15, "OK"), (5.0, 5, "INTERNAL"))
        (worker,) = server.workers.values()
        worker.process.kill()
        wait(lambda: call(client, 0.0, 1) == {"UNAVAILABLE"}, "the end of the worker", 5)
        pages.append(page(server))
        counted((0.0, 20, "UNAVAILABLE"))
    assert {name.partition("grpc_status=")[2][:4] for name in pages[-1] if name.startswith(CALLS)} == {
        '"0",', '"3",', '"13"', '"14"',
    }  # fmt: skip
    before, good, failing, down, lost = pages

    def part(first: Page, last: Page) -> float:
        """The part that failed between two looks, as Prometheus finds it; both are a minute apart."""
        series = [{"series": name, "values": f"{first[name]:g} {last[name]:g}"} for name in last if name in first]
        expression = failed_part(MODEL, "{0} - {0} offset 1m")  # exact: `increase` extrapolates
        asked = {"expr": expression, "eval_time": "1m", "exp_samples": [{"labels": "{}", "value": -1}]}
        said = promtool(tmp_path, [{"interval": "1m", "input_series": series, "promql_expr_test": [asked]}])
        return float(said.rpartition("got:")[2].split()[1] if "got:" in said else "nan")

    assert part(before, good) == 0
    assert part(good, failing) == 5 / 20
    assert part(down, lost) == 1

    (tmp_path / "rules.yml").write_text(serving_rules([MODEL], 99.0))
    for (first, last), fire in (((before, good), False), ((good, failing), True), ((down, lost), True)):
        growing = [{"series": name, "values": f"0+{last[name] - first.get(name, 0.0):g}x90"} for name in last]
        asked = {"alertname": "TurnoutServingErrors", "eval_time": "80m", "exp_alerts": []}
        said = promtool(tmp_path, [{"interval": "1m", "input_series": growing, "alert_rule_test": [asked]}])
        assert ('severity="critical", window="1h"' in said) is fire, said


def test_a_fallback_answers_a_call_and_is_marked_and_known_to_the_judge(model: Path, tmp_path: Path) -> None:
    constant = {"prediction": 7}
    with (
        behind(tmp_path, model, ("3",), settings={"fallback_constant": constant}) as server,
        triton.InferenceServerClient(server.address) as client,
    ):
        found = {
            name: client.infer(MODEL, [tensor("number", "FP64", [number])], headers={"x-request-id": name})
            for name, number in (("good", 0.0), ("failing", 5.0))
        }
        assert {name: answer.as_numpy("prediction").tolist() for name, answer in found.items()} == {
            "good": [0], "failing": [7],
        }  # fmt: skip
        told = {name: dict(answer.get_response().parameters) for name, answer in found.items()}
        assert not told["good"]
        assert {name: value.string_param for name, value in told["failing"].items()} == {
            "fallback": "constant", "fallback_reason": "failed",
        }  # fmt: skip
        lines = wait(lambda: (said := server.lines()).keys() >= found.keys() and said, "the access log", 5)
    assert "fallback" not in lines["good"]
    assert lines["failing"]["fallback"] == "constant; failed"
    assert [observed._row(lines[name])["error"] for name in ("good", "failing")] == [False, True]  # type: ignore[index]


def promtool(directory: Path, tests: list[dict[str, Any]]) -> str:
    """What it says of tests; it succeeds when they are as they expect."""
    rules = ["rules.yml"] if (directory / "rules.yml").exists() else []
    (directory / "tests.yml").write_text(
        yaml.safe_dump({"rule_files": rules, "evaluation_interval": "1m", "tests": tests})
    )
    done = subprocess.run(
        [str(PROMTOOL), "test", "rules", "tests.yml"], cwd=directory, capture_output=True, text=True, check=False
    )
    return done.stdout + done.stderr
