"""What a page about a run may open: files of that run below the store's root, and nothing else.

An outcome names its artifacts by URI, and who sets a parameter of an importer may name any. The page is made by another
process, often one with more rights, and for other people: so a URI is opened only when what is there lies in the run's
own folder, links followed, and only by the root's own file system. A cached step's artifacts lie in the folder of the
run that made them: they are opened when that run's own record names them.
"""

from __future__ import annotations

import contextlib
import functools
import json
import os
import stat
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from pathlib import Path
from typing import TypeVar

from turnout.execution.store import ArtifactStore, segment
from turnout.spec.step_contract import Outcome, Run

T = TypeVar("T")

PATIENCE_S = 10.0
"""Seconds that a file may take."""

CHUNK = 2**20
"""Bytes that are read at once."""

_LARGEST_RECORD = 16 * 2**20
_LINKLESS = {"s3", "s3a", "gs", "gcs", "az", "abfs", "abfss", "adl", "oss", "memory", "hdfs", "webhdfs"}
"""Protocols whose names lead nowhere else. Others, such as SFTP, may have links that only their server can follow."""

_AT_ONCE = threading.BoundedSemaphore(32)
"""Files that may be waited for: a store that hangs must not fill the process with threads."""


_SILENT = "the artifact store does not answer"


class NotOpened(Exception):
    """Why a file is not opened, in words for a page."""


def in_time(action: Callable[[], T], patience_s: float = PATIENCE_S) -> T:
    """What an action on a store gives. One that hangs is left to itself, in a thread that holds nothing up.

    Raises:
        TimeoutError: it takes longer.
        NotOpened: it failed.
    """
    if not _AT_ONCE.acquire(timeout=patience_s):
        raise NotOpened(_SILENT)
    future: Future[T] = Future()

    def act() -> None:
        try:
            future.set_result(action())
        except BaseException as error:  # it is raised where it is waited for
            future.set_exception(error)
        finally:
            _AT_ONCE.release()

    threading.Thread(target=act, name="turnout-own-files", daemon=True).start()
    try:
        return future.result(patience_s)
    except (NotOpened, TimeoutError):
        raise
    except FileNotFoundError:
        raise NotOpened("nothing is there any more") from None
    except PermissionError:
        raise NotOpened("it may not be read") from None
    except Exception as error:  # every protocol has its own; its text may name what a reader should not see
        raise NotOpened(f"it cannot be read ({type(error).__name__})") from None


