"""In a whole model each recurrent layer is one native operator, whatever TensorFlow made of it."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest

from lstmbridge import api
from lstmbridge.contracts import Hints, Outcome

FOLDER = Path(__file__).resolve().parents[2] / "fixtures" / "whole"
STEPS = {"LSTM", "GRU", "RNN", "Loop", "Scan", "If", "ReverseSequence"}
NODES = {
    "both-ways": {"LSTM": 2},
    "both-ways-last": {"LSTM": 1},
    "both-ways-fixed": {"LSTM": 1},
    "both-ways-steps": {"LSTM": 1},
    "both-ways-steps-lengths": {"LSTM": 1},
    "both-ways-time-major": {"GRU": 1},
    "wrapped": {"LSTM": 2, "GRU": 1},
    "projected-residual": {"LSTM": 3},
    "projected-inner": {"LSTM": 3},
    "squeezed": {"GRU": 1},
    "unrolled-fixed": {"GRU": 2},
    "unrolled-residual": {"LSTM": 2},
    # the upper layer's c in the middle is used: its steps are two nodes
    "unrolled-inner": {"LSTM": 3},
    # the second run begins with what the first ends with: they are no directions of one layer
    "both-ways-chained": {"GRU": 2, "ReverseSequence": 2},
}


class Converted:
    """A fixture as ONNX."""

    def __init__(self, case, path, **options):
        self.card = json.loads((FOLDER / case / "card.json").read_text())
        outputs = tuple(at.removesuffix(":0") for at in self.card["outputs"].values())
        self.done = api.convert(
            FOLDER / case / "frozen.pb", to="onnx", output=path, hints=Hints(outputs=outputs),
            **options,
        )  # fmt: skip
        self.proto = onnx.load(path)
        self.session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
        with np.load(FOLDER / case / "expected.npz") as stored:
            self.recorded = {key: stored[key] for key in stored.files}

    def kinds(self):
        """How many nodes there are of each kind, those of loops and branches included."""
        counts, todo = Counter(), list(self.proto.graph.node)
        while todo:
            node = todo.pop()
            counts[node.op_type] += 1
            for attribute in node.attribute:
                todo += attribute.g.node
        return counts

    def agrees(self):
        """Whether it gives what TensorFlow recorded."""
        names = {at.removesuffix(":0"): name for name, at in self.card["inputs"].items()}
        feeds = {
            i.name: self.recorded[f"inputs|{names[i.name]}"] for i in self.session.get_inputs()
        }
        got = self.session.run(None, feeds)
        names = {at.removesuffix(":0"): name for name, at in self.card["outputs"].items()}
        return all(
            np.allclose(value, self.recorded[f"outputs|{names[spec.name]}"], 1e-5, 1e-5)
            for spec, value in zip(self.session.get_outputs(), got, strict=True)
        )


@pytest.mark.parametrize("case", NODES)
def test_each_layer_is_one_native_node_and_gives_what_tensorflow_recorded(case, tmp_path):
    made = Converted(case, tmp_path / "m.onnx", verification=None)
    assert {k: n for k, n in made.kinds().items() if k in STEPS} == NODES[case]
    assert made.agrees()


VERIFIED = [
    *("both-ways", "both-ways-steps-lengths", "unrolled-inner", "unrolled-residual"),
    *("wrapped", "projected-inner", "squeezed"),
]


@pytest.mark.parametrize("case", VERIFIED)
def test_the_nodes_are_verified_against_the_graph(case, tmp_path):
    made = Converted(case, tmp_path / "m.onnx")
    assert made.done.verdict.outcome is Outcome.PASS, made.done.verdict.reasons
    assert made.done.verdict.faults.caught > 20
    if case.startswith("both-ways"):
        assert any("direction" in name for name in made.done.verdict.faults.caught_names)


def test_the_directions_of_a_layer_are_side_by_side_without_being_parted_first(tmp_path):
    made = Converted("both-ways", tmp_path / "m.onnx", verification=None)
    assert "Split" not in made.kinds()


@pytest.mark.parametrize("case", ["both-ways-steps-lengths", "unrolled-residual"])
def test_steps_that_are_put_side_by_side_again_are_never_taken_apart(case, tmp_path):
    kinds = Converted(case, tmp_path / "m.onnx", verification=None).kinds()
    assert not {"Gather", "Concat", "Split", "Slice"} & set(kinds)


def test_unrolled_steps_take_no_sequence_of_another_length(tmp_path):
    made = Converted("both-ways-steps", tmp_path / "m.onnx", verification=None)
    frames = made.recorded["inputs|frames"]
    longer = np.concatenate([frames, frames[:, :1]], 1)
    with pytest.raises(Exception, match="Reshape"):
        made.session.run(None, {"frames": longer})


def test_a_squeeze_without_axes_drops_what_a_run_shows_to_be_1(tmp_path):
    made = Converted("squeezed", tmp_path / "m.onnx", verification=None)
    frames = made.recorded["inputs|frames"]
    (all_rows,) = made.session.run(None, {"frames": frames})
    (one_row,) = made.session.run(None, {"frames": frames[:1]})
    assert all_rows.shape == (3,)
    # as TensorFlow's: the batch is gone too
    assert one_row.shape == ()
    np.testing.assert_allclose(one_row, all_rows[0], 1e-6)
