"""Random pipelines, and a small interpreter that says how each must end.

A program is a tree of steps, conditions and loops. The interpreter walks that tree; it knows nothing of
KFP's files, of plans or of schedulers.

As a script it compiles programs for Airflow, where kfp is not installed, with what to expect of them:

    python tests/contract/random_programs.py DIRECTORY COUNT
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, Phase, assume, given, settings
from hypothesis import strategies as st
from kfp import dsl

from turnout.authoring.kfp_sdk import mend
from turnout.authoring.pipeline import compile_pipeline
from turnout.verbs import compile as compile_to


def make_components():
    # Without postponed annotations, which KFP cannot read.
    namespace: dict[str, Any] = {"dsl": dsl}
    code = compile(COMPONENTS, "<components>", "exec", dont_inherit=True)
    import linecache

    linecache.cache["<components>"] = (len(COMPONENTS), None, COMPONENTS.splitlines(keepends=True), "<components>")
    exec(code, namespace)
    return (namespace[name] for name in ("work", "spelled", "total", "emit", "say"))


COMPONENTS = """
@dsl.component(base_image="python:3.11", install_kfp_package=False)
def work(tag: int, a: int, b: int, bad: int) -> int:
    value = (a + b + tag) % 11
    if value == bad:
        raise ValueError("bad")
    return value


@dsl.component(base_image="python:3.11", install_kfp_package=False)
def spelled(tag: int, a: int, b: str, bad: int) -> int:
    value = (a + int(b.strip("<>")) + tag) % 11
    if value == bad:
        raise ValueError("bad")
    return value


@dsl.component(base_image="python:3.11", install_kfp_package=False)
def total(tag: int, values: list) -> int:
    return int(sum(values)) % 11


@dsl.component(base_image="python:3.11", install_kfp_package=False)
def emit(tag: int, n: int) -> list:
    return list(range(n % 4))


@dsl.component(base_image="python:3.11", install_kfp_package=False)
def say(tag: int, text: str) -> str:
    return text
"""
WORK, SPELLED, TOTAL, EMIT, SAY = make_components()

# --- programs ---------------------------------------------------------------------------------------------

Ref = tuple[str, int]
"""A value: ("const", 3), ("step", tag) or ("item", id of a loop)."""


@dataclass
class Step:
    """Work with two values; `text`: the second is used in a formatted text, and nowhere else."""

    tag: int
    a: Ref
    b: Ref
    bad: int
    text: bool = False

    @property
    def refs(self) -> list[Ref]:
        return [self.a, self.b]


@dataclass
class Say:
    """A step that gives a text."""

    tag: int
    text: str


@dataclass
class If:
    """Steps that run if a value is at least a number, or equal to a text."""

    value: Ref
    limit: int | str
    body: list[Any]

    def holds(self, value: Any) -> Any:
        return value == self.limit if isinstance(self.limit, str) else value >= self.limit


@dataclass
class For:
    """A loop over constants, or over what `emit` with the tag gives of a value; then a sum of one step's outputs."""

    loop: int
    items: list[int] | tuple[int, Ref]
    body: list[Any]
    collected: tuple[int, int] | None = None
    parallelism: int = 0


@dataclass
class Program:
    body: list[Any]
    tags: int = 0
    names: dict[int, str] = field(default_factory=dict)


TEXTS = ("", " ", "it's", '"', "a\\b", "\\", "a\nb", "\r\n", "\t", "{{$.x}}", "'\\''", "NaN", "null", "é €", "a" * 300)


