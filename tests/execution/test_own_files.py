"""What a page may open: the files of its run, and no others, whatever an outcome names."""

from __future__ import annotations

import http.server
import os
import threading
import time
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import fsspec
import pytest
from fsspec.implementations.memory import MemoryFileSystem

from turnout.execution.own_files import NotOpened, OwnFiles
from turnout.execution.store import ArtifactStore
from turnout.spec.step_contract import Artifact, Outcome, Run, State

RUN, EARLIER, OTHERS = Run("pipeline", "run", ""), Run("pipeline", "earlier", ""), Run("other", "run", "")
LIMIT = 2_000_000


def made(store: ArtifactStore, run: Run, content: bytes = b"<h1>made</h1>", step: str = "evaluate") -> str:
    """A report that a step of a run has made, with the step's record; its URI."""
    place = store.step_path(run, step)
    uri = f"{place}/attempt-1/report.html"
    (place / "attempt-1").mkdir(parents=True, exist_ok=True)
    (place / "attempt-1" / "report.html").write_bytes(content)
    outcome = Outcome(State.SUCCEEDED, 1, artifacts={"report": Artifact("report", "system.HTML", uri)})
    store.write_record(place / "outcome.json", outcome.to_dict())
    return uri


@pytest.fixture
def store(tmp_path: Path) -> ArtifactStore:
    return ArtifactStore(str(tmp_path / "root"))


@pytest.fixture
def files(store: ArtifactStore) -> OwnFiles:
    return OwnFiles(store, RUN)


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    file = tmp_path / "airflow.cfg"
    file.write_text("fernet_key = hush")
    return file


@pytest.fixture
def asked() -> Iterator[tuple[str, list[str]]]:
    """A server on this machine that notes what it is asked for; its address, and the notes."""
    notes: list[str] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            notes.append(self.path)
            self.send_error(404)

        do_HEAD = do_GET

        def log_message(self, *_: Any) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"127.0.0.1:{server.server_port}", notes
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize("root", ["", "memory://own-files/root"])
def test_what_the_run_made_is_read(root: str, tmp_path: Path) -> None:
    store = ArtifactStore(root or str(tmp_path))
    uri, files = made(store, RUN), OwnFiles(store, RUN)
    assert files.read(uri, LIMIT) == b"<h1>made</h1>"
    assert files.size(uri) == 13
    assert b"".join(files.chunks(uri, 13)) == b"<h1>made</h1>"


def test_a_local_file_has_two_spellings(store: ArtifactStore, files: OwnFiles) -> None:
    assert files.read(f"file://{made(store, RUN)}", LIMIT) == b"<h1>made</h1>"


