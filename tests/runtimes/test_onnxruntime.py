"""ONNX Runtime as a runtime: what it is fed, what it declines, and where it really ran."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import helper

from lstmbridge.contracts import Artifact, Runtime, Session, TargetOptions
from lstmbridge.errors import RuntimeUnavailable
from lstmbridge.model.blocks import Model, Recurrent
from lstmbridge.model.cells import GRU
from lstmbridge.model.signature import Signature, TensorSpec
from lstmbridge.runtimes import onnxruntime as room
from lstmbridge.runtimes import onnxruntime_providers as providers
from lstmbridge.runtimes.onnxruntime import OnnxRuntimeCpu
from lstmbridge.runtimes.onnxruntime_providers import (
    PROVIDERS,
    OnnxRuntimeCuda,
    OnnxRuntimeCudaTf32,
)
from lstmbridge.targets.onnx import OnnxTarget

RUNTIMES = [OnnxRuntimeCpu, OnnxRuntimeCuda]


@pytest.fixture
def artifact(tmp_path) -> Artifact:
    """One LSTM of 2 units over 3 features by hand, batch-major, with lengths."""
    rng = np.random.default_rng(0)
    values = helper.make_tensor_value_info
    weights = {
        "w": rng.normal(size=(1, 8, 3)),
        "r": rng.normal(size=(1, 8, 2)),
    }
    nodes = [
        helper.make_node("Transpose", ["inputs"], ["x"], perm=[1, 0, 2]),
        helper.make_node(
            "LSTM",
            ["x", "w", "r", "", "sequence_length"],
            ["", "h", ""],
            hidden_size=2,
            name="layer0",
        ),
        helper.make_node("Squeeze", ["h", "axis"], ["layer0_h"]),
    ]
    stored = [onnx.numpy_helper.from_array(w.astype(np.float32), n) for n, w in weights.items()]
    stored.append(onnx.numpy_helper.from_array(np.array([0]), "axis"))
    graph = helper.make_graph(
        nodes,
        "g",
        [values("inputs", 1, ["batch", "time", 3]), values("sequence_length", 6, ["batch"])],
        [values("layer0_h", 1, ["batch", 2])],
        stored,
    )
    path = tmp_path / "a.onnx"
    opset = helper.make_opsetid("", 17)
    onnx.save(helper.make_model(graph, opset_imports=[opset], ir_version=8), path)
    found = OnnxTarget().read(path)
    assert found is not None
    return found


def feeds(batch=2, time=4, dtype=np.float32):
    return {
        "inputs": np.ones((batch, time, 3), dtype),
        "sequence_length": np.full(batch, time, np.int32),
    }


def test_the_classes_keep_the_contract(artifact):
    for kind in RUNTIMES:
        runtime: Runtime = kind()
        assert runtime.runs == "onnx"
    session: Session = OnnxRuntimeCpu().open(artifact)
    assert (session.precision, session.device) == ("float32", "cpu")


def test_feeds_are_cast_to_the_artifact_s_dtypes_and_outputs_are_not(artifact):
    with OnnxRuntimeCpu().open(artifact) as session:
        expected = session.run(feeds())["layer0_h"]
        wide = feeds(dtype=np.float64)
        wide["sequence_length"] = wide["sequence_length"].astype(np.int64)
        got = session.run(wide)["layer0_h"]
    assert got.dtype == np.float32
    assert np.array_equal(got, expected)


def test_a_feed_in_any_memory_order_gives_the_same(artifact):
    x = np.random.default_rng(1).normal(size=(4, 2, 3)).astype(np.float32)
    fed = feeds()
    with OnnxRuntimeCpu().open(artifact) as session:
        turned = session.run({**fed, "inputs": x.transpose(1, 0, 2)})
        plain = session.run({**fed, "inputs": x.transpose(1, 0, 2).copy()})
    assert np.array_equal(turned["layer0_h"], plain["layer0_h"])


@pytest.mark.parametrize(("batch", "time"), [(0, 4), (2, 0)])
def test_an_empty_batch_or_sequence_never_reaches_the_kernel_that_would_abort(
    artifact, batch, time
):
    with OnnxRuntimeCpu().open(artifact) as session:
        with pytest.raises(RuntimeUnavailable, match="this probe was not run"):
            session.run(feeds(batch, time))
        assert session.run(feeds())["layer0_h"].shape == (2, 2)


def test_the_guard_is_needed(artifact):
    """Without it the process dies; when this fails, the guard has become history."""
    proto = onnx.load(artifact.path)
    next(node for node in proto.graph.node if node.op_type == "LSTM").input[4] = ""
    del proto.graph.input[1]
    onnx.save(proto, artifact.path)
    assert dies(artifact, (0, 4, 3))


def dies(artifact: Artifact, shape: tuple[int, int, int]) -> bool:
    script = (
        "import numpy as np, onnxruntime\n"
        "options = onnxruntime.SessionOptions(); options.log_severity_level = 4\n"
        f"session = onnxruntime.InferenceSession({str(artifact.path)!r}, options)\n"
        f"session.run(None, {{'inputs': np.ones({shape}, np.float32)}})\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, check=False)
    return done.returncode < 0


@pytest.mark.parametrize("shape", [(0, 4, 3), (2, 0, 3)])
def test_the_guard_is_needed_for_a_gru_as_well(networks, tmp_path, shape):
    path = tmp_path / "gru.onnx"
    artifact = OnnxTarget().write(networks.stack(GRU, count=1), path, TargetOptions(), {})
    assert dies(artifact, shape)
    with (
        OnnxRuntimeCpu().open(artifact) as session,
        pytest.raises(RuntimeUnavailable, match="this probe was not run"),
    ):
        session.run({"inputs": np.ones(shape)})


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_number_that_is_none_stays_in_its_row_and_is_no_error(artifact, bad):
    """What its own row becomes depends on the processor: NaN, or finite numbers. It is stated."""
    clean, fed = feeds(), feeds()
    fed["inputs"][0, 1, 0] = bad
    with OnnxRuntimeCpu().open(artifact) as session:
        got, expected = session.run(fed)["layer0_h"], session.run(clean)["layer0_h"]
    assert np.array_equal(got[1], expected[1])
    assert not np.array_equal(got[0], expected[0])
    assert "NaN" in str(room.__doc__)


def test_what_onnx_runtime_declines_is_our_error_with_its_reason(artifact):
    with OnnxRuntimeCpu().open(artifact) as session:
        with pytest.raises(RuntimeUnavailable, match="declined to run the model"):
            session.run({"inputs": np.ones((2, 4, 3))})
        with pytest.raises(RuntimeUnavailable, match="declined to run the model"):
            session.run({**feeds(), "sequence_length": np.array([4, 9])})
        with pytest.raises(RuntimeUnavailable, match="'other' was fed") as caught:
            session.run({**feeds(), "other": np.ones(2)})
    assert "inputs, sequence_length" in str(caught.value)


def test_a_file_that_does_not_load_is_our_error(artifact):
    artifact.path.write_bytes(b"nothing")
    with pytest.raises(RuntimeUnavailable, match=r"declined to load a\.onnx"):
        OnnxRuntimeCpu().open(artifact)


@pytest.mark.parametrize("kind", RUNTIMES)
def test_only_onnx_artifacts_are_taken(artifact, kind):
    other = Artifact(artifact.path, "torch", artifact.signature, "float32")
    for subject in (other, Model("m", Recurrent(None))):  # type: ignore[arg-type]
        with pytest.raises(RuntimeUnavailable, match="no ONNX file"):
            kind().open(subject)


def test_it_is_silent(artifact, capfd):
    with OnnxRuntimeCpu().open(artifact) as session:
        session.run(feeds())
        with pytest.raises(RuntimeUnavailable):
            session.run({"inputs": np.ones((2, 4, 3))})
    assert capfd.readouterr() == ("", "")


def test_asking_whether_it_is_here_imports_nothing():
    script = (
        "import sys\n"
        "from lstmbridge.runtimes.onnxruntime import OnnxRuntimeCpu\n"
        "from lstmbridge.runtimes.onnxruntime_providers import OnnxRuntimeCuda\n"
        "print(OnnxRuntimeCpu().info().available, OnnxRuntimeCuda().info().name)\n"
        "print('onnxruntime' in sys.modules, 'onnx' in sys.modules)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(__file__).resolve().parents[2],
    )
    assert done.stdout.split() == ["True", "onnxruntime-cuda", "False", "False"]
    assert not done.stderr


@pytest.mark.parametrize("kind", RUNTIMES)
def test_an_absent_package_is_said_with_the_way_to_get_it(artifact, monkeypatch, kind):
    for module in (room, providers):
        monkeypatch.setattr(module, "installed_version", str)
    info = kind().info()
    assert (info.available, info.reason) == (False, "onnxruntime is not installed")
    assert info.install.startswith("pip install onnxruntime")
    with pytest.raises(RuntimeUnavailable, match="not installed"):
        kind().open(artifact)


def test_a_build_without_cuda_and_a_machine_without_a_driver_are_told_apart(
    artifact, monkeypatch, tmp_path
):
    monkeypatch.setattr(providers, "installed_version", lambda: "1.32.0")
    monkeypatch.setattr(providers, "has_provider", lambda row: False)
    assert "a build without it" in OnnxRuntimeCuda().info().reason
    monkeypatch.setattr(providers, "has_provider", lambda row: True)
    monkeypatch.setattr(providers, "NVIDIA_DRIVER", tmp_path / "none")
    assert "no NVIDIA driver" in OnnxRuntimeCuda().info().reason
    with pytest.raises(RuntimeUnavailable, match="no NVIDIA driver"):
        OnnxRuntimeCuda().open(artifact)


@pytest.fixture
def pretending(monkeypatch, tmp_path):
    """A machine that says it has CUDA, and an ONNX Runtime that quietly computes on the CPU."""
    import onnxruntime

    driver = tmp_path / "driver"
    driver.touch()
    monkeypatch.setattr(providers, "has_provider", lambda row: True)
    monkeypatch.setattr(providers, "NVIDIA_DRIVER", driver)
    real, asked = onnxruntime.InferenceSession, []

    def quietly(path, options, providers, **kwargs):
        asked.append((providers, kwargs))
        return real(path, options, providers=["CPUExecutionProvider"])

    monkeypatch.setattr(onnxruntime, "InferenceSession", quietly)
    return asked


def test_a_cuda_session_that_quietly_ran_on_the_cpu_is_unavailable_not_a_pass(
    artifact, pretending
):
    with pytest.raises(RuntimeUnavailable) as caught:
        OnnxRuntimeCuda().open(artifact)
    assert "asked for CUDAExecutionProvider" in str(caught.value)
    assert "the LSTM node 'layer0' on CPUExecutionProvider" in str(caught.value)


def test_what_makes_a_provider_decline_a_node_is_named(artifact, pretending):
    proto = onnx.load(artifact.path)
    node = next(node for node in proto.graph.node if node.op_type == "LSTM")
    node.attribute.append(helper.make_attribute("clip", 50.0))
    onnx.save(proto, artifact.path)
    with pytest.raises(RuntimeUnavailable, match="it carries clip"):
        OnnxRuntimeCuda().open(artifact)


@pytest.mark.parametrize(("kind", "option"), [(OnnxRuntimeCuda, "0"), (OnnxRuntimeCudaTf32, "1")])
def test_tf32_is_off_unless_asked_for_and_the_cpu_is_never_a_fallback(
    artifact, pretending, kind, option
):
    with pytest.raises(RuntimeUnavailable):
        kind().open(artifact)
    [([(name, options)], kwargs)] = pretending
    assert name == "CUDAExecutionProvider"
    assert options["use_tf32"] == option
    assert kwargs == {"enable_fallback": 0}


@pytest.mark.parametrize(
    ("kind", "precision"), [(OnnxRuntimeCuda, "float32"), (OnnxRuntimeCudaTf32, "tf32")]
)
def test_a_session_whose_every_node_ran_on_the_device_is_taken(
    artifact, pretending, monkeypatch, kind, precision
):
    """The profile is rewritten to say CUDA: what is tested is that it, and only it, decides."""
    real = providers.placements
    told = lambda events: real(  # noqa: E731
        [{**e, "args": {**e["args"], "provider": "CUDAExecutionProvider"}} for e in events]
    )
    monkeypatch.setattr(providers, "placements", told)
    with kind().open(artifact) as session:
        assert (session.device, session.precision) == ("cuda:0", precision)
        assert session.run(feeds())["layer0_h"].shape == (2, 2)


@pytest.mark.parametrize("row", PROVIDERS.values(), ids=lambda row: row.name)
def test_every_provider_of_the_table_is_asked_for_alone_and_proved_by_the_profile(
    artifact, pretending, row
):
    runtime = providers.Accelerated(row)
    assert runtime.info().device == row.device
    with pytest.raises(RuntimeUnavailable, match=f"asked for {row.provider}") as caught:
        runtime.open(artifact)
    assert "the LSTM node 'layer0' on CPUExecutionProvider" in str(caught.value)
    [([(name, options)], kwargs)] = pretending
    assert (name, kwargs) == (row.provider, {"enable_fallback": 0})
    assert options == row.options


def test_a_provider_is_known_by_its_library_or_its_wheel(monkeypatch):
    cuda, directml = PROVIDERS["onnxruntime-cuda"], PROVIDERS["onnxruntime-directml"]
    names = ("libonnxruntime.so.1.32.0", "libonnxruntime_providers_cuda.so")
    monkeypatch.setattr(providers, "library_names", lambda: names)
    assert providers.has_provider(cuda)
    assert not providers.has_provider(PROVIDERS["onnxruntime-tensorrt"])
    assert not providers.has_provider(directml)
    wheels = {"onnxruntime-directml": [object()]}
    monkeypatch.setattr(
        providers.importlib.metadata, "distributions", lambda name: wheels.get(name, [])
    )
    assert providers.has_provider(directml)
    assert not providers.has_provider(PROVIDERS["onnxruntime-qnn"])


def test_no_float32_row_leaves_a_narrower_default_of_its_vendor_on():
    for row in PROVIDERS.values():
        if row.nvidia and row.precision == "float32":
            switched_off = row.options.get("use_tf32") == "0"
            assert switched_off or row.environment == {"NVIDIA_TF32_OVERRIDE": "0"}, row.name
    assert PROVIDERS["onnxruntime-openvino"].options["precision"] == "FP32"
    assert PROVIDERS["onnxruntime-tensorrt"].options["trt_fp16_enable"] == "0"


def test_a_provider_that_is_there_and_computes_the_network_is_believed(artifact):
    """OpenVINO's is the one that needs no device; run where its wheel is installed."""
    runtime = providers.OnnxRuntimeOpenVino()
    info = runtime.info()
    if not info.available:
        pytest.skip(info.reason)
    with runtime.open(artifact) as session:
        assert (session.device, session.precision) == ("cpu", "float32")
        assert session.run(feeds())["layer0_h"].shape == (2, 2)


