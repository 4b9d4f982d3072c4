"""The dashboard and the alert rules of served models: a real Prometheus of a real server answers each query."""

from __future__ import annotations

import contextlib
import json
import math
import os
import re
import shutil
import subprocess
import sys
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import tritonclient.grpc as triton
import workers
import yaml
from conftest import copy_mlflow
from load import under_load
from sklearn.base import BaseEstimator, ClassifierMixin
from waiting import free_ports, wait

from turnout.monitoring.alerts.serving import serving_rules
from turnout.monitoring.alerts.serving_dashboard import serving_dashboard
from turnout.serving.directory import Directory
from turnout.serving.release import with_version
from turnout.serving.state import State

PROMETHEUS = shutil.which("prometheus")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not PROMETHEUS, reason="needs Debian's prometheus"),
]

NVML = """
import os
from types import SimpleNamespace as Of

class NVMLError(Exception):
    pass

def nvmlInit(): pass
def nvmlDeviceGetCount(): return 1
def nvmlDeviceGetHandleByIndex(index): return index
def nvmlDeviceGetMemoryInfo(device): return Of(total=80 * 2**30, used=3 * 2**30)
def nvmlDeviceGetUtilizationRates(device): return Of(gpu=25)
def nvmlDeviceGetComputeRunningProcesses(device):
    return [Of(pid=int(name), usedGpuMemory=2**30) for name in os.listdir("/proc") if name.isdigit()]
"""
"""What is called of NVIDIA's library, as a machine with one GPU answers, on which all processes have a gigabyte."""


class Touchy(ClassifierMixin, BaseEstimator):
    """Fails where a row says so."""

    classes_ = np.array([0, 1])

    def predict(self, rows: pd.DataFrame) -> np.ndarray:
        if rows.fails.any():
            raise RuntimeError("as was asked")
        return np.zeros(len(rows), dtype=int)

    def predict_proba(self, rows: pd.DataFrame) -> np.ndarray:
        return np.column_stack([1 - self.predict(rows), self.predict(rows)])


@pytest.fixture(scope="module")
def metrics(tmp_path_factory: pytest.TempPathFactory, empty_mlflow: Path) -> Iterator[str]:
    """The address of a Prometheus that has seen a server at work, with a fallback, a cache, a shadow and a GPU."""
    import cloudpickle
    import mlflow

    directory = tmp_path_factory.mktemp("served")
    copy_mlflow(empty_mlflow, directory / "mlflow.db", directory)
    tracking = f"sqlite:///{directory}/mlflow.db"
    client = mlflow.MlflowClient(tracking, tracking)
    client.create_registered_model("touchy")
    cloudpickle.register_pickle_by_value(sys.modules[__name__])
    rows = pd.DataFrame({"number": [1.0, 2.0], "fails": [False, False]})
    for version in ("1", "2"):
        client.create_model_version("touchy", "/nowhere")
        workers.save(Touchy(), rows, directory / "serving" / "models" / version)
    (directory / "nvml").mkdir()
    (directory / "nvml" / "pynvml.py").write_text(NVML)
    port, page, prometheus = free_ports(3)
    serve = [str(Path(sys.executable).parent / "turnout"), "serve", "touchy/1", "--directory", "serving"]
    serve += ["--port", str(port), "--metrics-port", str(page), "--workers", "1", "--cache-rows", "100"]
    serve += ["--fallback", '{"prediction": 0, "probability": 0.0}']
    environment = {**os.environ, "MLFLOW_TRACKING_URI": tracking, "PYTHONPATH": str(directory / "nvml")}
    scraped = {"job_name": "turnout", "static_configs": [{"targets": [f"127.0.0.1:{page}"]}]}
    settings = {"global": {"scrape_interval": "2s", "scrape_timeout": "2s"}, "scrape_configs": [scraped]}
    (directory / "prometheus.yml").write_text(yaml.safe_dump(settings))
    watch = [str(PROMETHEUS), f"--config.file={directory}/prometheus.yml", f"--storage.tsdb.path={directory}/tsdb"]
    watch.append(f"--web.listen-address=127.0.0.1:{prometheus}")
    place = Directory(directory / "serving")
    with running(serve, directory, environment) as server, running(watch, directory, environment):
        wait(lambda: place.read_status().get("ready") or server.poll() is not None, "the server", 30)
        assert server.poll() is None, (directory / "turnout.out").read_text()
        state = State(place.path)
        state.change(lambda release: with_version(release or state.require(), "2", 50.0, shadow=True), "a trial")
        wait(lambda: (now := place.read_status()).get("ready") and len(now["serving"]) == 2, "the shadow", 30)
        number, fails = (triton.InferInput(name, [1], kind) for name, kind in (("number", "FP64"), ("fails", "BOOL")))
        number.set_data_from_numpy(np.array([1.0]))
        fails.set_data_from_numpy(np.array([False]))
        with triton.InferenceServerClient(f"127.0.0.1:{port}") as client:
            for _ in range(20):  # both Envoys may get some; one is enough
                client.infer("touchy", [number, fails])
        known, failing = (json.dumps({"number": 1, "fails": fails}).encode() for fails in (False, True))
        with under_load(port, 1, body=known, pause=0.1), under_load(port, 1, body=failing, pause=0.1):
            yield f"http://127.0.0.1:{prometheus}"


