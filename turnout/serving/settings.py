"""What a worker is told when it starts: one file of JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from turnout.errors import ComponentError


@dataclass(frozen=True)
class WorkerSettings:
    """One worker: a process that answers requests for one version of a model, on a unix socket.

    Attributes:
        model, version: name of the registered model, and which version of it.
        directory: the version's files, on this machine.
        socket: path of the unix socket to listen on. A socket of an earlier process at this path is replaced.
        fallback_version, fallback_directory: an older version, which answers when the first fails or is too slow;
            empty for none.
        fallback_constant: what is answered when the first fails or is too slow, and the fallback's version too, or
            there is none: predictions by name, such as `{"prediction": 0, "probability": 0.2}`; empty for none.
        time_out_s: seconds that the model may take for a request, its time in the queue included.
        queue_limit: requests that may be answered or wait at the same time; each further one is told to try later.
        rows_limit: rows in one request.
        batch_rows: rows of several requests that a slow model is given at once. A request waits for others only while
            the model is busy.
        inline_ms: a compiled model that takes less for a row is called in the server's own thread; any other one has
            a thread of its own.
        body_limit, bodies_limit: bytes of one request's body, and of all bodies that are held at the same time.
        header_limit: bytes of one request's headers.
        read_time_out_s: seconds within which a client must have sent its headers, and then its body.
        drain_s: seconds for which open requests and connections are waited for after SIGTERM.
        cache_rows: rows whose predictions are kept in memory; 0 for none.
        log_directory: where requests and predictions are kept; empty for nowhere.
        log_sample: the share of the requests that is kept.
        log_flush_s: seconds after which what is kept can be read, at the latest. Each time makes a file.
        masked_columns: columns of the model's input that are not kept.
        feature_repository, feature_service: Feast repository, and its service whose online features complete a row;
            empty for none.
    """

    model: str
    version: str
    directory: str
    socket: str
    fallback_version: str = ""
    fallback_directory: str = ""
    fallback_constant: Mapping[str, Any] = field(default_factory=dict)
    time_out_s: float = 1.0
    queue_limit: int = 256
    rows_limit: int = 10_000
    batch_rows: int = 256
    inline_ms: float = 1.0
    body_limit: int = 4 * 1024**2
    bodies_limit: int = 64 * 1024**2
    header_limit: int = 64 * 1024
    read_time_out_s: float = 10.0
    drain_s: float = 10.0
    cache_rows: int = 0
    log_directory: str = ""
    log_sample: float = 1.0
    log_flush_s: float = 60.0
    masked_columns: tuple[str, ...] = ()
    feature_repository: str = ""
    feature_service: str = ""

    def to_json(self) -> str:
        from cattrs import unstructure

        return json.dumps(unstructure(self), indent=2)

    @classmethod
    def from_json(cls, text: str, where: str = "settings") -> WorkerSettings:
        """Raises ComponentError when a setting is missing, unknown or of another type."""
        from cattrs import Converter, transform_error

        try:
            return Converter(forbid_extra_keys=True).structure(json.loads(text), cls)
        except Exception as error:  # cattrs groups what it found
            what = "; ".join(transform_error(error)) if not isinstance(error, ValueError) else str(error)
            hint = "write it with WorkerSettings.to_json"
            raise ComponentError(f"not the settings of a worker: {what}", where=where, hint=hint) from error

    @classmethod
    def read(cls, path: str | Path) -> WorkerSettings:
        """Raises ComponentError when the file cannot be read, or is none."""
        try:
            text = Path(path).read_text(encoding="utf-8")
        except OSError as error:
            hint = "name the file of a worker's settings"
            raise ComponentError(f"no settings here: {error.strerror}", where=str(path), hint=hint) from error
        return cls.from_json(text, str(path))
