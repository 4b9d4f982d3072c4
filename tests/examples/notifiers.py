"""A notifier that writes to a file."""

import os
from pathlib import Path

from airflow.sdk import BaseNotifier


class Write(BaseNotifier):
    """Write which run it was, to a file under the directory `NOTIFIED`."""

    template_fields = ("path",)

    def __init__(self, path, **kwargs):
        super().__init__(**kwargs)
        self.path = path

    def notify(self, context):
        Path(os.environ["NOTIFIED"], self.path).write_text(context["run_id"])
