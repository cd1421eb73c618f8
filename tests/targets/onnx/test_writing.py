"""What is in the file besides nodes: versions, metadata, determinism, precision, refusals."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import onnx
import pytest

from lstmbridge.errors import CannotExpress, RuntimeUnavailable, UsageError
from lstmbridge.gates import GateBlocks
from lstmbridge.model.blocks import Bidirectional, Model, Recurrent, Residual, Sequence
from lstmbridge.model.signature import States
from lstmbridge.targets.onnx import OnnxTarget
from lstmbridge.targets.onnx.target import OPSETS


def everything(nets) -> Model:
    """Native and stepped layers, a projection, a residual, both directions."""
    first = Bidirectional(Recurrent(nets.cell(3)), Recurrent(nets.cell(3, cell_clip=0.4)))
    third = Residual(Recurrent(nets.cell(5, activation="selu")))
    return Model("m", Sequence((first, Recurrent(nets.cell(10, projection=5)), third)))


@pytest.mark.parametrize("opset", range(OPSETS[0], OPSETS[1] + 1))
@pytest.mark.parametrize("states", States)
def test_each_opset_of_the_range_computes_the_same(
    nets, write, feeds, assert_agrees, graph_of, *, opset, states
):
    if opset > onnx.defs.onnx_opset_version():
        pytest.skip(f"onnx {onnx.__version__} does not know opset {opset}")
    model = everything(nets)
    artifact = write(model, opset=opset, states=states, sequence_length=True)
    graph_of(artifact)
    try:
        assert_agrees(model, artifact, feeds(artifact))
    except RuntimeUnavailable as error:
        if "opset" not in str(error).lower():
            raise
        pytest.skip("this ONNX Runtime is older than the opset")
    assert onnx.load(artifact.path).opset_import[0].version == opset


@pytest.mark.parametrize("opset", [1, 10, 29, 0, -1])
def test_an_opset_that_was_not_tested_is_refused_by_its_range(nets, write, opset):
    with pytest.raises(CannotExpress, match=f"opset {opset}") as caught:
        write(nets.model("one"), opset=opset)
    assert "11 to 28" in str(caught.value)


@pytest.mark.parametrize("version", [3, 99])
def test_an_ir_version_out_of_range_is_refused(nets, write, version):
    with pytest.raises(UsageError, match="IR version"):
        write(nets.model("one"), ir_version=version)


def test_opset_17_and_ir_8_are_the_default_and_can_be_changed(nets, write):
    proto = onnx.load(write(nets.model("one")).path)
    assert (proto.ir_version, proto.opset_import[0].version) == (8, 17)
    assert onnx.load(write(nets.model("one"), ir_version=9).path).ir_version == 9


def test_the_same_network_gives_the_same_bytes(nets, write, topology):
    model = nets.model(topology, projection=4, peephole=True)
    options = {"states": States.OPTIONAL, "sequence_length": True}
    one, other = write(model, name="a.onnx", **options), write(model, name="b.onnx", **options)
    assert one.path.read_bytes() == other.path.read_bytes()


def test_metadata_is_stored_sorted_under_the_caller_s_keys(nets, tmp_path):
    from lstmbridge.contracts import TargetOptions

    target, path = OnnxTarget(), tmp_path / "m.onnx"
    target.write(nets.model("one"), path, TargetOptions(), {"z": "1", "a": "ü"})
    stored = [(one.key, one.value) for one in onnx.load(path).metadata_props]
    assert stored == sorted(stored)
    assert dict(stored)["a"] == "ü"
    assert dict(stored)["lstmbridge.onnx.gate_order"] == "LSTM: i, o, f, c"
    found = target.read(path)
    assert found is not None
    assert found.metadata == {"z": "1", "a": "ü"}


def test_what_is_added_after_verification_changes_no_byte_before_it(nets, write, feeds):
    target, artifact = OnnxTarget(), write(nets.model("stack"))
    before = artifact.path.read_bytes()
    noted = target.annotate(artifact, {"verdict": "pass"})
    assert artifact.path.read_bytes().startswith(before)
    assert noted.metadata == {"k": "v", "verdict": "pass"}
    assert target.read(artifact.path) == noted
    onnx.checker.check_model(str(artifact.path), full_check=True)


def test_the_widest_stored_precision_is_the_artifact_s(nets, write):
    narrow, wide = nets.cell(3, dtype=np.float16), nets.cell(5, dtype=np.float32)
    model = Model("m", Sequence((Recurrent(narrow), Recurrent(wide))))
    artifact = write(model)
    assert artifact.precision == "float32"
    assert "widened exactly from float16 to float32" in artifact.expressions[0].detail


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_the_precision_may_be_chosen(nets, write, feeds, assert_agrees, dtype):
    model = nets.model("stack", dtype=np.float64)
    artifact = write(model, dtype=dtype)
    assert artifact.precision == dtype
    assert_agrees(model, artifact, feeds(artifact))


def test_a_stepped_layer_of_float16_computes_in_float32_and_says_so(nets, write, graph_of):
    """ONNX Runtime's CPU would widen and narrow around each node of the body."""
    artifact = write(nets.model("one", dtype=np.float16, cell_clip=0.5))
    assert artifact.expressions[0].detail.endswith(
        "weights widened exactly from float16 to float32; computed in float32"
    )
    assert {spec.dtype.name for spec in artifact.signature.outputs} == {"float16"}
    floats = {one.data_type for one in graph_of(artifact).initializer if "layer0" in one.name}
    assert floats == {onnx.TensorProto.FLOAT}


def test_no_cast_stands_between_a_transposition_and_a_product(nets, write, topology, graph_of):
    """ONNX Runtime 1.24 to 1.32 crashes on that while it loads."""
    graph = graph_of(write(nets.model(topology, dtype=np.float16, cell_clip=0.5)))
    makers = {out: node for node in graph.node for out in node.output}
    for node in graph.node:
        if node.op_type == "Cast" and node.input[0] in makers:
            assert makers[node.input[0]].op_type != "Transpose"


def test_a_precision_that_is_not_served_is_refused(nets, write):
    with pytest.raises(UsageError, match="int8"):
        write(nets.model("one"), dtype="int8")


@pytest.mark.parametrize("block", ["kernel", "bias"])
def test_a_weight_that_does_not_fit_the_chosen_precision_is_refused(nets, write, block):
    cell = nets.cell(3)
    blocks = {gate: np.array(array) for gate, array in getattr(cell, block).items()}
    blocks["o"].flat[1] = 7e4
    model = Model("m", Recurrent(replace(cell, **{block: GateBlocks.of(blocks)})))
    with pytest.raises(CannotExpress, match="float16"):
        write(model, dtype="float16")


def test_the_usage_it_prints_runs(nets, write, monkeypatch):
    artifact = write(nets.model("one"))
    monkeypatch.chdir(artifact.path.parent)
    scope = {"x": np.ones((2, 4, 3), np.float32)}
    exec(OnnxTarget().usage(artifact), scope)
    assert scope["outputs"].shape == (2, 4, 5)
    assert len(scope["states"]) == 2
