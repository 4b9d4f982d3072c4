"""`@component` and `@pipeline`: what they make, and what they refuse."""

from __future__ import annotations

import importlib.util
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest
from kfp.dsl.graph_component import GraphComponent
from kfp.dsl.python_component import PythonComponent
from paths import EXAMPLES

from turnout.authoring.pipeline import compile_pipeline
from turnout.authoring.source import load
from turnout.errors import DefinitionError
from turnout.execution.code_digest import code_digest
from turnout.plan.link import link
from turnout.spec.document import Document, read, write

SHAPES = str(EXAMPLES / "shapes.py")


def define(tmp_path: Path, source: str, name: str = "defined") -> Any:
    path = tmp_path / f"{name}.py"
    path.write_text(
        "from typing import *\nfrom annotated_types import *\nfrom turnout import *\n" + textwrap.dedent(source)
    )
    spec = importlib.util.spec_from_file_location(name, path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def branch() -> Document:
    return load(f"{SHAPES}:branch")


def test_the_decorated_objects_are_kfps_own(branch: Document) -> None:
    import shapes

    assert isinstance(shapes.make, PythonComponent)
    assert isinstance(shapes.branch, GraphComponent)
    assert shapes.echo.python_func({"a": 1}) == '{"a": 1}'


def test_code_is_imported_from_the_image_and_never_pasted(branch: Document) -> None:
    executors = branch.pipeline.deployment_spec.executors
    command = executors["exec-make"].container.command
    assert command[:3] == ["turnout", "exec", "shapes:make"]
    assert "write_text" not in write(branch)
    assert "pip install" not in write(branch)
    assert code_digest("shapes:make") in executors["exec-make"].container.args


def test_literals_and_bounds_are_in_the_document(branch: Document) -> None:
    assert branch.pipeline.root.input_definitions.parameters["mode"].literals == ["a", "b"]
    facts = branch.platform_config("airflow")
    assert facts["parameters"] == {"rows": {"minimum": 1, "maximum": 10}, "day": {"format": "date"}}
    assert "kubernetes" in branch.platform.platforms  # or KFP's server refuses the second document
    parameters = link(branch).parameters
    assert list(parameters) == ["rows", "mode", "day", "note"]
    assert parameters["day"].default == "2024-01-02"
    assert parameters["rows"].description == "how many lines."


def test_compiling_twice_gives_the_same_text(branch: Document) -> None:
    import shapes

    assert write(compile_pipeline(shapes.branch)) == write(branch)
    assert read(write(branch)) == branch


def test_the_code_digest_follows_imports_of_the_same_code_base_only(tmp_path: Path) -> None:
    (tmp_path / "mypackage").mkdir()
    for name, text in {"__init__": "", "a": "import json\nfrom mypackage import b\n", "b": "x = 1\n", "c": ""}.items():
        (tmp_path / "mypackage" / f"{name}.py").write_text(text)
    sys.path.insert(0, str(tmp_path))
    import mypackage.a  # noqa: F401

    before = code_digest("mypackage.a:f")
    (tmp_path / "mypackage" / "c.py").write_text("unrelated = 2")
    code_digest.cache_clear()
    assert code_digest("mypackage.a:f") == before
    (tmp_path / "mypackage" / "b.py").write_text("x = 2")
    from turnout.execution import code_digest as module

    module._imports.cache_clear()
    code_digest.cache_clear()
    assert code_digest("mypackage.a:f") != before


WRONG = {
    "no type": ("def f(x):", "x: a.", "parameter without a type @ defined.f.x"),
    "no docstring": ("def f(x: int):", "", "parameter without a docstring @ defined.f.x"),
    "docstring of another": ("def f(rows: int):", "rows: a.\n        rws: b.", "did you mean rows?"),
    "type": ("def f(x: set):", "x: a.", "type set cannot be a parameter"),
    "mixed choices": ("def f(x: Literal[1, 'a']):", "x: a.", "choices of a Literal"),
    "default not JSON": ("def f(x: dict = {'a': object()}):", "x: a.", "default is not JSON"),
    "default out of bounds": ("def f(x: Annotated[int, Ge(1)] = 0):", "x: a.", "default does not fit"),
    "default not a choice": ("def f(x: Literal['a', 'b'] = 'c'):", "x: a.", "default does not fit"),
    "default of a wrong type": ("def f(x: int = 'a'):", "x: a.", "default does not fit"),
    "variable arguments": ("def f(*x: int):", "x: a.", "cannot be a parameter of a component"),
    "unknown bound": ("def f(x: Annotated[int, 'small']):", "x: a.", "says nothing that can be checked"),
    "unknown name": ("def f(x: 'Unknown'):", "x: a.", "an annotation cannot be read"),
}


@pytest.mark.parametrize("case", WRONG)
@pytest.mark.parametrize("decorator", ["component", "pipeline"])
def test_a_function_that_cannot_be_written_down_is_refused_when_it_is_defined(
    tmp_path: Path, case: str, decorator: str
) -> None:
    head, doc, message = WRONG[case]
    source = (
        f'@{decorator}\n{head}\n    """Do.\n\n    Args:\n        {doc}\n    """\n'
        if doc
        else f"@{decorator}\n{head}\n    pass\n"
    )
    with pytest.raises(DefinitionError) as raised:
        define(tmp_path, source)
    assert message in str(raised.value)


def test_all_faults_are_told_at_once(tmp_path: Path) -> None:
    with pytest.raises(DefinitionError) as raised:
        define(tmp_path, "@component\ndef f(x, y: set, z: int): pass")
    assert len(raised.value.faults) == 3


def test_a_function_that_a_step_could_not_import_is_refused() -> None:
    from turnout import component

    with pytest.raises(DefinitionError, match="could not import"):

        @component
        def inner(x: int):
            """Do."""


def test_a_component_cannot_take_a_date(tmp_path: Path) -> None:
    source = '@component\ndef f(x: datetime.date):\n    """Do.\n\n    Args:\n        x: a.\n    """'
    with pytest.raises(DefinitionError, match="take it as `str`"):
        define(tmp_path, "import datetime\n" + source)
