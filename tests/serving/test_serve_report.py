"""`turnout serve report`: an A/B test as a page, from the logs of a server."""

from __future__ import annotations

import datetime
import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from turnout.cli.serve import commands
from turnout.reports.report import Report
from turnout.serving.directory import Directory
from turnout.serving.release import Release, Served
from turnout.serving.state import State

USERS = 4000


class Place:
    """A serving directory, whose server is not needed: half of the users are to get version 8."""

    def __init__(self, path: Path):
        self.directory = Directory(path / "serving")
        self.path = path
        self.directory.make()
        made = Release("flights", (Served("7", 50.0), Served("8", 50.0)), sticky="x-user")
        State(self.directory.path).change(lambda before: made, "an A/B test")

    def asked(self, part: float, sold: dict[str, float]) -> None:
        """Each user asks twice; `part` of them get version 8; what they buy comes later."""
        rng = np.random.default_rng(0)
        versions = np.where(rng.random(USERS) < part, "8", "7")
        now = time.time() - 3600
        lines = [
            json.dumps({"time": f"{now + place + second * USERS:.6f}", "version": str(versions[place]),
                        "split": "8=50 7=50", "method": "POST", "code": 200, "flags": "-", "duration_us": 1500,
                        "user": f"u{place}", "request_id": f"{second}-{place}"})
            for second in range(2) for place in range(USERS)
        ]  # fmt: skip
        self.directory.access_log.write_text("\n".join(lines) + "\n")
        day = datetime.datetime.fromtimestamp(now, datetime.UTC).date().isoformat()
        (self.directory.requests / f"date={day}").mkdir()
        ids = [f"0-{place}" for place in range(USERS)]
        kept = {"request_id": ids, "version": list(versions), "row": [0] * USERS, "latency_ms": [1.0] * USERS,
                "prediction": list(rng.normal(size=USERS))}  # fmt: skip
        pq.write_table(pa.table(kept), self.directory.requests / f"date={day}" / "worker-1.parquet")
        bought = rng.random(USERS) < np.where(versions == "8", sold["8"], sold["7"])
        pq.write_table(pa.table({"request_id": ids, "sale": bought.astype(float)}), self.path / "sales.parquet")

    def report(self, *arguments: str) -> Any:
        out = self.path / "ab.html"
        given = ["report", "--directory", str(self.directory.path), "--out", str(out), *arguments]
        done = CliRunner().invoke(commands, given)
        assert done.exit_code == 0, done.output
        return done.output, Report.from_html(out.read_text())


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def test_a_version_that_sells_less_is_found_by_users_and_what_they_bought(place: Place) -> None:
    place.asked(0.5, {"7": 0.3, "8": 0.2})
    told, report = place.report("--labels", str(place.path / "sales.parquet"), "--business", "sale")
    assert told.startswith("flights version 8: worse\nbusiness metric: worse")
    assert report is not None
    assert report.good is False
    assert sum(value for name, value in report.metrics if name.startswith("requests")) == USERS
    found = json.loads(place.report("--json")[0])
    assert "business" not in [item["metric"] for item in found["findings"]]
    assert found["verdict"] != "worse"


def test_when_users_are_not_split_as_they_should_be_nothing_else_is_said(place: Place) -> None:
    place.asked(0.4, {"7": 0.3, "8": 0.2})
    told, _ = place.report("--labels", str(place.path / "sales.parquet"), "--business", "sale")
    assert "the traffic is not split as it should be" in told
    assert "business" not in told


def test_what_cannot_be_compared_is_told(place: Place, tmp_path: Path) -> None:
    State(place.directory.path).change(lambda before: Release("flights", (Served("7", 100.0),)), "the end")
    done = CliRunner().invoke(commands, ["report", "--directory", str(place.directory.path)])
    assert done.exit_code == 1
    assert "no version is tried out" in done.stderr
