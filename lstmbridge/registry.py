"""Who serves which name: the built-in targets and runtimes, and those of entry points.

Two claimants for one name is an error that names both. A module is imported when its name is
first asked for, never before.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.metadata import entry_points
from typing import Any

from lstmbridge.contracts import Adapter, Artifact, Runtime, RuntimeInfo, Session, Target
from lstmbridge.errors import LstmBridgeError, RuntimeUnavailable, UsageError
from lstmbridge.model.blocks import Model

OTHER_PYTHON = "python:"
"""In front of the path of another Python, as the name of a runtime."""
_FOREIGN = "lstmbridge.runtimes.foreign"
_RUNTIMES = "lstmbridge.runtimes"
_OF_OTHERS = (
    ImportError, AttributeError, TypeError, ValueError, LookupError, OSError, RuntimeError,
    ArithmeticError, AssertionError, NameError, SyntaxError, LstmBridgeError,
)  # fmt: skip
"""What importing and asking somebody else's class may raise."""

_BUILT_IN: Mapping[str, Mapping[str, str]] = {
    "lstmbridge.adapters": {
        "keras": "lstmbridge.adapters.keras:KerasAdapter",
        "tensorflow1": "lstmbridge.adapters:TensorFlow1Adapter",
        "graph": "lstmbridge.adapters.by_graph:GraphAdapter",
    },
    "lstmbridge.targets": {
        "onnx": "lstmbridge.targets.onnx:OnnxTarget",
        "torch": "lstmbridge.targets.torch:TorchTarget",
        "torch-export": "lstmbridge.targets.torch:TorchExportTarget",
    },
    "lstmbridge.runtimes": {
        "oracle": "lstmbridge.runtimes.oracle:Oracle",
        "graph": "lstmbridge.runtimes.graph:GraphRuntime",
        "onnxruntime-cpu": "lstmbridge.runtimes.onnxruntime:OnnxRuntimeCpu",
        "onnxruntime-cuda": "lstmbridge.runtimes.onnxruntime_providers:OnnxRuntimeCuda",
        "onnxruntime-cuda-tf32": "lstmbridge.runtimes.onnxruntime_providers:OnnxRuntimeCudaTf32",
        "onnxruntime-tensorrt": "lstmbridge.runtimes.onnxruntime_providers:OnnxRuntimeTensorRt",
        "onnxruntime-openvino": "lstmbridge.runtimes.onnxruntime_providers:OnnxRuntimeOpenVino",
        "onnxruntime-directml": "lstmbridge.runtimes.onnxruntime_providers:OnnxRuntimeDirectMl",
        "onnxruntime-coreml": "lstmbridge.runtimes.onnxruntime_providers:OnnxRuntimeCoreMl",
        "onnxruntime-rocm": "lstmbridge.runtimes.onnxruntime_providers:OnnxRuntimeRocm",
        "onnxruntime-migraphx": "lstmbridge.runtimes.onnxruntime_providers:OnnxRuntimeMiGraphX",
        "onnxruntime-qnn": "lstmbridge.runtimes.onnxruntime_providers:OnnxRuntimeQnn",
        "onnxruntime-dnnl": "lstmbridge.runtimes.onnxruntime_providers:OnnxRuntimeDnnl",
        "onnxruntime-cann": "lstmbridge.runtimes.onnxruntime_providers:OnnxRuntimeCann",
        "onnxruntime-vitisai": "lstmbridge.runtimes.onnxruntime_providers:OnnxRuntimeVitisAi",
        "openvino": "lstmbridge.runtimes.openvino:OpenVino",
        "onnx-reference": "lstmbridge.runtimes.reference:Reference",
        "torch": "lstmbridge.runtimes.pytorch:TorchCpu",
        "torch-compile": "lstmbridge.runtimes.pytorch:TorchCompile",
        "torch-cuda": "lstmbridge.runtimes.pytorch:TorchCuda",
        "torch-cuda-tf32": "lstmbridge.runtimes.pytorch:TorchCudaTf32",
        "torch-export": "lstmbridge.runtimes.pytorch:TorchExport",
        "tensorflow": "lstmbridge.runtimes.tensorflow:TensorFlow",
    },
}


