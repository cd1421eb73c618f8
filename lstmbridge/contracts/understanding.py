"""What can be read of an artifact from any tool: its network, and what its ports carry."""

from __future__ import annotations

from dataclasses import dataclass

from lstmbridge.model.blocks import Model

BATCH_MAJOR, TIME_MAJOR = "batch-major", "time-major"
"""How a sequence lies: (batch, time, features) or (time, batch, features)."""


@dataclass(frozen=True, slots=True)
class Port:
    """One input or output of a file from elsewhere, in an artifact's terms.

    Attributes:
        theirs: its name in the file.
        ours: what it carries by an artifact's names; several are stacked on the first axis, as
            PyTorch's ``h_n`` stacks layers. "" in its place: a slice that nobody reads.
        layout: of a sequence: `BATCH_MAJOR` or `TIME_MAJOR`; "" for all else.
        stacked: whether there is a first axis over `ours`, be there one or several.
        why: how it was recognised, in words.
    """

    theirs: str
    ours: tuple[str, ...]
    layout: str = ""
    stacked: bool = False
    why: str = ""


@dataclass(frozen=True, slots=True)
class Understanding:
    """What an artifact's file says of its network, whoever wrote it.

    Attributes:
        model: the network that its recurrent nodes or keys make; None: they could not be put
            together, `left` says why.
        kind: what the file is, in words: ``"ONNX file"``.
        ports: its inputs and outputs, as far as they were recognised.
        accounted: stored numbers that are part of `model`.
        layers: layer -> where its weights stand in the file.
        left: what was not understood, or is not part of the network, in words.
    """

    model: Model | None
    kind: str
    ports: tuple[Port, ...] = ()
    accounted: int = 0
    layers: tuple[tuple[str, str], ...] = ()
    left: tuple[str, ...] = ()
