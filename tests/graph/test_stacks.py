"""How cells are put together: layers, loops, lengths, directions, and what stands between."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from lstmbridge.graph.evidence import gather


def stacked(build, between=lambda below, x: below, count=2, steps=3, **options):
    """Unrolled layers; `between(h, x)` makes the next layer's input. Returns the outputs."""
    x = build.placeholder("x", -1, steps, 3)
    weights = [build.weights(f"l{k}", 3 if k == 0 else 4) for k in range(count)]
    states = [(build.zeros(), build.zeros()) for _ in weights]
    outputs = []
    for start in build.steps(x, steps):
        at = start
        for k, pair in enumerate(weights):
            states[k] = build.cell(at, *states[k], pair, **options)
            at = between(states[k][1], at) if k + 1 < count else states[k][1]
        outputs.append(at)
    return outputs


def looped(build, *, cells=1, residual=(), output=lambda h, x: h, mask=None, before=lambda x: x):
    x = build.placeholder("x", -1, 5, 3)
    weights = [build.weights(f"l{k}", 3 if k == 0 else 4) for k in range(cells)]
    initial = [build.zeros() for _ in range(2 * cells)]

    def step(at, states):
        at, new = before(at), []
        for k, pair in enumerate(weights):
            c, h = build.cell(at, states[2 * k], states[2 * k + 1], pair)
            if mask is not None:
                new += [mask(states[2 * k], c), mask(states[2 * k + 1], h)]
            else:
                new += [c, h]
            at = build.op("AddV2", h, at) if k in residual else h
        return output(at, at), new

    return build.loop(x, step, initial)


# --- layers ---


def test_unrolled_layers_are_chained(build, show):
    stacked(build, count=3)
    (run,) = show(build, "l0", "l1", "l2").runs
    assert (run.layers, run.how, run.steps) == (("l0", "l1", "l2"), "unrolled", 3)
    assert run.residual == (False, False, False)
    assert not run.constructs
    assert not run.between


def test_a_loop_is_one_run_of_its_layers(build, show):
    looped(build, cells=2)
    (run,) = show(build, "l0", "l1").runs
    assert (run.layers, run.how, run.steps) == (("l0", "l1"), "loop", None)
    assert run.time_major is False
    assert (run.lengths, run.reversed, run.constructs) == (None, "no", ())
    assert [layer["c"].kind for layer in run.initial] == ["zeros", "zeros"]


def crossed(build, sums):
    """Three layers; `sums` says what of (x, h0, h1) is added to h1 and to h2."""
    x = build.placeholder("x", -1, 5, 4)
    weights = [build.weights(f"l{k}", 4) for k in range(3)]

    def step(at, states):
        seen, new = [at], []
        for k, pair in enumerate(weights):
            c, h = build.cell(seen[-1], states[2 * k], states[2 * k + 1], pair)
            new += [c, h]
            for term in sums.get(k, ()):
                h = build.op("AddV2", h, seen[term])
            seen.append(h)
        return seen[-1], new

    return build.loop(x, step, [build.zeros() for _ in range(6)])


@pytest.mark.parametrize(
    ("sums", "spans"),
    [
        ({1: [0]}, ((0, 1),)),
        ({2: [0]}, ((0, 2),)),
        ({1: [0], 2: [0]}, ((0, 1), (0, 2))),
        ({1: [1, 0], 2: [2, 2]}, ((0, 1), (2, 2))),
    ],
)
def test_residuals_around_several_layers_are_spans(build, ask, sums, spans):
    crossed(build, sums)
    (run,) = gather(build.graph(), [ask(f"l{k}", 4) for k in range(3)]).runs
    assert run.spans == spans
    assert not run.constructs


def test_residuals_that_cross_are_no_plain_stack(build, ask):
    crossed(build, {1: [0], 2: [1]})
    (run,) = gather(build.graph(), [ask(f"l{k}", 4) for k in range(3)]).runs
    assert [construct.kind for construct in run.constructs] == ["residual"]


