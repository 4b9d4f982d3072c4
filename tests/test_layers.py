"""Which room of the house may use which: the documented arrows, held against the import graph."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

from paths import PACKAGE

DOMAIN = {"data", "features", "models", "trackers", "engines", "inference", "monitoring", "reports"}
"""What components are made of. It knows no track, no plan and no execution."""

ALLOWED: dict[str, set[str]] = {
    "errors": set(),
    "task_ids": set(),  # DAG files load it when they are parsed, and nothing of plan or spec
    "names": set(),
    "extras": set(),
    "project": {"errors", "spec"},
    "images": {"", "errors", "project", "spec"},
    "spec": {"errors"},
    "plan": {"errors", "names", "spec"},
    "execution": {"errors", "spec", "plan", "data"},  # of data, the digest of a file's content
    "runtimes": {"errors", "names", "spec", "plan", "execution"},
    "tracks": {"errors", "task_ids", "spec", "plan", "execution", "runtimes", "reports"},
    "airflow": {"errors", "task_ids", "spec", "plan", "execution", "runtimes", "tracks", "reports"},
    "authoring": {"", "errors", "spec", "execution", "project"},  # of execution, the digest of a component's code
    "standalone": {"errors", "runtimes"},  # of runtimes, what ends a command with all that it has started
    "verbs": {"errors", "spec", "plan", "execution", "tracks", "authoring", "project"},
    "recall": {"", "errors", "execution"},  # of execution, where the user's cache is
    "migration": {"errors", "spec", "authoring", "verbs"},
    "reproduction": {"errors", "data", "models", "trackers"},
    "__main__": {"cli"},
    "cli": {
        "",
        "errors",
        "images",
        "project",
        "spec",
        "plan",
        "execution",
        "runtimes",
        "verbs",
        "tracks",
        "recall",
        "monitoring",
        "migration",
        "reproduction",
        "reports",
        "serving",
        "standalone",
    },
    **{name: {"errors", *DOMAIN} for name in DOMAIN},
    "reports": {"errors", "spec", "plan"},  # a run's page draws its plan
    "monitoring": {"errors", "spec", *DOMAIN} - {"inference"},
    "serving": {"errors", "runtimes", *DOMAIN},  # of runtimes, what ends a process with all that it has started
    "engines": {"errors", "data"},  # they run a function over pieces, and know nothing of what it does
    **{name: {"", "components", "pipelines", "errors", "serving", *DOMAIN} for name in ("components", "pipelines")},
}
"""The other rooms whose modules each room may import, beside `extras`; `""` is `turnout` itself."""


def imports(file: Path) -> Iterator[str]:
    """The modules of Turnout that a file imports when it runs, inside functions too."""
    tree = ast.parse(file.read_text(encoding="utf-8"))
    for_types = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
        for inner in ast.walk(node)
    }
    for node in ast.walk(tree):
        if id(node) in for_types:
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def room(module: str) -> str:
    """The package below `turnout` that a module is in; `""` for a name of `turnout` itself."""
    name = module.split(".")[1] if "." in module else ""
    return name if (PACKAGE / name).is_dir() or (PACKAGE / f"{name}.py").is_file() else ""


def file_of(module: str) -> str:
    """The file that a module, or a name in one, stands in."""
    parts = module.split(".")[1:]
    for length in range(len(parts), 0, -1):
        path = PACKAGE.joinpath(*parts[:length])
        for file in (path.with_suffix(".py"), path / "__init__.py"):
            if file.is_file():
                return str(file.relative_to(PACKAGE.parent))
    return "turnout/__init__.py"


def violations(package: Path = PACKAGE) -> list[str]:
    found = []
    for file in sorted(package.rglob("*.py")):
        name = file.relative_to(package).with_suffix("").parts[0]
        for module in imports(file) if name != "__init__" else ():
            if module.split(".")[0] == "turnout" and (other := room(module)) not in (name, "extras", *ALLOWED[name]):
                where = file.relative_to(package.parent)
                found.append(f"{where} imports {file_of(module)}: {name} may not use {other or 'turnout'}")
    return found


def test_every_import_follows_a_documented_arrow() -> None:
    assert violations() == []


def test_the_rooms_are_those_that_are_documented() -> None:
    rooms = {path.stem for path in PACKAGE.iterdir() if path.suffix in ("", ".py")} - {"__init__", "__pycache__"}
    assert rooms == set(ALLOWED)


def test_rooms_below_do_not_use_those_above() -> None:
    order = ("errors", "spec", "plan", "execution", "runtimes", "tracks", "verbs", "cli")
    for index, name in enumerate(order):
        assert not ALLOWED[name] & set(order[index:]), name


def test_a_violation_names_both_files(tmp_path: Path) -> None:
    file = tmp_path / "turnout" / "plan" / "wrong.py"
    file.parent.mkdir(parents=True)
    file.write_text("def late():\n    from turnout.execution.store import ArtifactStore\n")
    (found,) = violations(tmp_path / "turnout")
    assert found == "turnout/plan/wrong.py imports turnout/execution/store.py: plan may not use execution"
