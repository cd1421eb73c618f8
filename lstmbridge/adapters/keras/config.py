"""A Keras model's config -> its layers in order, and what each of them is fed by."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

MODELS = frozenset({"Functional", "Model", "Sequential"})
WRAPPERS = frozenset({"Bidirectional", "TimeDistributed", "Wrapper"})
UNCHANGED = frozenset(
    {
        "ActivityRegularization",
        "AlphaDropout",
        "Dropout",
        "GaussianDropout",
        "GaussianNoise",
        "SpatialDropout1D",
    }
)
"""Layers that hand on what they are given, at inference."""
DEEPEST = 32


@dataclass(frozen=True, slots=True)
class LayerEntry:
    """One layer of a model's config.

    Attributes:
        path: names of the models that it lies in, then its own.
        kind: its class, ``"Bidirectional"``.
        config: its own config.
        feeds: the layers whose outputs it takes, of its own model; None where that is unclear,
            or it is called more than once.
        folders: Keras 3's names of its folder, outermost model first, by class and number.
        wrapped: it lies in a TimeDistributed layer.
    """

    path: tuple[str, ...]
    kind: str
    config: Mapping[str, Any]
    feeds: tuple[str, ...] | None
    folders: tuple[str, ...]
    wrapped: bool = False

    @property
    def name(self) -> str:
        """As users know it: ``"encoder/lstm_1"``."""
        return "/".join(self.path)


def layers_of(
    model: Mapping[str, Any],
    path: tuple[str, ...] = (),
    folders: tuple[str, ...] = (),
) -> Iterator[LayerEntry]:
    """Every layer of a model in order, those of models in it where these stand."""
    if len(path) > DEEPEST:
        return
    inner = model.get("config")
    listed = inner.get("layers", ()) if isinstance(inner, dict) else inner
    chain = model.get("class_name") == "Sequential"
    counts: dict[str, int] = {}
    before: tuple[str, ...] = ()
    for layer in listed if isinstance(listed, list) else ():
        if not isinstance(layer, dict) or not isinstance(layer.get("config"), dict | list):
            continue
        kind = str(layer.get("class_name", ""))
        own = layer["config"]
        name = str((own.get("name") if isinstance(own, dict) else "") or layer.get("name", ""))
        stem = snake(kind)
        counts[stem] = counts.get(stem, -1) + 1
        folder = stem if not counts[stem] else f"{stem}_{counts[stem]}"
        feeds = before if chain else _feeds(layer.get("inbound_nodes"))
        before = (name,)
        yield from _entries(layer, kind, (*path, name), feeds, (*folders, folder))


def _entries(
    layer: Mapping[str, Any],
    kind: str,
    path: tuple[str, ...],
    feeds: tuple[str, ...] | None,
    folders: tuple[str, ...],
) -> Iterator[LayerEntry]:
    if kind in MODELS:
        yield from layers_of(layer, path, folders)
        return
    own = layer["config"] if isinstance(layer["config"], dict) else {}
    inner = own.get("layer")
    if kind == "TimeDistributed" and isinstance(inner, dict):
        within = str(inner.get("class_name", ""))
        if within in MODELS:
            yield from layers_of(inner, path, (*folders, "layer"))
        else:
            config = inner.get("config")
            config = config if isinstance(config, dict) else {}
            yield LayerEntry(path, within, config, None, (*folders, "layer"), wrapped=True)
        return
    yield LayerEntry(path, kind, own, feeds, folders)


def _feeds(nodes: Any) -> tuple[str, ...] | None:
    """The layers that feed the one call of a layer; None: none, several, or not understood."""
    if not isinstance(nodes, list) or len(nodes) != 1:
        return None
    found = list(_histories(nodes[0]))
    plain = all(node == 0 and tensor == 0 for _, node, tensor in found)
    return tuple(name for name, _, _ in found) if found and plain else None


def _histories(node: Any) -> Iterator[tuple[str, Any, Any]]:
    """(layer, call, tensor) of all that a call refers to, in its arguments and options."""
    if isinstance(node, dict):
        history = node.get("keras_history")
        if isinstance(history, list) and len(history) == 3:
            yield str(history[0]), history[1], history[2]
            return
        for value in node.values():
            yield from _histories(value)
    elif isinstance(node, list):
        reference = len(node) in {3, 4} and isinstance(node[0], str)
        if reference and all(isinstance(n, int) for n in node[1:3]):
            yield node[0], node[1], node[2]
            yield from _histories(node[3] if len(node) == 4 else None)
            return
        for value in node:
            yield from _histories(value)


def snake(kind: str) -> str:
    """What Keras 3 calls the folder of a class: SimpleRNN -> simple_rnn."""
    plain = re.sub(r"\W+", "", kind)
    plain = re.sub("(.)([A-Z][a-z]+)", r"\1_\2", plain)
    return re.sub("([a-z])([A-Z])", r"\1_\2", plain).lower()
