"""Who serves which name: the built-in targets and runtimes, and those of entry points.

Two claimants for one name is an error that names both. A module is imported when its name is
first asked for, never before.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from functools import cache
from importlib.metadata import entry_points
from typing import Any

from lstmbridge.contracts import Adapter, Runtime, Target
from lstmbridge.errors import UsageError

_BUILT_IN: Mapping[str, Mapping[str, str]] = {
    "lstmbridge.adapters": {
        "tensorflow1": "lstmbridge.adapters:TensorFlow1Adapter",
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
        "onnxruntime-cuda": "lstmbridge.runtimes.onnxruntime:OnnxRuntimeCuda",
        "torch": "lstmbridge.runtimes.pytorch:TorchCpu",
        "torch-cuda": "lstmbridge.runtimes.pytorch:TorchCuda",
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


def _get(group: str, name: str, what: str) -> Any:
    known = claimants(group)
    if name not in known:
        raise UsageError(
            f"there is no {what} called {name!r}",
            expected=f"one of {', '.join(sorted(known))}",
            where=f"the name of a {what}",
        )
    module, attribute = known[name].split(":")
    return getattr(importlib.import_module(module), attribute)()


def target(name: str) -> Target:
    """The target that ``--to`` calls `name`."""
    found: Target = _get("lstmbridge.targets", name, "target")
    return found


def targets() -> tuple[Target, ...]:
    """Every target."""
    return tuple(target(name) for name in claimants("lstmbridge.targets"))


def runtime(name: str) -> Runtime:
    """The runtime that ``--runtimes`` calls `name`."""
    found: Runtime = _get("lstmbridge.runtimes", name, "runtime")
    return found


def runtime_names() -> tuple[str, ...]:
    """Every runtime's name."""
    return tuple(claimants("lstmbridge.runtimes"))


def adapters() -> tuple[Adapter, ...]:
    """Every adapter, built-in ones first."""
    group = "lstmbridge.adapters"
    return tuple(_get(group, name, "adapter") for name in claimants(group))
