"""What a graph shows about one cell, and what is no cell of TensorFlow's."""

from __future__ import annotations

import tracemalloc
from dataclasses import replace

import numpy as np
import pytest

from lstmbridge.graph.evidence import gather


def unrolled(build, count=3, **options):
    x = build.placeholder("x", -1, count, 3)
    weights = build.weights()
    build.layers(build.steps(x, count), [lambda a, c, h: build.cell(a, c, h, weights, **options)])


def test_a_plain_cell_is_proven_with_the_nodes_that_show_its_constants(build, show):
    unrolled(build, forget_bias=0.5)
    facts = show(build).cells["cell"].facts
    assert facts.values == (0.5, "tanh", "sigmoid", None, None, False)
    assert build.nodes[facts.forget_bias.where].op == "Const"
    assert build.nodes[facts.activation.where].op == "Tanh"
    assert build.nodes[facts.gate_activation.where].op == "Sigmoid"


def test_each_unrolled_step_is_an_application(build, show):
    unrolled(build, count=5)
    assert len(show(build).cells["cell"].applications) == 5


@pytest.mark.parametrize(
    ("op", "name"),
    [("Relu", "relu"), ("Sigmoid", "sigmoid"), ("Softsign", "softsign"), ("Relu6", "relu6")],
)
def test_the_activation_is_read_from_the_operation(build, show, op, name):
    unrolled(build, activation=op)
    assert show(build).cells["cell"].facts.activation.value == name


def test_a_clip_is_the_shortest_decimal_of_its_float32(build, show):
    unrolled(build, clip=0.3)
    assert show(build).cells["cell"].facts.cell_clip.value == 0.3


def test_a_forget_bias_of_zero_is_read_not_missed(build, show):
    unrolled(build, forget_bias=0.0)
    assert show(build).cells["cell"].facts.forget_bias.value == 0.0


@pytest.mark.parametrize("order", ["ifco", "ifoc", "fico", "icof"])
def test_gates_in_another_order_are_refused(build, show, order):
    unrolled(build, order=order)
    cell = show(build).cells["cell"]
    assert cell.facts is None
    assert "order" in cell.failures[0].detail


def test_a_clip_that_is_not_symmetric_is_refused(build, show):
    unrolled(build, clip=2.0, low=-1.0)
    cell = show(build).cells["cell"]
    assert cell.facts is None
    assert "its new c departs" in cell.failures[0].detail


def test_gates_with_different_activations_are_refused(build, show):
    unrolled(build)
    gate = next(n for n in build.nodes.values() if n.op == "Sigmoid")
    build.nodes[gate.name] = replace(gate, op="Tanh")
    cell = show(build).cells["cell"]
    assert cell.facts is None
    assert "different activations" in cell.failures[0].detail


def test_a_hidden_operation_between_product_and_gate_is_refused(build, show):
    unrolled(build)
    split = next(n for n in build.nodes.values() if n.op == "Split")
    squared = build.op("Square", split.inputs[1])
    build.nodes[split.name] = replace(split, inputs=(split.inputs[0], squared))
    cell = show(build).cells["cell"]
    assert len(cell.applications) == 2
    assert squared in cell.failures[0].detail


def test_applications_that_disagree_leave_no_facts(build, show):
    x = build.placeholder("x", -1, 2, 3)
    weights = build.weights()
    biases = iter((1.0, 0.0))
    build.layers(
        build.steps(x, 2),
        [lambda a, c, h: build.cell(a, c, h, weights, forget_bias=next(biases))],
    )
    cell = show(build).cells["cell"]
    assert [a.facts.forget_bias.value for a in cell.applications] == [1.0, 0.0]
    assert cell.facts is None


def test_a_graph_without_the_variable_says_so(build, ask):
    unrolled(build)
    cell = gather(build.graph(), [ask("elsewhere")]).cells["elsewhere"]
    assert not cell.known
    assert "elsewhere/kernel" in cell.failures[0].detail


def test_a_graph_of_another_checkpoint_is_known_by_its_shapes(build, ask):
    unrolled(build)
    cell = gather(build.graph(), [ask("cell", inputs=9)]).cells["cell"]
    assert cell.failures[0].kind == "other graph"
    assert "another checkpoint" in cell.failures[0].detail


def test_a_kernel_that_is_used_in_another_form_is_not_passed_over(build, show):
    kernel, _ = build.weights()
    build.op("MatMul", build.placeholder("x", -1, 7), build.op("Tanh", kernel))
    cell = show(build).cells["cell"]
    assert "goes through a Tanh" in cell.failures[0].detail


