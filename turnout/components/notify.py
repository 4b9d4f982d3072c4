"""Tell people."""

from typing import Annotated, Literal

from annotated_types import Ge

from turnout import component


@component(cache=False)
def notify(
    title: str,
    text: str,
    key: str,
    severity: Literal["info", "warning", "critical"] = "warning",
    channels: list[str] = [],
    silence_hours: Annotated[float, Ge(0)] = 24.0,
    state: str = ".turnout/notices.json",
) -> None:
    """Send a notice by all channels, but not the same one again within some hours.

    When a channel fails the others have the notice, and the step fails and names it; tried again, it tells only those
    that do not have it.

    Args:
        title: what happened, in a line; the same title and severity are the same notice.
        text: what there is to know.
        key: what it is about, such as the check and the model.
        severity: how bad it is; another severity is told at once.
        channels: Apprise URLs (mailto, slack, json for a webhook, ...), `file:PATH`, or `$NAME` of a variable of the
            environment that holds one, for those with secrets. With none, the notice stands in the log.
        silence_hours: how long a channel is not told the same again.
        state: path or URI of a file that remembers what was told.
    """
    import datetime

    from turnout import ComponentError
    from turnout.monitoring.alerts.notices import Notice, send

    print(f"{severity}: {title}\n{text}")
    outcome = send(Notice(key, severity, title, text), channels, state, datetime.timedelta(hours=silence_hours))
    for name in outcome.sent:
        print(f"told {name}")
    for name in outcome.silent:
        print(f"{name} was told the same less than {silence_hours:g} hours ago")
    if outcome.failed:
        what = "\n".join(f"{name} could not be told: {why}" for name, why in outcome.failed.items())
        raise ComponentError(
            what, hint="check the channel's address and its secret; a new try tells only those that failed"
        )
