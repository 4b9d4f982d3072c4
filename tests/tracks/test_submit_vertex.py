"""`turnout submit` and `check` for Vertex AI, against a server that answers as its REST API does."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from typer.testing import CliRunner

from turnout.cli.app import app
from turnout.tracks.kfp.vertex import is_vertex, job_id

FLOW = """
from kfp import dsl, kubernetes
from turnout import component, pipeline


@component
def make(rows: int = 3) -> int:
    \"\"\"Make.

    Args:
        rows: how many.
    \"\"\"
    return rows


@pipeline(schedule="@daily")
def flow(rows: int = 3):
    \"\"\"A flow.

    Args:
        rows: how many.
    \"\"\"
    with dsl.ParallelFor([1, 2], name="each"):
        make(rows=rows)


@pipeline
def on_a_cluster():
    \"\"\"A flow that only a cluster runs.\"\"\"
    kubernetes.use_secret_as_env(make(), "login", {"key": "KEY"})
"""
PARENT = "/v1/projects/team/locations/europe-west1"


class Vertex:
    """Jobs by their ids; each look takes one a state further.

    Attributes:
        failing: answers with 503 that come next, after the work is done.
    """

    def __init__(self) -> None:
        self.jobs: dict[str, dict[str, Any]] = {}
        self.states = ["QUEUED", "RUNNING", "SUCCEEDED"]
        self.error = ""
        self.failing = self.looks = 0
        fake = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                status, body = fake.answer(self)
                text = json.dumps(body).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(text)))
                self.end_headers()
                self.wfile.write(text)

            do_POST = do_GET

            def log_message(self, *_: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.host = f"http://127.0.0.1:{self.server.server_port}{PARENT}"
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()

    def answer(self, request: Any) -> tuple[int, Any]:
        given = json.loads(request.rfile.read(int(request.headers.get("Content-Length") or 0)) or b"{}")
        if request.headers.get("Authorization") != "Bearer secret":
            return 401, {"error": {"message": "who are you?"}}
        parts = urlsplit(request.path)
        if request.command == "POST" and parts.path == f"{PARENT}/pipelineJobs":
            (name,) = parse_qs(parts.query)["pipelineJobId"]
            status = 409 if name in self.jobs else 200
            self.jobs.setdefault(name, given)
            if self.failing:
                self.failing -= 1
                return 503, {"error": {"message": "busy"}}
            return status, {}
        return 200, self._look(self.jobs[parts.path.rpartition("/")[2]])

    def _look(self, job: dict[str, Any]) -> dict[str, Any]:
        state = self.states[min(self.looks, len(self.states) - 1)]
        self.looks += 1
        ended = state if state in ("SUCCEEDED", "FAILED", "CANCELLED") else "RUNNING"
        times = {"startTime": "2026-01-01T00:00:00.123456Z", "endTime": "2026-01-01T00:00:02Z"}
        tasks: list[dict[str, Any]] = [{"taskId": "1", "taskName": "flow", "state": ended, **times}]
        tasks += [
            {"taskId": "2", "parentTaskId": "1", "taskName": "for-loop-2", "state": ended, **times},
            {"taskId": "3", "parentTaskId": "2", "taskName": "make", "state": ended, **times},
            {"taskId": "4", "parentTaskId": "2", "taskName": "make", "state": ended, **times},
        ]
        if self.error:
            tasks[3]["error"] = {"message": self.error}
        return {**job, "state": f"PIPELINE_STATE_{state}", "jobDetail": {"taskDetails": tasks}}


@pytest.fixture
def vertex() -> Iterator[Vertex]:
    server = Vertex()
    yield server
    server.server.shutdown()
    server.server.server_close()


@pytest.fixture
def source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("TURNOUT_TOKEN", "secret")
    (tmp_path / "flow_on_vertex.py").write_text(FLOW)
    return f"{tmp_path}/flow_on_vertex.py"


def submit(vertex: Vertex, source: str, *more: str) -> tuple[int, Any]:
    options = ["--host", vertex.host, "--pipeline-root", "gs://bucket/runs", "--poll", "0.1", "--json"]
    done = CliRunner().invoke(app, ["submit", source, *options, *more])
    return done.exit_code, json.loads(done.stdout)


def test_a_job_is_made_once_and_watched_to_its_end(vertex: Vertex, source: str) -> None:
    vertex.failing = 2
    for _ in range(2):
        status, result = submit(vertex, f"{source}:flow", "-p", "rows=7", "--run-id", "20261127-A")
        assert (status, result["state"]) == (0, "SUCCEEDED"), result
    ((name, job),) = vertex.jobs.items()
    assert name == "flow-20261127-a"
    assert job["runtimeConfig"] == {"gcsOutputDirectory": "gs://bucket/runs", "parameterValues": {"rows": 7}}
    assert job["pipelineSpec"]["pipelineInfo"]["name"] == "flow"
    assert [(step["name"], step["iteration"]) for step in result["steps"]] == [("each.make", [0]), ("each.make", [1])]


@pytest.mark.parametrize("state", ["FAILED", "CANCELLED"])
def test_how_it_ended_and_why_is_told(vertex: Vertex, source: str, state: str) -> None:
    vertex.states, vertex.error = ["RUNNING", state], "no rows"
    status, result = submit(vertex, f"{source}:flow")
    assert (status, result["state"], result["steps"][1]["error"]) == (1, state, "no rows")


def test_what_vertex_does_not_do_is_told_before_anything_is_sent(
    vertex: Vertex, source: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    status, said = submit(vertex, f"{source}:on_a_cluster")
    assert (status, "nobody's cluster runs a step of Vertex AI" in str(said)) == (1, True)
    checked = CliRunner().invoke(app, ["check", f"{source}:on_a_cluster", "--track", "kfp", "--runtime", "vertex"])
    assert (checked.exit_code, "kubernetes.secretAsEnv" in checked.stdout) == (1, True)
    assert CliRunner().invoke(app, ["check", f"{source}:flow", "--track", "kfp", "--runtime", "vertex"]).exit_code == 0
    status, said = submit(vertex, f"{source}:flow", "--pipeline-root", "s3://bucket")
    assert (status, "--pipeline-root gs://" in str(said)) == (1, True)
    status, said = submit(vertex, f"{source}:flow", "--schedule")
    assert (status, "no schedule is made on Vertex AI" in str(said)) == (1, True)
    status, said = submit(vertex, f"{source}:flow", "--token", "wrong")
    assert (status, "401 who are you?" in str(said), "gcloud auth" in str(said)) == (1, True, True)
    monkeypatch.delenv("TURNOUT_TOKEN")
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", "/nowhere.json")
    status, said = submit(vertex, f"{source}:flow")
    assert (status, "nobody is logged in to Google Cloud" in str(said)) == (1, True)
    assert vertex.jobs == {}


def test_places_of_vertex_and_ids_of_jobs() -> None:
    assert is_vertex("https://europe-west1-aiplatform.googleapis.com/v1/projects/p/locations/europe-west1")
    assert not is_vertex("https://kfp.example.com/pipeline")
    assert job_id("Flow of 3", "20261127-063015-ab12") == "flow-of-3-20261127-063015-ab12"
    assert job_id("3 flows", "x") == "run-3-flows-x"
    long = job_id("f" * 200, "20261127-063015-ab12")
    assert (len(long), long[0], long[-4:]) == (128, "f", "ab12")
