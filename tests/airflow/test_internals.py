"""What Turnout takes from inside Airflow is in one file, and is where it was seen."""

from __future__ import annotations

import ast
import importlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from airflow import __version__ as version
from paths import PACKAGE

INTERNALS = PACKAGE / "airflow" / "internals.py"
PUBLIC = ("airflow.sdk", "airflow.sdk.exceptions", "airflow.plugins_manager", "airflow.listeners")
SEEN = {
    "airflow.sdk.bases.timetable": ["BaseTimetable"],
    "airflow.sdk.definitions._internal.contextmanager": ["TaskGroupContext"],
    "airflow.sdk.definitions._internal.expandinput": ["DictOfListsExpandInput"],
    "airflow.sdk.definitions.param": ["DagParam"],
    "airflow.sdk.definitions.taskgroup": ["MappedTaskGroup"],
    "airflow.timetables.base": ["Timetable"],
    "airflow.api_fastapi.app": ["get_auth_manager"],
    "airflow.api_fastapi.auth.managers.models.resource_details": ["DagDetails", "DagAccessEntity"],
    "airflow.api_fastapi.core_api.security": ["get_user", "requires_access_dag"],
    "airflow.models.dag": ["DagModel"],
    "airflow.models.dagrun": ["DagRun"],
    "airflow.models.serialized_dag": ["SerializedDagModel"],
    "airflow.models.taskinstance": ["TaskInstance"],
    "airflow.models.xcom": ["XComModel"],
    "airflow.utils.session": ["create_session"],
}


def internals(file: Path) -> Iterator[tuple[str, str]]:
    """The names that a file imports from inside Airflow, with their modules."""
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "airflow":
            if node.module not in PUBLIC and not node.module.startswith("airflow.providers."):
                yield from ((node.module, alias.name) for alias in node.names)
        elif isinstance(node, ast.Import):
            yield from ((alias.name, "") for alias in node.names if alias.name.split(".")[0] == "airflow")


def test_one_file_imports_from_inside_airflow() -> None:
    found = {file.relative_to(PACKAGE).as_posix() for file in PACKAGE.rglob("*.py") if any(internals(file))}
    assert found == {"airflow/internals.py"}


def test_the_names_are_those_that_are_listed_here() -> None:
    found: dict[str, list[str]] = {}
    for module, name in internals(INTERNALS):
        names = found.setdefault(module, [])
        names.extend([name] * (name not in names))
    assert found == SEEN


@pytest.mark.parametrize("module", SEEN)
def test_a_name_is_where_it_was_seen(module: str) -> None:
    from turnout.airflow.internals import SEEN_IN

    names = [name for name in SEEN[module] if not hasattr(importlib.import_module(module), name)]
    assert not names, f"Airflow {version} has no {names} in {module}; they were seen in {SEEN_IN}"
