"""What pipelines say to Airflow: kept in the YAML, checked at definition, filled in when a run starts."""

from __future__ import annotations

import datetime
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from paths import EXAMPLES

from turnout import Asset, Deadline, Notifier, StepFacts, Timetable, on_airflow, pipeline
from turnout.authoring.pipeline import compile_pipeline
from turnout.authoring.source import load
from turnout.errors import DefinitionError, ParameterError, TrackError
from turnout.plan.link import link
from turnout.plan.parameters import with_data_interval
from turnout.spec.airflow_facts import AirflowFacts, facts_to_json, last_interval, read_facts
from turnout.verbs import compile as compile_to

SCHEDULED = EXAMPLES / "scheduled.py"


def defined(**facts: Any) -> Any:
    @pipeline(**facts)
    def some(since: datetime.datetime | None = None, until: datetime.datetime | None = None, text: str = ""):
        """Do nothing much.

        Args:
            since: start.
            until: end.
            text: any.
        """
        from contract.steps import give

        give(value=text)

    return some


texts = st.text(min_size=1, max_size=20)
assets = st.builds(Asset, name=texts, uri=texts)
conditions = st.recursive(
    assets,
    lambda inner: (
        st.tuples(inner, inner).map(lambda pair: pair[0] & pair[1])
        | st.tuples(inner, inner).map(lambda pair: pair[0] | pair[1])
    ),
)
arguments = st.dictionaries(texts, st.integers() | texts, max_size=2)
notifiers = st.builds(Notifier, path=st.just("a.B"), arguments=arguments)
timetables = st.builds(
    Timetable, path=st.just("a.B"), arguments=arguments, positional=st.lists(texts, max_size=2).map(tuple)
)
deltas = st.timedeltas(min_value=datetime.timedelta(seconds=1), max_value=datetime.timedelta(days=400))


@given(
    st.builds(
        AirflowFacts,
        schedule=st.sampled_from(["0 3 * * 1", "@daily", None]) | deltas | timetables,
        triggered_by=conditions | st.none(),
        start_date=st.dates() | st.datetimes(),
        deadline=st.builds(Deadline, deltas, notifiers) | st.none(),
        on_failure=st.lists(notifiers, max_size=2).map(tuple),
        timeout=deltas | st.none(),
        steps=st.builds(StepFacts, pool=texts | st.none(), publishes=st.dictionaries(texts, assets, max_size=2)),
    )
)
def test_facts_survive_the_yaml(facts: AirflowFacts) -> None:
    assert read_facts(json.loads(json.dumps(facts_to_json(facts))), "here") == facts


@pytest.mark.parametrize(
    ("facts", "what"),
    [
        ({"schedule": "every day"}, "schedule 'every day' cannot be read"),
        ({"schedule": "0 0 3 * * 1"}, "cannot be read"),
        ({"schedule": "@dayly"}, "no schedule '@dayly'"),
        ({"schedule": datetime.timedelta()}, "not above zero"),
        ({"schedule": Timetable("os.system('x')")}, "not the dotted path"),
        ({"timezone": "Mars/Olympus"}, "no time zone"),
        ({"catchup": True}, "without a start date"),
        ({"start_date": datetime.date(2024, 1, 2), "end_date": datetime.date(2024, 1, 1)}, "before the start"),
        ({"max_active_runs": 0}, "at least 1"),
        ({"data_interval": ("since", "text")}, "no date-time parameter 'text'"),
        ({"data_interval": ("since", "until"), "schedule": "@once"}, "no data intervals"),
        ({"on_failure": [Notifier("os.system('x')")]}, "not the dotted path"),
        ({"sections": {"Data": ["txet"]}}, "did you mean text"),
        ({"scedule": "@daily"}, "did you mean schedule"),
    ],
)
def test_what_cannot_be_is_said_at_definition(facts: dict[str, Any], what: str) -> None:
    with pytest.raises(DefinitionError) as error:
        defined(**facts)
    assert what in str(error.value)


