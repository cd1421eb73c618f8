"""PyTorch as a runtime: what it answers, what it declines, and what it leaves untouched."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import pytest

from lstmbridge.contracts import Artifact, Signature, TargetOptions
from lstmbridge.errors import RuntimeUnavailable
from lstmbridge.gates import GateBlocks
from lstmbridge.model.blocks import Model, Recurrent, Sequence
from lstmbridge.model.cells import LSTM
from lstmbridge.model.facts import Fact
from lstmbridge.model.forward import forward
from lstmbridge.runtimes import pytorch
from lstmbridge.runtimes.pytorch import TorchCpu, TorchCuda
from lstmbridge.targets.torch import TorchTarget


def network(dtype: Any = np.float32, *, peephole: bool = False) -> Model:
    rng = np.random.default_rng(5)

    def blocks(*shape: int, gates: str = "ifco") -> GateBlocks:
        return GateBlocks.of({g: rng.normal(size=shape).astype(dtype) for g in gates})

    def layer(inputs: int) -> Recurrent:
        return Recurrent(
            LSTM(
                kernel=blocks(inputs, 4),
                recurrent=blocks(4, 4),
                bias=blocks(4),
                forget_bias=Fact.given(1.0, "test"),
                activation=Fact.given("tanh", "test"),
                gate_activation=Fact.given("sigmoid", "test"),
                cell_clip=Fact.given(None, "test"),
                proj_clip=Fact.given(None, "test"),
                peephole=blocks(4, gates="ifo") if peephole else None,
            )
        )

    return Model("x", Sequence((layer(3), layer(4))))


def feeds() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(6)
    return {
        "inputs": rng.normal(size=(3, 5, 3)).astype(np.float32),
        "sequence_length": np.array([5, 0, 2], np.int32),
        "initial_layer1_h": rng.normal(size=(3, 4)).astype(np.float32),
    }


def written(folder: Path, model: Model, suffix: str = ".safetensors", **options: Any) -> Artifact:
    return TorchTarget().write(model, folder / f"model{suffix}", TargetOptions(**options), {})


@pytest.mark.torch
@pytest.mark.parametrize("peephole", [False, True])
@pytest.mark.parametrize("suffix", [".pt", ".safetensors"])
def test_a_probe_gives_the_models_outputs(tmp_path: Path, suffix: str, peephole: bool) -> None:
    pytest.importorskip("torch")
    model = network(peephole=peephole)
    with TorchCpu().open(written(tmp_path, model, suffix)) as session:
        outputs = session.run(feeds())
        assert (session.precision, session.device) == ("float32", "cpu")
    exact = forward(model, feeds())
    assert outputs.keys() == exact.keys()
    for name, value in exact.items():
        assert outputs[name].dtype == np.float32
        np.testing.assert_allclose(outputs[name], value, atol=2e-6)


@pytest.mark.torch
@pytest.mark.parametrize("dtype", [np.float16, ml_dtypes.bfloat16, np.float32, np.float64])
def test_outputs_come_in_the_artifacts_dtype(tmp_path: Path, dtype: Any) -> None:
    pytest.importorskip("torch")
    with TorchCpu().open(written(tmp_path, network(dtype))) as session:
        outputs = session.run(feeds())
    assert session.precision == np.dtype(dtype).name
    assert {array.dtype for array in outputs.values()} == {np.dtype(dtype)}


@pytest.mark.torch
def test_the_processs_own_settings_come_back_even_after_a_failure(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    before = torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32
    torch.set_float32_matmul_precision("medium")
    try:
        with TorchCpu().open(written(tmp_path, network())) as session:
            session.run(feeds())
            with pytest.raises(RuntimeUnavailable):
                session.run({"inputs": np.zeros((1, 2, 9))})
        assert torch.get_float32_matmul_precision() == "medium"
        assert torch.backends.cudnn.allow_tf32 == before[1]
    finally:
        torch.set_float32_matmul_precision(before[0])


@pytest.mark.torch
@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({}, "inputs"),
        ({"inputs": np.zeros((1, 2, 9))}, r"inputs has shape \(1, 2, 9\)"),
        ({"inputs": np.zeros((1, 2, 3)), "other": np.zeros(1)}, "no input other"),
        ({"inputs": np.zeros((1, 2, 3)), "sequence_length": np.array([9])}, "from 9 to 9"),
        ({"inputs": np.full((1, 2, 3), "x")}, "PyTorch declined"),
    ],
)
def test_wrong_feeds_are_declined(tmp_path: Path, wrong: dict[str, Any], said: str) -> None:
    pytest.importorskip("torch")
    with (
        TorchCpu().open(written(tmp_path, network())) as session,
        pytest.raises(RuntimeUnavailable, match=said),
    ):
        session.run(wrong)


@pytest.mark.torch
def test_a_broken_artifact_is_declined(tmp_path: Path) -> None:
    pytest.importorskip("torch")
    artifact = written(tmp_path, network())
    artifact.path.write_bytes(artifact.path.read_bytes()[:-1])
    with pytest.raises(RuntimeUnavailable, match="does not read"):
        TorchCpu().open(artifact)


@pytest.mark.parametrize("runtime", [TorchCpu(), TorchCuda()], ids=lambda r: r.name)
def test_anything_but_a_torch_artifact_is_declined(
    runtime: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    onnx = Artifact(Path("x.onnx"), "onnx", Signature((), ()), "float32")
    for subject in (network(), onnx):
        with pytest.raises(RuntimeUnavailable):
            runtime.open(subject)


def test_where_pytorch_is_absent_the_runtimes_say_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pytorch, "installed_version", lambda: "")
    for runtime in (TorchCpu(), TorchCuda()):
        info = runtime.info()
        assert not info.available
        assert info.reason == "PyTorch is not installed"
        assert "pip install" in info.install


def test_a_build_for_the_cpu_offers_no_cuda(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pytorch, "installed_version", lambda: "2.13.0+cpu")
    assert TorchCpu().info().available
    info = TorchCuda().info()
    assert (info.available, info.version) == (False, "2.13.0+cpu")
    assert "build for the CPU" in info.reason
    with pytest.raises(RuntimeUnavailable, match="build for the CPU"):
        TorchCuda().open(network())


def test_asking_whether_it_is_here_imports_no_pytorch() -> None:
    code = (
        "import sys\n"
        "from lstmbridge.runtimes.pytorch import TorchCpu, TorchCuda\n"
        "TorchCpu().info(); TorchCuda().info()\n"
        "import lstmbridge.torch\n"
        "print(sorted({'torch', 'onnx', 'safetensors'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout.strip() == "[]"
    assert done.stderr == ""


@pytest.mark.gpu
@pytest.mark.torch
def test_cuda_gives_the_models_outputs_without_tf32(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device")
    for peephole in (False, True):
        model = network(peephole=peephole)
        with TorchCuda().open(written(tmp_path, model)) as session:
            outputs = session.run(feeds())
            assert session.device.startswith("cuda:0 (")
            assert session.precision == "float32"
        for name, value in forward(model, feeds()).items():
            np.testing.assert_allclose(outputs[name], value, atol=5e-6)
