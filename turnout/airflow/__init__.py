"""The Airflow provider: the operators of compiled DAG files; in files written by hand, `task_group` and `Step`.

A compiled file imports what it uses from here. The operators import Airflow and Turnout's core; never kfp,
and never a component's libraries.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from turnout.airflow.expressions import Field, Interval, OneOf, Status, Template
    from turnout.airflow.groups import task_group
    from turnout.airflow.loops import Items, Loop
    from turnout.airflow.named_classes import Notify, make_timetable
    from turnout.airflow.operators import End, Outputs, Step, When

__all__ = [
    "End",
    "Field",
    "Interval",
    "Items",
    "Loop",
    "Notify",
    "OneOf",
    "Outputs",
    "Status",
    "Step",
    "Template",
    "When",
    "make_timetable",
    "task_group",
]

_MODULES = {
    "expressions": ("Field", "Interval", "OneOf", "Status", "Template"),
    "groups": ("task_group",),
    "loops": ("Items", "Loop"),
    "named_classes": ("Notify", "make_timetable"),
}


def __getattr__(name: str) -> Any:
    # Airflow reads the provider's description, in this package, while it is itself only half imported.
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module = next((module for module, names in _MODULES.items() if name in names), "operators")
    return getattr(importlib.import_module(f"{__name__}.{module}"), name)
