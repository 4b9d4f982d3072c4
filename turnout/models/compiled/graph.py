"""A fitted estimator as an ONNX graph: its trees in double precision, or whatever skl2onnx makes of it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from turnout.models.compiled.form import NotCompiled
from turnout.models.compiled.quiet import without_logs

TOLERANCE = 1e-6
"""Of probabilities; of numbers, times their size (or the median size of all, where that is more)."""

_OPSETS = {"": 21, "ai.onnx.ml": 3}


@dataclass(frozen=True)
class Graph:
    """An ONNX model, and which of its outputs are the probabilities or numbers.

    Attributes:
        precision: of its input: `double` or `float`.
        tolerance, odd_tolerance: how far its predictions may be from the model's, and on odd rows.
    """

    onnx: bytes
    input: str
    output: str
    precision: str
    made_by: str
    tolerance: float = TOLERANCE
    odd_tolerance: float = TOLERANCE


def graphs_of(estimator: Any, inputs: int) -> Iterator[Graph]:
    """The graphs that can be made of an estimator, the most exact one first; making each may fail.

    Args:
        inputs: how many numbers it takes.

    Raises:
        NotCompiled: none can be made.
    """
    from turnout.models.compiled.networks import framework_of, network_graph

    if framework_of(estimator):
        yield network_graph(estimator, inputs)
        return
    from turnout.models.compiled.trees import read_trees, tree_graph

    reasons: list[str] = []
    made = False
    for attempt in (_trees, _double, _float):
        try:
            found = attempt(estimator, inputs, read_trees, tree_graph)
        except NotCompiled as error:
            reasons.append(str(error))
            continue
        except Exception as error:  # converters raise whatever they come upon
            reasons.append(f"{type(error).__name__}: {_first_line(error)}")
            continue
        if found is not None:
            made = True
            yield found
    if not made:
        raise NotCompiled(reasons[0] if reasons else f"there is no converter for a {type(estimator).__name__}")


def _trees(estimator: Any, inputs: int, read_trees: Any, tree_graph: Any) -> Graph | None:
    trees = read_trees(estimator)
    if trees is None:
        return None
    home, name = type(estimator).__module__.partition(".")[0], type(estimator).__name__
    floats = home == "xgboost" or (home == "sklearn" and not name.startswith("Hist"))
    return Graph(tree_graph(trees, floats=floats), "inputs", "outputs", "double", "treelite")


def _double(estimator: Any, inputs: int, *_: Any) -> Graph:
    return _by_skl2onnx(estimator, inputs, "double")


def _float(estimator: Any, inputs: int, *_: Any) -> Graph | None:
    """Of estimators that round their inputs to floats themselves: any other would be right by luck only."""
    if not type(estimator).__module__.startswith(("sklearn.tree.", "sklearn.ensemble.")):
        return None
    return _by_skl2onnx(estimator, inputs, "float")


def _by_skl2onnx(estimator: Any, inputs: int, precision: str) -> Graph:
    import skl2onnx
    from skl2onnx.common.data_types import DoubleTensorType, FloatTensorType

    kind = DoubleTensorType if precision == "double" else FloatTensorType
    options = {id(estimator): {"zipmap": False}} if hasattr(estimator, "classes_") else None
    with without_logs():
        made = skl2onnx.convert_sklearn(
            estimator, initial_types=[("inputs", kind([None, inputs]))], options=options, target_opset=_OPSETS
        )
    return Graph(made.SerializeToString(), "inputs", made.graph.output[-1].name, precision, "skl2onnx")


def float_graph(estimator: Any, inputs: int) -> Graph:
    """A network's graph in single precision, with no other output than its predictions.

    Raises:
        NotCompiled: there is no converter for it.
    """
    import onnx
    from onnx.utils import Extractor

    from turnout.models.compiled.networks import framework_of, network_graph

    if framework_of(estimator):
        return network_graph(estimator, inputs)
    made = _by_skl2onnx(estimator, inputs, "float")
    alone = Extractor(onnx.load_from_string(made.onnx)).extract_model([made.input], [made.output])
    return replace(made, onnx=alone.SerializeToString())


def _first_line(error: Exception) -> str:
    return (str(error).strip().partition("\n")[0])[:200]
