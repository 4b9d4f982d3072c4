"""Facts that only Airflow uses: when a pipeline runs, where, and who is notified.

They stand in the YAML under `platforms.airflow`: those of the pipeline in `config`, those of a step in
`deploymentSpec.executors` under its executor's label, like the settings of kfp-kubernetes for its platform.
"""

from __future__ import annotations

import dataclasses
import datetime
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar
from zoneinfo import ZoneInfo

import cattrs

from turnout.errors import Fault, SpecError

PRESETS = {"@hourly", "@daily", "@weekly", "@monthly", "@quarterly", "@yearly"}
UNTIMED_PRESETS = {"@once", "@continuous"}
_PATH = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)+", re.ASCII)


@dataclass(frozen=True)
class Asset:
    """An asset of Airflow: data that one pipeline makes, and whose update can start others.

    `a & b` starts a run when both were updated, `a | b` when one of them was. Of an asset that a step reads or
    publishes, the name may hold the step's inputs in braces, such as `models:/{registered_model}`.

    Attributes:
        name: at most 1500 characters of ASCII. Pipelines that use the same name mean the same asset.
        uri: where the data is, for people; no program reads it.
    """

    name: str
    uri: str = ""

    def __and__(self, other: Asset | Assets) -> Assets:
        return Assets((self, other), every=True)

    def __or__(self, other: Asset | Assets) -> Assets:
        return Assets((self, other), every=False)


@dataclass(frozen=True)
class Assets:
    """Assets of which all, or any one, must have been updated."""

    of: tuple[Asset | Assets, ...]
    every: bool

    def __and__(self, other: Asset | Assets) -> Assets:
        return Assets((self, other), every=True)

    def __or__(self, other: Asset | Assets) -> Assets:
        return Assets((self, other), every=False)


@dataclass(frozen=True)
class Notifier:
    """Whom to notify, and how: a notifier class of an Airflow provider, or your own subclass of `BaseNotifier`.

    Attributes:
        path: dotted path of the class, such as `airflow.providers.slack.notifications.slack.SlackNotifier`.
        arguments: arguments of the class. Texts in its template fields are Jinja templates, such as `{{ dag.dag_id }}`.
    """

    path: str
    arguments: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Timetable:
    """A schedule that no cron expression can express: a timetable class of Airflow or of a plugin.

    Attributes:
        path: dotted path of the class, such as `airflow.sdk.MultipleCronTriggerTimetable`.
        arguments: arguments of the class, by name.
        positional: its positional arguments.
    """

    path: str
    arguments: Mapping[str, Any] = field(default_factory=dict)
    positional: tuple[str, ...] = ()


@dataclass(frozen=True)
class Deadline:
    """Whom to notify when a run has not ended in time. The run goes on.

    Attributes:
        after: the time that a run may take, from when it was queued.
        notifier: whom to notify, and how.
    """

    after: datetime.timedelta
    notifier: Notifier


@dataclass(frozen=True, kw_only=True)
class StepFacts:
    """Facts of one step, or the defaults for all steps.

    Attributes:
        pool: name of the Airflow pool whose slots the step takes.
        pool_slots: how many slots it takes.
        priority: priority weight among tasks that wait for a slot; a higher one starts sooner.
        queue: queue of the workers that may run it, if the executor has queues.
        executor: name of the executor that runs it, if several are configured.
        owner: who is responsible for it.
        max_active: how many instances of the step may run at once, over all runs.
        reads: assets that the step reads.
        publishes: assets to update when the step succeeds, by the name of the output that each stands for.
        on_failure: whom to notify when it has failed and has no retries left.
        doc: what it does, for people; the first paragraph of its component's docstring.
    """

    pool: str | None = None
    pool_slots: int | None = None
    priority: int | None = None
    queue: str | None = None
    executor: str | None = None
    owner: str | None = None
    max_active: int | None = None
    reads: tuple[Asset, ...] = ()
    publishes: Mapping[str, Asset] = field(default_factory=dict)
    on_failure: tuple[Notifier, ...] = ()
    doc: str = ""


Schedule = str | datetime.timedelta | Timetable


