"""What a component's or pipeline's function says about its parameters.

The Python annotations are read into JSON Schema facets (`enum`, `minimum`, `format`, ...): one form for
the checks before a run, Airflow's trigger form and the IR. KFP itself accepts plain types only, so the
function that it is given is a copy with plain annotations and JSON defaults.
"""

from __future__ import annotations

import datetime
import inspect
import json
import types
import typing
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import annotated_types as bounds
import docstring_parser

from turnout.errors import DefinitionError, Fault, did_you_mean
from turnout.spec.form import form_facets, not_with_faults
from turnout.spec.json_schema import value_faults

_JSON_TYPES: dict[type, str] = {
    str: "string",
    int: "integer",
    float: "number",
    bool: "boolean",
    list: "array",
    dict: "object",
}
_DATES: dict[type, str] = {datetime.date: "date", datetime.datetime: "date-time"}


@dataclass(frozen=True)
class Parameter:
    """One parameter of a function.

    Attributes:
        annotation: the plain annotation that KFP is given.
        schema: JSON Schema of the values it takes; None for artifacts and other things of KFP.
        help: its text in the docstring.
    """

    name: str
    annotation: Any
    schema: dict[str, Any] | None
    help: str = ""


@dataclass(frozen=True)
class Signature:
    function: Callable[..., Any]
    parameters: dict[str, Parameter] = field(default_factory=dict)
    defaults: dict[str, Any] = field(default_factory=dict)

    @property
    def summary(self) -> str:
        """The first paragraph of its docstring."""
        return docstring_parser.parse(self.function.__doc__ or "").short_description or ""

    def plain_function(self) -> Callable[..., Any]:
        """A copy of the function with annotations and defaults that KFP understands."""
        function = self.function
        assert isinstance(function, types.FunctionType)
        copy = types.FunctionType(
            function.__code__, function.__globals__, function.__name__, None, function.__closure__
        )
        copy.__doc__, copy.__module__, copy.__qualname__ = function.__doc__, function.__module__, function.__qualname__
        names = list(inspect.signature(function).parameters)
        positional = [name for name in names if _kind(function, name) is not inspect.Parameter.KEYWORD_ONLY]
        copy.__defaults__ = tuple(self.defaults[name] for name in positional if name in self.defaults) or None
        copy.__kwdefaults__ = {name: value for name, value in self.defaults.items() if name not in positional} or None
        copy.__annotations__ = {name: self.parameters[name].annotation for name in names}
        hints = _hints(function)
        if "return" in hints:  # of `-> None`, hints have the class of None, which KFP would take for an output
            returned = hints["return"]
            copy.__annotations__["return"] = None if returned is types.NoneType else returned
        return copy


SIGNATURES: dict[str, Signature] = {}
"""The signatures of the components defined so far, by their target `module:function`."""


def read_signature(function: Callable[..., Any], *, dates: bool) -> Signature:
    """Read a function's parameters.

    Args:
        function: a plain Python function with annotated and documented parameters.
        dates: whether parameters may be dates, which travel as ISO 8601 text.

    Raises:
        DefinitionError: all that keeps the function from being a component or pipeline.
    """
    where = f"{function.__module__}.{function.__qualname__}"
    faults: list[Fault] = []
    try:
        hints = _hints(function)
    except Exception as error:
        raise DefinitionError([Fault(f"an annotation cannot be read: {error}", where)]) from error
    docs = {item.arg_name: item.description or "" for item in docstring_parser.parse(function.__doc__ or "").params}
    parameters: dict[str, Parameter] = {}
    defaults: dict[str, Any] = {}
    signature = inspect.signature(function).parameters
    for name, item in signature.items():
        here = f"{where}.{name}"
        if item.kind in (item.VAR_POSITIONAL, item.VAR_KEYWORD, item.POSITIONAL_ONLY):
            faults.append(Fault(f"'{item}' cannot be a parameter of a component or pipeline", where))
            continue
        if name not in hints:
            faults.append(Fault("parameter without a type", here, hint="annotate it, such as `rows: int`"))
            continue
        try:
            annotation, schema = _read(hints[name], dates=dates)
        except _UnsupportedError as error:
            faults.append(Fault(str(error), here, hint=error.hint))
            continue
        if not docs.get(name):
            faults.append(
                Fault("parameter without a docstring", here, hint=f"add '{name}: ...' under 'Args:' in the docstring")
            )
        parameters[name] = Parameter(name, annotation, schema, " ".join(docs.get(name, "").split()))
        if item.default is not item.empty:
            defaults[name] = _json_default(item.default)
            faults.extend(_default_faults(defaults[name], schema, here))
    faults.extend(_form_faults(parameters, where))
    for name in docs.keys() - signature.keys():
        faults.append(
            Fault("the docstring describes a parameter that there is not", f"{where}.{name}",
                  tuple(signature), did_you_mean(name, signature))
        )  # fmt: skip
    if faults:
        raise DefinitionError(faults)
    return Signature(function, parameters, defaults)


class _UnsupportedError(Exception):
    def __init__(self, what: str, hint: str = ""):
        self.hint = hint
        super().__init__(what)


def _kind(function: Callable[..., Any], name: str) -> Any:
    return inspect.signature(function).parameters[name].kind


def _hints(function: Callable[..., Any]) -> dict[str, Any]:
    return typing.get_type_hints(function, include_extras=True)


_Read = tuple[Any, dict[str, Any] | None]
"""The annotation that KFP is given, and the JSON Schema of the values; None where the values are KFP's own."""


