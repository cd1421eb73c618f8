"""A right run of a whole model, from which wrong ones depart."""

from __future__ import annotations

from collections.abc import Collection, Mapping

import numpy as np

from lstmbridge.gates import Array
from lstmbridge.graph.execute import Program
from lstmbridge.graph.kept import Kept
from lstmbridge.graph.network import Tensor
from lstmbridge.graph.whole import Whole


class Ground:
    """One run of `whole` on widened feeds, kept.

    Errors: as `Whole.run`.
    """

    def __init__(self, whole: Whole, feeds: Mapping[str, Array]) -> None:
        self._whole = whole
        wanted = [port.tensor for port in whole.outputs]
        self._kept = Kept(whole.program, whole.fed(feeds), wanted, whole.most)

    @property
    def program(self) -> Program:
        """The right one."""
        return self._whole.program

    def value(self, tensor: Tensor) -> Array:
        """What a tensor is in the right run. Errors: as `Whole.run`."""
        return self._kept.value(tensor)

    def changed(
        self,
        program: Program,
        ops: Collection[str] = (),
        given: Mapping[Tensor, Array] | None = None,
    ) -> dict[str, Array]:
        """All outputs by name: see `Kept.changed`."""
        with np.errstate(all="ignore"):
            got = self._kept.changed(program, ops, given)
        return {port.name: got[port.tensor] for port in self._whole.outputs}
