"""What all targets of whole models ask of one."""

from __future__ import annotations

from typing import Any

import numpy as np

from lstmbridge.contracts import TargetOptions
from lstmbridge.graph.whole import Whole
from lstmbridge.model.blocks import Bidirectional, Block
from lstmbridge.model.blocks import Sequence as Blocks


def precision_of_whole(whole: Whole, options: TargetOptions) -> np.dtype[Any]:
    """In which precision a whole model's arithmetic is done.

    The widest of its ports' and stacks', float32 at least: runtimes on CPUs have few operators in
    half precision.
    """
    if options.dtype is not None:
        wanted = {options.dtype}
    else:
        wanted = {port.dtype.name for port in (*whole.inputs, *whole.outputs)}
        wanted |= {layer.cell.dtype.name for place in whole.places for layer in place.model.layers}
    return np.dtype(np.float64 if "float64" in wanted else np.float32)


def widths_of(block: Block) -> list[int]:
    """How wide the outputs of each direction of a stack are."""
    while isinstance(block, Blocks) and len(block.blocks) == 1:
        block = block.blocks[0]
    if isinstance(block, Bidirectional):
        return [block.forward.output_size, block.backward.output_size]
    if isinstance(block, Blocks):
        return widths_of(block.blocks[-1])
    return [block.output_size]
