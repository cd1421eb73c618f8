"""A whole model's verdict: honest runtimes pass, every planted mistake fails, silence never passes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from lstmbridge.contracts import (
    Artifact,
    Hints,
    LedgerReport,
    Outcome,
    RuntimeInfo,
    Signature,
    TensorSpec,
)
from lstmbridge.errors import NotRecognised, RuntimeUnavailable, UsageError
from lstmbridge.sources import open_source
from lstmbridge.verify import VerifyOptions
from lstmbridge.verify.probes import frozen
from lstmbridge.verify.wholes import trials, verify_whole
from lstmbridge.verify.wholes.faults import WholeFault, whole_faults
from lstmbridge.verify.wholes.feeding import Sizes, recipe_of, stronger, widened
from lstmbridge.verify.wholes.ground import Ground
from lstmbridge.verify.wholes.reference import rounded
from lstmbridge.whole_models import whole_from

FOLDER = Path(__file__).resolve().parents[3] / "fixtures" / "graphs"
MODELS = {
    "classifier": FOLDER / "frozen-classifier" / "frozen.pb",
    "translator": FOLDER / "frozen-translator" / "frozen.pb",
    "tagger": FOLDER / "saved-tagger" / "saved_model",
    "streaming": FOLDER.parent / "whole" / "streaming" / "frozen.pb",
}


def whole_of(name):
    with_source = open_source(MODELS[name])
    whole, _ = whole_from(with_source, Hints())
    return whole


class Session:
    """What an artifact computes, said by a function of widened feeds."""

    precision = "float32"
    device = "cpu"

    def __init__(self, compute):
        self._compute = compute

    def run(self, feeds):
        return self._compute(widened(feeds))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        return None


class Runtime:
    name = "stand-in"
    runs = "onnx"

    def __init__(self, compute):
        self._compute = compute

    def info(self):
        return RuntimeInfo(self.name, available=True, version="1")

    def open(self, _artifact):
        if self._compute is None:
            raise RuntimeUnavailable("not today", where=self.name)
        return Session(self._compute)


def stored(whole, outputs):
    """Outputs in the ports' dtypes, as a runtime gives them."""
    dtypes = {port.name: port.dtype for port in whole.outputs}
    return {name: np.asarray(a).astype(dtypes[name]) for name, a in outputs.items()}


def artifact_of(whole):
    def specs(ports):
        return tuple(TensorSpec(p.name, ("n",) * len(p.shape or ()), p.dtype) for p in ports)

    signature = Signature(specs(whole.inputs), specs(whole.outputs))
    return Artifact(Path("model.onnx"), "onnx", signature, "float32")


def verdict_of(whole, compute, **options):
    return verify_whole(
        whole,
        [(Runtime(compute), artifact_of(whole))],
        options=VerifyOptions(**options),
        ledgers={"model.onnx": LedgerReport(1)},
    )


@pytest.mark.parametrize("name", MODELS)
def test_a_runtime_that_rounds_as_float32_does_passes(name):
    whole = whole_of(name)
    honest = rounded(whole, "float32", seed=12345)
    found = verdict_of(whole, lambda feeds: stored(whole, honest.run(feeds)))
    assert found.outcome is Outcome.PASS, found.reasons
    assert found.faults.planted > 15
    assert found.comparisons > 100


