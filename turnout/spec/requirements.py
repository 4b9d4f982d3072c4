"""What a component's own environment is to hold: lines as in pip's requirements files.

Source of the lines: PEP 508, and "Requirements File Format" of pip's documentation, as far as both pip and uv know it.
"""

from __future__ import annotations

import hashlib
import re
import shlex
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from turnout.errors import Fault, did_you_mean
from turnout.spec.command import REQUIRES
from turnout.spec.deployment_spec import PipelineContainerSpec

if TYPE_CHECKING:
    from packaging.requirements import Requirement

OPTIONS = ("--index-url", "--extra-index-url", "--find-links", "--no-index", "--no-binary", "--only-binary")
"""Options that a line may be; the others are of the machine that installs, not of the component."""

_SHORT = {"-i": "--index-url", "-f": "--find-links"}
_INDEX = ("--index-url", "--extra-index-url", "--find-links")
_COMMENT = re.compile(r"(^|\s)#.*$")
_HASH = re.compile(r"\s--hash[=\s]\S+")
_INSTALL = re.compile(r"python3 -m pip install (?P<arguments>.*?)\s*(?=&&)", re.DOTALL)
_KFP_ALONE = re.compile(r"kfp==[\w.]+")
_FORM = "write it as `name>=1.2` or `name @ https://...`"
_ONES = {
    "-c": "write the constraint as a requirement, or make one file of both: uv pip compile",
    "-e": "build a wheel of it, and name that: `name @ file:///path/to.whl`, or --find-links and its name",
    "--trusted-host": "set PIP_TRUSTED_HOST, or UV_INSECURE_HOST, where steps run",
    "--pre": "name the version: `name==2.0rc1`",
}
_LONG = {"--constraint": "-c", "--editable": "-e"}


@dataclass(frozen=True)
class Line:
    """A line, and the place where it is written down."""

    text: str
    where: str