class OwnFiles:
    """The files of one run.

    Args:
        any_pipeline: also what runs of other pipelines made, for a reader who may see all of the root.
        patience_s: seconds that a file may take. When one took longer, no other is asked for.
    """

    def __init__(self, store: ArtifactStore, run: Run, *, any_pipeline: bool = False, patience_s: float = PATIENCE_S):
        self.store, self.run, self.any_pipeline, self.patience_s = store, run, any_pipeline, patience_s
        self._hangs = False

    def read(self, uri: str, limit: int) -> bytes | str:
        """The content of a file, or why it is not shown.

        Args:
            limit: bytes; a longer file is not shown.
        """
        try:
            content = self.in_time(lambda: self._part(self._place(uri), 0, limit + 1))
        except NotOpened as why:
            return str(why)
        return content if len(content) <= limit else f"it has more than {_amount(limit)}"

    def size(self, uri: str) -> int | str:
        """The bytes of a file, or why it is not opened."""
        try:
            return self.in_time(lambda: self._size(self._place(uri)))
        except NotOpened as why:
            return str(why)

    def chunks(self, uri: str, size: int) -> Iterator[bytes]:
        """The first `size` bytes of a file, piece by piece.

        Raises:
            NotOpened: it cannot be read to there.
        """
        place = self.in_time(lambda: self._place(uri))
        for start in range(0, size, CHUNK):
            read = functools.partial(self._part, place, start, min(start + CHUNK, size))
            yield self.in_time(read)

    def in_time(self, action: Callable[[], T]) -> T:
        """What an action on the store gives.

        Raises:
            NotOpened: it failed, or took too long, as one before it did.
        """
        if self._hangs:
            raise NotOpened(_SILENT)
        try:
            return in_time(action, self.patience_s)
        except TimeoutError:
            self._hangs = True
            raise NotOpened(f"the artifact store did not answer within {self.patience_s:g} seconds") from None

    def _place(self, uri: str) -> tuple[str, ...]:
        """Where a URI leads, as names from the root on."""
        place = self._below_root(uri)
        own = (segment(self.run.pipeline), segment(self.run.run_id))
        if place[:2] == own or ((self.any_pipeline or place[:1] == own[:1]) and self._made_there(place)):
            return place
        raise NotOpened("it is not a file of this run")

    def _below_root(self, uri: str) -> tuple[str, ...]:
        outside = NotOpened("it lies outside of the artifact store")
        if self.store.is_local:
            path = uri.removeprefix("file://")
            if not path.startswith("/"):
                raise outside
            try:
                return Path(os.path.realpath(path)).relative_to(self._real_root).parts
            except ValueError:  # outside, or no path at all
                raise outside from None
        if self.store.root.protocol not in _LINKLESS:
            raise NotOpened(f"files of a root with the protocol '{self.store.root.protocol}' are not shown")
        root = str(self.store.root).rstrip("/") + "/"
        place = tuple(uri.removeprefix(root).split("/"))
        if not uri.startswith(root) or not all(map(_is_plain, place)):
            raise outside
        return place

    @functools.cached_property
    def _real_root(self) -> str:
        return os.path.realpath(str(self.store.root))

    def _made_there(self, place: tuple[str, ...]) -> bool:
        """Whether the record of the step in whose folder a file is names it, or a directory around it."""
        try:
            record = self._part((*place[:3], "outcome.json"), 0, _LARGEST_RECORD)
            artifacts = Outcome.from_dict(json.loads(record)).artifacts.values()
        except (NotOpened, OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
            return False
        for artifact in artifacts:
            with contextlib.suppress(NotOpened):
                named = self._below_root(artifact.uri)
                if len(named) > 3 and place[: len(named)] == named:
                    return True
        return False

    def _part(self, place: tuple[str, ...], start: int, end: int) -> bytes:
        if not self.store.is_local:
            path = self.store.root.joinpath(*place)
            content = path.fs.cat_file(path.path, start=start, end=end)
            return content if isinstance(content, bytes) else bytes(content)
        with self._opened(place) as file:
            os.lseek(file, start, os.SEEK_SET)
            parts = []
            while start < end and (part := os.read(file, min(CHUNK, end - start))):
                parts.append(part)
                start += len(part)
        return b"".join(parts)

    def _size(self, place: tuple[str, ...]) -> int:
        if self.store.is_local:
            with self._opened(place) as file:
                return os.fstat(file).st_size
        path = self.store.root.joinpath(*place)
        facts = path.fs.info(path.path)
        if facts["type"] != "file":
            raise NotOpened("it is a directory")
        return int(facts["size"])

    @contextlib.contextmanager
    def _opened(self, place: tuple[str, ...]) -> Iterator[int]:
        """A file below the root, from directory to directory: none can be made a link between the look and the read."""
        with contextlib.ExitStack() as stack:
            here = os.open(self._real_root, os.O_RDONLY | os.O_DIRECTORY)
            stack.callback(os.close, here)
            for index, name in enumerate(place):
                last = index == len(place) - 1
                # A pipe would be waited for.
                kind = os.O_NONBLOCK if last else os.O_DIRECTORY
                here = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | kind, dir_fd=here)
                stack.callback(os.close, here)
            mode = os.fstat(here).st_mode
            if stat.S_ISDIR(mode):
                raise NotOpened("it is a directory")
            if not stat.S_ISREG(mode):
                raise NotOpened("it is no file")
            yield here


def _is_plain(name: str) -> bool:
    """Whether a name in a URI is itself wherever it is read: no library decodes it, or takes it for more."""
    return name not in ("", ".", "..") and not any(sign in name for sign in "%?#*[]\\:\0")


def _amount(size: int) -> str:
    return f"{size / 10**6:,.0f} MB" if size >= 10**6 else f"{size:,} bytes"
