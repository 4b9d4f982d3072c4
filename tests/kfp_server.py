"""A KFP API server for tests: kfp-server-api's own models behind HTTP, and a run that goes from state to state.

No cluster runs here. What is real is the client, the protocol, and what the server keeps and refuses.
"""

from __future__ import annotations

import datetime
import json
import threading
import uuid
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import kfp_server_api as api
import yaml

START = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)


class KfpServer:
    """What the server has; each look at a run takes it one state further.

    Attributes:
        script: for each look, the states of tasks by name; the last says the run's own under the name ``.
        failing: answers with 500 that come next, before any work; `lost` come after the work is done.
        token: what it asks for, when it asks.
    """

    def __init__(self) -> None:
        self.pipelines: dict[str, Any] = {}
        self.versions: dict[str, Any] = {}
        self.specs: list[dict[str, Any]] = []
        self.experiments: dict[str, Any] = {}
        self.runs: dict[str, Any] = {}
        self.recurring: dict[str, Any] = {}
        self.script: list[dict[str, str]] = [{"": "SUCCEEDED"}]
        self.parents: dict[str, str] = {}
        self.errors: dict[str, str] = {}
        self.failing = self.lost = 0
        self.token = ""
        self.asked: list[str] = []
        self.looks = 0
        fake = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                fake.answer(self)

            do_POST = do_DELETE = do_GET

            def log_message(self, *_: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True)
        self.thread.start()

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        body = request.rfile.read(int(request.headers.get("Content-Length") or 0))
        parts = urlsplit(request.path)
        path = parts.path.removeprefix("/apis/v2beta1/")
        query = {key: values[0] for key, values in parse_qs(parts.query).items()}
        self.asked.append(f"{request.command} {path}")
        if self.token and request.headers.get("Authorization") != f"Bearer {self.token}":
            return self._send(request, 401, {"message": "who are you?"})
        if self.failing:
            self.failing -= 1
            return self._send(request, 500, {"message": "down"})
        given = body if b"multipart" in request.headers.get("Content-Type", "").encode() else json.loads(body or b"{}")
        status, found = self._do(request.command, path, query, given)
        if request.command == "POST" and self.lost:
            self.lost -= 1
            return self._send(request, 500, {"message": "lost"})
        return self._send(request, status, found)

    def _send(self, request: BaseHTTPRequestHandler, status: int, found: Any) -> None:
        text = json.dumps(api.ApiClient().sanitize_for_serialization(found)).encode()
        request.send_response(status)
        request.send_header("Content-Type", "application/json")
        request.send_header("Content-Length", str(len(text)))
        request.end_headers()
        request.wfile.write(text)

    def _do(self, method: str, path: str, query: dict[str, str], given: Any) -> tuple[int, Any]:
        name = _name_of(query)
        match method, path.split("/"):
            case "GET", ["healthz"]:
                return 200, {"multi_user": False}
            case "GET", ["experiments"]:
                return 200, {"experiments": _with(self.experiments, name)}
            case "POST", ["experiments"]:
                return 200, self._keep(self.experiments, "experiment_id", given)
            case "GET", ["pipelines"]:
                return 200, {"pipelines": _with(self.pipelines, name)}
            case "POST", ["pipelines"]:
                if _with(self.pipelines, given["display_name"]):
                    return 409, {"message": "the name is taken"}
                return 200, self._keep(self.pipelines, "pipeline_id", given)
            case "GET", ["pipelines", pipeline, "versions"]:
                return 200, {"pipeline_versions": [v for v in self.versions.values() if v["pipeline_id"] == pipeline]}
            case "POST", ["pipelines", "upload_version"]:
                text = given.split(b"\r\n\r\n", 1)[1].split(b"\r\n--")[0].decode()
                self.specs.append(next(iter(yaml.safe_load_all(text))))
                facts = {"display_name": query["name"], "pipeline_id": query["pipelineid"]}
                return 200, self._keep(self.versions, "pipeline_version_id", facts)
            case "GET", ["runs"]:
                return 200, {"runs": _with(self.runs, name)}
            case "POST", ["runs"]:
                return 200, self._keep(self.runs, "run_id", given)
            case "GET", ["runs", run]:
                return 200, self._look(self.runs[run])
            case "GET", ["recurringruns"]:
                return 200, {"recurringRuns": list(self.recurring.values())}
            case "POST", ["recurringruns"]:
                return 200, self._keep(self.recurring, "recurring_run_id", given)
            case "POST", ["recurringruns", which]:
                key, _, verb = which.partition(":")
                self.recurring[key]["mode"] = verb.upper()
                return 200, {}
            case "DELETE", ["recurringruns", key]:
                del self.recurring[key]
                return 200, {}
        return 404, {"message": f"nothing at {method} {path}"}

    def _keep(self, where: dict[str, Any], field: str, facts: dict[str, Any]) -> dict[str, Any]:
        kept = {**facts, field: str(uuid.uuid4())}
        where[kept[field]] = kept
        return kept

    def _look(self, run: dict[str, Any]) -> dict[str, Any]:
        states = self.script[min(self.looks, len(self.script) - 1)]
        self.looks += 1
        tasks = [
            api.V2beta1PipelineTaskDetail(
                run_id=run["run_id"], task_id=name, display_name=name.partition("/")[0],
                parent_task_id=self.parents.get(name), state=state,
                start_time=START + datetime.timedelta(seconds=index),
                end_time=START + datetime.timedelta(seconds=index + 2),
                error=api.GoogleRpcStatus(message=self.errors[name]) if name in self.errors else None,
            )
            for index, (name, state) in enumerate(states.items()) if name
        ]  # fmt: skip
        details = api.V2beta1RunDetails(task_details=tasks)
        return {**run, "state": states.get("", "RUNNING"), "run_details": details}


def _with(kept: dict[str, Any], name: str) -> list[Any]:
    return [item for item in kept.values() if not name or item["display_name"] == name]


def _name_of(query: dict[str, str]) -> str:
    predicates = json.loads(query.get("filter") or "{}").get("predicates", [{}])
    return str(predicates[0].get("stringValue") or predicates[0].get("string_value") or "")


def running() -> Iterator[KfpServer]:
    server = KfpServer()
    yield server
    server.close()