def test_the_root_may_be_a_link(tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    (tmp_path / "root").symlink_to("disk")
    store = ArtifactStore(str(tmp_path / "root"))
    assert OwnFiles(store, RUN).read(made(store, RUN), LIMIT) == b"<h1>made</h1>"


FOREIGN: dict[str, Callable[[Path], str]] = {
    "a file": str,
    "a file as a URI": lambda secret: f"file://{secret}",
    "another spelling": lambda secret: f"local://{secret}",
    "a host in the URI": lambda secret: f"file://localhost{secret}",
    "upwards": lambda secret: f"{secret.parent}/root/pipeline/run/evaluate/../../../../airflow.cfg",
    "upwards as a URI": lambda secret: f"file://{secret.parent}/root/pipeline/run/../../../airflow.cfg",
    "encoded": lambda secret: f"file://{secret.parent}/root/pipeline/run/%2e%2e/%2e%2e/%2e%2e/airflow.cfg",
    "encoded twice": lambda secret: f"{secret.parent}/root/pipeline/run/%252e%252e/%252e%252e/airflow.cfg",
    "relative": lambda secret: os.path.relpath(secret),
    "the process": lambda _: "/proc/self/environ",
    "the process's root": lambda secret: f"/proc/self/root{secret}",
    "a device": lambda _: "/dev/zero",
    "a cached copy": lambda secret: f"filecache::file://{secret}",
    "a block cache": lambda secret: f"blockcache::file://{secret}",
    "a simple cache": lambda secret: f"simplecache::{secret}",
    "in an archive": lambda secret: f"zip://airflow.cfg::file://{secret.with_suffix('.zip')}",
    "a chain from within": lambda secret: f"zip://airflow.cfg::{secret.parent}/root/pipeline/run/a.zip",
    "a reference": lambda secret: f"reference://::{secret}",
    "a directory's file system": lambda secret: f"dir://{secret}::file://",
    "data": lambda _: "data:text/html,hush",
    "memory": lambda _: "memory://secret/airflow.cfg",
    "a model": lambda _: "models:/flight-delay/3",
    "nothing": lambda _: "",
    "a root that begins alike": lambda secret: f"{secret.parent}/root-2/pipeline/run/report.html",
    "a zero": lambda secret: f"{secret}\0.html",
    "very long": lambda secret: f"{secret.parent}/root/pipeline/run/" + "x/" * 9999,
}


@pytest.mark.parametrize("kind", FOREIGN)
def test_what_an_outcome_names_elsewhere_is_not_opened(
    kind: str, files: OwnFiles, store: ArtifactStore, secret: Path
) -> None:
    made(store, RUN)
    with zipfile.ZipFile(secret.with_suffix(".zip"), "w") as archive:
        archive.write(secret, "airflow.cfg")
    (store.run_path(RUN) / "a.zip").write_bytes(secret.with_suffix(".zip").read_bytes())
    (secret.parent / "root-2" / "pipeline" / "run").mkdir(parents=True)
    (secret.parent / "root-2" / "pipeline" / "run" / "report.html").write_text("hush")
    fsspec.filesystem("memory").pipe("/secret/airflow.cfg", b"hush")
    uri = FOREIGN[kind](secret)
    for said in (files.read(uri, LIMIT), files.size(uri)):
        assert isinstance(said, str)
        assert "hush" not in said
        assert str(secret) not in said
    with pytest.raises(NotOpened):
        next(files.chunks(uri, 10))


@pytest.mark.parametrize("address", ["http://{}/x", "webdav://{}/x", "filecache::http://{}/x", "zip://x::http://{}/y"])
@pytest.mark.parametrize("root", ["local", "memory://own-files/asks"])
def test_no_other_server_is_asked(address: str, root: str, asked: tuple[str, list[str]], tmp_path: Path) -> None:
    store = ArtifactStore(str(tmp_path) if root == "local" else root)
    assert isinstance(OwnFiles(store, RUN).read(address.format(asked[0]), LIMIT), str)
    assert asked[1] == []


@pytest.mark.parametrize("where", ["file", "directory", "step", "run", "loop"])
def test_a_link_to_elsewhere_is_not_followed(where: str, store: ArtifactStore, secret: Path) -> None:
    """Whatever on the way to it is the link: a run's own folder, too."""
    uri = Path(made(store, RUN))
    target = secret.parent / "elsewhere"
    (target / "evaluate" / "attempt-1").mkdir(parents=True)
    for place in (target, target / "evaluate", target / "evaluate" / "attempt-1"):
        (place / "report.html").write_text("hush")
    link = {"file": uri, "loop": uri, "directory": uri.parent, "step": uri.parents[1], "run": uri.parents[2]}[where]
    link.rename(link.with_name("before"))
    aim = {"file": secret, "loop": uri, "directory": target, "step": target / "evaluate", "run": target}[where]
    link.symlink_to(aim)
    assert isinstance(OwnFiles(store, RUN).read(str(uri), LIMIT), str)


def test_a_link_within_the_run_is_followed(store: ArtifactStore, files: OwnFiles) -> None:
    uri = Path(made(store, RUN))
    (uri.parent / "latest.html").symlink_to("report.html")
    assert files.read(f"{uri.parent}/latest.html", LIMIT) == b"<h1>made</h1>"


def test_what_is_no_file_is_not_waited_for(store: ArtifactStore, files: OwnFiles) -> None:
    place = Path(made(store, RUN)).parent
    os.mkfifo(place / "pipe")
    assert files.read(f"{place}/pipe", LIMIT) == "it is no file"
    assert files.read(str(place), LIMIT) == "it is a directory"
    assert files.read(f"{place}/gone", LIMIT) == "nothing is there any more"


def test_an_earlier_run_of_the_pipeline_is_shown_where_it_was_recorded(store: ArtifactStore, files: OwnFiles) -> None:
    """A cached step names what an earlier run made."""
    uri = made(store, EARLIER)
    assert files.read(uri, LIMIT) == b"<h1>made</h1>"
    beside = store.step_path(EARLIER, "evaluate") / "attempt-1" / "notes.html"
    beside.write_text("nobody's")
    assert files.read(str(beside), LIMIT) == "it is not a file of this run"
    assert (
        files.read(str(store.step_path(EARLIER, "evaluate") / "outcome.json"), LIMIT) == "it is not a file of this run"
    )


def test_a_record_that_names_all_of_a_run_opens_nothing_more(store: ArtifactStore, files: OwnFiles) -> None:
    made(store, EARLIER, step="train")
    place = store.step_path(EARLIER, "evaluate")
    named = Artifact("all", "system.HTML", str(store.run_path(EARLIER)))
    store.write_record(place / "outcome.json", Outcome(State.SUCCEEDED, 1, artifacts={"all": named}).to_dict())
    (place / "notes.html").write_text("nobody's")
    assert files.read(str(place / "notes.html"), LIMIT) == "it is not a file of this run"


def test_another_pipelines_run_is_shown_only_to_who_sees_the_whole_root(store: ArtifactStore, files: OwnFiles) -> None:
    uri = made(store, OTHERS)
    assert files.read(uri, LIMIT) == "it is not a file of this run"
    assert OwnFiles(store, RUN, any_pipeline=True).read(uri, LIMIT) == b"<h1>made</h1>"


def test_a_large_file_is_neither_read_nor_kept(store: ArtifactStore, files: OwnFiles) -> None:
    uri = made(store, RUN)
    with Path(uri).open("wb") as file:
        file.truncate(200 * 10**6)
    began = time.monotonic()
    assert files.read(uri, LIMIT) == "it has more than 2 MB"
    assert time.monotonic() - began < 1
    assert files.size(uri) == 200 * 10**6
    assert len(next(files.chunks(uri, 200 * 10**6))) == 2**20


@pytest.mark.parametrize("name", ["..", "%2e%2e", "a?versionId=1", "a#1", "*", "a//b", "a\\b"])
def test_a_name_in_an_object_store_is_only_that(name: str) -> None:
    store = ArtifactStore("memory://own-files/names")
    uri = made(store, RUN)
    said = OwnFiles(store, RUN).read(f"{uri.rpartition('/')[0]}/{name}/../report.html", LIMIT)
    assert said == "it lies outside of the artifact store"
    assert OwnFiles(store, RUN).read(f"{uri.rpartition('/')[0]}/{name}", LIMIT) in (said, "nothing is there any more")


class Hanging(MemoryFileSystem):
    """A store that does not answer."""

    protocol = "s3a"
    asked = 0
    go_on = threading.Event()

    def cat_file(self, *_: Any, **__: Any) -> bytes:
        type(self).asked += 1
        self.go_on.wait(30)
        return b""


def test_a_store_that_hangs_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    fsspec.register_implementation("s3a", Hanging, clobber=True)
    try:
        store = ArtifactStore("s3a://bucket/root")
        assert isinstance(store.root.fs, Hanging)
        files = OwnFiles(store, RUN, patience_s=0.2)
        uri = f"{store.step_path(RUN, 'evaluate')}/attempt-1/report.html"
        began = time.monotonic()
        assert files.read(uri, LIMIT) == "the artifact store did not answer within 0.2 seconds"
        for _ in range(500):
            assert files.read(uri, LIMIT) == "the artifact store does not answer"
        assert time.monotonic() - began < 2
        assert Hanging.asked == 1
    finally:
        Hanging.go_on.set()
        fsspec.register_implementation("s3a", "s3fs.S3FileSystem", clobber=True)


IMPORTING = """
from kfp import dsl

@dsl.pipeline
def importing(uri: str):
    dsl.importer(artifact_uri=uri, artifact_class=dsl.HTML, reimport=True)
"""


def test_the_local_report_shows_no_file_from_elsewhere(turnout: Any, tmp_path: Path, secret: Path) -> None:
    """An importer of type HTML whose URI is a parameter of the run: the report is for others, too."""
    source = tmp_path / "importing.py"
    source.write_text(IMPORTING)
    ran = turnout("run", f"{source}:importing", "-p", f"uri={secret}", "--root", tmp_path / "root", "--run-id", "one")
    assert ran.status == 0, ran.err
    report = (tmp_path / "root" / "importing" / "one" / "report.html").read_text()
    assert "Not shown: it lies outside of the artifact store." in report
    assert "hush" not in report
