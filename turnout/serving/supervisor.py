"""Makes true what the state of a serving directory says, and keeps it so.

It brings versions to this machine, starts workers for each, gives them traffic when they answer, and lets the old ones
end what they have at work. What dies is started again. A version that cannot be loaded leaves the one before in
service. All processes end with this one, also when it is killed; the next one starts from the same state.
"""

from __future__ import annotations

import concurrent.futures
import contextlib
import dataclasses
import json
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from turnout.errors import ComponentError, ServerError
from turnout.models.registry import alias_uri, find
from turnout.runtimes.leftovers import end_leftovers, mark
from turnout.serving import access_log, metrics_page, supervisor_metrics
from turnout.serving.alias import Alias
from turnout.serving.directory import Directory
from turnout.serving.envoy import traffic
from turnout.serving.envoy.api import GROUPS, ROUTES
from turnout.serving.envoy.processes import Envoys
from turnout.serving.files import Files
from turnout.serving.gpu import Gpus
from turnout.serving.machine import Command, Serving, check_free, group_name, worker_command
from turnout.serving.release import Release, fallback_of, needed_by, only
from turnout.serving.retention import FILES_STAY, Retention
from turnout.serving.state import State, write_whole
from turnout.serving.workers import Workers

_TICK_S = 0.1
_TELL_S = 2.0
_HEALTHY_S = 10.0
_SETTLED_S = 0.5


