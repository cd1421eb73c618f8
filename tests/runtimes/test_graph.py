"""The source's own graph as a runtime: it agrees with a right reading and exposes a wrong one."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from lstmbridge.adapters.adapter import recognise
from lstmbridge.errors import RuntimeUnavailable
from lstmbridge.model.blocks import Model
from lstmbridge.model.facts import Fact
from lstmbridge.model.forward import forward
from lstmbridge.runtimes.graph import GraphRuntime
from lstmbridge.sources import open_source

PLAIN = ["tf012-seed-meta", "tf10-block-clip", "tf115-everything", "tf115-residual"]


@pytest.fixture
def opened(case):
    """A function: (the runtime bound to a fixture, its part)."""

    def make(name):
        source = open_source(case(name).prefix)
        part = recognise(source).parts[0]
        return GraphRuntime(source.graph(), source.tensors, part), part

    return make


def feeds_of(model, *, batch=3, steps=6):
    draw = np.random.default_rng(1)
    feeds = {"inputs": draw.normal(size=(batch, steps, model.input_size))}
    for layer in model.layers:
        for state, width in layer.cell.state_sizes.items():
            feeds[layer.initial_name(state)] = draw.normal(size=(batch, width))
    return feeds


@pytest.mark.parametrize("name", PLAIN)
def test_a_stack_s_own_loop_gives_what_its_equations_give(opened, name):
    runtime, part = opened(name)
    feeds = feeds_of(part.model)
    with runtime.open(part.model) as session:
        got = session.run(feeds)
    wanted = forward(part.model, feeds)
    assert set(got) == set(wanted)
    for output, values in wanted.items():
        # a clip of 0.3 is stored as the float32 nearest to it
        np.testing.assert_allclose(got[output], values, atol=1e-7)


def test_lengths_and_both_directions_are_run_in_the_graph(opened):
    runtime, part = opened("tf115-bidirectional-lengths")
    feeds = {**feeds_of(part.model), "sequence_length": np.array([6, 1, 4], np.int32)}
    with runtime.open(part.model) as session:
        got = session.run(feeds)
    for output, values in forward(part.model, feeds).items():
        np.testing.assert_allclose(got[output], values, atol=1e-12)


def test_states_that_are_not_fed_begin_with_zeros_whatever_the_graph_begins_with(opened):
    runtime, part = opened("tf115-seed-meta")
    inputs = {"inputs": feeds_of(part.model)["inputs"]}
    with runtime.open(part.model) as session:
        got = session.run(inputs)["outputs"]
    np.testing.assert_allclose(got, forward(part.model, inputs)["outputs"], atol=1e-12)


def test_a_reading_that_is_wrong_is_exposed_by_the_graph(opened):
    runtime, part = opened("tf115-seed-meta")
    feeds = feeds_of(part.model)
    with runtime.open(part.model) as session:
        got = session.run(feeds)["outputs"]
    wrong = Model(part.model.name, with_forget_bias(part.model.root, 0.0))
    assert np.abs(got - forward(part.model, feeds)["outputs"]).max() < 1e-12
    assert np.abs(got - forward(wrong, feeds)["outputs"]).max() > 1e-3


def with_forget_bias(root, value):
    cells = [
        replace(b, cell=replace(b.cell, forget_bias=Fact.given(value, "a wrong reading")))
        for b in root.blocks
    ]
    return replace(root, blocks=tuple(cells))


def test_without_a_graph_the_runtime_is_here_and_declines(opened):
    _, part = opened("tf115-seed-meta")
    assert GraphRuntime().info().available
    with pytest.raises(RuntimeUnavailable, match="no graph to run"):
        GraphRuntime().open(part.model)


def test_lengths_that_the_graph_does_not_have_are_declined(opened):
    runtime, part = opened("tf115-seed-meta")
    feeds = {**feeds_of(part.model), "sequence_length": np.array([6, 1, 4], np.int32)}
    with runtime.open(part.model) as session, pytest.raises(RuntimeUnavailable, match="lengths"):
        session.run(feeds)


def test_packed_states_are_declined_with_their_node(opened):
    runtime, part = opened("tf115-state-concat")
    with pytest.raises(RuntimeUnavailable, match="packed with others"):
        runtime.open(part.model)


@pytest.fixture
def made_for_3_rows_of_5_steps():
    """(the runtime bound to a graph of fixed sizes, with lengths; its part)."""
    folder = Path(__file__).resolve().parents[2] / "fixtures" / "whole" / "both-ways-fixed"
    source = open_source(folder / "frozen.pb")
    part = recognise(source).parts[0]
    return GraphRuntime(source.graph(), source.tensors, part), part


@pytest.mark.parametrize(("batch", "steps"), [(3, 5), (1, 1), (2, 4), (7, 3)])
def test_a_graph_made_for_one_size_is_run_on_that_size(made_for_3_rows_of_5_steps, batch, steps):
    runtime, part = made_for_3_rows_of_5_steps
    feeds = feeds_of(part.model, batch=batch, steps=steps)
    lengths = {"sequence_length": np.arange(batch) % steps + 1}
    for more in ({}, lengths):
        with runtime.open(part.model) as session:
            got = session.run({**feeds, **more})
        for output, values in forward(part.model, {**feeds, **more}).items():
            np.testing.assert_allclose(got[output], values, atol=1e-12)


def test_more_steps_than_a_graph_is_made_for_are_declined(made_for_3_rows_of_5_steps):
    runtime, part = made_for_3_rows_of_5_steps
    with runtime.open(part.model) as session, pytest.raises(RuntimeUnavailable, match="5 steps"):
        session.run(feeds_of(part.model, steps=6))