def _read(annotation: Any, *, dates: bool) -> _Read:
    """An annotation, by its form."""
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if _is_kfp(annotation):
        return annotation, None
    if annotation in _JSON_TYPES:
        return annotation, {"type": _JSON_TYPES[annotation]}
    if annotation in _DATES:
        return _date(annotation, dates)
    if origin is typing.Literal:
        return _choices(arguments)
    if origin is dict:
        return dict, {"type": "object"}
    if origin is list and arguments[0] is Any:
        return list, {"type": "array"}
    optional = origin in (typing.Union, types.UnionType) and len(arguments) == 2 and type(None) in arguments
    if not optional and origin not in (typing.Annotated, list):
        raise _unsupported(annotation)
    # What is left is made of another annotation. If that is one of KFP's, so is the whole.
    (inner, *_) = (argument for argument in arguments if argument is not type(None))
    plain, schema = _read(inner, dates=dates)
    if schema is None:
        return annotation, None
    if origin is typing.Annotated:
        return plain, schema | _facets(arguments[1:], "Items" if schema["type"] == "array" else "Length")
    return _or_null(plain, schema) if optional else (list, {"type": "array", "items": schema})


def _date(annotation: type, dates: bool) -> _Read:
    if not dates:
        raise _UnsupportedError("a component cannot take a date", "take it as `str`, in ISO 8601 form")
    return str, {"type": "string", "format": _DATES[annotation]}


def _choices(choices: tuple[Any, ...]) -> _Read:
    kinds = {type(choice) for choice in choices}
    if len(kinds) != 1 or not kinds <= {str, int, float, bool}:
        raise _UnsupportedError("the choices of a Literal must be all text, all whole numbers, or all of one such type")
    (kind,) = kinds
    return kind, {"type": _JSON_TYPES[kind], "enum": list(choices)}


def _or_null(plain: Any, schema: dict[str, Any]) -> _Read:
    schema = schema | {"type": ["null", schema["type"]]}
    if "enum" in schema:
        schema["enum"] = [*schema["enum"], None]
    return typing.Optional[plain], schema  # noqa: UP045 - KFP reads this spelling


def _unsupported(annotation: Any) -> _UnsupportedError:
    name = getattr(annotation, "__name__", str(annotation))
    return _UnsupportedError(
        f"type {name} cannot be a parameter",
        "parameters are str, int, float, bool, list, dict, Literal[...] or Annotated[..., Ge(0)]; "
        "data travels as Input[Dataset] and Output[Dataset]",
    )


def _is_kfp(annotation: Any) -> bool:
    marks = [annotation, type(annotation), *getattr(annotation, "__metadata__", ())]
    return any((getattr(mark, "__module__", None) or "").startswith("kfp.") for mark in marks) or any(
        isinstance(mark, str) and mark.startswith("KFP") for mark in marks
    )


def _facets(metadata: tuple[Any, ...], measure: str) -> dict[str, Any]:
    facets: dict[str, Any] = {}
    for item in metadata:
        if (said := form_facets(item)) is not None:
            facets |= said
            continue
        for part in item if isinstance(item, bounds.GroupedMetadata) else [item]:
            match part:
                case bounds.Ge(limit):
                    facets["minimum"] = limit
                case bounds.Gt(limit):
                    facets["exclusiveMinimum"] = limit
                case bounds.Le(limit):
                    facets["maximum"] = limit
                case bounds.Lt(limit):
                    facets["exclusiveMaximum"] = limit
                case bounds.MultipleOf(step):
                    facets["multipleOf"] = step
                case bounds.MinLen(length):
                    facets[f"min{measure}"] = length
                case bounds.MaxLen(length):
                    facets[f"max{measure}"] = length
                case _:
                    raise _UnsupportedError(
                        f"{part!r} says nothing that can be checked",
                        "bounds are those of annotated_types: Ge, Gt, Le, Lt, Interval, MultipleOf, Len; "
                        "for a form there are turnout's Title, Examples, Labels, NotWith",
                    )
    return facets


def _form_faults(parameters: dict[str, Parameter], where: str) -> Iterator[Fault]:
    """What is wrong with examples, labels of choices, and with what is said not to go together."""
    schemas = {name: item.schema or {} for name, item in parameters.items()}
    for name, schema in schemas.items():
        here = f"{where}.{name}"
        values = schema.get("items", {}) if schema.get("type") == "array" else schema
        for example in schema.get("examples", ()):
            for fault in value_faults(example, values, here):
                yield Fault(f"example does not fit: {fault.what}", here, fault.available)
        for choice in schema.get("values_display", ()):
            if choice not in schema.get("enum", ()):
                choices = tuple(map(str, schema.get("enum", ())))
                yield Fault(f"a label for '{choice}', which is not one of the choices", here, choices)
        yield from not_with_faults(schema, schemas, here)
        for other, by_value in schema.get("not_with", {}).items():
            choices = schemas.get(other, {}).get("enum", list(by_value))
            for value in (value for value in by_value if value not in choices):
                yield Fault(f"'{value}' is not one of the choices of '{other}'", here, tuple(map(str, choices)))


def _json_default(value: Any) -> Any:
    return value.isoformat() if isinstance(value, datetime.date) else value


def _default_faults(default: Any, schema: dict[str, Any] | None, where: str) -> list[Fault]:
    if schema is None:
        return []
    try:
        json.dumps(default, allow_nan=False)
    except (TypeError, ValueError) as error:
        return [Fault(f"default is not JSON: {error}", where)]
    if default is None:
        return []
    return [Fault(f"default does not fit: {fault.what}", where, fault.available) for fault in
            value_faults(default, schema, where)]  # fmt: skip
