"""lstmbridge: recurrent networks that some TensorFlow trained, in ONNX Runtime and PyTorch.

The public names are loaded when they are first used; importing this package loads NumPy and
nothing heavier.
"""

from __future__ import annotations

import importlib
import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

_HOME = {
    "load": "lstmbridge.api",
    "inspect": "lstmbridge.api",
    "convert": "lstmbridge.api",
    "verify": "lstmbridge.api",
    "Conversion": "lstmbridge.contracts",
    "Model": "lstmbridge.model.blocks",
    "Verdict": "lstmbridge.contracts",
    "LstmBridgeError": "lstmbridge.errors",
}

__all__ = [*_HOME, "__version__"]  # noqa: PLE0604 - the keys are strings

if TYPE_CHECKING:
    from lstmbridge.api import convert as convert
    from lstmbridge.api import inspect as inspect
    from lstmbridge.api import load as load
    from lstmbridge.api import verify as verify
    from lstmbridge.contracts import Conversion as Conversion
    from lstmbridge.contracts import Verdict as Verdict
    from lstmbridge.errors import LstmBridgeError as LstmBridgeError
    from lstmbridge.model.blocks import Model as Model


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)


class _Package(ModuleType):
    """This package: its `verify` is the verb, although a room has the same name.

    Importing the room binds it as an attribute of its parent; here that binding is let go, so
    that ``lstmbridge.verify(...)`` means one thing whatever was imported before.
    """

    @property
    def verify(self) -> Any:
        """`lstmbridge.api.verify`."""
        return __getattr__("verify")

    @verify.setter
    def verify(self, room: ModuleType) -> None:
        """Leave the name to the verb; the room is found as ``lstmbridge.verify`` by import."""


sys.modules[__name__].__class__ = _Package
