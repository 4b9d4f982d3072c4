"""`turnout airflow`: what it says, where its servers listen, and what is left of them."""

from __future__ import annotations

import os
import pty
import re
import signal
import subprocess
from pathlib import Path

import pytest
from processes import lives
from server import AIRFLOW, TURNOUT, Server
from waiting import free_ports, wait

pytestmark = pytest.mark.slow


def listening(pids: set[int]) -> set[str]:
    """The addresses that processes listen on, as the kernel writes them: in hexadecimal digits, with the port."""
    inodes = set()
    for pid in pids:
        for file in Path(f"/proc/{pid}/fd").glob("*"):
            try:
                inodes |= set(re.findall(r"^socket:\[(\d+)\]$", str(file.readlink())))
            except OSError:  # it has been closed
                continue
    lines = [line.split() for table in ("tcp", "tcp6") for line in Path(f"/proc/net/{table}").read_text().splitlines()]
    return {fields[1] for fields in lines if fields[3] == "0A" and fields[9] in inodes}


def test_its_servers_listen_on_loopback_alone(server: Server) -> None:
    found = listening(set(server.processes()))
    assert {int(address.partition(":")[2], 16) for address in found} == {server.port, server.mlflow_port}
    assert {address.partition(":")[0] for address in found} == {"0100007F"}, "127.0.0.1"


def test_it_says_what_it_has_started(server: Server) -> None:
    told = server.told()
    for text in (server.url, server.mlflow_url, "whoever reaches 127.0.0.1", "Ctrl-C", str(server.home / "root")):
        assert text in told


def test_a_second_one_for_the_same_project_is_refused(server: Server) -> None:
    assert server.process is not None
    port, other = map(str, free_ports(2))
    command = [TURNOUT, "airflow", "--environment", AIRFLOW.parent, "--home", server.place]
    command += ["--port", port, "--mlflow-port", other, "--dags", server.home / "dags"]
    ended = subprocess.run(command, cwd=server.home, capture_output=True, text=True)
    assert ended.returncode == 1
    assert f"Airflow is running for this project, in process {server.process.pid} @ {server.place}" in ended.stderr


def test_what_has_ended_is_started_again(server: Server) -> None:
    def triggerers() -> set[int]:
        return {pid for pid, text in server.processes().items() if "supervisor.py" in text and "triggerer" in text}

    (before,) = triggerers()
    os.kill(before, signal.SIGTERM)
    wait(lambda: "triggerer has ended" in server.told(), "a word about it", 30)
    wait(lambda: triggerers() - {before}, "another", 30)


@pytest.mark.usefixtures("server")  # and no database of the tests' own
def test_nothing_is_left_when_its_terminal_is_closed(tmp_path: Path) -> None:
    """It is closed while the servers are starting."""
    (tmp_path / "dags").mkdir()
    (tmp_path / "dags" / "none.py").touch()
    port, other = map(str, free_ports(2))
    command = [str(TURNOUT), "airflow", "--environment", str(AIRFLOW.parent), "--port", port, "--mlflow-port", other]
    pid, terminal = pty.fork()
    if not pid:
        os.chdir(tmp_path)
        os.execv(command[0], command)

    def started() -> list[int]:
        """The processes that name this directory."""
        found = [place for place in Path("/proc").glob("[0-9]*") if place.name != str(pid)]
        return [int(place.name) for place in found if lives(int(place.name)) and names(place / "cmdline", tmp_path)]

    wait((tmp_path / ".airflow" / "servers" / "scheduler.log").exists, "the servers", 90)
    assert started()
    os.close(terminal)
    _, status = os.waitpid(pid, 0)
    assert status == 0
    assert started() == []


def names(file: Path, directory: Path) -> bool:
    try:
        return bytes(directory) in file.read_bytes()
    except OSError:  # it has ended
        return False
