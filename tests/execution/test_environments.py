"""Environments of steps: made once, on top of the components' or alone, whole or not at all."""

from __future__ import annotations

import contextlib
import datetime
import functools
import http.server
import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from wheels import write_wheel

from turnout.errors import StepError
from turnout.execution import environments
from turnout.execution.environments import prepare, prune
from turnout.execution.installing import find_uv
from turnout.spec.deployment_spec import PipelineContainerSpec

FAR = datetime.timedelta(days=1)
NEEDS_UV = pytest.mark.skipif(not find_uv(sys.executable), reason="uv is not here")


@pytest.fixture(autouse=True)
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Environments are kept here, and no index answers: packages are those of the wheels."""
    for name in os.environ:
        if name.startswith(("UV_", "PIP_")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("TURNOUT_ENVIRONMENTS", str(tmp_path / "kept"))
    monkeypatch.setenv("UV_OFFLINE", "1")
    monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setenv("UV_FIND_LINKS", str(tmp_path / "wheels"))  # with a setting of uv's, pip's are left alone
    return tmp_path / "kept"


@pytest.fixture(autouse=True)
def wheels(tmp_path: Path) -> Path:
    for version in ("0.1", "0.2"):
        write_wheel(tmp_path / "wheels", "iniconfig", version)  # older than the base's
    write_wheel(tmp_path / "wheels", "turnout_tiny", "1.0", ["iniconfig<0.2"])
    write_wheel(tmp_path / "wheels", "turnout_tiny", "2.0")
    return tmp_path / "wheels"


def container(*lines: str) -> PipelineContainerSpec:
    arguments = [f"--requires={line}" for line in lines]
    return PipelineContainerSpec(command=["turnout", "exec", "m:f"], args=[*arguments, "--run-id", "x"])


def says(python: str, code: str) -> str:
    done = subprocess.run([python, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


VERSIONS = "import iniconfig, turnout_tiny, kfp, turnout; print(iniconfig.VERSION, turnout_tiny.VERSION)"


@pytest.mark.parametrize("installer", [pytest.param("uv", marks=NEEDS_UV), "pip"])
def test_what_is_missing_or_other_is_on_top_and_the_rest_is_inherited(installer: str, wheels: Path) -> None:
    lines = ["turnout-tiny<2"] if installer == "uv" else ["turnout-tiny<2", "--no-index", f"--find-links {wheels}"]
    told: list[str] = []
    python, step = prepare(container(*lines), on_line=told.append)
    assert says(python, VERSIONS) == "0.1 1.0"
    assert step.args == ["--run-id", "x"]
    (environment,) = environments.environments()
    assert environment.packages == ("iniconfig==0.1", "turnout-tiny==1.0")
    assert any("iniconfig" in line and "wants" in line for line in told), told  # pytest, which is inherited
    count = len(told)
    assert prepare(container(*lines), on_line=told.append)[0] == python
    assert prepare(container(*reversed(lines)), on_line=told.append)[0] == python
    assert len(told) == count


def test_the_command_of_an_environment_runs_there(wheels: Path) -> None:
    python, _ = prepare(container("turnout-tiny==2.0"))
    done = subprocess.run([Path(python).with_name("turnout"), "--version"], capture_output=True, text=True)
    assert done.stdout.startswith("turnout "), done.stderr


@NEEDS_UV
def test_packages_that_all_are_there_make_an_environment_without_any() -> None:
    told: list[str] = []
    python, _ = prepare(container("iniconfig>=1"), on_line=told.append)
    assert "nothing, all was there" in told[-1]
    assert says(python, "import iniconfig; print(iniconfig.__file__)").startswith(sys.prefix)


@pytest.mark.parametrize("installer", [pytest.param("uv", marks=NEEDS_UV), "pip"])
def test_what_cannot_be_had_is_told_in_the_installer_s_words_and_leaves_nothing(
    installer: str, kept: Path, wheels: Path
) -> None:
    more = [] if installer == "uv" else ["--no-index", f"--find-links {wheels}"]
    with pytest.raises(StepError, match="turnout-tiny") as failure:
        prepare(container("turnout-tiny>3", *more))
    assert "look at the component's requirements" in str(failure.value)
    write_wheel(wheels, "protobuf", "3.1")
    with pytest.raises(StepError, match="every step itself needs protobuf"):
        prepare(container("protobuf<4", *more))
    assert [path for path in kept.iterdir() if path.is_dir()] == []


def test_two_who_want_the_same_make_it_once(wheels: Path) -> None:
    told: list[str] = []
    with ThreadPoolExecutor(4) as pool:
        made = pool.map(lambda _: prepare(container("turnout-tiny==2.0"), on_line=told.append)[0], range(4))
        (python,) = set(made)
    assert sum(line.startswith("making") for line in told) == 1
    assert says(python, VERSIONS.replace("iniconfig.VERSION", "0")) == "0 2.0"


KILLED = """
import os, signal
from turnout.execution.environments import prepare
from turnout.spec.deployment_spec import PipelineContainerSpec

