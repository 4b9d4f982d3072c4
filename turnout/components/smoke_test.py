"""Try a version before it has traffic."""

from typing import Annotated, NamedTuple

from annotated_types import Ge

from turnout import Asset, Dataset, Input, Metrics, Output, component


class Tried(NamedTuple):
    """How many requests were answered as they should be."""

    requests: int


@component(cache=False, reads=[Asset("models:/{registered_model}@champion")])
def smoke_test(
    golden: Input[Dataset],
    metrics: Output[Metrics],
    registered_model: str,
    version: str,
    target: str = "",
    staging: str = "",
    rows: Annotated[int, Ge(1)] = 100,
    latency_ms: Annotated[float, Ge(0)] = 0.0,
    wait_seconds: Annotated[float, Ge(0)] = 300.0,
) -> Tried:
    """Send golden requests to a version, and fail unless all is right.

    The version must take no other columns, and predict no other classes, than the champion, whose clients it is to get;
    the answers must be those of the model as it was registered; and they must come in time.

    Args:
        golden: rows to send; columns that the model does not take are left out. Where they lack one that it takes, such
            as features that are joined later, rows of the version's evaluation are sent.
        metrics: the latencies.
        registered_model: name in the MLflow registry.
        version: to try.
        target: on which the version is to be released; one that could not take it is told of before all else. Empty
            when there is no release.
        staging: the target on which the version is deployed first, for all requests, and asked: `local:DIRECTORY`, or
            another with an address. Without one the version is tried in the step itself, as a server's worker holds it.
        rows: how many rows to send, the first ones.
        latency_ms: that the p99 of the answers may take; 0 for any.
        wait_seconds: how long staging may take until the version answers.
    """
    import math
    import tempfile

    import pyarrow as pa

    from turnout import ComponentError
    from turnout.data.parquet import open_table
    from turnout.models.compiled.judged import judged_rows_of
    from turnout.models.files import download
    from turnout.models.promotion import champion
    from turnout.models.registry import look_up
    from turnout.models.scorer import Scorer
    from turnout.serving.rollout.smoke import by_http, in_process, schema_faults, smoke
    from turnout.serving.rollout.steps import address_of, require_release, wait_until_ready
    from turnout.serving.targets.chosen import target_of

    if target:
        require_release(target_of(target), registered_model)
    candidate = look_up(f"models:/{registered_model}/{version}")
    table = open_table(golden.path)[0].head(rows)
    with tempfile.TemporaryDirectory() as directory:
        files = download(candidate, directory)
        model = Scorer(files)
        absent = [column.name for column in model.columns if column.name not in table.column_names]
        if absent and (kept := judged_rows_of(candidate.run_id)) is not None:
            print(f"rows of the version's evaluation are sent: the golden rows lack {', '.join(absent)}")
            table = pa.Table.from_pandas(kept.inputs.head(rows), preserve_index=False)
        faults = []
        before = champion(registered_model)
        if before is not None and before.version != candidate.version:
            with tempfile.TemporaryDirectory() as other:
                faults = schema_faults(model, Scorer(download(before, other)))
        if staging:
            place = target_of(staging)
            place.deploy(registered_model, candidate.version, why="smoke test")
            wait_until_ready(place, registered_model, wait_seconds)
            address = address_of(place, registered_model)
            print(f"asking {address}")
            ask = by_http(address, candidate.version)
        else:
            ask = in_process(candidate.version, str(files))
        found = smoke(ask, model, table, latency_ms)
    for name, value in (("p50_ms", found.p50_ms), ("p99_ms", found.p99_ms)):
        if math.isfinite(value):
            metrics.log_metric(name, round(value, 3))
    print(f"{found.requests} golden requests: p50 {found.p50_ms:.2f} ms, p99 {found.p99_ms:.2f} ms")
    if faults := [*faults, *found.faults]:
        raise ComponentError(
            "\n".join([f"{candidate.uri} does not pass the smoke test:", *faults]), where=staging or registered_model,
            hint="the version in service was not touched; put the model right, and register it again",
        )  # fmt: skip
    return Tried(found.requests)
