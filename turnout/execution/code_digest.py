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

_LAYERS = {"airflow", "authoring", "cli", "errors", "execution", "plan", "runtimes", "spec", "tracks"}


@functools.cache
def code_digest(target: str) -> str:
    """The digest of a component's code, given as `module:function`: `sha256:` and 64 hexadecimal digits.

    Of its own module counts all but the other components and pipelines there; the module is imported.
    """
    module, _, function = target.partition(":")
    source = getattr(sys.modules[module], "__file__", None)
    if not source:
        return ""
    path = Path(source)
    own = _without_others(ast.parse(path.read_bytes()), function)
    root = _root(module, path)
    imports = set(_walk(own, module, path.name == "__init__.py"))
    found = {
        name: file
        for imported in sorted(imports)
        if _same_code_base(imported, module)
        for name, file in _reachable(imported, root, module).items()
    }
    found.pop(module, None)
    hasher = hashlib.sha256(ast.unparse(own).encode())
    for name, file in sorted(found.items()):
        hasher.update(f"{name}\0".encode() + file.read_bytes().replace(b"\r\n", b"\n") + b"\0")
    return f"sha256:{hasher.hexdigest()}"


def _without_others(tree: ast.Module, function: str) -> ast.Module:
    """A module without the components and pipelines in it that are not the one asked for."""

    def is_other(node: ast.stmt) -> bool:
        if not isinstance(node, ast.FunctionDef) or node.name == function:
            return False
        names = {name for item in node.decorator_list for name in _names(item)}
        return bool(names & {"component", "container_component", "notebook_component", "pipeline"})

    return ast.Module([node for node in tree.body if not is_other(node)], tree.type_ignores)


def _names(decorator: ast.expr) -> Iterator[str]:
    """The last name of a decorator: `component` in `@dsl.component(...)`."""
    node = decorator.func if isinstance(decorator, ast.Call) else decorator
    if isinstance(node, ast.Attribute):
        yield node.attr
    elif isinstance(node, ast.Name):
        yield node.id


def libraries(module: str) -> list[str]:
    """The modules from outside its code base that a module's code imports, also inside functions."""
    spec = importlib.util.find_spec(module)
    if spec is None or not spec.origin:
        return []
    files = _reachable(module, _root(module, Path(spec.origin)), module)
    found = (item for name, file in sorted(files.items()) for item in _imports(file, name))
    outside = (item for item in found if item not in files and item.rpartition(".")[0] not in files)
    return list(dict.fromkeys(item for item in outside if item.partition(".")[0] not in {"__future__", "turnout"}))


def _root(module: str, path: Path) -> Path:
    return path.absolute().parents[module.count(".") + (path.name == "__init__.py")]


def _reachable(start: str, root: Path, module: str) -> dict[str, Path]:
    """The modules of `module`'s code base that a module of it imports, itself among them."""
    found: dict[str, Path] = {}
    queue = [start]
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


@functools.cache
def _file(name: str, root: Path) -> Path | None:
    if "site-packages" in root.parts and not name.count("."):
        return None
    base = root.joinpath(*name.split("."))
    return next((file for file in (base.with_suffix(".py"), base / "__init__.py") if file.is_file()), None)


@functools.cache
def _imports(file: Path, module: str) -> tuple[str, ...]:
    return tuple(_walk(ast.parse(file.read_bytes()), module, file.name == "__init__.py"))


def _walk(tree: ast.AST, module: str, is_package: bool) -> Iterator[str]:
    for node in _statements(tree):
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


def _statements(node: ast.AST) -> Iterator[ast.AST]:
    """The statements in a module or another; expressions, most of the tree, hold none."""
    for name in ("body", "orelse", "finalbody", "handlers", "cases"):
        for inner in getattr(node, name, ()):
            yield inner
            yield from _statements(inner)
