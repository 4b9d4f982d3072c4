"""Reports of any component, written while it runs."""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
import os
import signal
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from types import FrameType
from typing import Any

from turnout.errors import TurnoutError
from turnout.reports.charts import chart
from turnout.reports.page import Section
from turnout.reports.report import Report, put
from turnout.reports.tables import MOST_ROWS, table_of

_EVERY = 1.0
"""Seconds between two writings, at least."""

_SHARE = 0.05
"""How much of the time a step may spend on writing its report."""


class ReportWriter:
    """A report in the making: each call adds to its end, and soon stands in the file.

    As a context manager it ends the report: when the step fails the report says so, with what it had until then. All
    texts are escaped. Calls may come from several threads.
    """

    def __init__(self, artifact: Any, title: str):
        self._artifact = artifact
        self._path = Path(getattr(artifact, "path", artifact))
        self._report = Report(title)
        self._sections: list[Section] = []
        self._progress = ""
        self._started = time.monotonic()
        self._written = -_EVERY
        self._pause = _EVERY
        self._timer: threading.Timer | None = None
        self._ended = False
        self._lock = threading.RLock()
        self._before: Any = None
        self._change()
        print(f"report: {self._path}", flush=True)

    def about(self, text: str) -> None:
        """What the report is of, such as the day, in a line below the title."""
        self._change(about=text)

    def verdict(self, text: str, *, good: bool | None = None, reasons: Sequence[str] = ()) -> None:
        """The result in a line, above all else; also in the artifact's metadata.

        Args:
            good: None where it is neither good nor bad.
            reasons: of the verdict, a line each.
        """
        self._change(verdict=text, good=None if good is None else bool(good), reasons=list(map(str, reasons)))

    def metric(self, name: str, value: Any) -> None:
        """A number to be seen first, beside others, below the verdict; one of the same name takes its place."""
        with self._lock:
            others = [item for item in self._report.metrics if item[0] != name]
            value = value.item() if hasattr(value, "item") else value
            self._change(metrics=[*others, (name, value)])

    def progress(self, done: float, of: float | None = None, what: str = "") -> None:
        """Where the step is, in a line that is there while it runs.

        Args:
            done: how much is done.
            of: of how much.
            what: what is counted, such as rows.
        """
        share = f" of {of:,} ({done / of:.0%})" if of else ""
        with self._lock:
            self._progress = " ".join(f"{done:,}{share} {what}".split())
            self._change()

    def heading(self, text: str) -> None:
        """Begin a section."""
        self._add(Section(text))

    def text(self, text: str) -> None:
        """A paragraph."""
        with self._lock:
            last = self._last("text", "markdown", "columns", "figures")
            self._add(dataclasses.replace(last, text=text), bool(self._sections) and last is self._sections[-1])

    def markdown(self, text: str) -> None:
        """Text in Markdown; HTML in it is shown as text, and images are not fetched."""
        with self._lock:
            last = self._last("markdown", "columns", "figures")
            self._add(dataclasses.replace(last, markdown=text), bool(self._sections) and last is self._sections[-1])

    def table(self, table: Any, columns: Sequence[str] = (), *, bad: Sequence[int] = ()) -> None:
        """A table, of at most 200 rows.

        Args:
            table: a DataFrame, a table of Arrow, a list of dicts, a list of lists, or a dict of names and values.
            columns: names of the columns of a list of lists; of other tables, those to show.
            bad: indices of rows to point at.

        Raises:
            ComponentError: it is no table.
        """
        names, rows, count = table_of(table, columns)
        more = f"The first {MOST_ROWS:,} of {count:,} rows." if count > len(rows) else ""
        if not rows:
            rows = [["no rows", *[""] * (len(names) - 1)]]
        with self._lock:
            last = self._last("columns", "figures")
            text = " ".join(filter(None, [last.text, more])) if not last.markdown else last.text or more
            section = dataclasses.replace(last, text=text, columns=names, rows=rows, bad=frozenset(bad))
            self._add(section, bool(self._sections) and last is self._sections[-1])

    def figure(self, figure: Any, caption: str = "") -> None:
        """A figure; figures that follow one another stand side by side where there is room.

        Args:
            figure: of matplotlib, a figure or axes; of Vega-Lite, a specification or an Altair chart; or SVG as text.

        Raises:
            ComponentError: it is none of these, or what draws it is not installed.
        """
        drawn = (chart(figure), caption)
        with self._lock:
            last = self._last()
            section = dataclasses.replace(last, figures=[*last.figures, drawn])
            self._add(section, bool(self._sections) and last is self._sections[-1])

    def __enter__(self) -> ReportWriter:
        if threading.current_thread() is threading.main_thread() and signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
            self._before = signal.signal(signal.SIGTERM, self._terminated)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: Any) -> None:
        if self._before is not None:
            signal.signal(signal.SIGTERM, self._before)
        if error is None or (isinstance(error, SystemExit) and not error.code):
            self._end("")
        else:
            with contextlib.suppress(OSError):  # what the step itself failed with is to be known
                self._end(_told(error))

    def _last(self, *taken: str) -> Section:
        """The section to add to: the last one, or a new one when it has one of these parts already."""
        if self._sections and not any(getattr(self._sections[-1], part) for part in taken):
            return self._sections[-1]
        return Section("")

    def _add(self, section: Section, replace: bool = False) -> None:
        with self._lock:
            if replace:
                self._sections[-1] = section
            else:
                self._sections.append(section)
            self._change()

    def _change(self, **fields: Any) -> None:
        """Take over what is new, and write it now, or when enough time has passed since the last time."""
        with self._lock:
            self._report = dataclasses.replace(self._report, **fields)
            wait = self._written + self._pause - time.monotonic()
            if self._ended or wait <= 0:
                self._write()
            elif self._timer is None:
                self._timer = threading.Timer(wait, self._write)
                self._timer.daemon = True
                self._timer.start()

    def _write(self) -> None:
        with self._lock:
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None
            notice = ""
            if not self._ended:
                now = datetime.datetime.now(datetime.UTC)
                took = datetime.timedelta(seconds=round(time.monotonic() - self._started))
                where = f": {self._progress}" if self._progress else ""
                notice = f"The step is running{where}. Written at {now:%H:%M:%S} UTC, {took} after it began."
            report = dataclasses.replace(self._report, sections=tuple(self._sections), notice=notice)
            began = time.monotonic()
            put(self._path, report.to_html())
            self._written = time.monotonic()
            self._pause = max(_EVERY, (self._written - began) / _SHARE)
            metadata = getattr(self._artifact, "metadata", None)
            if metadata is not None:
                metadata.update(report.metadata())

    def _end(self, failure: str) -> None:
        with self._lock:
            if self._ended:
                return
            self._ended = True
            if not failure:
                self._write()
                return
            report = self._report
            if report.good is not False:
                said = [f"It had said before: {report.verdict}"] if report.verdict else []
                self._report = dataclasses.replace(
                    report, verdict="The step failed", good=False, reasons=[failure, *said]
                )
            at = f" at {self._progress}" if self._progress else ""
            self._sections.append(Section("The step failed here", f"{failure}. The report ends{at}."))
            self._write()

    def _terminated(self, number: int, frame: FrameType | None) -> None:
        """End the report, and then this process, as the signal would have."""
        signal.signal(number, signal.SIG_DFL)
        with contextlib.suppress(Exception):
            self._end("it was ended from outside: out of time, or cancelled")
        os.kill(os.getpid(), number)


def report(artifact: Any, title: str) -> ReportWriter:
    """Write a report into an artifact of type HTML, while the step runs; to be used with `with`.

    Args:
        artifact: an `Output[HTML]`, or the path of a file.
        title: the heading of the page.
    """
    return ReportWriter(artifact, title)


def _told(error: BaseException) -> str:
    return str(error) if isinstance(error, TurnoutError) else f"{type(error).__name__}: {error}"
