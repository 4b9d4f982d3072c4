"""Components of KFP, of Google's kind, from YAML and from the catalogue in one pipeline, on every track."""

from __future__ import annotations

import functools
import os
import sys
import threading
from collections.abc import Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from docker_engine import Engine
from kfp import components
from paths import TESTS

import turnout
from turnout import verbs
from turnout.spec.document import read

MIXING = TESTS / "examples" / "mixing.py"
WANTED = 'CustomJob jobs/hello, file?/it\'s "ours" of 2 rows!'
IMAGES = ["debian:12-slim", "gcr.io/example/launcher:1", "python:3.11", "turnout-python-components:0.1.0"]


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    """A server of the YAML files, on this machine."""
    handler = functools.partial(SimpleHTTPRequestHandler, directory=str(TESTS / "examples" / "mixing_parts"))
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    address = f"http://127.0.0.1:{server.server_port}"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MIXING_URL", address)
        patch.setenv("no_proxy", "127.0.0.1")
        yield address
    server.shutdown()
    server.server_close()


@pytest.fixture
def table(tmp_path: Path) -> Path:
    path = tmp_path / "table.csv"
    path.write_text("name,price\ntea,2.5\ncake,4.0\n")
    return path


def test_it_runs_here(url: str, table: Path, tmp_path: Path) -> None:
    result = turnout.run(MIXING, {"source": str(table)}, root=tmp_path / "root")
    assert result.outputs == {"Output": WANTED}, result.errors


def test_it_runs_in_containers(url: str, table: Path, tmp_path: Path) -> None:
    variables = {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "HOME": os.environ.get("HOME", "/")}
    (tmp_path / "root").mkdir()
    with Engine(variables, IMAGES) as engine:
        settings = {"docker_host": engine.host}
        result = turnout.run(
            MIXING, {"source": table.as_uri()}, root=tmp_path / "root", runtime="docker", settings=settings
        )  # fmt: skip
        assert result.outputs == {"Output": WANTED}, result.errors
        assert {made["Image"] for made in engine.made} >= {"debian:12-slim", "gcr.io/example/launcher:1"}


def test_it_compiles_for_every_track_and_kfp_reads_it(url: str) -> None:
    assert verbs.check(MIXING)["faults"] == []
    files = verbs.compile(MIXING, "airflow")
    (text,) = (text for name, text in files.items() if name.suffix == ".yaml")
    assert verbs.compile(MIXING, "kfp") == {Path("mixing.yaml"): text}
    assert components.load_component_from_text(text).name == "mixing"
    spec = read(text).pipeline
    assert spec.deployment_spec is not None
    images = {item.container.image for item in spec.deployment_spec.executors.values() if item.container}
    assert {"debian:12-slim", "gcr.io/example/launcher:1", "python:3.11"} <= images


def test_an_address_that_has_no_component_is_told(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MIXING_URL", f"{url}/nowhere")
    monkeypatch.delitem(sys.modules, "mixing", raising=False)
    with pytest.raises(turnout.TurnoutError, match=r"404.*mixing\.py:13"):
        verbs.check(MIXING)
