"""Answers for several sources: those that are kept and still true, the others from processes, one for each file.

In such a process no other file has left modules behind, so all that an answer comes from is seen, and two files of
one name do not meet. It is forked from this one when all libraries are loaded, and several run at once. A file is
loaded once for all pipelines in it: what one of them came from counts for those after it too.
"""

from __future__ import annotations

import contextlib
import gc
import multiprocessing
import multiprocessing.connection
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from turnout.errors import Fault, TurnoutError
from turnout.recall import kept
from turnout.recall.evidence import Base, base_of, evidence_of
from turnout.recall.kept import Kept
from turnout.recall.trace import Trace, tracing

_AT_ONCE = os.cpu_count() or 1
_WORTH_A_PROCESS = 4
"""Pipelines of one file from which on another process loads it too: to load a file takes as long as a few of them."""


@dataclass(frozen=True)
class Answer:
    """What is known of a source.

    Attributes:
        value: in JSON's types; None when there are faults.
        faults: why there is none.
        doubts: why it is not kept.
        kept: whether it was there from before.
    """

    value: Any = None
    faults: tuple[Fault, ...] = ()
    doubts: tuple[str, ...] = ()
    kept: bool = False


def answers(
    sources: Sequence[str],
    question: list[Any],
    find: Callable[[str], Any],
    prepare: Callable[[], None],
    *,
    use_kept: bool = True,
) -> list[Answer]:
    """The answer for each source.

    Args:
        question: what is asked, in JSON's types, beside the source.
        find: gives the answer for a source, in JSON's types, or raises TurnoutError.
        prepare: loads in this process what every source needs.
        use_kept: whether earlier answers are used, and these kept.
    """
    store = kept.of_user() if use_kept else None
    found = {
        source: Answer(value, kept=True) for source in sources if store and (value := store.find([source, *question]))
    }
    missing = [source for source in dict.fromkeys(sources) if source not in found]
    if missing:
        prepare()
        found |= _in_processes(missing, _Asker(question, find, store))
        if store:
            store.forget_old()
    return [found[source] for source in sources]


class _Asker:
    def __init__(self, question: list[Any], find: Callable[[str], Any], store: Kept | None):
        self.question, self.find, self.store = question, find, store
        self.base: Base | None = base_of(dict(sys.modules), store.sets) if store else None

    def ask(self, source: str, trace: Trace) -> Answer:
        """The answer for a source, in this process; it is kept if all that it comes from is known.

        Args:
            trace: what this process has looked at since it began.
        """
        try:
            with tracing(trace) if self.store else contextlib.nullcontext():
                value = self.find(source)
        except TurnoutError as error:
            return Answer(faults=tuple(error.faults))
        if not self.store or not self.base:
            return Answer(value)
        evidence = evidence_of(trace, dict(sys.modules), self.base, self.store.sets)
        if isinstance(evidence, list):
            return Answer(value, doubts=tuple(evidence))
        self.store.keep([source, *self.question], value, evidence)
        return Answer(value)

    def ask_here(self, source: str) -> Answer:
        """The answer for a source, whatever that leaves behind in this process."""
        try:
            return Answer(self.find(source))
        except TurnoutError as error:
            return Answer(faults=tuple(error.faults))


def _in_processes(sources: list[str], asker: _Asker) -> dict[str, Answer]:
    found: dict[str, Answer] = {}
    waiting = _by_file(sources)[::-1]
    running: dict[Any, tuple[list[str], Any]] = {}
    forks = multiprocessing.get_context("fork")
    gc.collect()
    gc.freeze()  # else each process would copy what it only looks at
    try:
        while waiting or running:
            while waiting and len(running) < _AT_ONCE:
                asked = waiting.pop()
                ours, theirs = forks.Pipe(duplex=False)
                process = forks.Process(target=_answer, args=(asked, asker, theirs), daemon=False)
                process.start()
                theirs.close()
                running[ours] = asked, process
            ready: Any
            for ready in multiprocessing.connection.wait(list(running)):
                asked, process = running[ready]
                answer = _received(ready)
                if answer:
                    found[asked.pop(0)] = answer
                    if asked:
                        continue
                del running[ready]
                ready.close()
                process.join()
                # What went wrong there is told by doing it here, where errors are caught as ever.
                found |= {source: asker.ask_here(source) for source in asked[:1]}
                waiting += [asked[1:]] if asked[1:] else []
    finally:
        gc.unfreeze()
        for _, process in running.values():
            process.kill()
    return found


def _by_file(sources: list[str]) -> list[list[str]]:
    """The sources that one process answers, one after the other; those of a large file are shared between several."""
    files: dict[str, list[str]] = {}
    for source in sources:
        files.setdefault(source.partition(":")[0], []).append(source)
    shares = [(names, min(_AT_ONCE, -(-len(names) // _WORTH_A_PROCESS))) for names in files.values()]
    return [names[first::count] for names, count in shares for first in range(count)]


def _received(connection: Any) -> Answer | None:
    try:
        answer = connection.recv()
    except EOFError:
        return None
    return answer if isinstance(answer, Answer) else None


def _answer(sources: list[str], asker: _Asker, connection: Any) -> None:
    trace = Trace()
    with connection:
        for source in sources:
            with contextlib.redirect_stdout(sys.stderr):  # results alone go to standard output
                try:
                    answer = asker.ask(source, trace)
                except Exception:
                    return
            with contextlib.suppress(OSError):
                connection.send(answer)
