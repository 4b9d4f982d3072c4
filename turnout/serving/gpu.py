"""GPUs of NVIDIA and what worker processes take of their memory, where there are some, and `nvidia-ml-py`."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from typing import Any

from turnout.monitoring.prometheus import Gauges


class Gpus:
    """The GPUs of this machine; without one, or without the means to ask, there are none and nothing is said."""

    def __init__(self) -> None:
        self._library: Any = None
        with contextlib.suppress(ImportError):
            import pynvml

            with contextlib.suppress(pynvml.NVMLError):  # no driver
                pynvml.nvmlInit()
                self._library = pynvml

    def add_to(self, gauges: Gauges, workers: Mapping[int, str]) -> None:
        """Add what is known of each GPU.

        Args:
            workers: names of worker processes, by their ids.
        """
        if self._library is None:
            return
        with contextlib.suppress(self._library.NVMLError):  # the GPU is lost, or the driver is being replaced
            for index in range(self._library.nvmlDeviceGetCount()):
                self._add(gauges, str(index), self._library.nvmlDeviceGetHandleByIndex(index), workers)

    def _add(self, gauges: Gauges, gpu: str, device: Any, workers: Mapping[int, str]) -> None:
        library = self._library
        memory = library.nvmlDeviceGetMemoryInfo(device)
        gauges.add("gpu_memory_bytes", "Memory of a GPU.", memory.total, gpu=gpu)
        gauges.add("gpu_memory_used_bytes", "Memory of a GPU that is in use, also by others.", memory.used, gpu=gpu)
        for process in library.nvmlDeviceGetComputeRunningProcesses(device):
            if process.pid in workers and process.usedGpuMemory is not None:  # in a container it may not be told
                gauges.add("gpu_process_memory_bytes", "Memory of a GPU that a worker has.", process.usedGpuMemory,
                           gpu=gpu, worker=workers[process.pid])  # fmt: skip
        with contextlib.suppress(library.NVMLError):  # a slice of a GPU (MIG) does not know it
            busy = library.nvmlDeviceGetUtilizationRates(device).gpu / 100
            gauges.add(
                "gpu_busy_ratio", "Part of the last second in which a GPU worked, also for others.", busy, gpu=gpu
            )
