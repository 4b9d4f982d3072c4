"""Write the pages of docs/reference/ that are made from the code: `make docs`.

    python docs/generate.py            writes them
    python docs/generate.py --check    writes nothing; exits 1 with a diff when a page is not up to date

The text of a page depends on the code alone, so that CI can compare. What stands in a page is changed where it
comes from: a docstring, the help of an option, the description of a configuration option.
"""

from __future__ import annotations

import importlib
import inspect
import json
import re
import runpy
import sys
import typing
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import docstring_parser

PROJECT = Path(__file__).resolve().parents[1]
PACKAGE = PROJECT / "turnout"
REFERENCE = PROJECT / "docs" / "reference"
MADE = "<!-- Made by docs/generate.py: run `make docs`, do not edit. -->"

ENVIRONMENT = {
    "TURNOUT_PROFILE": "The profile of the project file.",
    "TURNOUT_HOST": "URL of the server that `turnout submit` submits to.",
    "TURNOUT_TOKEN": "What that server knows you by.",
    "TURNOUT_ROOT": "Path or URI under which local runs keep artifacts and records. Default: `.turnout`.",
    "TURNOUT_SECRETS": "YAML file that stands for a cluster's secrets and config maps in local runs.",
    "TURNOUT_AIRFLOW": "Airflow's virtual environment, for `turnout airflow`. Default: `.venv-airflow`.",
    "TURNOUT_IMAGE": "Container image of components that name none. Default: the image of Turnout's version.",
    "TURNOUT_ENVIRONMENTS": "Directory for the environments that components have of their own. "
    "Default: `turnout/environments` in the user's cache directory.",
    "TURNOUT_OTHER_CODE": "`error`: a step fails whose code is not that which its pipeline was compiled with. "
    "Airflow's steps have it from `[turnout] other_code`.",
    "TURNOUT_TRACKERS": "Trackers that MLflow's runs are mirrored in, separated by commas: `wandb`, or `module:Class`.",
    "TURNOUT_CODE_REVISION": "Revision of the code, recorded in MLflow where steps run outside of a git checkout.",
}
"""The variables that a user may set. Only variables of Turnout's own; a test finds those in the code."""

FOR_COMPONENTS = {
    "TURNOUT_RUN_ID": "The id of the run.",
    "TURNOUT_FEATURE_SOURCES": "For a Feast repository that `featurise` uses: where the source tables are.",
}
"""The variables that Turnout sets, for code of users to read."""

INTERNAL = {"TURNOUT_ERROR_FILE", "TURNOUT_RUN_LOCK"}
"""Between Turnout's own processes."""

LIBRARIES = {
    "MLFLOW_TRACKING_URI": "The MLflow server with runs and models. Without it, `mlflow.db` in the working directory.",
    "SPARK_MASTER": "Spark's master URL, for steps that name none.",
    "SPARK_REMOTE": "Spark Connect's URL, for steps that name no master.",
    "PYSPARK_PYTHON": "The Python that Spark's workers run.",
    "GOMP_SPINCOUNT": "How long threads of OpenMP wait actively. Turnout sets 1000 for steps in local processes, "
    "unless it is set already.",
}
"""Variables of libraries that Turnout heeds."""


