"""Recurrent cells as values: their blocks per gate and their constants. No arithmetic in here."""

from lstmbridge.model.cells.base import Stored
from lstmbridge.model.cells.lstm import LSTM

Cell = LSTM
"""Every kind of cell there is."""

__all__ = ["LSTM", "Cell", "Stored"]
