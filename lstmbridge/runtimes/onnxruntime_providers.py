"""ONNX Runtime's providers other than the CPU's: one table, and the runtime made of a row.

A provider is only believed when the session's own profile of a run says, node by node, that each
number was computed by it. A provider that is not in the installed wheel is known without
importing it: by the wheel's name, or by the library that the provider lives in.

A row's options make the provider compute in the precision that the row states: where vendors
default to something narrower (TF32, bfloat16, half precision), it is switched off. What was run
of this table and what was not: docs/runtimes.md.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache, partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from lstmbridge.contracts import Artifact, RuntimeInfo
from lstmbridge.errors import RuntimeUnavailable
from lstmbridge.model.blocks import Model
from lstmbridge.runtimes.onnxruntime import (
    ABSENT,
    OnnxRuntimeSession,
    create_session,
    installed_version,
    onnx_artifact,
    refuse_absent,
    translated,
)
from lstmbridge.runtimes.onnxruntime_placement import (
    CUDA,
    Placed,
    complaint,
    placements,
    reasons_to_decline,
)

NVIDIA_DRIVER = Path("/proc/driver/nvidia/version")
_NO_TF32 = {"NVIDIA_TF32_OVERRIDE": "0"}
"""NVIDIA's own switch, for libraries that have no option for it."""


@dataclass(frozen=True, slots=True)
class Provider:
    """One row.

    Attributes:
        name: the runtime's.
        provider: as ONNX Runtime calls it.
        device: where it computes.
        install: how to get it.
        libraries: patterns of the files that it brings in the wheel; empty: see `wheels`.
        wheels: distributions that have it built in.
        options: provider options; ONNX Runtime takes strings.
        environment: of the process that it runs in.
        precision: of float32 products; what the options above make of them.
        nvidia: it needs NVIDIA's driver.
        memory_pattern: it can live with ONNX Runtime's planning of memory.
    """

    name: str
    provider: str
    device: str
    install: str
    libraries: tuple[str, ...] = ()
    wheels: tuple[str, ...] = ()
    options: Mapping[str, str] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict)
    precision: str = "float32"
    nvidia: bool = False
    memory_pattern: bool = True


_GPU_WHEEL = "pip install onnxruntime-gpu (instead of onnxruntime), with CUDA 12 and cuDNN 9"
_INSTEAD = "pip install {} (instead of onnxruntime)"
_BUILD = "build ONNX Runtime with it: https://onnxruntime.ai/docs/execution-providers"
PROVIDERS: Mapping[str, Provider] = {
    row.name: row
    for row in (
        Provider(
            "onnxruntime-cuda",
            CUDA,
            "cuda:0",
            _GPU_WHEEL,
            libraries=("*onnxruntime_providers_cuda*",),
            # TF32 is off unless asked for: it is another precision, with another noise floor
            options={"device_id": "0", "use_tf32": "0"},
            nvidia=True,
        ),
        Provider(
            "onnxruntime-cuda-tf32",
            CUDA,
            "cuda:0",
            _GPU_WHEEL,
            libraries=("*onnxruntime_providers_cuda*",),
            options={"device_id": "0", "use_tf32": "1"},
            precision="tf32",
            nvidia=True,
        ),
        Provider(
            "onnxruntime-tensorrt",
            "TensorrtExecutionProvider",
            "cuda:0",
            f"{_GPU_WHEEL} and TensorRT 10",
            libraries=("*onnxruntime_providers_tensorrt*",),
            options={"device_id": "0", "trt_fp16_enable": "0", "trt_int8_enable": "0"},
            environment=_NO_TF32,
            nvidia=True,
        ),
        Provider(
            "onnxruntime-openvino",
            "OpenVINOExecutionProvider",
            "cpu",
            _INSTEAD.format("onnxruntime-openvino"),
            libraries=("*onnxruntime_providers_openvino*",),
            # on a processor with bfloat16 units its own default is bfloat16
            options={"device_type": "CPU", "precision": "FP32"},
        ),
        Provider(
            "onnxruntime-directml",
            "DmlExecutionProvider",
            "gpu",
            f"on Windows, {_INSTEAD.format('onnxruntime-directml')}",
            wheels=("onnxruntime-directml", "onnxruntime-windowsml"),
            memory_pattern=False,
        ),
        Provider(
            "onnxruntime-coreml",
            "CoreMLExecutionProvider",
            "cpu",
            "on a Mac, pip install onnxruntime",
            libraries=("libonnxruntime*.dylib",),
            # its GPU and neural engine compute in half precision
            options={"MLComputeUnits": "CPUOnly", "ModelFormat": "MLProgram"},
        ),
        Provider(
            "onnxruntime-rocm",
            "ROCMExecutionProvider",
            "gpu",
            _INSTEAD.format("onnxruntime-rocm"),
            libraries=("*onnxruntime_providers_rocm*",),
        ),
        Provider(
            "onnxruntime-migraphx",
            "MIGraphXExecutionProvider",
            "gpu",
            _INSTEAD.format("onnxruntime-migraphx"),
            libraries=("*onnxruntime_providers_migraphx*",),
            options={"migraphx_fp16_enable": "0"},
        ),
        Provider(
            "onnxruntime-qnn",
            "QNNExecutionProvider",
            "npu",
            _INSTEAD.format("onnxruntime-qnn"),
            wheels=("onnxruntime-qnn",),
        ),
        Provider(
            "onnxruntime-dnnl",
            "DnnlExecutionProvider",
            "cpu",
            _BUILD,
            libraries=("*onnxruntime_providers_dnnl*",),
        ),
        Provider(
            "onnxruntime-cann",
            "CANNExecutionProvider",
            "npu",
            _BUILD,
            libraries=("*onnxruntime_providers_cann*",),
            options={"precision_mode": "force_fp32"},
        ),
        Provider(
            "onnxruntime-vitisai",
            "VitisAIExecutionProvider",
            "npu",
            _BUILD,
            libraries=("*onnxruntime_providers_vitisai*",),
        ),
    )
}


