"""SOURCE on the command line: `module:pipeline`, `path.py[:name]`, a compiled KFP YAML, or a package of one."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

from turnout.authoring import kfp_sdk
from turnout.authoring.user_errors import user_fault
from turnout.errors import DefinitionError, SourceError, TurnoutError, did_you_mean
from turnout.spec.document import FILES, Document, read_file


def load(source: str) -> Document:
    """The document that a source names.

    A Python file is imported as the module that it is in its code base, and its directory is put on
    PYTHONPATH, so that steps in other processes import the same components.

    Raises:
        SourceError: nothing is there, or not exactly one pipeline.
        DefinitionError: the file cannot be imported, or a component or pipeline in it cannot be written down.
        SpecError: a YAML file is not a KFP pipeline.
    """
    if source.endswith(FILES):
        return read_file(Path(source))
    target, _, name = source.partition(":")
    module = _module(target, source)

    from turnout.authoring.pipeline import compile_pipeline

    found = _in_module(module)
    if name and name not in found:
        hint = did_you_mean(name, found)
        raise SourceError(f"no pipeline '{name}'", where=target, available=tuple(found), hint=hint)
    own = _own(found, module) or found
    if not name and len(own) != 1:
        what = "no pipeline here" if not own else "more than one pipeline here"
        hint = "decorate a function with @pipeline" if not own else f"name one: {target}:{next(iter(own))}"
        raise SourceError(what, where=target, available=tuple(own), hint=hint)
    return compile_pipeline(found[name] if name else next(iter(own.values())))


def pipelines_in(target: str) -> dict[str, Any]:
    """The pipelines that are made in a module, or in a `.py` file, by the names of their variables.

    Raises:
        SourceError, DefinitionError: as `load` does; there is none.
    """
    module = _module(target, target)
    own = _own(_in_module(module), module)
    if not own:
        raise SourceError("no pipeline here", where=target, hint="decorate a function with @pipeline")
    return own


def _module(target: str, source: str) -> ModuleType:
    kfp_sdk.mend()
    return _import_file(Path(target)) if target.endswith(".py") else _import(target, source)


def _in_module(module: ModuleType) -> dict[str, Any]:
    from turnout.authoring.pipeline import is_pipeline

    return {key: value for key, value in vars(module).items() if is_pipeline(value)}


def _own(found: dict[str, Any], module: ModuleType) -> dict[str, Any]:
    """The pipelines of a module but for another's, which may be here since its own are partly made of it."""
    return {key: value for key, value in found.items() if value.pipeline_func.__module__ == module.__name__}


def _import_file(path: Path) -> ModuleType:
    if not path.is_file():
        raise SourceError("no such file", where=str(path))
    root, module = _module_of(path.resolve())
    _put_on_path(root)
    _make_way(root)
    return _import(module, str(path))


def _make_way(root: Path) -> None:
    """Forget the modules of other code bases that are called as some of this one: each may have its `pipeline.py`."""
    here, ours = str(root), Path(__file__).parents[1]
    if sys.path[0] != here:
        sys.path[:] = [here, *(entry for entry in sys.path if entry != here)]
    for name, module in list(sys.modules.items()):
        file = getattr(module, "__file__", None)
        top = name.partition(".")[0]
        if not file or not (_USED & {*map(str, Path(file).parents)}) or ours in Path(file).parents:
            continue
        own = root / top
        if (own.is_dir() or own.with_suffix(".py").is_file()) and root not in Path(file).parents:
            del sys.modules[name]
    _USED.add(here)


_USED: set[str] = set()
"""The roots of the code bases that files were imported from."""


def make_importable(function: Callable[..., Any]) -> None:
    """Let steps, in other processes, import what a function's module imports: its code base is on their path."""
    file = getattr(sys.modules.get(function.__module__), "__file__", None)
    if file:
        _put_on_path(_module_of(Path(file).resolve())[0])


def _put_on_path(root: Path) -> None:
    entries = [str(root), *(entry for entry in os.environ.get("PYTHONPATH", "").split(os.pathsep) if entry)]
    for entry in entries:
        if entry not in sys.path:
            sys.path.insert(0, entry)
    os.environ["PYTHONPATH"] = os.pathsep.join(dict.fromkeys(entries))


def _module_of(path: Path) -> tuple[Path, str]:
    """The root of a file's code base, and its module name from there."""
    for package in ("components", "pipelines"):
        folder = Path(__file__).parents[1] / package
        if path.parent == folder:
            return Path(__file__).parents[2], f"turnout.{package}.{path.stem}"
    root, names = path.parent, [path.stem]
    while (root / "__init__.py").is_file():
        names.insert(0, root.name)
        root = root.parent
    return root, ".".join(names)


def _import(module: str, source: str) -> ModuleType:
    if str(Path.cwd()) not in sys.path:
        sys.path.insert(0, str(Path.cwd()))
    try:
        return importlib.import_module(module)
    except TurnoutError:
        raise
    except ModuleNotFoundError as error:
        if f"{module}.".startswith(f"{error.name}."):
            hint = "SOURCE is module:pipeline, path.py[:name], or a compiled .yaml, .zip or .tar.gz"
            raise SourceError(f"no module '{error.name}'", where=source, hint=hint) from error
        raise DefinitionError([user_fault(error, source)]) from error
    except (Exception, SystemExit) as error:
        raise DefinitionError([user_fault(error, source)]) from error
