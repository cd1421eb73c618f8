"""PyTorch as a runtime: what it answers, what it declines, and what it leaves untouched."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import pytest

from lstmbridge.contracts import Artifact, Signature, States, TargetOptions
from lstmbridge.errors import RuntimeUnavailable
from lstmbridge.gates import GateBlocks
from lstmbridge.model.blocks import Model, Recurrent, Sequence
from lstmbridge.model.cells import LSTM
from lstmbridge.model.facts import Fact
from lstmbridge.model.forward import forward
from lstmbridge.runtimes import pytorch
from lstmbridge.runtimes.pytorch import TorchCpu, TorchCuda, TorchExport
from lstmbridge.targets.torch import TorchExportTarget, TorchTarget


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


@pytest.mark.parametrize(
    "runtime", [TorchCpu(), TorchCuda(), TorchExport()], ids=lambda runtime: runtime.name
)
def test_anything_but_an_artifact_of_its_own_target_is_declined(runtime: Any) -> None:
    names = {"onnx", "torch", "torch-export"} - {runtime.runs}
    others = [Artifact(Path("x"), name, Signature((), ()), "float32") for name in names]
    for subject in (network(), *others):
        with pytest.raises(RuntimeUnavailable):
            runtime.open(subject)


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    """An exported network of one native and one stepped layer that takes lengths and states."""
    pytest.importorskip("torch", "2.9")
    options = TargetOptions(states=States.REQUIRED, sequence_length=True)
    path = tmp_path_factory.mktemp("program") / "model.pt2"
    return TorchExportTarget().write(network(np.float64, peephole=True), path, options, {})


def fed(**more: np.ndarray) -> dict[str, np.ndarray]:
    """`feeds`, and every state."""
    rng = np.random.default_rng(7)
    names = [f"initial_layer{k}_{state}" for k in (0, 1) for state in "hc"]
    return feeds() | {name: rng.normal(size=(3, 4)) for name in names} | more


@pytest.mark.torch
def test_an_exported_program_gives_the_models_outputs(program: Artifact) -> None:
    with TorchExport().open(program) as session:
        outputs = session.run(fed())
        assert (session.precision, session.device) == ("float64", "cpu")
    for name, value in forward(network(np.float64, peephole=True), fed()).items():
        np.testing.assert_allclose(outputs.pop(name), value, atol=1e-12, strict=True)
    assert not outputs


@pytest.mark.torch
@pytest.mark.parametrize(
    "wrong",
    [
        {"inputs": np.zeros((3, 5, 9))},
        {"inputs": np.zeros((3, 0, 3))},
        {"inputs": np.zeros((4, 5, 3))},
        {"other": np.zeros(1)},
        {"sequence_length": np.array([9, 0, 0])},
        {"sequence_length": np.array([1, 2])},
        {"initial_layer0_c": np.zeros((3, 5))},
    ],
    ids=str,
)
def test_what_an_exported_program_does_not_take_is_declined(
    program: Artifact, wrong: dict[str, np.ndarray]
) -> None:
    with (
        TorchExport().open(program) as session,
        pytest.raises(RuntimeUnavailable, match="PyTorch declined to run the module"),
    ):
        session.run(fed(**wrong))


@pytest.mark.torch
def test_an_exported_program_that_lacks_a_feed_is_declined(program: Artifact) -> None:
    lacking = fed()
    lacking.pop("initial_layer1_h")
    with (
        TorchExport().open(program) as session,
        pytest.raises(RuntimeUnavailable, match="initial_layer1_h"),
    ):
        session.run(lacking)


def test_an_old_pytorch_runs_no_exported_program(monkeypatch: pytest.MonkeyPatch) -> None:
    versions = {"2.2.2+cu121": False, "2.8.1": False, "2.9.0": True, "2.13.0a0+git": True}
    for version, able in versions.items():
        monkeypatch.setattr(pytorch, "installed_version", lambda version=version: version)
        info = TorchExport().info()
        assert (info.available, info.version) == (able, version)
        assert able or ("older than 2.9" in info.reason and "--upgrade" in info.install)


def test_where_pytorch_is_absent_the_runtimes_say_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pytorch, "installed_version", lambda: "")
    for runtime in (TorchCpu(), TorchCuda(), TorchExport()):
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
        "from lstmbridge.runtimes.pytorch import TorchCpu, TorchCuda, TorchExport\n"
        "TorchCpu().info(); TorchCuda().info(); TorchExport().info()\n"
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
