"""A search for hyperparameters by Optuna, judged by cross-validation, with MLflow as its record.

What a trial tries follows from the seed, its number and the trials before it, and from nothing else: a search that
was killed and goes on tries what it would have tried.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Literal

import numpy as np
import optuna
import pandas as pd

from turnout.errors import ComponentError
from turnout.models.estimators import make_estimator, make_model
from turnout.models.folds import Fold
from turnout.models.scoring import predictions, score
from turnout.models.search_space import Space
from turnout.models.target import Task
from turnout.trackers.study import State, Study, Trial

Pruner = Literal["none", "median"]
Objective = Callable[[Mapping[str, Any]], Iterator[float]]
"""The scores of hyperparameters, fold by fold."""

_HOPELESS = 5
"""So many trials that fail, and none that does not, end the search."""

optuna.logging.set_verbosity(optuna.logging.WARNING)


def search(
    space: Space,
    objective: Objective,
    study: Study,
    *,
    metric: str,
    folds: int,
    trials: int,
    seconds: float = 0.0,
    seed: int = 0,
    start: Mapping[str, Any] = {},
    pruner: Pruner = "none",
) -> list[Trial]:
    """Try hyperparameters until there are enough trials, the time is over, or there is nothing left to try.

    Args:
        folds: how many scores a trial has.
        trials: how many, with those that the study had before.
        seconds: after which no other trial begins, those of earlier attempts counted; 0 for no limit.
        start: values, of hyperparameters in the space, that the first trial tries.
        pruner: `median` ends a trial that is worse, so far, than half of the others were.

    Returns:
        All trials of the study by number.

    Raises:
        ComponentError: no trial succeeded.
    """
    known = list(study.earlier)
    failures = 0
    most = min(trials, space.size)
    while len(known) < most and not (seconds and known and sum(item.seconds for item in known) >= seconds):
        number = known[-1].number + 1 if known else 0
        asked = _ask(space, known, seed, number, start, pruner)
        values = space.values(asked.params)
        run = study.begin(number, values)
        trial = _try(objective, asked, number, values, folds)
        study.end(run, trial, metric)
        known.append(trial)
        failures += trial.state == "FAIL"
        place = f"{len(known)} of {most}{_best(known)}"
        print(f"trial {number} ({place}): {_said(trial, metric)} {dict(values)}", flush=True)
        if failures >= _HOPELESS and all(item.state == "FAIL" for item in known):
            break
    if not any(item.state == "COMPLETE" for item in known):
        hint = "look at the fixed hyperparameters and the space: the estimator takes none of what was tried"
        raise ComponentError(f"none of {len(known)} trials succeeded: {known[0].error}", where="space", hint=hint)
    return known


def best_of(trials: Sequence[Trial]) -> Trial:
    """The trial with the highest score; of equal ones the first."""
    return max((item for item in trials if item.state == "COMPLETE"), key=lambda item: (item.score, -item.number))


def cross_validation(
    inputs: pd.DataFrame,
    labels: pd.Series,
    folds: Sequence[Fold],
    *,
    estimator: str,
    hyperparameters: Mapping[str, Any],
    seed: int,
    task: Task,
    metric: str,
    derive: Sequence[str] = (),
    timezone: str = "UTC",
) -> Objective:
    """What judges hyperparameters: the score of each fold of a model that is made as `train` makes it.

    Args:
        hyperparameters: those that are not searched.
        derive, timezone: as `make_model` takes them.
    """

    def objective(tried: Mapping[str, Any]) -> Iterator[float]:
        for fold in folds:
            learned = inputs.iloc[fold.train]
            made = make_estimator(estimator, {**hyperparameters, **tried}, seed, task)
            model = make_model(learned, made, derive, timezone)
            model.fit(learned, labels.iloc[fold.train])
            yield score(metric, labels.iloc[fold.test], predictions(model, inputs.iloc[fold.test], task))

    return objective


def study_of(space: Space, trials: Sequence[Trial], sampler: Any = None, pruner: Pruner = "none") -> optuna.Study:
    """Trials as a study of Optuna, in memory."""
    kind: Any = optuna.pruners.MedianPruner() if pruner == "median" else optuna.pruners.NopPruner()
    study = optuna.create_study(direction="maximize", sampler=sampler, pruner=kind)
    for item in trials:
        means = {step: float(np.mean(item.folds[: step + 1])) for step in range(len(item.folds))}
        value = None if item.state == "FAIL" else item.score
        study.add_trial(
            optuna.trial.create_trial(
                state=optuna.trial.TrialState[item.state],
                params=space.encoded(item.hyperparameters),
                distributions=dict(space.distributions),
                value=value,
                intermediate_values=means,
            )
        )
    return study


def _ask(
    space: Space, known: Sequence[Trial], seed: int, number: int, start: Mapping[str, Any], pruner: Pruner
) -> optuna.Trial:
    """The next trial: where to start, or what the sampler suggests; nothing twice while there is something else."""
    drawn = int(np.random.SeedSequence([seed, number]).generate_state(1)[0])
    seen = [space.encoded(item.hyperparameters) for item in known]
    study = study_of(space, known, optuna.samplers.TPESampler(seed=drawn), pruner)
    if number == 0 and start:
        study.enqueue_trial(space.encoded(start))
    asked = study.ask(dict(space.distributions))
    if asked.params not in seen:
        return asked
    if unseen := [point for point in space.grid() if point not in seen]:
        study = study_of(space, known, pruner=pruner)
        study.enqueue_trial(unseen[drawn % len(unseen)])
        return study.ask(dict(space.distributions))
    return asked


def _try(objective: Objective, asked: optuna.Trial, number: int, values: Mapping[str, Any], folds: int) -> Trial:
    """One trial. What an estimator says against its hyperparameters fails the trial, not the search."""
    started = time.monotonic()
    scores: list[float] = []
    state: State = "COMPLETE"
    why = ""
    try:
        for step, found in enumerate(objective(values)):
            if not np.isfinite(found):
                raise ValueError(f"the score of fold {step + 1} is {found}")
            scores.append(found)
            asked.report(float(np.mean(scores)), step)
            if len(scores) < folds and asked.should_prune():
                state = "PRUNED"
                break
    except Exception as error:  # an estimator's own
        state, scores, why = "FAIL", [], f"{type(error).__name__}: {error}"[:500]
    return Trial(number, dict(values), state, tuple(scores), round(time.monotonic() - started, 3), why)


def _best(trials: Sequence[Trial]) -> str:
    """The best score so far; nothing while there is none."""
    scores = [item.score for item in trials if item.state == "COMPLETE"]
    return f", the best so far {max(scores):.6g}" if scores else ""


def _said(trial: Trial, metric: str) -> str:
    return trial.error if trial.state == "FAIL" else f"{metric} {trial.score:.6g} {trial.state.lower()}"
