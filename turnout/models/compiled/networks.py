"""Networks of PyTorch as ONNX graphs; and which estimators are networks at all."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

from turnout.models.compiled.form import NotCompiled

if TYPE_CHECKING:
    from turnout.models.compiled.graph import Graph

_OPSET = 17

TOLERANCE, ODD_TOLERANCE = 1e-5, 1e-3
"""Of a network in single precision. Its sums are of numbers rounded to 6e-8 of their size, and another library adds
them in another order. Of numbers as large as 1e9, which odd rows have, large ones cancel, and what is left is less
exact."""


def framework_of(estimator: Any) -> str:
    """`torch`, `jax` or `tensorflow` of a network of `turnout.models.frameworks`; empty for any other estimator.

    A model holds the classes of its network by value: they are not those that can be imported.
    """
    bases = {(base.__module__, base.__name__) for base in type(estimator).__mro__}
    return str(estimator.needs[-1]) if ("turnout.models.frameworks.network", "Network") in bases else ""


def is_network(model: Any) -> bool:
    """Whether a fitted model's last step is a network: scikit-learn's, or one of `turnout.models.frameworks`."""
    last = model.steps[-1][1] if hasattr(model, "steps") else model
    home, name = type(last).__module__, type(last).__name__
    return bool(framework_of(last)) or (home.startswith("sklearn.neural_network.") and name.startswith("MLP"))


def network_graph(estimator: Any, inputs: int) -> Graph:
    """The graph of a network of `turnout.models.frameworks`: the network itself in single precision, as it was trained.

    What the estimator makes of the network's outputs is in double precision, as it is there.

    Raises:
        NotCompiled: there is no converter for its framework, or it fails.
    """
    from onnx import TensorProto, helper, numpy_helper

    from turnout.models.compiled.graph import Graph

    if (framework := framework_of(estimator)) != "torch":
        raise NotCompiled(f"there is no converter for a network of {framework}")
    try:
        made = _exported(estimator.network_, inputs)
    except Exception as error:  # a layer may raise anything
        what = str(error).strip().partition("\n")[0][:200]
        raise NotCompiled(f"PyTorch does not export the network: {type(error).__name__}: {what}") from error
    graph, last = made.graph, "doubles"
    graph.node.append(helper.make_node("Cast", ["network"], [last], to=TensorProto.DOUBLE))
    if hasattr(estimator, "classes_"):
        outputs = len(estimator.classes_)
        graph.node.append(helper.make_node("Softmax", [last], ["outputs"], axis=1))
    else:
        outputs = 1
        for operator, value, then in (("Mul", estimator.scale_, "scaled"), ("Add", estimator.mean_, "outputs")):
            graph.initializer.append(_double(numpy_helper, f"{then}_by", value))
            graph.node.append(helper.make_node(operator, [last, f"{then}_by"], [then]))
            last = then
    del graph.output[:]
    graph.output.append(helper.make_tensor_value_info("outputs", TensorProto.DOUBLE, [None, outputs]))
    return Graph(made.SerializeToString(), "inputs", "outputs", "float", "torch.onnx", TOLERANCE, ODD_TOLERANCE)


def _double(numpy_helper: Any, name: str, value: float) -> Any:
    import numpy as np

    return numpy_helper.from_array(np.array([value], dtype=np.float64), name)


def _exported(network: Any, inputs: int) -> Any:
    """A module as an ONNX model, by tracing: PyTorch's other exporter needs two more packages."""
    import onnx
    import torch

    from turnout.models.compiled.quiet import without_logs

    kept, rows = io.BytesIO(), {0: "rows"}
    with without_logs():
        torch.onnx.export(
            network.cpu().eval(), (torch.zeros(2, inputs),), kept, dynamo=False, opset_version=_OPSET,
            input_names=["inputs"], output_names=["network"], dynamic_axes={"inputs": rows, "network": rows},
        )  # fmt: skip
    return onnx.load_from_string(kept.getvalue())
