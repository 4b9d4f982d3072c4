"""Virtual environments and what is installed into them: by uv where it is there, else by Python's own venv and pip."""

from __future__ import annotations

import collections
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import url2pathname

from turnout.errors import StepError
from turnout.execution.base import Base, Package, needs_of_steps, normalised, packages_at
from turnout.spec.requirements import requirements_in

_TOLD = 12
"""How many of an installer's last lines are told of its failure."""

_NOT_OURS = (
    "PYTHONPATH",
    "PYTHONHOME",
    "VIRTUAL_ENV",
    "PIP_USER",
    "PIP_TARGET",
    "PIP_PREFIX",
    "PIP_REQUIRE_VIRTUALENV",
)
"""Variables that would have packages installed elsewhere."""

_UV_INDEX = ("UV_DEFAULT_INDEX", "UV_INDEX", "UV_INDEX_URL", "UV_EXTRA_INDEX_URL", "UV_FIND_LINKS", "UV_CONFIG_FILE")
_NAME = re.compile(r"[^\w.-]")
_INHERITED = "_turnout_inherited.pth"

Tell = Callable[[str], None]


class Installer:
    """Makes one environment.

    Args:
        place: its directory, which is not there yet.
        base: the environment it is made from.
        directory: where relative paths in lines start.
        tell: called with each line that installers print.
        held: a descriptor that installers keep open: as long as one of them lives, the place is taken.
    """

    def __init__(self, place: Path, base: Base, directory: Path, tell: Tell, held: int):
        self.place, self.base, self.directory, self.tell, self.held = place, base, directory, tell, held
        self.python = place / "bin" / "python3"
        self.uv = find_uv(base.python)
        settings = _settings_of_pip(base) if self.uv else None
        if settings is None:  # no uv, or one of pip's indexes is none that uv reads
            self.uv = ""
        self.settings: list[str] = settings or []

    def inheriting(self, lines: Sequence[str]) -> None:
        """An environment that has the base's packages, and on top of them what lines ask for where the base lacks it.

        Raises:
            StepError: nothing fulfils what is asked for together with what a step needs to run.
        """
        here = self.base.packages()
        lines = [_absolute(line, self.directory) for line in lines]
        if "--no-index" in lines and "pip" in here:  # what the base has is there then; uv looks in indexes alone
            self.uv = ""
        self._venv(pip=not self.uv and "pip" not in here)
        site = next(self.place.glob("lib/python*/site-packages"))
        paths = "".join(f"import site; site.addsitedir({path!r})\n" for path in self.base.sites)
        (site / _INHERITED).write_text(paths)
        _write_command(self.place / "bin" / "turnout", self.python)
        needs = needs_of_steps(here)
        try:
            self._resolved(lines, needs, here)
        except StepError as error:
            asked = {normalised(requirement.name) for requirement in requirements_in(lines)}
            known = [need for need in needs if normalised(_NAME.split(need)[0]) in asked]
            told = [error.faults[0].what, *(f"every step itself needs {need}" for need in known)]
            raise StepError("\n  ".join(told), where=error.faults[0].where) from error

    def _resolved(self, lines: Sequence[str], needs: Sequence[str], here: Mapping[str, Package]) -> None:
        """Install what lines ask for where the base lacks it.

        Args:
            needs: constraints that hold beside them.
            here: the base's packages.
        """
        if any("--hash" in line for line in lines):  # resolved by who wrote it: nothing is added
            self._install(lines, "--no-deps", "--require-hashes")
            return
        limits = self._file("constraints.txt", needs)
        if all(_is_here(line, here) for line in lines if not line.startswith("-")):
            return
        if not self.uv:
            self._install(lines, "--constraint", str(limits))
            return
        pins = self._file("requirements.txt", [f"{name}=={item.version}" for name, item in sorted(here.items())])
        request = self._file("requirements.in", lines)
        what = ["pip", "compile", "--quiet", "--no-header", "--no-annotate", "--python", self.base.python]
        # What the output names already is preferred: the versions of the base, wherever they do.
        named = [str(request), "--constraint", str(limits), "--output-file", str(pins)]
        self._run([self.uv, *what, *self.settings, *named])
        resolved = pins.read_text().splitlines()
        missing = [line for line in resolved if not line.startswith("-") and not _is_here(line, here)]
        if missing:
            self._install([*(line for line in lines if line.startswith("-")), *missing], "--no-deps")

    def alone(self, installs: Sequence[Sequence[str]]) -> None:
        """An environment that has nothing but what commands of pip install, one after the other.

        Raises:
            StepError: one of them fails.
        """
        translated = [_for_uv(arguments) for arguments in installs] if self.uv else [None]
        with_uv = [arguments for arguments in translated if arguments is not None]
        if len(with_uv) == len(installs):
            self._venv()
            for arguments in with_uv:
                self._run([self.uv, "pip", "install", "--python", str(self.python), *self.settings, *arguments])
            return
        self._venv(pip=True)
        for given in installs:
            self._run([*self._pip(), *given])

    def packages(self) -> dict[str, Package]:
        """What has been installed here, by normalised names."""
        return packages_at(str(path) for path in self.place.glob("lib/python*/site-packages"))

    def _venv(self, pip: bool = False) -> None:
        if self.uv and not pip:
            self._run([self.uv, "venv", "--quiet", "--no-project", "--python", self.base.python, str(self.place)])
        else:
            self._run([self.base.python, "-m", "venv", *([] if pip else ["--without-pip"]), str(self.place)])

    def _install(self, lines: Iterable[str], *options: str) -> None:
        file = self._file("install.txt", lines)
        if self.uv:
            what = [self.uv, "pip", "install", "--compile-bytecode", "--python", str(self.python), *self.settings]
        else:
            what = [*self._pip(), "--no-warn-conflicts"]
        self._run([*what, *options, "-r", str(file)])

    def _pip(self) -> list[str]:
        return [str(self.python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]

    def _file(self, name: str, lines: Iterable[str]) -> Path:
        path = self.place / name
        path.write_text("".join(f"{line}\n" for line in lines))
        return path

    def _run(self, command: Sequence[str]) -> None:
        """Run an installer. Raises StepError with its last lines when it fails."""
        last: collections.deque[str] = collections.deque(maxlen=_TOLD)
        try:
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                errors="replace",
                env=_environment(),
                cwd=self.directory,
                pass_fds=(self.held,),
            )
        except OSError as error:
            raise StepError(f"an environment cannot be made: {error.strerror}", where=command[0]) from error
        with process:
            try:
                assert process.stdout is not None
                for line in process.stdout:
                    if line.strip() and not line.startswith(("WARNING", "warning")):
                        last.append(line.rstrip())
                        self.tell(line.rstrip())
            except BaseException:
                process.kill()
                raise
        if process.returncode:
            raise StepError("\n  ".join(["the packages cannot be installed:", *last]))


