"""PyTorch: eager, compiled, exported programs, and on CUDA. Imported when opened.

An artifact is loaded as its user will load it: by the public door `lstmbridge.torch.load`, which
is looked up by name when it is needed, as any other package's loader is.

Arithmetic: float32 is float32 (no TF32, no bfloat16 products), whatever the process has set;
the process gets its own settings back after each run.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import importlib.util
import os
import shutil
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any

import ml_dtypes
import numpy as np
from typing_extensions import Self

from lstmbridge.contracts import Artifact, Feeds, Outputs, RuntimeInfo
from lstmbridge.errors import LstmBridgeError, RuntimeUnavailable
from lstmbridge.gates import Array
from lstmbridge.model.blocks import Model

INSTALL = "pip install 'lstmbridge[torch]'"
INSTALL_CUDA = "install a CUDA build of PyTorch: https://pytorch.org/get-started/locally"
_DOOR = "lstmbridge.torch"
_DRIVER = Path("/proc/driver/nvidia/version")
_OF_TORCH = (
    RuntimeError, TypeError, ValueError, MemoryError, OSError,
    AssertionError, IndexError, KeyError,  # an exported program's guards and its loops
)  # fmt: skip


def installed_version() -> str:
    """Version of the installed PyTorch, without importing it; "" where absent."""
    if importlib.util.find_spec("torch") is None:
        return ""
    try:
        return importlib.metadata.version("torch")
    except importlib.metadata.PackageNotFoundError:
        return "unknown"


def _release(version: str) -> tuple[int, ...]:
    """(2, 13) of ``2.13.0+cpu``; what is no number counts as the newest."""
    return tuple(int(part) if part.isdigit() else 999 for part in version.split(".")[:2])


class TorchCpu:
    """PyTorch on the CPU, with as many threads as it takes. Implements `contracts.Runtime`."""

    name = "torch"
    runs = "torch"

    def info(self) -> RuntimeInfo:
        """Is it installed? Imports nothing."""
        version = installed_version()
        if version:
            return RuntimeInfo(self.name, available=True, version=version)
        reason = "PyTorch is not installed"
        return RuntimeInfo(self.name, available=False, reason=reason, install=INSTALL)

    def open(self, subject: Artifact | Model) -> TorchSession:
        """Load an artifact of the target that this runtime runs.

        Raises:
            RuntimeUnavailable: no PyTorch, or `subject` is something else.
        """
        return TorchSession(_module(subject, self), _precision(subject), self.name, "cpu")


class TorchExport(TorchCpu):
    """An exported program on the CPU, as `torch.export.load` gives it."""

    name = "torch-export"
    runs = "torch-export"

    def info(self) -> RuntimeInfo:
        """Is a PyTorch installed that knows such programs? Imports nothing."""
        info = super().info()
        if not info.available or _release(info.version) >= (2, 9):
            return info
        reason = f"PyTorch {info.version} is older than 2.9"
        return replace(info, available=False, reason=reason, install=f"{INSTALL} --upgrade")


class TorchCompile(TorchCpu):
    """`torch.compile` on the CPU; it needs a C++ compiler. In a process of its own, on request."""

    name = "torch-compile"
    contained = True
    on_request = True

    def info(self) -> RuntimeInfo:
        """Are PyTorch and a compiler installed? Imports nothing."""
        info = super().info()
        compilers = [os.environ["CXX"]] if os.environ.get("CXX") else ["g++", "clang++", "cl"]
        if not info.available or any(map(shutil.which, compilers)):
            return info
        reason = f"there is no C++ compiler ({', '.join(compilers)})"
        return replace(info, available=False, reason=reason, install="apt install g++")

    def open(self, subject: Artifact | Model) -> TorchSession:
        """Load an artifact of the torch target; the first probe compiles it.

        Raises:
            RuntimeUnavailable: no PyTorch, no compiler, or `subject` is something else.
        """
        info = self.info()
        if not info.available:
            raise RuntimeUnavailable(info.reason, where=self.name, advice=info.install)
        module = _module(subject, self)
        with _translated("compile the module", self.name):
            import torch

            # sizes as symbols: probes of many sizes, one program
            compiled = torch.compile(module, dynamic=True)
        return TorchSession(compiled, _precision(subject), self.name, "cpu")


class TorchCuda:
    """PyTorch on the first CUDA device, TF32 off. Implements `contracts.Runtime`."""

    name = "torch-cuda"
    runs = "torch"
    contained = True
    tf32 = False

    def info(self) -> RuntimeInfo:
        """Is there a CUDA build and a driver? Imports nothing; `open` asks the device itself."""
        version = installed_version()
        if not version:
            reason, install = "PyTorch is not installed", INSTALL
        elif version.endswith("+cpu"):
            reason, install = f"PyTorch {version} is a build for the CPU", INSTALL_CUDA
        elif not _DRIVER.exists():
            reason, install = "this machine has no NVIDIA driver", "install the driver"
        else:
            return RuntimeInfo(self.name, available=True, version=version, device="cuda")
        return RuntimeInfo(
            self.name,
            available=False,
            version=version,
            device="cuda",
            reason=reason,
            install=install,
        )

    def open(self, subject: Artifact | Model) -> TorchSession:
        """Load an artifact of the torch target and move it to the device.

        Raises:
            RuntimeUnavailable: no PyTorch, no device, or `subject` is something else.
        """
        info = self.info()
        if not info.available:
            raise RuntimeUnavailable(info.reason, where=self.name, advice=info.install)
        import torch

        if not torch.cuda.is_available():
            raise RuntimeUnavailable(
                f"PyTorch {torch.__version__} sees no CUDA device",
                where=self.name,
                advice=INSTALL_CUDA,
            )
        module = _module(subject, self)
        with _translated("move the module to the device", self.name):
            module = module.to("cuda:0")
        precision = _precision(subject)
        narrowed = self.tf32 and precision == "float32"
        return TorchSession(module, precision, self.name, "cuda:0", tf32=narrowed)


class TorchCudaTf32(TorchCuda):
    """The same with TF32 on; it is another precision, with another noise floor."""

    name = "torch-cuda-tf32"
    tf32 = True


class TorchSession:
    """A loaded module. Implements `contracts.Session`."""

    def __init__(
        self, module: Any, precision: str, runtime: str, device: str, *, tf32: bool = False
    ) -> None:
        import torch

        self._module = module
        self._runtime = runtime
        self._place = torch.device(device)
        self._dtype: torch.dtype = getattr(torch, precision)
        self._tf32 = tf32
        self.precision = "tf32" if tf32 else precision
        self.device = device
        if self._place.type == "cuda":
            self.device = f"{device} ({torch.cuda.get_device_name(self._place)})"

    def run(self, feeds: Feeds) -> Outputs:
        """One probe: feeds cast to the module's dtype, outputs as they come.

        Raises:
            RuntimeUnavailable: PyTorch declined; a name or a shape that the module does not have.
        """
        import torch

        with (
            _translated("run the module", self._runtime),
            torch.inference_mode(),
            _products(tf32=self._tf32),
        ):
            fed = {name: self._tensor(array) for name, array in feeds.items()}
            return {name: _array(tensor) for name, tensor in self._module(**fed).items()}

    def _tensor(self, array: Array) -> Any:
        import torch

        array = np.asarray(array)
        if array.dtype.kind in "iu":
            return torch.from_numpy(array.astype(np.int32)).to(self._place)
        if array.dtype.kind == "b":
            return torch.from_numpy(np.array(array)).to(self._place)
        # by way of float64, which holds every narrower number and which torch can take
        return torch.from_numpy(array.astype(np.float64)).to(self._place, self._dtype)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._module = None


def _module(subject: Artifact | Model, runtime: TorchCpu | TorchCuda) -> Any:
    if not isinstance(subject, Artifact) or subject.target != runtime.runs:
        raise RuntimeUnavailable(
            f"PyTorch was given something that is no file of the {runtime.runs} target",
            expected=f"an artifact of --to {runtime.runs}",
            where=runtime.name,
        )
    with _translated("load the artifact", runtime.name):
        return importlib.import_module(_DOOR).load(subject.path)


def _precision(subject: Artifact | Model) -> str:
    return subject.precision if isinstance(subject, Artifact) else ""


def _array(tensor: Any) -> Array:
    import torch

    here = tensor.cpu().contiguous()
    if here.dtype == torch.bfloat16:  # NumPy has no such dtype: by its bits
        bits: Array = here.view(torch.int16).numpy()
        return bits.view(ml_dtypes.bfloat16)
    numbers: Array = here.numpy()
    return numbers


@contextmanager
def _products(*, tf32: bool) -> Iterator[None]:
    """TF32 or full float32, nothing narrower; the process's own settings come back."""
    import torch

    cudnn: Any = torch.backends.cudnn
    precision, allowed = torch.get_float32_matmul_precision(), cudnn.allow_tf32
    torch.set_float32_matmul_precision("high" if tf32 else "highest")
    cudnn.allow_tf32 = tf32
    try:
        with warnings.catch_warnings():
            # which of its kernels PyTorch takes for a projection is nothing a user can act on
            warnings.filterwarnings("ignore", message="LSTM with projections")
            yield
    finally:
        cudnn.allow_tf32 = allowed
        torch.set_float32_matmul_precision(precision)


@contextmanager
def _translated(what: str, runtime: str) -> Iterator[None]:
    """PyTorch's own exceptions become `RuntimeUnavailable`; ours pass, except wrong feeds."""
    try:
        yield
    except RuntimeUnavailable:
        raise
    except LstmBridgeError as error:
        raise RuntimeUnavailable(
            error.read, expected=error.expected, where=runtime, advice=error.advice
        ) from error
    except _OF_TORCH as error:
        text = " ".join(str(error).split())
        raise RuntimeUnavailable(
            f"PyTorch declined to {what}: {text[:400]}", where=runtime
        ) from error
