"""A layer as a `Scan` built from its equations."""

from __future__ import annotations

from lstmbridge.errors import CannotExpress
from lstmbridge.model.blocks import Layer
from lstmbridge.targets.onnx.flow import Network


def emit_stepped(net: Network, layer: Layer, x: str, *, reverse: bool) -> str:
    """Refuses: this version writes native nodes only."""
    _ = net, x, reverse
    raise CannotExpress(f"{layer.name} needs a Scan, which is not written yet", where=layer.name)