@st.composite
def programs(draw, *, plain: bool = False) -> Program:
    """Programs; the plain ones keep to what kfp.local runs right.

    It fails on values in texts, on loops in loops, and on loops over outputs of other steps; inside a loop it gives
    the item in place of values from outside; it does not skip what comes after what was skipped.
    """
    count = iter(range(1, 1000))

    def ref(scope: list[Ref]) -> Ref:
        return draw(st.sampled_from([*scope, ("const", draw(st.integers(0, 5)))]))

    def body(scope: list[Ref], depth: int, size: int) -> list[Any]:
        items: list[Any] = []
        scope = list(scope)
        for position in range(draw(st.integers(1, size))):
            kinds = ["step", "step"] + (["if"] if position and depth < 2 and not plain else [])
            kinds += ["text"] if depth < 2 and not plain else []
            kinds += ["for", "for"] if position and depth < (1 if plain else 2) else []
            kind = draw(st.sampled_from(kinds))
            if kind == "step":
                bad = -1 if plain else draw(st.sampled_from([-1, -1, 3]))
                text = not plain and draw(st.booleans())
                items.append(Step(next(count), ref(scope), ref(scope), bad, text))
                scope.append(("step", items[-1].tag))
            elif kind == "text":
                said = draw(st.sampled_from(TEXTS))
                other = draw(st.sampled_from([said, draw(st.sampled_from(TEXTS))]))
                items.append(Say(next(count), said))
                items.append(If(("step", items[-1].tag), other, body(scope, depth + 1, 2)))
            elif kind == "if":
                condition = ref([item for item in scope if item[0] == "step"])
                if condition[0] == "step":
                    items.append(If(condition, draw(st.integers(0, 10)), body(scope, depth + 1, 2)))
            else:
                loop = next(count)
                values: Any = draw(st.lists(st.integers(0, 5), min_size=1, max_size=3))
                if not plain and draw(st.booleans()):
                    values = (next(count), ref(scope))
                inner = body([*([] if plain else scope), ("item", loop)], depth + 1, 2)
                steps = [item.tag for item in inner if isinstance(item, Step)]
                collected = (next(count), draw(st.sampled_from(steps))) if steps and draw(st.booleans()) else None
                items.append(For(loop, values, inner, collected, draw(st.sampled_from([0, 1]))))
                if collected:
                    scope.append(("step", collected[0]))
        return items

    program = Program(body([], 0, 4))
    assume(plain or _compiles(program))
    return program


def _compiles(program: Program) -> bool:
    """Whether KFP's compiler takes it: on some loop items that texts alone use it fails itself (kfp 2.17.3)."""
    try:
        build(program)
    except AssertionError as error:
        if "component_input_parameter" not in str(error):
            raise
        return False
    return True


def build(program: Program, returns: int | None = None, name: str = "random") -> Any:
    """The KFP pipeline of a program; notes which step has which name.

    Args:
        returns: tag of the step whose output is the pipeline's.
    """

    mend()  # as `turnout.authoring.source.load` does

    def pipeline():  # type: ignore[no-untyped-def]
        values: dict[Ref, Any] = {}

        def value(ref: Ref) -> Any:
            return ref[1] if ref[0] == "const" else values[ref]

        def note(tag: int, task: Any) -> None:
            program.names[tag] = task.name
            values["step", tag] = task.output

        def make(items: list[Any]) -> None:
            for item in items:
                match item:
                    case Step():
                        work, b = (SPELLED, f"<{value(item.b)}>") if item.text else (WORK, value(item.b))
                        note(item.tag, work(tag=item.tag, a=value(item.a), b=b, bad=item.bad))
                    case Say():
                        note(item.tag, SAY(tag=item.tag, text=item.text))
                    case If():
                        with dsl.If(item.holds(value(item.value))):
                            make(item.body)
                    case For():
                        over = item.items
                        if isinstance(over, tuple):
                            emitted = EMIT(tag=over[0], n=value(over[1]))
                            note(over[0], emitted)
                            over = emitted.output
                        with dsl.ParallelFor(over, parallelism=item.parallelism) as each:
                            values["item", item.loop] = each
                            make(item.body)
                        if item.collected:
                            tag, source = item.collected
                            note(tag, TOTAL(tag=tag, values=dsl.Collected(values["step", source])))

        make(program.body)
        return values["step", returns] if returns else None

    if returns:
        pipeline.__annotations__["return"] = int
    return dsl.pipeline(name=name)(pipeline)


# --- the interpreter ----------------------------------------------------------------------------------------

Found = dict[tuple[int, tuple[int, ...]], tuple[str, Any]]


def interpret(program: Program) -> Found:
    """State and value of each step in each iteration."""
    found: Found = {}
    _body(program.body, {}, (), found)
    return found


