"""Random pipelines end as a small interpreter of them says, and as kfp.local says where it can run them.

On Airflow: `tests/airflow/test_contract.py`.
"""

from __future__ import annotations

import builtins
import contextlib
import io
import logging
import tempfile
from unittest import mock

from hypothesis import HealthCheck, Phase, given, settings

from contract.random_programs import For, Found, Program, Ref, Step, build, interpret, programs
from turnout.authoring.pipeline import compile_pipeline
from turnout.execution.store import ArtifactStore
from turnout.plan.link import link
from turnout.tracks.local import runner as local

SETTINGS = settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)


def on_turnout(program: Program) -> tuple[str, Found]:
    plan = link(compile_pipeline(build(program)))
    tags = {name: tag for tag, name in program.names.items()}
    with tempfile.TemporaryDirectory() as root:
        result = local.run(plan, {}, ArtifactStore(root), "run", local.Options(use_cache=False))
    found = {
        (tags[step.name.rpartition(".")[2]], step.iteration): (
            step.state.value,
            step.outcome.parameters.get("Output") if step.outcome else None,
        )
        for step in result.steps
    }
    assert not result.errors
    return result.state.value, found


@SETTINGS
@given(programs())
def test_a_random_pipeline_ends_as_the_interpreter_says(program: Program) -> None:
    expected = interpret(program)
    state, found = on_turnout(program)
    assert found == expected
    assert state == ("FAILED" if any(one == "FAILED" for one, _ in expected.values()) else "SUCCEEDED")


@settings(SETTINGS, max_examples=15, phases=[Phase.generate])  # to shrink takes minutes
@given(programs(plain=True))
def test_a_random_pipeline_ends_as_on_kfp_local(program: Program) -> None:
    steps: list[Ref] = [("step", item.tag) for item in program.body if isinstance(item, Step)]
    sums: list[Ref] = [("step", item.collected[0]) for item in program.body if isinstance(item, For) and item.collected]
    program.body.append(Step(999, steps[-1], (sums or steps)[-1], -1))
    _, found = on_turnout(program)
    from kfp import local as kfp_local

    # kfp.local indents what is printed by another `print`; loops whose steps end at once leave it behind for good.
    printing = mock.patch.object(builtins, "print", print)
    with tempfile.TemporaryDirectory() as root, contextlib.redirect_stdout(io.StringIO()), printing:
        kfp_local.init(runner=kfp_local.SubprocessRunner(use_venv=False), pipeline_root=root)
        logging.disable(logging.CRITICAL)
        try:
            output = build(program, returns=999)().output
        finally:
            logging.disable(logging.NOTSET)
    assert found[999, ()] == ("SUCCEEDED", output)
