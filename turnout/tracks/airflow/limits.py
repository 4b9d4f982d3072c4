"""What Airflow's settings allow, as far as a pipeline's file tells before a run."""

from __future__ import annotations

import os
from collections.abc import Iterator

from turnout.errors import Fault
from turnout.plan.model import Constant, Plan, Region

MAP_LENGTH = "AIRFLOW__CORE__MAX_MAP_LENGTH"
"""The variable that says how many instances of one task a run of Airflow may have."""

_DEFAULT = 1024


def loop_faults(plan: Plan) -> Iterator[Fault]:
    """Loops that are longer than Airflow allows, by the lists that are written in the pipeline.

    Airflow's own setting counts where it is a variable here too; a loop in loops has all their iterations together.
    """
    given = os.environ.get(MAP_LENGTH, "")
    most = int(given) if given.isdecimal() else _DEFAULT

    def check(region: Region, around: int) -> Iterator[Fault]:
        count = around
        if region.loop:
            items = region.loop.items
            known = len(items.value) if isinstance(items, Constant) and isinstance(items.value, list) else 1
            count *= known
            if count > most and known > 1:
                what = f"the loop has {count:,} iterations, more than the {most:,} that Airflow allows"
                hint = f"set {MAP_LENGTH}={count} where Airflow runs, and where you compile"
                yield Fault(what, f"{plan.name}.{region.path}", hint=hint)
        for node in region.nodes:
            if isinstance(node, Region):
                yield from check(node, max(count, 1))

    yield from check(plan.root, 1)
