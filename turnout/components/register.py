"""Put a model into the registry."""

from typing import NamedTuple

from turnout import Input, Model, component


class Registered(NamedTuple):
    """The version of the registered model."""

    version: str


@component
def register(model: Input[Model], registered_model: str, alias: str = "challenger") -> Registered:
    """Make a trained model a version in the MLflow registry; the same model again is the same version.

    Args:
        model: the model, as `train` gives it.
        registered_model: name in the registry; made when it does not exist.
        alias: alias that is moved to the version.
    """
    import mlflow
    from mlflow.exceptions import MlflowException

    client = mlflow.MlflowClient()
    run_id, source = model.metadata["mlflow_run_id"], model.metadata["mlflow_model_uri"]
    try:
        client.create_registered_model(registered_model)
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
    tags = {
        "turnout.code": model.metadata.get("code_revision"),
        "turnout.data": model.metadata.get("data_digest"),
        "turnout.data_revision": model.metadata.get("revision"),
        "turnout.features": model.metadata.get("features_digest"),
    }
    known = client.search_model_versions(f"name='{registered_model}' and run_id='{run_id}'")
    version = known[0] if known else mlflow.register_model(
        source, registered_model, tags={key: value for key, value in tags.items() if value}
    )  # fmt: skip
    client.set_registered_model_alias(registered_model, alias, version.version)
    print(
        f"{registered_model} version {version.version} is the {alias}"
        + (" (it was registered before)" if known else "")
    )
    return Registered(str(version.version))
