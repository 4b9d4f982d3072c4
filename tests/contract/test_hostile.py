"""Values are data: whatever they look like, they arrive as they were sent, and are shown as text."""

from __future__ import annotations

from pathlib import Path

from contract.hostile import TEXTS
from turnout.authoring.source import load
from turnout.execution.store import ArtifactStore
from turnout.plan.link import link
from turnout.plan.parameters import bind_parameters
from turnout.tracks.local import runner as local

SHAPES = Path(__file__).with_name("shapes.py")


def test_hostile_texts_pass_through_unchanged(tmp_path: Path) -> None:
    plan = link(load(f"{SHAPES}:hostile"))
    struct = {text[:100] or "empty": [text, {"inner": text}] for text in TEXTS[:-1]}
    values = bind_parameters(plan.parameters, {"texts": TEXTS, "struct": struct}, plan.name)
    store = ArtifactStore(str(tmp_path / "root"))
    result = local.run(plan, values, store, "run")
    assert result.state == "SUCCEEDED", [step.error for step in result.steps] + result.errors
    for text, found in zip(TEXTS, result.outputs["Output"], strict=True):
        assert found == {"read": text, "metadata": {"text": text, "struct": struct}, "text": text}
    report = (Path(result.path) / "report.html").read_text()
    assert "<script>alert" not in report
    assert "&lt;script&gt;" in report
    assert "&lt;b&gt;{{ name }}&lt;/b&gt;" in report
