"""The packages that people install: whole however they are built, and enough for what the README promises."""

from __future__ import annotations

import re
import subprocess
import tarfile
import zipfile
from pathlib import Path

import pytest
from installed import OUTSIDE, build, environment, uv
from paths import PROJECT


def files_of(wheel: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(wheel) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(tmp_path_factory.mktemp("built"))


@pytest.mark.slow
def test_the_packages_have_the_catalogue_and_nothing_else(wheel: Path, tmp_path: Path) -> None:
    uv("build", "--wheel", "--out-dir", tmp_path, PROJECT)
    files = files_of(wheel)
    assert files == files_of(next(tmp_path.glob("*.whl")))
    kept = set(subprocess.check_output(["git", "ls-files", "turnout"], cwd=PROJECT, text=True).splitlines())
    untracked = ["git", "ls-files", "--others", "--exclude-standard", "turnout"]
    kept |= set(subprocess.check_output(untracked, cwd=PROJECT, text=True).splitlines())
    assert {name for name in files if ".dist-info/" not in name} == kept
    with tarfile.open(next(wheel.parent.glob("*.tar.gz"))) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert names - kept <= {"README.md", "LICENSE", "CHANGELOG.md", "PKG-INFO", "pyproject.toml", ".gitignore"}


@pytest.mark.slow
def test_pipelines_are_written_and_run_with_one_extra(wheel: Path, tmp_path: Path) -> None:
    commands = environment(tmp_path / "environment", f"{wheel}[authoring]")
    directory = tmp_path / "team"
    directory.mkdir()
    (code,) = re.findall(
        r"^## Write a pipeline\n+```python\n(.*?)^```", (PROJECT / "README.md").read_text(), re.M | re.S
    )
    (directory / "pipeline.py").write_text(code)

    def turnout(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [commands / "turnout", *arguments]
        return subprocess.run(command, cwd=directory, env=OUTSIDE, capture_output=True, text=True)

    for arguments in (["run", "pipeline.py"], ["check", "pipeline.py"], ["compile", "pipeline.py"]):
        done = turnout(*arguments)
        assert done.returncode == 0, done.stdout + done.stderr
    compile((directory / "dags" / "lines.py").read_text(), "lines.py", "exec")

    assert turnout("init", "orders").returncode == 0
    for arguments in (["check"], ["compile", "--check"]):
        command = [commands / "turnout", *arguments]
        done = subprocess.run(command, cwd=directory / "orders", env=OUTSIDE, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr

    done = turnout("check", "turnout.pipelines.training")
    assert done.returncode == 0, done.stdout + done.stderr
    (directory / "rows.csv").write_text("a,b\n1,2\n")
    for missing, arguments in {
        "data": ["run", "turnout.pipelines.training", "-p", "source=rows.csv"],
        "s3": ["run", "pipeline.py", "--root", "s3://bucket/runs"],
        "monitor": ["monitoring", "export", "turnout.pipelines.drift_check"],
    }.items():
        done = turnout(*arguments)
        assert done.returncode == 1
        assert f"pip install 'turnout[{missing}]'" in done.stdout + done.stderr, done.stdout + done.stderr
        assert "Traceback" not in done.stdout + done.stderr