def _body(items: list[Any], outer: dict[Ref, Any], index: tuple[int, ...], found: Found) -> str:
    """Run items; the state of all of them together."""
    values, states, all_states = dict(outer), {}, []

    def run(name: Any, refs: list[Ref], go: Any) -> str:
        before = {states[ref] for ref in refs if ref in states}
        state = go() if before <= {"SUCCEEDED"} else None
        if state is None:
            state = "SKIPPED" if before <= {"SUCCEEDED", "SKIPPED"} else "NOT_TRIGGERED"
            for tag in _tags(name):
                found[tag, index] = (state, None)
        all_states.append(state)
        return state

    def get(ref: Ref) -> Any:
        return ref[1] if ref[0] == "const" else values[ref]

    def leaf(tag: int, refs: list[Ref], compute: Any) -> None:
        def go() -> str:
            value = compute()
            found[tag, index] = ("FAILED" if value is None else "SUCCEEDED", value)
            values["step", tag] = value
            return found[tag, index][0]

        states["step", tag] = run(tag, refs, go)

    for item in items:
        match item:
            case Step():

                def compute(item: Step = item) -> int | None:
                    value = (get(item.a) + get(item.b) + item.tag) % 11
                    return None if value == item.bad else value

                leaf(item.tag, item.refs, compute)
            case Say():
                leaf(item.tag, [], lambda text=item.text: text)
            case If():

                def decide(item: If = item) -> str:
                    if item.holds(get(item.value)):
                        return _body(item.body, values, index, found)
                    for tag in _tags(item):
                        found[tag, index] = ("SKIPPED", None)
                    return "SKIPPED"

                run(item, [item.value, *_refs(item.body)], decide)
            case For():
                over, refs = item.items, _refs(item.body)
                if isinstance(over, tuple):
                    tag, ref = over
                    leaf(tag, [ref], lambda ref=ref: list(range(get(ref) % 4)))
                    refs, over = [*refs, ("step", tag)], values.get(("step", tag), [])

                def loop(item: For = item, over: list[int] = over) -> str:
                    ends = {
                        _body(item.body, {**values, ("item", item.loop): value}, (*index, at), found)
                        for at, value in enumerate(over)
                    }
                    return "FAILED" if "FAILED" in ends else "SUCCEEDED"

                state = run(item.body, refs, loop)
                if item.collected:
                    tag, source = item.collected
                    states["loop", item.loop] = state
                    everything = (
                        [found[source, (*index, at)][1] for at in range(len(over))] if state == "SUCCEEDED" else []
                    )
                    leaf(tag, [("loop", item.loop)], lambda values=everything: sum(values) % 11)
    return "SUCCEEDED" if set(all_states) <= {"SUCCEEDED", "SKIPPED"} else "FAILED"


def _tags(item: Any) -> Iterator[int]:
    match item:
        case int():
            yield item
        case Step() | Say():
            yield item.tag
        case If():
            yield from _tags(item.body)
        case For():
            if isinstance(item.items, tuple):
                yield item.items[0]
            yield from _tags(item.body)
            if item.collected:
                yield item.collected[0]
        case list():
            for inner in item:
                yield from _tags(inner)


def _refs(items: list[Any]) -> list[Ref]:
    """All values that items read, also deep inside."""
    found: list[Ref] = []
    for item in items:
        match item:
            case Step():
                found += item.refs
            case If():
                found += [item.value, *_refs(item.body)]
            case For():
                found += [item.items[1]] if isinstance(item.items, tuple) else []
                found += _refs(item.body)
    return found


# --- for Airflow --------------------------------------------------------------------------------------------


def write(directory: Path, count: int) -> None:
    """Compile programs that have loops, each with a JSON file of the states and values to expect."""
    written: list[Program] = []

    @settings(
        max_examples=20 * count,
        deadline=None,
        suppress_health_check=list(HealthCheck),
        derandomize=True,
        database=None,
        phases=[Phase.generate],
    )
    @given(programs())
    def collect(program: Program) -> None:
        executions = len(interpret(program))
        if len(written) < count and 6 <= executions <= 25 and any(isinstance(item, For) for item in program.body):
            written.append(program)

    collect()
    for index, program in enumerate(written):
        name = f"random-{index}"
        for path, text in compile_to(compile_pipeline(build(program, name=name))).items():
            (directory / path).write_text(text)
        found = interpret(program)
        expected = [[program.names[tag], list(where), *ended] for (tag, where), ended in found.items()]
        (directory / f"{name}.json").write_text(json.dumps(expected))


if __name__ == "__main__":
    write(Path(sys.argv[1]), int(sys.argv[2]))
