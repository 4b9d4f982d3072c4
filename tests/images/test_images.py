"""What is in an image, what builders are asked to do, and what becomes of their refusals.

The builders here are programs that write down what they are asked; `tests/airflow/test_containers.py` has real ones.
"""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

from turnout.errors import FaultsError, ImageError, ProjectError, SpecError
from turnout.images.build import build
from turnout.images.builders import Builder, find_builder
from turnout.images.image import Image, dockerfile
from turnout.images.project import image_name, project_code, project_image
from turnout.project.file import Project
from turnout.spec.document import digest, read, write
from turnout.spec.image_digests import pinned, read_digests, with_digest, write_digests

NAME = "127.0.0.1:5000/team/orders:0.1.0"
DIGEST = f"sha256:{'a' * 64}"

PROGRAM = """\
#!/bin/sh
echo "$@" >> "$0.asked"
for word; do
    [ -f "$word/Dockerfile" ] && cp "$word/Dockerfile" "$0.dockerfile"
    [ "$before" = --digestfile ] && printf '%s' '{digest}' > "$word"
    before=$word
done
{more}
"""


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    directory = tmp_path / "bin"
    directory.mkdir()
    monkeypatch.setenv("PATH", f"{directory}{os.pathsep}/usr/bin{os.pathsep}/bin")
    monkeypatch.setattr("turnout.images.builders.shutil.which", lambda name: _there(directory / name))
    return directory


def _there(path: Path) -> str | None:
    return str(path) if path.exists() else None


def program(path: Path, more: str = "") -> Path:
    path.write_text(PROGRAM.format(digest=DIGEST, more=more))
    path.chmod(0o755)
    return path


def asked(path: Path) -> list[str]:
    return Path(f"{path}.asked").read_text().splitlines()


@pytest.fixture
def project(tmp_path: Path) -> Project:
    directory = tmp_path / "orders"
    for name in ("orders/__init__.py", "orders/pipelines/__init__.py", "orders/pipelines/daily.py", "dags/daily.py"):
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("")
    (directory / ".env").write_text("PASSWORD=hush")
    (directory / "pyproject.toml").write_text(
        '[project]\nname = "orders"\ndependencies = ["turnout[train]>=0.1", "turnout-extra", "polars==1.2"]\n'
    )
    return Project(directory.resolve(), ("orders/pipelines/*.py",), image=NAME)


def test_the_first_builder_that_works_is_taken(programs: Path) -> None:
    program(programs / "docker", "echo 'Cannot connect to the Docker daemon' >&2; exit 1")
    with pytest.raises(ImageError) as error:
        find_builder()
    assert "docker does not answer: Cannot connect to the Docker daemon" in str(error.value)
    assert "buildah is not installed" in str(error.value)
    program(programs / "buildah")
    assert find_builder() == Builder("buildah")
    with pytest.raises(ImageError, match="podman is not installed"):
        find_builder("podman")
    with pytest.raises(ImageError, match="no builder 'kaniko'"):
        find_builder("kaniko")


def test_images_are_all_built_before_one_is_pushed(programs: Path) -> None:
    podman = program(programs / "podman")
    images = [Image(NAME, "base:1"), Image("127.0.0.1:5000/team/other:1", NAME, requirements="polars==1.2\n")]
    built = build(images, Builder("podman"), push=True, epoch="17", options=["--network=host"])
    assert [(item.name, item.digest) for item in built] == [(image.name, DIGEST) for image in images]
    assert [line.split()[0] for line in asked(podman)] == ["build", "build", "push", "push"]
    assert f"--tag {NAME} --format docker --timestamp 17 --network=host" in asked(podman)[0]
    assert "--requirement /opt/requirements.txt" in Path(f"{podman}.dockerfile").read_text()


def test_docker_tells_the_digest_of_what_it_has_pushed(programs: Path) -> None:
    reference = json.dumps([f"elsewhere/orders@sha256:{'b' * 64}", f"127.0.0.1:5000/team/orders@{DIGEST}"])
    program(programs / "docker", f"case $1 in image) echo '{reference}';; esac")
    assert build([Image(NAME, "base:1")], Builder("docker"), push=True)[0].digest == DIGEST
    program(programs / "docker", "case $1 in image) echo '[]';; esac")
    with pytest.raises(ImageError, match="pushed, but its digest is not known"):
        build([Image(NAME, "base:1")], Builder("docker"), push=True)


def test_a_build_that_fails_shows_its_last_lines(programs: Path) -> None:
    program(programs / "podman", "seq 1 100; echo no matching distribution; exit 7")
    lines: list[str] = []
    with pytest.raises(ImageError) as error:
        build([Image(NAME, "base:1")], Builder("podman"), push=True, watch=lines.append)
    assert len(lines) == 101
    text = str(error.value).splitlines()
    assert text[0] == f"podman cannot build the image @ {NAME}:"
    assert text[1] == "  82"
    assert "no matching distribution" in text[-2]
    assert len(asked(programs / "podman")) == 1  # nothing was pushed


