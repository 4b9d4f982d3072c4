"""`turnout airflow`."""

from __future__ import annotations

import contextlib
import sys
from pathlib import Path
from typing import Annotated, Optional

import typer

from turnout.cli.options import Root, errors


def airflow(
    port: Annotated[int, typer.Option(min=1, max=65534, help="Port of Airflow's web page.")] = 8080,
    mlflow_port: Annotated[
        Optional[int],  # noqa: UP045 - Typer reads this spelling on every Python
        typer.Option(min=1, max=65535, help="Port of MLflow's. Default: the one after --port."),
    ] = None,
    environment: Annotated[
        Path, typer.Option(envvar="TURNOUT_AIRFLOW", metavar="DIR", help="Airflow's virtual environment.")
    ] = Path(".venv-airflow"),
    dags: Annotated[Path, typer.Option(metavar="DIR", help="Directory of the DAG files.")] = Path("dags"),
    home: Annotated[
        Path, typer.Option(metavar="DIR", help="Directory for Airflow's database, logs and configuration.")
    ] = Path(".airflow"),
    root: Root = ".turnout",
) -> None:
    """Start Airflow and MLflow for the project in this directory, for this machine alone, until Ctrl-C."""
    from turnout.standalone.servers import Servers
    from turnout.standalone.settings import Project

    here = Path.cwd()
    project = Project(
        directory=here,
        dags=here / dags,
        environment=here / environment,
        python=Path(sys.executable),
        home=here / home,
        port=port,
        mlflow_port=mlflow_port or port + 1,
        root=root if "://" in root else str(here / root),
    )
    with errors():
        Servers(project, _say).run()


def _say(line: str) -> None:
    with contextlib.suppress(OSError):  # the terminal may have ended
        print(line, flush=True)