def test_one_cell_applied_twice_is_two_layers(build, ask):
    x = build.placeholder("x", -1, 3, 4)
    weights = build.weights("shared", 4)

    def cell(a, c, h):
        return build.cell(a, c, h, weights)

    build.layers(build.steps(x, 3), [cell, cell])
    evidence = gather(build.graph(), [ask("shared", 4)])
    assert [run.layers for run in evidence.runs] == [("shared", "shared")]


@pytest.mark.parametrize("layer", [0, 1])
def test_a_residual_is_proven_per_layer(build, show, layer):
    if layer == 0:
        x = build.placeholder("x", -1, 3, 4)
        first, second = build.weights("l0", 4), build.weights("l1", 4)
        states = [(build.zeros(), build.zeros()) for _ in range(2)]
        for at in build.steps(x, 3):
            states[0] = build.cell(at, *states[0], first)
            states[1] = build.cell(build.op("AddV2", states[0][1], at), *states[1], second)
        evidence = gather(build.graph(), [_sized("l0"), _sized("l1")])
    else:
        looped(build, cells=2, residual=(1,))
        evidence = show(build, "l0", "l1")
    (run,) = evidence.runs
    assert run.residual == (layer == 0, layer == 1)
    assert not run.constructs


def _sized(name):
    from lstmbridge.graph.findings import CellQuery

    return CellQuery(name, (f"{name}/kernel",), 4, 4, 4, f"{name}/bias")


def test_half_a_residual_is_none(build, show):
    def halved(h, x):
        return build.op("AddV2", h, build.op("Mul", h, build.const(0.5)))

    stacked(build, between=halved)
    runs = show(build, "l0", "l1").runs
    upper = next(run for run in runs if run.layers == ("l1",))
    assert upper.between[0].kind == "elementwise"


@pytest.mark.parametrize(
    ("kinds", "name"),
    [
        (("MatMul",), "projection"),
        (("MatMul", "Softmax"), "attention"),
        (("Tanh",), "computation"),
    ],
)
def test_what_stands_between_layers_is_named_with_its_node(build, show, kinds, name):
    weight = build.variable("extra", 4, 4)

    def between(h, _):
        for kind in kinds:
            h = build.op(kind, h, weight) if kind == "MatMul" else build.op(kind, h)
        return h

    stacked(build, between=between)
    runs = show(build, "l0", "l1").runs
    (found,) = next(run for run in runs if run.layers == ("l1",)).between
    assert found.kind == name
    assert found.node in build.nodes


def test_a_highway_above_an_unrolled_stack_is_named(build, show):
    weight = build.variable("carry_w", 4, 4)

    def highway(h, x):
        carry = build.op("Sigmoid", build.op("MatMul", x, weight))
        kept = build.op("Mul", x, carry)
        passed = build.op("Mul", h, build.op("Sub", build.const(1.0), carry))
        return build.op("AddV2", passed, kept)

    x = build.placeholder("x", -1, 3, 4)
    pair, state = build.weights("l0", 4), (build.zeros(), build.zeros())
    for at in build.steps(x, 3):
        state = build.cell(at, *state, pair)
        highway(state[1], at)
    (run,) = gather(build.graph(), [_sized("l0")]).runs
    assert [c.kind for c in run.constructs] == ["highway"]


# --- in and out of loops ---


def test_a_projection_of_the_output_inside_a_loop_is_a_construct(build, show):
    weight = build.variable("out", 4, 2)
    looped(build, output=lambda h, _: build.op("MatMul", h, build.read(weight)))
    (run,) = show(build, "l0").runs
    assert [c.kind for c in run.constructs] == ["projection"]


def test_a_projection_of_the_input_inside_a_loop_is_a_construct(build, show):
    weight = build.variable("in", 3, 3)
    looped(build, before=lambda x: build.op("MatMul", x, build.read(weight)))
    (run,) = show(build, "l0").runs
    assert [c.kind for c in run.constructs] == ["projection"]


def test_writing_the_state_of_the_step_before_is_a_construct(build, show):
    x = build.placeholder("x", -1, 5, 3)
    weights = build.weights("l0")

    def step(at, states):
        c, h = build.cell(at, *states, weights)
        return states[1], [c, h]

    build.loop(x, step, [build.zeros(), build.zeros()])
    (run,) = show(build, "l0").runs
    assert [c.kind for c in run.constructs] == ["state"]


