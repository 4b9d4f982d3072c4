"""Data from where it is kept: a path, a URI, or a revision of a DVC repository."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from turnout.errors import ComponentError
from turnout.extras import hint_for


@dataclass(frozen=True)
class Fetched:
    """Data on this machine.

    Attributes:
        revision: the full git commit it was taken from, for data of a DVC repository.
    """

    path: Path
    revision: str = ""


def fetch(source: str, revision: str, directory: Path) -> Fetched:
    """Bring a file or directory to this machine; what is here already stays where it is.

    Args:
        source: a path, a URI that fsspec opens (file, s3, gs, http, ...); with a revision, a path in the
            DVC repository of the working directory, or `REPOSITORY#PATH` in another.
        revision: a git revision of the DVC repository; the data as it is now when empty.
        directory: where to put what must be copied.

    Raises:
        ComponentError: there is no such data, or it cannot be reached.
    """
    if revision:
        return _fetch_revision(source, revision, directory)
    from upath import UPath

    try:
        remote = UPath(source)
        if not remote.exists():
            raise ComponentError("no such data", where=source, hint="give a path, a URI, or a DVC path with a revision")
        if remote.protocol in ("", "file", "local"):
            return Fetched(Path(remote.path))
        target = directory / (remote.name or "data")
        if remote.is_dir():
            remote.fs.get(remote.path.rstrip("/") + "/", str(target) + "/", recursive=True)
        else:
            target.parent.mkdir(parents=True, exist_ok=True)
            remote.fs.get_file(remote.path if "http" not in remote.protocol else source, str(target))
    except ComponentError:
        raise
    except Exception as error:  # every protocol has its own
        hint = hint_for(error) or "check the address and the credentials in the environment"
        raise ComponentError(f"the data cannot be fetched: {error}", where=source, hint=hint) from error
    return Fetched(target)


def _fetch_revision(source: str, revision: str, directory: Path) -> Fetched:
    from dvc.api import DVCFileSystem

    repository, _, path = source.rpartition("#")
    try:
        files = DVCFileSystem(repository or ".", rev=revision)
        commit = files.repo.scm.resolve_rev(revision) if files.repo.scm else ""
        if not files.exists(path):
            raise ComponentError(
                f"no such data at revision {revision}", where=path, hint="is its .dvc file committed there?"
            )
        target = directory / Path(path).name
        directory.mkdir(parents=True, exist_ok=True)
        files.get(path, str(target), recursive=files.isdir(path))
    except ComponentError:
        raise
    except Exception as error:
        hint = hint_for(error) or "is this a DVC repository, and has the data been pushed to its remote?"
        raise ComponentError(
            f"DVC cannot give the data at revision {revision}: {error}", where=path, hint=hint
        ) from error
    return Fetched(target, commit)
