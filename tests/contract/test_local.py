"""The contract on the local track."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from paths import PROJECT

from contract.cases import CASES, Case, filled
from turnout.authoring.source import load
from turnout.execution.secrets import Secrets
from turnout.execution.store import ArtifactStore
from turnout.plan.link import link
from turnout.plan.parameters import bind_parameters
from turnout.tracks.local import runner as local

SHAPES = Path(__file__).with_name("shapes.py")
SECRETS = Secrets({"warehouse": {"password": "hush"}}, {"limits": {"rows": "10"}})


@pytest.mark.parametrize("case", CASES, ids=[case.id for case in CASES])
def test_the_contract(case: Case, tmp_path: Path) -> None:
    keeps(case, tmp_path, local.Options(secrets=SECRETS))


def keeps(case: Case, tmp_path: Path, options: local.Options) -> None:
    """See a case through on the local track."""
    os.environ.setdefault("TURNOUT_ENVIRONMENTS", str(PROJECT / ".turnout" / "environments"))
    plan = link(load(f"{SHAPES}:{case.shape}"))
    values = bind_parameters(plan.parameters, filled(case.parameters, tmp_path), plan.name)
    store = ArtifactStore(str(tmp_path / "root"))
    result = local.run(plan, values, store, "run", options)
    errors = [step.error for step in result.steps if step.error] + result.errors
    assert {step.key: step.state.value for step in result.steps} == case.steps, errors
    assert result.state == case.state, errors
    if callable(case.outputs):
        assert case.outputs(result.outputs), result.outputs
    else:
        assert result.outputs == case.outputs
    found = {step.key: step.outcome.parameters.get("Output") for step in result.steps if step.outcome}
    assert {label: found[label] for label in case.values} == case.values
