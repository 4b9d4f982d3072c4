"""Whether all that an answer came from is still the same: by content, never by time alone."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import importlib.machinery
import json
import os
import stat
import sys
import time
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from turnout.recall.doubts import doubts
from turnout.recall.trace import START_NS, Trace, is_library, signature

LARGEST = 64 * 2**20
"""Bytes of the largest file that is read again and again."""

_SETTLED_NS = 50 * 10**6
"""Nanoseconds after which a file system's clock has moved on: a later change has another time."""

_SUFFIXES = tuple(importlib.machinery.all_suffixes())


@dataclass(frozen=True)
class Evidence:
    """What an answer came from. Libraries, thousands of files, are the same for many answers: sets of them are named.

    Attributes:
        contents: the digests of files; other words for what is none.
        links: where links lead.
        listings: digests of the names in directories.
        searched: by directory, the names of modules that were looked for, and a digest of what is there for them.
        loaded: the set of names of modules that were loaded before; in each such directory they might be found first.
        distributions: digests of what is installed, by directory.
        variables: digests of the environment's; `None` for one that was not set.
        libraries: the sets of files of installed code.
    """

    contents: dict[str, str] = field(default_factory=dict)
    links: dict[str, str] = field(default_factory=dict)
    listings: dict[str, str] = field(default_factory=dict)
    searched: dict[str, tuple[list[str], str]] = field(default_factory=dict)
    loaded: str = ""
    distributions: dict[str, str] = field(default_factory=dict)
    variables: dict[str, str | None] = field(default_factory=dict)
    libraries: list[str] = field(default_factory=list)

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


class World:
    """What is there now; each thing is looked at once."""

    def __init__(self, sets: Sets):
        self.sets = sets
        self.content = functools.cache(content)
        self.listing = functools.cache(listing)
        self.modules = functools.cache(_modules)
        self.library = functools.cache(sets.unchanged)
        self.distributions = functools.cache(distributions)

    def confirms(self, evidence: Mapping[str, Any]) -> bool:
        """Whether an answer with this evidence would come out again. Raises KeyError for what is no evidence."""
        return (
            all(_variable(name) == value for name, value in evidence["variables"].items())
            and all(self.content(path) == value for path, value in evidence["contents"].items())
            and all(_link(path) == value for path, value in evidence["links"].items())
            and all(self.listing(path) == value for path, value in evidence["listings"].items())
            and all(
                _found(self.modules(path), {*names, *self.sets.texts(evidence["loaded"])}) == there
                for path, (names, there) in evidence["searched"].items()
            )
            and all(self.distributions(path) == value for path, value in evidence["distributions"].items())
            and all(self.library(name) for name in evidence["libraries"])
        )


class Sets:
    """Sets of files or names, each kept once in a directory by the digest of what is in it."""

    def __init__(self, keep: Any, read: Any):
        self._keep, self._read = keep, read
        self.texts = functools.cache(self._texts)

    def keep_texts(self, names: Iterable[str]) -> str:
        text = sorted(names)
        return self._put(text, text)

    def _texts(self, name: str) -> frozenset[str]:
        return frozenset(self._read(name) or ())

    def keep_files(self, paths: Iterable[str]) -> str:
        """Keep files of installed code with their digests, and with what tells that they need not be read again."""
        found = {path: [content(path), _settled(path)] for path in sorted(paths)}
        return self._put({path: digest for path, (digest, _) in found.items()}, found)

    def unchanged(self, name: str) -> bool:
        """Whether each file has the same content as when the set was made."""
        known = self._read(name)
        if not known:
            return False
        moved = {path for path, (_, settled) in known.items() if settled is None or _sign(path) != settled}
        if any(content(path) != known[path][0] for path in moved):
            return False
        if len(moved) > 10:  # a fresh checkout or installation: from now on, nothing needs to be read
            self._keep(name, {path: [item[0], _settled(path)] for path, item in known.items()})
        return True

    def _put(self, told: Any, value: Any) -> str:
        name = _digest(json.dumps(told))
        if self._read(name) is None:
            self._keep(name, value)
        return name


@dataclass(frozen=True)
class Base:
    """What is loaded before the user's modules, for all answers of a process.

    Attributes:
        modules: their names.
        files: their files, those of installed code.
        known: the set of these files.
        tops: the names that were looked for in `sys.path`.
        names: the set of these names.
        doubt: why nothing that comes from them is known.
    """

    modules: frozenset[str]
    files: frozenset[str]
    known: str
    names: str
    tops: frozenset[str]
    doubt: str


def base_of(modules: Mapping[str, Any], sets: Sets) -> Base:
    """The base of answers that are given from now on."""
    files = frozenset(path for module in modules.values() if (path := _source(module)) and is_library(path))
    tops = frozenset(name.partition(".")[0] for name in modules)
    return Base(frozenset(modules), files, sets.keep_files(files), sets.keep_texts(tops), tops, _new(files))


