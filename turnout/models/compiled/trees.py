"""Ensembles of trees as an ONNX graph in double precision.

treelite reads LightGBM's, XGBoost's and scikit-learn's trees, and says what is done with their sums; the graph is the
operator TreeEnsemble of ai.onnx.ml 5, which compares and adds in double. The usual converters write an older operator
whose thresholds are floats: numbers between a threshold and its nearest float then go the wrong way.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx
import treelite
from onnx import TensorProto, helper, numpy_helper

from turnout.models.compiled.form import NotCompiled

ML_OPSET, OPSET = 5, 21

_LESS_OR_EQUAL, _LESS, _MEMBER = 0, 1, 6
_COMPARISONS = {2: _LESS, 3: _LESS_OR_EQUAL}
"""Of the operator, by treelite's numbers of its own."""

_NUMERICAL, _CATEGORICAL = 1, 2
"""treelite's kinds of nodes; 0 is a leaf."""

_NOBODY = 2**30
"""The member of a set that has none, which onnxruntime does not take; no category is as large."""

MOST_NODES = 4_000_000
"""More take minutes to compile and gigabytes to load."""


def read_trees(estimator: Any) -> Any | None:
    """A fitted estimator's trees by treelite; None when it has none that treelite reads."""
    home, name = type(estimator).__module__.partition(".")[0], type(estimator).__name__
    if home == "lightgbm":
        booster = estimator if name == "Booster" else estimator.booster_
        return treelite.frontend.from_lightgbm(booster)
    if home == "xgboost":
        return treelite.frontend.from_xgboost(estimator.get_booster())
    kinds = ("RandomForest", "ExtraTrees", "GradientBoosting", "HistGradientBoosting")
    if home == "sklearn" and name in {f"{kind}{task}" for kind in kinds for task in ("Classifier", "Regressor")}:
        return treelite.sklearn.import_model(estimator)
    return None


@dataclass
class _Nodes:
    """The attributes of a TreeEnsemble, as they grow."""

    features: list[int] = field(default_factory=list)
    splits: list[float] = field(default_factory=list)
    modes: list[int] = field(default_factory=list)
    missing: list[int] = field(default_factory=list)
    true: list[int] = field(default_factory=list)
    true_leaf: list[int] = field(default_factory=list)
    false: list[int] = field(default_factory=list)
    false_leaf: list[int] = field(default_factory=list)
    members: list[float] = field(default_factory=list)
    targets: list[int] = field(default_factory=list)
    weights: list[float] = field(default_factory=list)
    roots: list[int] = field(default_factory=list)

    def add(self, tree: Any, target: int, weights: np.ndarray) -> None:
        """A tree whose leaves have weights for one target.

        Args:
            tree: treelite's accessor.
            weights: by node; those of other nodes than leaves are not used.
        """
        kind, left, right = (tree.get_field(name) for name in ("node_type", "cleft", "cright"))
        inner = np.flatnonzero(kind != 0)
        leaves = np.flatnonzero(kind == 0)
        before, leaves_before = len(self.modes), len(self.targets)
        place = np.empty(len(kind), dtype=int)
        place[inner] = before + np.arange(len(inner))
        place[leaves] = leaves_before + np.arange(len(leaves))
        self.roots.append(before)
        self.targets += [target] * len(leaves)
        self.weights += weights[leaves].tolist()
        if not len(inner):  # the operator has no tree of one leaf: a node whose ways both lead there
            self._node(0, 0.0, _LESS_OR_EQUAL, 0, (leaves_before, 1), (leaves_before, 1))
            return
        feature, threshold, comparison, default_left = (
            tree.get_field(name) for name in ("split_index", "threshold", "cmp", "default_left")
        )
        begins, ends, listed, listed_right = (
            tree.get_field(name)
            for name in ("category_list_begin", "category_list_end", "category_list", "category_list_right_child")
        )
        for node in inner.tolist():
            ways = [(int(place[child]), int(kind[child] == 0)) for child in (int(left[node]), int(right[node]))]
            tracks = int(default_left[node])
            if kind[node] == _CATEGORICAL:
                members = listed[int(begins[node]) : int(ends[node])].tolist() or [_NOBODY]
                self.members += [*map(float, members), float("nan")]  # which ends a node's list
                if listed_right[node]:
                    ways.reverse()
                    tracks = 1 - tracks
                self._node(int(feature[node]), 0.0, _MEMBER, tracks, *ways)
                continue
            if int(comparison[node]) not in _COMPARISONS:
                raise NotCompiled(f"its trees compare in a way ({comparison[node]}) that is not known here")
            mode = _COMPARISONS[int(comparison[node])]
            self._node(int(feature[node]), float(threshold[node]), mode, tracks, *ways)

    def _node(
        self, feature: int, split: float, mode: int, missing: int, true: tuple[int, int], false: tuple[int, int]
    ) -> None:
        self.features.append(feature)
        self.splits.append(split)
        self.modes.append(mode)
        self.missing.append(missing)
        self.true.append(true[0])
        self.true_leaf.append(true[1])
        self.false.append(false[0])
        self.false_leaf.append(false[1])


