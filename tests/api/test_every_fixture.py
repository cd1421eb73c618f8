"""Every cell that a real TensorFlow wrote converts, and gives what that TensorFlow computed.

The artifact that ships is run by its own runtime, here, without any code of ours, and compared
with the recorded numbers. What is allowed is what rounding does on these weights.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest

import lstmbridge
from lstmbridge.arrays import Rounding
from lstmbridge.contracts import Hints, Outcome, States, TargetOptions
from lstmbridge.errors import CannotExpress
from lstmbridge.model.forward import forward

FIXTURES = Path(__file__).resolve().parents[2] / "fixtures"
CARDS = {card.parent.name: json.loads(card.read_text()) for card in FIXTURES.glob("*/card.json")}
REFUSED = {"tf115-attention": "AttentionCellWrapper"}
"""No exact form is known: what it computes depends on more than a cell and its input."""
BEGUN = {name for name, card in CARDS.items() if "initial_state" in card["hparams"]}
"""Only a graph shows what their states begin with."""
UNKNOWN = {name for name in BEGUN if not CARDS[name]["meta"]}
CONVERTED = sorted(CARDS.keys() - REFUSED.keys() - UNKNOWN)
PARTS = {"tf115-encoder-decoder": "encoder/rnn"}


def hints_for(case: Any, **more: Any) -> Hints:
    said = {**case.card["needs"], **more}
    if "residual" in case.card["hparams"]:
        said["residual"] = True
    return Hints(select=PARTS.get(case.folder.name), **said)


def options_for(case: Any) -> TargetOptions:
    fed = any(name.startswith("initial_") for name in case.expected)
    return TargetOptions(
        states=States.REQUIRED if fed else States.NONE,
        sequence_length="sequence_length" in case.expected,
    )


def recorded(case: Any, name: str) -> np.ndarray:
    return case.expected[name if name in case.expected else f"encoder_{name}"]


def allowed(case: Any, model: lstmbridge.Model, outputs: set[str]) -> dict[str, float]:
    """Four times the largest spread of eight runs that round as TensorFlow's precision does."""
    precision = case.card["hparams"].get("dtype", "float32")
    feeds = {k: v for k, v in case.expected.items() if k in {"inputs", "sequence_length"}}
    feeds |= {k: v for k, v in case.expected.items() if k.startswith("initial_")}
    exact = forward(model, feeds)
    spread = dict.fromkeys(outputs, 0.0)
    for seed in range(8):
        noisy = forward(model, feeds, ops=Rounding(precision, seed))
        for name in outputs:
            spread[name] = max(spread[name], float(np.max(np.abs(noisy[name] - exact[name]))))
    return {name: 4 * value for name, value in spread.items()}


def run_onnx(path: Path, case: Any) -> dict[str, np.ndarray]:
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    kinds = {"tensor(float)": "f4", "tensor(double)": "f8", "tensor(float16)": "f2"}
    feeds = {
        i.name: case.expected[i.name].astype(kinds.get(i.type, "i4")) for i in session.get_inputs()
    }
    names = [o.name for o in session.get_outputs()]
    return dict(zip(names, session.run(None, feeds), strict=True))


@pytest.mark.parametrize("name", CONVERTED)
def test_the_onnx_file_gives_what_tensorflow_gave(name: str, case: Any, tmp_path: Path) -> None:
    one = case(name)
    hints = hints_for(one, ignore_graph=name not in BEGUN)
    done = lstmbridge.convert(
        one.prefix, to="onnx", output=tmp_path / "m.onnx", hints=hints, options=options_for(one)
    )
    assert done.verdict.outcome is Outcome.PASS, done.verdict.reasons
    got = run_onnx(tmp_path / "m.onnx", one)
    assert set(got) == {spec.name for spec in done.artifact.signature.outputs}
    limits = allowed(one, done.stack.model, set(got))
    for output, value in got.items():
        worst = np.max(np.abs(value.astype(np.float64) - recorded(one, output)))
        assert worst <= limits[output], f"{output} is off by {worst}, {limits[output]} is rounding"


@pytest.mark.torch
@pytest.mark.parametrize("name", CONVERTED)
def test_the_pytorch_module_gives_what_tensorflow_gave(
    name: str, case: Any, tmp_path: Path
) -> None:
    torch = pytest.importorskip("torch")
    import lstmbridge.torch

    one = case(name)
    hints = hints_for(one, ignore_graph=name not in BEGUN)
    done = lstmbridge.convert(
        one.prefix, to="torch", output=tmp_path / "m.safetensors", hints=hints,
        options=options_for(one),
    )  # fmt: skip
    assert done.verdict.outcome is Outcome.PASS, done.verdict.reasons
    module = lstmbridge.torch.load(tmp_path / "m.safetensors")
    dtype = next(module.parameters()).dtype
    feeds = {
        spec.name: torch.from_numpy(one.expected[spec.name].copy())
        for spec in done.artifact.signature.inputs
        if spec.name in one.expected or not spec.optional
    }
    feeds = {k: v.to(dtype) if v.is_floating_point() else v for k, v in feeds.items()}
    with torch.inference_mode():
        got = {k: v.to(torch.float64).numpy() for k, v in module(**feeds).items()}
    limits = allowed(one, done.stack.model, set(got))
    for output, value in got.items():
        worst = np.max(np.abs(value - recorded(one, output)))
        assert worst <= limits[output], f"{output} is off by {worst}, {limits[output]} is rounding"


@pytest.mark.parametrize(
    "name",
    [n for n in CONVERTED if CARDS[n]["meta"]],
)
def test_with_the_graph_beside_it_no_flag_is_needed(name: str, case: Any, tmp_path: Path) -> None:
    one = case(name)
    done = lstmbridge.convert(
        one.prefix, to="onnx", output=tmp_path / "m.onnx", options=options_for(one), strict=True
    )
    assert done.verdict.outcome is Outcome.PASS, done.verdict.reasons
    got = run_onnx(tmp_path / "m.onnx", one)
    limits = allowed(one, done.stack.model, set(got))
    for output, value in got.items():
        worst = np.max(np.abs(value.astype(np.float64) - recorded(one, output)))
        assert worst <= limits[output], f"{output} is off by {worst}, {limits[output]} is rounding"


@pytest.mark.parametrize("to", ["onnx", "torch"])
@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_said_exactly_is_refused_by_name_and_leaves_nothing(
    name: str, to: str, case: Any, tmp_path: Path
) -> None:
    with pytest.raises(CannotExpress) as caught:
        lstmbridge.convert(case(name).prefix, to=to, output=tmp_path / "m.out")
    assert REFUSED[name] in str(caught.value)
    assert caught.value.exit_code == 7
    assert list(tmp_path.iterdir()) == []


def test_every_fixture_is_converted_or_refused() -> None:
    kinds = {card["cell"] for card in CARDS.values()}
    assert len(CARDS) == len(CONVERTED) + len(REFUSED) + len(UNKNOWN)
    assert kinds >= {"BasicLSTMCell", "GRUCell", "NASCell", "IndyGRUCell", "GLSTMCell"}
