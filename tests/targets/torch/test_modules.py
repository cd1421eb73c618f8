"""The modules compute what the equations say, whatever the topology, dtype and lengths."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import pytest

import lstmbridge.torch
from lstmbridge.arrays import Rounding
from lstmbridge.contracts import TargetOptions
from lstmbridge.errors import UsageError
from lstmbridge.model.blocks import Model
from lstmbridge.model.forward import forward
from lstmbridge.targets.torch import TorchTarget

torch = pytest.importorskip("torch")
pytestmark = [
    pytest.mark.torch,
    # PyTorch says once which kernel it does not take; nothing to do with numbers
    pytest.mark.filterwarnings("ignore:LSTM with projections"),
]


def loaded(model: Model, folder: Path, suffix: str = ".safetensors", **options: Any) -> Any:
    path = folder / f"model{suffix}"
    TorchTarget().write(model, path, TargetOptions(**options), {})
    return lstmbridge.torch.load(path)


def call(module: Any, feeds: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    dtype = next(module.parameters()).dtype
    tensors = {
        name: torch.from_numpy(a).to(dtype if a.dtype.kind == "f" else torch.int64)
        for name, a in feeds.items()
    }
    with torch.inference_mode():
        out = module(**tensors)
    assert {tensor.dtype for tensor in out.values()} == {dtype}
    return {name: tensor.double().numpy() for name, tensor in out.items()}


def worst(a: dict[str, np.ndarray], b: dict[str, np.ndarray]) -> float:
    assert a.keys() == b.keys()
    apart = []
    for name, value in a.items():
        assert value.shape == b[name].shape, name
        apart.append(float(np.max(np.abs(value - b[name]), initial=0.0)))
    return max(apart)


@pytest.mark.parametrize("lengths", [True, False])
@pytest.mark.parametrize("states", [True, False])
def test_a_float64_module_equals_the_oracle(
    kind: str, lab: Any, lengths: bool, states: bool
) -> None:
    model = lab.model(kind)
    module = loaded(model, lab.folder)
    for seed in range(2):
        feeds = lab.feeds(model, seed=seed, lengths=lengths, states=states)
        assert worst(call(module, feeds), forward(model, feeds)) < 1e-12


@pytest.mark.parametrize(
    ("dtype", "precision"),
    [(np.float32, "float32"), (np.float16, "float16"), (ml_dtypes.bfloat16, "bfloat16")],
)
def test_a_narrow_module_stays_within_the_noise_floor(
    kind: str, lab: Any, dtype: Any, precision: str
) -> None:
    model = lab.model(kind, dtype=dtype)
    feeds = lab.feeds(model, dtype=dtype)
    exact = forward(model, feeds)
    replicas = [forward(model, feeds, ops=Rounding(precision, seed)) for seed in range(8)]
    mine = call(loaded(model, lab.folder), feeds)
    for name, value in exact.items():
        floor = max(float(np.max(np.abs(r[name] - value), initial=0.0)) for r in replicas)
        assert np.max(np.abs(mine[name] - value), initial=0.0) <= 2 * floor, name


def test_all_rows_full_is_the_same_as_no_lengths(lab: Any) -> None:
    model = lab.model("two stacks, unlike")
    feeds = lab.feeds(model, lengths=False)
    full = feeds | {"sequence_length": np.full(4, 6, np.int32)}
    module = loaded(model, lab.folder)
    assert worst(call(module, full), call(module, feeds)) < 1e-12


def test_rows_of_length_zero_alone_keep_their_states(sample: str, lab: Any) -> None:
    model = lab.model(sample)
    feeds = lab.feeds(model) | {"sequence_length": np.zeros(4, np.int32)}
    out = call(loaded(model, lab.folder), feeds)
    assert not out["outputs"].any()
    for name in out.keys() - {"outputs"}:
        np.testing.assert_array_equal(out[name], feeds[f"initial_{name}"])


@pytest.mark.parametrize(
    ("batch", "time", "lengths"),
    [(0, 5, True), (0, 5, False), (3, 0, True), (3, 0, False), (0, 0, True), (1, 1, False)],
)
def test_empty_batches_and_no_steps_are_no_special_case(
    kind: str, lab: Any, batch: int, time: int, lengths: bool
) -> None:
    model = lab.model(kind)
    feeds = lab.feeds(model, batch=batch, time=time, lengths=lengths)
    assert worst(call(loaded(model, lab.folder), feeds), forward(model, feeds)) < 1e-12


def test_nan_past_the_end_of_a_row_is_never_seen(sample: str, lab: Any) -> None:
    model = lab.model(sample)
    feeds = lab.feeds(model)
    clean = call(loaded(model, lab.folder), feeds)
    for row, length in enumerate(feeds["sequence_length"]):
        feeds["inputs"][row, length:] = np.nan
    dirty = call(loaded(model, lab.folder), feeds)
    assert worst(clean, dirty) < 1e-12


def test_gradients_reach_every_parameter_and_the_states(kind: str, lab: Any) -> None:
    model = lab.model(kind)
    module = loaded(model, lab.folder).train()
    feeds = {name: torch.from_numpy(a) for name, a in lab.feeds(model).items()}
    feeds = {n: a.requires_grad_(a.is_floating_point()) for n, a in feeds.items()}
    sum(value.square().sum() for value in module(**feeds).values()).backward()
    for name, parameter in module.named_parameters():
        assert parameter.grad is not None, name
        assert bool(torch.isfinite(parameter.grad).all()), name
        assert bool(parameter.grad.any()), name
    assert all(f.grad is not None for n, f in feeds.items() if n != "sequence_length")


def test_gradients_equal_a_difference_quotient(lab: Any) -> None:
    model = lab.model("everything")
    module = loaded(model, lab.folder)
    feeds = {name: torch.from_numpy(a) for name, a in lab.feeds(model).items()}
    weight = module.get_parameter("layers.0.peephole_o")
    module(**feeds)["outputs"].sum().backward()
    step = 1e-6
    with torch.no_grad():
        sums = []
        for sign in (1, -1):
            weight[1] += sign * step
            sums.append(float(module(**feeds)["outputs"].sum()))
            weight[1] -= sign * step
    assert (sums[0] - sums[1]) / (2 * step) == pytest.approx(float(weight.grad[1]), rel=1e-6)


def test_a_module_follows_a_change_of_dtype(sample: str, lab: Any) -> None:
    model = lab.model(sample, dtype=np.float32)
    feeds = lab.feeds(model, dtype=np.float32)
    module = loaded(model, lab.folder).double()
    assert worst(call(module, feeds), forward(model, feeds)) < 1e-6


def test_loading_draws_no_random_number(lab: Any) -> None:
    before = torch.get_rng_state()
    loaded(lab.model("uniform"), lab.folder)
    assert torch.equal(torch.get_rng_state(), before)


def test_a_loaded_module_is_in_evaluation_mode_and_trainable(lab: Any) -> None:
    module = loaded(lab.model("clipped below"), lab.folder)
    assert not module.training
    assert all(p.requires_grad and not p.is_meta for p in module.parameters())


def test_a_module_can_be_saved_and_loaded_by_its_own_state_dict(sample: str, lab: Any) -> None:
    model = lab.model(sample)
    one, other = loaded(model, lab.folder), loaded(lab.model(sample, seed=9), lab.folder)
    feeds = lab.feeds(model)
    assert worst(call(one, feeds), call(other, feeds)) > 1e-6
    other.load_state_dict(one.state_dict())
    assert worst(call(one, feeds), call(other, feeds)) < 1e-12


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"inputs": np.zeros((4, 6, 9))}, r"inputs has shape \(4, 6, 9\)"),
        ({"inputs": np.zeros((4, 6))}, "inputs has shape"),
        ({"inputs": np.zeros((4, 6, 3), np.float32)}, "inputs has dtype torch.float32"),
        ({"initial_layer7_h": np.zeros((4, 5))}, "no input initial_layer7_h"),
        ({"initial_layer0_h": np.zeros((4, 6))}, "initial_layer0_h has shape"),
        ({"initial_layer0_h": np.zeros((3, 5))}, "initial_layer0_h has shape"),
        ({"sequence_length": np.array([1, 2])}, r"sequence_length has shape \(2,\)"),
        ({"sequence_length": np.array([1.0, 2, 3, 4])}, "float"),
        ({"sequence_length": np.array([7, 0, 0, 0])}, "runs from 0 to 7"),
        ({"sequence_length": np.array([3, -1, 0, 0])}, "runs from -1 to 3"),
    ],
)
def test_wrong_feeds_are_refused_by_name(
    lab: Any, change: dict[str, np.ndarray], said: str
) -> None:
    model = lab.model("uniform")
    feeds = {**lab.feeds(model), **change}
    with pytest.raises(UsageError, match=said):
        loaded(model, lab.folder)(**{name: torch.from_numpy(a) for name, a in feeds.items()})


def test_a_module_can_be_copied(lab: Any) -> None:
    model = lab.model("everything")
    module = loaded(model, lab.folder)
    twin = copy.deepcopy(module)
    feeds = lab.feeds(model)
    assert worst(call(module, feeds), call(twin, feeds)) < 1e-12
    with torch.no_grad():
        twin.get_parameter("layers.0.kernel").zero_()
    assert worst(call(module, feeds), call(twin, feeds)) > 1e-3
