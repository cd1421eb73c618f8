"""Every TensorFlow operation that lstmbridge understands, by its type.

The definitions stand in `ops_elementwise`, `ops_shape` and `ops_cells`; each is written once
against `words.Words`. What an operation means is TensorFlow's op registry (`tf.raw_ops`);
tests compare each with what TensorFlow computed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from lstmbridge.graph.network import Op
from lstmbridge.graph.ops_cells import CELLS
from lstmbridge.graph.ops_elementwise import ELEMENTWISE
from lstmbridge.graph.ops_shape import SHAPES
from lstmbridge.graph.words import Words

Definition = Callable[[Words[Any], Op, Sequence[Any]], Sequence[Any]]
"""(namespace, operation, its inputs' values) -> its outputs' values."""

OPS: Mapping[str, Definition] = {**ELEMENTWISE, **SHAPES, **CELLS}
