"""What an image is made of, and the Dockerfile that says so to a builder."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

CODE = "/opt/project"
"""Where a team's code is in its image."""

USER = 10001
"""Who runs in the image: the user of the components image, and never root."""

_IMPORT = "import importlib, sys; [importlib.import_module(name) for name in sys.argv[1:]]"


@dataclass(frozen=True)
class Image:
    """An image to build on another.

    Attributes:
        name: its reference, with a tag: `registry.example.com/team/orders:0.1.0`.
        base: the image below it, in which `pip` and `python` are those of Turnout.
        files: files of code, by their paths in the image below `CODE`.
        roots: directories of the code that modules are imported from, below `CODE`; `.` for itself.
        requirements: text of a requirements file, which pip installs; empty for nothing.
        modules: what must be importable in the image, or it is not built.
        labels: of the image, by name.
        inherits: whether packages of the base that its requirements do not fit are no failure, as long as steps run.
    """

    name: str
    base: str
    files: Mapping[str, Path] = field(default_factory=dict)
    roots: tuple[str, ...] = ()
    requirements: str = ""
    modules: tuple[str, ...] = ()
    labels: Mapping[str, str] = field(default_factory=dict)
    inherits: bool = False


def dockerfile(image: Image) -> str:
    """The Dockerfile of an image, for the context that `write_context` makes.

    pip's own configuration may be given as the secret `pip`, which leaves no trace in the image.
    """
    lines = [f"FROM {image.base}"]
    if image.labels:
        lines.append("LABEL " + " ".join(f"{name}={_quoted(value)}" for name, value in sorted(image.labels.items())))
    if image.requirements.strip():
        check = "turnout.execution.base" if image.inherits else "pip check"
        lines += [
            "USER 0",
            "COPY requirements.txt /opt/requirements.txt",
            "RUN --mount=type=secret,id=pip,target=/etc/pip.conf"
            " python -m pip install --no-cache-dir --disable-pip-version-check --root-user-action ignore"
            f" --requirement /opt/requirements.txt && python -m {check}",
        ]
    if image.files:
        lines += [
            "USER 0",
            f"COPY code/ {CODE}/",
            # Nobody else may write there; checked by their content, since a copy has other times.
            f"RUN python -m compileall -q --invalidation-mode checked-hash {CODE}",
        ]
    if image.roots:
        path = ":".join(CODE if root == "." else f"{CODE}/{root}" for root in image.roots)
        lines.append(f"ENV PYTHONPATH={_quoted(path)}")
    lines.append(f"USER {USER}:0")
    if image.modules:
        command = ["env", "_KFP_RUNTIME=true", "python", "-c", _IMPORT, *image.modules]
        lines.append(f"RUN {json.dumps(command)}")
    return "\n".join(lines) + "\n"


def write_context(image: Image, directory: Path) -> None:
    """Write into an empty directory what an image is made of: `Dockerfile`, `requirements.txt` and `code/`."""
    (directory / "Dockerfile").write_text(dockerfile(image), encoding="utf-8")
    (directory / "requirements.txt").write_text(image.requirements, encoding="utf-8")
    for name, path in sorted(image.files.items()):
        target = directory / "code" / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, target)


def _quoted(text: str) -> str:
    """A value of a Dockerfile: in quotes, and with nothing in it that is filled in."""
    return json.dumps(" ".join(text.split()), ensure_ascii=False).replace("$", "\\$")
