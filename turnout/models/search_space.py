"""A space of hyperparameters to search, as JSON that a form takes, checked before anything runs.

    {"num_leaves": {"type": "int", "low": 8, "high": 256, "log": true},
     "learning_rate": {"type": "float", "low": 0.01, "high": 0.3, "log": true},
     "boosting_type": {"choices": ["gbdt", "dart"]}}

Each entry is the short form of Optuna's `json_to_distribution`; its long form (`name`, `attributes`) is taken too.
"""

from __future__ import annotations

import itertools
import json
import math
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
    json_to_distribution,
)

from turnout.errors import ComponentError, did_you_mean

_KEYS = {
    "int": ("type", "low", "high", "log", "step"),
    "float": ("type", "low", "high", "log", "step"),
    "categorical": ("type", "choices"),
}
_HINT = 'such as {"type": "int", "low": 8, "high": 256, "log": true}, or {"choices": ["gbdt", "dart"]}'
_MOST = 10_000


@dataclass(frozen=True)
class Space:
    """What is searched: Optuna's distributions by hyperparameter.

    Attributes:
        choices: of hyperparameters with choices, the values that are meant. Optuna knows them by their JSON, since it
            takes no lists, such as the sizes of hidden layers.
    """

    distributions: Mapping[str, BaseDistribution]
    choices: Mapping[str, list[Any]]

    @property
    def size(self) -> float:
        """How many combinations of values there are; infinite where a number is not discrete."""
        return math.prod(_size(item) for item in self.distributions.values())

    @property
    def example(self) -> dict[str, Any]:
        """One value of each hyperparameter, as the estimator takes them."""
        return self.values({name: _axis(item, 1)[0] for name, item in self.distributions.items()})

    def values(self, asked: Mapping[str, Any]) -> dict[str, Any]:
        """Values as the estimator takes them, from Optuna's."""
        return {name: json.loads(value) if name in self.choices else value for name, value in asked.items()}

    def encoded(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """Values as Optuna takes them."""
        return {name: json.dumps(value) if name in self.choices else value for name, value in values.items()}

    def check_inside(self, values: Mapping[str, Any]) -> None:
        """Raise ComponentError unless each of these values is in its part of the space."""
        for name, value in values.items():
            item = self.distributions[name]
            if isinstance(item, CategoricalDistribution):
                inside = json.dumps(value) in item.choices
                known = [json.dumps(choice) for choice in self.choices[name]]
            else:
                assert isinstance(item, IntDistribution | FloatDistribution)
                inside = _is_number(value) and item.low <= value <= item.high
                known = [f"{item.low} to {item.high}"]
            if not inside:
                hint = "it is where the search starts: widen the space, or leave it out of hyperparameters"
                raise ComponentError(f"{json.dumps(value)} is outside of its space", where=f"hyperparameters.{name}",
                                     available=known, hint=hint)  # fmt: skip

    def grid(self) -> Iterator[dict[str, Any]]:
        """All combinations, as Optuna takes them; none where they are not finite, or more than 10,000."""
        if self.size <= _MOST:
            axes = [_axis(item) for item in self.distributions.values()]
            yield from (dict(zip(self.distributions, point, strict=True)) for point in itertools.product(*axes))


def read_space(given: Mapping[str, Any]) -> Space:
    """The space that JSON describes.

    Raises:
        ComponentError: an entry is none, with what is wrong with it and where.
    """
    found = {str(name): _distribution(f"space.{name}", item) for name, item in given.items()}
    return Space(
        {name: item for name, (item, _) in found.items()},
        {name: choices for name, (_, choices) in found.items() if choices is not None},
    )


def _distribution(where: str, given: Any) -> tuple[BaseDistribution, list[Any] | None]:
    if not isinstance(given, Mapping):
        hint = f"{_HINT}; a fixed value belongs into hyperparameters"
        raise ComponentError(f"not a range or choices: {json.dumps(given)}", where=where, hint=hint)
    short = _short(where, {"type": "categorical", **given} if "choices" in given else dict(given))
    kind = short["type"]
    if kind == "categorical":
        choices = short["choices"]
        if not isinstance(choices, list) or not choices:
            raise ComponentError("choices must be a list with something in it", where=where, hint=_HINT)
        return CategoricalDistribution([json.dumps(item) for item in choices]), list(choices)
    for key in ("low", "high", *(["step"] if short.get("step") is not None else [])):
        value = short[key]
        if not _is_number(value) or (kind == "int" and value != int(value)):
            what = f"{key} must be a {'whole ' if kind == 'int' else ''}number, not {json.dumps(value)}"
            raise ComponentError(what, where=where, hint=_HINT)
    if not isinstance(short.get("log", False), bool):
        raise ComponentError(f"log must be true or false, not {json.dumps(short['log'])}", where=where, hint=_HINT)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a range that its step does not divide ends before `high`
            return json_to_distribution(json.dumps(short)), None
    except (ValueError, TypeError) as error:
        raise ComponentError(str(error).replace("`", "'"), where=where, hint=_HINT) from error


def _short(where: str, given: dict[str, Any]) -> dict[str, Any]:
    """The short form, with a known type, all that it needs, and nothing else."""
    if "name" in given:
        kinds = {"IntDistribution": "int", "FloatDistribution": "float", "CategoricalDistribution": "categorical"}
        given = {"type": kinds.get(given["name"], given["name"]), **given.get("attributes", {})}
    kind = given.get("type")
    if kind not in _KEYS:
        what = "no type" if kind is None else f"no type {json.dumps(kind)}"
        close = did_you_mean(str(kind), _KEYS) if kind else ""
        raise ComponentError(what, where=where, available=_KEYS, hint=close or _HINT)
    for unknown in (key for key in given if key not in _KEYS[kind]):
        close = did_you_mean(unknown, _KEYS[kind])
        raise ComponentError(f"no '{unknown}' in a {kind}", where=where, available=_KEYS[kind], hint=close or _HINT)
    needed = ("choices",) if kind == "categorical" else ("low", "high")
    for missing in (key for key in needed if key not in given):
        raise ComponentError(f"no {missing}", where=where, available=given, hint=_HINT)
    return given


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _size(item: BaseDistribution) -> float:
    if isinstance(item, CategoricalDistribution):
        return len(item.choices)
    assert isinstance(item, IntDistribution | FloatDistribution)
    if item.low == item.high:
        return 1
    return math.inf if item.step is None else round((item.high - item.low) / item.step) + 1


def _axis(item: BaseDistribution, most: int = _MOST) -> list[Any]:
    """The first values of a distribution, the lowest first."""
    if isinstance(item, CategoricalDistribution):
        return list(item.choices)
    assert isinstance(item, IntDistribution | FloatDistribution)
    step = item.step or 1
    points = [item.low + index * step for index in range(int(min(most, _size(item))))]
    return [min(point, item.high) for point in points]