@pytest.mark.gpu
def test_a_plain_stack_runs_on_the_device(artifact):
    info = OnnxRuntimeCuda().info()
    if not info.available:
        pytest.skip(info.reason)
    with OnnxRuntimeCuda().open(artifact) as session, OnnxRuntimeCpu().open(artifact) as cpu:
        assert session.device == "cuda:0"
        got, expected = session.run(feeds()), cpu.run(feeds())
    assert np.abs(got["layer0_h"] - expected["layer0_h"]).max() < 1e-6


def test_an_input_of_a_type_without_numbers_is_refused_when_it_is_fed(tmp_path):
    text = onnx.TensorProto.STRING
    values = helper.make_tensor_value_info
    graph = helper.make_graph(
        [helper.make_node("Identity", ["words"], ["same"])],
        "g",
        [values("words", text, ["n"])],
        [values("same", text, ["n"])],
    )
    path = tmp_path / "s.onnx"
    opset = helper.make_opsetid("", 17)
    onnx.save(helper.make_model(graph, opset_imports=[opset], ir_version=8), path)
    spec = TensorSpec("words", ("n",), np.dtype(object))
    odd = Artifact(path, "onnx", Signature((spec,), ()), "float32")
    with OnnxRuntimeCpu().open(odd) as session, pytest.raises(RuntimeUnavailable, match="words"):
        session.run({"words": np.ones(2)})
