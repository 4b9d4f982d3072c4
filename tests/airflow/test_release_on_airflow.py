"""Releases on a real Airflow, with a server and users: one comes back, one goes to all requests; a page tells why."""

from __future__ import annotations

import contextlib
import json
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
from conftest import COMPONENTS, PROJECT, run_program
from playwright.sync_api import expect
from server import Server
from users import Users
from visitor import Visitor, faults_of
from waiting import free_ports, wait

pytestmark = pytest.mark.slow

DAG, MODEL = "flight-delay-release", "delays"
SERVING = PROJECT / "tests" / "serving"

ALIAS = "import mlflow, sys; mlflow.MlflowClient().set_registered_model_alias(*sys.argv[1:])"
CHAMPION = "import mlflow; print(mlflow.MlflowClient().get_model_version_by_alias('delays', 'champion').version)"


@dataclass(frozen=True)
class Served:
    """A model with several versions, and the server that answers for it.

    Attributes:
        home: with the serving directories in `serving`, and golden rows.
    """

    home: Path
    port: int
    airflow: Server

    @property
    def versions(self) -> dict[str, float]:
        state = json.loads((self.home / "serving" / MODEL / "state.json").read_text())
        return {item["version"]: item["percent"] for item in state["versions"]}

    def release(self, version: str, expected: str) -> str:
        """Run the pipeline for a version, with margins for which few requests are enough; the id of the run."""
        run_program(ALIAS, MODEL, "challenger", version, env=self.airflow.environment)
        run = self.airflow.trigger(
            DAG, registered_model=MODEL, target=f"local:{self.home / 'serving'}", error_rate=0.1, latency_ratio=4,
            golden=str(self.home / "golden.parquet"), golden_rows=20, wait_minutes=5, every_seconds=1,
            needed=["errors", "p50", "predictions"], prediction_share=0.3, channels=[f"file:{self.home / 'told'}"],
            notices=str(self.home / "notices.json"),
        )  # fmt: skip
        with Users(self.port) as users:
            state = self.airflow.ended(DAG, run, 240)
        assert state == expected, self.airflow.why(DAG, run)
        assert set(users.statuses) == {200}
        return run

    def states(self, run: str) -> dict[str, str]:
        return {name: str(item["state"]) for name, item in self.airflow.tasks(DAG, run).items()}


@pytest.fixture(scope="module")
def served(server: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    home = tmp_path_factory.mktemp("released")
    made = Served(home, free_ports(1)[0], server)
    environment: dict[str, Any] = {"env": server.environment, "cwd": home}
    subprocess.run([COMPONENTS / "python", SERVING / "release_models.py", MODEL, home], check=True, **environment)
    command = [COMPONENTS / "python", SERVING / "serve_logging.py", home / "serving" / MODEL, MODEL, str(made.port)]
    with (home / "serve.out").open("wb") as out:
        process = subprocess.Popen(command, stdout=out, stderr=subprocess.STDOUT, **environment)
    try:
        status = home / "serving" / MODEL / "status.json"

        def ready() -> bool:
            assert process.poll() is None, (home / "serve.out").read_text()
            with contextlib.suppress(OSError, ValueError):
                return bool(json.loads(status.read_text()).get("ready"))
            return False

        wait(ready, "the server", 30)
        server.unpause(DAG)
        yield made
    finally:
        process.terminate()
        process.wait(60)


def results(visitor: Visitor, run: str) -> Any:
    visitor.open("/")
    visitor.open(f"/turnout/run?{urlencode({'dag_id': DAG, 'run_id': run})}")
    return visitor.page.locator("main")


def test_a_slow_version_comes_back_and_the_page_says_why(served: Served, visitor: Visitor) -> None:
    run = served.release("3", "failed")
    assert served.versions == {"1": 100.0}
    states = served.states(run)
    assert states["release_steps.worse_before_5.roll-back"] == "failed"
    assert states["release_steps.go_on_to_5.deploy-2"] == "skipped"
    assert states["end-release"] == "success"
    main = results(visitor, run)
    expect(main).to_contain_text("median latency: worse")
    expect(main).to_contain_text("Version 3: worse")
    assert not list(faults_of(visitor.page, "the release that came back"))
    assert f"{MODEL} version 3 was taken out" in (served.home / "told").read_text()


# In `make test`: the release that comes back, on Airflow, and on the local track one that goes to all requests.
@pytest.mark.nightly
def test_a_good_version_goes_to_all_requests_and_the_page_tells_it_step_by_step(
    served: Served, visitor: Visitor
) -> None:
    run = served.release("2", "success")
    assert served.versions == {"2": 100.0}
    assert run_program(CHAMPION, env=served.airflow.environment).strip() == "2"
    main = results(visitor, run)
    expect(main).to_contain_text(f"{MODEL} version 2 answers all requests")
    assert not list(faults_of(visitor.page, "the release that went well"))