def find_uv(python: str) -> str:
    """Where uv is: beside an interpreter, beside this one, or on the PATH; empty when it is not."""
    places = [str(Path(python).parent), str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)]
    return shutil.which("uv", path=os.pathsep.join(places)) or ""


def _environment() -> dict[str, str]:
    """Variables of installers. Of several indexes the best version is taken, as by pip, unless they say otherwise."""
    kept = {name: value for name, value in os.environ.items() if name not in _NOT_OURS}
    return {"UV_INDEX_STRATEGY": "unsafe-best-match", "UV_NO_PROGRESS": "1", "NO_COLOR": "1", **kept}


def _settings_of_pip(base: Base) -> list[str] | None:
    """The options that tell uv where pip would look, which uv does not read; None when they cannot be told."""
    if any(os.environ.get(name) for name in _UV_INDEX):
        return []
    command = [base.python, "-m", "pip", "config", "list"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=_environment())
    said = dict(line.split("=", 1) for line in done.stdout.splitlines() if "=" in line) if not done.returncode else {}
    values = {key.rpartition(".")[2]: value.strip().strip("'\"") for key, value in said.items()}
    for name in ("index-url", "extra-index-url", "find-links", "no-index", "trusted-host"):
        if (given := os.environ.get(f"PIP_{name.upper().replace('-', '_')}")) is not None:
            values[name] = given
    found = ["--no-index"] if values.get("no-index", "").lower() in ("1", "true", "yes", "on") else []
    for name, option in (("index-url", "--default-index"), ("extra-index-url", "--index")):
        for url in _split(values.get(name, "")):
            if urlsplit(url).scheme in ("http", "https"):
                found += [option, url]
            elif _is_directory(url):
                return None  # a tree of pages in files
    for place in _split(values.get("find-links", "")):
        found += ["--find-links", place] if "://" in place or Path(place).is_dir() else []
    for host in _split(values.get("trusted-host", "")):
        found += ["--allow-insecure-host", host]
    return found


def _split(value: str) -> list[str]:
    return value.replace("\\n", " ").split()


def _is_directory(url: str) -> bool:
    return Path(url2pathname(urlsplit(url).path)).is_dir()


def _is_here(line: str, here: Mapping[str, Package]) -> bool:
    (wanted,) = requirements_in([line])
    there = here.get(normalised(wanted.name))
    more = wanted.url or wanted.extras
    return there is not None and not more and wanted.specifier.contains(there.version, prereleases=True)


def _absolute(line: str, directory: Path) -> str:
    """A line whose path of packages does not depend on the directory of who reads it."""
    option, _, value = line.partition(" ")
    option, _, value = line.partition("=") if "=" in option else (option, "", value)
    if option != "--find-links" or "://" in value or "$" in value:
        return line
    return f"{option} {directory / value.strip()}"


def _for_uv(arguments: Sequence[str]) -> list[str] | None:
    """The arguments of `pip install` as uv takes them; None when it takes none such."""
    found, items = [], iter(arguments)
    for item in items:
        if item in ("--quiet", "-q", "--no-warn-script-location", "--disable-pip-version-check"):
            continue
        if item in ("--index-url", "--extra-index-url", "--find-links"):
            found += [item, next(items, "")]
        elif item == "--trusted-host":
            host = next(items, "")
            found += ["--allow-insecure-host", urlsplit(host).netloc or host]
        elif item == "--no-deps" or not item.startswith("-"):
            found.append(item)
        else:
            return None
    return found


def _write_command(path: Path, python: Path) -> None:
    """The command `turnout` of an environment, which has inherited the package alone."""
    path.write_text(f"#!{python}\nimport sys\n\nfrom turnout.cli import main\n\nsys.exit(main())\n")
    path.chmod(0o755)