def pages() -> dict[Path, str]:
    """The text of each generated page, by its name in docs/reference/."""
    return {
        Path("components.md"): components_page(),
        Path("pipelines.md"): pipelines_page(),
        Path("command_line.md"): command_line_page(),
        Path("configuration.md"): configuration_page(),
        Path("errors.md"): errors_page(),
    }


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table; an empty text when there are no rows."""
    cells = [[" ".join(cell.split()).replace("|", "\\|") for cell in row] for row in rows]
    if not cells:
        return ""
    lines = [" | ".join(head), " | ".join("---" for _ in head), *(" | ".join(row) for row in cells)]
    return "\n".join(f"| {line} |" for line in lines)


def page(title: str, *parts: str) -> str:
    return "\n\n".join([f"# {title}", MADE, *(part for part in parts if part)]) + "\n"


# Components and pipelines


def components_page() -> str:
    """Each component of the catalogue: what it does, its inputs, outputs and parameters."""
    from turnout.spec.signature import SIGNATURES

    found = {}
    for module in _modules("components"):
        for target, signature in SIGNATURES.items():
            if target.partition(":")[0] == module:
                found[target] = signature
    contents = [
        f"- [{target.partition(':')[2]}](#{target.partition(':')[2].lower()}): {signature.summary}"
        for target, signature in found.items()
    ]
    parts = [_component(target, signature) for target, signature in found.items()]
    start = (
        "Use them in a pipeline like components of your own: `from turnout.components.ingest import ingest`. Inputs "
        "and outputs are artifacts; parameters are values. A parameter without a default must be given."
    )
    return page("Components", start, "\n".join(contents), *parts)


def _component(target: str, signature: Any) -> str:
    module, _, name = target.partition(":")
    hints = typing.get_type_hints(signature.function, include_extras=True)
    texts = _texts(signature.function)
    artifacts: dict[str, list[Sequence[str]]] = {"input": [], "output": []}
    for item in signature.parameters.values():
        if item.schema is None and typing.get_args(hints[item.name]):  # not the status that an exit handler is given
            direction, kind = _artifact(hints[item.name])
            artifacts[direction].append((f"`{item.name}`", f"`{kind}`", texts[item.name]))
    outputs = [*artifacts["output"], *_returned(hints.get("return"))]
    return "\n\n".join(
        part
        for part in (
            f"## {name}",
            f"`{module}.{name}`",
            _description(signature.function),
            table(("input", "type", ""), artifacts["input"]),
            table(("output", "type", ""), outputs),
            _returns(hints.get("return")),
            table(("parameter", "type", "default", ""), _parameters(signature, texts)),
        )
        if part
    )


def pipelines_page() -> str:
    """Each pipeline of the catalogue: what it does, when it runs, its parameters."""
    from turnout.authoring.pipeline import is_pipeline

    parts = []
    for module in _modules("pipelines"):
        for graph in vars(sys.modules[module]).values():
            if is_pipeline(graph) and graph.pipeline_func.__module__ == module:
                signature = graph.turnout.signature
                schedule = graph.turnout.airflow.get("schedule")
                parts += [
                    f"## {graph.name}",
                    f"`pipelines/{module.rpartition('.')[2]}.py`. "
                    + (f"Schedule on Airflow: `{schedule}`." if schedule else "No schedule: it is started by hand."),
                    _description(signature.function),
                    table(("parameter", "type", "default", ""), _parameters(signature, _texts(signature.function))),
                ]
    return page("Pipelines", "Pipelines made of the [catalogue's components](components.md).", *parts)


def _modules(package: str) -> Iterator[str]:
    for file in sorted((PACKAGE / package).glob("*.py")):
        if file.name != "__init__.py":
            module = f"turnout.{package}.{file.stem}"
            importlib.import_module(module)
            yield module


def _texts(function: Any) -> dict[str, str]:
    return {item.arg_name: item.description or "" for item in docstring_parser.parse(function.__doc__ or "").params}


def _description(function: Any) -> str:
    parsed = docstring_parser.parse(function.__doc__ or "")
    return "\n\n".join(text for text in (parsed.short_description, parsed.long_description) if text)


def _artifact(annotation: Any) -> tuple[str, str]:
    """Whether an artifact goes in or out, and its type."""
    if typing.get_origin(annotation) is typing.Union:  # it may be left out
        annotation = next(item for item in typing.get_args(annotation) if item is not type(None))
    inner, *marks = typing.get_args(annotation)
    kind = f"list[{typing.get_args(inner)[0].__name__}]" if typing.get_origin(inner) is list else inner.__name__
    return ("output" if any("output" in str(mark).lower() for mark in marks) else "input"), kind


def _returned(annotation: Any) -> Iterator[Sequence[str]]:
    """What a function returns, as outputs: the fields of a named tuple, or one that KFP calls `Output`."""
    if annotation is None or annotation is type(None):
        return
    fields = getattr(annotation, "_fields", None)
    if fields is None:
        yield "`Output`", f"`{annotation.__name__}`", ""
        return
    hints = typing.get_type_hints(annotation)
    for name in fields:
        yield f"`{name}`", f"`{getattr(hints[name], '__name__', hints[name])}`", ""


def _returns(annotation: Any) -> str:
    """What a named tuple says of its fields together."""
    return inspect.cleandoc(annotation.__doc__ or "") if hasattr(annotation, "_fields") else ""


def _parameters(signature: Any, texts: Mapping[str, str]) -> Iterator[Sequence[str]]:
    for item in signature.parameters.values():
        if item.schema is not None:
            default = f"`{json.dumps(signature.defaults[item.name])}`" if item.name in signature.defaults else ""
            yield f"`{item.name}`", _type(item.schema), default, texts[item.name]


def _type(schema: Mapping[str, Any]) -> str:
    """A JSON Schema of a parameter, in words."""
    if "enum" in schema:
        return "one of " + ", ".join(f"`{json.dumps(choice)}`" for choice in schema["enum"])
    kinds = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
    names = {"array": "list", "object": "dict", "null": "null", "string": "text"}
    kind = " or ".join(names.get(name, name) for name in sorted(kinds, key="null".__eq__))
    if "format" in schema:
        kind = kind.replace("text", schema["format"])
    if items := schema.get("items"):
        kind += f" of {_type(items)}"
    bounds = {
        "minimum": "at least", "exclusiveMinimum": "more than", "maximum": "at most", "exclusiveMaximum": "less than",
        "multipleOf": "a multiple of", "minLength": "length at least", "maxLength": "length at most",
        "minItems": "items at least", "maxItems": "items at most",
    }  # fmt: skip
    return ", ".join([kind, *(f"{text} {schema[key]:g}" for key, text in bounds.items() if key in schema)])


# The command line


def command_line_page() -> str:
    """Every command with its arguments and options."""
    from typer.main import get_command

    from turnout.cli.app import app

    parts = []
    for path, command in commands(get_command(app), "turnout"):
        arguments = [item for item in command.params if item.param_type_name == "argument"]
        options = [item for item in command.params if item.param_type_name == "option" and item.name != "help"]
        usage = " ".join([path, *map(_argument, arguments), *(["[OPTIONS]"] if options else [])])
        parts += [
            f"## {path}",
            f"    {usage}" if not getattr(command, "commands", None) else "",
            _paragraphs(command.help or ""),
            table(("argument", ""), ((f"`{_argument(item)}`", item.help or "") for item in arguments)),
            table(("option", "default", ""), (_option(item) for item in options)),
        ]
    start = (
        "Results go to standard output, everything else to standard error. Exit status: 0 done; 1 the pipeline, its "
        "run or its check failed; 2 the command was not understood; 3 compiled files are not up to date; 70 Turnout "
        "itself failed; 130 interrupted."
    )
    return page("Command line", start, *parts)


def commands(command: Any, path: str) -> Iterator[tuple[str, Any]]:
    """A command and those below it, with the words that name them."""
    yield path, command
    for name, inner in getattr(command, "commands", {}).items():
        yield from commands(inner, f"{path} {name}")


def _argument(argument: Any) -> str:
    return str(argument.metavar or argument.name.upper().replace("_", "-"))


def _paragraphs(text: str) -> str:
    return "\n\n".join(" ".join(part.split()) for part in inspect.cleandoc(text).split("\n\n"))


def _option(option: Any) -> Sequence[str]:
    names = ", ".join(f"`{name}`" for name in [*option.opts, *option.secondary_opts])
    if not option.is_flag:
        names += f" `{_argument(option)}`"
    value = option.default
    default = (
        ""
        if value in (None, "", False) or callable(value)
        else f"`{option.opts[0]}`"
        if value is True
        else f"`{value}`"
    )
    help_text = option.help or ""
    if option.envvar:
        help_text += f" Variable: `{option.envvar}`."
    return names, default, help_text


# Configuration


def configuration_page() -> str:
    """The project file, Airflow's options and the environment variables."""
    from turnout.project import file

    info = runpy.run_path(str(PACKAGE / "airflow" / "provider.py"))["get_provider_info"]()
    parts = [
        "## The project file",
        "In `pyproject.toml`, of the current directory or of one above it. "
        + " ".join(inspect.getdoc(file).split("\n\n")[1].split()),
        '```toml\n[tool.turnout]\npipelines = ["my_team/pipelines/*.py"]\n\n[tool.turnout.profile.prod]\n'
        'root = "s3://bucket/runs"\nimage = "registry.example.com/my-team:1.2"\n```',
        "`turnout --profile prod ...`, or `TURNOUT_PROFILE=prod`, chooses the profile.",
        table(("key", ""), ((f"`{key}`", text) for key, (_, text) in file.KEYS.items())),
    ]
    for section, content in info["config"].items():
        rows = (
            (
                f"`{name}`",
                f"`{option['default']}`" if option["default"] else "",
                f"`{option['example']}`" if option.get("example") else "",
                option["description"],
            )
            for name, option in content["options"].items()
        )
        parts += [
            f"## Airflow: `[{section}]`",
            f"{content['description']} In `airflow.cfg`, or as variables of the environment such as "
            f"`AIRFLOW__{section.upper()}__ROOT`.",
            table(("option", "default", "example", ""), rows),
        ]
    for title, variables in (
        ("Environment variables of Turnout", ENVIRONMENT),
        ("Environment variables that steps can read", FOR_COMPONENTS),
        ("Environment variables of libraries", LIBRARIES),
    ):
        parts += [f"## {title}", table(("variable", ""), ((f"`{name}`", text) for name, text in variables.items()))]
    unknown = variables_in_code() ^ {*ENVIRONMENT, *FOR_COMPONENTS, *INTERNAL}
    if unknown:
        raise SystemExit(f"variables that the code or docs/generate.py does not know: {', '.join(sorted(unknown))}")
    return page("Configuration", *parts)


