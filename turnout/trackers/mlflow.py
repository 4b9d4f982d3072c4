"""MLflow: whether it answers, and what code this is, as its runs should say."""

from __future__ import annotations

import os
import socket
from pathlib import Path
from urllib.parse import SplitResult, urlsplit

from turnout.errors import ComponentError

CONNECT_S, ANSWER_S = 4.0, 8.0
"""How long a server may take to be connected to, and then to answer."""

_PORTS = {"postgresql": 5432, "mysql": 3306, "mssql": 1433}


def require_answer() -> None:
    """Raise ComponentError, in seconds, unless the servers of MLflow's runs and of its registry answer.

    MLflow itself asks for up to two minutes, and then seven times more, which is right for an upload, and wrong for a
    server that is down or an address that is none. So the server is asked first, and any answer will do. Databases are
    connected to; files, and services with an address of their own such as Databricks, are not asked.
    """
    import mlflow

    for uri in dict.fromkeys([mlflow.get_tracking_uri(), mlflow.get_registry_uri()]):
        address = urlsplit(uri)
        kind = address.scheme.partition("+")[0]
        try:
            if kind in ("http", "https"):
                _ask(address)
            elif kind in _PORTS and address.hostname:
                socket.create_connection((address.hostname, address.port or _PORTS[kind]), CONNECT_S).close()
        except (OSError, ValueError) as error:  # those of requests are OSErrors; a port that is none is a ValueError
            hint = "is the server up, and MLFLOW_TRACKING_URI (MLFLOW_REGISTRY_URI) its address?"
            raise ComponentError(f"MLflow does not answer: {_why(error)}", where=_plain(address), hint=hint) from error


def _ask(address: SplitResult) -> None:
    import warnings

    import requests

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # whose certificate it is, is for MLflow to look at
        requests.get(
            f"{_plain(address)}/health", timeout=(CONNECT_S, ANSWER_S), verify=False, allow_redirects=False, stream=True
        ).close()


def _plain(address: SplitResult) -> str:
    """The address without a name and a password."""
    return address._replace(netloc=address.netloc.rpartition("@")[2], query="").geturl().rstrip("/")


def _why(error: Exception) -> str:
    import requests

    if isinstance(error, requests.exceptions.ReadTimeout):
        return f"it was connected to, and said nothing for {ANSWER_S:g} s"
    if isinstance(error, TimeoutError | requests.exceptions.ConnectTimeout):
        return f"no connection in {CONNECT_S:g} s"
    cause: BaseException = error
    while (below := cause.__cause__ or cause.__context__) is not None:
        cause = below
    return str(cause) or type(cause).__name__


def code_revision() -> str:
    """The git commit of the code: $TURNOUT_CODE_REVISION (set it in images), or the working directory's."""
    if revision := os.environ.get("TURNOUT_CODE_REVISION"):
        return revision
    from mlflow.utils.git_utils import get_git_commit

    return get_git_commit(str(Path.cwd())) or "unknown"
