"""Recurrent cells as values: their blocks per gate and their constants. No arithmetic in here."""

from lstmbridge.model.cells.base import Cell, Stored
from lstmbridge.model.cells.gru import GRU
from lstmbridge.model.cells.lstm import LSTM
from lstmbridge.model.cells.simple import RNN, UGRNN, Intersection
from lstmbridge.model.cells.variants import NAS, CoupledLSTM, IndyGRU, IndyLSTM, LayerNormLSTM

__all__ = [
    "GRU",
    "LSTM",
    "NAS",
    "RNN",
    "UGRNN",
    "Cell",
    "CoupledLSTM",
    "IndyGRU",
    "IndyLSTM",
    "Intersection",
    "LayerNormLSTM",
    "Stored",
]
