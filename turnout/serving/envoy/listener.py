"""Envoy's listener: where and to whom it answers, what it refuses, and what it writes down. It is read at the start."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from turnout.serving.envoy.api import (
    BUFFER,
    FALLBACK_HEADER,
    FILTERS,
    GROUPS,
    GRPC,
    GRPC_BRIDGE,
    HEALTH,
    LOOPBACK,
    ROUTES,
    TYPE,
    USER_HEADER,
    file_source,
)

HEADERS_KB, HEADERS = 32, 64
"""How large the headers of a request may be together, and how many."""
HEADERS_S, REQUEST_S = 10, 30
"""Seconds in which a client must have sent the headers, and all of a request."""


@dataclass(frozen=True)
class Listening:
    """Where and to whom Envoy answers.

    Attributes:
        address: an IP address of this machine.
        certificate: path of a PEM file, for TLS; with its key. They are read again when they are renamed into place.
        client_authority: path of a PEM file; clients must show a certificate that it has signed.
        tokens: a request must have one, as `Authorization: Bearer TOKEN`; none for requests of everybody.
        try_s: seconds until a request that a worker does not answer is sent to another one.
        body_limit: bytes of a request's body.
        connections: of clients at the same time.
        heap: bytes of memory with which Envoy refuses requests.
        drain_s: seconds that requests at work get to end.
        grpc_port: another port; both take HTTP and gRPC. For who tells HTTP/2 by the port; 0 for none.
    """

    port: int
    address: str = LOOPBACK
    certificate: str = ""
    key: str = ""
    client_authority: str = ""
    tokens: tuple[str, ...] = ()
    try_s: float = 10.0
    body_limit: int = 10 * 2**20
    connections: int = 10_000
    heap: int = 2**30
    drain_s: float = 10.0
    grpc_port: int = 0

    @property
    def ports(self) -> tuple[int, ...]:
        return (self.port, self.grpc_port) if self.grpc_port else (self.port,)


def bootstrap(listening: Listening, place: Path, log: Path, admin: Path, index: int = 0) -> dict[str, Any]:
    """What Envoy is started with.

    Args:
        place: the directory of `routes.json` and `groups.json`; an absolute path, as the others are.
        log: the file of the access log.
        admin: the socket of Envoy's own answers about itself.
        index: which one of several Envoys at the same port it is.
    """
    return {
        "node": {"id": f"envoy-{index}", "cluster": "turnout"},
        "admin": {"address": {"pipe": {"path": str(admin), "mode": 0o600}}},
        "dynamic_resources": {"cds_config": file_source(place / GROUPS)},
        "static_resources": {"listeners": [_listener(listening, place, log)]},
        "overload_manager": _overload(listening),
        # gRPC's status is a part of a statistic's name: of that a label is made, by which they can be added up.
        "stats_config": {"stats_tags": [{"tag_name": "grpc_status", "regex": r"^cluster\..+\.grpc(\.(\d+))$"}]},
    }


def _listener(listening: Listening, place: Path, log: Path) -> dict[str, Any]:
    manager = {
        "@type": f"{TYPE}envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "turnout",
        "rds": {"route_config_name": "turnout", "config_source": file_source(place / ROUTES)},
        "http_filters": [_calls(), *_permission(listening), _bridge(), _buffer(listening), _router()],
        "access_log": [_access_log(log)],
        "use_remote_address": True,
        "generate_request_id": True,
        "preserve_external_request_id": True,
        "always_set_request_id_in_response": True,
        "request_id_extension": {
            "typed_config": {
                "@type": f"{TYPE}envoy.extensions.request_id.uuid.v3.UuidRequestIdConfig",
                "pack_trace_reason": False,  # an id that a client gave is kept as it is
            }
        },
        "server_name": "turnout",
        "normalize_path": True,
        "merge_slashes": True,
        "path_with_escaped_slashes_action": "REJECT_REQUEST",
        "max_request_headers_kb": HEADERS_KB,
        "common_http_protocol_options": {"idle_timeout": "300s", "max_headers_count": HEADERS},
        "request_headers_timeout": f"{HEADERS_S}s",
        "request_timeout": f"{REQUEST_S}s",
        "stream_idle_timeout": "60s",
        "http2_protocol_options": {
            "max_concurrent_streams": 128,
            "initial_stream_window_size": 65536,
            "initial_connection_window_size": 2**20,
        },
        "local_reply_config": _own_replies(listening),
    }
    chain: dict[str, Any] = {
        "filters": [{"name": "envoy.filters.network.http_connection_manager", "typed_config": manager}]
    }
    if listening.certificate:
        chain["transport_socket"] = _tls(listening)
    first, *more = (
        {"address": {"socket_address": {"address": listening.address, "port_value": port}}} for port in listening.ports
    )
    return {
        "name": "turnout",
        **first,
        **({"additional_addresses": more} if more else {}),
        "enable_reuse_port": True,
        "per_connection_buffer_limit_bytes": 64 * 2**10,
        "filter_chains": [chain],
    }


def _calls() -> dict[str, Any]:
    """Counts calls of gRPC's by their status: all have HTTP's 200. It comes first, and so sees Envoy's own answers.

    Not by method, whose names clients make up.
    """
    counted = {"@type": f"{FILTERS}.grpc_stats.v3.FilterConfig", "stats_for_all_methods": False}
    return {"name": "envoy.filters.http.grpc_stats", "typed_config": counted}


def _permission(listening: Listening) -> list[dict[str, Any]]:
    """Envoy's RBAC, when tokens are asked for: health is for everybody, all else for who has one."""
    if not listening.tokens:
        return []
    bearers = [
        {"header": {"name": "authorization", "string_match": {"exact": f"Bearer {token}"}}}
        for token in listening.tokens
    ]
    health = {
        "permissions": [{"url_path": {"path": {"prefix": prefix}}} for prefix in HEALTH],
        "principals": [{"any": True}],
    }
    rules = {
        "action": "ALLOW",
        "policies": {"health": health, "tokens": {"permissions": [{"any": True}], "principals": bearers}},
    }
    return [{"name": "envoy.filters.http.rbac", "typed_config": {"@type": f"{FILTERS}.rbac.v3.RBAC", "rules": rules}}]


