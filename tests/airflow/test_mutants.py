"""What `check` passes of pipelines with faults in them, Airflow imports: see `tests/contract/test_mutants.py`."""

from __future__ import annotations

import os
import runpy
import subprocess
from pathlib import Path

import pytest
from airflow.serialization.serialized_objects import DagSerialization
from conftest import COMPONENTS, PROJECT

COUNT = int(os.environ.get("TURNOUT_MUTANTS", "300")) // 5


@pytest.mark.slow
@pytest.mark.parametrize("count", [COUNT // 4, pytest.param(COUNT, marks=pytest.mark.nightly)])
def test_what_check_passes_is_imported_and_serialised(tmp_path: Path, count: int) -> None:
    program = PROJECT / "tests" / "contract" / "mutants.py"
    subprocess.run([COMPONENTS / "python", program, tmp_path, str(count), "7"], cwd=PROJECT, check=True)
    files = sorted(tmp_path.glob("*/*.py"))
    assert len(files) == count
    for file in files:
        dag = runpy.run_path(str(file))["dag"]
        dag.check_cycle()
        assert DagSerialization.to_dict(dag)["dag"]["dag_id"] == dag.dag_id, file
