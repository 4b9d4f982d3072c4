"""What `check` passes of pipelines with faults in them, Airflow imports: see `tests/contract/test_mutants.py`."""

from __future__ import annotations

import os
import runpy
import subprocess
from pathlib import Path

from airflow.serialization.serialized_objects import DagSerialization
from conftest import COMPONENTS, PROJECT

COUNT = int(os.environ.get("TURNOUT_MUTANTS", "300")) // 5


def test_what_check_passes_is_imported_and_serialised(tmp_path: Path) -> None:
    program = PROJECT / "tests" / "contract" / "mutants.py"
    subprocess.run([COMPONENTS / "python", program, tmp_path, str(COUNT), "7"], cwd=PROJECT, check=True)
    files = sorted(tmp_path.glob("*/*.py"))
    assert len(files) == COUNT
    for file in files:
        dag = runpy.run_path(str(file))["dag"]
        dag.check_cycle()
        assert DagSerialization.to_dict(dag)["dag"]["dag_id"] == dag.dag_id, file
