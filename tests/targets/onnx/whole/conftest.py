"""Whole models made by hand, written to ONNX and run by ONNX Runtime."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest

from lstmbridge.contracts import TargetOptions
from lstmbridge.graph.execute import Program
from lstmbridge.graph.graphdef import Graph, Node
from lstmbridge.graph.lift import network_of
from lstmbridge.graph.scopes import Scopes
from lstmbridge.graph.trace import Tracer
from lstmbridge.graph.whole import Port, Whole
from lstmbridge.targets.onnx import OnnxTarget


class Number:
    """What a Const's attribute `value` is."""

    def __init__(self, value, dtype=np.float32):
        self._array = np.asarray(value, dtype)
        self.shape, self.dtype = self._array.shape, self._array.dtype

    def load(self):
        return self._array


@dataclass
class Made:
    """A written model and its session."""

    artifact: Any
    proto: Any
    session: Any

    def __call__(self, **feeds):
        given = {
            spec.name: np.asarray(feeds[spec.name]).astype(spec.dtype)
            for spec in self.artifact.signature.inputs
        }
        names = [one.name for one in self.session.get_outputs()]
        return dict(zip(names, self.session.run(None, given), strict=True))

    @property
    def kinds(self):
        return [node.op_type for node in self.proto.graph.node]


@pytest.fixture
def constant():
    """`constant(name, value, dtype)`: a Const."""

    def make(name, value, dtype=np.float32, controls=()):
        return Node(name, "Const", tuple(controls), {"value": Number(value, dtype)})

    return make


@pytest.fixture
def whole_model():
    """`whole_model(nodes, inputs, outputs)`; inputs: name -> (shape, dtype), outputs: -> dtype."""

    def make(nodes, inputs, outputs, functions=()):
        library = {function.name: function for function in functions}
        graph = Graph({node.name: node for node in nodes}, library, "a test")
        program = Program(Scopes(Tracer(network_of(graph))), lambda _op: np.zeros(1))

        def at(text):
            name, _, number = text.partition(":")
            return name, int(number or 0)

        return Whole(
            program,
            tuple(Port(n, (n, 0), s, np.dtype(d)) for n, (s, d) in inputs.items()),
            tuple(Port(n.replace(":", "_"), at(n), None, np.dtype(d)) for n, d in outputs.items()),
        )

    return make


@pytest.fixture
def written(tmp_path):
    """`written(whole)`: the model as ONNX Runtime loads it."""

    def write(whole, **options):
        path = tmp_path / "model.onnx"
        artifact = OnnxTarget().write_whole(whole, path, TargetOptions(**options), {})
        proto = onnx.load(path)
        onnx.checker.check_model(proto, full_check=True)
        assert OnnxTarget().read(path).signature == artifact.signature
        session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
        return Made(artifact, proto, session)

    return write
