"""What one case of `make_fixtures_tf1.py` is."""

from types import MappingProxyType
from typing import Callable, Mapping, NamedTuple, Optional, Sequence


class Case(NamedTuple):
    """One fixture. `needs`: options a user must give who has only the weights.

    Attributes:
        build: takes a random state, builds a graph and returns its `Net`.
        releases: the folders' prefixes of the releases that write this case.
        format: "V1", or None for the release's default (V2 in all of these).
        meta, state: whether the graph and the state file are kept.
        steps: one checkpoint per entry is saved; the last is the fixture's.
        gain: how much stronger than usual the kernels are; a deep stack of weak ones is blind.
        train: adds what training leaves in a checkpoint; returns the averages, if any.
    """

    name: str
    code: str
    build: Callable
    releases: str = "tf115"
    family: str = "lstm"
    cell: str = "BasicLSTMCell"
    what: str = ""
    hparams: Mapping = MappingProxyType({})
    needs: Mapping = MappingProxyType({})
    format: Optional[str] = None
    meta: bool = False
    state: bool = False
    sharded: bool = False
    steps: Sequence = (None,)
    gain: float = 1.0
    train: Optional[Callable] = None
