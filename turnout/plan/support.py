"""What a track does with each fact of a pipeline: keeps it, lowers it, or refuses it.

A fact is a field of the spec that says something, or a key of a platform's free-form settings. Every
field stands in every track's table (a test holds the tables against the spec), and what a table does
not know is refused: nothing is dropped in silence.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from turnout.errors import Fault
from turnout.spec.command import CREATE_PVC, DELETE_PVC
from turnout.spec.deployment_spec import PipelineContainerSpec
from turnout.spec.document import Document
from turnout.spec.requirements import installs_of, packages_in, required

Verdict = Literal["kept", "lowered", "refused"]
Gap = Literal["notimpl", "notyet", "never"]
"""Ours to do; upstream must act first; impossible here."""


@dataclass(frozen=True)
class Support:
    """What becomes of a fact, and (unless it is simply kept) how, or what to do instead.

    Attributes:
        gap: why it is refused.
    """

    verdict: Verdict
    how: str = ""
    gap: Gap | None = None


@dataclass(frozen=True)
class Fact:
    """A thing that a pipeline says: its kind, such as `RetryPolicy.max_retry_count`, and where."""

    kind: str
    where: str
    value: Any


KEPT = Support("kept")


def lowered(how: str) -> Support:
    """The same outcome by other means."""
    return Support("lowered", how)


def refused(how: str, gap: Gap = "notimpl") -> Support:
    """An error that says what to do."""
    return Support("refused", how, gap)


IN_AN_IMAGE = lowered("in the image of the component's name and requirements, which turnout build makes")
EACH_TIME = lowered("each step installs them when it starts, as KFP's component does")
"""What becomes of packages that a component asks for, where a step is a container."""

_STANDS_FOR = {CREATE_PVC: "kubernetes.CreatePVC", DELETE_PVC: "kubernetes.DeletePVC"}


def facts(document: Document) -> Iterator[Fact]:
    """Everything a document says, in its order."""
    yield from _walk(document.pipeline, document.name)
    deployment = document.pipeline.deployment_spec
    for label, executor in deployment.executors.items() if deployment else ():
        if executor.container:
            where = f"{document.name}.deployment_spec.executors.{label}"
            for kind, value in _said_by_container(executor.container):
                yield Fact(kind, where, value)
    for name, single in document.platform.platforms.items() if document.platform else ():
        where = f"platforms.{name}"
        yield from _walk(single, where)
        for key, value in (single.config or {}).items():
            yield Fact(f"{name}.{key}", where, value)
        executors = single.deployment_spec.executors if single.deployment_spec else {}
        for label, settings in executors.items():
            for key, value in settings.items():
                yield Fact(f"{name}.{key}", f"{where}.{label}", value)


def _said_by_container(container: PipelineContainerSpec) -> Iterator[tuple[str, Any]]:
    """What a container says by its image and command, for which KFP's spec has no field."""
    if kind := _STANDS_FOR.get(container.image):
        yield kind, container.image
    if lines := required(container):
        yield "component.requirements", lines
    if packages := packages_in(installs_of(container.command) or []):
        yield "component.packages_to_install", packages


def support(fact: Fact, table: Mapping[str, Support]) -> Support:
    """What a track does with a fact, by its table; a fact that the table does not know is refused."""
    return table.get(fact.kind) or refused("unknown to this track", "notimpl")


def report(document: Document, table: Mapping[str, Support]) -> dict[Verdict, list[tuple[Fact, Support]]]:
    """Every fact of a document, by what a track does with it."""
    sorted_out: dict[Verdict, list[tuple[Fact, Support]]] = {"kept": [], "lowered": [], "refused": []}
    for fact in facts(document):
        decided = support(fact, table)
        sorted_out[decided.verdict].append((fact, decided))
    return sorted_out


def refusals(document: Document, table: Mapping[str, Support]) -> list[Fault]:
    """A fault for each fact that a track refuses."""
    return [Fault(f"{fact.kind} {decided.how}", fact.where) for fact, decided in report(document, table)["refused"]]


def _walk(message: Any, where: str) -> Iterator[Fact]:
    for item in dataclasses.fields(message):
        value = getattr(message, item.name)
        default = item.default_factory() if item.default_factory is not dataclasses.MISSING else item.default
        if value == default:
            continue
        kind, here = f"{type(message).__name__}.{item.name}", f"{where}.{item.name}"
        yield Fact(kind, where, value)
        if dataclasses.is_dataclass(value):
            yield from _walk(value, here)
        elif isinstance(value, dict | list):
            entries = value.items() if isinstance(value, dict) else enumerate(value)
            for key, entry in entries:
                if dataclasses.is_dataclass(entry):
                    yield from _walk(entry, f"{here}.{key}")
