"""A pipeline of components from everywhere, on Airflow; `tests/migration/test_mixing.py` runs it elsewhere."""

from __future__ import annotations

import functools
import os
import subprocess
import threading
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from conftest import COMPONENTS, DAGS, PROJECT, run_dag
from test_dags import pulled

WANTED = 'CustomJob jobs/hello, file?/it\'s "ours" of 2 rows!'


def test_components_from_everywhere_run_in_one_dag(airflow: Path, tmp_path: Path) -> None:
    from airflow.dag_processing.dagbag import DagBag

    examples = PROJECT / "tests" / "examples"
    handler = functools.partial(SimpleHTTPRequestHandler, directory=str(examples / "mixing_parts"))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        environment = {**os.environ, "MIXING_URL": f"http://127.0.0.1:{server.server_port}", "no_proxy": "127.0.0.1"}
        command = [COMPONENTS / "turnout", "compile", examples / "mixing.py", "--out", DAGS / "mixing"]
        subprocess.run(command, cwd=PROJECT, env=environment, check=True)
        server.shutdown()
    (tmp_path / "table.csv").write_text("name,price\ntea,2.5\ncake,4.0\n")
    dag = DagBag(str(DAGS / "mixing" / "mixing.py"), bundle_name="dags-folder").dags["mixing"]
    run = run_dag(dag, {"source": str(tmp_path / "table.csv")})
    assert str(run.state) == "success"
    assert pulled(run, "outputs-of-the-run", "Output") == WANTED
