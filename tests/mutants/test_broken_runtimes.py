"""What no comparison may be fooled by: none of these passes, whatever the network."""

from __future__ import annotations

import numpy as np
import pytest

from lstmbridge.model.signature import States
from lstmbridge.verify import verify


def each(function):
    return lambda outputs, _feeds: {k: function(v) for k, v in outputs.items()}


def one(name, function):
    return lambda outputs, _feeds: {k: function(v) if k == name else v for k, v in outputs.items()}


def hidden_nan(values):
    values = values.copy()
    values[..., -1] = np.nan
    return values


BROKEN = {
    "NaN everywhere": each(lambda v: np.full_like(v, np.nan)),
    "NaN in one unit of one state": one("layer0_c", hidden_nan),
    "infinite outputs": each(lambda v: np.full_like(v, np.inf)),
    "zeros": each(np.zeros_like),
    "a constant": each(lambda v: np.full_like(v, v.mean())),
    "the mean over rows": each(lambda v: np.broadcast_to(v.mean(axis=0), v.shape).copy()),
    "nothing": lambda _o, _f: {},
    "no outputs, only states": lambda o, _f: {k: v for k, v in o.items() if k != "outputs"},
    "no states": lambda o, _f: {"outputs": o["outputs"]},
    "one output more": lambda o, _f: {**o, "more": o["outputs"]},
    "other names": lambda o, _f: {k.upper(): v for k, v in o.items()},
    "float64 for float32": each(lambda v: v.astype(np.float64)),
    "float16 for float32": each(lambda v: v.astype(np.float16)),
    "float16 in float32's clothes": each(lambda v: v.astype(np.float16).astype(np.float32)),
    "integers": each(lambda v: np.round(v).astype(np.int32)),
    "a scalar that broadcasts": each(lambda v: v.ravel()[0]),
    "one row that broadcasts": each(lambda v: v.mean(axis=0, keepdims=True)),
    "an axis more": each(lambda v: v[None]),
    "empty arrays": each(lambda v: v[:0]),
    "time-major outputs": one("outputs", lambda v: v.swapaxes(0, 1).copy()),
    "the last step only": one("outputs", lambda v: v[:, -1:]),
    "outputs turned round in time": one("outputs", lambda v: v[:, ::-1].copy()),
    "rows in another order": each(lambda v: np.roll(v, 1, axis=0)),
    "units in another order": each(lambda v: np.roll(v, 1, axis=-1)),
    "the input": lambda o, f: {**o, "outputs": np.resize(f["inputs"], o["outputs"].shape)},
    "ten times the noise": each(lambda v: v * np.float32(1 + 2e-5)),
    "objects": each(lambda v: v.astype(object)),
}


@pytest.fixture(params=["inputs alone", "lengths and states"])
def subject(request, networks, artifact_of):
    model = networks.stack(units=5)
    fed = {} if request.param == "inputs alone" else {"states": States.OPTIONAL, "lengths": True}
    return model, artifact_of(model, **fed)


@pytest.mark.parametrize("broken", BROKEN)
def test_no_broken_runtime_passes(subject, puppet, honest, broken):
    model, artifact = subject
    runtime = puppet(lambda feeds: BROKEN[broken](honest(model)(feeds), feeds))
    verdict = verify(model, [(runtime, artifact)])
    assert verdict.outcome.value == "fail"
    assert verdict.runtimes[0].status == "fail"
    assert verdict.reasons


def test_one_wrong_probe_is_enough(networks, puppet, honest, artifact_of):
    model = networks.stack()

    def mostly(feeds):
        outputs = honest(model)(feeds)
        if feeds["inputs"].shape[:2] == (1, 1):
            outputs["layer0_h"] = -outputs["layer0_h"]
        return outputs

    verdict = verify(model, [(puppet(mostly), artifact_of(model))])
    assert verdict.outcome.value == "fail"
    assert verdict.runtimes[0].outputs["layer0_h"].probe == "1 x 1"


def test_a_runtime_that_changes_what_it_was_fed_is_not_believed(
    networks, puppet, honest, artifact_of
):
    model = networks.stack()

    def meddling(feeds):
        feeds["inputs"][:] = 0.0
        return honest(model)(feeds)

    with pytest.raises(ValueError, match="read-only"):
        verify(model, [(puppet(meddling), artifact_of(model))])
