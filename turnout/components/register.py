"""Put a model into the registry."""

from typing import NamedTuple

from turnout import Asset, Input, Model, component


class Registered(NamedTuple):
    """The version of the registered model."""

    version: str


@component(cache=False, publishes={"version": Asset("models:/{registered_model}@{alias}")})
def register(model: Input[Model], registered_model: str, alias: str = "challenger") -> Registered:
    """Make a trained model a version in the MLflow registry; the same model again is the same version.

    The model is also compiled: to arrays and an ONNX graph, which answer for one row in a tenth of a millisecond, and
    are loaded without pickle. They are used only if they say what the model says, on rows of its evaluation and on odd
    ones; the version's tags `turnout.compiled` and `turnout.compiled_reason` say what came of it.

    Args:
        model: the model, as `train` gives it.
        registered_model: name in the registry; made when it does not exist.
        alias: alias that is moved to the version.
    """
    from turnout.models.compiled.keeping import keep_compiled
    from turnout.models.contract import contract_of
    from turnout.models.registry import register_version

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
    print(keep_compiled(version, model.path))
    return Registered(version.version)
