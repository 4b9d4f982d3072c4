"""The page of what each track does with each fact: made from the tables, and from the cases that state it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby

from turnout.plan.support import Support
from turnout.tracks import registry

HEAD = """\
# What each track does with each fact of a pipeline

A fact is a field of KFP's PipelineSpec that says something, or a key of a platform's settings. A track *keeps* it,
*lowers* it (the same outcome by other means), or *refuses* it: an error before anything runs. Why it is refused:
`notimpl`: Turnout does not do it yet; `notyet`: KFP must first; `never`: it is impossible there.

"Shown by" names pipelines of the tests (`tests/contract/shapes.py`, `tests/contract/facts.py`,
`tests/examples/scheduled.py`) that state the fact and end as they should on the local track and on Airflow; or the
case in which it is refused. `turnout check` prints this report for a pipeline of yours.

This page is made by the tests; do not edit it.
"""
RUNTIMES = ("process", "docker", "kubernetes")
"""Of steps; those in warm processes do as those in processes."""
COLUMNS = ("local", *(f"airflow: {runtime}" for runtime in RUNTIMES), "kfp")
MOST_CASES = 2


def support_page(cases: Mapping[str, Sequence[str]], gaps: Mapping[str, str]) -> str:
    """The page, in Markdown.

    Args:
        cases: the names of those that state each kind of fact.
        gaps: by kind, the fact whose gap is tested with it.
    """
    airflow = registry.track("airflow")
    tables = [
        registry.track("local").support(None),
        *(airflow.support(runtime) for runtime in RUNTIMES),
        registry.track("kfp").support(None),
    ]
    kinds = list(dict.fromkeys(kind for table in tables for kind in table))
    groups = groupby(sorted(kinds, key=lambda kind: kind.partition(".")[0]), lambda kind: kind.partition(".")[0])
    notes: dict[str, int] = {}
    sections = ["\n".join(_section(name, list(members), tables, cases, gaps, notes)) for name, members in groups]
    told = [f"{number}. {text[:1].upper()}{text[1:]}." for text, number in notes.items()]
    return "\n".join([HEAD, *sections, "## How, and what to do instead", "", *told, ""])


def _section(
    name: str,
    kinds: Sequence[str],
    tables: Sequence[Mapping[str, Support]],
    cases: Mapping[str, Sequence[str]],
    gaps: Mapping[str, str],
    notes: dict[str, int],
) -> Iterator[str]:
    yield f"## {name}\n"
    yield f"| {' | '.join(('', *COLUMNS, 'shown by'))} |"
    yield "|---" * (len(COLUMNS) + 2) + "|"
    for kind in kinds:
        cells = [_cell(table.get(kind), notes) for table in tables]
        stating = cases.get(kind, ())
        shown = ", ".join(f"`{case}`" for case in stating[:MOST_CASES])
        more = f" and {len(stating) - MOST_CASES} more" if len(stating) > MOST_CASES else ""
        shown = shown or (f"`test_a_gap`: {gaps[kind]}" if kind in gaps else "")
        yield f"| `{kind.partition('.')[2]}` | {' | '.join(cells)} | {shown}{more} |"
    yield ""


def _cell(support: Support | None, notes: dict[str, int]) -> str:
    if support is None:
        return ""
    number = f" [{notes.setdefault(support.how, len(notes) + 1)}]" if support.how else ""
    return f"{support.verdict}{f' ({support.gap})' if support.gap else ''}{number}"