@dataclass(frozen=True, kw_only=True)
class AirflowFacts:
    """Facts of a pipeline for Airflow.

    Attributes:
        schedule: a five-field cron expression, a preset such as `@daily`, the time between runs, or a timetable.
        triggered_by: assets whose update starts a run, in addition to the schedule if there is one.
        timezone: IANA name of the time zone of the schedule, and of dates without an offset; UTC when empty.
        data_interval: names of two date-time parameters: start and end of the data that a run works on.
        sections: headings of the trigger form, each with the parameters under it.
        steps: defaults for every step.
    """

    schedule: Schedule | None = None
    triggered_by: Asset | Assets | None = None
    timezone: str = ""
    start_date: datetime.date | None = None
    end_date: datetime.date | None = None
    catchup: bool = False
    max_active_runs: int | None = None
    max_active_steps: int | None = None
    data_interval: tuple[str, str] | None = None
    timeout: datetime.timedelta | None = None
    deadline: Deadline | None = None
    on_failure: tuple[Notifier, ...] = ()
    on_success: tuple[Notifier, ...] = ()
    tags: tuple[str, ...] = ()
    sections: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    steps: StepFacts = field(default_factory=StepFacts)

    def faults(self, where: str) -> Iterator[Fault]:
        """What is wrong with them by themselves."""
        from croniter import croniter

        hint = "a cron expression of five fields such as '0 3 * * 1', a preset such as '@daily', or a timedelta"
        match self.schedule:
            case str(text) if text.startswith("@"):
                if text not in PRESETS | UNTIMED_PRESETS:
                    available = tuple(sorted(PRESETS | UNTIMED_PRESETS))
                    yield Fault(f"no schedule '{text}'", f"{where}.schedule", available)
            case str(text):
                if len(text.split()) != 5 or not croniter.is_valid(text):
                    yield Fault(f"schedule '{text}' cannot be read", f"{where}.schedule", (), hint)
            case datetime.timedelta() as length if length <= datetime.timedelta():
                yield Fault("the time between runs is not above zero", f"{where}.schedule")
            case Timetable():
                yield from class_faults(self.schedule.path, f"{where}.schedule")
        if self.timezone:
            try:
                ZoneInfo(self.timezone)
            except (ValueError, OSError, KeyError):
                yield Fault(f"no time zone '{self.timezone}'", f"{where}.timezone", (), "such as 'Europe/Berlin'")
        if self.catchup and not self.start_date:
            yield Fault("catch-up without a start date", f"{where}.catchup", (), "say since when with start_date")
        if self.start_date and self.end_date and moment(self.end_date, self) < moment(self.start_date, self):
            yield Fault("the end is before the start", f"{where}.end_date")
        if self.data_interval and self.schedule in UNTIMED_PRESETS:
            yield Fault(f"'{self.schedule}' has no data intervals", f"{where}.data_interval")
        for name in ("max_active_runs", "max_active_steps"):
            if (value := getattr(self, name)) is not None and value < 1:
                yield Fault(f"{name} must be at least 1", f"{where}.{name}")
        notifiers = [*self.on_failure, *self.on_success, *self.steps.on_failure]
        if self.deadline:
            notifiers.append(self.deadline.notifier)
        for notifier in notifiers:
            yield from class_faults(notifier.path, where)


def class_faults(path: str, where: str) -> Iterator[Fault]:
    """What is wrong with the dotted path of a class, as far as this machine can know."""
    if not _PATH.fullmatch(path):
        yield Fault(f"'{path}' is not the dotted path of a class", where)


def moment(date: datetime.date, facts: AirflowFacts) -> datetime.datetime:
    """A date as a point in time: its midnight in the pipeline's time zone."""
    zone = ZoneInfo(facts.timezone or "UTC")
    if not isinstance(date, datetime.datetime):
        date = datetime.datetime(date.year, date.month, date.day)
    return date if date.tzinfo else date.replace(tzinfo=zone)


def last_interval(facts: AirflowFacts, now: datetime.datetime) -> tuple[datetime.datetime, datetime.datetime]:
    """The last whole data interval before a time; whole days where the schedule has none.

    Args:
        now: with a time zone.
    """
    from croniter import croniter

    if isinstance(facts.schedule, datetime.timedelta):
        return now - facts.schedule, now
    schedule = facts.schedule
    if not isinstance(schedule, str) or schedule in UNTIMED_PRESETS:
        schedule = "@daily"
    if schedule == "@quarterly":
        schedule = "0 0 1 */3 *"
    local = now.astimezone(ZoneInfo(facts.timezone or "UTC"))
    # From the next instant on, so that a time on the schedule ends its own interval.
    times = croniter(schedule, local + datetime.timedelta(seconds=1))
    end = times.get_prev(datetime.datetime)
    return times.get_prev(datetime.datetime), end


