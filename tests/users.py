"""Users of a model: they send requests all the time, each with other values."""

from __future__ import annotations

import http.client
import json
import random
import threading
import time


class Users:
    """Four of them, at work between `with` and its end.

    Args:
        model: its name, where it is a part of the request.

    Attributes:
        statuses: of all answers.
        errors: what was said of some that failed.
    """

    def __init__(self, port: int, model: str = ""):
        self.port, self.model, self._stop = port, model, threading.Event()
        self.statuses: list[int] = []
        self.errors: list[str] = []
        self._threads = [threading.Thread(target=self._ask) for _ in range(4)]

    def __enter__(self) -> Users:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _ask(self) -> None:
        chance = random.Random(threading.get_ident())
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        while not self._stop.is_set():
            body = json.dumps({"size": chance.gauss(0, 1), "weight": chance.gauss(0, 1)})
            connection.request("POST", "/predict", body, {"content-type": "application/json"})
            answer = connection.getresponse()
            answer.read()
            self.statuses.append(answer.status)
            time.sleep(0.02)
        connection.close()
