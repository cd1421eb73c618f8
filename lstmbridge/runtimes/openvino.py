"""OpenVINO on the CPU, from ONNX files. Imported when a session is opened, in its own process.

Inference precision is float32 for float32 artifacts: on a processor with bfloat16 units
OpenVINO's own default is bfloat16.

What OpenVINO 2026.4 makes of ONNX's recurrent operators, seen by running it on the CPU beside
ONNX Runtime 1.24 (`tests/runtimes/test_openvino.py` holds it; none of it raises an error, so
a verdict on this runtime is what tells):

=====================  ===========================================================
``sequence_lens``      ignored by LSTM, GRU and RNN: every row runs to the end
peepholes              ignored
``input_forget``       ignored
``layout = 1``         ignored: batch is taken for time
``clip``               as ONNX Runtime: gate pre-activations
``activations``        Sigmoid, Tanh, Relu as ONNX says; others are declined at load
float64                taken, and computed in float32
float16                computed in float32, stored as float16
=====================  ===========================================================
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import TracebackType
from typing import Any

import numpy as np
from typing_extensions import Self

from lstmbridge.contracts import Artifact, Feeds, Outputs, RuntimeInfo
from lstmbridge.errors import RuntimeUnavailable
from lstmbridge.gates import Array
from lstmbridge.model.blocks import Model
from lstmbridge.runtimes.onnxruntime import onnx_artifact, refuse_absent

NAME = "openvino"
INSTALL = "pip install 'lstmbridge[openvino]'"
_CONFIG: Mapping[str, str] = {
    "INFERENCE_PRECISION_HINT": "f32",
    "NUM_STREAMS": "1",
    "INFERENCE_NUM_THREADS": "1",
}
_DTYPES: Mapping[str, type[np.generic]] = {
    "f16": np.float16,
    "f32": np.float32,
    "f64": np.float64,
    "i32": np.int32,
    "i64": np.int64,
    "boolean": np.bool_,
}


def installed_version() -> str:
    """Version of the installed OpenVINO, without importing it; "" where absent."""
    if importlib.util.find_spec("openvino") is None:
        return ""
    found = next(iter(importlib.metadata.distributions(name="openvino")), None)
    return "unknown" if found is None else found.version


@contextmanager
def _translated(what: str) -> Iterator[None]:
    """OpenVINO's own exceptions, whatever their class, become `RuntimeUnavailable`."""
    try:
        yield
    except RuntimeUnavailable:
        raise
    except Exception as error:  # its exceptions share no other base
        text = " ".join(str(error).split())
        raise RuntimeUnavailable(
            f"OpenVINO declined to {what}: {text[-400:]}", where=NAME
        ) from error


class OpenVino:
    """OpenVINO's CPU plugin. Implements `contracts.Runtime`."""

    name = NAME
    runs = "onnx"
    contained = True
    on_request = True

    def info(self) -> RuntimeInfo:
        """Is it installed? Imports nothing."""
        version = installed_version()
        if version:
            return RuntimeInfo(self.name, available=True, version=version)
        reason = "openvino is not installed"
        return RuntimeInfo(self.name, available=False, reason=reason, install=INSTALL)

    def open(self, subject: Artifact | Model) -> OpenVinoSession:
        """Compile the artifact.

        Raises:
            RuntimeUnavailable: openvino is absent, or declines the file.
        """
        artifact = onnx_artifact(subject, self.name)
        refuse_absent(self.info())
        with _translated(f"load {artifact.path.name}"):
            import openvino

            core = openvino.Core()
            compiled = core.compile_model(str(artifact.path), "CPU", dict(_CONFIG))
            device = str(core.get_property("CPU", "FULL_DEVICE_NAME"))
        return OpenVinoSession(compiled, artifact, f"cpu ({device})")


class OpenVinoSession:
    """A compiled artifact. Implements `contracts.Session`."""

    def __init__(self, compiled: Any, artifact: Artifact, device: str) -> None:
        self._compiled = compiled
        self._inputs = {
            name: _DTYPES.get(port.get_element_type().get_type_name())
            for port in compiled.inputs
            for name in port.get_names()
        }
        self._names = artifact.signature.output_names()
        self.precision = artifact.precision
        self.device = device

    def run(self, feeds: Feeds) -> Outputs:
        """One probe: feeds cast to the artifact's dtypes, outputs as they come.

        Raises:
            RuntimeUnavailable: OpenVINO declined, or a name that the artifact does not have.
        """
        with _translated("run the model"):
            result = self._compiled({name: self._cast(name, a) for name, a in feeds.items()})
            found: dict[str, Array] = {}
            for port in self._compiled.outputs:
                for name in port.get_names() & set(self._names):
                    found[name] = np.array(result[port])
        return found

    def _cast(self, name: str, array: Array) -> Array:
        dtype = self._inputs.get(name)
        if dtype is None:
            raise RuntimeUnavailable(
                f"{name!r} was fed",
                expected=f"one of the artifact's inputs: {', '.join(self._inputs)}",
                where=NAME,
            )
        return np.asarray(array, dtype, order="C")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._compiled = None
