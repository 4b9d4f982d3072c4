"""Small pipelines whose runs have something to show."""

from kfp import dsl

from turnout import HTML, ClassificationMetrics, Dataset, Input, Markdown, Metrics, Output, component

FIGURE = '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 10 10"><path d="M0 0L9 9" stroke="#1f6fb2"/></svg>'


@component
def load(data: Output[Dataset], rows: int = 1000) -> None:
    """Load a table.

    Args:
        data: the table.
        rows: of it.
    """
    from pathlib import Path

    Path(data.path).write_text("1\n" * rows)
    interval = {"since": "2026-11-01T00:00:00+00:00", "until": "2026-11-08T00:00:00+00:00"}
    data.metadata.update(rows=rows, source="s3://lake/flights.parquet", revision="v3", interval=interval)


@component
def fit(data: Input[Dataset], report: Output[HTML], metrics: Output[Metrics], depth: int, fail_at: int = -1) -> float:
    """Fit a model, and tell of it.

    Args:
        data: to learn from.
        report: a card.
        metrics: how good it is.
        depth: of the model.
        fail_at: the depth at which it fails.
    """
    from reported import FIGURE

    from turnout import ComponentError
    from turnout.reports.page import Section
    from turnout.reports.report import Report

    score = 1 - 1 / (1 + depth)
    metrics.log_metric("score", score)
    metrics.log_metric("champion_score", 0.5)
    sections = [Section("Curve", figures=[(FIGURE, f"The curve at depth {depth}.")])]
    Report("Fit", sections, "Better than the champion", True, [f"score {score:.4f}"]).write(report)
    if depth == fail_at:
        raise ComponentError(f"depth {depth} does not converge", where="depth", hint="choose a smaller one")
    return score


@component
def choose(scores: list, least: float = 0.0) -> float:
    """Choose the best score.

    Args:
        scores: one a model.
        least: below which nothing is chosen.
    """
    return max(scores)


@component
def serve(score: float) -> str:
    """Put a model into service.

    Args:
        score: of it.
    """
    return "served"


@dsl.pipeline(name="sweep")
def sweep(depths: list[int] = [1, 2, 4], least: float = 0.9, fail_at: int = -1, rows: int = 1000):
    """Fit a model at each depth, and serve the best if it is good enough."""
    loaded = load(rows=rows)
    with dsl.ParallelFor(depths, name="each-depth") as depth:
        fitted = fit(data=loaded.outputs["data"], depth=depth, fail_at=fail_at)
    best = choose(scores=dsl.Collected(fitted.outputs["Output"]), least=least)
    with dsl.If(best.output > 0.7, name="good-enough"):
        serve(score=best.output)


@component
def foreign(page: Output[HTML], words: Output[Markdown], matrix: Output[ClassificationMetrics], text: str) -> None:
    """Leave what others would: a page with a script, and a text with HTML in it.

    Args:
        page: not one of ours.
        words: about it.
        matrix: of confusion.
        text: in each.
    """
    from pathlib import Path

    Path(page.path).write_text(f"<html><body><script>alert(1)</script><p>{text}</p></body></html>")
    Path(words.path).write_text(
        f"# Words\n\n{text}\n\n<script>alert(2)</script> ![seen](http://elsewhere.example/a.png)"
    )
    matrix.log_confusion_matrix([text, "other"], [[1, 2], [3, 4]])


@dsl.pipeline(name="hostile")
def hostile(text: str = "<script>alert(3)</script>"):
    """Show what must not run."""
    foreign(text=text)


@dsl.pipeline(name="imported")
def imported(uri: str):
    """Show a page that lies elsewhere."""
    dsl.importer(artifact_uri=uri, artifact_class=dsl.HTML)