def variables_in_code() -> set[str]:
    """The environment variables of Turnout's own that its code names."""
    pattern = re.compile(r"(?<![\w{])TURNOUT_[A-Z_]+")
    texts = (path.read_text(encoding="utf-8") for path in sorted(PACKAGE.rglob("*.py")))
    return {name for text in texts for name in pattern.findall(text)}


# Errors


def errors_page() -> str:
    """The tree of exceptions."""
    from turnout import errors

    tree = inspect.cleandoc(errors.__doc__ or "").partition("\n\n")[2]
    start = (
        "The command line prints an error without a traceback and exits with 1. Each fault says *what* is wrong `@` "
        "*where*, what was available there, and one hint. In Python, catch `turnout.TurnoutError`; the others are in "
        "`turnout.errors`. A component of yours raises `turnout.ComponentError` for what its user can put right."
    )
    return page("Errors", start, f"```text\n{tree}\n```", f"```text\n{_example()}\n```")


def _example() -> str:
    from turnout.errors import Fault, did_you_mean

    names = ("depth", "least_accuracy")
    return str(Fault("no parameter 'deep'", "wine", names, did_you_mean("deep", names)))


def main(arguments: Sequence[str]) -> int:
    sys.path.insert(0, str(PROJECT))
    from turnout.tracks.files import stale, write_files

    if "--check" not in arguments:
        for path in write_files(pages(), REFERENCE):
            print(path.relative_to(PROJECT))
        return 0
    diffs = stale(pages(), REFERENCE)
    print("".join(diffs), end="")
    if diffs:
        print(f"{len(diffs)} pages of the reference are not up to date: run make docs", file=sys.stderr)
    return 1 if diffs else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
