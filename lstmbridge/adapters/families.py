"""Every family of cells that is converted. A new family is a file and a line here."""

from __future__ import annotations

from lstmbridge.adapters import groups, gru, lstm, simple, variants
from lstmbridge.adapters.dialects import CellClass, Family, ForeignClass
from lstmbridge.adapters.foreign import FOREIGN_CLASSES

FAMILIES: tuple[Family, ...] = (
    lstm.LSTM_FAMILY,
    gru.GRU_FAMILY,
    gru.BLOCK_FAMILY,
    gru.AFTER_FAMILY,
    gru.INDEPENDENT_FAMILY,
    simple.RNN_FAMILY,
    simple.UGRNN_FAMILY,
    simple.INTERSECTION_FAMILY,
    variants.LAYER_NORM_FAMILY,
    variants.COUPLED_FAMILY,
    variants.INDEPENDENT_FAMILY,
    variants.NAS_FAMILY,
    groups.GROUP_FAMILY,
)

ALIASES = {
    "cudnnlstm": "CudnnCompatibleLSTMCell",
    "cudnngru": "CudnnCompatibleGRUCell",
    "cudnnrnntanh": "BasicRNNCell",
    "cudnnrnnrelu": "BasicRNNCell",
}
"""Other names of classes, as `normal` writes them, that ``--cell`` takes."""


def normal(name: str) -> str:
    """A class name without case, underscores and the ending ``cell``."""
    bare = name.lower().replace("_", "")
    return bare.removesuffix("cell")


def class_called(name: str) -> tuple[Family, CellClass] | None:
    """The convertible class that the user calls `name`."""
    wanted = normal(ALIASES.get(normal(name), name))
    for family in FAMILIES:
        for row in family.classes:
            if normal(row.name) == wanted:
                return family, row
    return None


def foreign_called(name: str) -> ForeignClass | None:
    """The class that is known and not converted, by the user's spelling."""
    wanted = normal(name)
    return next((row for row in FOREIGN_CLASSES if normal(row.name) == wanted), None)


def known_classes() -> tuple[str, ...]:
    """What ``--cell`` takes."""
    return tuple(dict.fromkeys(row.name for family in FAMILIES for row in family.classes))