def evidence_of(trace: Trace, modules: Mapping[str, Any], base: Base, sets: Sets) -> Evidence | list[str]:
    """What an answer came from; or why that is not known.

    Args:
        trace: what was looked at.
        modules: those that are loaded now, by name.
    """
    sources = {name: path for name, module in modules.items() if name != "__main__" and (path := _source(module))}
    paths = {*sources.values(), *trace.files}
    own = {path for path in paths if not is_library(path)}
    more = paths - own - base.files
    reasons = [*trace.doubts, *(f"{path} has changed meanwhile" for path in own if _moved(path, trace))]
    reasons += [f"it reads {path}, which is large" for path in own if (_sign(path) or [0])[1:2] > [LARGEST]]
    reasons += [base.doubt or _new({*more, *filter(is_library, map(os.path.abspath, sys.path))})]
    reasons = [*filter(None, reasons)]
    loaded = {path for name, path in sources.items() if name not in base.modules}
    code = {Path(path) for path in loaded & own if path.endswith(".py")}
    native = {name.partition(".")[0] for name, path in sources.items() if _is_native(path)}
    if reasons or (reasons := doubts(sorted(code), any(map(_is_native, loaded)), native)):
        return sorted(reasons)
    searched = {place: set(names) for place, names in trace.searched.items()}
    for entry in sys.path:
        if not is_library(place := os.path.abspath(entry)):
            searched.setdefault(place, set())
    return Evidence(
        {path: content(path) for path in own},
        {path: _link(path) for path in trace.links if not is_library(path)},
        {path: _digest("\0".join(names)) for path, names in trace.listings.items()},
        {place: (sorted(names), _found(_modules(place), {*names, *base.tops})) for place, names in searched.items()},
        base.names,
        {path: distributions(path) for path in trace.distributions},
        {name: None if value is None else _digest(value) for name, value in trace.variables.items()},
        [base.known, *([sets.keep_files(more)] if more else [])],
    )


def content(path: str) -> str:
    """The digest of a file's content, or what else is there."""
    try:
        with open(path, "rb", opener=_at_once) as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                return "no file"
            return hashlib.file_digest(file, "sha256").hexdigest()
    except FileNotFoundError:
        return "missing"
    except IsADirectoryError:
        return "directory"
    except (OSError, ValueError) as error:
        return type(error).__name__


def _at_once(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NONBLOCK)  # a pipe would be waited for


def listing(path: str) -> str:
    """The digest of the names in a directory."""
    return _digest("\0".join(_names(path)))


def distributions(path: str) -> str:
    """The digest of the names of what is installed in a directory; its version is in its name."""
    return _digest("\0".join(name for name in _names(path) if name.endswith((".dist-info", ".egg-info"))))


def _names(path: str) -> list[str]:
    try:
        return sorted(os.listdir(path))
    except OSError:
        return []


def _modules(path: str) -> dict[str, list[str]]:
    """The names in a directory that could be found for a module, by the module's name."""
    found: dict[str, list[str]] = {}
    for name in filter(_is_module, _names(path)):
        found.setdefault(name.partition(".")[0], []).append(name)
    return found


def _found(there: Mapping[str, list[str]], names: set[str]) -> str:
    """The digest of the names in a directory that would be found for modules of these names."""
    return _digest("\0".join(sorted(name for module in there.keys() & names for name in there[module])))


def _is_module(name: str) -> bool:
    return name.endswith(_SUFFIXES) or "." not in name


def _link(path: str) -> str:
    try:
        return f"link to {os.readlink(path)}"
    except FileNotFoundError:
        return "missing"
    except OSError:
        return "no link"


def _variable(name: str) -> str | None:
    value = os.environ.get(name)
    return None if value is None else _digest(value)


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()


def _source(module: Any) -> str | None:
    file = getattr(module, "__file__", None)
    return os.path.abspath(file) if isinstance(file, str) else None


def _moved(path: str, trace: Trace) -> bool:
    """Whether a file may have been another when it was read than it is now."""
    now, then = signature(path), trace.files.get(path)
    if path in trace.files and now != then:
        return True
    return now is not None and len(now) > 1 and now[3] > trace.began_ns - _SETTLED_NS


def _new(paths: Iterable[str]) -> str:
    """Why installed code may have changed since this process began to load any; else empty.

    Links that others make to a file change its ctime, and installers may keep its mtime, but not that of directories.
    """
    for path in paths:
        with contextlib.suppress(OSError):
            if os.stat(path).st_mtime_ns > START_NS - _SETTLED_NS:
                return f"{path} is being installed"
    return ""


def _is_native(path: str) -> bool:
    return not path.endswith((".py", ".pyc")) and "-packages" in path


def _sign(path: str) -> list[int] | None:
    found = signature(path)
    return list(found) if found else None


def _settled(path: str) -> list[int] | None:
    """A file's signature; None for one so new that a change might leave it as it is."""
    found = _sign(path)
    return found if found and (len(found) == 1 or found[3] < time.time_ns() - _SETTLED_NS) else None
