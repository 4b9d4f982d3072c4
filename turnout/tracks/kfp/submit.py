"""Submit a pipeline to a KFP server, with KFP's own client: a version, then a run or a recurring run.

Names make it safe to do again: what the server has already is used and not doubled, also when an answer was lost.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import io
import json
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from turnout.errors import Fault, TrackError
from turnout.plan.model import Plan
from turnout.plan.results import RunResult, Watch
from turnout.spec.document import write
from turnout.spec.step_contract import State
from turnout.tracks.kfp.schedule import recurring_run
from turnout.tracks.kfp.tasks import state_of, steps_of
from turnout.tracks.registry import Server
from turnout.tracks.watched import watched

T = TypeVar("T")

_TRIES = 5
_PAGE = 100


def submit(plan: Plan, parameters: Mapping[str, Any], server: Server, run_id: str, watch: Watch) -> RunResult:
    """Run a pipeline on a KFP server.

    Args:
        parameters: those that are not the pipeline's defaults.
        run_id: the run's name there. A run of that name is waited for, and not started again.

    Raises:
        TrackError: the server does not answer, or refuses.
    """
    kfp = _Server(server)
    version = kfp.version(plan)
    experiment = kfp.experiment(server.experiment or "Default")
    run = kfp.run(experiment, version, run_id, parameters, server.pipeline_root)
    watch_url = f"{server.host.rstrip('/')}/#/runs/details/{run.run_id}"
    if not server.wait:
        return RunResult(plan.name, run_id, State.PENDING, [], path=watch_url)
    return watched(lambda: _look(kfp, plan, run.run_id, run_id, watch_url), watch, server.poll_s)


def schedule(plan: Plan, parameters: Mapping[str, Any], server: Server) -> str:
    """Have a pipeline run when its schedule says so; a recurring run of its name is replaced. Returns what was done.

    Raises:
        TrackError: the schedule cannot be said to KFP, the server does not answer, or refuses.
    """
    when = recurring_run(plan.airflow, plan.name)
    kfp = _Server(server)
    version = kfp.version(plan)
    return kfp.recurring_run(kfp.experiment(server.experiment or "Default"), version, plan, when, parameters)


class _Server:
    """KFP's client, with names in the place of ids, and patience with a server that fails now and then."""

    def __init__(self, server: Server):
        from kfp import client

        class Client(client.Client):  # type: ignore[misc]
            def get_kfp_healthz(self, *_: Any) -> Any:
                """Asked once: the caller is patient, and KFP's own patience hides why a server refuses."""
                return self._healthz_api.healthz_service_get_healthz()

        self.host, self.pause_s = server.host, server.poll_s
        known = {"existing_token": server.token or None, "namespace": server.namespace or "kubeflow"}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            self.client = self.asked(lambda: Client(host=server.host, **known))

    def asked(self, question: Callable[[], T]) -> T:
        """The answer to a question that may be asked again."""
        from kfp_server_api import ApiException
        from urllib3.exceptions import HTTPError

        for left in reversed(range(_TRIES)):
            try:
                with contextlib.redirect_stdout(io.StringIO()):  # it prints links, for notebooks
                    return question()
            except ApiException as error:
                if error.status < 500 or not left:
                    raise self._refused(error) from error
            except (HTTPError, OSError) as error:
                if not left:
                    hint = "is --host the address of the KFP server?"
                    what = f"the KFP server does not answer: {error}"
                    raise TrackError([Fault(what, self.host, hint=hint)]) from error
            time.sleep(self.pause_s)
        raise AssertionError("unreachable")

    def _refused(self, error: Any) -> TrackError:
        message = error.reason
        with contextlib.suppress(ValueError, TypeError, AttributeError):
            message = json.loads(error.body).get("message") or message
        hint = "give a token: TURNOUT_TOKEN" if error.status in (401, 403) else ""
        return TrackError([Fault(f"the KFP server refuses: {error.status} {message}", self.host, hint=hint)])

    def once(self, look: Callable[[], T | None], make: Callable[[], T]) -> T:
        """What is there, or is made now. When the answer is lost, it is looked for before it is made again."""
        return self.asked(lambda: found if (found := look()) is not None else make())

    def version(self, plan: Plan) -> Any:
        """The version of the pipeline with this YAML."""
        from kfp_server_api import V2beta1Pipeline

        text = write(plan.document)
        name = f"{plan.name} {hashlib.sha256(text.encode()).hexdigest()[:12]}"
        apis = self.client._pipelines_api

        def pipeline() -> str | None:
            found: str | None = self.client.get_pipeline_id(plan.name)
            return found

        def new_pipeline() -> str:
            body = V2beta1Pipeline(display_name=plan.name, description=plan.description or None)
            made: str = apis.pipeline_service_create_pipeline(pipeline=body).pipeline_id
            return made

        pipeline_id = self.once(pipeline, new_pipeline)
        with tempfile.TemporaryDirectory() as directory:
            file = Path(directory) / f"{plan.stem}.yaml"
            file.write_text(text, encoding="utf-8")
            return self.once(
                lambda: self._named(
                    lambda page: self.client.list_pipeline_versions(pipeline_id, page, _PAGE), "pipeline_versions", name
                ),
                lambda: self.client.upload_pipeline_version(str(file), name, pipeline_id=pipeline_id),
            )

    def experiment(self, name: str) -> str:
        experiment: str = self.asked(lambda: self.client.create_experiment(name)).experiment_id
        return experiment

    def run(self, experiment: str, version: Any, name: str, parameters: Mapping[str, Any], root: str) -> Any:
        return self.once(
            lambda: self._named(
                lambda page: self.client.list_runs(page, _PAGE, experiment_id=experiment, filter=_equals(name)),
                "runs",
                name,
            ),
            lambda: self.client.run_pipeline(
                experiment, name, params=dict(parameters), pipeline_id=version.pipeline_id,
                version_id=version.pipeline_version_id, pipeline_root=root or None,
            ),
        )  # fmt: skip

    def recurring_run(
        self, experiment: str, version: Any, plan: Plan, when: Mapping[str, Any], parameters: Mapping[str, Any]
    ) -> str:
        """Replace the recurring run. The old one is stopped before the new one starts, and removed after that."""
        name = f"{plan.name} {version.pipeline_version_id[:8]} {_digest([when, parameters])}"

        def there() -> list[Any]:
            pages = _pages(lambda page: self.client.list_recurring_runs(page, _PAGE, experiment_id=experiment))
            mine = (item for found in pages for item in found.recurring_runs or ())
            return [item for item in mine if item.description == _MARK + plan.name]

        old = self.asked(there)
        if [item.display_name for item in old] == [name]:
            return f"{plan.name} has this schedule already"
        self._each(self.client.disable_recurring_run, old)
        try:
            self.once(
                lambda: next((item for item in there() if item.display_name == name), None),
                lambda: self.client.create_recurring_run(
                    experiment, name, description=_MARK + plan.name, params=dict(parameters),
                    pipeline_id=version.pipeline_id, version_id=version.pipeline_version_id, **when,
                ),
            )  # fmt: skip
        except TrackError:
            self._each(self.client.enable_recurring_run, old)
            raise
        self._each(self.client.delete_recurring_run, [item for item in old if item.display_name != name])
        return f"{plan.name} runs by its schedule" + (", changed" if old else "")

    def _each(self, action: Callable[[str], Any], recurring_runs: Sequence[Any]) -> None:
        for item in recurring_runs:
            self.asked(functools.partial(action, item.recurring_run_id))

    def _named(self, page: Callable[[str], Any], field: str, name: str) -> Any:
        items = (item for found in _pages(page) for item in getattr(found, field) or ())
        return next((item for item in items if item.display_name == name), None)


_MARK = "Turnout's schedule of "


def _pages(page: Callable[[str], Any]) -> Iterator[Any]:
    token = ""
    while True:
        found = page(token)
        yield found
        if not (token := found.next_page_token or ""):
            return


def _equals(name: str) -> str:
    return json.dumps({"predicates": [{"operation": "EQUALS", "key": "display_name", "stringValue": name}]})


def _digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True, default=str).encode()).hexdigest()[:8]


def _look(kfp: _Server, plan: Plan, server_id: str, run_id: str, url: str) -> RunResult:
    run = kfp.asked(lambda: kfp.client.get_run(server_id))
    errors = [run.error.message] if run.error and run.error.message else []
    details = (run.run_details.task_details or ()) if run.run_details else ()
    return RunResult(plan.name, run_id, state_of(run.state), steps_of(plan, details), errors=errors, path=url)