def lines_of_file(path: Path, shown: str, within: tuple[Path, ...] = ()) -> tuple[list[Line], list[Fault]]:
    """The lines of a requirements file, and of those that it includes, without comments; and what is wrong there.

    Args:
        shown: the path as people know it.
        within: the files that include it.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeError) as error:
        return [], [Fault(f"the requirements file cannot be read: {error}", shown)]
    lines: list[Line] = []
    faults: list[Fault] = []
    for number, line in _joined(text):
        place = f"{shown}:{number}"
        word, _, rest = line.partition("=" if line.startswith("--requirement=") else " ")
        if word in ("-r", "--requirement"):
            inner = path.parent / rest.strip()
            if inner.resolve() in (path.resolve(), *within):
                faults.append(Fault("the file includes itself", place))
                continue
            more, wrong = lines_of_file(inner, str(Path(shown).parent / rest.strip()), (path.resolve(), *within))
            lines += more
            faults += wrong
        else:
            lines.append(Line(line, place))
    return lines, faults


def _joined(text: str) -> Iterator[tuple[int, str]]:
    """The lines that say something, with the number of their first; a backslash at an end goes on in the next."""
    start, kept = 0, ""
    for number, line in enumerate(text.splitlines(), 1):
        start = start or number
        if line.endswith("\\"):
            kept += line[:-1]
            continue
        if whole := " ".join(_COMMENT.sub("", kept + line).split()):
            yield start, whole
        start, kept = 0, ""
    if whole := " ".join(_COMMENT.sub("", kept).split()):
        yield start, whole


def checked(lines: Iterable[Line]) -> tuple[tuple[str, ...], list[Fault]]:
    """The lines in one form, each once; and what is wrong with them."""
    found: dict[str, None] = {}
    faults: list[Fault] = []
    for line in lines:
        text = " ".join(_COMMENT.sub("", line.text).split())
        if fault := _fault(text, line.where):
            faults.append(fault)
        else:
            found[_plain(text)] = None
    return tuple(found), faults


def _plain(text: str) -> str:
    word, _, rest = text.partition(" ")
    return f"{_SHORT.get(word, word)} {rest}".strip()


def _fault(text: str, where: str) -> Fault | None:
    from packaging.requirements import InvalidRequirement

    if not text.startswith("-"):
        try:
            _requirement(text)
        except InvalidRequirement as error:
            what = str(error).splitlines()[0]
            return Fault(f"'{text}' is no requirement: {what}", where, hint=_FORM)
        return _login_fault(text.partition("@")[2].strip(), where) if "@" in text else None
    word, value = re.match(r"(--?[\w-]*)[=\s]?(.*)", text).groups()  # type: ignore[union-attr]
    option = _SHORT.get(word, word)
    if option in OPTIONS:
        if bool(value.strip()) == (option == "--no-index"):
            wanted = "no value" if option == "--no-index" else "a value"
            return Fault(f"'{option}' takes {wanted}", where)
        return _login_fault(value, where) if option in _INDEX else None
    one = _LONG.get(word, word)
    hint = _ONES.get(one) or did_you_mean(word, OPTIONS) or "give it to pip or uv where steps run, by their variables"
    return Fault(f"'{word}' says nothing of what a component needs", where, OPTIONS, hint)


def _login_fault(url: str, where: str) -> Fault | None:
    """A password would stand in the compiled file."""
    login = urlsplit(url).netloc.rpartition("@")[0]
    if login and not re.fullmatch(r"\$\{\w+\}(:\$\{\w+\})?|[^:]*:\$\{\w+\}|git", login):
        hint = "name a variable of the machine that installs: https://${USER}:${PASSWORD}@host/simple"
        return Fault("a login in a URL would stand in the compiled file", where, hint=hint)
    return None


def _requirement(text: str) -> Requirement:
    from packaging.requirements import Requirement

    return Requirement(_HASH.sub("", f"{text} ").strip())


def requirements_in(lines: Iterable[str]) -> list[Requirement]:
    """The packages that lines name, without options."""
    return [_requirement(line) for line in lines if not line.startswith("-")]


def required(executor: object) -> tuple[str, ...]:
    """The lines that a step's component says it needs; none for another's."""
    if not isinstance(executor, PipelineContainerSpec) or executor.command[:2] != ["turnout", "exec"]:
        return ()
    mark = f"{REQUIRES}="
    return tuple(item.removeprefix(mark) for item in executor.args if item.startswith(mark))


def installs_of(command: Sequence[str]) -> list[list[str]] | None:
    """The arguments of each `pip install` before the command proper, as KFP's lightweight components have it.

    None for any other command.
    """
    if len(command) < 4 or list(command[:2]) != ["sh", "-c"] or not command[2].rstrip().endswith('"$0" "$@"'):
        return None
    found = [shlex.split(match["arguments"]) for match in _INSTALL.finditer(command[2])]
    return found or None


def packages_in(installs: Sequence[Sequence[str]]) -> list[str]:
    """The packages that commands of pip install, without those that KFP itself adds to each component."""
    found = []
    for arguments in installs:
        values = iter(arguments)
        for item in values:
            if item in ("--index-url", "--extra-index-url", "--trusted-host", "--find-links"):
                next(values, None)
            elif not item.startswith(("-", "typing-extensions")) and not _KFP_ALONE.fullmatch(item):
                found.append(item)
    return found


def without_lines(arguments: Sequence[str]) -> list[str]:
    """The arguments of a command without them."""
    return [item for item in arguments if not item.startswith(f"{REQUIRES}=")]


def unmet(lines: Iterable[str]) -> list[str]:
    """What this process's environment lacks of the packages that lines name, and what it has in their place."""
    from importlib.metadata import PackageNotFoundError, version

    found = []
    for requirement in requirements_in(lines):
        if requirement.marker and not requirement.marker.evaluate():
            continue
        try:
            there = version(requirement.name)
        except PackageNotFoundError:
            found.append(f"{requirement} (not installed)")
        else:
            if not requirement.specifier.contains(there, prereleases=True):
                found.append(f"{requirement} (installed: {there})")
    return found


def image_with(image: str, lines: Sequence[str]) -> str:
    """The image that holds what lines name on top of another image: a tag of the same repository.

    The same lines on the same image are the same tag, whoever builds it.
    """
    if not lines:
        return image
    name, _, pinned = image.partition("@")
    repository, colon, tag = name.rpartition(":")
    if not colon or "/" in tag:
        repository, tag = name, ""
    if pinned:
        tag = pinned.rpartition(":")[2][:12]
    return f"{repository}:{(tag or 'latest')[:115]}-{digest(lines)[:12]}"


def digest(lines: Iterable[str]) -> str:
    """The digest of what lines ask for, in whichever order, as hexadecimal digits."""
    return hashlib.sha256("\n".join(sorted(lines)).encode()).hexdigest()
