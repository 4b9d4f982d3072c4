"""End a release: tell how it went, and take a version out when something failed."""

from typing import Annotated, NamedTuple

from annotated_types import Ge

from turnout import HTML, Output, PipelineTaskFinalStatus, component


class Ended(NamedTuple):
    """How the release ended: `released`, `rolled back`, or `held` with a part of the traffic, not yet known."""

    outcome: str


@component(cache=False)
def end_release(
    registered_model: str,
    alias: str,
    status: PipelineTaskFinalStatus,
    report: Output[HTML],
    target: str = "local",
    channels: list[str] = [],
    silence_hours: Annotated[float, Ge(0)] = 24.0,
    state: str = ".turnout/notices.json",
) -> Ended:
    """Tell how a release went; where a step of it failed, the version is taken out first, if it still has any traffic.

    For an exit handler: it runs whatever happened. KFP does not always say whether a step failed: then a version keeps
    its part when the judge has left it to people, or it has all requests.

    Args:
        registered_model: name in the MLflow registry.
        alias: that the version has which was to be released.
        status: of the steps of the release.
        report: how it ended, and what is served now, as a page.
        target: where it is served: `registry`, `local`, `local:DIRECTORY`, `kubernetes:FILE`, `kserve:FILE`.
        channels: where to tell: Apprise URLs, `file:PATH`, or `$NAME` of a variable that holds one.
        silence_hours: how long a channel is not told the same again.
        state: path or URI of a file that remembers what was told.
    """
    import datetime

    from turnout import ComponentError
    from turnout.models.registry import alias_uri, look_up
    from turnout.monitoring.alerts.notices import Notice, send
    from turnout.serving.rollout.report import end_report
    from turnout.serving.rollout.steps import ended
    from turnout.serving.targets.chosen import target_of

    version = look_up(alias_uri(registered_model, alias)).version
    place = target_of(target)
    end = ended(place, registered_model, version, status.state, status.error_message or "")
    print(f"{end.severity}: {end.title}\n{end.text}")
    end_report(end, place.status(registered_model), target).write(report)
    key = f"release {registered_model} {version}"
    outcome = send(
        Notice(key, end.severity, end.title, end.text), channels, state, datetime.timedelta(hours=silence_hours)
    )
    if outcome.failed:
        what = "\n".join(f"{name} could not be told: {reason}" for name, reason in outcome.failed.items())
        raise ComponentError(what, hint="check the channel's address and its secret")
    return Ended(end.outcome)
