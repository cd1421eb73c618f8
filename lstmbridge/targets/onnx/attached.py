"""Blocks around cells, by their equations: they see one step, so all are computed at once."""

from __future__ import annotations

from functools import partial

from lstmbridge.model.blocks import Attachment, Dense, Highway
from lstmbridge.model.equations.wrappers import dense, highway, weights_of_block
from lstmbridge.targets.onnx.flow import Flow, Network
from lstmbridge.targets.onnx.namespace import Symbolic
from lstmbridge.targets.onnx.workshop import narrowed, stored_weights, widened, workshop


def emit_dense(net: Network, attachment: Attachment, block: Dense, x: Flow) -> Flow:
    """A dense layer over the sequence `x`."""
    ops, weights = _bound(net, attachment)
    return _finished(net, attachment, dense(ops, block, widened(net, x.name), weights))


def emit_highway(net: Network, attachment: Attachment, x: Flow, inner: Flow) -> Flow:
    """A mix of the sequence `x` and of what the inner block made of it."""
    ops, weights = _bound(net, attachment)
    seen, made = widened(net, x.name), widened(net, inner.name)
    return _finished(net, attachment, highway(ops, seen, made, weights))


def _bound(net: Network, attachment: Attachment) -> tuple[Symbolic, dict[str, str]]:
    block: Dense | Highway = attachment.block
    weights = stored_weights(net, attachment.name, block, partial(weights_of_block, block))
    return Symbolic(workshop(net), attachment.name, attachment.name), weights


def _finished(net: Network, attachment: Attachment, result: str) -> Flow:
    """Zero past each row's end, in the graph's precision."""
    if net.lengths is not None:
        result = net.mask(result, f"{attachment.name}/valid", workshop(net).dtype)
    return Flow(narrowed(net, result, attachment.name), zero_past_end=True)
