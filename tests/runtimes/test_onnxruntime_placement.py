"""Where ONNX Runtime ran, read from profiles of the form that 1.32 writes."""

from __future__ import annotations

from onnx import helper

from lstmbridge.runtimes.onnxruntime_placement import (
    CPU,
    CUDA,
    Placed,
    complaint,
    misplaced,
    placements,
    reasons_to_decline,
)


def event(name, op, provider, outputs=("float",)):
    """A node's event; the fields that are not read are left out."""
    shapes = [{kind: [2, 3]} for kind in outputs]
    args = {"op_name": op, "provider": provider, "node_index": "3", "output_type_shape": shapes}
    return {"cat": "Node", "name": f"{name}_kernel_time", "dur": 3, "ph": "X", "args": args}


RECORDED = [
    {"cat": "Session", "name": "session_initialization", "args": {}},
    event("inputs/shape", "Shape", CPU, ["int64"]),
    event("steps/before_end", "Less", CPU, ["bool"]),
    event("inputs/time_major", "Transpose", CUDA),
    event("layer0", "LSTM", CUDA, ["float", "float", "float"]),
    event("layer0", "LSTM", CUDA, ["float", "float", "float"]),
    {"cat": "Session", "name": "model_run", "args": {}},
]


def test_each_node_is_listed_once_with_its_provider():
    nodes = placements(RECORDED)
    assert [(node.name, node.op, node.provider) for node in nodes] == [
        ("inputs/shape", "Shape", CPU),
        ("steps/before_end", "Less", CPU),
        ("inputs/time_major", "Transpose", CUDA),
        ("layer0", "LSTM", CUDA),
    ]


def test_shapes_and_lengths_may_be_computed_on_the_cpu():
    assert misplaced(placements(RECORDED), CUDA) == ()
    assert not complaint(placements(RECORDED), CUDA, {})


def test_a_single_number_computed_elsewhere_is_a_complaint_that_names_the_node():
    nodes = placements([*RECORDED, event("layer1/residual", "Add", CPU)])
    text = complaint(nodes, CUDA, {})
    assert text.startswith("asked for CUDAExecutionProvider, but 1 of 5 nodes ran elsewhere")
    assert "the Add node 'layer1/residual' on CPUExecutionProvider" in text


def test_the_recurrent_node_is_named_first_and_why_it_may_have_been_declined():
    nodes = placements(
        [event("layer1/residual", "Add", CPU), event("layer1", "LSTM", CPU), *RECORDED]
    )
    text = complaint(nodes, CUDA, {"layer1": "it carries clip"})
    assert "the LSTM node 'layer1' on CPUExecutionProvider (it carries clip)" in text


def test_a_node_that_ran_in_both_places_is_seen():
    nodes = placements([*RECORDED, event("layer0", "LSTM", CPU)])
    assert [node.name for node in misplaced(nodes, CUDA)] == ["layer0"]


def test_half_precision_and_double_are_numbers_too():
    for kind in ("float16", "double", "bfloat16"):
        assert misplaced(placements([event("a", "Add", CPU, [kind])]), CUDA)


def test_a_node_whose_outputs_are_not_stated_counts_as_numbers():
    assert misplaced(placements([event("a", "Add", CPU, [])]), CUDA)


def test_an_empty_profile_proves_nothing():
    for profile in ([], [{"cat": "Session", "name": "x"}], [{"cat": "Node", "name": "a_fence"}]):
        assert "names no node" in complaint(placements(profile), CUDA, {})


def test_reasons_are_the_attributes_and_inputs_that_providers_decline():
    def lstm(name, inputs=("x", "w", "r"), **attributes):
        return helper.make_node(
            "LSTM", list(inputs), ["y"], name=name, hidden_size=2, **attributes
        )

    nodes = [
        lstm("plain"),
        lstm("clipped", clip=3.0),
        lstm("other", activations=["Sigmoid", "Relu", "Relu"], activation_alpha=[1.0]),
        lstm("peephole", ("x", "w", "r", "", "", "", "", "p")),
        helper.make_node("Clip", ["y"], ["z"], name="not recurrent"),
    ]
    assert reasons_to_decline(nodes) == {
        "clipped": "it carries clip",
        "other": "it carries activation_alpha, activations",
        "peephole": "it carries a peephole input",
    }


def test_reasons_are_told_of_every_recurrent_operator():
    nodes = [
        helper.make_node("GRU", ["x", "w", "r"], ["y"], name="before", hidden_size=2),
        helper.make_node(
            "GRU", ["x", "w", "r"], ["y"], name="after", hidden_size=2, linear_before_reset=1
        ),
        helper.make_node("RNN", ["x", "w", "r"], ["y"], name="plain", hidden_size=2),
        helper.make_node(
            "RNN", ["x", "w", "r"], ["y"], name="relu", hidden_size=2, activations=["Relu"]
        ),
    ]
    assert reasons_to_decline(nodes) == {
        "before": "it carries a reset before the recurrent product",
        "relu": "it carries activations",
    }
    ran = placements([event("layer0/residual", "Add", CPU), event("before", "GRU", CPU)])
    assert "the GRU node 'before'" in complaint(ran, CUDA, reasons_to_decline(nodes))


def test_a_placement_is_a_plain_value():
    assert Placed("a", "Add", CPU, numeric=True) == Placed("a", "Add", CPU, numeric=True)
