"""The spec against KFP's own messages."""

import dataclasses
import typing
from pathlib import Path

import pytest
import yaml
from google.protobuf import json_format
from kfp import compiler, dsl, kubernetes
from kfp.pipeline_spec import pipeline_spec_pb2 as messages

from turnout.errors import SpecError
from turnout.spec import deployment_spec, pipeline_spec, platform_spec, values
from turnout.spec.document import Document, read, read_file, write

ROOTS = {
    pipeline_spec.PipelineSpec: messages.PipelineSpec,
    platform_spec.PlatformSpec: messages.PlatformSpec,
    deployment_spec.PipelineDeploymentConfig: messages.PipelineDeploymentConfig,
}


def pairs(kind: type, descriptor: typing.Any, seen: set[type]) -> typing.Iterator[tuple[type, typing.Any]]:
    """Each dataclass with the descriptor of its message, from a root down."""
    if kind in seen:
        return
    seen.add(kind)
    yield kind, descriptor
    hints = typing.get_type_hints(kind)
    for field in descriptor.fields:
        message = field.message_type
        if message is not None and message.GetOptions().map_entry:
            message = message.fields_by_name["value"].message_type
        name = "pipeline_config" if field.name == "pipelineConfig" else field.name
        for inner in classes(hints.get(name)):
            if message is not None and message.full_name.startswith("ml_pipelines."):
                yield from pairs(inner, message, seen)


def classes(annotation: typing.Any) -> list[type]:
    if dataclasses.is_dataclass(annotation):
        return [annotation]
    return [found for argument in typing.get_args(annotation) for found in classes(argument)]


ALL = [pair for kind, message in ROOTS.items() for pair in pairs(kind, message.DESCRIPTOR, set())]


@pytest.mark.parametrize(("kind", "descriptor"), ALL, ids=lambda item: getattr(item, "__name__", ""))
def test_every_field_of_the_message_is_a_field_of_the_dataclass(kind: type, descriptor: typing.Any) -> None:
    ours = {field.name for field in dataclasses.fields(kind)}
    theirs = {"pipeline_config" if field.name == "pipelineConfig" else field.name for field in descriptor.fields}
    assert ours == theirs


def test_every_dataclass_of_the_spec_is_compared() -> None:
    modules = (pipeline_spec, platform_spec, deployment_spec, values)
    kinds = {item for module in modules for item in vars(module).values() if dataclasses.is_dataclass(item)}
    assert kinds == {kind for kind, _ in ALL}


