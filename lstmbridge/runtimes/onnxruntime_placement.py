"""Where ONNX Runtime really computed, from its own profile of a run.

A session that was asked for CUDA may compute on the CPU without a word: the provider is missing,
or declines a node (an LSTM that carries ``clip``, activations or peepholes, a GRU whose reset
gate comes before the recurrent product, in releases seen so far). `get_providers()` names what
was registered, not what ran; the profile names, for each node
that ran, the provider that ran it. Shapes and lengths (integers, booleans) may be computed on
the CPU: that is how ONNX Runtime means it. No number of the network may.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

CUDA = "CUDAExecutionProvider"
"""The provider whose refusals are known best; the others are rows of `onnxruntime_providers`."""
CPU = "CPUExecutionProvider"
_SUFFIX = "_kernel_time"
_NUMBERS = frozenset({"float", "float16", "double", "bfloat16"})
"""Element types, as profiles spell them, whose arithmetic must be on the device."""
SUSPECTS = ("clip", "activation_alpha", "activation_beta", "activations", "input_forget")
"""Attributes for which providers are known to decline a recurrent node."""
_PEEPHOLE = 7
_RECURRENT = frozenset({"LSTM", "GRU", "RNN"})


@dataclass(frozen=True, slots=True)
class Placed:
    """One node that ran: its name, operator, provider, and whether it gave real numbers."""

    name: str
    op: str
    provider: str
    numeric: bool


def placements(profile: Sequence[Mapping[str, Any]]) -> tuple[Placed, ...]:
    """The nodes of a profile, each once, in the order they ran.

    Args:
        profile: the events of the JSON file that `InferenceSession.end_profiling` names.
    """
    found: dict[tuple[str, str], Placed] = {}
    for event in profile:
        args = event.get("args", {})
        name = str(event.get("name", ""))
        if event.get("cat") != "Node" or "provider" not in args or not name.endswith(_SUFFIX):
            continue
        kinds = {kind for output in args.get("output_type_shape", ()) for kind in output}
        placed = Placed(
            name=name.removesuffix(_SUFFIX),
            op=str(args.get("op_name", "")),
            provider=str(args["provider"]),
            # a profile that does not say what a node gives is no proof that it gives integers
            numeric=not kinds or bool(kinds & _NUMBERS),
        )
        found[placed.name, placed.provider] = placed
    return tuple(found.values())


def misplaced(nodes: Sequence[Placed], provider: str) -> tuple[Placed, ...]:
    """The nodes that computed real numbers anywhere but on `provider`."""
    return tuple(node for node in nodes if node.numeric and node.provider != provider)


def complaint(nodes: Sequence[Placed], provider: str, reasons: Mapping[str, str]) -> str:
    """Why a run is no proof of `provider`; "" where it is.

    Args:
        nodes: of the run.
        provider: what was asked for.
        reasons: node name -> what may have made the provider decline it.
    """
    if not nodes:
        return f"asked for {provider}, and the profile names no node that ran"
    wrong = misplaced(nodes, provider)
    if not wrong:
        return ""
    # the recurrent nodes say the most; the rest follow them
    worst = min(wrong, key=lambda node: node.op not in _RECURRENT | {"Scan"})
    why = reasons.get(worst.name, "")
    because = f" ({why})" if why else ""
    return (
        f"asked for {provider}, but {len(wrong)} of {len(nodes)} nodes ran elsewhere: "
        f"the {worst.op} node {worst.name!r} on {worst.provider}{because}"
    )


def reasons_to_decline(nodes: Sequence[Any]) -> dict[str, str]:
    """For each recurrent node (NodeProto), what providers decline; others are left out."""
    reasons = {}
    for node in nodes:
        attributes = {one.name: one.i for one in node.attribute}
        carried = [name for name in attributes if name in SUSPECTS]
        if node.op_type == "GRU" and not attributes.get("linear_before_reset"):
            carried.append("a reset before the recurrent product")
        if len(node.input) > _PEEPHOLE and node.input[_PEEPHOLE]:
            carried.append("a peephole input")
        if node.op_type in _RECURRENT and carried:
            reasons[node.name] = "it carries " + ", ".join(carried)
    return reasons
