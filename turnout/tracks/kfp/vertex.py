"""Submit a pipeline to Vertex AI Pipelines, which runs KFP's YAML, by its REST API (`pipelineJobs`)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

from turnout.errors import Fault, TrackError
from turnout.plan.model import Plan
from turnout.plan.results import RunResult, Watch
from turnout.spec.document import to_dict
from turnout.tracks.kfp.tasks import state_of, steps_of
from turnout.tracks.registry import Server
from turnout.tracks.rest import Rest, time_of
from turnout.tracks.watched import watched

_PLACE = re.compile(r"/projects/(?P<project>[^/]+)/locations/(?P<location>[^/]+)/?$")
_SCOPE = "https://www.googleapis.com/auth/cloud-platform"
_LOG_IN = "gcloud auth application-default login, or give a token: TURNOUT_TOKEN"
_STATES = {"CANCELLING": "CANCELING", "CANCEL_PENDING": "CANCELING", "CANCELLED": "CANCELED", "QUEUED": "PENDING"}
"""Vertex's words for KFP's."""


def is_vertex(host: str) -> bool:
    """Whether a URL is that of a place of Vertex AI: `https://REGION-aiplatform.../v1/projects/P/locations/REGION`."""
    return _PLACE.search(host) is not None


def submit_to_vertex(plan: Plan, parameters: Mapping[str, Any], server: Server, run_id: str, watch: Watch) -> RunResult:
    """Run a pipeline on Vertex AI.

    Args:
        parameters: those that are not the pipeline's defaults.
        run_id: a part of the job's id. A job of that id is watched, and not started again.

    Raises:
        TrackError: it does not answer, refuses, or there is no bucket for artifacts.
    """
    place = _PLACE.search(server.host)
    assert place is not None
    root = server.pipeline_root or plan.document.pipeline.default_pipeline_root
    if not root.startswith("gs://"):
        hint = "--pipeline-root gs://BUCKET/DIRECTORY"
        raise TrackError([Fault("Vertex AI keeps artifacts in Cloud Storage, and no place there is named", hint=hint)])
    rest = Rest(_session(server.token), server.host, "Vertex AI", _LOG_IN, server.poll_s)
    job = job_id(plan.name, run_id)
    rest.make(
        f"/pipelineJobs?pipelineJobId={job}",
        {
            "displayName": f"{plan.name} {run_id}"[:128],
            "pipelineSpec": to_dict(plan.document.pipeline),
            "runtimeConfig": {"gcsOutputDirectory": root, "parameterValues": dict(parameters)},
        },
    )
    project, location = place["project"], place["location"]
    url = f"https://console.cloud.google.com/vertex-ai/locations/{location}/pipelines/runs/{job}?project={project}"

    def look() -> RunResult:
        found = rest.get(f"/pipelineJobs/{job}") or {}
        details = [_detail(task) for task in found.get("jobDetail", {}).get("taskDetails", ())]
        told = found.get("error", {}).get("message")
        state = state_of(_word(found.get("state", "").removeprefix("PIPELINE_STATE_")))
        return RunResult(plan.name, run_id, state, steps_of(plan, details), errors=[told] if told else [], path=url)

    return watched(look, watch, server.poll_s) if server.wait else look()


def job_id(pipeline: str, run_id: str) -> str:
    """The id of a job: lower case letters, digits and hyphens, a letter first, 128 of them at most."""
    name = re.sub("[^a-z0-9]+", "-", f"{pipeline}-{run_id}".lower()).strip("-")
    return (name if name[0].isalpha() else f"run-{name}")[-128:].lstrip("-0123456789")


def _session(token: str) -> Any:
    """A session that knows a token, or whoever is logged in on this machine.

    Raises:
        TrackError: nobody is logged in, or no longer.
    """
    import google.auth.exceptions
    import google.auth.transport.requests
    import requests

    if token:
        session = requests.Session()
        session.headers["Authorization"] = f"Bearer {token}"
        return session
    try:
        known: Any = google.auth.default(scopes=[_SCOPE])[0]
        known.refresh(google.auth.transport.requests.Request())
    except google.auth.exceptions.GoogleAuthError as error:
        raise TrackError([Fault(f"nobody is logged in to Google Cloud: {error}", hint=_LOG_IN)]) from error
    authorised: Any = google.auth.transport.requests.AuthorizedSession
    return authorised(known)


def _detail(task: Mapping[str, Any]) -> Any:
    """A task in the words of KFP's API."""
    return SimpleNamespace(
        task_id=task["taskId"],
        parent_task_id=task.get("parentTaskId"),
        display_name=task.get("taskName", ""),
        state=_word(task.get("state", "")),
        start_time=time_of(task.get("startTime")),
        end_time=time_of(task.get("endTime")),
        error=SimpleNamespace(message=task.get("error", {}).get("message", "")),
    )


def _word(state: str) -> str:
    return _STATES.get(state, state)
