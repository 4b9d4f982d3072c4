"""Records what Python code looks at: files, directories, modules that are there or not, variables of the environment.

Python says itself what is opened, listed, started and connected to (audit hooks, PEP 578). It does not say whether a
file was asked for with `exists`, nor which variables were read: for these, `os.stat` and `os.environ` are watched.
"""

from __future__ import annotations

import contextlib
import functools
import importlib.machinery
import os
import stat
import sys
import sysconfig
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

_CHANGES = {
    "ftplib.connect", "http.client.connect", "os.chmod", "os.chown", "os.exec", "os.fork", "os.forkpty", "os.link",
    "os.mkdir", "os.posix_spawn", "os.remove", "os.rename", "os.rmdir", "os.spawn", "os.symlink", "os.system",
    "os.truncate", "os.utime", "pty.spawn", "socket.connect", "socket.getaddrinfo", "socket.gethostbyaddr",
    "socket.gethostbyname", "socket.gethostname", "socket.sendto", "sqlite3.connect", "subprocess.Popen",
    "urllib.Request",
}  # fmt: skip
"""Events after which nobody can say what an answer depends on."""

START_NS = time.time_ns()
"""When this process began, or at least had loaded nothing that answers come from."""

_IMPORTS = "<frozen importlib"
_METADATA = (
    f"{os.sep}importlib{os.sep}metadata{os.sep}__init__.py",
    f"{os.sep}importlib_metadata{os.sep}__init__.py",  # its backport, which some libraries load
)


@dataclass
class Trace:
    """What was looked at.

    Attributes:
        files: paths that were opened or asked for, with what they were then; `None` where nothing was.
        links: paths that were asked for as links.
        listings: directories that were listed, with the names in them.
        searched: directories in which modules were looked for, with the modules' names.
        distributions: directories that were listed for what is installed in them.
        variables: of the environment, as they were first read; `None` where there was none.
        doubts: why this cannot be all, in words.
    """

    files: dict[str, tuple[int, ...] | None] = field(default_factory=dict)
    links: set[str] = field(default_factory=set)
    listings: dict[str, list[str]] = field(default_factory=dict)
    searched: dict[str, set[str]] = field(default_factory=dict)
    distributions: set[str] = field(default_factory=set)
    variables: dict[str, str | None] = field(default_factory=dict)
    doubts: set[str] = field(default_factory=set)
    began_ns: int = field(default_factory=time.time_ns)
    _written: set[str] = field(default_factory=set)

    def saw(self, path: Any) -> None:
        """Note a path that was opened or asked for."""
        place = _absolute(path)
        if place is not None and place not in self.files:
            self.files[place] = signature(place)


_trace: Trace | None = None
_hooked = False


@contextlib.contextmanager
def tracing(trace: Trace) -> Iterator[None]:
    """Record all that this process looks at; for a process without other threads."""
    global _trace, _hooked
    if not _hooked:
        sys.addaudithook(_audit)  # there is no way to take one away
        _hooked = True
    finder, kind = _Searches(trace), type(os.environ)
    before = {name: getattr(os, name) for name in ("stat", "lstat", "access")}
    path_stats = importlib.machinery.SourceFileLoader.path_stats
    sys.meta_path.insert(0, finder)
    os.environ.__class__ = _Environment
    for name, function in before.items():
        setattr(os, name, _noting(function))
    importlib.machinery.SourceFileLoader.path_stats = _from_source(path_stats)  # type: ignore[method-assign]
    _trace = trace
    try:
        yield
    finally:
        _trace = None
        importlib.machinery.SourceFileLoader.path_stats = path_stats  # type: ignore[method-assign]
        for name, function in before.items():
            setattr(os, name, function)
        os.environ.__class__ = kind
        sys.meta_path.remove(finder)


def signature(path: str) -> tuple[int, ...] | None:
    """What tells one state of a file from another without reading it; None when nothing is there."""
    try:
        facts = os.stat(path)
    except (OSError, ValueError):
        return None
    if stat.S_ISDIR(facts.st_mode):
        return (stat.S_IFDIR,)
    return (stat.S_IFMT(facts.st_mode), facts.st_size, facts.st_mtime_ns, facts.st_ctime_ns, facts.st_ino)