def _double(name: str, values: Any) -> onnx.TensorProto:
    found: onnx.TensorProto = numpy_helper.from_array(np.asarray(values, dtype=np.float64), name)
    return found


def tree_graph(model: Any, *, floats: bool) -> bytes:
    """An ONNX model of trees: input `inputs`, doubles of shape (rows, inputs); output `outputs`, of shape (rows, n).

    The outputs are the probability of the second of two classes, those of all of more classes, or the number.

    Args:
        model: treelite's.
        floats: whether the estimator rounds its inputs to floats before it compares.

    Raises:
        NotCompiled: treelite knows the trees, and this module not what is done with their sums.
    """
    header = model.get_header_accessor()

    def said(name: str) -> Any:
        return header.get_field(name)

    if int(said("num_target")[0]) != 1:
        raise NotCompiled("it predicts several numbers at once")
    classes, post = int(said("num_class")[0]), str(said("postprocessor"))
    trees = [model.get_tree_accessor(index) for index in range(model.num_tree)]
    owners = said("class_id")
    vectors = int(np.prod(said("leaf_vector_shape"))) > 1
    # Of two classes whose leaves have the probabilities of both, those of the second are enough.
    chosen = [1] if vectors and classes == 2 else list(range(classes))
    if sum(int(tree.get_field("num_nodes")[0]) for tree in trees) * (len(chosen) if vectors else 1) > MOST_NODES:
        raise NotCompiled(f"it has more than {MOST_NODES:,} nodes for the classes together")
    nodes = _Nodes()
    for index, tree in enumerate(trees):
        if not vectors:
            nodes.add(tree, int(owners[index]), tree.get_field("leaf_value"))
            continue
        begins, found = tree.get_field("leaf_vector_begin").astype(int), tree.get_field("leaf_vector")
        for target, which in enumerate(chosen):
            last = max(0, len(found) - 1)
            nodes.add(tree, target, found[np.minimum(begins + which, last)])
    body = [_ensemble(nodes, len(chosen), "compared" if floats else "inputs", "summed")]
    if floats:
        body = [helper.make_node("Cast", ["inputs"], ["rounded"], to=TensorProto.FLOAT),
                helper.make_node("Cast", ["rounded"], ["compared"], to=TensorProto.DOUBLE), *body]  # fmt: skip
    constants: list[onnx.TensorProto] = []
    last_name = "summed"

    def then(operator: str, *values: np.ndarray | float, **attributes: Any) -> None:
        nonlocal last_name
        inputs = [last_name]
        for value in values:
            constants.append(_double(f"constant{len(constants)}", value))
            inputs.append(constants[-1].name)
        last_name = f"{operator.lower()}{len(body)}"
        body.append(helper.make_node(operator, inputs, [last_name], **attributes))

    if said("average_tree_output")[0]:
        then("Div", np.array([float(len(trees))]))
    base = np.asarray(said("base_scores"), dtype=float)[chosen]
    if base.any():
        then("Add", base)
    alpha = float(said("sigmoid_alpha")[0])
    if post in ("sigmoid", "multiclass_ova"):
        if alpha != 1:
            then("Mul", np.array([alpha]))
        then("Sigmoid")
    elif post == "softmax":
        then("Softmax", axis=1)
    elif post == "exponential":
        then("Exp")
    elif post not in ("identity", "identity_multiclass"):
        raise NotCompiled(f"what it makes of its trees' sums, {post}, is not known here")
    body.append(helper.make_node("Identity", [last_name], ["outputs"]))
    graph = helper.make_graph(
        body, "trees",
        [helper.make_tensor_value_info("inputs", TensorProto.DOUBLE, [None, int(said("num_feature")[0])])],
        [helper.make_tensor_value_info("outputs", TensorProto.DOUBLE, [None, len(chosen)])],
        constants,
    )  # fmt: skip
    opsets = [helper.make_opsetid("", OPSET), helper.make_opsetid("ai.onnx.ml", ML_OPSET)]
    made = helper.make_model(graph, opset_imports=opsets, producer_name="turnout", ir_version=10)
    serialized: bytes = made.SerializeToString()
    return serialized


def _ensemble(nodes: _Nodes, targets: int, inputs: str, output: str) -> onnx.NodeProto:
    attributes: dict[str, Any] = {
        "aggregate_function": 1,
        "leaf_targetids": nodes.targets,
        "leaf_weights": _double("leaf_weights", nodes.weights),
        "n_targets": targets,
        "nodes_falseleafs": nodes.false_leaf,
        "nodes_falsenodeids": nodes.false,
        "nodes_featureids": nodes.features,
        "nodes_missing_value_tracks_true": nodes.missing,
        "nodes_modes": numpy_helper.from_array(np.array(nodes.modes, dtype=np.uint8), "nodes_modes"),
        "nodes_splits": _double("nodes_splits", nodes.splits),
        "nodes_trueleafs": nodes.true_leaf,
        "nodes_truenodeids": nodes.true,
        "post_transform": 0,
        "tree_roots": nodes.roots,
    }
    if nodes.members:
        attributes["membership_values"] = _double("membership_values", nodes.members)
    return helper.make_node("TreeEnsemble", [inputs], [output], domain="ai.onnx.ml", **attributes)
