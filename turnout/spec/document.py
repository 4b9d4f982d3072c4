"""A KFP pipeline file: a PipelineSpec document, and a PlatformSpec document beside it.

`read` takes the text of such a file (YAML or JSON), `write` gives it back; what is read and written
is the same message to protobuf, field for field.
"""

from __future__ import annotations

import dataclasses
import hashlib
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import cattrs
import yaml
from cattrs.gen import make_dict_structure_fn, make_dict_unstructure_fn, override

from turnout.errors import Fault, SpecError
from turnout.spec import deployment_spec, pipeline_spec, platform_spec, values
from turnout.spec.json_values import HINT, beyond_json
from turnout.spec.package import PACKAGES, read_package
from turnout.spec.pipeline_spec import PipelineSpec
from turnout.spec.platform_spec import PlatformSpec
from turnout.spec.values import ParameterType, PrimitiveType, TaskConfigPassthroughType, TriggerStrategy

_Message = TypeVar("_Message")

_CODE_DIGEST = re.compile(r"(--code-digest\n\s*- )sha256:[0-9a-f]{64}")
_IMAGE = re.compile(r"^(\s+image: )\S+$", re.MULTILINE)


@dataclass(frozen=True, kw_only=True)
class Document:
    """One pipeline file. `platform` is None when the file holds a single document."""

    pipeline: PipelineSpec
    platform: PlatformSpec | None = None

    @property
    def name(self) -> str:
        return self.pipeline.pipeline_info.name if self.pipeline.pipeline_info else ""

    def platform_config(self, platform: str) -> dict[str, Any]:
        """The pipeline's own facts for a platform, such as `airflow`; empty when it states none."""
        single = self.platform.platforms.get(platform) if self.platform else None
        return (single.config or {}) if single else {}

    def platform_executor(self, platform: str, executor_label: str) -> dict[str, Any]:
        """A step's facts for a platform, by its executor's label; empty when it states none."""
        single = self.platform.platforms.get(platform) if self.platform else None
        deployment = single.deployment_spec if single else None
        return deployment.executors.get(executor_label, {}) if deployment else {}


def read(text: str, *, where: str = "<text>") -> Document:
    """Read a pipeline file's text.

    Raises:
        SpecError: the text is not YAML, or not a KFP pipeline; names every field that does not fit.
    """
    try:
        if _may_be_deep(text):
            _check_depth(text)
        documents = [document for document in yaml.load_all(text, Loader=_Loader) if document is not None]
    except yaml.YAMLError as error:
        raise SpecError([Fault(f"not YAML: {error}", where)]) from error
    except RecursionError:
        raise SpecError([Fault("not a KFP pipeline: nested too deeply", where)]) from None
    specs = [document for document in documents if isinstance(document, dict)]
    pipelines = [spec for spec in specs if "platforms" not in spec]
    platforms = [spec for spec in specs if "platforms" in spec]
    if len(specs) != len(documents) or len(pipelines) != 1 or len(platforms) > 1:
        raise SpecError([Fault("not a KFP pipeline: expected one PipelineSpec, and at most one `platforms:`", where)])
    if str(pipelines[0].get("apiVersion", "")).startswith("argoproj.io/"):
        what, hint = "written by KFP SDK 1.8, as a workflow of Argo", "compile the pipeline's Python with KFP SDK 2"
        raise SpecError([Fault(what, where, hint=hint)])
    if "implementation" in pipelines[0]:
        hint = "load it in a pipeline: kfp.components.load_component_from_file"
        raise SpecError([Fault("a component, not a pipeline", where, hint=hint)])
    if "pipelineSpec" in pipelines[0]:
        raise SpecError([Fault("a PipelineJob, not a pipeline", where, hint="give the value of its `pipelineSpec`")])
    if odd := [Fault(f"{held} is no value of JSON", place, hint=HINT) for place, held in beyond_json(specs)]:
        raise SpecError(odd)
    document = from_dict(pipelines[0], platforms[0] if platforms else None, where=where)
    if document.pipeline.root is None or document.pipeline.deployment_spec is None:
        hint = "KFP 1 workflows: recompile with kfp>=2"
        raise SpecError([Fault("not a KFP pipeline: no root or no deploymentSpec", where, hint=hint)])
    return document


FILES = (".yaml", ".yml", ".json", *PACKAGES)
"""How the names of pipeline files end."""


def read_file(path: Path) -> Document:
    """Read a pipeline file, or KFP's package of one. Raises SpecError as `read` does, also when it cannot be read."""
    try:
        data = read_package(path) if path.name.endswith(PACKAGES) else path.read_bytes()
        text = data.decode()
    except OSError as error:
        raise SpecError([Fault(f"cannot read the pipeline: {error.strerror or error}", str(path))]) from error
    except UnicodeDecodeError as error:
        what = f"cannot read the pipeline: it is not UTF-8 ({error.reason} at byte {error.start})"
        raise SpecError([Fault(what, str(path))]) from error
    return read(text, where=path.name)


def prepare() -> None:
    """Make now what `from_dict` and `write` would make when they are first called, for processes that are forked."""
    for module in (deployment_spec, pipeline_spec, platform_spec, values):
        for kind in vars(module).values():
            if dataclasses.is_dataclass(kind):
                _CONVERTER.get_structure_hook(kind)
                _CONVERTER.get_unstructure_hook(kind)


def write(document: Document) -> str:
    """The document's text: the same document always gives the same text."""
    parts = [_CONVERTER.unstructure(document.pipeline)]
    if document.platform is not None:
        parts.append(_CONVERTER.unstructure(document.platform))
    text: str = yaml.dump_all(parts, Dumper=_Dumper, sort_keys=True, width=120, allow_unicode=True)
    return text


