"""A pipeline of components from everywhere: KFP's, the catalogue's, and YAML from a file, a text and an address."""

import os
from pathlib import Path

from kfp import components, dsl

from turnout.components.ingest import ingest

PARTS = Path(__file__).parent / "mixing_parts"

measure = components.load_component_from_file(str(PARTS / "measure.yaml"))
launch_job = components.load_component_from_url(f"{os.environ['MIXING_URL']}/launch_job.yaml")
shout = components.load_component_from_text("""
name: Shout
inputs:
- {name: text, type: String}
outputs:
- {name: loud, type: String}
implementation:
  container:
    image: debian:12-slim
    command: [sh, -c, 'mkdir -p "$(dirname "$1")" && printf "%s!" "$0" > "$1"']
    args: [{inputValue: text}, {outputPath: loud}]
""")


@dsl.component(base_image="python:3.11")
def first_resource(gcp_resources: str, table: dsl.Input[dsl.Dataset]) -> str:
    import json

    (found,) = json.loads(gcp_resources)["resources"]
    return f"{found['resourceType']} {found['resourceUri']} of {table.metadata['rows']:.0f} rows"


@dsl.pipeline(name="mixing")
def mixing(source: str, team: dict = {"team": 'it\'s "ours"'}) -> str:
    table = ingest(source=source).outputs["data"]
    measured = measure(file=table, sign="?")
    launched = launch_job(display_name=measured.outputs["told"], labels=team, table=table)
    told = first_resource(gcp_resources=launched.outputs["gcp_resources"], table=table)
    return shout(text=told.output).outputs["loud"]