@cache
def library_names() -> tuple[str, ...]:
    """Files beside ONNX Runtime's own; empty where it is absent. Imports nothing."""
    spec = importlib.util.find_spec("onnxruntime")
    folders = (spec.submodule_search_locations or ()) if spec is not None else ()
    return tuple(sorted(p.name for one in folders for p in Path(one, "capi").glob("*")))


def _has_wheel(name: str) -> bool:
    return next(iter(importlib.metadata.distributions(name=name)), None) is not None


def has_provider(row: Provider) -> bool:
    """Whether the installed wheel brings the provider. Imports nothing."""
    if any(Path(name).match(pattern) for name in library_names() for pattern in row.libraries):
        return True
    return any(_has_wheel(name) for name in row.wheels)


class Accelerated:
    """One provider, its placement proved. Implements `contracts.Runtime`.

    Args:
        row: of the table.
    """

    runs = "onnx"
    contained = True

    def __init__(self, row: Provider) -> None:
        self._row = row
        self.name = row.name
        self.environment = row.environment

    def info(self) -> RuntimeInfo:
        """Is it in the wheel, is there a driver? `open` asks the device itself."""
        version = installed_version()
        if not version:
            reason = ABSENT
        elif not has_provider(self._row):
            reason = f"onnxruntime {version} is a build without it"
        elif self._row.nvidia and not NVIDIA_DRIVER.exists():
            reason = "this machine has no NVIDIA driver"
        else:
            return RuntimeInfo(self.name, available=True, version=version, device=self._row.device)
        return RuntimeInfo(
            self.name,
            available=False,
            version=version,
            device=self._row.device,
            reason=reason,
            install=self._row.install,
        )

    def open(self, subject: Artifact | Model) -> OnnxRuntimeSession:
        """Load the artifact on the first device, and prove that it computes there.

        Raises:
            RuntimeUnavailable: no such provider, driver or device; or ONNX Runtime computes a
                part of the network elsewhere: the message names the node.
        """
        artifact = onnx_artifact(subject, self.name)
        refuse_absent(self.info())
        row = self._row
        with TemporaryDirectory(prefix="lstmbridge-") as folder:
            session = create_session(
                artifact.path,
                [(row.provider, dict(row.options))],
                self.name,
                Path(folder) / "placement",
                memory_pattern=row.memory_pattern,
            )
            nodes = _profiled(session, artifact, self.name)
        if complaint(nodes, row.provider, {}):
            problem = complaint(nodes, row.provider, _reasons(artifact.path))
            raise RuntimeUnavailable(problem, where=self.name, advice=row.install)
        narrowed = row.precision != "float32" and artifact.precision == "float32"
        precision = row.precision if narrowed else artifact.precision
        return OnnxRuntimeSession(session, self.name, precision, row.device)


def _profiled(session: Any, artifact: Artifact, runtime: str) -> tuple[Placed, ...]:
    """Run one row of one step, and read from the profile where each node ran."""
    feeds = {
        spec.name: np.ones([1 if isinstance(n, str) else n for n in spec.shape], spec.dtype)
        for spec in artifact.signature.inputs
    }
    with translated("run the model on the device", runtime):
        session.run(None, feeds)
        return placements(json.loads(Path(session.end_profiling()).read_text("utf-8")))


def _reasons(path: Path) -> dict[str, str]:
    import onnx

    return reasons_to_decline(onnx.load(str(path), load_external_data=False).graph.node)


OnnxRuntimeCuda = partial(Accelerated, PROVIDERS["onnxruntime-cuda"])
OnnxRuntimeCudaTf32 = partial(Accelerated, PROVIDERS["onnxruntime-cuda-tf32"])
OnnxRuntimeTensorRt = partial(Accelerated, PROVIDERS["onnxruntime-tensorrt"])
OnnxRuntimeOpenVino = partial(Accelerated, PROVIDERS["onnxruntime-openvino"])
OnnxRuntimeDirectMl = partial(Accelerated, PROVIDERS["onnxruntime-directml"])
OnnxRuntimeCoreMl = partial(Accelerated, PROVIDERS["onnxruntime-coreml"])
OnnxRuntimeRocm = partial(Accelerated, PROVIDERS["onnxruntime-rocm"])
OnnxRuntimeMiGraphX = partial(Accelerated, PROVIDERS["onnxruntime-migraphx"])
OnnxRuntimeQnn = partial(Accelerated, PROVIDERS["onnxruntime-qnn"])
OnnxRuntimeDnnl = partial(Accelerated, PROVIDERS["onnxruntime-dnnl"])
OnnxRuntimeCann = partial(Accelerated, PROVIDERS["onnxruntime-cann"])
OnnxRuntimeVitisAi = partial(Accelerated, PROVIDERS["onnxruntime-vitisai"])