@functools.cache
def library_directories() -> tuple[str, ...]:
    """Where installed code is: Python's own, packages, and Turnout."""
    places = {os.path.realpath(sysconfig.get_path(name)) for name in ("stdlib", "platstdlib", "purelib", "platlib")}
    places |= {sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")}
    return tuple(sorted(f"{place}{os.sep}" for place in {*places, str(Path(__file__).parents[1])}))


def is_library(path: str) -> bool:
    """Whether a file is of installed code, and not the user's own."""
    return f"{path}{os.sep}".startswith(library_directories()) or f"{os.sep}site-packages{os.sep}" in f"{path}{os.sep}"


def _absolute(path: Any) -> str | None:
    if isinstance(path, int):
        return None
    try:
        return os.path.abspath(os.fsdecode(path))
    except (TypeError, ValueError):
        return None


def _audit(event: str, arguments: tuple[Any, ...]) -> None:
    global _trace
    trace = _trace
    if trace is None or not (event in ("open", "os.listdir", "os.scandir") or event in _CHANGES):
        return
    _trace = None  # what is done in here is not the user's
    try:
        if not sys._getframe(1).f_code.co_filename.startswith(_IMPORTS):
            _note(trace, event, arguments)
        elif event == "open" and isinstance(arguments[0], str) and not arguments[0].endswith(".pyc"):
            trace.saw(arguments[0])  # a module's source
    finally:
        _trace = trace


def _note(trace: Trace, event: str, arguments: tuple[Any, ...]) -> None:
    if event in _CHANGES:
        trace.doubts.add(f"it does {event}: {_short(arguments)}")
        return
    place = _absolute(arguments[0] if arguments[0] is not None else ".")
    if place is None:
        if event != "open":
            trace.doubts.add(f"it does {event} of an open file")
    elif event != "open" and sys._getframe(2).f_code.co_filename.endswith(_METADATA):
        trace.distributions.add(place)
    elif event != "open":
        with contextlib.suppress(OSError):
            trace.listings.setdefault(place, sorted(os.listdir(place)))
        trace.saw(place)
    elif place != os.devnull:
        _, mode, flags = arguments
        if (flags or 0) & (os.O_WRONLY | os.O_RDWR | os.O_CREAT) or (mode and set(mode) & set("wax+")):
            trace.doubts.add(f"it writes {place}")
        elif place.startswith(("/dev/", "/proc/", "/sys/")):
            trace.doubts.add(f"it reads {place}")
        trace.saw(place)


def _short(arguments: tuple[Any, ...]) -> str:
    return ", ".join(str(item) for item in arguments[:2] if item is not None)[:80]


def _noting(function: Any) -> Any:
    @functools.wraps(function)
    def noted(path: Any, *arguments: Any, **named: Any) -> Any:
        global _trace
        trace, _trace = _trace, None
        if trace is not None:
            try:
                if named.get("dir_fd") is not None:
                    trace.doubts.add("it asks for files below an open directory")
                elif function.__name__ == "lstat" or named.get("follow_symlinks") is False:
                    if (place := _absolute(path)) is not None:
                        trace.links.add(place)
                else:
                    trace.saw(path)
            finally:
                _trace = trace
        return function(path, *arguments, **named)

    return noted


def _from_source(path_stats: Any) -> Any:
    """The user's modules are compiled from their source each time.

    Python takes a .pyc for that of a source of the same size and second; edits can be quicker.
    """

    def stats(loader: Any, path: str) -> Any:
        if not is_library(path):
            raise OSError(f"no bytecode for {path}")
        return path_stats(loader, path)

    return stats


class _Searches:
    """Stands before the finders of modules: it finds nothing, and notes where is searched for what."""

    def __init__(self, trace: Trace):
        self.trace = trace

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> None:
        for entry in sys.path if path is None else path:
            place = os.path.abspath(entry)
            if not is_library(place):
                self.trace.searched.setdefault(place, set()).add(name.rpartition(".")[2])


class _Environment(os._Environ[str]):
    """`os.environ`, with a note of what is read. A variable that the process itself has set says nothing."""

    def __getitem__(self, key: str) -> str:
        try:
            value: str | None = super().__getitem__(key)
        except KeyError:
            value = None
        if _trace is not None and key not in _trace._written:
            _trace.variables.setdefault(key, value)
        if value is None:
            raise KeyError(key)
        return value

    def __setitem__(self, key: str, value: str) -> None:
        if _trace is not None:
            _trace._written.add(key)
        super().__setitem__(key, value)

    def __delitem__(self, key: str) -> None:
        if _trace is not None:
            _trace._written.add(key)
        super().__delitem__(key)

    def __iter__(self) -> Iterator[str]:
        if _trace is not None:
            _trace.doubts.add("it reads all variables of the environment")
        return super().__iter__()
