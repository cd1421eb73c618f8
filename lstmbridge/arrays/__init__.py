"""The tiny array namespace that cells are written against, and its NumPy interpreters.

Every word means what ONNX's operator of that name means, so that one equation can be run by
float64 NumPy (the oracle), by NumPy that perturbs each operation by a rounding error (the noise
floor), by PyTorch, and by a builder of ONNX nodes. Nothing here knows a cell or a file.
"""

from lstmbridge.arrays.namespace import ACTIVATIONS, Namespace, activation
from lstmbridge.arrays.numpy64 import Float64
from lstmbridge.arrays.rounding import SMALLEST_NORMAL, UNIT_ROUNDING, Rounding, narrowed

__all__ = [
    "ACTIVATIONS",
    "SMALLEST_NORMAL",
    "UNIT_ROUNDING",
    "Float64",
    "Namespace",
    "Rounding",
    "activation",
    "narrowed",
]
