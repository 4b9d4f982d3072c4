"""A pipeline is linked once on a machine, not by each of its tasks."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from conftest import DAGS, HOME

from turnout.airflow import plans
from turnout.airflow.plans import read_plan
from turnout.spec.document import digest
from turnout.spec.image_digests import write_digests

KEPT = HOME / "cache" / "turnout" / "plans"


@pytest.fixture
def yaml(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A YAML that nothing has read before."""
    path = tmp_path / "branch.yaml"
    path.write_text((DAGS / "branch.yaml").read_text() + f"# {tmp_path}\n")
    read_plan.cache_clear()
    before = set(KEPT.glob("*"))
    yield path
    for file in set(KEPT.glob("*")) - before:
        file.unlink()
    read_plan.cache_clear()


def again(path: Path) -> Any:
    """The plan as another task reads it."""
    read_plan.cache_clear()
    return read_plan(str(path), digest(path.read_text()))


def kept(path: Path) -> Path:
    found = plans._place(path.read_text())
    assert found
    return found


@pytest.fixture
def links(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Grows by one for each time that a plan is linked."""
    from turnout.plan import link

    found: list[int] = []
    real = link.link
    monkeypatch.setattr(link, "link", lambda document: found.append(1) or real(document))
    return found


def test_other_code_of_a_component_is_another_plan_of_the_same_dag_file(yaml: Path, links: list[int]) -> None:
    before = digest(yaml.read_text())
    again(yaml)
    text = re.sub("(--code-digest\n *- sha256:)....", r"\1beef", yaml.read_text())
    assert text != yaml.read_text()
    yaml.write_text(text)
    plan = again(yaml)
    assert digest(text) == before
    assert "beef" in str(plan.document.pipeline.deployment_spec)
    assert len(links) == 2


def test_the_second_task_takes_the_first_one_s_plan(yaml: Path, links: list[int]) -> None:
    first = again(yaml)
    assert again(yaml) == first
    assert len(links) == 1
    assert kept(yaml).stat().st_mode & 0o777 == 0o600


def test_another_yaml_has_another_plan(yaml: Path, links: list[int]) -> None:
    again(yaml)
    yaml.write_text(yaml.read_text().replace("rows", "lines"))
    assert "lines" in again(yaml).parameters
    assert len(links) == 2


@pytest.mark.parametrize("content", [b"", b"\x80\x05", b"\x80\x05N."], ids=["empty", "cut off", "no plan"])
def test_a_plan_that_cannot_be_read_is_linked_anew(content: bytes, yaml: Path, links: list[int]) -> None:
    first = again(yaml)
    kept(yaml).write_bytes(content)
    assert again(yaml) == first
    assert again(yaml) == first
    assert len(links) == 2


def test_a_file_that_others_can_write_is_not_read(yaml: Path, links: list[int]) -> None:
    again(yaml)
    kept(yaml).chmod(0o606)
    again(yaml)
    assert len(links) == 2


def test_without_a_place_to_keep_it_each_task_links(
    yaml: Path, links: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", "/proc/nowhere")
    assert again(yaml) == again(yaml)
    assert len(links) == 2


def test_code_that_links_otherwise_links_anew(yaml: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    before = kept(yaml)
    for part in ("plan", "spec"):
        (tmp_path / part).mkdir()
        (tmp_path / part / "changed.py").write_text("")
    monkeypatch.setattr(plans, "__file__", str(tmp_path / "airflow" / "plans.py"))
    assert kept(yaml) != before


def test_images_are_those_of_the_digests_beside_the_dag_file(yaml: Path) -> None:
    before = digest(yaml.read_text())
    image = re.search(r"image: (\S+)", yaml.read_text())
    assert image
    assert image[1] in str(again(yaml).document)
    write_digests(yaml.parent, {image[1]: f"sha256:{'a' * 64}"})
    assert digest(yaml.read_text()) == before
    assert image[1] not in str(again(yaml).document)
    assert f"{image[1].partition(':')[0]}@sha256:{'a' * 64}" in str(again(yaml).document)
