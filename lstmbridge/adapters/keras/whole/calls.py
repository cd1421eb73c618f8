"""How the layers of a Keras model feed one another, by any Keras' config.

Keras 1 and 2 write a call as a list of [layer, call, tensor, options]; Keras 3 as args and
kwargs whose tensors say their ``keras_history``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from lstmbridge.errors import CannotExpress, NotRecognised

ARGUMENTS = "arguments"
"""The option that holds all positional arguments of a call of Keras 3."""


@dataclass(frozen=True, slots=True)
class Link:
    """A tensor that a layer's call gave: layer, which call of it, which output."""

    layer: str
    call: int
    tensor: int


@dataclass(frozen=True, slots=True)
class Call:
    """One call of a layer.

    Attributes:
        inputs: the tensors that it is called on, in order.
        options: further arguments by name; tensors in them are `Link`s.
    """

    inputs: tuple[Link, ...]
    options: Mapping[str, Any] = field(default_factory=dict)


def calls_of(layer: Mapping[str, Any], name: str) -> list[Call]:
    """The calls of a layer of a functional model.

    Raises:
        CannotExpress: it is called on something that is no layer's output.
    """
    nodes = layer.get("inbound_nodes") or ()
    return [_call(node, name) for node in nodes if node]


def _call(node: Any, name: str) -> Call:
    if isinstance(node, dict) and "args" in node:
        return _new(node, name)
    if isinstance(node, dict):
        return Call(tuple(Link(str(v[0]), int(v[1]), int(v[2])) for v in node.values()))
    entries = node if isinstance(node, list) else []
    if _is_link(entries):
        entries = [entries]
    links: list[Link] = []
    options: dict[str, Any] = {}
    for entry in entries:
        if not _is_link(entry) or entry[0] == "_CONSTANT_VALUE":
            raise _strange(name)
        links.append(Link(entry[0], entry[1], entry[2]))
        if len(entry) > 3 and isinstance(entry[3], dict):
            options |= {key: _linked(value) for key, value in entry[3].items()}
    return Call(tuple(links), options)


def _strange(name: str) -> CannotExpress:
    return CannotExpress(
        f"{name} is called on something that is no output of a layer",
        expected="layers that feed one another",
        where=name,
        advice="give --stack-only to convert the recurrent layers alone",
    )


def _is_link(entry: Any) -> bool:
    """``["dense", 0, 0]``, with or without options."""
    if not isinstance(entry, list) or len(entry) not in {3, 4} or not isinstance(entry[0], str):
        return False
    return all(isinstance(n, int) and not isinstance(n, bool) for n in entry[1:3])


def _linked(value: Any) -> Any:
    """An option, tensors in it as `Link`s."""
    if isinstance(value, dict):
        history = _history(value)
        return history or {key: _linked(one) for key, one in value.items()}
    if _is_link(value):
        return Link(value[0], value[1], value[2])
    return [_linked(one) for one in value] if isinstance(value, list) else value


def _history(value: Mapping[str, Any]) -> Link | None:
    if value.get("class_name") != "__keras_tensor__":
        return None
    inner = value.get("config")
    history = inner.get("keras_history") if isinstance(inner, dict) else None
    if not isinstance(history, list) or len(history) != 3:
        return None
    return Link(str(history[0]), int(history[1]), int(history[2]))


def _new(node: Mapping[str, Any], name: str) -> Call:
    """Keras 3's: the first argument is a tensor or a list of tensors, others may follow."""
    args = [_linked(one) for one in node.get("args") or ()]
    options = {key: _linked(value) for key, value in (node.get("kwargs") or {}).items()}
    if not args:
        raise _strange(name)
    if not list(links_in(args)):
        raise _strange(name)
    return Call(tuple(links_in(args[0])), {**options, ARGUMENTS: args})


def links_in(value: Any) -> Iterator[Link]:
    """Every tensor in an argument, in order."""
    if isinstance(value, Link):
        yield value
    elif isinstance(value, dict):
        for one in value.values():
            yield from links_in(one)
    elif isinstance(value, list | tuple):
        for one in value:
            yield from links_in(one)


def ports_of(listed: Any, where: str) -> list[Link]:
    """The tensors that ``input_layers`` or ``output_layers`` name. Errors: NotRecognised."""
    found: list[Link] = []
    if _is_link(listed):
        listed = [listed]
    if isinstance(listed, dict):
        listed = list(listed.values())
    for entry in listed if isinstance(listed, list) else ():
        if _is_link(entry):
            found.append(Link(entry[0], entry[1], entry[2]))
        elif isinstance(entry, list):
            found += ports_of(entry, where)
    if not found:
        raise NotRecognised(
            "the model's config does not say its inputs or outputs",
            expected="input_layers and output_layers",
            where=where,
        )
    return found


def first_call(links: Sequence[Link], calls: int) -> int:
    """The number of a layer's first call, as others refer to it.

    A model that was made before it was called has a call of its own, which is not written: then
    what is written begins at 1.
    """
    seen = {link.call for link in links}
    return 1 if seen and 0 not in seen and max(seen) >= calls else 0


def links_of(call: Call) -> set[Link]:
    """Every tensor that a call needs."""
    return {*call.inputs, *links_in(list(call.options.values()))}