FACTS = (
    *dict.fromkeys(item.name for kind in (AirflowFacts, StepFacts) for item in dataclasses.fields(kind)),
    "parameters",
    "parameter_order",
)
"""The keys of the platform document's `airflow`: of pipelines, of steps, and what is said of parameters."""


# --- JSON -------------------------------------------------------------------------------------------------


def facts_to_json(facts: AirflowFacts | StepFacts) -> dict[str, Any]:
    """Facts as they stand in the YAML: without what they do not say."""
    found: dict[str, Any] = _CONVERTER.unstructure(facts)
    return found


def read_facts(config: Mapping[str, Any], where: str) -> AirflowFacts:
    """The facts of a pipeline from its `config`; other keys in it are left to others.

    Raises:
        SpecError: it cannot be read, or says what cannot be.
    """
    names = {item.name for item in dataclasses.fields(AirflowFacts)}
    facts = _read({key: value for key, value in config.items() if key in names}, AirflowFacts, where)
    if faults := list(facts.faults(where)):
        raise SpecError(faults)
    return facts


def read_step_facts(settings: Mapping[str, Any], where: str) -> StepFacts:
    """The facts of a step.

    Raises:
        SpecError: they cannot be read.
    """
    facts = _read(settings, StepFacts, where)
    if faults := [fault for notifier in facts.on_failure for fault in class_faults(notifier.path, where)]:
        raise SpecError(faults)
    return facts


_Kind = TypeVar("_Kind")


def _read(data: Mapping[str, Any], kind: type[_Kind], where: str) -> _Kind:
    try:
        return _CONVERTER.structure(data, kind)
    except cattrs.BaseValidationError as error:
        found = (message.rpartition(" @ ") for message in cattrs.transform_error(error, where))
        raise SpecError([Fault(what, place) for what, _, place in found]) from error


def _exactly(kind: type) -> Callable[[Any, Any], Any]:
    def check(value: Any, _: Any) -> Any:
        if kind is int and isinstance(value, float) and value.is_integer():
            value = int(value)  # protobuf's Struct has one kind of number
        if type(value) is not kind:
            raise ValueError(f"expected {kind.__name__}, found {value!r:.60}")
        return value

    return check


def _date(value: Any, _: Any = None) -> datetime.date:
    text = _exactly(str)(value, str)
    return datetime.datetime.fromisoformat(text) if "T" in text else datetime.date.fromisoformat(text)


def _seconds(value: Any, _: Any = None) -> datetime.timedelta:
    return datetime.timedelta(seconds=float(value["seconds"]))


def _schedule(value: Any, _: Any = None) -> Schedule:
    if isinstance(value, Mapping):
        return _CONVERTER.structure(value, Timetable) if "path" in value else _seconds(value)
    text: str = _exactly(str)(value, str)
    return text


def _assets(value: Any, _: Any = None) -> Asset | Assets:
    for key in ("all", "any"):
        if key in value:
            return Assets(tuple(_assets(item) for item in value[key]), every=key == "all")
    return _CONVERTER.structure(value, Asset)


def _assets_to_json(value: Asset | Assets) -> Any:
    if isinstance(value, Assets):
        return {"all" if value.every else "any": [_assets_to_json(item) for item in value.of]}
    return _CONVERTER.unstructure(value, Asset)


def _make_converter() -> cattrs.Converter:
    converter = cattrs.Converter(omit_if_default=True, forbid_extra_keys=True)
    for kind in (str, int, bool):
        converter.register_structure_hook(kind, _exactly(kind))
    converter.register_structure_hook_func(lambda kind: kind == datetime.date | None, _date)
    converter.register_structure_hook_func(lambda kind: kind == Schedule | None, _schedule)
    converter.register_structure_hook_func(lambda kind: kind == Asset | Assets | None, _assets)
    converter.register_structure_hook(datetime.timedelta, _seconds)
    converter.register_unstructure_hook(datetime.timedelta, lambda value: {"seconds": value.total_seconds()})
    for date in (datetime.date, datetime.datetime):
        converter.register_unstructure_hook(date, lambda value: value.isoformat())
    converter.register_unstructure_hook_func(lambda kind: kind == Asset | Assets | None, _assets_to_json)
    converter.register_unstructure_hook(Assets, _assets_to_json)
    converter.register_unstructure_hook(tuple, lambda value: [converter.unstructure(item) for item in value])
    return converter


_CONVERTER = _make_converter()
