"""Every error that Turnout raises on purpose.

TurnoutError               the base: a message for the person who can act on it
├── FaultsError            several faults found together, each `what @ where`
│   ├── DefinitionError    a component or pipeline function cannot be written down
│   ├── SpecError          a document is not a KFP pipeline
│   ├── PlanError          a pipeline cannot be linked
│   ├── TrackError         a track cannot run something the pipeline asks for
│   ├── ProjectError       the project file says what is not understood
│   └── ParameterError     values given for a run are not what the pipeline takes
├── StaleError             compiled files are not what the pipelines compile to
├── SourceError            the pipeline named on the command line cannot be found
├── StoreError             the artifact store cannot be read or written
├── ServerError            a server on this machine cannot be started
├── ImageError             an image cannot be built or pushed
├── StepError              a step's command failed, or broke its contract
└── ComponentError         a component says why it cannot do what it was asked to
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Fault:
    """One thing that is wrong: what, where, what was available, and one hint.

    `where` is a path of names joined by dots, such as `flight-delay-training.deploy.model`.
    """

    what: str
    where: str = ""
    available: tuple[str, ...] = ()
    hint: str = ""

    def __str__(self) -> str:
        # Of several lines, the place belongs to the first; the others are what it says more.
        what, *more = self.what.splitlines() or [""]
        colon = ":" if more and what.endswith(":") else ""
        placed = f"{what.removesuffix(colon)} @ {self.where}{colon}" if self.where else what
        lines = [placed, *(line if line.startswith("  ") else f"  {line}" for line in more)]
        if self.available:
            lines.append(f"  available here: {', '.join(self.available)}")
        if self.hint:
            lines.append(f"  hint: {self.hint}")
        return "\n".join(lines)


def did_you_mean(word: str, available: Iterable[str]) -> str:
    """A hint that names the closest of `available`, or nothing."""
    close = difflib.get_close_matches(word, list(available), n=1)
    return f"did you mean {close[0]}?" if close else ""


class TurnoutError(Exception):
    """Base of all errors that Turnout raises on purpose.

    Args:
        what: what is wrong, in a few words.
        where: a path of names joined by dots, a file, an address.
        available: what could have been named instead.
        hint: what to do.
    """

    def __init__(self, what: str, *, where: str = "", available: Iterable[str] = (), hint: str = ""):
        self.faults: tuple[Fault, ...] = (Fault(what, where, tuple(available), hint),)
        super().__init__(str(self.faults[0]))


class FaultsError(TurnoutError):
    """Several faults, reported together."""

    def __init__(self, faults: Sequence[Fault]):
        self.faults = tuple(faults)
        Exception.__init__(self, "\n".join(str(fault) for fault in self.faults))


class DefinitionError(FaultsError):
    """A component or pipeline function cannot be written down."""


class SpecError(FaultsError):
    """A document is not a KFP pipeline."""


class PlanError(FaultsError):
    """A pipeline cannot be linked."""


class TrackError(FaultsError):
    """A track cannot run something the pipeline asks for."""


class ProjectError(FaultsError):
    """The project file says what is not understood."""


class ParameterError(FaultsError):
    """Values given for a run are not what the pipeline takes."""


class StaleError(TurnoutError):
    """Compiled files are not what the pipelines compile to now."""


class SourceError(TurnoutError):
    """The pipeline named on the command line cannot be found."""


class StoreError(TurnoutError):
    """The artifact store cannot be read or written."""


class ServerError(TurnoutError):
    """A server on this machine cannot be started."""


class ImageError(TurnoutError):
    """An image cannot be built or pushed."""


class StepError(TurnoutError):
    """A step's command failed, or broke the contract of a step."""


class ComponentError(TurnoutError):
    """A component says why it cannot do what it was asked to do.

    Components raise it for what a user can put right: the executor prints its message without a
    traceback, and every track shows that message as the step's error.
    """
