"""Another Python takes part: the protocol on a stand-in for TensorFlow, and the real one if told.

``LSTMBRIDGE_PYTHONS`` names interpreters that have a TensorFlow, with the path separator between.
"""

from __future__ import annotations

import ast
import os
import shutil
import sys

import numpy as np
import pytest

from lstmbridge import api, registry
from lstmbridge.adapters.adapter import recognise
from lstmbridge.errors import NotRecognised, RuntimeUnavailable, UsageError
from lstmbridge.model.cells import GRU, LSTM, CoupledLSTM
from lstmbridge.model.forward import forward
from lstmbridge.runtimes.foreign import WORKER, ForeignPython
from lstmbridge.runtimes.foreign.described import network_of
from lstmbridge.runtimes.graph import GraphRuntime
from lstmbridge.runtimes.source_graph import addresses_of, file_of, joined
from lstmbridge.sources import open_source

PYTHONS = [one for one in os.environ.get("LSTMBRIDGE_PYTHONS", "").split(os.pathsep) if one]
GRAPHS = ["tf012-seed-meta", "tf115-everything", "tf115-residual", "tf115-bidirectional-lengths"]


@pytest.fixture
def opened(case):
    def make(name):
        source = open_source(case(name).prefix)
        return source, recognise(source).parts[0]

    return make


def feeds_of(model, *, batch=3, steps=6, lengths=False):
    draw = np.random.default_rng(1)
    feeds = {"inputs": draw.normal(size=(batch, steps, model.input_size))}
    for layer in model.layers:
        for state, width in layer.cell.state_sizes.items():
            feeds[layer.initial_name(state)] = draw.normal(size=(batch, width))
    if lengths:
        feeds["sequence_length"] = np.arange(batch) * steps // max(1, batch - 1)
    return feeds


def test_the_name_is_python_and_a_path():
    runtime = registry.runtime("python:/opt/tf115/bin/python")
    assert (runtime.name, runtime.runs) == ("python:/opt/tf115/bin/python", "model")
    with pytest.raises(UsageError, match="or python:PATH"):
        registry.runtime("pithon")


def test_a_program_that_is_not_there_is_unavailable(networks):
    runtime = ForeignPython("/no/such/python")
    assert not runtime.info().available
    assert "python:/path" in runtime.info().install
    with pytest.raises(RuntimeUnavailable, match="there is no program '/no/such/python'"):
        runtime.open(networks.stack())


def test_a_python_without_tensorflow_is_unavailable_and_says_so(networks, tmp_path):
    python = tmp_path / "python"
    # no site-packages but NumPy's: the worker itself needs nothing else
    script = f'#!/bin/sh\nshift\nexec "{sys.executable}" -I -c "import sys; sys.modules[\'tensorflow\'] = None; '
    script += (
        'sys.path.insert(0, sys.argv[1].rsplit(\'/\', 1)[0]); import worker; worker.main()" "$@"\n'
    )
    python.write_text(script)
    python.chmod(0o755)
    with pytest.raises(RuntimeUnavailable, match=r"TensorFlow declined: .*tensorflow"):
        ForeignPython(str(python)).open(networks.stack())


def test_a_program_that_is_no_python_is_a_failure(networks):
    program = shutil.which("true")
    if program is None:
        pytest.skip("there is no program called true")
    with pytest.raises(RuntimeUnavailable, match="ended with exit code 0"):
        ForeignPython(program).open(networks.stack())


def test_the_worker_is_written_for_python_3_6_and_imports_nothing_of_ours():
    for path in sorted(WORKER.parent.glob("*.py")):
        if path.name not in {"worker.py", "tf_session.py", "tf_rebuild.py"}:
            continue
        tree = ast.parse(path.read_text(), feature_version=(3, 6))
        for node in ast.walk(tree):
            names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            assert not any(name.startswith(("lstmbridge", "__future__")) for name in names)
            assert not isinstance(node, ast.NamedExpr)


class OurOwn:
    """Answers by tensor name as TensorFlow would, from our own interpreter of the same graph."""

    def __init__(self, source, part):
        self.session = GraphRuntime(source.graph(), source.tensors, part).open(part.model)
        self.circuit = self.session._circuit

    def __call__(self, at, given, fetches):
        circuit, program = self.circuit, self.circuit.program
        fed = {circuit.source: np.asarray(given[at.inputs], np.float64)}
        if circuit.lengths is not None:
            fed[circuit.lengths] = np.asarray(given[at.lengths])
        entries = program.tracer.network.entries
        starts = {}
        for entry in circuit.states.values():
            name, number = entries[entry][1].initial
            starts[entry] = np.asarray(given[f"{name}:{number}"], np.float64)
        exits = {f"{t[0]}:{t[1]}": e for e in circuit.states.values() for t in entries[e][1].exits}
        tops = {f"{t[0]}:{t[1]}": t for top in circuit.tops for t in top.outputs}
        wanted = [tops.get(name) or exits[name] for name in fetches]
        got = program.run(fed, wanted, starts)
        return {name: got[tensor] for name, tensor in zip(fetches, wanted, strict=True)}


