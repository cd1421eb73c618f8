"""Graphs: nodes, attributes of every kind, constants, functions."""

from __future__ import annotations

import time

import numpy as np
import pytest

from lstmbridge.errors import SourceUnreadable
from lstmbridge.graph.graphdef import FunctionRef
from lstmbridge.sources import open_source
from lstmbridge.sources.metagraph import (
    graph_from_graphdef_bytes,
    graph_from_graphdef_text,
    graph_from_metagraph_file,
)
from lstmbridge.sources.proto import graph_pb2


@pytest.fixture(params=["meta", "binary", "text"])
def graph(request, real):
    """The same graph from each of the three forms that TensorFlow wrote."""
    folder = real / "graph"
    if request.param == "meta":
        return graph_from_metagraph_file(folder / "model.ckpt.meta")
    if request.param == "binary":
        return graph_from_graphdef_bytes((folder / "graph.pb").read_bytes(), "graph.pb")
    return graph_from_graphdef_text((folder / "graph.pbtxt").read_text(), "graph.pbtxt")


class Values(dict):
    """Const nodes' tensors by node name."""

    def __init__(self, graph):
        super().__init__(
            {n.name: n.attrs["value"] for n in graph.nodes.values() if n.op == "Const"}
        )


def test_constants_have_the_numbers_of_tensorflow(graph, real, assert_numbers):
    """Raw content, listed values, one repeated value, short lists, none, strings, bfloat16."""
    assert_numbers(Values(graph), real / "graph")


def test_attributes_are_plain_values(graph):
    nodes = graph.nodes
    assert nodes["known_rank"].attrs["shape"] == (-1, 3)
    assert nodes["unknown_rank"].attrs["shape"] is None
    assert nodes["halves"].attrs["dtype"] == np.float16
    assert nodes["split"].attrs["num_split"] == 2
    assert nodes["pool"].attrs["ksize"] == (1, 2, 2, 1)
    assert nodes["pool"].attrs["padding"] == "VALID"
    assert nodes["print_format"].attrs["T"] == (np.dtype(np.float32),)
    assert nodes["Cast"].attrs["Truncate"] is False
    assert nodes["loop"].attrs["output_shapes"] == ((), (), (), (-1, 3))


def test_an_attribute_that_is_absent_is_absent(graph):
    """Asking must not make one: an absent attribute means the op's default."""
    attrs = graph.nodes["split"].attrs
    assert "nonsense" not in attrs
    assert attrs.get("nonsense") is None
    with pytest.raises(KeyError):
        attrs["nonsense"]
    assert set(attrs) == {"T", "Tlen", "num_split"}
    assert len(attrs) == 3


def test_inputs_stand_as_they_are_written(graph):
    assert graph.nodes["split"].inputs == ("known_rank", "Const", "split/split_dim")
    assert graph.nodes["loop/Identity_3"].inputs == ("loop:3",)


def test_functions_have_arguments_returns_and_nodes(graph):
    body = graph.nodes["loop"].attrs["body"]
    assert isinstance(body, FunctionRef)
    function = graph.functions[body.name]
    assert len(function.arguments) == 4
    assert len(function.returns) == 4
    assert function.returns[3] == ("mul", "mul_0:z:0")
    assert function.nodes["mul_0"].op == "Mul"
    assert function.nodes["mul_0"].inputs[0] == "placeholder_1"


def test_the_producer_is_read_from_the_meta_alone(real):
    assert graph_from_metagraph_file(real / "graph" / "model.ckpt.meta").producer == (
        "TensorFlow 1.15.5"
    )


def test_a_checkpoint_has_the_graph_that_lies_beside_it(copied, real):
    folder = copied("v2-types")
    source = open_source(folder)
    assert source.graph() is None
    assert source.producer is None
    meta = folder / "model.ckpt.meta"
    meta.write_bytes((real / "graph" / "model.ckpt.meta").read_bytes())
    source = open_source(folder)
    assert source.producer == "TensorFlow 1.15.5"
    assert source.graph() is source.graph()
    assert "known_rank" in source.graph().nodes
    assert meta in source.files


def test_a_damaged_meta_names_the_way_around_it(copied):
    folder = copied("v2-types")
    (folder / "model.ckpt.meta").write_bytes(b"\x0a\xff\xff")
    source = open_source(folder)
    assert source.producer is None
    with pytest.raises(SourceUnreadable) as info:
        source.graph()
    assert "model.ckpt.meta" in info.value.where
    assert "--ignore-graph" in info.value.advice


def test_unknown_types_and_attributes_without_value_are_none():
    message = graph_pb2.GraphDef()
    node = message.node.add(name="a", op="VarHandleOp")
    node.attr["dtype"].type = 20
    node.attr["later"].type = 999
    node.attr["unset"].SetInParent()
    node.attr["nothing"].list.SetInParent()
    attrs = graph_from_graphdef_bytes(message.SerializeToString(), "here").nodes["a"].attrs
    assert attrs["dtype"] is None
    assert attrs["later"] is None
    assert attrs["unset"] is None
    assert attrs["nothing"] == ()


def test_text_that_is_no_utf8_stays_bytes():
    message = graph_pb2.GraphDef()
    node = message.node.add(name="a", op="X")
    node.attr["text"].s = "größe".encode()
    node.attr["noise"].s = b"\xff\xfe"
    attrs = graph_from_graphdef_bytes(message.SerializeToString(), "here").nodes["a"].attrs
    assert attrs["text"] == "größe"
    assert attrs["noise"] == b"\xff\xfe"


@pytest.mark.parametrize("text", ["node {", "node { name: 3 }", "nonsense", "node " * 50])
def test_text_that_is_no_graph_is_refused(text):
    with pytest.raises(SourceUnreadable):
        graph_from_graphdef_text(text, "here")


def test_one_number_may_fill_a_constant_of_any_size():
    """No memory is taken for the repetition."""
    message = graph_pb2.GraphDef()
    tensor = message.node.add(name="a", op="Const").attr["value"].tensor
    tensor.dtype = 1
    tensor.tensor_shape.dim.add(size=2**40)
    tensor.float_val.append(2.5)
    value = (
        graph_from_graphdef_bytes(message.SerializeToString(), "here").nodes["a"].attrs["value"]
    )
    start = time.monotonic()
    assert value.load()[2**39] == 2.5
    assert time.monotonic() - start < 5
