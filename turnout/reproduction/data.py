"""The data of a training, brought back: by its revision, by the code's commit, or as it is now."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from contextlib import chdir
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from turnout.data.digest import content_digest
from turnout.data.fetching import Fetched, fetch
from turnout.errors import ComponentError


@dataclass(frozen=True)
class Found:
    """Data of a training.

    Attributes:
        source: as the training named it.
        recorded: the digest of its content then.
        digest: of its content as it was brought back.
        how: where it was taken from.
    """

    source: str
    recorded: str
    digest: str
    how: str

    @property
    def same(self) -> bool:
        """Whether it is what the training read."""
        return self.recorded == self.digest


def bring_back(recipe: Mapping[str, Any], code: str, home: Path, directory: Path) -> tuple[dict[str, Any], list[Found]]:
    """A recipe that reads data of this machine, and where that was taken from.

    Args:
        code: commit at which DVC is asked for data that was trained on as it was.
        home: where relative paths are from, and the DVC repository.
        directory: where to put what must be copied.

    Raises:
        ComponentError: data is nowhere to be had.
    """
    local = copy.deepcopy(dict(recipe))
    found = []
    for number, node in enumerate(_nodes(local)):
        for name, facts in node.get("read", {}).items():
            parameters = node["parameters"]
            place = directory / f"{number}-{name}"
            data, fetched = _find(str(parameters[name]), facts, code, home, place)
            found.append(data)
            parameters[name] = str(fetched.path.absolute())
            parameters.pop("revision", None)
    return local, found


def _nodes(recipe: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for made in recipe.get("inputs", {}).values():
        yield from _nodes(made)
    yield recipe


def _find(source: str, facts: Mapping[str, str], code: str, home: Path, place: Path) -> tuple[Found, Fetched]:
    """Data by the revision that was recorded; or what has the recorded content of the code's commit and of now."""
    recorded = facts.get("digest", "")
    # DVC knows data by paths in its repository; a URI is no such path.
    inside = "://" not in source and not Path(source).is_absolute()
    ways = [(facts["revision"], "revision")] if facts.get("revision") else []
    if not ways:
        ways = [(code, "the code's commit"), ("", "")] if inside else [("", "")]
    found: list[tuple[Found, Fetched]] = []
    why: ComponentError | None = None
    for number, (revision, name) in enumerate(ways):
        try:
            with chdir(home):
                fetched = fetch(source, revision, place / str(number))
                fetched = Fetched(fetched.path.absolute(), fetched.revision)
        except ComponentError as error:
            why = error
            continue
        how = f"{name} {revision[:12]}, from DVC" if revision else "as it is now"
        data = Found(source, recorded, content_digest(fetched.path), how)
        if data.same:
            return data, fetched
        found.append((data, fetched))
    if not found:
        assert why is not None
        raise ComponentError(f"data of the training is not to be had: {why}", where=source,
                             hint="is the DVC remote, or the source, reachable?") from why  # fmt: skip
    return found[-1]