class Supervisor:
    """Serves what a directory's state says, until a signal comes.

    Args:
        say: prints a line.
        ready: called once, when the version in service answers.
        command: of a worker.
    """

    def __init__(
        self,
        serving: Serving,
        say: Callable[[str], None],
        ready: Callable[[], None] = lambda: None,
        command: Command = worker_command,
    ):
        self.serving, self._say, self._ready, self._command = serving, say, ready, command
        self.directory = Directory(serving.directory.absolute())
        self.state = State(self.directory.path)
        self._stopping = threading.Event()
        self._groups: dict[str, Workers] = {}
        self._applied: Release | None = None
        self._routed: dict[str, str] = {}
        self._idle_since: dict[str, float] = {}
        self._release: Release | None = None
        self._problems: dict[str, str] = {}
        self._alias: Alias | None = None
        self._seen, self._begun = "", 0
        self._told_at = 0.0
        self._told: dict[str, Any] = {}

    def run(self) -> None:
        """Serve until SIGTERM, SIGINT or SIGHUP; then end all, requests at work first. Raises ServerError."""
        self.state.require()
        self.directory.make()
        check_free(self.serving.listening)
        with self.directory.alone() as lock, self._until_signal(), self._pools(), self._metrics():
            end_leftovers(lock)
            self._variables = {**os.environ, **mark(lock)}
            self._files = Files(self.directory.models, self._registry)
            self._retention = Retention(self.directory, self.serving.log_days, self._registry, self.serving.standby_s)
            for left in self.directory.sockets.iterdir():
                left.unlink()
            threads = max(1, len(os.sched_getaffinity(0)) // self.serving.envoys)
            self._envoys = Envoys(
                self.serving.listening, self.directory.envoy, self.directory.access_log, self.directory.sockets,
                self.serving.envoys, threads, self._variables,
            )  # fmt: skip
            try:
                self._envoys.write(GROUPS, [])
                self._envoys.write(ROUTES, [traffic.no_routes()])
                self._tick()  # workers load while Envoy starts
                self._envoys.start()
                self._serve()
            finally:
                self._end()

    def stop(self) -> None:
        self._stopping.set()

    def _serve(self) -> None:
        told = False
        while not self._stopping.wait(_TICK_S):
            self._tick()
            self._give_traffic()
            self._tell()
            if self._applied and not told:
                told = True
                self._ready()
            if not self._applied and self._release and (why := self._hopeless(self._release)):
                hint = f"correct it, or serve another version; the logs are in {self.directory.logs}"
                where = f"models:/{self._release.model}/{self._release.stable.version}"
                raise ServerError(f"the version cannot be served: {why}", where=where, hint=hint)

    def _tick(self) -> None:
        """Look after all processes, and begin what the state asks for."""
        self._follow_alias()
        release = self._read()
        if release is not None:
            self._release = release
            for served in release.versions:
                self._want(release, served.version)
        for group in self._groups.values():
            for line in group.tick():
                self._say(line)
        for line in self._envoys.restart_dead():
            self._say(line)
        access_log.rotate(self.directory.access, self._envoys.reopen_log, new_day=self._retention.new_day())
        self._retention.look()
        self._remove_files()
        self._problem("retention", self._retention.problem)
        wanted = {served.version for served in self._release.versions} if self._release else set()
        missing = [text for version, text in self._files.problems.items() if version in wanted]
        self._problem("files", "; ".join(missing))
        self._problem("alias", self._alias.problem if self._alias else "")

    def _remove_files(self) -> None:
        """Remove the files of versions that nobody needs any more."""
        needed, self._retention.versions = self._retention.versions, None
        if needed is None or self._release is None:
            return
        # The state may have changed since the look: what it asks for now was perhaps brought a moment ago.
        kept = needed | needed_by(self._release) | {group.version for group in self._groups.values()}
        for version in self._files.keep_only(kept, time.time() - FILES_STAY.total_seconds()):
            self._say(f"the files of version {version} are removed: it is not served any more")

    def _read(self) -> Release | None:
        try:
            release = self.state.require()
        except ComponentError as error:  # what is served is served on
            self._problem("state", str(error))
            return None
        self._problem("state", "")
        return release

    def _want(self, release: Release, version: str) -> None:
        """Have a version's workers, once its files are here."""
        name = group_name(version, release.fallback)
        if name in self._groups:
            return
        fallback, constant = fallback_of(release)
        fallback = fallback if fallback != version else ""
        places = [self._files.of(release.model, needed) for needed in (version, fallback) if needed]
        if any(place is None for place in places):
            return
        settings = {
            **dict(self.serving.worker),
            "model": release.model,
            "version": version,
            "directory": str(places[0]),
            "fallback_version": fallback,
            "fallback_directory": str(places[1]) if fallback else "",
            "fallback_constant": constant,
            "queue_limit": self.serving.queue,
            "body_limit": self.serving.listening.body_limit,
            "drain_s": self.serving.listening.drain_s,
            "log_directory": str(self.directory.requests),
        }

        def command(index: int, path: Path) -> list[str]:
            file = self.directory.logs / f"worker-{name}-{index}.json"
            return self._command({**settings, "socket": str(path)}, file)

        self._say(f"version {version} is loaded, number of workers: {self.serving.workers}")
        self._begun += 1
        self._groups[name] = Workers(
            name, version, self.serving.workers, self.directory.sockets, self.directory.logs, command,
            self._variables, self._probes, self._begun,
        )  # fmt: skip

    def _hopeless(self, release: Release) -> str:
        """Why the version in service will not come; empty while it may."""
        group = self._groups.get(group_name(release.stable.version, release.fallback))
        if group is not None:
            return group.problem if group.failed else ""
        return self._files.problems.get(release.stable.version, "")

    def _give_traffic(self) -> None:
        """Give traffic to what the state says, as far as it is loaded; end what has none any more."""
        release = self._release
        if release is None:
            return
        stable = self._groups.get(group_name(release.stable.version, release.fallback))
        if stable is not None and stable.loaded and (stable.ready or stable.name in self._routed.values()):
            self._applied = release
        applied = self._applied
        if applied is None:
            return
        names = {served.version: group_name(served.version, applied.fallback) for served in applied.versions}
        loaded = {
            version: name
            for version, name in names.items()
            if (group := self._groups.get(name)) and group.loaded and group.ready
        }
        try:
            if applied.stable.version in loaded:
                self._route(applied, loaded)
            self._retire(release, applied)
            self._problem("envoy", "")
        except ServerError as error:
            self._problem("envoy", str(error))

    def _route(self, applied: Release, loaded: dict[str, str]) -> None:
        """Send requests to these groups. New ones are made known first, and have been asked whether they answer."""
        routes = [traffic.routes(applied, self.serving.listening, loaded)]
        self._make_known()
        end = time.monotonic() + _HEALTHY_S
        while any(not self._envoys.healthy(name) for name in loaded.values() if name not in self._routed.values()):
            if time.monotonic() > end:
                raise ServerError("Envoy does not reach new workers", where=str(self.directory.envoy))
            time.sleep(0.02)
        self._envoys.apply(ROUTES, routes)
        self._routed = loaded

    def _make_known(self) -> None:
        """Have Envoy know all groups that are loaded, also those that still end what they have at work."""
        groups = [
            traffic.Group(name, group.version, group.sockets, self.serving.queue * self.serving.workers)
            for name, group in self._groups.items()
            if group.loaded
        ]
        self._envoys.apply(GROUPS, traffic.groups(groups, self.serving.listening))

    def _retire(self, release: Release, applied: Release) -> None:
        """End the groups that nobody wants, when they have nothing at work any more."""
        wanted = {group_name(item.version, each.fallback) for each in (release, applied) for item in each.versions}
        idle = [name for name in self._groups if name not in wanted and name not in self._routed.values()]
        now = time.monotonic()
        self._idle_since = {name: self._idle_since.get(name, now) for name in idle}
        newest = max(self._idle_since.values(), default=0.0)
        for name, since in self._idle_since.items():
            group, waited = self._groups[name], now - since
            if group.loaded and since == newest and waited < self.serving.standby_s:
                continue
            # Threads of Envoy hear of new routes a little later than Envoy says that it has them.
            late = waited > self.serving.standby_s + self.serving.listening.drain_s
            if group.loaded and not late and (waited < _SETTLED_S or self._envoys.at_work(name)):
                continue
            del self._groups[name]
            self._make_known()
            self._say(f"version {group.version} has no requests any more, and is ended")
            self._registry.submit(group.end, self.serving.listening.drain_s)

    def _follow_alias(self) -> None:
        """Serve another version when the alias that is followed has moved."""
        release = self._release
        if release is None or not release.alias:
            return
        if self._alias is None or self._alias.alias != release.alias:
            self._alias = Alias(release.model, release.alias, self._registry)
        version = self._alias.version()
        if not version:
            return
        before, self._seen = self._seen or release.alias_version, version
        if version in (before, release.alias_version):
            return
        asked = release

        def make(found: Release | None) -> Release:
            # Whoever changes the state moves the alias under the same lock: an answer from before it is no news.
            found = found or asked
            now = find(alias_uri(found.model, found.alias))
            return found if now is None or now.version == found.alias_version else _moved(found, now.version)

        reason = f"the alias {release.alias} moved from version {before} to {version}"
        with contextlib.suppress(ComponentError):  # told by the next look at the state
            self.state.change(make, reason, f"alias {release.alias}", "alias")

    def _problem(self, about: str, text: str) -> None:
        """Note a problem, or that it is over; a new one is said."""
        if text and self._problems.get(about) != text:
            self._say(text)
        if text:
            self._problems[about] = text
        else:
            self._problems.pop(about, None)

    def _tell(self) -> None:
        """Write the status, when it has changed, and from time to time."""
        release, applied = self._release, self._applied
        problems = [*self._problems.values(), *(group.problem for group in self._groups.values() if group.problem)]
        in_force = bool(release and applied and release.generation == applied.generation)
        complete = in_force and release is not None and all(
            (group := self._groups.get(group_name(served.version, release.fallback))) and group.complete
            for served in release.versions
        )  # fmt: skip
        told = {
            "pid": os.getpid(),
            "address": self.serving.listening.address,
            "port": self.serving.listening.port,
            "secure": bool(self.serving.listening.certificate),
            "generation": release.generation if release else 0,
            "in_force": applied.generation if applied else 0,
            "serving": [dataclasses.asdict(served) for served in applied.versions] if applied else [],
            "ready": complete,
            "problems": problems,
            "workers": {name: group.status() for name, group in self._groups.items()},
            "envoys": self._envoys.pids(),
        }
        now = time.monotonic()
        if told != self._told or now - self._told_at > _TELL_S:
            self._told, self._told_at = told, now
            with contextlib.suppress(OSError):  # a full disk stops no request
                write_whole(self.directory.status, json.dumps({**told, "told_at": time.time()}, indent=1))

    def _end(self) -> None:
        self._say("ending: requests at work are answered first")
        self._envoys.drain()
        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            list(pool.map(lambda group: group.end(self.serving.listening.drain_s), self._groups.values()))
        self.directory.status.unlink(missing_ok=True)

    @contextlib.contextmanager
    def _pools(self) -> Iterator[None]:
        self._probes = concurrent.futures.ThreadPoolExecutor(8, "probe")
        self._registry = concurrent.futures.ThreadPoolExecutor(2, "registry")
        try:
            yield
        finally:
            self._probes.shutdown(wait=False, cancel_futures=True)
            self._registry.shutdown(wait=False, cancel_futures=True)

    @contextlib.contextmanager
    def _metrics(self) -> Iterator[None]:
        """Answer Prometheus meanwhile, when that is asked for."""
        if not self.serving.metrics_port:
            yield
            return
        self._gpus = Gpus()
        address, port = self.serving.listening.address, self.serving.metrics_port
        try:
            end = metrics_page.serve(
                self._all_metrics, lambda: self._release.model if self._release else "", address, port
            )
        except OSError as error:
            hint = "take another port with --metrics-port"
            what = f"metrics cannot be answered there: {error.strerror}"
            raise ServerError(what, where=f"{address}:{port}", hint=hint) from error
        try:
            yield
        finally:
            end()

    def _all_metrics(self) -> dict[str, str]:
        groups = list(self._groups.values())
        pids = {f"envoy-{index}": pid for index, pid in enumerate(self._envoys.pids())}
        found = supervisor_metrics.with_processes(self._envoys.prometheus(), pids)
        for group in groups:
            found |= group.metrics()
        return found | {"supervisor": supervisor_metrics.metrics(self._applied, groups, self._gpus)}

    @contextlib.contextmanager
    def _until_signal(self) -> Iterator[None]:
        """SIGTERM, an interrupt, and the end of the terminal stop everything; further ones change nothing."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
        before = {number: signal.signal(number, lambda *_: self._stopping.set()) for number in numbers}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


def _moved(release: Release, version: str) -> Release:
    return dataclasses.replace(only(release, version), alias_version=version)
