"""The versions of registered models, who serves and what drifted, as runs have recorded it.

It is what runs did: what a person has changed in the registry by hand is not in it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from turnout.plan.run_summary import DriftCheck, RunSummary


@dataclass(frozen=True)
class Version:
    """A version of a model.

    Attributes:
        made_by: the run that registered it; None when that left no record here.
        registered: when; empty when not known.
        served: from when to when it was in service, each time; the end is empty while it is.
        form, form_reason: which form of it answers, as of its last registration, and why; empty when not known.
    """

    version: str
    made_by: RunSummary | None = None
    registered: str = ""
    served: tuple[tuple[str, str], ...] = ()
    form: str = ""
    form_reason: str = ""


@dataclass(frozen=True)
class ModelHistory:
    """A registered model.

    Attributes:
        versions: the latest first.
        serves: the version that was put into service last; empty when none was.
        since: when that was.
        put_by: the run that did it.
        checks: of data that was held against the model, by the day that was checked, with the runs that checked it.
    """

    name: str
    versions: tuple[Version, ...]
    serves: str = ""
    since: str = ""
    put_by: RunSummary | None = None
    checks: tuple[tuple[RunSummary, DriftCheck], ...] = ()


def model_histories(runs: Iterable[RunSummary]) -> list[ModelHistory]:
    """The models that runs registered, put into service or checked data against; by name."""
    runs = list(runs)
    events = sorted(
        ((event, run) for run in runs for event in run.versions), key=lambda pair: (pair[0].when, pair[0].serves)
    )
    checks = [(run, check) for run in runs for check in run.drift]
    subjects = {model for _, check in checks if (model := _model_of(check))}
    names = sorted({event.model for event, _ in events} | subjects)
    found = []
    for name in names:
        own = [(event, run) for event, run in events if event.model == name]
        made: dict[str, tuple[RunSummary | None, str]] = {
            event.version: (run, event.when) for event, run in reversed(own) if not event.serves
        }
        forms = {event.version: (event.form, event.form_reason) for event, _ in own if event.form}
        puts = [(event, run) for event, run in own if event.serves]
        ends = [event.when for event, _ in puts[1:]] + [""]
        served: dict[str, list[tuple[str, str]]] = {}
        for (event, _), end in zip(puts, ends, strict=False):
            served.setdefault(event.version, []).append((event.when, end))
        of_model = sorted(
            ((run, check) for run, check in checks if _model_of(check) == name),
            key=lambda pair: (day(pair[1]), pair[1].when),
        )
        known = {*made, *served, *(event.previous for event, _ in puts if event.previous)}
        known |= {_version_of(check) for _, check in of_model if _version_of(check)[:1].isdecimal()}
        versions = [
            Version(version, *made.get(version, (None, "")), tuple(served.get(version, ())), *forms.get(version, ()))
            for version in sorted(known, key=_order, reverse=True)
        ]
        last, by = puts[-1] if puts else (None, None)
        found.append(
            ModelHistory(
                name, tuple(versions), last.version if last else "", last.when if last else "", by, tuple(of_model)
            )
        )
    return found


def day(check: DriftCheck) -> str:
    """The day that a check is about: that of its data, or else that on which it ran."""
    return (check.since or check.when)[:10]


def latest_checks(checks: Sequence[tuple[RunSummary, DriftCheck]]) -> list[tuple[RunSummary, DriftCheck]]:
    """The last check of each day: a day is checked again when its run is."""
    return list({day(check): (run, check) for run, check in checks}.values())


_MODEL = re.compile(r"^(?P<model>[^/@]+)[/@](?P<version>[0-9]+|(?<=@)[^/@]+)$")


def _model_of(check: DriftCheck) -> str:
    """The model that data was held against; empty when it was a table."""
    found = _MODEL.match(check.subject)
    return found["model"] if found else ""


def _version_of(check: DriftCheck) -> str:
    found = _MODEL.match(check.subject)
    return found["version"] if found else ""


def _order(version: str) -> tuple[int, str]:
    return (int(version), "") if version.isdecimal() else (-1, version)
