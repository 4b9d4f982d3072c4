"""The messages of the Open Inference Protocol's gRPC form, made at run time from the table below.

Generated modules would bind the package to one release of protobuf, of which Kubeflow Pipelines, MLflow and Airflow pin
different ones. The messages have a pool of their own, so that another package's definition of them, such as a client's
in the same process, is no conflict.

Source: https://github.com/kserve/open-inference-protocol, specification/protocol/open_inference_grpc.proto. Names of
messages do not travel, so that those that are nested there stand beside the others here.
"""

from __future__ import annotations

from typing import Any

from google.protobuf.descriptor_pb2 import DescriptorProto, FieldDescriptorProto, FileDescriptorProto
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message_factory import GetMessageClass

PACKAGE = "inference"

_PARAMETERS = "parameters = {} map"

_TABLE: dict[str, tuple[str, ...]] = {
    "ServerLiveRequest": (),
    "ServerLiveResponse": ("live = 1 bool",),
    "ServerReadyRequest": (),
    "ServerReadyResponse": ("ready = 1 bool",),
    "ModelReadyRequest": ("name = 1 string", "version = 2 string"),
    "ModelReadyResponse": ("ready = 1 bool",),
    "ServerMetadataRequest": (),
    "ServerMetadataResponse": ("name = 1 string", "version = 2 string", "extensions = 3 string*"),
    "ModelMetadataRequest": ("name = 1 string", "version = 2 string"),
    "TensorMetadata": ("name = 1 string", "datatype = 2 string", "shape = 3 int64*"),
    "ModelMetadataResponse": (
        "name = 1 string", "versions = 2 string*", "platform = 3 string", "inputs = 4 TensorMetadata*",
        "outputs = 5 TensorMetadata*",
    ),
    "InferParameter": (
        "bool_param = 1 bool?", "int64_param = 2 int64?", "string_param = 3 string?", "double_param = 4 double?",
        "uint64_param = 5 uint64?",
    ),
    "InferTensorContents": (
        "bool_contents = 1 bool*", "int_contents = 2 int32*", "int64_contents = 3 int64*", "uint_contents = 4 uint32*",
        "uint64_contents = 5 uint64*", "fp32_contents = 6 float*", "fp64_contents = 7 double*",
        "bytes_contents = 8 bytes*",
    ),
    "InferInputTensor": (
        "name = 1 string", "datatype = 2 string", "shape = 3 int64*", _PARAMETERS.format(4),
        "contents = 5 InferTensorContents",
    ),
    "InferRequestedOutputTensor": ("name = 1 string", _PARAMETERS.format(2)),
    "ModelInferRequest": (
        "model_name = 1 string", "model_version = 2 string", "id = 3 string", _PARAMETERS.format(4),
        "inputs = 5 InferInputTensor*", "outputs = 6 InferRequestedOutputTensor*", "raw_input_contents = 7 bytes*",
    ),
    "InferOutputTensor": (
        "name = 1 string", "datatype = 2 string", "shape = 3 int64*", _PARAMETERS.format(4),
        "contents = 5 InferTensorContents",
    ),
    "ModelInferResponse": (
        "model_name = 1 string", "model_version = 2 string", "id = 3 string", _PARAMETERS.format(4),
        "outputs = 5 InferOutputTensor*", "raw_output_contents = 6 bytes*",
    ),
}  # fmt: skip
"""Each message's fields: `name = number type`, with `*` when it is repeated, `?` when it is one of a choice, and `map`
for parameters by name."""


def _described() -> FileDescriptorProto:
    file = FileDescriptorProto(name="turnout/open_inference.proto", package=PACKAGE, syntax="proto3")
    for name, fields in _TABLE.items():
        message = file.message_type.add(name=name)
        for field in fields:
            _add(message, *field.replace("=", " ").split())
    return file


def _add(message: DescriptorProto, name: str, number: str, kind: str) -> None:
    field = message.field.add(name=name, number=int(number), label=FieldDescriptorProto.LABEL_OPTIONAL)
    if kind.endswith("?"):
        if not message.oneof_decl:
            message.oneof_decl.add(name="parameter_choice")
        field.oneof_index = 0
    if kind.endswith("*") or kind == "map":
        field.label = FieldDescriptorProto.LABEL_REPEATED
    kind = kind.rstrip("*?")
    if kind == "map":
        entry = message.nested_type.add(name="ParametersEntry")
        entry.options.map_entry = True
        _add(entry, "key", "1", "string")
        _add(entry, "value", "2", "InferParameter")
        kind = f"{message.name}.ParametersEntry"
    if kind.islower():
        field.type = FieldDescriptorProto.Type.Value(f"TYPE_{kind.upper()}")
    else:
        field.type, field.type_name = FieldDescriptorProto.TYPE_MESSAGE, f".{PACKAGE}.{kind}"


_POOL = DescriptorPool()
_POOL.Add(_described())


def message(name: str) -> Any:
    """The class of a message."""
    return GetMessageClass(_POOL.FindMessageTypeByName(f"{PACKAGE}.{name}"))
