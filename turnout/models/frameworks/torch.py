"""Networks of PyTorch. What is saved is their state, without pickle: the function makes the network anew."""

from __future__ import annotations

import copy
import io
from typing import Any

import numpy as np

from turnout.models.frameworks.network import Network, NetworkClassifier, NetworkRegressor, Rows


class Torch(Network):
    """A `torch.nn.Module`."""

    needs = ("torch",)

    def _accelerators(self) -> list[str]:
        import torch

        found = [f"gpu:{index}" for index in range(torch.cuda.device_count())]
        return found + (["mps:0"] if torch.backends.mps.is_available() else [])

    def _train(self, learned: Rows, held_out: Rows | None, outputs: int) -> Any:
        import torch

        device, low = _device(self.device_), self.precision != "float32"
        kind = torch.float16 if self.precision == "mixed_float16" else torch.bfloat16
        measure = torch.nn.functional.cross_entropy if outputs > 1 else lambda found, y: ((found[:, 0] - y) ** 2).mean()
        torch.manual_seed(self.random_state)
        made = self._made(learned[0], outputs, lambda network, rows: network(torch.from_numpy(rows)).detach().numpy())
        self.shape_ = (learned[0].shape[1], outputs)
        made = made.to(device)
        adam = torch.optim.Adam(made.parameters(), self.learning_rate)
        scaler = torch.amp.GradScaler(device.type, enabled=low and kind == torch.float16 and device.type == "cuda")
        rows, answers = (torch.from_numpy(array).to(device) for array in learned)
        best, lowest, since = None, np.inf, 0
        for _ in range(self.epochs):
            made.train()
            total = 0.0
            for chosen in torch.randperm(len(rows)).to(device).tensor_split(-(-len(rows) // self.batch_size)):
                adam.zero_grad()
                with torch.autocast(device.type, kind, enabled=low):
                    loss = measure(made(rows[chosen]).float(), answers[chosen])
                scaler.scale(loss).backward()
                scaler.step(adam)
                scaler.update()
                total += float(loss.detach()) * len(chosen)
            if held_out is None:
                self._learned(total / len(rows), None)
                continue
            made.eval()
            with torch.no_grad():
                judged = float(measure(_in_parts(made, held_out[0], device), torch.from_numpy(held_out[1]).to(device)))
            self._learned(total / len(rows), judged)
            since += 1
            if judged < lowest:
                best, lowest, since = copy.deepcopy(made.state_dict()), judged, 0
            if since >= self.patience:
                break
        if best is not None:
            made.load_state_dict(best)
        return made

    def _call(self, rows: np.ndarray) -> np.ndarray:
        import torch

        device = _device(self._place(needed=False))
        with torch.no_grad():
            return np.asarray(self.network_.to(device)(torch.from_numpy(rows).to(device)).float().cpu().numpy())

    def _save(self, network: Any) -> bytes:
        import torch

        kept = io.BytesIO()
        torch.save({name: value.cpu() for name, value in network.state_dict().items()}, kept)
        return kept.getvalue()

    def _restore(self, saved: bytes) -> Any:
        import torch

        made = self._factory()(*self.shape_, **self.arguments)
        made.load_state_dict(torch.load(io.BytesIO(saved), map_location="cpu", weights_only=True))
        return made.eval()

    def _log_network(self) -> None:
        import mlflow

        example = np.zeros((2, self.shape_[0]), dtype=np.float32)
        requirements = list(self.needs)
        mlflow.pytorch.log_model(self.network_.cpu(), name="network", input_example=example, serialization_format="pt2",
                                 pip_requirements=requirements)  # fmt: skip


def _device(name: str) -> Any:
    import torch

    return torch.device(name.replace("gpu", "cuda"))


def _in_parts(network: Any, rows: np.ndarray, device: Any) -> Any:
    import torch

    return torch.cat([network(part.to(device)).float() for part in torch.from_numpy(rows).split(4096)])


class TorchClassifier(NetworkClassifier, Torch):
    """A classifier of PyTorch."""


class TorchRegressor(NetworkRegressor, Torch):
    """A regressor of PyTorch."""
