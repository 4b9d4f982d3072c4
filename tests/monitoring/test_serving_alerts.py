"""Alerts of served models, held against Prometheus' own tool: they come when the budget is spent too fast."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from turnout.errors import ComponentError
from turnout.monitoring.alerts.serving import serving_rules

PROMTOOL = shutil.which("promtool")
ENVOY = 'model="flights",envoy_http_conn_manager_prefix="turnout"'


def raised(name: str, at: str, *windows: tuple[str, str], summary: str = "") -> dict[str, Any]:
    alerts = [
        {
            "exp_labels": {"severity": severity, "model": "flights", **({"window": window} if window else {})},
            "exp_annotations": {"summary": summary.format(window)},
        }
        for window, severity in windows
    ]
    return {"alertname": name, "eval_time": at, "exp_alerts": alerts}


@pytest.mark.skipif(not PROMTOOL, reason="needs promtool, of the package prometheus")
def test_alerts_come_when_the_budget_is_spent_too_fast(tmp_path: Path) -> None:
    (tmp_path / "rules.yml").write_text(serving_rules(["flights"], 99.0, 100))
    good = f'envoy_http_downstream_rq_xx_total{{{ENVOY},envoy_response_code_class="2"}}'
    bad = f'envoy_http_downstream_rq_xx_total{{{ENVOY},envoy_response_code_class="5"}}'
    quick, timed = (f"envoy_http_downstream_rq_time_{name}" for name in ("bucket", "count"))
    healthy = 'envoy_cluster_membership_healthy{model="flights",envoy_cluster_name="7"}'
    errors = "flights: too many requests fail; in {} the budget is spent 14.4 times too fast"
    slow = "flights: too many answers take longer than 100 ms; in {} the budget is spent 14.4 times too fast"
    tests = {
        "rule_files": ["rules.yml"],
        "evaluation_interval": "1m",
        "tests": [
            {
                "interval": "1m",
                "input_series": [
                    {"series": good, "values": "0+80x300"},
                    # Two hours with few errors, two with a fifth, and none again.
                    {"series": bad, "values": "0+0.1x120 12+20x120 2412+0x60"},
                    {"series": f'{quick}{{{ENVOY},le="100"}}', "values": "0+100x120 12000+50x120"},
                    {"series": f"{timed}{{{ENVOY}}}", "values": "0+100x300"},
                    {"series": healthy, "values": "2x240 0x60"},
                ],
                "alert_rule_test": [
                    raised("TurnoutServingErrors", "100m"),
                    raised("TurnoutServingSlow", "100m"),
                    raised("TurnoutServingDown", "100m"),
                    raised("TurnoutServingDown", "255m", ("", "critical"), summary="flights: no worker answers"),
                ],
            }
        ],
    }
    all_windows = (("1h", "critical"), ("6h", "critical"), ("3d", "warning"))
    asked = [
        (raised("TurnoutServingErrors", "200m", *all_windows), errors),
        (raised("TurnoutServingSlow", "200m", *all_windows), slow),
        # A quarter of an hour after the trouble nobody is called for the last hour any more.
        (raised("TurnoutServingErrors", "255m", *all_windows[1:]), errors),
    ]
    burns = {"1h": "14.4", "6h": "6", "3d": "1"}
    for rule, text in asked:
        for alert in rule["exp_alerts"]:
            window = alert["exp_labels"]["window"]
            alert["exp_annotations"]["summary"] = text.format(window).replace("14.4", burns[window])
        tests["tests"][0]["alert_rule_test"].append(rule)  # type: ignore[index]
    (tmp_path / "tests.yml").write_text(yaml.safe_dump(tests))
    for what in (["check", "rules", "rules.yml"], ["test", "rules", "tests.yml"]):
        done = subprocess.run([str(PROMTOOL), *what], cwd=tmp_path, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr


def test_a_bound_that_is_none_is_refused() -> None:
    with pytest.raises(ComponentError, match="100 percent"):
        serving_rules(["flights"], 100)
    with pytest.raises(ComponentError, match=r"70 ms is no bound(.|\n)*available here: 0\.5, 1, 5"):
        serving_rules(["flights"], latency_ms=70)
