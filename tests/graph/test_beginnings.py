"""How states begin: one row for all sequences is proven, whatever makes it of what."""

from __future__ import annotations

import numpy as np
import pytest

from lstmbridge.gates import Array

ROW = np.asarray([[0.5, -1.0, 2.0, 0.25]], np.float32)


def batch_of(build, x):
    """The number of rows of `x`, as TensorFlow writes `tf.shape(x)[0]`."""
    shape = build.op("Shape", x)
    bounds = [build.const([k], np.int32) for k in (0, 1, 1)]
    return build.op("StridedSlice", shape, *bounds, shrink_axis_mask=1)


def tiled(build, x):
    row = build.variable("init", 1, 4)
    times = build.op("Pack", batch_of(build, x), build.number(1), axis=0)
    return build.op("Tile", row, times)


def times_ones(build, x):
    row = build.variable("init", 1, 4)
    shape = build.op("Pack", batch_of(build, x), build.number(1), axis=0)
    return build.op("Mul", build.op("Fill", shape, build.const(1.0)), row)


def vector_added_to_zeros(build, x):
    shape = build.op("Pack", batch_of(build, x), build.number(4), axis=0)
    return build.op("AddV2", build.op("Fill", shape, build.const(0.0)), build.variable("init", 4))


def row_of_a_stack(build, x):
    stack = build.variable("init", 2, 1, 4)
    row = build.op("Unpack", stack, num=2, axis=0)
    times = build.op("Pack", batch_of(build, x), build.number(1), axis=0)
    return build.op("Tile", f"{row}:1", times)


def looked_up(build, x):
    which = build.op("Fill", build.op("Pack", batch_of(build, x), axis=0), build.number(0))
    return build.op("GatherV2", build.variable("init", 3, 4), which, build.number(0))


def multiplied_by_ones(build, x):
    shape = build.op("Pack", batch_of(build, x), build.number(1), axis=0)
    return build.op(
        "MatMul", build.op("Fill", shape, build.const(1.0)), build.variable("init", 1, 4)
    )


def squashed(build, x):
    times = build.op("Pack", batch_of(build, x), build.number(1), axis=0)
    return build.op("Tile", build.op("Tanh", build.variable("init", 1, 4)), times)


def for_a_fed_number_of_rows(build, _x):
    rows = build.op("Placeholder", name="batch_size", shape=(), dtype=np.dtype(np.int32))
    times = build.op("Pack", rows, build.number(1), axis=0)
    return build.op("Tile", build.variable("init", 1, 4), times)


def for_seven_rows(build, _x):
    return build.op("Tile", build.variable("init", 1, 4), build.const([7, 1], np.int32))


LEARNED = {
    "tiled": (tiled, (1, 4), lambda v: v[0]),
    "times ones": (times_ones, (1, 4), lambda v: v[0]),
    "added to zeros": (vector_added_to_zeros, (4,), lambda v: v),
    "a row of a stack": (row_of_a_stack, (2, 1, 4), lambda v: v[1, 0]),
    "looked up": (looked_up, (3, 4), lambda v: v[0]),
    "ones times it": (multiplied_by_ones, (1, 4), lambda v: v[0]),
    "a function of it": (squashed, (1, 4), lambda v: np.tanh(v[0])),
    "the batch is fed": (for_a_fed_number_of_rows, (1, 4), lambda v: v[0]),
    "the batch is fixed": (for_seven_rows, (1, 4), lambda v: v[0]),
}


def states_of(build, show, begin, *, looped):
    """How c and h of one cell begin whose c begins with `begin(build, x)`."""
    weights = build.weights()
    x = build.placeholder("x", -1, 5, 3)
    c, h = begin(build, x), build.zeros()
    if looped:

        def step(at, states):
            new = build.cell(at, *states, weights)
            return new[1], list(new)

        build.loop(x, step, [c, h])
    else:
        for at in build.steps(x, 3):
            c, h = build.cell(at, c, h, weights)
    [run] = show(build, "cell").runs
    assert not run.constructs
    return run.initial[0]


@pytest.mark.parametrize("looped", [False, True], ids=["unrolled", "loop"])
@pytest.mark.parametrize(("begin", "shape", "row"), LEARNED.values(), ids=LEARNED.keys())
def test_a_learned_state_is_one_row_made_of_its_variable(
    build, show, begin, shape, row, *, looped
):
    found = states_of(build, show, begin, looped=looped)
    assert found["h"].kind == "zeros"
    assert (found["c"].kind, found["c"].node) == ("variable", "init")
    assert found["c"].row.shapes == {"init": shape}
    numbers: Array = np.random.default_rng(1).normal(size=shape)
    assert np.array_equal(found["c"].row({"init": numbers}), row(numbers))


@pytest.mark.parametrize("looped", [False, True], ids=["unrolled", "loop"])
def test_a_constant_state_is_one_row_of_no_variable(build, show, *, looped):
    def constant(build, x):
        times = build.op("Pack", batch_of(build, x), build.number(1), axis=0)
        return build.op("Tile", build.const(ROW), times)

    found = states_of(build, show, constant, looped=looped)["c"]
    assert (found.kind, found.row.shapes) == ("constant", {})
    assert np.array_equal(found.row({}), ROW[0])


def test_what_comes_to_nothing_is_zeros(build, show):
    def nothing(build, x):
        shape = build.op("Pack", batch_of(build, x), build.number(4), axis=0)
        return build.op("Mul", build.op("Fill", shape, build.const(0.0)), build.const(ROW))

    assert states_of(build, show, nothing, looped=True)["c"].kind == "zeros"


def a_row_for_each(build, _x):
    return build.variable("init", 3, 4)


def fed(build, _x):
    return build.placeholder("state", -1, 4)


def fed_and_learned(build, x):
    return build.op("AddV2", build.placeholder("state", -1, 4), tiled(build, x))


def of_the_inputs(build, x):
    first = build.op("Unpack", x, num=5, axis=1)
    kernel = build.variable("init", 3, 4)
    return build.op("MatMul", first, kernel)


def at_random(build, x):
    shape = build.op("Pack", batch_of(build, x), build.number(4), axis=0)
    return build.op("RandomStandardNormal", shape)


def numbered(build, x):
    """Each row begins with its own number."""
    rows = build.op("Range", build.number(0), batch_of(build, x), build.number(1))
    column = build.op("ExpandDims", build.op("Cast", rows, DstT=np.float32), build.number(1))
    return build.op("Mul", column, build.variable("init", 1, 4))


@pytest.mark.parametrize(
    ("begin", "kind"),
    [
        (a_row_for_each, "variable"),
        (fed, "fed"),
        (fed_and_learned, "computed"),
        (of_the_inputs, "computed"),
        (at_random, "computed"),
        (numbered, "computed"),
    ],
)
@pytest.mark.parametrize("looped", [False, True], ids=["unrolled", "loop"])
def test_what_is_not_one_row_for_all_is_not_taken_for_one(build, show, begin, kind, *, looped):
    found = states_of(build, show, begin, looped=looped)["c"]
    assert (found.kind, found.row) == (kind, None)