@pytest.fixture(scope="module")
def everything(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A pipeline that uses what KFP's SDK can say."""

    @dsl.component(base_image="python:3.11")
    def make(x: int, text: str = "2024-01-01", struct: dict = {}, numbers: list = [1, 2]) -> float:
        return 1.0

    @dsl.component(base_image="python:3.11")
    def clean(status: dsl.PipelineTaskFinalStatus):
        print(status)

    @dsl.pipeline(name="everything", pipeline_root="gs://bucket/root", description='it\'s "all"')
    def everything(x: int = 1, on: str = "yes", maybe: typing.Optional[str] = None):  # noqa: UP045
        last = clean()
        with dsl.ExitHandler(last):
            made = make(x=x).set_cpu_limit("2").set_memory_request("1G").set_env_variable("A", "b")
            made.set_accelerator_limit(1).set_accelerator_type("nvidia.com/gpu")
            made.set_retry(3, "10s", 2.0, "60s").set_caching_options(True, cache_key="key")
            kubernetes.set_timeout(made, 20)
            kubernetes.use_secret_as_env(made, "secret", {"k": "K"})
            data = dsl.importer(artifact_uri="gs://a/b", artifact_class=dsl.Dataset, metadata={"n": 1})
            with dsl.If(made.output > 0.5), dsl.ParallelFor([{"a": 1}, {"a": 2}], parallelism=2) as item:
                make(x=item.a, text=f"{on}-{made.output}").after(data)
            with dsl.Elif(made.output > 0.1):
                make(x=2)
            with dsl.Else():
                make(x=3)

    path = tmp_path_factory.mktemp("spec") / "everything.yaml"
    compiler.Compiler().compile(everything, str(path))
    return path.read_text()


def as_messages(text: str) -> list[typing.Any]:
    documents = list(yaml.safe_load_all(text))
    kinds = (messages.PipelineSpec, messages.PlatformSpec)
    return [json_format.ParseDict(document, kind()) for document, kind in zip(documents, kinds, strict=False)]


def test_what_is_read_and_written_is_the_same_message(everything: str) -> None:
    assert as_messages(write(read(everything))) == as_messages(everything)
    assert len(as_messages(everything)) == 2


def test_writing_is_deterministic(everything: str) -> None:
    once = write(read(everything))
    assert write(read(once)) == once


def test_null_constants_and_empty_messages_are_kept() -> None:
    text = """
    deploymentSpec: {}
    root: {dag: {tasks: {t: {cachingOptions: {}, inputs: {parameters: {p: {runtimeValue: {constant: null}}}}}}}}
    """
    task = read(text).pipeline.root.dag.tasks["t"]
    assert task.inputs.parameters["p"].runtime_value.constant is None
    assert as_messages(write(read(text))) == as_messages(text)


def test_a_document_that_does_not_fit_is_told_everything_that_is_wrong(everything: str) -> None:
    broken = everything.replace("enableCache:", "enableCash:").replace("maxRetryCount: 3", "maxRetryCount: three", 1)
    with pytest.raises(SpecError) as raised:
        read(broken)
    text = str(raised.value)
    assert "enableCash" in text
    assert (
        "expected int @ <text>.components['comp-exit-handler-1'].dag.tasks['make'].retry_policy.max_retry_count" in text
    )
    assert "root.dag.tasks" in text or "components[" in text


@pytest.mark.parametrize(
    "text", ["", "a: [", "- 1", "apiVersion: argoproj.io/v1alpha1", "pipelineSpec: {}", "a: 1\n---\nb: 2"]
)
def test_what_is_not_a_pipeline_is_refused(text: str) -> None:
    with pytest.raises(SpecError):
        read(text)


BOMB = "a: &a [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{name}: &{name} [{', '.join([f'*{before}'] * 10)}]\n" for before, name in zip("abcdefgh", "bcdefghi", strict=True)
)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (BOMB, "its aliases stand for more than 5,000,000 values"),
        ("a: &a [*a]", "its aliases stand for more than 5,000,000 values"),
        ("[" * 100_000, "nested too deeply|exceeded maximum nesting depth"),  # the latter is newer PyYAML's own bound
        ("- " * 100_000, "not a KFP pipeline: nested too deeply"),
        ("".join(f"{' ' * level}a:\n" for level in range(2_000)), "not a KFP pipeline: nested too deeply"),
    ],
    ids=["bomb", "circle", "flow", "block", "indentation"],
)
def test_a_document_without_bounds_is_refused_at_once(text: str, message: str) -> None:
    with pytest.raises(SpecError, match=message):
        read(text)


@pytest.mark.parametrize(("text", "name"), [(".nan", "NaN"), (".inf", "Infinity"), ("[1, {b: -.inf}]", "-Infinity")])
def test_numbers_that_json_has_not_are_refused_with_their_place(text: str, name: str) -> None:
    with pytest.raises(SpecError, match=rf"{name} is no value of JSON @ \[0\].root.dag.a"):
        read(f"root: {{dag: {{a: {text}}}}}\ndeploymentSpec: {{}}")


def test_a_file_that_is_not_utf_8_is_told(tmp_path: Path) -> None:
    (tmp_path / "p.yaml").write_bytes(b"a: \xff")
    with pytest.raises(SpecError, match="it is not UTF-8"):
        read_file(tmp_path / "p.yaml")


def test_platform_facts_of_a_document(everything: str) -> None:
    document: Document = read(everything)
    assert document.platform_executor("kubernetes", "exec-make")["activeDeadlineSeconds"] == "20"
    assert document.platform_config("airflow") == {}


def test_kfp_loads_what_is_written(everything: str) -> None:
    from kfp.components import load_component_from_text

    assert load_component_from_text(write(read(everything))).name == "everything"


def test_a_missing_file_is_a_spec_error(tmp_path: Path) -> None:
    from turnout.spec.document import read_file

    with pytest.raises(SpecError, match=r"no\.yaml"):
        read_file(tmp_path / "no.yaml")
