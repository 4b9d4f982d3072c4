"""Data that is there already: an importer gives it a name, and copies nothing."""

from kfp import dsl

from turnout import Dataset, Input, component, pipeline


@component
def size(data: Input[Dataset]) -> int:
    """Count the bytes of a file.

    Args:
        data: the file.
    """
    with open(data.path, "rb") as file:
        return len(file.read())


@pipeline
def imported(uri: str = "examples/README.md") -> int:
    """Measure a file.

    Args:
        uri: where it is.
    """
    data = dsl.importer(artifact_uri=uri, artifact_class=Dataset, reimport=False, metadata={"kind": "text"})
    return size(data=data.output).output