@cache
def claimants(group: str) -> Mapping[str, str]:
    """Name -> "module:attribute" for one of the three groups.

    Raises:
        UsageError: two claim one name.
    """
    found = dict(_BUILT_IN[group])
    for point in entry_points(group=group):
        if found.setdefault(point.name, point.value) != point.value:
            raise UsageError(
                f"{point.name!r} is claimed twice: by {found[point.name]} and {point.value}",
                expected="one claimant for a name",
                where=f"entry point group {group}",
                advice="uninstall one of the two packages",
            )
    return found


def _claim(group: str, name: str, what: str) -> str:
    known = claimants(group)
    if name not in known:
        also = f", or {OTHER_PYTHON}PATH" if what == "runtime" else ""
        raise UsageError(
            f"there is no {what} called {name!r}",
            expected=f"one of {', '.join(sorted(known))}{also}",
            where=f"the name of a {what}",
        )
    return known[name]


def _get(group: str, name: str, what: str) -> Any:
    module, _, attribute = _claim(group, name, what).partition(":")
    return getattr(importlib.import_module(module), attribute)()


@dataclass(frozen=True)
class BrokenRuntime:
    """Stands for a runtime of another package that cannot be had. Implements `Runtime`."""

    name: str
    reason: str
    runs: str = ""

    def info(self) -> RuntimeInfo:
        """Why it cannot be had."""
        return RuntimeInfo(
            self.name,
            available=False,
            reason=self.reason,
            install="repair or uninstall the package that brings it",
        )

    def open(self, _subject: Artifact | Model) -> Session:
        """Declines.

        Raises:
            RuntimeUnavailable: always.
        """
        raise RuntimeUnavailable(
            self.reason, where=self.name, advice="repair or uninstall the package that brings it"
        )


def target(name: str) -> Target:
    """The target that ``--to`` calls `name`."""
    found: Target = _get("lstmbridge.targets", name, "target")
    return found


def targets() -> tuple[Target, ...]:
    """Every target."""
    return tuple(target(name) for name in claimants("lstmbridge.targets"))


def runtime(name: str) -> Runtime:
    """The runtime that ``--runtimes`` calls `name`.

    One that another package brings and that cannot be had is a `BrokenRuntime`, which says why.

    Raises:
        UsageError: nobody is called so.
    """
    if name.startswith(OTHER_PYTHON):
        other: Runtime = importlib.import_module(_FOREIGN).ForeignPython(
            name.removeprefix(OTHER_PYTHON)
        )
        return other
    if is_built_in(name):
        found: Runtime = _get(_RUNTIMES, name, "runtime")
        return found
    value = _claim(_RUNTIMES, name, "runtime")
    try:
        foreign: Runtime = _get(_RUNTIMES, name, "runtime")
        foreign.info()
    except _OF_OTHERS as error:
        text = " ".join(str(error).split())[:200]
        return BrokenRuntime(name, f"{value} raised {type(error).__name__}: {text}")
    if foreign.name != name or not isinstance(foreign.runs, str) or not callable(foreign.open):
        return BrokenRuntime(name, f"{value} is no runtime that calls itself {name!r}")
    return foreign


def runtime_claim(name: str) -> str:
    """The "module:attribute" of the class that serves a runtime's name."""
    return _claim(_RUNTIMES, name, "runtime")


def is_built_in(name: str) -> bool:
    """Whether lstmbridge itself brings the runtime."""
    return name in _BUILT_IN[_RUNTIMES]


def runtime_names() -> tuple[str, ...]:
    """Every runtime's name."""
    return tuple(claimants("lstmbridge.runtimes"))


def adapters() -> tuple[Adapter, ...]:
    """Every adapter, built-in ones first."""
    group = "lstmbridge.adapters"
    return tuple(_get(group, name, "adapter") for name in claimants(group))