def _buffer(listening: Listening) -> dict[str, Any]:
    """A worker sees a request when it is there as a whole: slow clients keep none busy."""
    limit = {"@type": f"{FILTERS}.buffer.v3.Buffer", "max_request_bytes": listening.body_limit}
    return {"name": BUFFER, "typed_config": limit}


def _bridge() -> dict[str, Any]:
    """A call of gRPC's goes to a worker as HTTP/1.1; of the answer's status Envoy makes gRPC's trailers.

    The bodies stay as they are, and so does the content type, by which Envoy knows that its own answers to a call, and
    what it writes down of it, are gRPC's. A worker's error is an answer with no body that has gRPC's status among its
    headers, which passes unchanged.
    """
    same = {"@type": f"{FILTERS}.grpc_http1_reverse_bridge.v3.FilterConfig", "content_type": GRPC}
    return {"name": GRPC_BRIDGE, "typed_config": same}


def _router() -> dict[str, Any]:
    settings = {"@type": f"{FILTERS}.router.v3.Router", "suppress_envoy_headers": True}
    return {"name": "envoy.filters.http.router", "typed_config": settings}


def _access_log(log: Path) -> dict[str, Any]:
    """One line of JSON for each request but those for health."""
    fields = {
        "time": "%START_TIME(%s.%6f)%",
        "request_id": "%REQ(X-REQUEST-ID)%",
        "version": "%METADATA(CLUSTER:turnout:version)%",
        "split": "%METADATA(ROUTE:turnout:split)%",
        "user": f"%REQ({USER_HEADER.upper()})%",
        "method": "%REQ(:METHOD)%",
        "path": "%PATH(NQ)%",
        "code": "%RESPONSE_CODE%",
        "grpc": "%GRPC_STATUS_NUMBER%",
        "flags": "%RESPONSE_FLAGS%",
        "details": "%RESPONSE_CODE_DETAILS%",
        "duration_us": "%COMMON_DURATION(DS_RX_BEG:DS_TX_END:us)%",
        "upstream_us": "%COMMON_DURATION(US_TX_BEG:US_RX_BEG:us)%",
        "attempts": "%UPSTREAM_REQUEST_ATTEMPT_COUNT%",
        "received": "%BYTES_RECEIVED%",
        "sent": "%BYTES_SENT%",
        "fallback": f"%RESP({FALLBACK_HEADER.upper()})%",
    }
    no_health = [
        {"header_filter": {"header": {"name": ":path", "string_match": {"prefix": prefix}, "invert_match": True}}}
        for prefix in HEALTH
    ]
    return {
        "name": "envoy.access_loggers.file",
        "filter": {"and_filter": {"filters": no_health}},
        "typed_config": {
            "@type": f"{TYPE}envoy.extensions.access_loggers.file.v3.FileAccessLog",
            "path": str(log),
            "log_format": {"json_format": fields, "omit_empty_values": True},
        },
    }


