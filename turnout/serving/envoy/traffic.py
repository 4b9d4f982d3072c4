"""Who answers: the groups of workers, and each version's part of the traffic. Both change without a restart."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from turnout.serving.envoy.api import (
    BUFFER,
    FILTERS,
    GRPC_BRIDGE,
    GRPC_METHODS,
    GRPC_SERVICE,
    HEALTH,
    LIVE_PATH,
    READY_PATH,
    TYPE,
    USER_HEADER,
    seconds,
)
from turnout.serving.envoy.listener import Listening
from turnout.serving.release import Release

_WHOLE = 1_000_000
_UNHEALTHY_AFTER, _PROBE_S = 3, 1.0
_RETRIES_AT_ONCE = 100
"""As many may always be tried again: all that a killed worker had at work. Above, a quarter of what is at work."""


@dataclass(frozen=True)
class Group:
    """The workers of a version.

    Attributes:
        name: of its own: a version with another fallback has other workers.
        sockets: the path of each worker's socket.
        requests: at work and waiting at the same time, for all workers together; more are refused with 429.
    """

    name: str
    version: str
    sockets: tuple[str, ...]
    requests: int = 1024


def routes(release: Release, listening: Listening, ready: Mapping[str, str]) -> dict[str, Any]:
    """The routes: each version's part of the traffic, and copies for shadows.

    Args:
        ready: the versions that have workers which answer, and the names of their groups. The part of any other goes to
            the one in service.
    """
    parts = [(served.version, served.percent) for served in release.routed if served.version in ready]
    missing = 100.0 - sum(percent for _, percent in parts)
    stable = release.stable.version
    parts = [(version, percent + (missing if version == stable else 0.0)) for version, percent in parts]
    if stable not in ready:
        raise ValueError(f"version {stable} is in service, and not ready")
    # Versions that are tried come first: when their part grows, users that have one already keep it.
    parts = [part for part in [*parts[1:], parts[0]] if part[1] > 0]
    edges = [round(sum(percent for _, percent in parts[:end]) / 100 * _WHOLE) for end in range(len(parts) + 1)]
    weighted: dict[str, Any] = {
        "clusters": [
            {"name": ready[version], "weight": high - low}
            for (version, _), (low, high) in zip(parts, itertools.pairwise(edges), strict=True)
        ],
    }
    action: dict[str, Any] = {
        "weighted_clusters": weighted,
        "timeout": seconds(2 * listening.try_s + 1),
        "retry_policy": _retries(listening),
    }
    hidden = ["authorization"] if listening.tokens else []
    told_of_user: dict[str, Any] = {}
    if release.sticky:
        action["hash_policy"] = [{"header": {"header_name": release.sticky}, "terminal": True}]
        weighted["use_hash_policy"] = True
        user = {"header": {"key": USER_HEADER, "value": f"%REQ({release.sticky})%"}}
        told_of_user = {"request_headers_to_add": [{**user, "append_action": "OVERWRITE_IF_EXISTS_OR_ADD"}]}
    else:
        hidden.append(USER_HEADER)  # a client's own is nobody's
    if copies := [served for served in release.shadows if served.version in ready]:
        action["request_mirror_policies"] = [_copies(ready[served.version], served.percent) for served in copies]
    told = {"turnout": {"split": " ".join(f"{version}={percent:g}" for version, percent in parts)}}
    whole = {"match": {"prefix": "/"}, "route": action, "metadata": {"filter_metadata": told}, **told_of_user}
    health = [{"match": {"prefix": prefix}, "route": {**action, "request_mirror_policies": []}} for prefix in HEALTH]
    alive = {"match": {"path": LIVE_PATH}, "direct_response": {"status": 200, "body": {"inline_string": "{}"}}}
    calls = [{**whole, "match": {"path": f"{GRPC_SERVICE}{method}"}} for method in GRPC_METHODS]
    host = {
        "name": "all",
        "domains": ["*"],
        "routes": [alive, *health, *calls, _no_call(), whole],
        "include_request_attempt_count": True,
        "request_headers_to_remove": hidden,
        "request_body_buffer_limit": listening.body_limit,
    }
    return _configuration(host)


def no_routes() -> dict[str, Any]:
    """The routes while no version is loaded."""
    nothing = {"status": 503, "body": {"inline_string": "no version is loaded yet"}}
    alive = {"match": {"path": LIVE_PATH}, "direct_response": {"status": 200, "body": {"inline_string": "{}"}}}
    none = {"match": {"prefix": "/"}, "direct_response": nothing}
    return _configuration({"name": "all", "domains": ["*"], "routes": [alive, none]})


def _no_call() -> dict[str, Any]:
    """Any other call of gRPC's: refused at once, for it may be a stream that sends nothing more and does not end."""
    return {
        "match": {"prefix": "/", "grpc": {}},
        "direct_response": {
            "status": 404,
            "body": {"inline_string": f"only {GRPC_SERVICE} is offered, with the methods {', '.join(GRPC_METHODS)}"},
        },
        "typed_per_filter_config": {
            BUFFER: {"@type": f"{FILTERS}.buffer.v3.BufferPerRoute", "disabled": True},
            GRPC_BRIDGE: {"@type": f"{FILTERS}.grpc_http1_reverse_bridge.v3.FilterConfigPerRoute", "disabled": True},
        },
    }


