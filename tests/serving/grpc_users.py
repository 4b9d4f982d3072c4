"""Users of a model who ask by gRPC, and by nothing else."""

from __future__ import annotations

import random
import threading
import time

import tritonclient.grpc as triton
from open_inference import tensor
from tritonclient.utils import InferenceServerException
from users import Users


class GrpcUsers(Users):
    """As `Users`; the statuses are those that HTTP has for gRPC's: 200 for OK, 500 for all else."""

    def _ask(self) -> None:
        chance = random.Random(threading.get_ident())
        with triton.InferenceServerClient(f"127.0.0.1:{self.port}") as client:
            while not self._stop.is_set():
                row = [tensor(name, "FP64", [chance.gauss(0, 1)]) for name in ("size", "weight")]
                try:
                    client.infer(self.model, row, client_timeout=30)
                    self.statuses.append(200)
                except InferenceServerException as error:
                    self.errors.append(str(error))
                    self.statuses.append(500)
                time.sleep(0.02)
