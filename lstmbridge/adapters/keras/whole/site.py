"""One call of a layer: what a layer's definition is told."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from lstmbridge.adapters.keras.versions import release
from lstmbridge.adapters.keras.whole.drawing import Drawing, Value
from lstmbridge.adapters.keras.whole.stored import Stored
from lstmbridge.errors import CannotExpress

ADVICE = "give --stack-only to convert the recurrent layers alone"


@dataclass(frozen=True)
class Site:
    """A layer that is called.

    Attributes:
        drawing: what its operations are added to.
        name: the layer's, ``"encoder/dense"``.
        kind: its class.
        config: its own config.
        stored: its weights.
        version: of the Keras that wrote the file.
        inputs: what it is called on.
        options: further arguments of the call, tensors among them as `Value`s.
    """

    drawing: Drawing
    name: str
    kind: str
    config: Mapping[str, Any]
    stored: Stored
    version: str
    inputs: tuple[Value, ...]
    options: Mapping[str, Any]

    @property
    def x(self) -> Value:
        """Its one input."""
        if len(self.inputs) != 1:
            raise self.refused(f"is called on {len(self.inputs)} tensors")
        return self.inputs[0]

    @property
    def release(self) -> tuple[int, int]:
        """Of Keras; (0, 0) where it is not known."""
        return release(self.version)

    @property
    def is_keras3(self) -> bool:
        """Whether Keras 3's definitions hold."""
        return self.release >= (3, 0)

    def weight(self, role: str, rank: int) -> Value:
        """One of its weights. Errors: CannotExpress where it has another rank."""
        made = self.drawing.variable(role, self.stored.roles[role])
        if made.rank != rank:
            raise self.refused(f"has a {role} of shape {made.shape}")
        return made

    def has(self, role: str) -> bool:
        """Whether it has such a weight."""
        return role in self.stored.roles

    def fits(self, width: int | None, stored: int | None, what: str) -> None:
        """Errors: CannotExpress where weights are not made for the input."""
        if width is not None and width != stored:
            raise self.refused(f"takes {stored} {what}, and is fed {width}")

    def refused(self, why: str, expected: str = "") -> CannotExpress:
        """An error that names the layer and its class."""
        return CannotExpress(
            f"the {self.kind} {self.name} {why}", expected=expected, where=self.name, advice=ADVICE
        )

    def only(self, key: str, allowed: Sequence[Any]) -> Any:
        """An entry of the config that is one of these, the first being the default."""
        value = self.config.get(key, allowed[0])
        value = tuple(value) if isinstance(value, list) else value
        if value not in allowed:
            raise self.refused(f"has {key} {value!r}", f"one of {', '.join(map(repr, allowed))}")
        return value

    def like(self, kind: str, config: Mapping[str, Any], *inputs: Value) -> Site:
        """Another layer without weights at the same place."""
        return replace(
            self, kind=kind, config=config, stored=Stored(), inputs=tuple(inputs), options={}
        )
