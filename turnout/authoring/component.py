"""`@component`: a KFP component whose container imports its function from the image."""

from __future__ import annotations

import functools
import inspect
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, overload

from turnout import __version__
from turnout.authoring.requirements import lines_of
from turnout.errors import DefinitionError, Fault
from turnout.execution.code_digest import code_digest
from turnout.project.file import current
from turnout.spec.airflow_facts import Asset, StepFacts
from turnout.spec.assets import DECLARED, field_faults
from turnout.spec.command import OUTSIDE, REQUIRES, UNCACHED
from turnout.spec.requirements import image_with
from turnout.spec.signature import SIGNATURES, Signature, read_signature

if TYPE_CHECKING:
    from kfp.dsl.python_component import PythonComponent

_Function = TypeVar("_Function", bound=Callable[..., Any])


@dataclass(frozen=True)
class RunningComponent:
    """What `@component` returns inside a running step: no KFP component is made there, which keeps the start short."""

    python_func: Callable[..., Any]
    signature: Signature


@overload
def component(
    function: _Function,
    *,
    image: str | None = None,
    outside: Callable[..., Any] | None = None,
    cache: bool = True,
    reads: Sequence[Asset] = (),
    publishes: Mapping[str, Asset] | None = None,
    requirements: Sequence[str] | str | Path = (),
    environment: str = "",
) -> PythonComponent: ...
@overload
def component(
    *,
    image: str | None = None,
    outside: Callable[..., Any] | None = None,
    cache: bool = True,
    reads: Sequence[Asset] = (),
    publishes: Mapping[str, Asset] | None = None,
    requirements: Sequence[str] | str | Path = (),
    environment: str = "",
) -> Callable[[_Function], PythonComponent]: ...
def component(
    function: Callable[..., Any] | None = None,
    *,
    image: str | None = None,
    outside: Callable[..., Any] | None = None,
    cache: bool = True,
    reads: Sequence[Asset] = (),
    publishes: Mapping[str, Asset] | None = None,
    requirements: Sequence[str] | str | Path = (),
    environment: str = "",
) -> Any:
    """Make a KFP component from a typed Python function.

    The component's command is `turnout exec MODULE:FUNCTION`: the function is imported in the image,
    never pasted into the YAML and never installed at run time. The result composes like any other KFP
    component; `.python_func` is the plain function.

    Args:
        function: a function at the top of an importable module; every parameter has a type and a line
            in the docstring. `Literal` and `annotated_types` bounds are checked when the step starts.
        image: the container image with the code; `$TURNOUT_IMAGE`, the project's, or this version's image, when None.
        outside: for a component that looks at more than its inputs, for example at a registry. It is a
            function that takes some of the component's parameters and returns, as JSON, the state of
            what the component looks at. An earlier result is used only if that state is still the same.
            KFP's server cannot call the function, so there such steps always run.
        cache: False for a component that is there for what it does outside of the run, such as to deploy a model. No
            earlier result stands for that: its steps always run, on every track, whatever a pipeline says.
        reads: assets of Airflow that it reads. Their names may hold its parameters: `Asset("{source}")`.
        publishes: assets that it updates, by the name of the output that stands for each; also by its parameters.
        requirements: packages that it needs beside, or in another version than, those that all components have: a
            list of lines as in a requirements file, or the path of such a file, from the component's file on or from
            the project's directory. Its steps have an environment of their own; see `docs/guides/dependencies.md`.
        environment: the name of an environment of the project file (`[tool.turnout.environments]`), for components
            that share one. What `requirements` names comes on top.

    Raises:
        DefinitionError: the function cannot be a component, with every reason.
    """
    if function is None:
        return functools.partial(
            component,
            image=image,
            outside=outside,
            cache=cache,
            reads=reads,
            publishes=publishes,
            requirements=requirements,
            environment=environment,
        )
    where = f"{function.__module__}.{function.__qualname__}"
    if function.__module__ == "__main__" or "." in function.__qualname__ or function.__name__ == "<lambda>":
        hint = "put it at the top of a module: a step imports it by `module:function`"
        raise DefinitionError([Fault("a step could not import this function", where, hint=hint)])
    signature = read_signature(function, dates=False)
    if outside is not None:
        if not cache:
            raise DefinitionError([Fault("`outside` is for the cache, and cache=False has none", where)])
        faults = [
            Fault(f"`outside` takes '{name}', which the component does not", where, tuple(signature.parameters))
            for name in inspect.signature(outside).parameters
            if name not in signature.parameters
        ]
        if faults:
            raise DefinitionError(faults)
    assets = [*reads, *(publishes or {}).values()]
    if faults := list(field_faults(assets, signature.parameters, where)):
        raise DefinitionError(faults)
    plain = signature.plain_function()
    if os.environ.get("_KFP_RUNTIME") == "true":
        return RunningComponent(plain, signature)

    from kfp import dsl

    target = f"{function.__module__}:{function.__name__}"
    lines = lines_of(function, requirements, environment)
    image = image or image_with(default_image(), lines)
    try:
        result = dsl.component(base_image=image, target_image=image)(plain)
    except (TypeError, ValueError) as error:
        raise DefinitionError([Fault(str(error), where)]) from error
    known = tuple(result.component_spec.outputs or {})
    if faults := [Fault(f"no output '{name}'", where, known) for name in publishes or {} if name not in known]:
        raise DefinitionError(faults)
    container = result.component_spec.implementation.container
    # kfp.local takes for Python components those whose command names the module of KFP's own executor.
    container.command = ["turnout", "exec", target, "--contract=kfp.dsl.executor_main"]
    container.args = [
        "--code-digest",
        code_digest(target),
        *([OUTSIDE, f"{outside.__module__}:{outside.__name__}"] if outside else []),
        *([] if cache else [UNCACHED]),
        *(f"{REQUIRES}={line}" for line in lines),
        "--run-id",
        dsl.PIPELINE_JOB_ID_PLACEHOLDER,
        "--executor-input",
        dsl.PIPELINE_TASK_EXECUTOR_INPUT_PLACEHOLDER,
    ]
    SIGNATURES[target] = signature
    DECLARED[target] = StepFacts(reads=tuple(reads), publishes=dict(publishes or {}))
    return result


def default_image() -> str:
    """The image of components that name none: `$TURNOUT_IMAGE`, the project's, or the one of this version."""
    return os.environ.get("TURNOUT_IMAGE") or current().image or f"turnout-python-components:{__version__}"
