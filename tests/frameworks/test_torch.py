"""PyTorch, behind the same components as any estimator."""

from __future__ import annotations

from typing import Any

import numpy as np
from framework import Framework, skip_unless_alone

skip_unless_alone("torch")


class TestTorch(Framework):
    name, flavour = "Torch", "torch"

    def call(self, network: Any, rows: np.ndarray) -> np.ndarray:
        import torch

        return np.asarray(network(torch.from_numpy(rows.astype(np.float32))).detach().numpy())
