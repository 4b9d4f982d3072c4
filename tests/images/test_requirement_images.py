"""Images of components that have requirements of their own."""

from __future__ import annotations

from pathlib import Path

import pytest

from turnout.errors import ProjectError
from turnout.execution import base
from turnout.images.image import Image, dockerfile
from turnout.images.project import requirement_images
from turnout.spec.deployment_spec import ExecutorSpec, PipelineContainerSpec, PipelineDeploymentConfig
from turnout.spec.document import Document
from turnout.spec.pipeline_spec import PipelineSpec
from turnout.spec.requirements import image_with

PROJECT = Image("host/team/flights:1", "turnout-python-components:0.1.0", labels={"a": "b"})


def document(**executors: tuple[str, list[str]]) -> Document:
    """A pipeline of components, each with an image and lines."""
    made = {
        name: ExecutorSpec(
            container=PipelineContainerSpec(
                image=image,
                command=["turnout", "exec", f"{name}:f"],
                args=[f"--requires={line}" for line in lines],
            )
        )
        for name, (image, lines) in executors.items()
    }
    return Document(pipeline=PipelineSpec(deployment_spec=PipelineDeploymentConfig(executors=made)))


def test_each_set_of_requirements_is_one_image_on_the_project_s() -> None:
    lines = ["torch>=2.4", "--extra-index-url https://host/cpu"]
    own = image_with(PROJECT.name, lines)
    first = document(a=(own, lines), b=(own, lines[::-1]), plain=(PROJECT.name, []), mine=("mine:1", ["x"]))
    (image,) = requirement_images(PROJECT, [first, document(c=(own, lines))])
    assert (image.name, image.base, image.modules) == (own, PROJECT.name, ("a", "b", "c"))
    text = dockerfile(image)
    assert text.startswith("FROM host/team/flights:1\n")
    assert "pip check" not in text
    assert "python -m turnout.execution.base" in text
    assert image.requirements.splitlines() == lines


def test_packages_of_this_machine_cannot_be_in_an_image() -> None:
    lines = ["tiny", "--find-links wheels"]
    with pytest.raises(ProjectError, match="a place of this machine"):
        requirement_images(PROJECT, [document(a=(image_with(PROJECT.name, lines), lines))])


def test_an_image_in_which_steps_could_not_run_is_not_built(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, version, needs in (
        ("kfp", "2.17.3", "protobuf>=6"),
        ("protobuf", "6.1", ""),
        ("feast", "1", "numpy>=2"),
        ("numpy", "1.0", ""),
    ):
        place = tmp_path / f"{name}-{version}.dist-info"
        place.mkdir()
        place.joinpath("METADATA").write_text(f"Name: {name}\nRequires-Dist: {needs}\n\nRequires-Dist: not-this>9\n")
    monkeypatch.setattr(base, "base_of", lambda python: base.Base(python, "3.11", (str(tmp_path),)))
    assert base.main() == 0
    assert capsys.readouterr().out == "warning: feast 1 wants numpy>=2, not 1.0\n"
    (tmp_path / "protobuf-6.1.dist-info").rename(tmp_path / "protobuf-3.1.dist-info")
    assert base.main() == 1
    assert "error: every step needs this: kfp 2.17.3 wants protobuf>=6, not 3.1" in capsys.readouterr().out
