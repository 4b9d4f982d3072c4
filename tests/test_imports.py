"""What may import what, proved in fresh interpreters."""

from __future__ import annotations

import subprocess
import sys

import pytest

SCIENCE = ("kfp", "airflow", "pandas", "numpy", "sklearn", "mlflow", "feast", "great_expectations", "pyspark", "dvc")
CORE = [
    "turnout",
    "turnout.airflow.provider",
    "turnout.cli.app",
    "turnout.plan.link",
    "turnout.plan.progress",
    "turnout.plan.values",
    "turnout.plan.task",
    "turnout.execution.executor",
    "turnout.execution.launcher",
    "turnout.runtimes.warm",
    "turnout.spec.document",
    "turnout.tracks.airflow.dag_file",
    "turnout.tracks.files",
    "turnout.tracks.kfp",
    "turnout.tracks.local.runner",
]


def loaded_by(module: str) -> set[str]:
    code = f"import sys; before = set(sys.modules); import {module}; print(*(set(sys.modules) - before))"
    if module.startswith("turnout.airflow."):  # beside operators, which need Airflow
        code = code.replace(
            f"import {module};", f"import runpy; runpy.run_path('turnout/{module[8:].replace('.', '/')}.py');"
        )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return {name.partition(".")[0] for name in done.stdout.split()}


@pytest.mark.parametrize("module", CORE)
def test_the_core_imports_neither_kfp_nor_airflow_nor_science(module: str) -> None:
    assert loaded_by(module).isdisjoint(SCIENCE)


def test_import_turnout_loads_nothing_but_itself_and_the_standard_library() -> None:
    assert loaded_by("turnout") - set(sys.stdlib_module_names) == {"turnout"}


def test_expectations_load_no_clients_of_stores_and_engines_and_leave_them_to_be_loaded() -> None:
    code = (
        "import sys, pandas\n"
        "from turnout.data.expectations import check\n"
        "kwargs = {'column': 'a', 'min_value': 0}\n"
        "suite = {'name': 's', 'expectations': [{'type': 'expect_column_values_to_be_between', 'kwargs': kwargs}]}\n"
        "(found,) = check(pandas.DataFrame({'a': [1, -1]}), suite, 's')\n"
        "print(found.unexpected, *({'pyspark', 'azure', 'boto3', 'great_expectations'} & set(sys.modules)))\n"
        "import boto3\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["1", "great_expectations"]
