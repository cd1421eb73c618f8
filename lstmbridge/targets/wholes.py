"""What all targets of whole models ask of one."""

from __future__ import annotations

from typing import Any

import numpy as np

from lstmbridge.contracts import TargetOptions
from lstmbridge.graph.whole import Whole


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