def test_an_output_that_the_step_lacks_cannot_be_published() -> None:
    with pytest.raises(DefinitionError, match="no output 'modle'"):

        @pipeline
        def some():
            """Do nothing much."""
            from contract.steps import give

            on_airflow(give(), publishes={"modle": Asset("a")})


def test_a_stranger_s_facts_are_checked_too() -> None:
    document = compile_pipeline(defined(schedule="@daily"))
    config = document.platform_config("airflow")
    config["on_failure"] = [{"path": "__import__('os').system('x')"}]
    with pytest.raises(TrackError, match="not the dotted path"):
        compile_to(document)
    del config["on_failure"]
    config["schedule"] = "0 3 * * 1'); import os; ('"
    with pytest.raises(TrackError, match="cannot be read"):
        compile_to(document)


def test_steps_of_one_component_have_facts_of_their_own() -> None:
    document = load(f"{SCHEDULED}:nightly")
    (code,) = [text for path, text in compile_to(document).items() if path.suffix == ".py"]
    first, second = code.split("tell_2 = Step(")
    assert 'pool="default_pool"' in first
    assert 'owner="someone"' in second
    assert "pool=" not in second


def test_the_last_interval_knows_the_clocks() -> None:
    facts = link(load(f"{SCHEDULED}:nightly")).airflow
    noon = datetime.datetime(2024, 3, 31, 12, tzinfo=datetime.UTC)
    start, end = last_interval(facts, noon)
    assert (start.isoformat(), end.isoformat()) == ("2024-03-30T03:00:00+01:00", "2024-03-31T03:00:00+02:00")
    # A run at the very moment of the schedule is for the interval that ends then.
    assert last_interval(facts, end)[1] == end


def test_an_interval_is_given_whole_or_not_at_all() -> None:
    facts = AirflowFacts(data_interval=("since", "until"))
    now = datetime.datetime(2024, 5, 2, 12, tzinfo=datetime.UTC)
    assert with_data_interval({"since": None, "until": None}, facts, now) == {
        "since": "2024-05-01T00:00:00+00:00",
        "until": "2024-05-02T00:00:00+00:00",
    }
    with pytest.raises(ParameterError, match="give both, or neither"):
        with_data_interval({"since": "2024-01-01T00:00:00Z", "until": None}, facts, now)


def test_a_timetable_is_named_by_its_class_and_literals() -> None:
    (code,) = [text for path, text in compile_to(load(f"{SCHEDULED}:workdays")).items() if path.suffix == ".py"]
    assert "schedule=make_timetable(" in code
    assert '["0 7 * * 1-5", "0 10 * * 6"]' in code


LOOPS = """
from kfp import dsl

from contract.steps import give


@dsl.pipeline
def long():
    with dsl.ParallelFor(list(range(1025))) as item:
        give(value=f"{item}")


@dsl.pipeline
def crossed():
    with dsl.ParallelFor(list(range(40))) as one, dsl.ParallelFor(list(range(40))) as two:
        give(value=f"{one}{two}")


@dsl.pipeline
def short():
    with dsl.ParallelFor(list(range(1024))) as one, dsl.ParallelFor(["a"]):
        give(value=f"{one}")
"""


@pytest.mark.parametrize(("name", "place", "count"), [("long", "for-loop-2", 1025), ("crossed", "for-loop-4", 1600)])
def test_a_loop_that_is_too_long_for_airflow_is_told_before_it_runs(
    name: str, place: str, count: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "long_loops.py").write_text(LOOPS)
    document = load(f"{tmp_path}/long_loops.py:{name}")
    what = rf"{count:,} iterations, more than the 1,024 that Airflow allows @ {name}\.(.*\.)?{place}\n  hint: set "
    with pytest.raises(TrackError, match=rf"{what}AIRFLOW__CORE__MAX_MAP_LENGTH={count} "):
        compile_to(document)
    monkeypatch.setenv("AIRFLOW__CORE__MAX_MAP_LENGTH", str(count))
    compile_to(document)
    monkeypatch.delenv("AIRFLOW__CORE__MAX_MAP_LENGTH")
    compile_to(load(f"{tmp_path}/long_loops.py:short"))