def _own_replies(listening: Listening) -> dict[str, Any]:
    """Answers that Envoy gives itself: an error as a worker's, which says what to do; 429 when all are busy.

    To a call of gRPC's it is a text, with gRPC's status for HTTP's; RESOURCE_EXHAUSTED is not what Envoy takes for it.
    """
    busy = {"response_flag_filter": {"flags": ["UO"]}}
    again = _header("retry-after", "1")
    call = {"header_filter": {"header": {"name": "content-type", "string_match": {"prefix": GRPC}}}}
    text = {"body_format_override": {"text_format_source": {"inline_string": "%LOCAL_REPLY_BODY%"}}}
    exhausted = _header("grpc-status", "8")
    mappers: list[dict[str, Any]] = [
        {"filter": _both(call, busy), "status_code": 429, "headers_to_add": [again, exhausted], **text},
        {"filter": _both(call, _status(413)), "headers_to_add": [exhausted], **text},
    ]
    denied = {"status_code": 401, "headers_to_add": [_header("www-authenticate", "Bearer")]} if listening.tokens else {}
    if denied:
        mappers.append({"filter": _both(call, _status(403)), **denied, **text})
    mappers += [
        {"filter": call, **text},
        {"filter": busy, "status_code": 429, "headers_to_add": [again],
         **_said("the model has as much to do as it may have", "send it again after the seconds of Retry-After")},
    ]  # fmt: skip
    if denied:
        hint = "send one of the server's as the header 'Authorization: Bearer TOKEN'"
        mappers.append({"filter": _status(403), **denied, **_said("the request has no token, or a wrong one", hint)})
    mappers += [{"filter": _status(code), **_said(*said)} for code, said in _refusals(listening).items()]
    return {"mappers": mappers, "body_format": _as_json("%LOCAL_REPLY_BODY%", {})}


def _refusals(listening: Listening) -> dict[int, tuple[str, str]]:
    """What each status that Envoy answers itself means here, and what to do."""
    return {
        408: (f"the request did not come in time: headers in {HEADERS_S} s, all in {REQUEST_S}", "send it faster"),
        413: (f"the body has more than {listening.body_limit:,} bytes", "send fewer rows in a request"),
        431: (
            f"the headers have more than {HEADERS_KB} kB, or are more than {HEADERS}",
            "send fewer or shorter headers",
        ),
        503: ("no worker answers: %LOCAL_REPLY_BODY%", "send it again; who runs the server: turnout serve status"),
        504: ("no worker answered in time: %LOCAL_REPLY_BODY%", "send it again, with fewer rows"),
    }


def _said(what: str, hint: str) -> dict[str, Any]:
    """An answer in the form of a worker's errors."""
    return {"body_format_override": _as_json(what, {"faults": [{"what": what, "hint": hint}]})}


def _as_json(error: str, more: dict[str, Any]) -> dict[str, Any]:
    return {
        "json_format": {"error": error, **more, "request_id": "%REQ(X-REQUEST-ID)%"},
        "content_type": "application/json",
        "omit_empty_values": True,
    }


def _header(name: str, value: str) -> dict[str, Any]:
    return {"header": {"key": name, "value": value}}


def _status(code: int) -> dict[str, Any]:
    compared = {"op": "EQ", "value": {"default_value": code, "runtime_key": f"turnout.status_{code}"}}
    return {"status_code_filter": {"comparison": compared}}


def _both(*filters: dict[str, Any]) -> dict[str, Any]:
    return {"and_filter": {"filters": list(filters)}}


def _tls(listening: Listening) -> dict[str, Any]:
    watched = {"watched_directory": {"path": str(Path(listening.certificate).parent)}}
    common: dict[str, Any] = {
        "tls_certificates": [
            {
                "certificate_chain": {"filename": listening.certificate},
                "private_key": {"filename": listening.key},
                **watched,
            }
        ],
        "tls_params": {"tls_minimum_protocol_version": "TLSv1_2"},
        "alpn_protocols": ["h2", "http/1.1"],
    }
    if listening.client_authority:
        common["validation_context"] = {"trusted_ca": {"filename": listening.client_authority}}
    return {
        "name": "envoy.transport_sockets.tls",
        "typed_config": {
            "@type": f"{TYPE}envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext",
            "common_tls_context": common,
            "require_client_certificate": bool(listening.client_authority),
        },
    }


def _overload(listening: Listening) -> dict[str, Any]:
    """Envoy's memory has a bound: with much of it in use, new requests are refused, and then all."""
    resources = f"{TYPE}envoy.extensions.resource_monitors"
    return {
        "refresh_interval": "0.25s",
        "resource_monitors": [
            {
                "name": "envoy.resource_monitors.fixed_heap",
                "typed_config": {
                    "@type": f"{resources}.fixed_heap.v3.FixedHeapConfig",
                    "max_heap_size_bytes": listening.heap,
                },
            },
            {
                "name": "envoy.resource_monitors.global_downstream_max_connections",
                "typed_config": {
                    "@type": f"{resources}.downstream_connections.v3.DownstreamConnectionsConfig",
                    "max_active_downstream_connections": listening.connections,
                },
            },
        ],
        "actions": [
            {"name": name, "triggers": [{"name": "envoy.resource_monitors.fixed_heap", "threshold": {"value": value}}]}
            for name, value in (
                ("envoy.overload_actions.shrink_heap", 0.90),
                ("envoy.overload_actions.disable_http_keepalive", 0.92),
                ("envoy.overload_actions.stop_accepting_requests", 0.95),
            )
        ],
    }