def test_a_time_major_loop_says_so(build, show):
    weights = build.weights("l0")
    x = build.placeholder("x", 5, -1, 3)
    states = [build.zeros(), build.zeros()]

    def step(at, old):
        c, h = build.cell(at, *old, weights)
        return h, [c, h]

    build.loop(x, step, states, time_major=True)
    assert show(build, "l0").runs[0].time_major is True


@pytest.mark.parametrize(("axis", "shown"), [(1, "full"), (2, "no")])
def test_a_reversal_counts_only_on_the_axis_of_time(build, show, axis, shown):
    weights = build.weights("l0")
    x = build.op("ReverseV2", build.placeholder("x", -1, 5, 3), build.const([axis], np.int32))

    def step(at, old):
        c, h = build.cell(at, *old, weights)
        return h, [c, h]

    build.loop(x, step, [build.zeros(), build.zeros()])
    assert show(build, "l0").runs[0].reversed == shown


def test_unrolled_steps_taken_from_the_end_are_reversed(build, show):
    x = build.placeholder("x", -1, 4, 3)
    weights = build.weights("l0")
    build.layers(build.steps(x, 4)[::-1], [lambda a, c, h: build.cell(a, c, h, weights)])
    assert show(build, "l0").runs[0].reversed == "full"


# --- states ---


def test_a_state_that_is_scaled_before_the_next_step_is_a_construct(build, show):
    x = build.placeholder("x", -1, 5, 3)
    weights = build.weights("l0")

    def step(at, states):
        c, h = build.cell(at, *states, weights)
        return h, [build.op("Mul", c, build.const(0.99)), h]

    build.loop(x, step, [build.zeros(), build.zeros()])
    (run,) = show(build, "l0").runs
    assert run.constructs[0].kind == "state"


def test_states_that_change_places_are_a_construct(build, show):
    x = build.placeholder("x", -1, 3, 3)
    weights = build.weights("l0")
    c, h = build.zeros(), build.zeros()
    for at in build.steps(x, 3):
        h, c = build.cell(at, c, h, weights)
    constructs = [c for run in show(build, "l0").runs for c in run.constructs]
    assert {c.kind for c in constructs} == {"state"}


@pytest.mark.parametrize("kind", ["zeros", "fed", "variable", "computed"])
def test_how_a_state_begins_is_told(build, show, kind):
    begin = {
        "zeros": build.zeros,
        "fed": lambda: build.placeholder("state", -1, 4),
        "variable": lambda: build.op(
            "Tile", build.variable("learned", 1, 4), build.const([2, 1], np.int32)
        ),
        "computed": lambda: build.op("Tanh", build.placeholder("state", -1, 4)),
    }[kind]()
    weights = build.weights("l0")

    def step(at, states):
        c, h = build.cell(at, *states, weights)
        return h, [c, h]

    build.loop(build.placeholder("x", -1, 5, 3), step, [begin, build.zeros()])
    (run,) = show(build, "l0").runs
    assert run.initial[0]["c"].kind == kind
    assert run.initial[0]["h"].kind == "zeros"


# --- lengths ---


def masked(build, compare, flipped=False, shift=0):
    """States of a loop, masked by `compare(time, lengths)`."""
    lengths = build.placeholder("lengths", -1)
    weights = build.weights("l0")
    x = build.placeholder("x", -1, 5, 3)

    def step(at, states):
        time = next(n for n in build.nodes if build.nodes[n].op == "Identity" and n == "identity")
        bound = build.read(lengths)
        if shift:
            time = build.op("Add", time, build.number(shift))
        past = build.op(compare, time, bound)
        c, h = build.cell(at, *states, weights)

        def choose(old, new):
            pair = (new, old) if flipped else (old, new)
            return build.op("Select", past, *pair)

        return choose(build.read(build.zeros()), h), [choose(states[0], c), choose(states[1], h)]

    build.loop(x, step, [build.zeros(), build.zeros()])


def test_states_held_past_the_end_are_lengths(build, show):
    masked(build, "GreaterEqual")
    (run,) = show(build, "l0").runs
    assert run.lengths == "lengths"
    assert not run.constructs


