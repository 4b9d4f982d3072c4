"""Classes that a pipeline names by their dotted paths: notifiers and timetables, and nothing else."""

from __future__ import annotations

import asyncio
import importlib
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseNotifier

from turnout.airflow.internals import timetables

if TYPE_CHECKING:
    from airflow.sdk import Context


class Notify(BaseNotifier):  # type: ignore[misc]
    """Calls the notifier of a dotted path, which is imported when there is something to tell, not at parse.

    Args:
        path: of a subclass of Airflow's `BaseNotifier`; nothing else is called.
        arguments: of it.
    """

    def __init__(self, path: str, arguments: Mapping[str, Any] | None = None, **kwargs: Any):
        super().__init__(**kwargs)
        self.path, self.arguments = path, dict(arguments or {})

    def notify(self, context: Context) -> None:
        self._target()(context)

    async def async_notify(self, context: Context) -> None:
        # A deadline's context has the run as the API shows it; notifiers look for its id as callbacks have it.
        run = context["dag_run"]
        named = {"run_id": run["dag_run_id"]} if isinstance(run, Mapping) else {}
        await asyncio.to_thread(self._target(), {**named, **context})

    def _target(self) -> Any:
        return _class(self.path, (BaseNotifier,), "a notifier: a subclass of airflow.sdk.BaseNotifier")(
            **self.arguments
        )


def make_timetable(path: str, positional: Sequence[str] = (), arguments: Mapping[str, Any] | None = None) -> Any:
    """The timetable of a dotted path.

    Args:
        path: of a timetable class, Airflow's or a plugin's; nothing else is called.
        positional: its arguments without names.
        arguments: those with.

    Raises:
        TypeError: it is not a timetable.
    """
    return _class(path, timetables(), "a timetable")(*positional, **dict(arguments or {}))


def _class(path: str, kinds: tuple[type, ...], what: str) -> Any:
    module, _, name = path.rpartition(".")
    target = getattr(importlib.import_module(module), name)
    if not (isinstance(target, type) and issubclass(target, kinds)):
        raise TypeError(f"{path} is not {what}")
    return target
