"""A container that is no Python: any command, which writes its outputs to files."""

from kfp import dsl

from turnout import pipeline


@dsl.container_component
def shout(text: str, loud: dsl.OutputPath(str)):
    return dsl.ContainerSpec(
        image="debian:12-slim",
        command=["sh", "-c", 'mkdir -p "$(dirname "$1")" && printf "%s!" "$0" > "$1"'],
        args=[text, loud],
    )


@pipeline
def container(text: str = "hello") -> str:
    """Say it louder.

    Args:
        text: what to say.
    """
    return shout(text=text).outputs["loud"]
