"""A search for hyperparameters in MLflow: one parent run, and a nested run for each trial.

MLflow is the study's only record. A trial counts once its run is FINISHED, or FAILED with a reason: a step that is
killed and tried again, also on another machine, goes on after these, and counts none twice.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from turnout.errors import ComponentError
from turnout.trackers.mlflow import require_answer

_STUDY, _KEY, _FACTS, _TRIAL = "turnout.study", "turnout.study_key", "turnout.study_facts", "turnout.trial"
_PARENT = "mlflow.parentRunId"
_LONGEST = 6000
"""Characters of a parameter's value in MLflow."""

State = Literal["COMPLETE", "PRUNED", "FAIL"]


@dataclass(frozen=True)
class Trial:
    """A trial that has ended, by Optuna's states.

    Attributes:
        hyperparameters: of the space, as the estimator takes them.
        folds: the score of each fold; fewer than asked for when it was pruned.
        seconds: it took.
        error: why it failed.
    """

    number: int
    hyperparameters: Mapping[str, Any]
    state: State
    folds: tuple[float, ...] = ()
    seconds: float = 0.0
    error: str = ""

    @property
    def score(self) -> float:
        """The mean over the folds; nan when there are none."""
        return sum(self.folds) / len(self.folds) if self.folds else float("nan")


class Study:
    """The runs of a search in MLflow; an earlier one is gone on with.

    Args:
        experiment: MLflow experiment; made when it does not exist.
        name: of the study; earlier trials of this name in the experiment belong to it. When empty, those of the same
            facts in the same run of a pipeline.
        facts: what the scores depend on: trials of other facts cannot be compared.
        tags: of the parent run.
        run: id of the pipeline's run; empty when there is none.

    Raises:
        ComponentError: the study of this name is of other facts, with those that differ.
    """

    def __init__(self, experiment: str, name: str, facts: Mapping[str, Any], tags: Mapping[str, str], run: str):
        import mlflow

        require_answer()
        self.client = mlflow.MlflowClient()
        above = os.environ.get("MLFLOW_RUN_ID", "")  # set by KFP's MLflow plugin, together with the experiment
        self.experiment = (
            self.client.get_run(above).info.experiment_id if above else mlflow.set_experiment(experiment).experiment_id
        )
        digests = {key: _digest(value) for key, value in facts.items()}
        key = _digest([name] if name else [run, digests]) if name or run else ""
        known: list[Any] = self._find(f"tags.`{_KEY}` = '{key}'") if key else []
        if known:
            self.run_id = known[0].info.run_id
            earlier = json.loads(known[0].data.tags[_FACTS])
            if differ := sorted(key for key in digests if earlier.get(key) != digests[key]):
                raise ComponentError(f"the study '{name}' is of another search: {', '.join(differ)} differ",
                                     where=f"MLflow run {self.run_id}", hint="name another study")  # fmt: skip
            self.client.update_run(self.run_id, status="RUNNING")
        else:
            given = {**tags, _STUDY: name, _KEY: key, _FACTS: json.dumps(digests), _PARENT: above}
            kept = {key: value for key, value in given.items() if value}
            made = self.client.create_run(self.experiment, tags=kept, run_name=f"tune {facts['estimator']}")
            self.run_id = made.info.run_id
            self._log(self.run_id, params=facts)
        self.earlier = self._trials()

    def _find(self, wanted: str) -> list[Any]:
        """All runs that a filter selects, the oldest first."""
        found: list[Any] = []
        token = None
        while True:
            page = self.client.search_runs(
                [self.experiment], wanted, max_results=1000, order_by=["attributes.start_time ASC"], page_token=token
            )
            found += page
            token = page.token
            if not token:
                return found

    def _trials(self) -> list[Trial]:
        """The trials that have ended, by number; a run that was left in the middle of its trial is marked as killed."""
        found: dict[int, Trial] = {}
        for run in self._find(f"tags.`{_PARENT}` = '{self.run_id}'"):
            if run.info.status in ("FINISHED", "FAILED") and _TRIAL in run.data.tags:
                told = json.loads(run.data.tags[_TRIAL])
                trial = Trial(**{**told, "folds": tuple(told["folds"])})
                found.setdefault(trial.number, trial)
            elif run.info.status == "RUNNING":
                self.client.set_terminated(run.info.run_id, "KILLED")
        return [found[number] for number in sorted(found)]

    def begin(self, number: int, hyperparameters: Mapping[str, Any]) -> str:
        """A trial begins: the id of its run."""
        run = self.client.create_run(self.experiment, tags={_PARENT: self.run_id}, run_name=f"trial {number}")
        self._log(run.info.run_id, params=hyperparameters)
        return str(run.info.run_id)

    def end(self, run_id: str, trial: Trial, metric: str) -> None:
        """A trial has ended. What it says is written before its state, so that half of it never counts."""
        folds = [(f"fold_{metric}", score, number) for number, score in enumerate(trial.folds, 1)]
        means = [(metric, trial.score, 0)] if trial.state == "COMPLETE" else []  # others are not to be compared
        tags = {_TRIAL: json.dumps(dataclasses.asdict(trial)), "turnout.trial_state": trial.state}
        self._log(run_id, metrics=[*folds, *means, ("seconds", trial.seconds, 0)], tags=tags)
        self.client.set_terminated(run_id, "FAILED" if trial.state == "FAIL" else "FINISHED")

    def close(self, metrics: Mapping[str, float], best: Mapping[str, Any], report: str) -> None:
        """The search has ended, with the best hyperparameters and a page."""
        self._log(self.run_id, [(name, value, 0) for name, value in metrics.items()],
                  tags={"turnout.best": json.dumps(dict(best))})  # fmt: skip
        self.client.log_text(self.run_id, report, "tuning/report.html")
        self.client.set_terminated(self.run_id, "FINISHED")

    def fail(self) -> None:
        """The search ends without a result."""
        self.client.set_terminated(self.run_id, "FAILED")

    def _log(
        self,
        run_id: str,
        metrics: Iterable[tuple[str, float, int]] = (),
        params: Mapping[str, Any] = {},
        tags: Mapping[str, str] = {},
    ) -> None:
        from mlflow.entities import Metric, Param, RunTag

        now = int(time.time() * 1000)
        self.client.log_batch(
            run_id,
            metrics=[Metric(name, value, now, step) for name, value, step in metrics],
            params=[Param(name, str(value)[:_LONGEST]) for name, value in params.items()],
            tags=[RunTag(name, value) for name, value in tags.items()],
        )


def _digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:16]