step = PipelineContainerSpec(command=["turnout", "exec", "m:f"], args=["--requires=turnout-tiny==2.0"])
prepare(step, on_line=lambda line: line.startswith("making") or os.kill(os.getpid(), signal.SIGKILL))
"""


@NEEDS_UV
def test_a_maker_that_is_killed_leaves_nothing_that_others_take_for_whole(kept: Path) -> None:
    done = subprocess.run([sys.executable, "-c", KILLED])
    assert done.returncode == -signal.SIGKILL
    assert [path.name for path in kept.glob("*/") if path.is_dir()] != []
    assert list(environments.environments()) == []
    python, _ = prepare(container("turnout-tiny==2.0"))
    assert says(python, "import turnout_tiny; print(turnout_tiny.VERSION)") == "2.0"


def test_an_installer_whose_maker_was_killed_is_waited_for(kept: Path) -> None:
    python, _ = prepare(container("turnout-tiny==2.0"))
    place = Path(python).parents[1]
    (place / environments.RECORD).unlink()
    with environments._locked(place) as held:
        orphan = subprocess.Popen(["sleep", "1"], pass_fds=(held,))
    assert prune() == []  # it is being made
    told: list[str] = []
    prepare(container("turnout-tiny==2.0"), on_line=lambda line: told.append(f"{orphan.poll()} {line}"))
    assert told[0].startswith("0 making")


def test_what_is_not_used_any_more_is_removed(kept: Path) -> None:
    old, _ = prepare(container("turnout-tiny==2.0"))
    record = Path(old).parents[1] / environments.RECORD
    new, _ = prepare(container("iniconfig==0.2"))
    os.utime(record, (0, 0))
    (kept / "0123456789abcdef").mkdir()  # half of one
    (kept / "mine").mkdir()
    assert prune(FAR) == sorted([str(kept / "0123456789abcdef"), str(record.parent)])
    assert (Path(new).exists(), Path(old).exists(), (kept / "mine").exists()) == (True, False, True)
    os.utime(Path(new).parents[1] / environments.RECORD, (0, 0))
    prepare(container("iniconfig==0.2"))  # who uses it keeps it
    assert prune(FAR) == []


def test_a_path_of_packages_starts_in_the_working_directory_of_steps(tmp_path: Path, wheels: Path) -> None:
    python, _ = prepare(container("turnout-tiny", "--no-index", "--find-links wheels"), directory=str(tmp_path))
    assert says(python, "import turnout_tiny; print(turnout_tiny.VERSION)") == "2.0"


def test_a_file_with_hashes_is_installed_as_it_is(wheels: Path) -> None:
    import hashlib

    wheel = next(wheels.glob("turnout_tiny-2*"))
    digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
    lines = ["--no-index", f"--find-links {wheels}"]
    python, _ = prepare(container(f"turnout-tiny==2.0 --hash=sha256:{digest}", *lines))
    assert says(python, "import turnout_tiny; print(turnout_tiny.VERSION)") == "2.0"
    with pytest.raises(StepError, match=r"(?i)hash"):
        prepare(container(f"turnout-tiny==2.0 --hash=sha256:{'0' * 64}", *lines))


LIGHTWEIGHT = """
if ! [ -x "$(command -v pip)" ]; then
    python3 -m ensurepip
fi
PIP_DISABLE_PIP_VERSION_CHECK=1 python3 -m pip install --quiet --no-warn-script-location{more} turnout-tiny && "$0" "$@"
"""


@contextlib.contextmanager
def index(directory: Path) -> Iterator[str]:
    """An index of wheels, as PEP 503 has it, on this machine."""

    class Handler(http.server.SimpleHTTPRequestHandler):
        def do_GET(self) -> None:
            if self.path.startswith("/simple/"):
                name = self.path.split("/")[2].replace("-", "_")
                links = [f'<a href="/{path.name}">{path.name}</a>' for path in directory.glob(f"{name}-*.whl")]
                self.send_response(200 if links else 404)
                self.send_header("Content-Type", "text/html")
                self.end_headers()
                self.wfile.write("\n".join(links).encode())
            else:
                super().do_GET()

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(
        ("127.0.0.1", 0), functools.partial(Handler, directory=str(directory))
    ) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/simple"
        server.shutdown()


@NEEDS_UV
def test_lightweight_components_have_an_environment_with_nothing_else(wheels: Path) -> None:
    with index(wheels) as url:
        script = LIGHTWEIGHT.format(more=f" --index-url {url} --trusted-host 127.0.0.1")
        step = PipelineContainerSpec(command=["sh", "-c", script, "sh", "-ec", "true"])
        os.environ["UV_OFFLINE"] = "0"
        python, rest = prepare(step)
    assert rest.command == ["sh", "-ec", "true"]
    assert says(python, "import turnout_tiny; print(turnout_tiny.VERSION)") == "2.0"
    assert says(python, "import importlib.util as u; print(u.find_spec('kfp'))") == "None"


@NEEDS_UV
def test_uv_looks_where_pip_is_told_to(wheels: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """uv reads no setting of pip: in a company with an index of its own it would ask the public one."""
    monkeypatch.delenv("UV_FIND_LINKS")
    monkeypatch.delenv("UV_OFFLINE")
    shutil.copytree(wheels, tmp_path / "company")
    with index(tmp_path / "company") as url:
        (tmp_path / "pip.conf").write_text(f"[global]\nindex-url = {url}\n")
        monkeypatch.setenv("PIP_CONFIG_FILE", str(tmp_path / "pip.conf"))
        monkeypatch.setenv("PIP_EXTRA_INDEX_URL", url)
        told: list[str] = []
        python, _ = prepare(container("turnout-tiny"), on_line=told.append)
    assert says(python, "import turnout_tiny; print(turnout_tiny.VERSION)") == "2.0"
    assert any(line.startswith("Resolved") for line in told), told  # it was uv
