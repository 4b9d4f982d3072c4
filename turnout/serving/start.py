"""What `turnout serve` finds out before it serves: the version, the directory, who may ask, and how to ask."""

from __future__ import annotations

import dataclasses
import ipaddress
import json
import math
import shlex
from pathlib import Path
from typing import Any

from turnout.errors import ComponentError, ServerError
from turnout.models.registry import CHAMPION, look_up
from turnout.serving.directory import Directory
from turnout.serving.envoy.listener import Listening
from turnout.serving.release import Release, Served, only
from turnout.serving.state import ROOT, State


def name_of(model: str) -> str:
    """The name in `MODEL`, `MODEL@ALIAS`, `MODEL/VERSION`, or the same after `models:/`."""
    return model.removeprefix("models:/").partition("@")[0].partition("/")[0]


def prepare(directory: Path, model: str, fallback: str = "") -> Release:
    """Say in the directory's state that a model shall be served; what shall be.

    A release that is there already goes on (also one that is split) when the alias means what it meant, or the version
    that is named is in service.

    Args:
        model: `MODEL`, `MODEL@ALIAS` or `MODEL/VERSION`.
        fallback: a version, or a constant as JSON; empty for none.

    Raises:
        ComponentError: there is no such version.
    """
    path = model.removeprefix("models:/")
    name = name_of(model)
    alias = "" if "/" in path else path.partition("@")[2] or CHAMPION
    version = look_up(f"models:/{name}@{alias}" if alias else f"models:/{path}").version
    if fallback and not fallback.startswith("{"):
        look_up(f"models:/{name}/{fallback}")

    def make(before: Release | None) -> Release:
        if before is not None and before.model != name:
            raise ComponentError(
                f"the directory is {before.model}'s", where=str(directory), hint="take another --directory"
            )
        goes_on = before is not None and (
            before.alias_version == version and before.alias == alias if alias else before.stable.version == version
        )
        if before is not None and goes_on:
            return dataclasses.replace(before, fallback=fallback, alias=alias, alias_version=version if alias else "")
        made = Release(name, (Served(version, 100.0),)) if before is None else only(before, version)
        return dataclasses.replace(made, fallback=fallback, alias=alias, alias_version=version if alias else "")

    return State(directory).change(make, f"turnout serve {model}", action="start")


def listening(
    port: int, address: str, time_out_s: float, certificate: str, key: str, tokens: Path | None,
    everybody: bool = False, grpc_port: int = 0,
) -> Listening:  # fmt: skip
    """Where and to whom Envoy answers. Raises ServerError when that is not safe, or cannot be.

    Args:
        everybody: who reaches the address may ask, also without a token.
        time_out_s: that a worker's model may take. Envoy waits for the fallback too, before it asks another worker.
    """
    if bool(certificate) != bool(key):
        raise ServerError("a certificate and its key go together", where=certificate or key,
                          hint="give both: --certificate FILE --key FILE")  # fmt: skip
    for file in filter(None, (certificate, key)):
        if not Path(file).is_file():
            raise ServerError("no such file", where=file, hint="name a PEM file")
    found = _tokens(tokens) if tokens else ()
    try:
        loopback = ipaddress.ip_address(address).is_loopback
    except ValueError:
        hint = "such as 127.0.0.1, or 0.0.0.0 for all of this machine's"
        raise ServerError("not an IP address", where=address, hint=hint) from None
    if not loopback and not found and not everybody:
        hint = (
            "give a file of tokens with --tokens, and --certificate and --key so that nobody reads them; --open where"
        )
        hint += " the network decides who may ask"
        raise ServerError("everybody could ask: an address that is not loopback needs tokens", where=address, hint=hint)
    pem, own = (str(Path(file).absolute()) if file else "" for file in (certificate, key))
    return Listening(port, address, pem, own, tokens=found, try_s=2 * time_out_s + 1, grpc_port=grpc_port)


def ready_text(directory: Path, where: Listening, release: Release) -> str:
    """What a user wants to know when the server is ready: the address, and a request that works."""
    scheme = "https" if where.certificate else "http"
    host = f"[{where.address}]" if ":" in where.address else where.address
    version = release.stable.version
    command = ["curl"]
    if where.tokens:
        command += ["-H", "authorization: Bearer TOKEN"]
    row = json.dumps(example(Directory(directory).models / version))
    command += [f"{scheme}://{host}:{where.port}/predict", "-H", "content-type: application/json", "-d", row]
    follows = f", and follows the alias {release.alias}" if release.alias else ""
    return f"""
{release.model} is served: {scheme}://{host}:{where.port}

  version   {version}{follows}
  try it    {shlex.join(command)}
  look      turnout serve status
  files     {directory}
  stop      Ctrl-C
"""


def example(directory: Path) -> dict[str, Any]:
    """A row that a model takes: the first of its input example; without one, a value of each column's type."""
    from turnout.models.signature import signature_of

    kinds = {"boolean": False, "string": ""}
    row: dict[str, Any] = {column.name: kinds.get(column.kind, 0) for column in signature_of(directory)}
    try:
        split = json.loads((directory / "input_example.json").read_text())
        given = dict(zip(split["columns"], split["data"][0], strict=True))
    except (OSError, ValueError, LookupError, TypeError):
        given = {}
    row |= {name: given[name] for name in row if name in given}
    # JSON has no NaN; a null is a missing value too.
    return {name: None if isinstance(value, float) and math.isnan(value) else value for name, value in row.items()}


def served_here(directory: Path | None) -> str:
    """The model that is meant when none is named: the one of the directory, or the only one. Raises ServerError."""
    if directory is not None:
        return State(directory).require().model
    found = sorted(path.parent.name for path in ROOT.glob("*/state.json"))
    if len(found) == 1:
        return found[0]
    if found:
        raise ServerError("several models are served here", where=str(ROOT), available=found, hint="name one of them")
    hint = "start it: turnout serve MODEL@champion; or name the model, or the --directory"
    raise ServerError("nothing is served here", where=str(ROOT), hint=hint)


def to_ask(directory: Path) -> tuple[str, bytes]:
    """The address of a server that runs, and a request's body that it takes. Raises ServerError when none runs."""
    place = Directory(directory.absolute())
    told = place.read_status()
    if not place.is_served() or not told.get("serving"):
        raise ServerError("no server runs here", where=str(directory), hint="start it: turnout serve MODEL@champion")
    scheme, address = "https" if told["secure"] else "http", str(told["address"])
    host = f"[{address}]" if ":" in address else address
    row = example(place.models / str(told["serving"][0]["version"]))
    return f"{scheme}://{host}:{told['port']}/predict", json.dumps(row).encode()


def registered() -> list[str]:
    """The models that have a champion; none when the registry cannot be asked."""
    try:
        import mlflow

        from turnout.trackers.mlflow import require_answer

        require_answer()
        return [item.name for item in mlflow.MlflowClient().search_registered_models(max_results=20)]
    except Exception:  # it is for the hint of another error
        return []


def _tokens(file: Path) -> tuple[str, ...]:
    try:
        found = tuple(line.strip() for line in file.read_text(encoding="utf-8").splitlines() if line.strip())
    except (OSError, UnicodeDecodeError) as error:
        raise ServerError(f"the tokens cannot be read: {error}", where=str(file), hint="one token a line") from error
    if not found or any(not token.isascii() or " " in token for token in found):
        raise ServerError("not a file of tokens", where=str(file), hint="one token a line, without spaces")
    return found
