"""Every TensorFlow operation that lstmbridge understands, by its type.

The definitions stand in `ops_*`, grouped by what they are about; each is written once against
`vocabulary.Words`. What an operation means is TensorFlow's op registry (`tf.raw_ops`); tests
compare each with what TensorFlow computed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from lstmbridge.graph.network import Op
from lstmbridge.graph.ops_cells import CELLS
from lstmbridge.graph.ops_decoding import DECODING
from lstmbridge.graph.ops_elementwise import ELEMENTWISE
from lstmbridge.graph.ops_index import INDEX
from lstmbridge.graph.ops_math import MATH
from lstmbridge.graph.ops_matrices import MATRICES
from lstmbridge.graph.ops_shape import SHAPES
from lstmbridge.graph.ops_windows import WINDOWS
from lstmbridge.graph.words import Words

Definition = Callable[[Words[Any], Op, Sequence[Any]], Sequence[Any]]
"""(namespace, operation, its inputs' values) -> its outputs' values."""

OPS: Mapping[str, Definition] = {
    **ELEMENTWISE,
    **MATH,
    **SHAPES,
    **INDEX,
    **MATRICES,
    **WINDOWS,
    **CELLS,
    **DECODING,
}
