"""A fitted scikit-learn pipeline, read as a preparation by arrays and what is left for ONNX."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import (
    FunctionTransformer,
    MaxAbsScaler,
    MinMaxScaler,
    OneHotEncoder,
    OrdinalEncoder,
    RobustScaler,
    StandardScaler,
)

from turnout.models.compiled.form import NotCompiled
from turnout.models.compiled.preparation import Block, Categories, Encoding, Numbers, Preparation, Step, Times
from turnout.models.signature import Column


@dataclass(frozen=True)
class Read:
    """A model in two parts: the preparation, and the scikit-learn object that takes what it gives."""

    preparation: Preparation
    rest: Any


def read(model: Any, columns: Sequence[Column]) -> Read:
    """A fitted model as a preparation of its columns, and what is left.

    As many steps as can be are read; the others, if they work on numbers only, are left together with the estimator.

    Raises:
        NotCompiled: there are other columns than numbers that a step does something unknown with.
    """
    steps = [step for _, step in model.steps] if isinstance(model, Pipeline) else [model]
    known = _Reader(columns)
    places = tuple(range(len(columns)))
    state: _State = _Raw(places)
    while len(steps) > 1:
        try:
            state = known.step(state, steps[0])
        except NotCompiled:
            if isinstance(state, _Raw) and not known.numeric(state.columns):
                raise
            break
        steps = steps[1:]
    return Read(_finished(known.numbers(state)), steps[0] if len(steps) == 1 else _pipeline(steps))


@dataclass(frozen=True)
class _Raw:
    """Columns as they come, with what a missing category is."""

    columns: tuple[int, ...]
    fills: tuple[Any, ...] = ()


_State = _Raw | Numbers | Times | Categories | Preparation


def _finished(state: _State) -> Preparation:
    return state if isinstance(state, Preparation) else Preparation((state,))  # type: ignore[arg-type]


def _pipeline(steps: Sequence[Any]) -> Pipeline:
    """Fitted steps as a pipeline, which is fitted too."""
    return Pipeline([(f"step{index}", step) for index, step in enumerate(steps)])


class _Reader:
    def __init__(self, columns: Sequence[Column]):
        self.columns = columns

    def numeric(self, places: Sequence[int]) -> bool:
        return all(self.columns[place].numeric for place in places)

    def numbers(self, state: _State) -> Numbers | Times | Categories | Preparation:
        """What an estimator can take."""
        if not isinstance(state, _Raw):
            return state
        if not self.numeric(state.columns):
            other = next(self.columns[place].name for place in state.columns if not self.columns[place].numeric)
            raise NotCompiled(f"no step makes numbers of the column {other} before the estimator")
        return Numbers(state.columns)

    def step(self, state: _State, step: Any) -> _State:
        """The state after a fitted step."""
        if step is None or (isinstance(step, str) and step == "passthrough"):
            return state
        if isinstance(step, Pipeline):
            for _, inner in step.steps:
                state = self.step(state, inner)
            return state
        if isinstance(step, ColumnTransformer):
            return self.column_transformer(state, step)
        if isinstance(step, FunctionTransformer):
            return self.function(state, step)
        if isinstance(step, OneHotEncoder | OrdinalEncoder):
            return self.encoder(state, step)
        if isinstance(step, SimpleImputer):
            return self.imputer(state, step)
        if (steps := _scaling(step)) is None:
            raise NotCompiled(f"the step {type(step).__name__} is not known here")
        return _then(self.numbers(state), steps)

    def column_transformer(self, state: _State, step: ColumnTransformer) -> Preparation:
        if not isinstance(state, _Raw) or state.fills or step.transformer_weights:
            raise NotCompiled("it has a ColumnTransformer behind other steps, or with weights")
        blocks: list[Block] = []
        for _, transformer, chosen in step.transformers_:
            places = tuple(state.columns[place] for place in _places(chosen, step, state.columns))
            if not places or (isinstance(transformer, str) and transformer == "drop"):
                continue
            part = self.numbers(self.step(_Raw(places), transformer))
            if isinstance(part, Preparation):
                if part.after:
                    raise NotCompiled("it has a ColumnTransformer within another, with steps behind it")
                blocks += part.blocks
            else:
                blocks.append(part)
        return Preparation(tuple(blocks))

    def function(self, state: _State, step: FunctionTransformer) -> _State:
        function = step.func
        name = f"{getattr(function, '__module__', '')}.{getattr(function, '__qualname__', '')}"
        if function is None:
            return state
        if name == "turnout.models.preparation.finite":
            return _then(self.numbers(state), (Step("finite"),))
        if name == "turnout.models.preparation.calendar" and isinstance(state, _Raw):
            return Times(state.columns, tuple(step.kw_args["derive"]), step.kw_args["timezone"])
        raise NotCompiled(f"it calls the function {getattr(function, '__qualname__', function)} of your own")

    def imputer(self, state: _State, step: SimpleImputer) -> _State:
        """Of numbers a step, of categories what a missing one is."""
        if isinstance(state, _Raw) and not self.numeric(state.columns):
            if any(self.columns[place].kind != "string" for place in state.columns) or step.add_indicator:
                raise NotCompiled("it fills in texts and numbers together, or says where a text was missing")
            return state if step.missing_values is not None else _Raw(state.columns, tuple(step.statistics_.tolist()))
        if not (isinstance(step.missing_values, float) and math.isnan(step.missing_values)):
            raise NotCompiled(f"it fills in numbers that are {step.missing_values}")
        values = tuple(float(value) for value in step.statistics_)
        if any(map(math.isnan, values)):
            raise NotCompiled("it leaves out columns that had no value")
        tracked = tuple(map(int, step.indicator_.features_)) if step.add_indicator else ()
        return _then(self.numbers(state), (Step("impute", values, tracked),))

    def encoder(self, state: _State, step: OneHotEncoder | OrdinalEncoder) -> Categories:
        if not isinstance(state, _Raw):
            raise NotCompiled(f"it has a {type(step).__name__} behind steps that make numbers")
        fills = state.fills or (None,) * len(state.columns)
        one = _one_hot if isinstance(step, OneHotEncoder) else _ordinal
        return Categories(
            state.columns,
            tuple(replace(one(step, place), fill=fill) for place, fill in enumerate(fills)),
        )


def _places(chosen: Any, step: ColumnTransformer, columns: Sequence[int]) -> list[int]:
    """The columns of a part of a ColumnTransformer, by their places."""
    if isinstance(chosen, slice) and all(isinstance(end, int | None) for end in (chosen.start, chosen.stop)):
        return list(range(len(columns)))[chosen]
    chosen = list(np.atleast_1d(np.asarray(chosen, dtype=object)))
    names = list(getattr(step, "feature_names_in_", []))
    if chosen and all(isinstance(item, bool | np.bool_) for item in chosen):
        return [place for place, taken in enumerate(chosen) if taken]
    return [names.index(item) if isinstance(item, str) else int(item) % len(columns) for item in chosen]


def _then(state: Numbers | Times | Categories | Preparation, steps: tuple[Step, ...]) -> Numbers | Times | Preparation:
    """Numbers with further steps."""
    if isinstance(state, Preparation):
        return replace(state, after=(*state.after, *steps))
    if isinstance(state, Categories):
        return Preparation((state,), steps)
    return replace(state, steps=(*state.steps, *steps))


def _scaling(step: Any) -> tuple[Step, ...] | None:
    """A scaler as steps, in its own order of operations; None when it is none of those known."""

    def numbers(values: Any) -> tuple[float, ...]:
        return tuple(float(value) for value in values)

    if isinstance(step, StandardScaler):
        found = [("subtract", step.mean_ if step.with_mean else None), ("divide", step.scale_)]
    elif isinstance(step, RobustScaler):
        found = [("subtract", step.center_ if step.with_centering else None),
                 ("divide", step.scale_ if step.with_scaling else None)]  # fmt: skip
    elif isinstance(step, MaxAbsScaler):
        found = [("divide", step.scale_)]
    elif isinstance(step, MinMaxScaler):
        found = [("multiply", step.scale_), ("add", step.min_), ("clip", step.feature_range if step.clip else None)]
    else:
        return None
    return tuple(Step(name, numbers(values)) for name, values in found if values is not None)  # type: ignore[arg-type]


def _plain(value: Any) -> Any:
    """A category as JSON has it; a number that is none is a missing one."""
    value = value.item() if isinstance(value, np.generic) else value
    if isinstance(value, float) and math.isnan(value):
        return None
    if value is not None and not isinstance(value, str | bool | int | float):
        raise NotCompiled(f"a category is a {type(value).__name__}")
    return float(value) if isinstance(value, int) and not isinstance(value, bool) else value


def _one_hot(step: OneHotEncoder, place: int) -> Encoding:
    values = list(step.categories_[place])
    rare = (step.infrequent_categories_ if hasattr(step, "infrequent_categories_") else [None] * (place + 1))[place]
    is_rare = np.isin(np.arange(len(values)), []) if rare is None else np.array([item in set(rare) for item in values])
    # The frequent ones come first, in their order, then one for all that are rare.
    order = np.cumsum(~is_rare) - 1
    frequent = int((~is_rare).sum())
    found = np.where(is_rare, frequent, order)
    width = frequent + int(is_rare.any())
    dropped = None if step.drop_idx_ is None else step.drop_idx_[place]
    if dropped is not None:
        if is_rare.any():
            raise NotCompiled("it drops one column for each category, and has one for those that are rare")
        found = np.where(found == dropped, -1, np.where(found > dropped, found - 1, found))
        width -= 1
    unknown: float | None = -1.0
    if step.handle_unknown == "error":
        unknown = None
    elif step.handle_unknown in ("infrequent_if_exist", "warn") and is_rare.any():
        unknown = float(frequent)
    return Encoding(tuple(map(_plain, values)), tuple(map(float, found)), width, unknown)


def _ordinal(step: OrdinalEncoder, place: int) -> Encoding:
    values = tuple(map(_plain, step.categories_[place]))
    rare = getattr(step, "infrequent_categories_", None)
    if rare is not None and any(item is not None for item in rare):
        raise NotCompiled("it counts rare categories as one")
    places = [float(index) for index in range(len(values))]
    for index, value in enumerate(step.categories_[place]):
        if isinstance(value, float) and math.isnan(value):  # None is a category as others are, to the encoder
            places[index] = float(step.encoded_missing_value)
    unknown = None if step.handle_unknown == "error" else float(step.unknown_value)
    return Encoding(values, tuple(places), 1, unknown, ordinal=True)
