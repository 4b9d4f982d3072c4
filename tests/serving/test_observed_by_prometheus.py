"""What users saw on a cluster, as a real Prometheus has counted it in pods that are played here."""

from __future__ import annotations

import datetime
import json
import random
import shutil
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
import yaml
from waiting import free_ports, wait

from turnout.errors import ComponentError
from turnout.serving.metrics import Metrics
from turnout.serving.release import Release, Served
from turnout.serving.rollout.judgement import Settings, judge
from turnout.serving.rollout.observations import of_step, of_version
from turnout.serving.targets.cluster_settings import cluster_settings
from turnout.serving.targets.kubernetes import KubernetesTarget
from turnout.serving.targets.prometheus import observed

pytestmark = pytest.mark.skipif(not shutil.which("prometheus"), reason="needs Debian's prometheus")


class Pods:
    """The metrics page of pods of versions 7 and 8; a pod that starts anew counts from zero."""

    def __init__(self) -> None:
        self.metrics = {version: Metrics("flights", version) for version in "78"}
        pods = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                version = self.path.strip("/")
                body = pods.metrics[version].text()
                self.send_response(200)
                self.send_header("Content-Type", "text/plain; version=0.0.4")
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        Thread(target=self.server.serve_forever, daemon=True).start()

    def answer(self, version: str, code: int, seconds: float) -> None:
        self.metrics[version].answered("rows", code, seconds)

    def restart(self, version: str) -> None:
        self.metrics[version] = Metrics("flights", version)


@pytest.fixture
def pods(tmp_path: Path) -> Iterator[tuple[Pods, str]]:
    """The pods, and the address of the Prometheus that scrapes them each second."""
    pods, (port,) = Pods(), free_ports(1)
    target = f"127.0.0.1:{pods.server.server_port}"
    jobs = [{"job_name": version, "metrics_path": f"/{version}", "static_configs": [{"targets": [target]}]}
            for version in "78"]  # fmt: skip
    (tmp_path / "prometheus.yml").write_text(
        yaml.safe_dump({"global": {"scrape_interval": "1s", "scrape_timeout": "1s"}, "scrape_configs": jobs})
    )
    command = ["prometheus", f"--config.file={tmp_path}/prometheus.yml", f"--storage.tsdb.path={tmp_path}/data",
               f"--web.listen-address=127.0.0.1:{port}"]  # fmt: skip
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT)
    address = f"http://127.0.0.1:{port}"

    def scraped() -> bool:
        try:
            with urllib.request.urlopen(f"{address}/api/v1/query?query=sum(up)", timeout=5) as answer:
                result = json.load(answer)["data"]["result"]
        except (OSError, urllib.error.URLError):
            return False
        return bool(result) and result[0]["value"][1] == "2"

    try:
        wait(scraped, "Prometheus", 20)
        yield pods, address
    finally:
        process.terminate()
        process.wait(20)
        pods.server.shutdown()
        pods.server.server_close()


def stamp(release: Release, time: float) -> Release:
    import dataclasses

    at = datetime.datetime.fromtimestamp(time, datetime.UTC).isoformat()
    return dataclasses.replace(release, changed_at=at)


def test_requests_errors_and_latencies_are_those_that_the_pods_counted(pods: tuple[Pods, str]) -> None:
    """Also those of a counter that begins late, and of a pod that starts anew; a version with errors is worse."""
    played, address = pods
    chance = random.Random(0)
    begun = time.time()
    history = [stamp(Release("flights", (Served("7", 100.0),)), begun - 60),
               stamp(Release("flights", (Served("7", 75.0), Served("8", 25.0))), begun)]  # fmt: skip
    time.sleep(4)  # the interval of the change is left out
    counts = {"7": [0, 0], "8": [0, 0]}
    for second in range(5):
        if second == 3:
            time.sleep(2)  # all of it has been scraped
            played.restart("7")
        for _ in range(400):
            version = "8" if chance.random() < 0.25 else "7"
            failed = chance.random() < (0.3 if version == "8" else 0.01)
            counts[version][0] += 1
            counts[version][1] += failed
            played.answer(version, 500 if failed else 200, 0.02 if version == "8" else 0.003)
        time.sleep(1)
    since = datetime.datetime.fromtimestamp(begun - 3600, datetime.UTC)

    def all_seen() -> Any:
        found = observed(address, "flights", history, since, step_s=1.0)
        return found if sum(w.champion.requests + w.canary.requests for w in found) == 2000 else None

    windows = wait(all_seen, "the counts", 10)
    for version, arm in (("7", "champion"), ("8", "canary")):
        arms = [getattr(window, arm) for window in windows]
        assert [sum(item.requests for item in arms), sum(item.errors for item in arms)] == counts[version]
    assert {window.share for window in windows if window.canary.requests} == {0.25}
    latencies = [value for window in windows for value in window.canary.latencies_ms]
    assert len(latencies) == counts["8"][0]
    assert all(10 < value < 25 for value in latencies)
    of_now, _ = of_step(of_version(windows, "8"), 0.25, False)
    judgement = judge(of_now, Settings(needed=("errors",)))
    assert judgement.verdict == "worse"
    assert not judgement.mismatch


def test_without_a_prometheus_the_settings_are_named_and_one_that_is_not_there_is_told() -> None:
    settings = {"image": "i", "tracking_uri": "http://mlflow:5000"}
    now = datetime.datetime.now(datetime.UTC)
    with pytest.raises(ComponentError, match="does not say what users saw") as told:
        KubernetesTarget(cluster_settings(settings)).observed("flights", now)
    assert "prometheus: http://HOST:9090" in str(told.value)
    release = stamp(Release("flights", (Served("7", 75.0), Served("8", 25.0))), time.time() - 60)
    with pytest.raises(ComponentError, match="Prometheus does not answer"):
        observed(f"http://127.0.0.1:{free_ports(1)[0]}", "flights", [release], now - datetime.timedelta(hours=1))


def test_copies_of_a_part_of_the_requests_are_not_compared() -> None:
    release = stamp(Release("flights", (Served("7", 100.0), Served("8", 50.0, True))), time.time())
    with pytest.raises(ComponentError, match="copies of a part"):
        observed("http://127.0.0.1:1", "flights", [release], datetime.datetime.now(datetime.UTC))