def test_the_same_said_the_other_way_round_is_lengths_too(build, show):
    masked(build, "Less", flipped=True)
    (run,) = show(build, "l0").runs
    assert run.lengths == "lengths"
    assert not run.constructs


@pytest.mark.parametrize(
    ("compare", "flipped", "shift"),
    [
        ("Greater", False, 0),
        ("GreaterEqual", True, 0),
        ("Less", False, 0),
        ("GreaterEqual", False, 1),
    ],
)
def test_a_mask_that_is_off_by_one_or_upside_down_is_a_construct(
    build, show, compare, flipped, shift
):
    masked(build, compare, flipped, shift)
    (run,) = show(build, "l0").runs
    assert run.constructs


# --- dropout ---


def dropped(build, x, keep, form):
    shape = build.op("Shape", x)
    random = build.op("RandomUniform", shape)
    if form == "floor":
        mask = build.op("Floor", build.op("Add", keep, random))
        return build.op("Mul", build.op("RealDiv", x, keep), mask)
    rate = build.op("Sub", build.const(1.0), keep)
    scale = build.op("RealDiv", build.const(1.0), build.op("Sub", build.const(1.0), rate))
    if form == "select":
        whole = build.op("GreaterEqual", random, rate)
        return build.op("SelectV2", whole, build.op("Mul", x, scale), build.const(0.0))
    mask = build.op("Cast", build.op("GreaterEqual", random, rate), DstT=np.dtype("f4"))
    return build.op("Mul", build.op("Mul", x, scale), mask)


@pytest.mark.parametrize("form", ["floor", "cast", "select"])
@pytest.mark.parametrize("constant", [True, False])
def test_dropout_between_layers_is_seen_through_and_reported(build, show, form, constant):
    keep = build.const(0.8) if constant else build.placeholder("keep")
    stacked(build, between=lambda h, _: dropped(build, h, keep, form))
    evidence = show(build, "l0", "l1")
    (run,) = evidence.runs
    assert run.layers == ("l0", "l1")
    assert not run.constructs
    assert len(evidence.dropouts) >= 1


def test_a_random_mask_without_its_scale_is_no_dropout(build, show):
    def noise(h, _):
        random = build.op("RandomUniform", build.op("Shape", h))
        mask = build.op("Floor", build.op("Add", build.const(0.5), random))
        return build.op("Mul", build.op("Mul", h, build.const(3.0)), mask)

    stacked(build, between=noise)
    assert len(show(build, "l0", "l1").runs) == 2


# --- several runs ---


def test_copies_of_a_net_are_runs_of_their_own(build, show):
    weights = build.weights("l0")
    for name in ("train", "test"):
        x = build.placeholder(name, -1, 3, 3)
        build.layers(build.steps(x, 3), [lambda a, c, h: build.cell(a, c, h, weights)])
    runs = show(build, "l0").runs
    assert [run.layers for run in runs] == [("l0",), ("l0",)]


def test_a_loop_fed_by_another_loop_says_by_which(build, show):
    weights = [build.weights("l0"), build.weights("l1", 4)]
    outputs = build.placeholder("x", -1, 5, 3)
    for pair in weights:

        def step(at, old, pair=pair):
            c, h = build.cell(at, *old, pair)
            return h, [c, h]

        outputs = build.loop(outputs, step, [build.zeros(), build.zeros()])
        for node in list(build.nodes.values()):
            if node.op == "Enter" and node.attrs["frame_name"] == "while_context":
                attrs = {**node.attrs, "frame_name": pair[0]}
                build.nodes[node.name] = replace(node, attrs=attrs)
    by_layer = {run.layers[0]: run for run in show(build, "l0", "l1").runs}
    assert by_layer["l1"].inputs_from == (by_layer["l0"].name,)
    assert by_layer["l0"].inputs_from == ()


def test_feedback_of_the_output_into_the_input_is_a_construct(build, show):
    weights = build.weights("l0", 4)
    state = (build.zeros(), build.zeros())
    fed = build.op("Tanh", build.zeros())
    for _ in range(3):
        state = build.cell(fed, *state, weights)
        fed = build.op("Tanh", state[1])
    (run,) = gather(build.graph(), [_sized("l0")]).runs
    assert "feedback" in {c.kind for c in run.constructs}
