"""KFP's packages: one YAML in a .zip or a .tar.gz."""

from __future__ import annotations

import gzip
import io
import tarfile
import zipfile
from collections.abc import Mapping
from pathlib import Path

import pytest
from paths import EXAMPLES

from turnout.authoring.source import load
from turnout.errors import SpecError
from turnout.spec import package
from turnout.spec.document import read_file, write

NAMES = ("made.zip", "made.tar.gz", "made.tgz")


def pack(path: Path, files: Mapping[str, str]) -> Path:
    if path.suffix == ".zip":
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as made:
            for name, text in files.items():
                made.writestr(name, text)
        return path
    with tarfile.open(path, "w:gz") as made:
        for name, text in files.items():
            item = tarfile.TarInfo(name)
            item.size = len(text.encode())
            made.addfile(item, io.BytesIO(text.encode()))
        link = tarfile.TarInfo("link.yaml")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        made.addfile(link)
    return path


@pytest.fixture(scope="module")
def text() -> str:
    return write(load(f"{EXAMPLES}/shapes.py:branch"))


@pytest.mark.parametrize("name", NAMES)
def test_a_package_is_read_as_its_yaml(name: str, text: str, tmp_path: Path) -> None:
    (tmp_path / "plain.yaml").write_text(text)
    plain = read_file(tmp_path / "plain.yaml")
    alone = pack(tmp_path / name, {"./some/other.yaml": text, "README.md": "x", "._other.yaml": "\0"})
    assert load(str(alone)) == plain
    assert load(str(pack(tmp_path / name, {"a.yaml": "no", "pipeline.yaml": text}))) == plain


@pytest.mark.parametrize("name", NAMES)
def test_a_package_without_one_yaml_is_refused_with_what_it_has(name: str, text: str, tmp_path: Path) -> None:
    with pytest.raises(SpecError, match=f"no YAML in the package @ {name}"):
        load(str(pack(tmp_path / name, {"README.md": "x"})))
    with pytest.raises(SpecError, match=r"more than one YAML in the package.*\n.*a\.yaml, b\.yml"):
        load(str(pack(tmp_path / name, {"a.yaml": text, "b.yml": text})))
    with pytest.raises(SpecError, match="not a KFP pipeline"):
        load(str(pack(tmp_path / name, {"a.yaml": "[]"})))


@pytest.mark.parametrize("name", NAMES)
def test_a_package_is_unpacked_within_bounds(
    name: str, text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(package, "LARGEST", 1024**2)
    with pytest.raises(SpecError, match="more than 1 MiB"):
        load(str(pack(tmp_path / name, {"a.yaml": "x" * 2 * 1024**2})))
    with pytest.raises(SpecError, match="more than 1 MiB"):
        load(str(pack(tmp_path / name, {f"{n}.yaml": "x" * 600_000 for n in range(2)})))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("keep", [0, 10, 100, -10])
def test_what_is_no_package_is_one_error(name: str, keep: int, text: str, tmp_path: Path) -> None:
    path = pack(tmp_path / name, {"a.yaml": text})
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(SpecError, match=f"@ {name}"):
        load(str(path))
    with pytest.raises(SpecError, match="cannot read the pipeline: No such file"):
        load(str(tmp_path / f"no-{name}"))


def test_a_gzip_that_is_no_archive_is_one_error(text: str, tmp_path: Path) -> None:
    (tmp_path / "plain.tar.gz").write_bytes(gzip.compress(text.encode()))
    with pytest.raises(SpecError, match="cannot read the package"):
        load(str(tmp_path / "plain.tar.gz"))
