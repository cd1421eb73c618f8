"""What a file that lists its layers says of them: Keras files, with or without a config."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable


@dataclass(frozen=True, slots=True)
class Described:
    """The layers of a Keras file, as the file has them.

    Attributes:
        version: of the Keras that wrote it, ``"2.2.4-tf"``; "" where the file does not say.
        config: the model, ``{"class_name": ..., "config": ...}``; None where only weights are
            stored.
        config_where: where `config` stands, for messages.
        groups: layer -> its tensors in the order in which they are stored. With `tree`: folder
            of the weights file -> the variables in it, in order.
        tree: whether `groups` are folders of Keras 3's layout, named by class and not by the
            layer's own name.
        titles: with `tree`: folder -> the name of what is stored there, where the file says it.
    """

    version: str
    config: Mapping[str, Any] | None
    config_where: str
    groups: Mapping[str, tuple[str, ...]]
    tree: bool = False
    titles: Mapping[str, str] = field(default_factory=dict)


@runtime_checkable
class DescribedSource(Protocol):
    """A source that lists its layers; see `lstmbridge.contracts.Source` for the rest."""

    @property
    def described(self) -> Described:
        """The layers."""
        ...
