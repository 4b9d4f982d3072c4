"""Lines of requirements: what they may be, where they are from, and what an environment lacks of them."""

from __future__ import annotations

from pathlib import Path

import pytest

from turnout.spec.requirements import Line, checked, image_with, lines_of_file, packages_in, unmet


def faults(*lines: str) -> list[str]:
    return [str(fault) for fault in checked([Line(line, "x.py:3") for line in lines])[1]]


def test_lines_have_one_form_and_stand_once() -> None:
    given = ["torch>=2.4  # why", "torch>=2.4", "-f wheels", "-i https://host/simple", "a[b] ; python_version>'3'", ""]
    found, wrong = checked([Line(text, "") for text in given if text])
    assert wrong == []
    assert found == (
        "torch>=2.4",
        "--find-links wheels",
        "--index-url https://host/simple",
        "a[b] ; python_version>'3'",
    )


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("pandas=2", "'pandas=2' is no requirement"),
        ("./local", "write it as `name>=1.2`"),
        ("-e .", "build a wheel of it"),
        ("-c limits.txt", "write the constraint as a requirement"),
        ("--constraint=limits.txt", "write the constraint as a requirement"),
        ("--extra-indx-url https://host", "did you mean --extra-index-url?"),
        ("--find-links", "'--find-links' takes a value"),
        ("--no-index yes", "'--no-index' takes no value"),
        ("--index-url https://me:hush@host/simple", "a login in a URL would stand in the compiled file"),
        ("pkg @ https://token@host/pkg.whl", "a login in a URL would stand in the compiled file"),
        ("--trusted-host host", "PIP_TRUSTED_HOST"),
    ],
)
def test_what_is_no_requirement_is_told_with_its_place(line: str, told: str) -> None:
    (fault,) = faults(line)
    assert told in fault
    assert "@ x.py:3" in fault
    assert "hush" not in fault


def test_a_login_from_variables_is_no_fault() -> None:
    assert faults("--index-url https://${USER}:${TOKEN}@host/simple", "pkg @ git+ssh://git@host/pkg") == []


def test_a_file_includes_others_and_its_faults_have_their_lines(tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    (tmp_path / "top.txt").write_text(
        "# all of it\n-r deep/inner.txt\n\na==1 \\\n  --hash=sha256:00 \\\n  --hash=sha256:11\nb = 2\n"
    )
    (tmp_path / "deep" / "inner.txt").write_text("c>=1\n-r gone.txt\n")
    lines, wrong = lines_of_file(tmp_path / "top.txt", "top.txt")
    assert [(line.text, line.where) for line in lines] == [
        ("c>=1", "deep/inner.txt:1"),
        ("a==1 --hash=sha256:00 --hash=sha256:11", "top.txt:4"),
        ("b = 2", "top.txt:7"),
    ]
    assert "deep/gone.txt" in str(wrong[0])
    assert "@ top.txt:7" in str(checked(lines)[1][0])


def test_files_that_include_each_other_are_a_fault(tmp_path: Path) -> None:
    (tmp_path / "one.txt").write_text("-r two.txt\n")
    (tmp_path / "two.txt").write_text("--requirement=one.txt\n")
    assert "the file includes itself @ two.txt:1" in str(lines_of_file(tmp_path / "one.txt", "one.txt")[1][0])


def test_what_an_environment_lacks_is_told_with_what_it_has() -> None:
    needs = ["pytest>=1", "pytest<1", "no-such-package", "neither; python_version < '3'", "--no-index", "PyYAML"]
    low, gone = unmet(needs)
    assert low.startswith("pytest<1 (installed: ")
    assert gone == "no-such-package (not installed)"


def test_an_image_s_tag_says_what_is_on_top_of_it() -> None:
    one = image_with("host:5000/team/flights:1.2", ["a", "b"])
    assert one.startswith("host:5000/team/flights:1.2-")
    assert one == image_with("host:5000/team/flights:1.2", ["b", "a"])
    assert one != image_with("host:5000/team/flights:1.2", ["a"])
    assert image_with("host:5000/team/flights:1.2", []) == "host:5000/team/flights:1.2"
    assert image_with("host:5000/flights", ["a"]).startswith("host:5000/flights:latest-")
    assert image_with(f"flights@sha256:{'ab' * 32}", ["a"]).startswith("flights:abababababab-")


def test_kfp_s_own_packages_are_not_the_component_s() -> None:
    installs = [
        ["--quiet", "kfp==2.17.3", "--no-deps", "typing-extensions>=3; x"],
        ["--index-url", "http://h", "pandas"],
    ]
    assert packages_in(installs) == ["pandas"]