def digest(text: str) -> str:
    """The digest by which a compiled file is recognised: `sha256:` and 64 hexadecimal digits.

    The digests of components' code in it do not count, nor the names of images. DAG files hold this digest: they would
    all change with each line of a component or version of an image, and be in conflict on every branch.
    """
    return "sha256:" + hashlib.sha256(_IMAGE.sub(r"\1", _CODE_DIGEST.sub(r"\1", text)).encode()).hexdigest()


def to_dict(message: Any) -> dict[str, Any]:
    """A message of the spec as protobuf's JSON form."""
    result: dict[str, Any] = _CONVERTER.unstructure(message)
    return result


def message_from_dict(data: Mapping[str, Any], kind: type[_Message]) -> _Message:
    """A message of the spec from protobuf's JSON form. Raises SpecError."""
    faults: list[Fault] = []
    message = _structure(dict(data), kind, kind.__name__, faults)
    if message is None:
        raise SpecError(faults)
    return message


def from_dict(pipeline: dict[str, Any], platform: dict[str, Any] | None = None, *, where: str = "<dict>") -> Document:
    """A document from the JSON forms of PipelineSpec and PlatformSpec. Raises SpecError."""
    faults: list[Fault] = []
    spec = _structure(pipeline, PipelineSpec, where, faults)
    platform_spec = _structure(platform, PlatformSpec, where, faults) if platform else None
    if spec is None or faults:
        raise SpecError(faults)
    return Document(pipeline=spec, platform=platform_spec)


def _structure(data: Any, kind: type[_Message], where: str, faults: list[Fault]) -> _Message | None:
    try:
        return _CONVERTER.structure(data, kind)
    except cattrs.BaseValidationError as error:
        faults.extend(_fault(message) for message in cattrs.transform_error(error, where))
    except (TypeError, ValueError) as error:
        faults.append(Fault(str(error), where))
    return None


def _fault(message: str) -> Fault:
    """A fault from cattrs' own `what @ where`."""
    what, _, where = message.rpartition(" @ ")
    return Fault(what, where)


def _camel(name: str) -> str:
    head, *tail = name.split("_")
    return head + "".join(word.capitalize() for word in tail)


def _exactly(kind: type, *accepted: type) -> Any:
    """A structure hook that takes a scalar as it is, where cattrs would convert it."""

    def hook(value: Any, _: type) -> Any:
        if isinstance(value, bool) is not (kind is bool) or not isinstance(value, accepted or (kind,)):
            raise ValueError(f"expected {kind.__name__}, found {value!r}")
        return kind(value)

    return hook


def _make_converter() -> cattrs.Converter:
    converter = cattrs.Converter()
    converter.register_structure_hook(str, _exactly(str))
    converter.register_structure_hook(bool, _exactly(bool))
    for kind in (ParameterType, PrimitiveType, TriggerStrategy, TaskConfigPassthroughType):
        converter.register_structure_hook(kind, lambda value, kind: kind(value))
        converter.register_unstructure_hook(kind, lambda value: value.value)
    # Protobuf's JSON form writes 64-bit integers as text, and YAML may write a whole number as 3.0.
    converter.register_structure_hook(int, _exactly(int, int, float, str))
    converter.register_structure_hook(float, _exactly(float, int, float))

    def renames(kind: type) -> dict[str, Any]:
        return {item.name: override(rename=_camel(item.name)) for item in dataclasses.fields(kind)}

    def structure(kind: type) -> Any:
        return make_dict_structure_fn(kind, converter, _cattrs_forbid_extra_keys=True, **renames(kind))

    def unstructure(kind: type) -> Any:
        return make_dict_unstructure_fn(kind, converter, _cattrs_omit_if_default=True, **renames(kind))

    converter.register_structure_hook_factory(dataclasses.is_dataclass, structure)
    converter.register_unstructure_hook_factory(dataclasses.is_dataclass, unstructure)
    return converter


class _Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
    """YAML as JSON's data model: what looks like a date stays the text it is."""

    yaml_implicit_resolvers = {
        first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
        for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }

    def construct_document(self, node: yaml.Node) -> Any:
        if _expanded(node, {}) > LARGEST:
            raise yaml.constructor.ConstructorError(
                None, None, f"its aliases stand for more than {LARGEST:,} values", node.start_mark
            )
        return super().construct_document(node)


LARGEST = 5_000_000
"""Values that a document may have, with each alias counted as what it stands for."""


def _expanded(node: yaml.Node, known: dict[int, float]) -> float:
    """How many values a node stands for; infinite when it contains itself."""
    if isinstance(node, yaml.ScalarNode):
        return 1
    if id(node) not in known:
        known[id(node)] = math.inf
        parts = [part for pair in node.value for part in pair] if isinstance(node, yaml.MappingNode) else node.value
        known[id(node)] = 1 + sum(_expanded(part, known) for part in parts)
    return known[id(node)]


DEEPEST = 200
"""Levels that a document may have. The parser in C does not survive many thousands."""

_INDENTATION = re.compile(r"^[ \t?:-]*", re.MULTILINE)


def _may_be_deep(text: str) -> bool:
    """Whether a document could have more levels than it may; cheap, and mostly the whole of the check."""
    flow = text.count("[") + text.count("{")
    return flow > DEEPEST or any(len(start) > DEEPEST for start in _INDENTATION.findall(text))


def _check_depth(text: str) -> None:
    depth = 0
    for event in yaml.parse(text, Loader=_Loader):
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
            if depth > DEEPEST:
                raise RecursionError
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1


class _Dumper(getattr(yaml, "CSafeDumper", yaml.SafeDumper)):  # type: ignore[misc]
    """Writes the same text for the same data, without YAML's anchors."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


_CONVERTER = _make_converter()
