"""Networks of Keras 3, on TensorFlow or JAX. Their saved form is Keras's own, which each of its backends reads."""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from turnout.models.frameworks.network import Network, NetworkClassifier, NetworkRegressor, Rows, wrong


class Keras(Network):
    """A `keras.Model`; the function that makes it need not compile it."""

    def _import(self) -> None:
        _choose(self.needs[-1])
        super()._import()
        import keras

        if (running := keras.backend.backend()) != self.needs[-1]:
            hint = "train it in a step, or a process, of its own"
            what = f"Keras runs on {running} in this process, and cannot change to {self.needs[-1]}"
            raise wrong(what, type(self).__name__, hint)

    def _accelerators(self) -> list[str]:
        import keras

        return [name for name in keras.distribution.list_devices() if not name.startswith("cpu")]

    def _train(self, learned: Rows, held_out: Rows | None, outputs: int) -> Any:
        import keras

        noted = keras.callbacks.LambdaCallback(
            on_epoch_end=lambda epoch, logs: self._learned(float(logs["loss"]), logs.get("val_loss"))
        )
        early = keras.callbacks.EarlyStopping("val_loss", patience=self.patience, restore_best_weights=True)
        before = keras.config.dtype_policy()
        keras.config.set_dtype_policy(self.precision)
        try:
            with _on(self.device_):
                keras.utils.set_random_seed(self.random_state)
                made = self._made(learned[0], outputs, lambda network, rows: _numbers(network(rows)))
                of_classes = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
                loss = of_classes if outputs > 1 else keras.losses.MeanSquaredError()
                made.compile(optimizer=keras.optimizers.Adam(self.learning_rate), loss=loss)
                made.fit(
                    *learned, batch_size=self.batch_size, epochs=self.epochs, validation_data=held_out, verbose=0,
                    callbacks=[noted, early] if held_out else [noted],
                )  # fmt: skip
        finally:
            keras.config.set_dtype_policy(before)
        made.compile(optimizer=None)  # whose state is as large as the weights, twice
        return made

    def _call(self, rows: np.ndarray) -> np.ndarray:
        with _on(self._place(needed=False)):
            return _numbers(self.network_.predict_on_batch(rows))

    def _save(self, network: Any) -> bytes:
        with tempfile.TemporaryDirectory() as directory:
            path = Path(directory) / "network.keras"
            network.save(path)
            return path.read_bytes()

    def _restore(self, saved: bytes) -> Any:
        _choose(os.environ.get("KERAS_BACKEND") or self.needs[-1])
        import keras

        with contextlib.suppress(ImportError):  # it may register classes of layers
            importlib.import_module(self.network.rpartition(".")[0])
        with tempfile.TemporaryDirectory() as directory, _on(self._place(needed=False)):
            path = Path(directory) / "network.keras"
            path.write_bytes(saved)
            return keras.models.load_model(path, compile=False)

    def _log_network(self) -> None:
        import mlflow

        mlflow.keras.log_model(self.network_, name="network", pip_requirements=list(self.needs))


def _choose(backend: str) -> None:
    """Have Keras run on a backend, unless it runs already, or the backend is not installed."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    if "keras" not in sys.modules and importlib.util.find_spec(backend):
        os.environ["KERAS_BACKEND"] = backend


def _on(device: str) -> Any:
    import keras

    return keras.device(device if ":" in device else f"{device}:0")


def _numbers(tensor: Any) -> np.ndarray:
    import keras

    return np.asarray(keras.ops.convert_to_numpy(keras.ops.cast(tensor, "float32")))


class TensorFlowClassifier(NetworkClassifier, Keras):
    """A classifier of Keras on TensorFlow."""

    needs = ("keras", "tensorflow")


class TensorFlowRegressor(NetworkRegressor, Keras):
    """A regressor of Keras on TensorFlow."""

    needs = ("keras", "tensorflow")


class JaxClassifier(NetworkClassifier, Keras):
    """A classifier of Keras on Jax."""

    needs = ("keras", "jax")


class JaxRegressor(NetworkRegressor, Keras):
    """A regressor of Keras on Jax."""

    needs = ("keras", "jax")
