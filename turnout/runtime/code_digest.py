"""The digest of a component's code: its module, and what that imports from the same code base.

It stands in the component's arguments, so that every cache key (KFP's server makes its own from the
arguments) changes when the code does, and only then: Turnout's own authoring and running layers, and
installed libraries, do not count.
"""

from __future__ import annotations

import ast
import functools
import hashlib
import importlib.util
import sys
from collections.abc import Iterator
from pathlib import Path

_LAYERS = {"airflow", "authoring", "cli", "errors", "plan", "runtime", "source", "spec", "tracks"}


@functools.cache
def code_digest(module: str) -> str:
    """The digest of an imported module's code, as `sha256:` and 64 hexadecimal digits."""
    source = getattr(sys.modules[module], "__file__", None)
    if not source:
        return ""
    path = Path(source)
    root = _root(module, path)
    hasher = hashlib.sha256()
    for name, file in sorted(_reachable(module, root).items()):
        hasher.update(f"{name}\0".encode() + file.read_bytes().replace(b"\r\n", b"\n") + b"\0")
    return f"sha256:{hasher.hexdigest()}"


def libraries(module: str) -> list[str]:
    """The modules from outside its code base that a module's code imports, also inside functions."""
    spec = importlib.util.find_spec(module)
    if spec is None or not spec.origin:
        return []
    files = _reachable(module, _root(module, Path(spec.origin)))
    found = (item for name, file in sorted(files.items()) for item in _imports(file, name))
    outside = (item for item in found if item not in files and item.rpartition(".")[0] not in files)
    return list(dict.fromkeys(item for item in outside if item.partition(".")[0] not in {"__future__", "turnout"}))


def _root(module: str, path: Path) -> Path:
    return path.absolute().parents[module.count(".") + (path.name == "__init__.py")]


def _reachable(module: str, root: Path) -> dict[str, Path]:
    found: dict[str, Path] = {}
    queue = [module]
    while queue:
        name = queue.pop()
        file = _file(name, root)
        if file is None or name in found:
            continue
        found[name] = file
        queue.extend(item for item in _imports(file, name) if _same_code_base(item, module))
    return found


def _same_code_base(name: str, module: str) -> bool:
    top, *rest = name.split(".")
    if top == "turnout":
        return module.startswith("turnout.") and bool(rest) and rest[0] not in _LAYERS
    return top == module.split(".")[0] or "." not in module


def _file(name: str, root: Path) -> Path | None:
    base = root.joinpath(*name.split("."))
    if "site-packages" in root.parts and not name.count("."):
        return None
    return next((file for file in (base.with_suffix(".py"), base / "__init__.py") if file.is_file()), None)


@functools.cache
def _imports(file: Path, module: str) -> tuple[str, ...]:
    return tuple(_walk(ast.parse(file.read_bytes()), module, file.name == "__init__.py"))


def _walk(tree: ast.AST, module: str, is_package: bool) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                package = module.split(".") if is_package else module.split(".")[:-1]
                package = package[: len(package) - node.level + 1]
                base = ".".join([*package, base] if base else package)
            yield base
            yield from (f"{base}.{alias.name}" for alias in node.names)
