"""Our messages: the generated modules say what the `.proto` files say."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from google.protobuf.descriptor import FieldDescriptor

import lstmbridge.sources.proto
from lstmbridge.sources.proto import checkpoint_pb2, graph_pb2, tensor_pb2

FOLDER = Path(lstmbridge.sources.proto.__file__).parent
MODULES = {"tensor": tensor_pb2, "checkpoint": checkpoint_pb2, "graph": graph_pb2}
_TOKEN = re.compile(r"message (\w+) \{|enum (\w+) \{|oneof (\w+) \{|(\})|([^;{}]+);")
_FIELD = re.compile(r"(repeated )?([\w.]+|map<string, \w+>) (\w+) = (\d+)")
_KINDS = {
    getattr(FieldDescriptor, f"TYPE_{kind.upper()}"): kind
    for kind in (
        "int32",
        "int64",
        "uint32",
        "uint64",
        "fixed32",
        "float",
        "double",
        "bool",
        "string",
        "bytes",
    )
}


def declared(text):
    """{(message, field): (number, type, repeated)} and {(enum, name): number} of a .proto."""
    text = re.sub(r"//.*", "", text)
    scope, fields, values = [], {}, {}
    for message, enum, oneof, close, statement in _TOKEN.findall(text):
        if message or enum or oneof:
            scope.append((message or enum, bool(enum)))
        elif close:
            scope.pop()
        elif scope and scope[-1][1]:
            name, number = statement.split("=")
            values[scope[-1][0], name.strip()] = int(number)
        elif scope and (match := _FIELD.search(statement)):
            owner = ".".join(name for name, _ in scope if name)
            several, kind, name, number = match.groups()
            many = bool(several) or kind.startswith("map")
            fields[owner, name] = (int(number), kind.split(".")[-1], many)
    return fields, values


def generated(module):
    """The same from a generated module's descriptor."""
    fields, values = {}, {}

    def walk(message, prefix):
        owner = prefix + message.name
        for field in message.fields:
            fields[owner, field.name] = (field.number, kind(field), repeated(field))
        for nested in message.nested_types:
            if not nested.GetOptions().map_entry:
                walk(nested, owner + ".")

    for message in module.DESCRIPTOR.message_types_by_name.values():
        walk(message, "")
    for enum in module.DESCRIPTOR.enum_types_by_name.values():
        values.update({(enum.name, value.name): value.number for value in enum.values})
    return fields, values


def repeated(field):
    """Protobuf 7 has a word for it and warns about the label; 4.25 has the label alone."""
    if hasattr(field, "is_repeated"):
        return field.is_repeated
    return field.label == FieldDescriptor.LABEL_REPEATED


def kind(field):
    if field.message_type is not None:
        if field.message_type.GetOptions().map_entry:
            entry = field.message_type.fields_by_name["value"]
            return f"map<string, {kind(entry)}>"
        return field.message_type.name
    return field.enum_type.name if field.enum_type is not None else _KINDS[field.type]


@pytest.mark.parametrize("name", MODULES)
def test_generated_code_agrees_with_its_proto(name):
    fields, values = declared((FOLDER / f"{name}.proto").read_text())
    assert fields
    assert (fields, values) == generated(MODULES[name])


@pytest.mark.parametrize("name", MODULES)
def test_messages_live_in_a_package_of_our_own(name):
    """TensorFlow in the same process registers its own `tensorflow.GraphDef`."""
    descriptor = MODULES[name].DESCRIPTOR
    assert descriptor.package == "lstmbridge.tensorflow_wire"
    assert descriptor.name.startswith("lstmbridge/")


@pytest.mark.parametrize("name", MODULES)
def test_generated_code_asks_for_no_version_of_protobuf(name):
    """Newer compilers pin the runtime; ours must load under every one that we support."""
    text = (FOLDER / f"{name}_pb2.py").read_text()
    assert "runtime_version" not in text
