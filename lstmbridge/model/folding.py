"""Exact algebra that targets apply to weights, stated once so that a verifier can repeat it."""

from __future__ import annotations

import numpy as np

from lstmbridge.gates import Array
from lstmbridge.model.cells import LSTM


def projected_gate(cell: LSTM, gate: str) -> Array:
    """One gate's recurrent weights seen from the unprojected output m, in float64.

    With h = m P the recurrent product is h U = m (P U): a cell without projection whose
    recurrent weights are P U computes the same gates. Shapes: P (H, P), U (P, H), result (H, H).

    Raises:
        ValueError: the cell has no projection.
    """
    if cell.projection is None:
        raise ValueError("the cell has no projection to fold")
    projection = np.asarray(cell.projection.load()).astype(np.float64)
    return np.asarray(projection @ np.asarray(cell.recurrent[gate]).astype(np.float64))


def projected_recurrent(cell: LSTM) -> dict[str, Array]:
    """`projected_gate` of every gate."""
    return {gate: projected_gate(cell, gate) for gate in cell.recurrent}
