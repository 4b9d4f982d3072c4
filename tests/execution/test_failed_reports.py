"""What a step reported before it failed is kept on KFP too, whose launcher stores nothing of a step that failed."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from upath import UPath

CHECKED = """
from turnout import HTML, ComponentError, Dataset, Markdown, Output, component


@component
def checked(
    page: Output[HTML], notes: Output[Markdown], refused: Output[HTML], own: Output[HTML], rows: Output[Dataset]
) -> None:
    \"\"\"Check rows.

    Args:
        page: what was found.
        notes: the same in short.
        refused: the same for a store that refuses.
        own: the same where a launcher of Turnout's stores it.
        rows: those that pass.
    \"\"\"
    for output in (page, notes, refused, own, rows):
        with open(output.path, "w") as file:
            file.write(f"{output.name}: 7 rows are wrong")
    raise ComponentError("rows are wrong")
"""
STEP = """
import sys
from kfp.dsl.types import artifact_types
from turnout.execution.executor import main

# KFP's launcher stores from directories in the root of the container.
artifact_types._S3_LOCAL_MOUNT_PREFIX = artifact_types._MINIO_LOCAL_MOUNT_PREFIX = "mount/"
sys.exit(main(sys.argv[1:]))
"""


def test_pages_are_in_the_store_and_their_places_in_the_log(bucket: str, tmp_path: Path) -> None:
    (tmp_path / "checked_rows.py").write_text(CHECKED)
    places = {
        "page": ("system.HTML", f"s3://{bucket}/run/page"),
        "notes": ("system.Markdown", f"minio://{bucket}/run/notes"),
        "refused": ("system.HTML", "s3://nobodys/run/refused"),
        "own": ("system.HTML", f"s3://{bucket}/run/own"),
        "rows": ("system.Dataset", f"s3://{bucket}/run/rows"),
    }
    outputs = {
        name: {"artifacts": [{"name": name, "uri": uri, "type": {"schemaTitle": kind}, "metadata": {}}]}
        for name, (kind, uri) in places.items()
    }
    outputs["own"]["artifacts"][0]["customPath"] = str(tmp_path / "own")
    given = json.dumps({"inputs": {}, "outputs": {"artifacts": outputs, "outputFile": f"{tmp_path}/output.json"}})
    command = [sys.executable, "-c", STEP, "checked_rows:checked", "--executor-input", given]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == "rows are wrong"
    kept = UPath(f"s3://{bucket}/run")
    assert {path.name: path.read_text() for path in kept.iterdir()} == {
        "page": "page: 7 rows are wrong",
        "notes": "notes: 7 rows are wrong",
    }
    for name in ("page", "notes"):
        assert f"{name} of this try: {places[name][1]}\n" in done.stderr
    assert "warning: refused is not kept in s3://nobodys/run/refused: " in done.stderr
