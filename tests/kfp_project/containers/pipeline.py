"""Containers, one from its YAML, in the way of KFP's samples of such."""

from pathlib import Path

from kfp import components, dsl

count = components.load_component_from_file(str(Path(__file__).with_name("count.yaml")))


@dsl.container_component
def write(text: str, lines: dsl.Output[dsl.Dataset]):
    return dsl.ContainerSpec(
        image="debian:12-slim",
        command=["sh", "-c", 'mkdir -p "$(dirname "$1")" && printf "%s\\n" "$0" > "$1"'],
        args=[text, lines.path],
    )


@dsl.pipeline(name="count-lines")
def counted(text: str = "one\ntwo"):
    written = write(text=text)
    count(lines=written.outputs["lines"], prefix="lines: ")


@dsl.pipeline(name="count-twice")
def twice(text: str = "one\ntwo"):
    counted(text=text)
    counted(text=text).set_display_name("again")