def test_a_push_that_is_refused_says_how_to_log_in(programs: Path) -> None:
    program(programs / "buildah", "case $1 in push) echo unauthorized; exit 1;; esac")
    with pytest.raises(ImageError) as error:
        build([Image(NAME, "base:1")], Builder("buildah"), push=True)
    assert "unauthorized" in str(error.value)
    assert "hint: log in: buildah login 127.0.0.1:5000" in str(error.value)


def test_wrong_names_are_told_before_anything_is_built(programs: Path) -> None:
    podman = program(programs / "podman")
    images = [Image("Team/Orders:1", "base"), Image("orders", "base"), Image(f"orders@{DIGEST}", "--privileged")]
    with pytest.raises(FaultsError) as error:
        build(images, Builder("podman"))
    assert [fault.where for fault in error.value.faults] == ["image", "image", "image", "base"]
    assert "has no tag" in error.value.faults[1].what
    assert not Path(f"{podman}.asked").exists()


def test_the_project_s_image_has_its_code_and_what_that_requires(project: Project) -> None:
    code = project_code(project)
    assert sorted(code.files) == [
        "orders/__init__.py", "orders/pipelines/__init__.py", "orders/pipelines/daily.py", "pyproject.toml"
    ]  # fmt: skip
    image = project_image(project, code, [])
    assert image.requirements == "turnout-extra\npolars==1.2\n"
    assert image.roots == (".",)
    text = dockerfile(image)
    assert text.startswith("FROM turnout-python-components:")
    assert text.rstrip().endswith("USER 10001:0")


def test_of_a_repository_only_what_git_knows_is_in_the_image(project: Project) -> None:
    git = ["git", "-C", str(project.directory), "-c", "user.name=a", "-c", "user.email=a@example.com"]
    subprocess.run([*git, "init", "--quiet"], check=True)
    subprocess.run([*git, "add", "orders"], check=True)
    subprocess.run([*git, "commit", "--quiet", "-m", "first"], check=True)
    (project.directory / "orders" / "new.py").write_text("")
    code = project_code(project)
    assert "pyproject.toml" not in code.files
    assert code.unknown == ("orders/new.py",)
    assert len(code.revision) == 40
    assert code.epoch.isdigit()
    (project.directory / "orders" / "__init__.py").write_text("changed = True\n")
    changed = project_code(project)
    assert changed.revision == f"{code.revision}-dirty"
    assert changed.epoch == ""


def test_a_project_without_an_image_is_told_how_to_name_one(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ProjectError, match="image = "):
        image_name(Project(project.directory))
    monkeypatch.setenv("TURNOUT_IMAGE", "orders:2")
    assert image_name(Project(project.directory)) == "orders:2"


def test_values_cannot_change_what_a_dockerfile_does() -> None:
    text = dockerfile(Image(NAME, "base:1", labels={"title": 'a"\nRUN rm $HOME'}))
    assert text.splitlines()[1] == 'LABEL title="a\\" RUN rm \\$HOME"'


SPEC = """\
components: {a: {executorLabel: a}, b: {executorLabel: b}}
deploymentSpec:
  executors:
    a: {container: {image: "127.0.0.1:5000/team/orders:0.1.0", command: [a]}}
    b: {container: {image: "debian:12", command: [b]}}
pipelineInfo: {name: two}
root: {dag: {tasks: {a: {componentRef: {name: a}, taskInfo: {name: a}}}}}
schemaVersion: 2.1.0
sdkVersion: kfp-2.17.0
"""


def test_images_are_given_by_their_digests_where_those_are_known(tmp_path: Path) -> None:
    assert read_digests(tmp_path) == {}
    write_digests(tmp_path, {"other:1": DIGEST})
    write_digests(tmp_path, {NAME: DIGEST})
    assert read_digests(tmp_path) == {"other:1": DIGEST, NAME: DIGEST}
    deployment = pinned(read(SPEC), read_digests(tmp_path)).pipeline.deployment_spec
    assert deployment is not None
    images = [executor.container.image for executor in deployment.executors.values() if executor.container]
    assert images == [f"127.0.0.1:5000/team/orders@{DIGEST}", "debian:12"]
    assert with_digest("unknown:1", read_digests(tmp_path)) == "unknown:1"


@pytest.mark.parametrize("text", ["[]", "{", '{"orders:1": "latest"}'])
def test_a_file_that_holds_no_digests_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "images.json").write_text(text)
    with pytest.raises(SpecError, match=r"images\.json"):
        read_digests(tmp_path)


def test_the_name_of_an_image_leaves_the_digest_of_the_compiled_file_alone() -> None:
    document = read(SPEC)
    by_name, by_digest = write(document), write(pinned(document, {NAME: DIGEST}))
    assert by_name != by_digest
    assert digest(by_name) == digest(by_digest)
    assert digest(by_name) != digest(by_name.replace("- a", "- c"))
