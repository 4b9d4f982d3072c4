"""What in a user's modules may give another answer with the same files and variables: clocks, chance, native readers.

Nothing tells when code has read a clock. So the source is searched for names that look like it, in all that may run
when the modules are imported: their top level, and functions whose names are used there or in such functions. The body
of a `@component` runs in a step only. To doubt too often makes a command slow; too seldom would make it wrong.
"""

from __future__ import annotations

import ast
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path

_RESTLESS = {
    "choice", "choices", "cpu_count", "ctime", "default_rng", "environb", "getenvb", "getlogin", "getmtime", "getpid",
    "getrandbits", "getuser", "gethostname", "gmtime", "localtime", "monotonic", "now", "perf_counter", "randint",
    "random", "randrange", "shuffle", "st_atime", "st_ctime", "st_mtime", "st_mtime_ns", "strftime", "time", "time_ns",
    "today", "token_bytes", "token_hex", "token_urlsafe", "uname", "urandom", "utcnow", "uuid1", "uuid4"
}  # fmt: skip
_NATIVE = ("connect", "dataset", "from_file", "load_", "memmap", "open_", "parquet", "query", "read_", "scan_")
_THROUGH_PYTHON = {"load_component_from_file", "load_component_from_text", "load_component_from_url"} | {
    "open_binary", "open_text", "read_binary", "read_bytes", "read_text"
}  # fmt: skip
_IN_STEPS = {"component", "notebook_component"}
_PLAIN = {"cache", "classmethod", "lru_cache", "property", "staticmethod", "wraps"}

_Function = ast.FunctionDef | ast.AsyncFunctionDef


def doubts(files: Iterable[Path], native: bool, packages: Collection[str]) -> list[str]:
    """Each name that raises a doubt, with its file and line.

    Args:
        files: the sources of the user's modules.
        native: whether the modules have loaded libraries that can read files without Python's knowledge.
        packages: all packages with such libraries, also those that were loaded before.
    """
    trees = [(file, ast.parse(file.read_bytes())) for file in files]
    native = native or any(name in packages for _, tree in trees for name in _imported(tree))
    waiting: dict[str, list[tuple[Path, _Function]]] = {}
    for file, tree in trees:
        for node in ast.walk(tree):
            if isinstance(node, _Function) and not _runs_with_its_definition(node) and not _in_steps(node):
                waiting.setdefault(node.name, []).append((file, node))
    found: dict[str, None] = {}
    queue: list[tuple[Path, list[ast.AST]]] = [(file, [*tree.body]) for file, tree in trees]
    while queue:
        file, nodes = queue.pop()
        for name, line in _names(nodes):
            if _is_doubtful(name, native):
                found[f"'{name}' in {file}:{line}"] = None
            queue += [(home, [*function.body]) for home, function in waiting.pop(name, [])]
    return sorted(found)


def _imported(tree: ast.AST) -> Iterator[str]:
    """The packages that a module imports, wherever it does."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module.partition(".")[0]


def _is_doubtful(name: str, native: bool) -> bool:
    if name in _RESTLESS or name in ("ctypes", "cffi"):
        return True
    return native and any(part in name.lower() for part in _NATIVE) and name not in _THROUGH_PYTHON


def _names(nodes: list[ast.AST]) -> Iterator[tuple[str, int]]:
    """The names that are used in code when it runs, of functions in it only their decorators and defaults."""
    queue = list(nodes)
    while queue:
        node = queue.pop()
        if isinstance(node, ast.Name):
            yield node.id, node.lineno
        elif isinstance(node, ast.Attribute):
            yield node.attr, node.lineno
        elif isinstance(node, ast.ImportFrom):
            # Under another name, a use of it would not be seen.
            yield from ((alias.name, node.lineno) for alias in node.names if alias.asname not in (None, alias.name))
        elif isinstance(node, ast.Import):
            yield from ((part, node.lineno) for alias in node.names for part in alias.name.split(".") if alias.asname)
        if isinstance(node, _Function):
            queue += [*node.decorator_list, *node.args.defaults, *filter(None, node.args.kw_defaults)]
            if _runs_with_its_definition(node):
                queue += node.body
        else:
            queue += ast.iter_child_nodes(node)


def _in_steps(node: _Function) -> bool:
    return bool(_decorators(node) & _IN_STEPS)


def _runs_with_its_definition(node: _Function) -> bool:
    """Whether a function may run though nothing names it: a pipeline's, one of Python's protocols."""
    if _in_steps(node):
        return False
    return bool(_decorators(node) - _PLAIN) or (node.name.startswith("__") and node.name.endswith("__"))


def _decorators(node: _Function) -> set[str]:
    found = set()
    for item in node.decorator_list:
        called = item.func if isinstance(item, ast.Call) else item
        found.add(called.attr if isinstance(called, ast.Attribute) else getattr(called, "id", "?"))
    return found
