"""The docker runtime on an engine of the tests' own."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from docker_engine import Engine
from paths import PACKAGE
from waiting import wait

from turnout.errors import StepError, TrackError
from turnout.execution.store import ArtifactStore
from turnout.runtimes import docker
from turnout.runtimes.registry import make_step_runner
from turnout.runtimes.settings import all_settings, read_settings
from turnout.spec.deployment_spec import PipelineContainerSpec
from turnout.spec.pipeline_spec import CachingOptions, ComponentSpec
from turnout.spec.step_contract import Run, Task

RUN = Run("pipeline", "run", "2026-01-01T00:00:00Z")


def task_of(image: str = "alpine:3", *arguments: str) -> Task:
    return Task(RUN, "step", ComponentSpec(), PipelineContainerSpec(image=image, args=[*arguments]), {}, {})


@pytest.fixture
def engine() -> Iterator[Engine]:
    with Engine({"PATH": os.environ["PATH"]}, ["alpine:3"], ["registry.example.com/mine:2"]) as engine:
        yield engine
        assert engine.containers == {}  # whatever became of them


def run(engine: Engine, log: Path, *command: str, settings: dict = {}, image: str = "alpine:3", timeout=None):
    (log / ".launcher" / "parameters").mkdir(parents=True)
    runtime = docker.DockerRuntime(task_of(image), settings, docker.Engine(engine.host))
    lines: list[str] = []
    return runtime.run(command, {"WORD": "said"}, log / "log.txt", lines.append, timeout), lines


def test_a_command_runs_in_a_container_and_its_lines_are_told(engine: Engine, tmp_path: Path) -> None:
    status, lines = run(engine, tmp_path, "sh", "-c", 'echo "$WORD"; echo more >&2; exit 3')
    assert (status, lines) == (3, ["said", "more"])
    assert (tmp_path / "log.txt").read_text() == "said\nmore\n"


def test_a_signal_is_told_as_of_a_process(engine: Engine, tmp_path: Path) -> None:
    assert run(engine, tmp_path, "sh", "-c", "kill -9 $$")[0] == -9


def test_a_container_that_takes_too_long_is_ended(engine: Engine, tmp_path: Path) -> None:
    with pytest.raises(StepError, match="longer than its time-out of 1 s"):
        run(engine, tmp_path, "sleep", "60", timeout=1)


def test_a_container_is_cancelled(engine: Engine, tmp_path: Path) -> None:
    (tmp_path / ".launcher" / "parameters").mkdir(parents=True)
    runtime = docker.DockerRuntime(task_of(), {}, docker.Engine(engine.host))
    threading.Timer(1, runtime.cancel).start()
    with pytest.raises(StepError, match="the step was cancelled"):
        runtime.run(["sleep", "60"], {}, tmp_path / "log.txt", lambda line: None)


def test_a_container_that_was_cancelled_before_it_was_made_does_not_start(engine: Engine, tmp_path: Path) -> None:
    (tmp_path / ".launcher" / "parameters").mkdir(parents=True)
    runtime = docker.DockerRuntime(task_of(), {}, docker.Engine(engine.host))
    runtime.cancel()
    with pytest.raises(StepError, match="the step was cancelled"):
        runtime.run(["touch", str(tmp_path / "ran")], {}, tmp_path / "log.txt", lambda line: None)
    assert not (tmp_path / "ran").exists()


def test_a_container_that_takes_too_much_memory_says_so(engine: Engine, tmp_path: Path) -> None:
    def kill() -> None:
        wait(lambda: any(item.process for item in engine.containers.values()), "the container", 30)
        engine.out_of_memory(next(iter(engine.containers)))

    threading.Thread(target=kill, daemon=True).start()
    with pytest.raises(StepError, match="out of memory"):
        run(engine, tmp_path, "sleep", "60")


def test_images_are_pulled_as_the_step_says(engine: Engine, tmp_path: Path) -> None:
    image = "registry.example.com/mine:2"
    with pytest.raises(StepError, match="the image is not here, and may not be pulled @ registry"):
        run(engine, tmp_path / "never", "true", image=image, settings={"imagePullPolicy": "Never"})
    assert run(engine, tmp_path / "asked", "true", image=image) == (0, [f"pulling {image}"])
    assert run(engine, tmp_path / "there", "true", image=image) == (0, [])
    with pytest.raises(StepError, match="the image cannot be pulled: no other:latest @ other"):
        run(engine, tmp_path / "nowhere", "true", image="other")


def test_a_login_is_given_to_the_engine(engine: Engine) -> None:
    login = docker.Login("registry.example.com", "me", "hush")
    docker.Engine(engine.host, login).client()
    assert (engine.logins[0]["username"], engine.logins[0]["serveraddress"]) == ("me", "registry.example.com")
    assert "hush" not in str(login)


def test_what_a_killed_runner_has_left_is_removed_before_the_step_runs_again(engine: Engine, tmp_path: Path) -> None:
    (tmp_path / ".launcher" / "parameters").mkdir(parents=True)
    killed = docker.DockerRuntime(task_of(), {}, docker.Engine(engine.host))

    def end() -> None:
        with contextlib.suppress(StepError):  # its container goes
            killed.run(["sleep", "60"], {}, tmp_path / "log.txt", lambda line: None)

    threading.Thread(target=end, daemon=True).start()
    wait(lambda: any(item.process for item in engine.containers.values()), "the container", 30)
    (left,) = engine.containers.values()
    assert run(engine, tmp_path / "again", "true")[0] == 0
    assert left.process is not None
    assert left.process.poll() is not None
    assert engine.containers == {}


def test_what_looks_outside_of_its_image_is_not_kept(engine: Engine, tmp_path: Path) -> None:
    steps = make_step_runner("docker", {"docker_host": engine.host}, ArtifactStore(str(tmp_path)))
    caching = CachingOptions(enable_cache=True)
    assert steps.key(task_of(), caching)
    assert steps.key(task_of("alpine:3", "--outside", "module:function"), caching) is None


# --- settings ---------------------------------------------------------------------------------------------------


def test_a_setting_is_as_given_else_from_the_environment_else_its_default() -> None:
    environment = {"TURNOUT_DOCKER_HOST": "there"}
    assert read_settings(docker.SETTINGS, {"docker_host": "here"}, "docker", environment) == {"docker_host": "here"}
    assert read_settings(docker.SETTINGS, {}, "docker", environment) == {"docker_host": "there"}
    assert read_settings(docker.SETTINGS, {}, "docker", {}) == {"docker_host": ""}


def test_an_unknown_setting_is_refused_with_the_nearest() -> None:
    with pytest.raises(TrackError, match=r"no setting 'docker_hots' @ --setting\n.*docker_host\n.*mean docker_host\?"):
        read_settings(docker.SETTINGS, {"docker_hots": "x"}, "docker", {})


def test_airflows_options_are_the_settings_of_the_runtimes() -> None:
    import runpy

    provider = runpy.run_path(str(PACKAGE / "airflow" / "provider.py"))
    options = provider["get_provider_info"]()["config"]["turnout"]["options"]
    for setting in all_settings():
        assert options[setting.name]["description"] == setting.description
        assert options[setting.name]["default"] == setting.default


# --- as a user does ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "what"),
    [
        (["docker", "--setting", "docker_host=tcp://127.0.0.1:1"], "Docker's engine does not answer"),
        (["docker", "--setting", "docker_hots=x"], "did you mean docker_host?"),
        (["kubernetes"], "needs the setting 'launcher_image'"),
        (["kubernetes", "--setting", "launcher_image=turnout:1"], "pods cannot see the artifact store"),
        (["dokcer"], "did you mean docker?"),
    ],
    ids=["engine", "name", "launcher", "root", "runtime"],
)
def test_what_keeps_steps_from_running_is_told_before_any_runs(turnout, tmp_path: Path, options, what: str) -> None:
    ran = turnout("run", "tests/examples/contained.py:contained", "--runtime", *options)
    assert ran.status == 1
    assert what in ran.err
    assert "Traceback" not in ran.err
    assert not list((tmp_path / "runs").rglob("*"))


def test_no_cluster_is_one_error_before_any_step(turnout, tmp_path: Path) -> None:
    (tmp_path / "kube.yaml").write_text(
        "{clusters: [{name: a, cluster: {server: 'http://127.0.0.1:1'}}], users: [{name: a, user: {}}],"
        " contexts: [{name: a, context: {cluster: a, user: a}}], current-context: a}"
    )
    settings = [f"kube_config={tmp_path}/kube.yaml", "launcher_image=turnout:1"]
    given = [part for item in settings for part in ("--setting", item)]
    source = "tests/examples/contained.py:contained"
    ran = turnout("run", source, "--runtime", "kubernetes", *given, "--root", "memory://runs")
    assert ran.status == 1
    assert "no Kubernetes cluster answers" in ran.err


@pytest.mark.parametrize("runtime", ["process", "docker"])
def test_the_command_runs_steps_with_the_runtime(turnout, tmp_path: Path, runtime: str) -> None:
    import sys

    image = {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "PYTHONPATH": "tests/examples"}
    (tmp_path / "secrets.yaml").write_text("secrets: {warehouse: {password: hush}}\n")
    with Engine(image, ["localhost/turnout-test:1"]) as engine:
        settings = ["--setting", f"docker_host={engine.host}"] if runtime == "docker" else []
        source = "tests/examples/contained.py:contained"
        secrets = ["--secrets", str(tmp_path / "secrets.yaml")]
        ran = turnout("run", source, "--runtime", runtime, *settings, *secrets, "-p", "text=one two", "--json")
        assert ran.status == 0, ran.out + ran.err
        assert ran.step("read")["outputs"]["Output"] == ["one", "two"]
        assert [item.get("User") or "" for item in engine.made] == (["1000:1000", ""] if runtime == "docker" else [])
