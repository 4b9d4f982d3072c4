"""Notifiers that a pipeline names."""

from __future__ import annotations

import asyncio
import importlib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseNotifier

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
        await asyncio.to_thread(self._target(), context)

    def _target(self) -> Any:
        module, _, name = self.path.rpartition(".")
        target = getattr(importlib.import_module(module), name)
        if not (isinstance(target, type) and issubclass(target, BaseNotifier)):
            raise TypeError(f"{self.path} is not a notifier: a subclass of airflow.sdk.BaseNotifier")
        return target(**self.arguments)
