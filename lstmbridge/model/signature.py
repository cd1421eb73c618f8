"""The names, shapes and dtypes by which an artifact of a stack is fed and read."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Any

import numpy as np

from lstmbridge.model.blocks import Model

INPUTS = "inputs"
SEQUENCE_LENGTH = "sequence_length"
OUTPUTS = "outputs"


class States(str, Enum):
    """How an artifact takes its initial states."""

    NONE = "none"
    """It does not: they are the model's own, zeros where it has none."""
    OPTIONAL = "optional"
    """Inputs with the model's own as their default."""
    REQUIRED = "required"
    """Inputs that must be fed."""


@dataclass(frozen=True, slots=True)
class TensorSpec:
    """A named input or output; symbolic axes are strings (``"batch"``, ``"time"``).

    `optional` marks an input that may be left out: the artifact has a default for it.
    """

    name: str
    shape: tuple[int | str, ...]
    dtype: np.dtype[Any]
    optional: bool = False


@dataclass(frozen=True, slots=True)
class Signature:
    """What goes in and what comes out, batch-major."""

    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]

    def input_names(self) -> tuple[str, ...]:
        """The inputs' names, in order."""
        return tuple(spec.name for spec in self.inputs)

    def output_names(self) -> tuple[str, ...]:
        """The outputs' names, in order."""
        return tuple(spec.name for spec in self.outputs)


def signature_of(
    model: Model, dtype: np.dtype[Any], *, states: States, sequence_length: bool
) -> Signature:
    """The signature of a stack's artifact in precision `dtype`.

    Inputs: ``inputs`` (batch, time, features); ``sequence_length`` (batch,) int32 where asked
    for; ``initial_<layer>_<state>`` (batch, width) unless `states` is none. Outputs:
    ``outputs`` (batch, time, units) and ``<layer>_<state>`` for every layer.
    """
    inputs = [TensorSpec(INPUTS, ("batch", "time", model.input_size), dtype)]
    if sequence_length:
        inputs.append(TensorSpec(SEQUENCE_LENGTH, ("batch",), np.dtype(np.int32)))
    outputs = [TensorSpec(OUTPUTS, ("batch", "time", model.output_size), dtype)]
    for layer in model.layers:
        for state, width in layer.cell.state_sizes.items():
            outputs.append(TensorSpec(layer.state_name(state), ("batch", width), dtype))
            if states is not States.NONE:
                name, optional = layer.initial_name(state), states is States.OPTIONAL
                inputs.append(TensorSpec(name, ("batch", width), dtype, optional))
    return Signature(tuple(inputs), tuple(outputs))
