"""What `check` makes of pipelines with faults in them, and of what it passes: no crash, no hang, only files that work.

Mutants of the project's own compiled pipelines, the same in each run; `TURNOUT_MUTANTS` says how many.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from google.protobuf import json_format
from kfp.pipeline_spec import pipeline_spec_pb2

from contract.mutants import mutants, passed
from turnout import verbs
from turnout.spec.document import to_dict

COUNT = int(os.environ.get("TURNOUT_MUTANTS", "300"))
SECONDS = 30
"""How long one may take; the slowest took one."""


@pytest.fixture
def bounded() -> Iterator[None]:
    def late(*_: Any) -> None:
        raise TimeoutError(f"a pipeline took more than {SECONDS} seconds")

    before = signal.signal(signal.SIGALRM, late)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


def test_a_faulty_pipeline_is_a_fault_and_a_good_one_compiles(bounded: None) -> None:
    good = 0
    for text in mutants(COUNT):
        signal.alarm(SECONDS)
        document = passed(text)
        if document is None:
            continue
        good += 1
        json_format.ParseDict(to_dict(document.pipeline), pipeline_spec_pb2.PipelineSpec())  # KFP's server reads it too
        for name, code in verbs.compile(document).items():
            if name.suffix == ".py":
                compile(code, str(name), "exec")
    assert COUNT / 10 < good < COUNT


def test_they_are_the_same_in_each_run() -> None:
    assert list(mutants(5)) == list(mutants(5))
    assert list(mutants(5)) != list(mutants(5, seed=1))


def test_the_project_s_own_pipelines_are_no_mutants(tmp_path: Path) -> None:
    import yaml

    from contract.mutants import originals

    for documents in originals():
        assert passed(yaml.dump_all(documents, Dumper=yaml.CSafeDumper)) is not None, documents[0]["pipelineInfo"]
