"""A stream of rows on Spark Structured Streaming: each row predicted, and in the table exactly once.

Spark numbers the batches of a stream and remembers in its checkpoint what each holds; the table remembers, in the
commit that adds a batch, which was the last. A batch that is done again after a failure is the same one, and the
table has it or has not.

Of files the stream carries the names only, and workers read them as they do for an interval. Messages come as rows.

Source: Structured Streaming's `foreachBatch` gives at-least-once; Delta's application transactions make it once.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
from upath import UPath

from turnout.data.parquet import open_table, pieces
from turnout.data.progress import Progress
from turnout.engines import spark
from turnout.engines.spark_session import reason
from turnout.errors import ComponentError
from turnout.inference import table
from turnout.inference.engines import on_worker, score_on_spark
from turnout.inference.job import Job, Schemas, columns_read, load_scorer, output_schemas, score_batches
from turnout.inference.table import Part
from turnout.models.compiled.opening import AnyScorer
from turnout.models.signature import check_columns


@dataclass
class Streamed:
    """What came of the rows that a run took from a stream: `rows` is `predicted` and `quarantined` together.

    Attributes:
        batches: how many; `repeated` more were in the table already.
        version: of the table of predictions.
    """

    batches: int = 0
    repeated: int = 0
    rows: int = 0
    predicted: int = 0
    quarantined: int = 0
    version: int = 0


@dataclass(frozen=True)
class Batch:
    """Rows of a stream that are done together.

    Attributes:
        schemas: of the rows, each once; the first says how they are passed on.
        score: the number of rows that went in, and the files that came out.
    """

    schemas: tuple[pa.Schema, ...]
    score: Callable[[Job, Schemas], tuple[int, list[Part]]]


@dataclass(frozen=True)
class Source:
    """Where rows come from.

    Attributes:
        batches: a streaming DataFrame.
        open: a batch of it; None when it is empty.
    """

    batches: Any
    open: Callable[[Any], Batch | None]


_FILE = "path string, modificationTime timestamp, length bigint, content binary"


def files(session: Any, directory: str, options: Mapping[str, str]) -> Source:
    """Parquet files that are put into a directory, each whole and once.

    Args:
        options: Spark's own, such as `maxFilesPerTrigger`.

    Raises:
        ComponentError: there is no such directory.
    """

    def opened(batch: Any) -> Batch | None:
        found = [open_table(row["path"]) for row in batch.collect()]

        def score(job: Job, schemas: Schemas) -> tuple[int, list[Part]]:
            work = [piece for dataset, prefix in found for piece in pieces(dataset, prefix, None)]
            parts = [part for done in score_on_spark(job, work, schemas, session) for part in done]
            return sum(dataset.count_rows() for dataset, _ in found), parts

        schemas = dict.fromkeys(dataset.schema.remove_metadata() for dataset, _ in found)
        return Batch(tuple(schemas), score) if found else None

    reader = session.readStream.format("binaryFile").schema(_FILE).option("pathGlobFilter", "*.parquet")
    try:
        return Source(reader.options(**options).load(directory).select("path"), opened)
    except Exception as error:
        what, hint = f"the stream cannot be opened: {reason(error)}", "make the directory"
        raise ComponentError(what, where=directory, hint=hint) from error


_SPARK_TYPES = {"long": "bigint", "integer": "int", "datetime": "timestamp"}
_OF_KAFKA = ("topic", "partition", "offset")


def messages(
    session: Any, topics: str, options: Mapping[str, str], columns: Mapping[str, str], scorer: AnyScorer
) -> Source:
    """Messages of Kafka whose values are JSON objects.

    Args:
        topics: with commas between.
        options: Spark's own, such as `kafka.bootstrap.servers`.
        columns: Spark's types of those columns that the model does not take.

    Raises:
        ComponentError: Spark has no Kafka, or the columns are none.
    """
    try:
        reader = session.readStream.format("kafka").options(**options).option("subscribe", topics)
        rows = from_messages(reader.load(), scorer, columns)
        schema = session.createDataFrame([], rows.schema).toArrow().schema
    except Exception as error:
        package = "org.apache.spark:spark-sql-kafka-0-10_2.13:VERSION"
        hint = f'Spark needs its Kafka package: spark_conf={{"spark.jars.packages": "{package}"}}'
        what = f"the stream cannot be opened: {reason(error)}"
        raise ComponentError(what, where=topics, hint=hint) from error

    def opened(batch: Any) -> Batch | None:
        return None if batch.isEmpty() else Batch((schema,), functools.partial(score_rows, session, batch))

    return Source(rows, opened)


def from_messages(found: Any, scorer: AnyScorer, columns: Mapping[str, str]) -> Any:
    """The columns in Kafka's messages, and each message's topic, partition and offset.

    A value that is no JSON object gives nulls, and so a row without a time.
    """
    from pyspark.sql import functions

    fields = {column.name: _SPARK_TYPES.get(column.kind, column.kind) for column in scorer.columns} | dict(columns)
    ddl = ", ".join(f"`{name}` {kind}" for name, kind in fields.items())
    parsed = functions.from_json(functions.col("value").cast("string"), ddl)
    taken = {name.lower() for name in fields}  # a message's own column is meant before Kafka's of that name
    others = [name for name in _OF_KAFKA if name not in taken]
    return found.select(parsed.alias("row"), *others).select("row.*", *others)


def score_rows(session: Any, batch: Any, job: Job, schemas: Schemas) -> tuple[int, list[Part]]:
    """Score the rows of a DataFrame; how many went in, and the files that came out."""
    model, needed = spark.send(job.model_directory, session), columns_read(job, load_scorer(job.model_directory))
    done = list(spark.run_rows(functools.partial(_score_partition, job, schemas, model), batch.select(needed)))
    return sum(rows for rows, _ in done), [part for _, parts in done for part in parts]


def _score_partition(
    job: Job, schemas: Schemas, model: str, batches: Iterable[pa.RecordBatch]
) -> tuple[int, list[Part]]:
    """On a worker, score rows; how many there were, and the files that came out."""
    rows = 0

    def counting() -> Iterator[pa.RecordBatch]:
        nonlocal rows
        for batch in batches:
            rows += batch.num_rows
            yield batch

    parts = score_batches(on_worker(job, model), counting(), schemas, "stream")
    return rows, parts


def stream(source: Source, job: Job, checkpoint: str, interval: str = "", seconds: float = 0.0) -> Streamed:
    """Predict the rows of a stream until there are no more, or for a time.

    Args:
        job: without an interval.
        checkpoint: path or URI of the stream's memory; one for each source and table.
        interval: how often to look for rows, such as `10 seconds`; with it the stream goes on for so many seconds.

    Raises:
        ComponentError: rows do not fit the model, some fail and there is no quarantine, or the stream broke.
    """
    result, failed, progress = Streamed(), [], Progress("predicted")

    def add(batch: Any, number: int) -> None:
        try:
            _add(
                source.open(batch),
                job,
                str(json.loads(UPath(checkpoint, "metadata").read_text())["id"]),
                number,
                result,
            )
            progress.add(result.rows - progress.done)
        except ComponentError as error:
            failed.append(error)
            raise

    writer = source.batches.writeStream.foreachBatch(add).option("checkpointLocation", checkpoint)
    writer = writer.trigger(processingTime=interval) if interval else writer.trigger(availableNow=True)
    try:
        query = writer.start()
        if not query.awaitTermination(seconds if interval else None):
            query.stop()
    except Exception as error:
        if failed:
            raise failed[-1] from error
        hint = "run the step again: it goes on from the checkpoint, and no row is lost or doubled"
        raise ComponentError(f"the stream broke: {reason(error)}", where=job.table, hint=hint) from error
    return result


def _add(batch: Batch | None, job: Job, stream_id: str, number: int, result: Streamed) -> None:
    """Score a batch and add it to the tables that lack it."""
    if batch is None:
        return
    scorer = load_scorer(job.model_directory)
    for schema in batch.schemas:
        check_columns(schema, scorer.columns, job.passed)
        if job.timestamp and not pa.types.is_timestamp(kind := schema.field(job.timestamp).type):
            hint = "give it Arrow's type timestamp; for Kafka, name its type in columns"
            raise ComponentError(f"the column of times is {kind}", where=f"stream.{job.timestamp}", hint=hint)
    schemas = output_schemas(job, batch.schemas[0], scorer)
    prepared = {job.quarantine: table.prepare(job.quarantine, schemas[1])} if job.quarantine else {}
    prepared[job.table] = table.prepare(job.table, schemas[0])
    missing = [uri for uri, opened in prepared.items() if not table.appended(opened, stream_id, number)]
    if not missing:
        result.repeated += 1
        return
    rows, parts = batch.score(job, schemas)
    counts = {uri: sum(part.rows for part in parts if part.table == uri) for uri in prepared}
    if rows != sum(counts.values()):
        table.remove(parts)
        what = f"{rows:,} rows went in, and {sum(counts.values()):,} came out"
        hint = "did a file of the stream change after it was put there? Run the step again"
        raise ComponentError(what, where=job.table, hint=hint)
    properties = {"run_id": job.run_id, "model": job.model.uri, "rows": str(rows), "batch": str(number)}
    for uri in missing:  # the predictions last: they tell that all is there
        chosen = [part for part in parts if part.table == uri]
        result.version = table.append(prepared[uri], chosen, stream_id, number, properties)
    table.remove(part for part in parts if part.table not in missing)
    result.batches += 1
    result.rows += rows
    result.predicted += counts[job.table]
    result.quarantined += counts.get(job.quarantine, 0)
