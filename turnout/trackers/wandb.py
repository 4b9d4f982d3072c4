"""Runs mirrored in Weights & Biases; offline, into files for `wandb sync`, where there is no account."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from turnout.trackers.mirror import Mirrored

_PATIENCE_S = 20


class Wandb:
    """A tracker as `turnout.trackers.mirror` uses it.

    The project is `$WANDB_PROJECT`, or the experiment. Weights & Biases' own variables hold: WANDB_MODE, WANDB_API_KEY,
    WANDB_BASE_URL, WANDB_ENTITY, WANDB_DIR.
    """

    run: Any

    def start(self, run: Mirrored) -> None:
        import wandb

        self.run = wandb.init(
            id=run.run_id,
            name=run.name,
            project=os.environ.get("WANDB_PROJECT") or run.experiment,
            resume="allow",
            mode=_mode(),
            settings=wandb.Settings(init_timeout=_PATIENCE_S, login_timeout=_PATIENCE_S, silent=True, console="off"),
        )

    def log_parameters(self, parameters: Mapping[str, str]) -> None:
        self.run.config.update(dict(parameters), allow_val_change=True)

    def log_metrics(self, metrics: Mapping[str, float]) -> None:
        self.run.log(dict(metrics))

    def log_artifact(self, path: Path) -> None:
        kept = Path(self.run.dir, path.parent.name, path.name)  # wandb would only link to it
        kept.parent.mkdir(exist_ok=True)
        shutil.copyfile(path, kept)
        self.run.save(str(kept), base_path=self.run.dir, policy="now")

    def log_links(self, links: Mapping[str, str]) -> None:
        self.run.config.update({f"link.{name}": value for name, value in links.items()}, allow_val_change=True)

    def finish(self) -> str:
        where = self.run.url or f"{self.run.dir} (offline; upload it with `wandb sync {Path(self.run.dir).parent}`)"
        self.run.finish()
        return str(where)


def _mode() -> Literal["online", "offline", "disabled", "shared"] | None:
    """What WANDB_MODE says (None leaves it to wandb); else offline, unless there is a key to log in with."""
    import wandb

    if os.environ.get("WANDB_MODE"):
        return None
    return "online" if wandb.setup().settings.api_key or _in_netrc() else "offline"


def _in_netrc() -> bool:
    """Whether `wandb login` has left a key for this host."""
    import netrc
    from urllib.parse import urlparse

    host = urlparse(os.environ.get("WANDB_BASE_URL", "https://api.wandb.ai")).hostname or ""
    try:
        return netrc.netrc().authenticators(host) is not None
    except (OSError, netrc.NetrcParseError):
        return False
