"""Which model a command of `turnout serve` is about, and where it is served."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Optional

import typer

from turnout.errors import ServerError

if TYPE_CHECKING:
    from turnout.serving.targets.target import Target

Model = Annotated[
    str, typer.Argument(metavar="MODEL", help="The registered model's name. Default: the only one that is served here.")
]
Where = Annotated[
    Optional[Path],  # noqa: UP045 - Typer reads this spelling on every Python
    typer.Option(metavar="DIR", help="The serving directory. Default: .turnout/serving/MODEL."),
]
TargetName = Annotated[
    str,
    typer.Option(
        "--target", help="Where it is served: local, registry (the alias alone), kubernetes:FILE or kserve:FILE."
    ),
]


def served_on(model: str, directory: Path | None, target: str) -> tuple[str, Target]:
    """The model that is meant, and the target. Raises ServerError when it is not clear which one."""
    from turnout.serving.start import served_here
    from turnout.serving.targets.chosen import target_of

    name = model or served_here(directory)
    if directory is None:
        return name, target_of(target)
    from turnout.serving.targets.local import LocalTarget

    if target != "local":
        hint = "leave out --directory; that of another target is in its own settings"
        raise ServerError("a serving directory is of the target local alone", where=target, hint=hint)
    return name, LocalTarget(directory=directory)