@contextlib.contextmanager
def running(command: list[str], directory: Path, environment: dict[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    with (directory / f"{Path(command[0]).name}.out").open("wb") as out:
        process = subprocess.Popen(command, cwd=directory, env=environment, stdout=out, stderr=subprocess.STDOUT)
    try:
        yield process
    finally:
        process.terminate()
        process.wait(60)


def answer(prometheus: str, query: str) -> list[dict[str, Any]]:
    """The series with a value that a query gives now."""
    url = f"{prometheus}/api/v1/query?{urllib.parse.urlencode({'query': query})}"
    with urllib.request.urlopen(url) as said:
        found = json.load(said)["data"]["result"]
    return [series for series in found if not math.isnan(float(series["value"][1]))]


def unanswered(prometheus: str, queries: dict[str, str]) -> list[str]:
    """Where queries stand that have no answer, after some time for there to be one."""
    left = dict(queries)

    def none_left() -> bool:
        for where, query in list(left.items()):
            if answer(prometheus, query):
                del left[where]
        return not left

    with contextlib.suppress(TimeoutError):
        wait(none_left, "answers", 8)
    return list(left)


def test_each_query_of_the_dashboard_has_an_answer(metrics: str) -> None:
    board = json.loads(serving_dashboard(["touchy"]))
    queries = {
        f"{panel['title']}: {target['legendFormat']}": target["expr"].replace("$__rate_interval", "1m")
        for panel in board["panels"]
        for target in panel.get("targets", ())
    }
    assert len(queries) > 40
    assert unanswered(metrics, queries) == []
    legends = {
        name: series["metric"]
        for name, query in queries.items()
        for series in answer(metrics, query)[:1]
        if "{{" in name
    }
    for name, labels in legends.items():
        missing = [label for label in re.findall(r"{{(\w+)}}", name) if label not in labels]
        assert not missing, f"{name} has {sorted(labels)}"
    assert answer(metrics, queries["Memory: {{process}}"].replace("resident", "residing")) == []


def test_each_metric_of_the_alert_rules_is_there(metrics: str) -> None:
    groups = yaml.safe_load(serving_rules(["touchy"]))["groups"]
    selectors = {
        found: re.sub(r'grpc_status=~"[^"]+"', 'grpc_status="0"', found)  # no call has failed: there is a fallback
        for group in groups
        for rule in group["rules"]
        for found in re.findall(r"\w+{[^}]*}", rule["expr"])
    }
    assert len(selectors) == 9
    assert unanswered(metrics, selectors) == []


def test_the_page_tells_what_each_process_takes_and_whose_it_is(metrics: str) -> None:
    taken = answer(metrics, 'process_resident_memory_bytes{model="touchy"}')
    found = {series["metric"]["process"]: float(series["value"][1]) for series in taken}
    kinds = {re.sub(r"-or-.*", "", name) for name in found}
    assert kinds == {"supervisor", "envoy-0", "envoy-1", "worker-1", "worker-2"}
    assert all(10 * 2**20 < value < 2**30 for value in found.values()), found
    shadows = answer(metrics, 'turnout_serving_traffic_ratio{shadow="true"}')
    assert [(series["metric"]["version"], series["value"][1]) for series in shadows] == [("2", "0.5")]
    of_workers = answer(metrics, "turnout_serving_gpu_process_memory_bytes")
    assert {series["metric"]["worker"] for series in of_workers} == {name for name in found if "worker" in name}


def test_prometheus_does_not_count_a_request_twice(metrics: str) -> None:
    """Envoy has requests by code beside all requests, under names that are one for Prometheus' own library."""
    each = answer(metrics, 'envoy_cluster_upstream_rq_total{envoy_cluster_name=~"1-.*"}')
    assert {series["metric"]["process"] for series in each} == {"envoy-0", "envoy-1"}
    assert len(each) == 2
