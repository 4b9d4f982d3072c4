"""Alert rules and dashboards as code, held against Prometheus' own tool; and how steps did, by the records of runs."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families
from typer.testing import CliRunner

from turnout import Dataset, Input, Metrics, Output, component, pipeline, verbs
from turnout.authoring.pipeline import compile_pipeline
from turnout.cli.app import app
from turnout.cli.monitors import period
from turnout.components.monitor import monitor
from turnout.plan.link import link
from turnout.spec.step_contract import State

PROMTOOL = shutil.which("promtool")


@component
def count(data: Output[Dataset], metrics: Output[Metrics], rows: int):
    """Make rows.

    Args:
        data: the rows.
        metrics: how many.
        rows: how many; none is too few.
    """
    Path(data.path).write_text("x" * rows)
    metrics.log_metric("rows", rows)
    if rows < 0:
        raise ValueError("fewer than none")


@component
def use(data: Input[Dataset]):
    """Take rows.

    Args:
        data: the rows.
    """


@pipeline(schedule="@daily")
def watched(reference: str = "r", least: float = 0.2):
    """Watch rows.

    Args:
        reference: what they are held against.
        least: distance that counts.
    """
    counted = count(rows=10)
    use(data=counted.outputs["data"])
    monitor(data=counted.outputs["data"], reference=reference, least_distance=least, check_name="mine")


@pipeline
def counting(rows: int):
    """Count.

    Args:
        rows: how many.
    """
    use(data=count(rows=rows).outputs["data"])


@pipeline
def nameless():
    """Watch rows namelessly."""
    monitor(data=count(rows=10).outputs["data"], reference="r")


HOSTILE = 'it\'s "mine"\\ } or vector(1)'


@pipeline
def hostile():
    """Watch rows under a name that is none of PromQL's."""
    monitor(data=count(rows=10).outputs["data"], reference="r", check_name=HOSTILE)


def run(*arguments: str) -> tuple[int, str]:
    found = CliRunner().invoke(app, ["monitoring", *arguments])
    return found.exit_code, found.output


@pytest.fixture
def exported(tmp_path: Path) -> Path:
    status, said = run("export", f"{__file__}:watched", "--out", str(tmp_path))
    assert status == 0, said
    return tmp_path


