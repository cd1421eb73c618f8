"""ONNX Runtime on the CPU, and what its other providers share. Imported when a session is opened.

Hazards that are handled here: an empty batch aborts the process inside the LSTM and GRU kernels
(1.32), no step does inside GRU's, so feeds with an empty axis are declined before they reach
them; a session that silently computes elsewhere than it was asked to
is refused (see `onnxruntime_providers`). Stated, not handled: what the kernel makes of
a NaN input depends on the processor (NaN on some, finite numbers on others); TensorFlow always
gives NaN.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from typing_extensions import Self

from lstmbridge.contracts import Artifact, Feeds, Outputs, RuntimeInfo
from lstmbridge.errors import RuntimeUnavailable
from lstmbridge.gates import Array
from lstmbridge.model.blocks import Model
from lstmbridge.runtimes.onnxruntime_placement import CPU

INSTALL_CPU = "pip install onnxruntime"
DISTRIBUTIONS = (
    "onnxruntime",
    "onnxruntime-gpu",
    "onnxruntime-openvino",
    "onnxruntime-directml",
    "onnxruntime-windowsml",
    "onnxruntime-rocm",
    "onnxruntime-migraphx",
    "onnxruntime-qnn",
)
ABSENT = "onnxruntime is not installed"
FATAL_ONLY = 4
"""ONNX Runtime's log severity: its warnings would reach the user's stderr."""
_DTYPES: Mapping[str, type[np.generic]] = {
    "tensor(float16)": np.float16,
    "tensor(float)": np.float32,
    "tensor(double)": np.float64,
    "tensor(int32)": np.int32,
    "tensor(int64)": np.int64,
    "tensor(bool)": np.bool_,
}


@contextmanager
def translated(what: str, runtime: str) -> Iterator[None]:
    """ONNX Runtime's own exceptions, whatever their class, become `RuntimeUnavailable`."""
    try:
        yield
    except RuntimeUnavailable:
        raise
    except Exception as error:  # its exceptions share no other base
        text = " ".join(str(error).split())
        raise RuntimeUnavailable(
            f"ONNX Runtime declined to {what}: {text[:400]}", where=runtime
        ) from error


def installed_version() -> str:
    """Version of the installed wheel, whichever it is, without importing it; "" where absent."""
    if importlib.util.find_spec("onnxruntime") is None:
        return ""
    found = [one for name in DISTRIBUTIONS for one in importlib.metadata.distributions(name=name)]
    return found[0].version if found else "unknown"


def decline_empty(feeds: Feeds, runtime: str) -> None:
    """Refuse feeds with an empty axis.

    Raises:
        RuntimeUnavailable: the LSTM or GRU kernel would abort the whole process.
    """
    for name, array in feeds.items():
        if 0 in array.shape:
            raise RuntimeUnavailable(
                f"{name} has the shape {array.shape}",
                expected="at least one row and one step: ONNX Runtime's recurrent operators "
                "abort the process on an empty axis, so this probe was not run",
                where=runtime,
            )


class OnnxRuntimeSession:
    """A loaded artifact. Implements `contracts.Session`."""

    def __init__(self, session: Any, runtime: str, precision: str, device: str) -> None:
        self._session = session
        self._runtime = runtime
        self._dtypes = {one.name: _DTYPES.get(one.type) for one in _all_inputs(session)}
        self._outputs = [one.name for one in session.get_outputs()]
        self.precision = precision
        self.device = device

    def run(self, feeds: Feeds) -> Outputs:
        """One probe: feeds cast to the artifact's dtypes, outputs as they come.

        Raises:
            RuntimeUnavailable: an empty batch or sequence, or ONNX Runtime declined.
        """
        decline_empty(feeds, self._runtime)
        with translated("run the model", self._runtime):
            cast = {name: self._cast(name, array) for name, array in feeds.items()}
            results = self._session.run(self._outputs, cast)
        return dict(zip(self._outputs, results, strict=True))

    def _cast(self, name: str, array: Array) -> Array:
        dtype = self._dtypes.get(name)
        if dtype is None:
            raise RuntimeUnavailable(
                f"{name!r} was fed",
                expected=f"one of the artifact's inputs: {', '.join(self._dtypes)}",
                where=self._runtime,
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
        self._session = None


def _all_inputs(session: Any) -> list[Any]:
    """Inputs that must be fed, and those with a default."""
    return [*session.get_inputs(), *session.get_overridable_initializers()]


def onnx_artifact(subject: Artifact | Model, runtime: str) -> Artifact:
    """The artifact to load.

    Raises:
        RuntimeUnavailable: `subject` is not an ONNX artifact.
    """
    if not isinstance(subject, Artifact) or subject.target != "onnx":
        raise RuntimeUnavailable(
            "ONNX Runtime was given something that is no ONNX file",
            expected="an artifact of the ONNX target",
            where=runtime,
        )
    return subject


def refuse_absent(info: RuntimeInfo) -> None:
    """Raise what `info` says is missing.

    Raises:
        RuntimeUnavailable: it cannot run here.
    """
    if not info.available:
        raise RuntimeUnavailable(info.reason, where=info.name, advice=info.install)


class OnnxRuntimeCpu:
    """ONNX Runtime's CPU provider, one thread. Implements `contracts.Runtime`."""

    name = "onnxruntime-cpu"
    runs = "onnx"

    def info(self) -> RuntimeInfo:
        """Is the package here? Imports nothing."""
        version = installed_version()
        if version:
            return RuntimeInfo(self.name, available=True, version=version)
        return RuntimeInfo(self.name, available=False, reason=ABSENT, install=INSTALL_CPU)

    def open(self, subject: Artifact | Model) -> OnnxRuntimeSession:
        """Load the artifact.

        Raises:
            RuntimeUnavailable: onnxruntime is absent, or declines the file.
        """
        artifact = onnx_artifact(subject, self.name)
        refuse_absent(self.info())
        session = create_session(artifact.path, [CPU], self.name)
        return OnnxRuntimeSession(session, self.name, artifact.precision, "cpu")


def create_session(
    path: Path,
    providers: list[Any],
    runtime: str,
    profile: Path | None = None,
    *,
    memory_pattern: bool = True,
) -> Any:
    """An `InferenceSession` that is silent, has one thread and never falls back by itself.

    One thread: start-up and layers of this size gain nothing from more.

    Raises:
        RuntimeUnavailable: ONNX Runtime declines the file or the providers.
    """
    with translated(f"load {path.name}", runtime):
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        options.log_severity_level = FATAL_ONLY
        options.enable_mem_pattern = memory_pattern
        if profile is not None:
            options.enable_profiling = True
            options.profile_file_prefix = str(profile)
            onnxruntime.set_default_logger_severity(FATAL_ONLY)
        session = onnxruntime.InferenceSession(
            str(path), options, providers=providers, enable_fallback=0
        )
        session.disable_fallback()
    return session
