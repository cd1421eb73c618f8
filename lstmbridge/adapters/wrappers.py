"""Wrappers around cells that are converted: highways and projections inside the loop.

Seen by running 0.12.1, 1.0.1, 1.4.1 and 1.15.5. Up to 1.1 a projection's scope lies beside the
scope of the cell that it wraps; from 1.2 on, around it. A HighwayWrapper opens no scope.
"""

from __future__ import annotations

from collections.abc import Mapping

from lstmbridge.adapters.dialects import (
    BEFORE,
    FIRST,
    LATEST,
    Sizes,
    Spelling,
    Wrapper,
)
from lstmbridge.gates import Weights
from lstmbridge.model.blocks import Block, Dense, Highway, Sequence
from lstmbridge.model.facts import Fact

_DENSE = (
    Spelling(LATEST, {"kernel": "kernel", "bias": "bias"}),
    Spelling(FIRST, {"kernel": "weights", "bias": "biases"}),
    Spelling(BEFORE, {"kernel": "Linear/Matrix", "bias": "Linear/Bias"}),
)
_HIGHWAY = {
    "carry_kernel": "carry_w",
    "carry_bias": "carry_b",
    "transform_kernel": "transform_w",
    "transform_bias": "transform_b",
}


def in_sequence(*blocks: Block) -> Block:
    """Blocks one after another, those of a sequence as its own."""
    flat: list[Block] = []
    for block in blocks:
        flat += block.blocks if isinstance(block, Sequence) else (block,)
    return flat[0] if len(flat) == 1 else Sequence(tuple(flat))


def _dense(tensors: Mapping[str, Weights], wrapper: str) -> Dense:
    return Dense(
        tensors["kernel"],
        tensors["bias"],
        Fact.assumed("linear", f"default of {wrapper}"),
    )


def _dense_sizes(tensors: Mapping[str, Weights]) -> Sizes | None:
    kernel, bias = tensors["kernel"], tensors["bias"]
    if len(kernel.shape) != 2 or bias.shape != kernel.shape[1:] or 0 in kernel.shape:
        return None
    return kernel.shape[0], kernel.shape[1]


def measure_input(tensors: Mapping[str, Weights], inner: Sizes) -> Sizes | None:
    """Sizes with a projection of the input."""
    own = _dense_sizes(tensors)
    return None if own is None or own[1] != inner[0] else (own[0], inner[1])


def measure_output(tensors: Mapping[str, Weights], inner: Sizes) -> Sizes | None:
    """Sizes with a projection of the output."""
    own = _dense_sizes(tensors)
    return None if own is None or own[0] != inner[1] else (inner[0], own[1])


def measure_highway(tensors: Mapping[str, Weights], inner: Sizes) -> Sizes | None:
    """Sizes with a highway: what it gates is as wide as its input."""
    width = inner[0]
    shapes = {"kernel": (width, width), "bias": (width,)}
    fits = all(t.shape == shapes[role.rpartition("_")[2]] for role, t in tensors.items())
    coupled = ("transform_kernel" in tensors) == ("transform_bias" in tensors)
    return inner if fits and coupled and inner[1] == width else None


def input_projected(tensors: Mapping[str, Weights], inner: Block) -> Block:
    """`tf.contrib.rnn.InputProjectionWrapper`."""
    return in_sequence(_dense(tensors, "InputProjectionWrapper"), inner)


def output_projected(tensors: Mapping[str, Weights], inner: Block) -> Block:
    """`tf.contrib.rnn.OutputProjectionWrapper`."""
    return in_sequence(inner, _dense(tensors, "OutputProjectionWrapper"))


def with_highway(tensors: Mapping[str, Weights], inner: Block) -> Block:
    """`tf.contrib.rnn.HighwayWrapper`."""
    return Highway(
        inner,
        tensors["carry_kernel"],
        tensors["carry_bias"],
        tensors.get("transform_kernel"),
        tensors.get("transform_bias"),
    )


HIGHWAY = Wrapper(
    "HighwayWrapper",
    (),
    tuple(_HIGHWAY.values()),
    "each layer's output is a gated mixture of the cell's output and its input",
    spellings=(Spelling(LATEST, _HIGHWAY),),
    needed=("carry_kernel", "carry_bias"),
    measure=measure_highway,
    build=with_highway,
)
INPUT_PROJECTION = Wrapper(
    "InputProjectionWrapper",
    (r"(input_projection_wrapper|InputProjectionWrapper)(_\d+)?",),
    (),
    "the inputs are projected inside the loop",
    spellings=_DENSE,
    needed=("kernel", "bias"),
    measure=measure_input,
    build=input_projected,
)
OUTPUT_PROJECTION = Wrapper(
    "OutputProjectionWrapper",
    (r"(output_projection_wrapper|OutputProjectionWrapper)(_\d+)?",),
    (),
    "the outputs are projected inside the loop",
    spellings=_DENSE,
    needed=("kernel", "bias"),
    measure=measure_output,
    build=output_projected,
)
CONVERTED_WRAPPERS: tuple[Wrapper, ...] = (HIGHWAY, INPUT_PROJECTION, OUTPUT_PROJECTION)