@pytest.mark.parametrize("lengths", [False, True])
@pytest.mark.parametrize("name", GRAPHS)
def test_the_graph_s_own_tensors_are_fed_and_read_where_its_stack_begins_and_ends(
    opened, name, lengths
):
    source, part = opened(name)
    at = addresses_of(source, part)
    feeds = feeds_of(part.model, lengths=lengths)
    tensorflow = OurOwn(source, part)
    pieces = []
    for rows, piece in at.pieces(feeds):
        batch, steps = piece["inputs"].shape[:2]
        if steps:
            ends = np.asarray(piece.get("sequence_length", np.full(batch, steps)))
            got = tensorflow(at, at.fed(piece, ends), at.fetches)
            pieces.append((rows, at.read(got, ends)))
        else:
            kept = {
                layer.state_name(s): piece[layer.initial_name(s)]
                for layer in part.model.layers
                for s in layer.cell.state_sizes
            }
            empty = np.zeros((batch, 0, part.model.output_size))
            pieces.append((rows, {**kept, "outputs": empty}))
    found = joined(pieces, *feeds["inputs"].shape[:2])
    wanted = forward(part.model, feeds)
    assert found.keys() == wanted.keys()
    for output, values in wanted.items():
        np.testing.assert_allclose(found[output], values, atol=1e-7)


def test_a_source_without_a_graph_has_no_addresses(opened):
    source, part = opened("tf115-seed-bare")
    with pytest.raises(NotRecognised, match="no graph was read"):
        addresses_of(source, part)


def test_how_tensorflow_is_to_load_a_source_is_told_by_its_files(opened, case):
    source, _ = opened("tf115-seed-meta")
    told = file_of(source)
    assert told["kind"] == "meta"
    assert told["path"] == f"{case('tf115-seed-meta').prefix}.meta"
    assert told["checkpoint"] == str(case("tf115-seed-meta").prefix)


def test_a_network_is_described_whole_with_tensorflow_s_own_layout(networks):
    model = networks.stack(LSTM, count=2)
    network, weights = network_of(model, {"layer0": ("a/kernel", "a/bias")}, "x")
    assert [layer["kind"] for layer in network["layers"]] == ["LSTM", "LSTM"]
    assert network["layers"][0]["variables"] == ["a/kernel", "a/bias"]
    assert weights["layer0|kernel"].shape == (7, 16)
    gates = network_of(networks.stack(GRU, count=1), {}, "x")[1]
    assert {"layer0|gates/kernel", "layer0|candidate/bias"} <= gates.keys()


def test_a_cell_that_no_release_s_rnn_cell_has_is_declined_by_name(networks):
    with pytest.raises(RuntimeUnavailable, match="layer0: a CoupledLSTM cell of this form"):
        network_of(networks.stack(CoupledLSTM), {}, "x")
    with pytest.raises(RuntimeUnavailable, match="a GRU cell of this form"):
        network_of(networks.stack(GRU, reset_after=True), {}, "x")


@pytest.mark.tensorflow
@pytest.mark.skipif(not PYTHONS, reason="LSTMBRIDGE_PYTHONS names no other Python")
class TestWithRealTensorFlows:
    @pytest.mark.parametrize("python", PYTHONS)
    @pytest.mark.parametrize("name", ["tf012-seed-meta", "tf115-bidirectional-lengths"])
    def test_the_source_s_own_graph_agrees_with_the_oracle(self, case, tmp_path, python, name):
        runtime = f"python:{python}"
        done = api.convert(case(name).prefix, to="onnx", output=tmp_path / "a.onnx")
        verdict = api.verify(case(name).prefix, done.path, runtimes=[runtime, "onnxruntime-cpu"])
        result = next(r for r in verdict.runtimes if r.name == runtime)
        if result.status == "unavailable":
            pytest.skip(result.reason)
        assert result.status == "pass"
        assert result.version.startswith("TensorFlow ")

    @pytest.mark.parametrize("python", PYTHONS)
    @pytest.mark.parametrize("kind", [LSTM, GRU])
    def test_rebuilt_cells_agree_with_the_oracle(self, networks, python, kind):
        model = networks.stack(kind)
        feeds = feeds_of(model, lengths=True)
        with ForeignPython(python).open(model) as session:
            assert "its cells rebuilt" in session.device
            got = session.run(feeds)
        for name, values in forward(model, feeds).items():
            np.testing.assert_allclose(got[name], values, atol=2e-6)
