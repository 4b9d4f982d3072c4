"""Put a model into the registry."""

from typing import Annotated, Literal, NamedTuple

from annotated_types import Ge

from turnout import Asset, Input, Model, component


class Registered(NamedTuple):
    """The version of the registered model; which form of it answers (`compiled`, `compiled int8`, `model`), and why."""

    version: str
    answers: str
    form: str


@component(cache=False, publishes={"version": Asset("models:/{registered_model}@{alias}")})
def register(
    model: Input[Model],
    registered_model: str,
    alias: str = "challenger",
    precision: Literal["exact", "float16", "int8"] = "exact",
    maximum_loss: Annotated[float, Ge(0)] = 0.01,
) -> Registered:
    """Make a trained model a version in the MLflow registry; the same model again is the same version.

    The model is also compiled: to arrays and an ONNX graph, which answer for one row in a tenth of a millisecond, and
    are loaded without pickle. They are used only if they say what the model says, on rows of its evaluation and on odd
    ones; the version's tags `turnout.compiled` and `turnout.compiled_reason` say what came of it.

    Of a network a form of lower precision can be used instead, which is a third to a seventh of the size. It is held
    against the exact one by the metric of the evaluation, on rows of it. The form is used only if the 95 % interval of
    what is lost ends at `maximum_loss` or below; else the exact one is.

    Args:
        model: the model, as `train` gives it.
        registered_model: name in the registry; made when it does not exist.
        alias: alias that is moved to the version.
        precision: `float16` or `int8` for a network's compiled form in fewer bits; `exact` is the model's own.
        maximum_loss: what a form of lower precision may lose of the evaluation's metric, in the metric's own unit.
    """
    from turnout.models.compiled.keeping import answering, keep_compiled
    from turnout.models.contract import contract_of
    from turnout.models.registry import register_version

    if precision != "exact":
        from turnout.models.compiled.reduced import require_network

        require_network(model.path, precision)
    trained, metadata = contract_of(model), model.metadata
    tags = {
        "turnout.code": metadata.get("code_revision"),
        "turnout.data": metadata.get("data_digest"),
        "turnout.data_revision": metadata.get("revision"),
        "turnout.features": metadata.get("features_digest"),
    }
    version, known = register_version(registered_model, trained.model_uri, trained.run_id, alias, tags)
    print(
        f"{registered_model} version {version.version} is the {alias}"
        + (" (it was registered before)" if known else "")
    )
    form = keep_compiled(version, model.path, precision, maximum_loss)
    print(form)
    return Registered(version.version, answering(version).form, form)
