"""Let a training start, unless one did lately."""

from typing import Annotated, NamedTuple

from annotated_types import Ge

from turnout import component


class Cooled(NamedTuple):
    """Whether a training may start, and why."""

    start: bool
    reason: str


@component(cache=False)
def cool_down(registered_model: str, days: Annotated[float, Ge(0)] = 7.0) -> Cooled:
    """Say whether a model may be trained again, and remember that it is: a drift that stays does not train each day.

    The registry remembers when a training was let start last, and for which run; the same run may again.

    Args:
        registered_model: name in the MLflow registry.
        days: how long no other run may start a training.
    """
    import datetime
    import os

    import mlflow
    from mlflow.exceptions import MlflowException

    from turnout import ComponentError
    from turnout.trackers.mlflow import require_answer

    require_answer()
    tag = "turnout.training_started"
    client, now = mlflow.MlflowClient(), datetime.datetime.now(datetime.UTC)
    run_id = os.environ.get("TURNOUT_RUN_ID", "")
    try:
        record = client.get_registered_model(registered_model).tags.get(tag, "")
        time, _, by = record.partition(" ")
        if time and by != run_id:
            wait = datetime.datetime.fromisoformat(time) + datetime.timedelta(days=days) - now
            if wait > datetime.timedelta():
                reason = (
                    f"a training was started {time} by {by}; the next may in {wait.total_seconds() / 86400:.1f} days"
                )
                print(reason)
                return Cooled(False, reason)
        client.set_registered_model_tag(registered_model, tag, f"{now.isoformat(timespec='seconds')} {run_id}")
    except MlflowException as error:
        hint = "is the model registered, the tracking server up, and MLFLOW_TRACKING_URI its address?"
        raise ComponentError(f"the registry cannot be asked: {error}", where=registered_model, hint=hint) from error
    reason = f"no other run has started a training in the last {days:g} days"
    print(reason)
    return Cooled(True, reason)