@pytest.mark.parametrize("name", MODELS)
def test_every_mistake_that_was_said_to_be_caught_never_passes(name):
    whole = whole_of(name)
    honest = verdict_of(whole, lambda feeds: stored(whole, whole.run(feeds)))
    bounded = replace(whole, most=500)
    faults = {fault.name: fault for fault in whole_faults(bounded)}
    caught = honest.faults.caught_names
    assert caught
    # they differ much: a few of each model stand for all
    for fault_name in caught[:: max(1, len(caught) // 5)]:

        def compute(feeds, run=faults[fault_name].run):
            try:
                return stored(whole, run(Ground(bounded, feeds)))
            except NotRecognised as error:
                raise RuntimeUnavailable(error.read, where="stand-in") from error

        found = verdict_of(whole, compute)
        assert found.outcome is not Outcome.PASS, fault_name


def test_a_runtime_that_is_not_there_proves_nothing():
    found = verdict_of(whole_of("tagger"), None)
    assert found.outcome is Outcome.INCONCLUSIVE
    assert "no runtime ran model.onnx" in found.reasons


def test_a_missing_output_fails():
    whole = whole_of("tagger")

    def one_only(feeds):
        return {"logits": stored(whole, whole.run(feeds))["logits"]}

    found = verdict_of(whole, one_only)
    assert found.outcome is Outcome.FAIL
    assert "probabilities" in found.reasons[0]


def test_nan_in_place_of_numbers_fails():
    whole = whole_of("tagger")

    def broken(feeds):
        return {k: np.full_like(v, np.nan) for k, v in stored(whole, whole.run(feeds)).items()}

    assert verdict_of(whole, broken).outcome is Outcome.FAIL


def test_words_are_probed_within_the_vocabulary_and_not_only_by_two_of_them():
    whole = whole_of("tagger")
    recipe = recipe_of(whole, seed=0)
    rows = next(
        np.shape(whole.program.weights(op))[0]
        for op in whole.program.tracer.network.ops.values()
        if "embedding" in op.name and op.kind in {"VariableV2", "VarHandleOp"}
    )
    assert rows // 2 < recipe.bounds["words"] <= rows


def test_the_users_own_feeds_join_the_probes():
    whole = whole_of("classifier")
    data = {"frames": np.ones((2, 5, 3), np.float32)}
    seen = []

    def compute(feeds):
        seen.append(feeds["frames"].shape)
        return stored(whole, whole.run(feeds))

    assert verdict_of(whole, compute, data=data).outcome is Outcome.PASS
    assert (2, 5, 3) in seen


def test_feeds_that_lack_an_input_are_refused():
    with pytest.raises(UsageError, match="frames"):
        verdict_of(whole_of("classifier"), None.__class__, data={"other": np.ones(2)})


def test_a_tolerance_stands_in_for_the_noise_floor_only_where_numbers_are_floating():
    whole = whole_of("classifier")

    def off(feeds):
        return {k: v + np.float32(1e-3) for k, v in stored(whole, whole.run(feeds)).items()}

    assert verdict_of(whole, off).outcome is Outcome.FAIL
    assert verdict_of(whole, off, tolerance=2e-3).outcome is not Outcome.FAIL


class Windowed:
    """A model whose windows need at least so many steps; enough of a `Whole` to be fed."""

    def __init__(self, whole, least):
        self.inputs = whole.inputs
        self.places = ()
        self.program = whole.program
        self._least = least

    def run(self, feeds):
        if feeds["frames"].shape[1] < self._least:
            raise NotRecognised("the window is larger than the image", where="pool")
        return {}


def test_models_whose_windows_need_long_inputs_are_fed_long_inputs():
    found = recipe_of(Windowed(whole_of("classifier"), 15), seed=0)
    assert found.scale > 1


def test_what_no_input_fits_is_said_in_the_words_of_the_first_try():
    with pytest.raises(ValueError, match="window is larger"):
        recipe_of(Windowed(whole_of("classifier"), 10_000), seed=0)


class Built(Windowed):
    """A model that was built for one batch."""

    def run(self, feeds):
        if len(feeds["frames"]) != self._least:
            raise NotRecognised("operands could not be broadcast together", where="add")
        return {}


@pytest.mark.parametrize("batch", [1, 2, 3, 20, 19])
def test_a_graph_that_was_built_for_one_batch_is_fed_that_batch(batch):
    whole = whole_of("classifier")
    if batch == 19:
        with pytest.raises(ValueError, match="broadcast"):
            recipe_of(Built(whole, batch), seed=0)
        return
    found = recipe_of(Built(whole, batch), seed=0)
    assert found.shape(whole.inputs[0], Sizes(7, 9))[0] == batch


def test_a_scalar_is_fed_as_a_scalar():
    assert frozen(np.asarray(3)).shape == ()


def test_an_axis_of_one_beside_the_batch_does_not_make_all_of_a_time_major_model_be_fed_one_row():
    whole = whole_of("streaming")
    recipe = recipe_of(whole, seed=0)
    shapes = {port.name: recipe.shape(port, Sizes(3, 7)) for port in whole.inputs}
    assert shapes == {"x": (7, 3, 4), "lengths": (3,), "states": (1, 3, 8)}


def test_replicas_of_one_precision_read_the_constants_of_a_model_once():
    whole = whole_of("streaming")
    recipe = recipe_of(whole, seed=0)
    feeds = widened(recipe.feeds(whole, Sizes(2, 3), np.random.default_rng(0)))
    first, second = (rounded(whole, "float32", seed) for seed in (1, 2))
    one = first.run(feeds)["probs"]
    assert not np.array_equal(one, second.run(feeds)["probs"])
    assert np.array_equal(one, rounded(whole, "float32", 1).run(feeds)["probs"])
    assert first.program.words is not second.program.words
    assert not np.array_equal(rounded(whole, "float16", 1).run(feeds)["probs"], one)


def test_stronger_probes_fade_along_time_and_hold_one_value():
    whole = whole_of("streaming")
    made = {
        probe.name: probe for _, probe in stronger(whole, recipe_of(whole, 0), VerifyOptions())
    }
    (fading,) = (probe for name, probe in made.items() if "fading" in name)
    x = np.abs(fading.feeds["x"])
    assert x[0].max() > 1e6 * x[-1].max() > 0
    (constant,) = (probe for name, probe in made.items() if "constant" in name)
    x = constant.feeds["x"]
    assert len(x) > 2
    assert np.array_equal(x, np.broadcast_to(x[:1], x.shape))


def test_a_mistake_below_rounding_is_named_and_no_doubt(monkeypatch):
    whole = whole_of("tagger")
    name = "a mistake below rounding"

    def run(ground):
        right = ground.changed(replace(ground.program))
        return {k: v * (1.0 + 1e-10) if v.dtype.kind == "f" else v for k, v in right.items()}

    planted = [*whole_faults(whole), WholeFault(name, run)]
    monkeypatch.setattr(trials, "whole_faults", lambda _whole: planted)
    found = verdict_of(whole, lambda feeds: stored(whole, whole.run(feeds)))
    assert found.outcome is Outcome.PASS, found.reasons
    assert found.faults.drowned == (name,)
    assert name in found.faults.indistinguishable
    assert name not in found.faults.caught_names
    assert any(name in line and "less than rounding" in line for line in found.not_run)