def groups(found: Sequence[Group], listening: Listening) -> list[dict[str, Any]]:
    """Envoy's clusters: one for each version."""
    return [_cluster(group, listening) for group in found]


def _configuration(host: dict[str, Any]) -> dict[str, Any]:
    kind = f"{TYPE}envoy.config.route.v3.RouteConfiguration"
    return {"@type": kind, "name": "turnout", "virtual_hosts": [host]}


def _cluster(group: Group, listening: Listening) -> dict[str, Any]:
    probe = {
        "timeout": seconds(_PROBE_S),
        "interval": seconds(_PROBE_S),
        "no_traffic_interval": seconds(_PROBE_S),
        "unhealthy_interval": seconds(_PROBE_S / 4),  # a worker that is back is used at once
        "unhealthy_threshold": _UNHEALTHY_AFTER,
        "healthy_threshold": 1,
        "http_health_check": {"path": READY_PATH},
    }
    protocol = {
        "@type": f"{TYPE}envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
        "explicit_http_config": {"http_protocol_options": {}},
        "common_http_protocol_options": {"idle_timeout": "30s"},
    }
    balancing = {
        "@type": f"{TYPE}envoy.extensions.load_balancing_policies.least_request.v3.LeastRequest",
        # Of two by chance, and not of all: a worker that has just died has the fewest requests at work, so that a
        # request that is sent again would go to it again.
        "selection_method": "N_CHOICES",
    }
    return {
        "@type": f"{TYPE}envoy.config.cluster.v3.Cluster",
        "name": group.name,
        "type": "STATIC",
        "connect_timeout": "1s",
        "metadata": {"filter_metadata": {"turnout": {"version": group.version}}},
        "load_assignment": {
            "cluster_name": group.name,
            "endpoints": [{"lb_endpoints": [_endpoint(path) for path in group.sockets]}],
        },
        "load_balancing_policy": {
            "policies": [
                {
                    "typed_extension_config": {
                        "name": "envoy.load_balancing_policies.least_request",
                        "typed_config": balancing,
                    }
                }
            ]
        },
        "health_checks": [probe],
        # Threads hear at once of a worker that comes back or goes, and not a second later: there are few.
        "common_lb_config": {"healthy_panic_threshold": {"value": 1.0}, "update_merge_window": "0s"},
        "outlier_detection": {
            "split_external_local_origin_errors": True,
            "consecutive_local_origin_failure": 3,
            "consecutive_gateway_failure": 5,
            "enforcing_consecutive_gateway_failure": 100,
            "consecutive_5xx": 0,  # a model that raises is no fault of one worker
            "enforcing_consecutive_5xx": 0,
            "enforcing_success_rate": 0,
            "enforcing_local_origin_success_rate": 0,
            "interval": "1s",
            "base_ejection_time": "2s",
            "max_ejection_time": "30s",
            "max_ejection_percent": 50,
        },
        "circuit_breakers": {
            "thresholds": [
                {
                    "max_connections": group.requests,
                    "max_pending_requests": group.requests,
                    "max_requests": group.requests,
                    "retry_budget": {
                        "budget_percent": {"value": 25.0},
                        "min_retry_concurrency": _RETRIES_AT_ONCE,
                    },
                    "track_remaining": True,
                }
            ]
        },
        "typed_extension_protocol_options": {"envoy.extensions.upstreams.http.v3.HttpProtocolOptions": protocol},
    }


def _endpoint(path: str) -> dict[str, Any]:
    return {"endpoint": {"address": {"pipe": {"path": path}}}}


def _retries(listening: Listening) -> dict[str, Any]:
    """A prediction changes nothing, so it is asked for again when no part of an answer has come."""
    return {
        "retry_on": "connect-failure,refused-stream,reset,retriable-status-codes",
        "retriable_status_codes": [503],  # a worker that is not ready, or has no room
        "num_retries": 2,
        "per_try_timeout": seconds(listening.try_s),
        "retry_back_off": {"base_interval": "0.010s", "max_interval": "0.250s"},
        "retry_host_predicate": [
            {
                "name": "envoy.retry_host_predicates.previous_hosts",
                "typed_config": {
                    "@type": f"{TYPE}envoy.extensions.retry.host.previous_hosts.v3.PreviousHostsPredicate"
                },
            }
        ],
        "host_selection_retry_max_attempts": 100,  # of two workers one in four is the other
    }


def _copies(name: str, percent: float) -> dict[str, Any]:
    return {
        "cluster": name,
        "runtime_fraction": {"default_value": {"numerator": round(percent / 100 * _WHOLE), "denominator": "MILLION"}},
    }
