"""What the networks of all frameworks share: parameters and their checks, rows held out, classes, scales, files.

These classes are kept inside the models (`turnout.models.files`), so that a model is loaded where Turnout is not
installed: what predicts uses numpy and scikit-learn only, beside the framework.
"""

from __future__ import annotations

import importlib
import inspect
from abc import abstractmethod
from collections.abc import Callable, Iterable
from typing import Any, ClassVar, Self

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
from sklearn.model_selection import train_test_split
from sklearn.utils.validation import check_is_fitted, validate_data

Rows = tuple[np.ndarray, np.ndarray]
"""Inputs, float32 of shape (rows, inputs), and what is to be learned of each: a class's index, or a scaled number."""

PRECISIONS = ("float32", "mixed_float16", "mixed_bfloat16")

_AT_ONCE = 4096
"""Rows that are predicted at once."""


class Network(BaseEstimator):  # type: ignore[misc]
    """A network of a framework, as an estimator with scikit-learn's API.

    The network learns with Adam. A part of the rows is held out: when its loss has not become lower for some epochs,
    the training ends, and the best weights so far are kept. The same seed gives the same network on a CPU.

    Args:
        network: dotted path of a function of the number of inputs and of outputs that makes the network. It gives one
            number for each class, of any size: no softmax at its end; or one number for a regression.
        epochs: how often it learns from all rows, at most.
        batch_size: rows that it learns from at once.
        learning_rate: of Adam.
        patience: epochs without a lower loss after which it ends; 0 to learn for all epochs from all rows.
        held_out: share of the rows by which that is seen.
        device: `auto` for an accelerator if there is one, and else the CPU; or `cpu`, `gpu`, `tpu`, `gpu:1`.
        precision: `mixed_float16` or `mixed_bfloat16` are faster on accelerators that have such units.
        random_state: the seed of weights, order and held-out rows.
        arguments: further ones are the function's.

    Attributes:
        network_: the framework's own object.
        history_: by epoch the loss, and `held_out_loss`.
        device_: what it was fitted on.
    """

    needs: ClassVar[tuple[str, ...]]
    """The modules without which it cannot be loaded; the last is the framework, and the name of Turnout's extra."""

    def __init__(
        self,
        network: str = "",
        epochs: int = 100,
        batch_size: int = 64,
        learning_rate: float = 0.001,
        patience: int = 5,
        held_out: float = 0.1,
        device: str = "auto",
        precision: str = "float32",
        random_state: int = 0,
        **arguments: Any,
    ):
        self.network = network
        self.epochs = epochs
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.patience = patience
        self.held_out = held_out
        self.device = device
        self.precision = precision
        self.random_state = random_state
        self.arguments = arguments

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """The constructor's arguments, those of the network's function among them."""
        return {**super().get_params(deep), **self.arguments}

    def set_params(self, **parameters: Any) -> Self:
        own = self._get_param_names()
        self.arguments = self.arguments | {key: value for key, value in parameters.items() if key not in own}
        super().set_params(**{key: value for key, value in parameters.items() if key in own})
        return self

    def check(self) -> None:
        """Raise ComponentError for what can be known to fail before any row is read."""
        where = type(self).__name__
        for name, right in {
            "epochs": self.epochs >= 1, "batch_size": self.batch_size >= 1, "learning_rate": self.learning_rate > 0,
            "patience": self.patience >= 0, "held_out": 0 < self.held_out < 1,
            "precision": self.precision in PRECISIONS,
        }.items():  # fmt: skip
            if not right:
                available = PRECISIONS if name == "precision" else ()
                raise wrong(f"{name} cannot be {getattr(self, name)!r}", where=where, available=available)
        self._import()
        factory = self._factory()
        try:
            inspect.signature(factory).bind(1, 1, **self.arguments)
        except TypeError as error:
            known = [*self._get_param_names(), *list(inspect.signature(factory).parameters)[2:]]
            hint = "it is called with the number of inputs, the number of outputs, and hyperparameters by name"
            raise wrong(f"{self.network}: {error}", where=where, available=known, hint=hint) from error
        self._place()

    def fit(self, X: Any, y: Any) -> Self:
        """Learn from rows.

        Args:
            X: numbers, shape (rows, inputs).
            y: classes or numbers, shape (rows,).

        Raises:
            ComponentError: a parameter cannot be, the network does not fit them, or its loss is not finite.
        """
        self.check()
        rows = validate_data(self, X, dtype=np.float32, order="C")
        answers, outputs = self._answers(np.asarray(y))
        learned, judged = self._parts(answers)
        self.history_: list[dict[str, float]] = []
        self.device_ = self._place()
        fell_back = self.device == "auto" and self.device_ == "cpu"
        print(f"{self.needs[-1]} on {self.device_}{': it finds no accelerator' if fell_back else ''}")
        if self.precision != "float32" and self.device_ == "cpu":
            print(f"precision {self.precision} is meant for accelerators; on a CPU it is seldom faster")
        held_out = (rows[judged], answers[judged]) if len(judged) else None
        network = self._train((rows[learned], answers[learned]), held_out, outputs)
        try:  # what predicts here is what predicts elsewhere: the network as it is when it was saved and loaded
            self.network_ = self._restore(self._save(network))
        except Exception as error:  # a layer may raise anything
            hint = "make it of layers that the framework saves without pickle: registered classes, no lambdas"
            raise wrong(f"the network cannot be saved and loaded: {error}", self.network, hint) from error
        return self

    def _parts(self, answers: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Positions of the rows to learn from, and of those held out."""
        every = np.arange(len(answers))
        if not self.patience:
            return every, every[:0]
        strata = None
        if np.issubdtype(answers.dtype, np.integer):  # all classes are held out in their shares, where rows suffice
            counts = np.bincount(answers)
            enough = int(len(answers) * min(self.held_out, 1 - self.held_out)) >= len(counts)
            strata = answers if counts.min() > 1 and enough else None
        options = {"test_size": self.held_out, "random_state": self.random_state, "stratify": strata}
        learned, judged = train_test_split(every, **options)
        return np.sort(learned), np.sort(judged)

    def _made(self, rows: np.ndarray, outputs: int, call: Callable[[Any, np.ndarray], np.ndarray]) -> Any:
        """A new network, tried on some rows.

        Raises:
            ComponentError: it fails on them, or gives something else than it should.
        """
        sample = rows[:32]
        try:
            made = self._factory()(rows.shape[1], outputs, **self.arguments)
            found = np.asarray(call(made, sample), dtype=float)
        except Exception as error:  # the user's code may raise anything
            what = f"the network cannot be made: {type(error).__name__}: {error}"
            hint = f"it gets {rows.shape[1]} inputs and {outputs} outputs"
            raise wrong(what, self.network, hint) from error
        if found.shape != (len(sample), outputs):
            what = f"the network gives an array of shape {found.shape} for {len(sample)} rows"
            hint = f"its last layer needs {outputs} outputs, as the function's second argument says"
            raise wrong(what, self.network, hint)
        if outputs > 1 and (found >= 0).all() and np.allclose(found.sum(axis=1), 1, atol=0.01):
            raise wrong("the network gives probabilities", self.network, "leave out the softmax at its end")
        return made

    def _learned(self, loss: float, held_out_loss: float | None) -> None:
        """Note the end of an epoch, and tell it.

        Raises:
            ComponentError: the loss is not finite.
        """
        losses = {"loss": loss} | ({} if held_out_loss is None else {"held_out_loss": held_out_loss})
        self.history_.append(losses)
        said = ", ".join(f"{name} {value:.5g}" for name, value in losses.items())
        print(f"epoch {len(self.history_)}: {said}", flush=True)
        if not np.isfinite(list(losses.values())).all():
            hint = "lower learning_rate, or set precision=float32"
            raise wrong(f"the loss is {loss} after {len(self.history_)} epochs", where=self.network, hint=hint)

    def _factory(self) -> Any:
        """The function that makes the network."""
        module, _, name = self.network.rpartition(".")
        try:
            return getattr(importlib.import_module(module), name)
        except (ImportError, AttributeError, ValueError) as error:
            hint = "name a function in hyperparameters, such as network=my_package.networks.small"
            what = f"no function that makes a network: {error}"
            raise wrong(what, where=self.network or "network", hint=hint) from error

    def _import(self) -> None:
        """Load the framework. Raises ComponentError where it is not installed."""
        try:
            for module in self.needs:
                importlib.import_module(module)
        except ImportError as error:
            hint = f"pip install 'turnout[{self.needs[-1]}]'"
            raise wrong(f"{self.needs[-1]} is not installed: {error}", type(self).__name__, hint) from error

    def _place(self, needed: bool = True) -> str:
        """The device to compute on: `cpu`, or an accelerator by the framework's number such as `gpu:0`.

        Args:
            needed: whether it is an error that the one that was asked for is not there; else it is the CPU then.
        """
        if self.device == "cpu":
            return "cpu"
        found = self._accelerators()
        for name in found:
            if self.device in ("auto", name, name.partition(":")[0]):
                return name
        if self.device != "auto" and needed:
            hint = "device=auto takes an accelerator if there is one, and else the CPU"
            what = f"{self.needs[-1]} finds no device '{self.device}'"
            raise wrong(what, where=type(self).__name__, available=["auto", "cpu", *found], hint=hint)
        return "cpu"

    def _outputs(self, X: Any) -> np.ndarray:
        """What the network gives for rows; shape (rows, outputs), float64."""
        check_is_fitted(self, "network_")
        rows = validate_data(self, X, dtype=np.float32, order="C", reset=False)
        parts = [self._call(rows[start : start + _AT_ONCE]) for start in range(0, len(rows), _AT_ONCE)]
        return np.concatenate(parts).astype(np.float64)

    def __getstate__(self) -> dict[str, Any]:
        """For pickle: the network is in its framework's own format."""
        state = dict(super().__getstate__())
        if "network_" in state:
            state["network_"] = self._save(self.network_)
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        if "network_" in state:
            self.network_ = self._restore(state["network_"])

    def keep_in_mlflow(self, run_id: str) -> None:
        """Log what a run has beside the model: the loss of each epoch, and the network in its framework's flavour."""
        import mlflow
        from mlflow.entities import Metric

        now = mlflow.get_run(run_id).info.start_time
        metrics = [
            Metric(name, value, now, step)
            for step, losses in enumerate(self.history_, 1)
            for name, value in losses.items()
        ]
        for start in range(0, len(metrics), 1000):
            mlflow.MlflowClient().log_batch(run_id, metrics[start : start + 1000])
        try:
            self._log_network()
        except Exception as error:  # PyTorch's export of a graph has limits; the model is whole without it
            print(f"warning: the network is not logged in MLflow's flavour of {self.needs[-1]}: {error}")

    # What each framework has of its own.

    @abstractmethod
    def _accelerators(self) -> list[str]:
        """Such as `gpu:0`."""

    @abstractmethod
    def _train(self, learned: Rows, held_out: Rows | None, outputs: int) -> Any:
        """A network that has learned; `_learned` is told of each epoch."""

    @abstractmethod
    def _call(self, rows: np.ndarray) -> np.ndarray:
        """What the fitted network gives for at most 4,096 rows."""

    @abstractmethod
    def _save(self, network: Any) -> bytes: ...

    @abstractmethod
    def _restore(self, saved: bytes) -> Any: ...

    @abstractmethod
    def _log_network(self) -> None:
        """Log the network to MLflow's active run, as `network`."""

    @abstractmethod
    def _answers(self, y: np.ndarray) -> tuple[np.ndarray, int]:
        """What is to be learned of each row, and how many outputs a network needs for it."""


def wrong(what: str, where: str, hint: str = "", available: Iterable[str] = ()) -> Exception:
    """A ComponentError; what predicts is loaded without Turnout, so this is not imported before."""
    from turnout.errors import ComponentError

    return ComponentError(what, where=where, hint=hint, available=available)


class NetworkClassifier(ClassifierMixin, Network):  # type: ignore[misc]
    """A network that gives a number for each class."""

    def _answers(self, y: np.ndarray) -> tuple[np.ndarray, int]:
        self.classes_, indices = np.unique(y, return_inverse=True)
        return indices.astype(np.int64), len(self.classes_)

    def predict_proba(self, X: Any) -> np.ndarray:
        """Of each class, in the order of `classes_`; shape (rows, classes)."""
        found = self._outputs(X)
        chances = np.exp(found - found.max(axis=1, keepdims=True))
        return np.asarray(chances / chances.sum(axis=1, keepdims=True))

    def predict(self, X: Any) -> np.ndarray:
        return np.asarray(self.classes_[self.predict_proba(X).argmax(axis=1)])


class NetworkRegressor(RegressorMixin, Network):  # type: ignore[misc]
    """A network that gives a number, which is learned on a scale of mean 0 and standard deviation 1."""

    def _answers(self, y: np.ndarray) -> tuple[np.ndarray, int]:
        self.mean_, self.scale_ = float(np.mean(y)), float(np.std(y)) or 1.0
        return ((y - self.mean_) / self.scale_).astype(np.float32), 1

    def predict(self, X: Any) -> np.ndarray:
        return self._outputs(X)[:, 0] * self.scale_ + self.mean_
