"""What tasks of a DAG file wait for, beside those whose outputs they take; and which groups end with a task.

Airflow decides a task as soon as one before it failed or was skipped, whatever else before it is still at work. So
the last tasks of a group may have ended while others in the group have not: a group's end waits for these too.
"""

from __future__ import annotations

from collections.abc import Iterator, Set

from turnout.plan.model import FinalStatus, Plan, Region, Step, giving, references


def ends(plan: Plan) -> set[str]:
    """The regions whose end is a task of its own: something waits for it, or reads it, and it is not simply that of
    their last tasks. The root, whose path is '', where the last tasks do not tell how the run ended.
    """
    followed, asked, patient = _followed(plan), _asked(plan), _before_always(plan)
    regions = [region for region in plan.root.regions() if region.path in followed]
    found = {
        region.path
        for region in regions
        if ends_in_parts(region) or region.path in asked or (region.path in patient and any(unwaited(region, set())))
    }
    return found | _loops_in_loops(plan) | ({""} if _has_always(plan.root) else set())


def unwaited(region: Region, ends: Set[str], always: bool = False) -> Iterator[tuple[Step | Region, bool]]:
    """The nodes in a region that may be at work when its last tasks have ended, each with whether its gate alone is
    meant.

    A node is not among them that something inside follows alone: what follows it cannot have ended before.

    Args:
        ends: the regions whose end is a task, which waits for all that is in them.
        always: whether a region around this one starts whatever has failed before it. The tasks in it that take an
            output of what failed have ended before it starts.
    """
    always = always or region.always
    followed = {path for node in region.nodes for path in node.after}
    waited = set() if always else {node.after[0] for node in region.nodes if len(node.after) == 1}
    waited |= {path for node in region.nodes if node.always and isinstance(node, Step) for path in node.after}
    for node in region.nodes:
        if node.path in followed - waited:
            yield node, False
        if isinstance(node, Region) and node.path not in ends:
            if node.always:
                yield node, True
            yield from unwaited(node, ends, always)


def joins(plan: Plan) -> set[str]:
    """The nodes that wait for several others, of which one may be skipped.

    They wait until all have ended: skipped at once, they would not tell of another that fails later. KFP's SDK makes
    no such pipeline, but its format can say it.
    """
    found: set[str] = set()
    for region in plan.root.regions():
        skipped: set[str] = set()
        for node in region.nodes:
            after_skipped = not node.always and not skipped.isdisjoint(node.after)
            if after_skipped and len(node.after) > 1:
                found.add(node.path)
            if after_skipped or (isinstance(node, Region) and node.condition):
                skipped.add(node.path)
    return found


def _followed(plan: Plan) -> set[str]:
    """The nodes that another waits for, or that give an output of the pipeline."""
    return {path for region in plan.root.regions() for node in region.nodes for path in node.after} | {*giving(plan)}


def _before_always(plan: Plan) -> set[str]:
    """The nodes that one waits for that starts whatever has failed."""
    return {path for region in plan.root.regions() for node in region.nodes if node.always for path in node.after}


def _asked(plan: Plan) -> set[str]:
    """The nodes whose final status a step takes."""
    sources = (source for step in plan.steps() for item in step.inputs.values() for source in references(item))
    return {source.path for source in sources if isinstance(source, FinalStatus)}


def ends_in_parts(region: Region) -> bool:
    """Whether some of a region's last tasks may be skipped, or succeed after a failure, while the region goes on.

    Airflow's triggers look at single tasks: who waits for such a region would take a part for the whole.
    """
    inside = [inner for inner in region.regions() if inner is not region]
    return bool(region.loop) or any(inner.condition or inner.loop for inner in inside) or _has_always(region)


def _loops_in_loops(plan: Plan) -> set[str]:
    """The loops inside others. Their tasks lie beside those of the outer loop, whose end must wait for them."""
    loops = [region for region in plan.root.regions() if region.loop]
    return {inner.path for loop in loops for inner in loop.regions() if inner.loop and inner is not loop}


def _has_always(region: Region) -> bool:
    return any(node.always for inner in region.regions() for node in inner.nodes)
