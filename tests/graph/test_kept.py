"""A run that is kept gives of a changed program what the changed program gives by itself."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from lstmbridge.contracts import Hints
from lstmbridge.errors import NotRecognised
from lstmbridge.graph.asked import whole_of
from lstmbridge.graph.kept import Kept
from lstmbridge.graph.ops import OPS
from lstmbridge.graph.trace import VARIABLES
from lstmbridge.sources import open_source
from lstmbridge.verify.wholes.feeding import Sizes, recipe_of, widened
from lstmbridge.verify.wholes.paths import operations_around
from lstmbridge.whole_models import whole_from

FOLDER = Path(__file__).resolve().parents[2] / "fixtures" / "whole"
CASES = ["labeller", "scanner", "searcher", "streaming", "tagger", "translator"]


@pytest.fixture
def model():
    """`model(case)`: a fixture's model, and its recorded feeds."""

    def load(case):
        card = json.loads((FOLDER / case / "card.json").read_text())
        source = open_source(FOLDER / case / "frozen.pb")

        def weights(op):
            return source.tensors[op.name].load().astype(np.float64)

        outputs = [at.removesuffix(":0") for at in card["outputs"].values()]
        whole = whole_of(source.graph(), weights, outputs=outputs, settings={})
        with np.load(FOLDER / case / "expected.npz") as stored:
            feeds = {
                at.removesuffix(":0"): stored[f"inputs|{name}"].astype(
                    np.int64 if stored[f"inputs|{name}"].dtype.kind == "i" else np.float64
                )
                for name, at in card["inputs"].items()
            }
        return whole, feeds

    return load


def kept(whole, feeds):
    return Kept(whole.program, whole.fed(feeds), [p.tensor for p in whole.outputs], 200)


def same(kept_run, program, ops, fed, given=None):
    """Whether both ways give the same bits; the values."""
    wanted = kept_run.wanted
    fresh = replace(program)
    failed, right = "", None
    try:
        right = fresh.run({**fed, **(given or {})}, wanted, most=200)
    except NotRecognised as error:
        failed = error.where
    if right is None:
        with pytest.raises(NotRecognised) as caught:
            kept_run.changed(program, ops, given)
        assert caught.value.where == failed
        return None
    got = kept_run.changed(program, ops, given)
    for tensor in wanted:
        np.testing.assert_array_equal(got[tensor], right[tensor])
    return right


@pytest.mark.parametrize("case", CASES)
def test_operations_that_mean_something_else(case, model):
    whole, feeds = model(case)
    run = kept(whole, feeds)
    ops = whole.program.tracer.network.ops.values()
    known = [op for op in ops if op.kind in OPS and op.kind not in {*VARIABLES, "Const"}]
    differing = 0

    def wrong(w, op, args):
        made = list(OPS[op.kind](w, op, args))
        return [v + 1 if v.dtype.kind in "if" else ~v for v in map(np.asarray, made)]

    for op in known[:: max(1, len(known) // 40)]:
        program = replace(whole.program, defines={op.name: wrong})
        found = same(run, program, [op.name], whole.fed(feeds))
        changed = found is None or any(
            found[t].shape != v.shape or not np.array_equal(found[t], v)
            for t, v in run.values.items()
        )
        differing += changed
    assert differing > 2


def test_weights_that_are_others():
    source = open_source(FOLDER.parent / "graphs" / "saved-tagger" / "saved_model")
    whole, _ = whole_from(source, Hints())
    feeds = widened(recipe_of(whole, 0).feeds(whole, Sizes(2, 3), np.random.default_rng(0)))
    run = kept(whole, feeds)
    right = whole.program.weights
    variables = [op for op in operations_around(whole) if op.kind in VARIABLES]
    differing = 0
    for op in variables:

        def weights(asked, name=op.name):
            return right(asked) * 2.0 if asked.name == name else right(asked)

        program = replace(whole.program, weights=weights)
        found = same(run, program, [op.name], whole.fed(feeds))
        differing += any(not np.array_equal(found[t], v) for t, v in run.values.items())
    assert differing > 2


@pytest.mark.parametrize("case", CASES)
def test_values_that_are_given_in_place_of_computed(case, model):
    whole, feeds = model(case)
    run = kept(whole, feeds)
    network = whole.program.tracer.network
    given = 0
    for op in list(network.ops.values())[::7]:
        at = whole.program.tracer.guarded((op.name, 0))
        if whole.program.place(at)[0] or op.kind not in OPS or at in whole.fed(feeds):
            continue
        try:
            value = np.asarray(run.value(at))
        except NotRecognised:
            continue
        if value.dtype.kind == "f":
            same(run, replace(whole.program), (), whole.fed(feeds), {at: value * 0.5})
            given += 1
    assert given


def test_what_is_right_stays_so_after_all_of_it(model):
    whole, feeds = model("translator")
    run = kept(whole, feeds)
    before = {tensor: value.copy() for tensor, value in run.values.items()}
    for op in list(whole.program.tracer.network.ops.values())[::50]:
        if op.kind in {"AddV2", "MatMul", "Mul"}:
            run.changed(replace(whole.program, defines={op.name: OPS["ZerosLike"]}), [op.name])
    fresh = whole.run(feeds)
    for port in whole.outputs:
        np.testing.assert_array_equal(before[port.tensor], fresh[port.name])