@pytest.mark.skipif(not PROMTOOL, reason="needs promtool, of the package prometheus")
def test_alerts_are_raised_when_they_should_be(exported: Path) -> None:
    by = {"pipeline": "watched", "monitor": "mine"}

    def series(name: str, values: str, **labels: str) -> dict[str, str]:
        text = ", ".join(f'{key}="{value}"' for key, value in labels.items())
        return {"series": f"{name}{{{text}}}", "values": values}

    def raised(name: str, at: str, summary: str = "", severity: str = "warning", **labels: str) -> dict[str, Any]:
        expected = {"exp_labels": {"severity": severity, **labels}, "exp_annotations": {"summary": summary}}
        return {"alertname": name, "eval_time": at, "exp_alerts": [expected] if summary else []}

    mine = {"monitor": "mine", "model": "m"}
    tests = {
        "rule_files": ["rules.yml"],
        "evaluation_interval": "1h",
        "tests": [
            {
                "interval": "1h",
                "input_series": [
                    series("turnout_monitor_drifted", "0x5 1x5 0x90", **mine),
                    series("turnout_monitor_broken", "0x10 1x90", **mine),
                    series("turnout_monitor_drifted", "1x100", monitor="another's", model="m"),
                    series("turnout_monitor_timestamp_seconds", "0x100", **mine),
                    series("turnout_step_last_failed", "0x10 1x90", pipeline="watched", step="count"),
                    series("turnout_step_last_failed", "1x100", pipeline="another", step="count"),
                ],
                "alert_rule_test": [
                    raised("TurnoutDataDrifted", "4h"),
                    raised(
                        "TurnoutDataDrifted", "8h", "The data of m has drifted from what it was trained on", **mine | by
                    ),
                    raised("TurnoutDataDrifted", "20h"),
                    raised("TurnoutDataBroken", "20h", "The data of m cannot be trusted", "critical", **mine | by),
                    raised("TurnoutModelWorse", "20h"),
                    raised("TurnoutCheckMissing", "47h"),
                    raised("TurnoutCheckMissing", "49h", "mine has not run for 2 of its intervals", "critical", **by),
                    raised(
                        "TurnoutStepFailed", "20h", "count of watched failed when it last ran", "critical",
                        pipeline="watched", step="count",
                    ),
                ],
            },
            {"alert_rule_test": [
                raised("TurnoutCheckMissing", "1h", "mine has not run for 2 of its intervals", "critical", **by)
            ]},
        ],
    }  # fmt: skip
    (exported / "tests.yml").write_text(yaml.safe_dump(tests))
    for what in (["check", "rules", "rules.yml"], ["test", "rules", "tests.yml"]):
        done = subprocess.run([str(PROMTOOL), *what], cwd=exported, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
        assert "duplicate" not in done.stdout


@pytest.mark.skipif(not PROMTOOL, reason="needs promtool, of the package prometheus")
def test_a_name_cannot_change_a_rule(tmp_path: Path) -> None:
    assert run("export", f"{__file__}:hostile", "--out", str(tmp_path))[0] == 0
    rules = yaml.safe_load((tmp_path / "rules.yml").read_text())["groups"][0]["rules"]
    asked = rules[0]["expr"].removeprefix("turnout_monitor_broken{monitor=").removesuffix("} == 1")
    assert json.loads(asked) == HOSTILE
    done = subprocess.run([str(PROMTOOL), "check", "rules", tmp_path / "rules.yml"], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_dashboard_shows_what_is_published(exported: Path) -> None:
    board = json.loads((exported / "dashboard.json").read_text())
    rows = [panel["title"] for panel in board["panels"] if panel["type"] == "row"]
    assert rows == ["mine", "Steps"]
    panels = {panel["title"]: panel for panel in board["panels"]}
    moved = panels["How far columns have moved"]
    assert [step["value"] for step in moved["fieldConfig"]["defaults"]["thresholds"]["steps"]] == [None, 0.2]
    asked = " ".join(target["expr"] for panel in board["panels"] for target in panel.get("targets", ()))
    assert 'turnout_monitor_worse{monitor="mine"}' in asked
    assert 'turnout_step_failures{pipeline=~"watched"}' in asked
    places = [(panel["gridPos"]["x"], panel["gridPos"]["y"]) for panel in board["panels"]]
    assert len(set(places)) == len(places)


def test_files_that_are_stale_or_cannot_be_made_are_told(exported: Path) -> None:
    source = f"{__file__}:watched"
    assert run("export", source, "--out", str(exported), "--check")[0] == 0
    (exported / "rules.yml").write_text("groups: []\n")
    status, said = run("export", source, "--out", str(exported), "--check")
    assert status == 3
    assert "1 of 2 files are stale" in said
    status, said = run("export", f"{__file__}:nameless", "--out", str(exported))
    assert (status, said.count("a monitor without a name @ nameless.monitor")) == (1, 1)
    status, said = run("export", source, source, "--out", str(exported))
    assert (status, said.count("two monitors are called 'mine'")) == (1, 1)


@pytest.mark.parametrize(
    ("schedule", "hours"),
    [("@daily", 24), ("@hourly", 1), ("0 3 * * 1-5", 72), ("@monthly", 31 * 24), ("@once", None), (None, None)],
)
def test_the_longest_time_between_two_runs(schedule: str | None, hours: float | None) -> None:
    @pipeline(name="p", schedule=schedule)
    def empty():
        """Do little."""
        use(data=count(rows=1).outputs["data"])

    found = period(link(compile_pipeline(empty)))
    assert (found and found.total_seconds() / 3600) == hours


def test_steps_tell_how_they_did(tmp_path: Path) -> None:
    root = str(tmp_path / "runs")

    for rows in (1000, 2000, -1):
        result = verbs.run(f"{__file__}:counting", {"rows": rows}, root=root, run_id=f"run{rows}")
        assert result.state is (State.SUCCEEDED if rows > 0 else State.FAILED), result
    status, text = run("steps", "--root", root, "--json", "--prometheus", str(tmp_path / "steps.prom"))
    assert status == 0, text
    counted, used = json.loads(text)
    assert (counted["step"], counted["executions"], counted["failures"], counted["last_failed"]) == (
        "count",
        3,
        1,
        True,
    )
    assert 0 < counted["error_low"] < 1 / 3 < counted["error_high"] < 1
    assert counted["seconds"] == sorted(counted["seconds"])
    assert counted["rows_per_second"] > 100
    assert 10 * 2**20 < counted["memory"] < 2**30
    assert (used["executions"], used["last_failed"]) == (2, False)
    metrics = {
        (sample.name, sample.labels["step"], sample.labels.get("quantile")): sample.value
        for family in text_string_to_metric_families((tmp_path / "steps.prom").read_text())
        for sample in family.samples
    }
    assert metrics["turnout_step_failures", "count", None] == 1
    assert metrics["turnout_step_seconds", "count", "0.95"] == pytest.approx(counted["seconds"][1])
    assert "count" in run("steps", "--root", root)[1]
    assert run("steps", "--root", str(tmp_path / "none"))[1] == f"no step has run in 30 days @ {tmp_path}/none\n"
