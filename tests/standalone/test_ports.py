"""Ports that `turnout airflow` finds taken."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from waiting import free_ports

TURNOUT = Path(sys.executable).parent / "turnout"


def refused(directory: Path, *options: str) -> str:
    """Why nothing was started."""
    ended = subprocess.run([TURNOUT, "airflow", *options], cwd=directory, capture_output=True, text=True)
    assert ended.returncode == 1
    assert not ended.stdout
    assert not [*directory.iterdir()]
    return ended.stderr


@pytest.mark.parametrize("interface", ["127.0.0.1", "0.0.0.0"])
def test_a_port_that_is_taken_is_told_with_who_has_it(tmp_path: Path, interface: str) -> None:
    with socket.create_server((interface, 0)) as taken:
        port = str(taken.getsockname()[1])
        told = refused(tmp_path, "--port", port)
        assert f"port {port}, which Airflow needs, is taken by process {os.getpid()} (" in told
        assert "another port with --port" in told


def test_the_port_of_mlflow_is_one_of_its_own(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        told = refused(tmp_path, "--port", str(free_ports(1)[0]), "--mlflow-port", port)
        assert f"port {port}, which MLflow needs, is taken by process {os.getpid()} (" in told
        assert "another port with --mlflow-port" in told


def test_without_an_environment_it_says_how_to_make_one(tmp_path: Path) -> None:
    port, other = free_ports(2)
    told = refused(tmp_path, "--port", str(port), "--mlflow-port", str(other))
    assert "there is no environment with Airflow @ " in told
    assert "pip install 'turnout[airflow,standalone]'" in told
