"""What each track's table of support says, held against what the track does: fields that are read, cases that state
them, and refusals. `docs/reference/support.md` is made from the same.
"""

from __future__ import annotations

import dataclasses
import os
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from paths import EXAMPLES, PROJECT

from contract import facts as stated
from contract.cases import CASES, filled
from contract.support_page import support_page
from contract.test_local import SECRETS, SHAPES
from turnout.authoring.source import load
from turnout.errors import TrackError
from turnout.execution.store import ArtifactStore
from turnout.plan.link import link
from turnout.plan.parameters import bind_parameters
from turnout.plan.support import facts
from turnout.spec import deployment_spec, pipeline_spec, platform_spec, values
from turnout.spec.document import Document, from_dict
from turnout.tracks import registry
from turnout.tracks.local import runner as local
from turnout.verbs import compile as compile_for

SUPPORT_PAGE = PROJECT / "docs" / "reference" / "support.md"
SCHEDULED = EXAMPLES / "scheduled.py"
KINDS = {
    item
    for module in (pipeline_spec, deployment_spec, platform_spec, values)
    for item in vars(module).values()
    if dataclasses.is_dataclass(item)
}
FIELDS = {f"{kind.__name__}.{field.name}" for kind in KINDS for field in dataclasses.fields(kind)}
NOT_FACTS = {f"PlatformSpec.{field.name}" for field in dataclasses.fields(platform_spec.PlatformSpec)}
"""Of the platform document, facts are what it holds for each platform."""


@cache
def shape(name: str) -> Document:
    return load(f"{SHAPES}:{name}")


@cache
def cases_by_fact() -> dict[str, list[str]]:
    """The contract's cases that state each fact."""
    found: dict[str, list[str]] = {}
    documents = {case.shape: shape(case.shape) for case in CASES} | {"every_fact": from_dict(*stated.every_fact())}
    documents |= {name: load(f"{SCHEDULED}:{name}") for name in ("nightly", "killed", "both", "workdays", "sectioned")}
    for name, document in documents.items():
        for kind in {fact.kind for fact in facts(document)}:
            found.setdefault(kind, []).append(name)
    return found


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """The fields of the spec that Turnout's code reads; to list what a document says is not to read it."""
    found: set[str] = set()

    def watch(kind: Any) -> None:
        names = {field.name for field in dataclasses.fields(kind)}

        def read(self: Any, name: str) -> Any:
            if name in names:
                reader = sys._getframe(1).f_code.co_filename
                if not reader.startswith("<") and not reader.endswith(("plan/support.py", "dataclasses.py")):
                    found.add(f"{kind.__name__}.{name}")
            return object.__getattribute__(self, name)

        monkeypatch.setattr(kind, "__getattribute__", read)

    for kind in KINDS:
        watch(kind)
    return found


def run(document: Document, parameters: dict[str, Any], directory: Path) -> Any:
    plan = link(document)
    values = bind_parameters(plan.parameters, filled(parameters, directory), plan.name)
    return local.run(plan, values, ArtifactStore(str(directory / "root")), "run", local.Options(secrets=SECRETS))


def test_a_field_that_no_code_reads_is_not_kept(reads: set[str], tmp_path: Path) -> None:
    os.environ.setdefault("TURNOUT_ENVIRONMENTS", str(PROJECT / ".turnout" / "environments"))
    tables = [registry.track(track).support("process") for track in ("local", "airflow")]
    kept = {kind for table in tables for kind, support in table.items() if support.verdict == "kept"} & FIELDS
    document = from_dict(*stated.every_fact())
    compile_for(document)
    result = run(document, {}, tmp_path)
    assert (result.state, result.outputs) == ("SUCCEEDED", {"text": stated.OUTPUT})
    cases = {case.shape: case for case in CASES}
    for kind in sorted(kept - reads):
        names = [name for name in cases_by_fact().get(kind, ()) if name in cases]
        for name in names if kind not in reads else ():
            directory = tmp_path / kind / name
            directory.mkdir(parents=True)
            compile_for(shape(name))
            run(shape(name), dict(cases[name].parameters), directory)
            if kind in reads:
                break
    assert kept - reads == set()


@pytest.mark.parametrize("track", ["local", "airflow"])
def test_what_is_kept_or_lowered_is_stated_by_a_case(track: str) -> None:
    table = registry.track(track).support("process")
    works = {kind for kind, support in table.items() if support.verdict != "refused"}
    assert works - NOT_FACTS - cases_by_fact().keys() == set()


def refusals() -> Iterator[Any]:
    """A case for each gap of a track with a runtime: a strict expected failure, with its reason."""
    for track in ("local", "airflow"):
        for runtime in ("process", "docker", "kubernetes"):
            table = registry.track(track).support(runtime)
            for kind in stated.GAPS:
                support = table[kind]
                if support.verdict == "refused":
                    marks = [
                        getattr(pytest.mark, str(support.gap)),
                        pytest.mark.xfail(raises=TrackError, strict=True, reason=f"{support.gap}: {support.how}"),
                    ]
                    yield pytest.param(track, runtime, kind, marks=marks, id=f"{track}-{runtime}-{kind}")


@pytest.mark.parametrize(("track", "runtime", "kind"), list(refusals()))
def test_a_gap(track: str, runtime: str, kind: str) -> None:
    plan = link(from_dict(*stated.gap(kind)))
    if found := registry.track(track).faults(plan, runtime):
        assert any(kind in fault.what and fault.where for fault in found)
        raise TrackError(found)


@cache
def gaps_by_fact() -> dict[str, str]:
    """The gap in whose document each fact stands."""
    return {fact.kind: kind for kind in stated.GAPS for fact in facts(from_dict(*stated.gap(kind)))}


@pytest.mark.parametrize("track", ["local", "airflow"])
def test_every_gap_has_a_case(track: str) -> None:
    for runtime in ("process", "docker", "kubernetes"):
        table = registry.track(track).support(runtime)
        refused = {kind for kind, support in table.items() if support.verdict == "refused"}
        assert refused - gaps_by_fact().keys() == set()


def test_what_one_track_refuses_is_kept_in_the_yaml() -> None:
    from turnout.spec.document import read, write

    for kind in stated.GAPS:
        document = from_dict(*stated.gap(kind))
        assert read(next(iter(compile_for(document, "kfp").values()))) == document
        assert write(document) == next(iter(compile_for(document, "kfp").values()))


def test_a_step_that_makes_a_list_of_artifacts_is_refused() -> None:
    spec, platform = stated.documents({"list": (f"{stated.REPORT}.isArtifactList", True)})
    with pytest.raises(TrackError, match=r"cannot make a list of artifacts @ facts\.read\.report\n  hint"):
        compile_for(from_dict(spec, platform))


def test_the_page_of_support_is_fresh() -> None:
    text = support_page(cases_by_fact(), gaps_by_fact())
    if os.environ.get("UPDATE_GOLDEN"):
        assert "CI" not in os.environ, "golden files are not rewritten in CI"
        SUPPORT_PAGE.parent.mkdir(parents=True, exist_ok=True)
        SUPPORT_PAGE.write_text(text, encoding="utf-8")
    assert SUPPORT_PAGE.read_text(encoding="utf-8") == text, "UPDATE_GOLDEN=1 pytest tests/contract/test_support.py"