def test_partitions_of_a_kernel_are_put_together(build, show):
    x = build.placeholder("x", -1, 2, 3)
    parts = [build.variable(f"cell/kernel/part_{k}", rows, 16) for k, rows in enumerate((3, 2, 2))]
    kernel = build.op("ConcatV2", *parts, build.number(0))
    weights = kernel, build.variable("cell/bias", 16)
    build.layers(build.steps(x, 2), [lambda a, c, h: build.cell(a, c, h, weights)])
    assert show(build).cells["cell"].facts is not None


def test_partitions_in_another_order_are_refused(build, show):
    x = build.placeholder("x", -1, 2, 3)
    parts = [build.variable(f"cell/kernel/part_{k}", rows, 16) for k, rows in enumerate((3, 4))]
    kernel = build.op("ConcatV2", *parts[::-1], build.number(0))
    weights = kernel, build.variable("cell/bias", 16)
    build.layers(build.steps(x, 2), [lambda a, c, h: build.cell(a, c, h, weights)])
    assert show(build).cells["cell"].facts is None


def test_training_operations_are_passed_over(build, show):
    unrolled(build)
    kernel = "cell/kernel/read"
    build.op(
        "MatMul", build.zeros(), kernel, transpose_b=True, name="gradients/MatMul_grad/MatMul"
    )
    build.op("Mul", "new_c", "new_h", name="gradients/Mul_grad/Mul")
    build.op("ApplyAdam", "cell/kernel", build.zeros())
    cell = show(build).cells["cell"]
    assert cell.facts is not None
    assert not cell.failures


def block(build, kind="LSTMBlockCell", **attrs):
    x = build.placeholder("x", -1, 3)
    kernel, bias = build.weights()
    c, h, none = build.zeros(), build.zeros(), build.zeros()
    return build.op(kind, x, c, h, kernel, none, none, none, bias, **attrs)


def test_a_block_cell_tells_by_its_attributes(build, show):
    block(build, forget_bias=0.25, cell_clip=-1.0, use_peephole=False)
    assert show(build).cells["cell"].facts.values == (0.25, "tanh", "sigmoid", None, None, False)


def test_a_block_cell_without_attributes_is_clipped_at_three(build, show):
    block(build)
    facts = show(build).cells["cell"].facts
    assert facts.cell_clip.value == 3.0
    assert facts.forget_bias.value == 1.0


def test_a_block_cell_with_senseless_attributes_is_refused(build, show):
    block(build, cell_clip=(1, 2))
    assert "make no sense" in show(build).cells["cell"].failures[0].detail


def test_gates_cut_out_by_slices_are_found(build, show):
    x = build.placeholder("x", -1, 2, 3)
    weights = build.weights()
    build.layers(build.steps(x, 2), [lambda a, c, h: build.cell(a, c, h, weights)])
    for node in [n for n in build.nodes.values() if n.op == "Split"]:
        pieces = []
        for k in range(4):
            ends = build.const([0, 4 * k], "i4"), build.const([0, 4 * k + 4], "i4")
            strides = build.const([1, 1], "i4")
            pieces.append(
                build.op("StridedSlice", node.inputs[1], *ends, strides, begin_mask=1, end_mask=1)
            )
        for user in list(build.nodes.values()):
            renamed = tuple(
                pieces[int(text.partition(":")[2] or 0)]
                if text.partition(":")[0] == node.name
                else text
                for text in user.inputs
            )
            build.nodes[user.name] = replace(user, inputs=renamed)
    assert show(build).cells["cell"].facts is not None


def test_no_weights_are_read(build, show):
    unrolled(build)
    assert "load" not in gather.__code__.co_varnames
    assert show(build).cells["cell"].facts is not None


def test_a_frozen_graphs_constants_stand_for_its_variables(build, show):
    unrolled(build)
    for name, shape in (("cell/kernel", (7, 16)), ("cell/bias", (16,))):
        value = build.const(np.ones(shape))
        build.nodes[name] = replace(build.nodes.pop(value), name=name)
    assert show(build).cells["cell"].facts is not None


def test_a_wide_cell_is_proven_without_numbers_of_its_size(build, ask):
    units = 4096
    weights = build.weights("cell", 3, units)
    x = build.placeholder("x", -1, 2, 3)
    state = (build.zeros(), build.zeros())
    for at in build.steps(x, 2):
        state = build.cell(at, *state, weights)
    tracemalloc.start()
    evidence = gather(build.graph(), [ask("cell", units=units)])
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert evidence.cells["cell"].facts is not None
    # the kernel alone would be 537 MB in float64
    assert peak < 30e6
