"""A Keras model's config, and the weights beside it, drawn as one graph.

Layers are drawn in the order of their calls; a layer that is called twice, or a model in a
model, is drawn once for each call and has its weights once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from lstmbridge.adapters.keras.config import MODELS, layers_of
from lstmbridge.adapters.keras.layers import Context
from lstmbridge.adapters.keras.whole.calls import (
    ARGUMENTS,
    Call,
    Link,
    calls_of,
    first_call,
    links_of,
    ports_of,
)
from lstmbridge.adapters.keras.whole.drawing import Drawing, Value
from lstmbridge.adapters.keras.whole.known import (
    DEEPEST,
    LAYERS,
    PASS,
    RANDOM,
    listed,
    name_of,
    refuse_unknown,
)
from lstmbridge.adapters.keras.whole.layers_attention import ATTENTION
from lstmbridge.adapters.keras.whole.layers_shapes import MERGES
from lstmbridge.adapters.keras.whole.operations import OPERATIONS, is_operation
from lstmbridge.adapters.keras.whole.ports import dtype_of_input, ids_of, input_shape
from lstmbridge.adapters.keras.whole.recurrent import RECURRENT, draw_recurrent
from lstmbridge.adapters.keras.whole.site import ADVICE, Site
from lstmbridge.adapters.keras.whole.stored import Stored, stored_weights
from lstmbridge.contracts import Described, DrawnModel, TensorRef
from lstmbridge.errors import CannotExpress, NotRecognised
from lstmbridge.graph.whole import Place


@dataclass
class Sketch:
    """What is drawn of a model.

    Attributes:
        inputs: name -> tensor of the graph.
        outputs: likewise.
        places: the recurrent stacks.
        notes: what a user should know.
    """

    drawing: Drawing
    inputs: dict[str, Value] = field(default_factory=dict)
    outputs: dict[str, str] = field(default_factory=dict)
    places: list[Place] = field(default_factory=list)
    notes: dict[str, None] = field(default_factory=dict)


def drawn_model(
    described: Described, tensors: Mapping[str, TensorRef], context: Context, where: str
) -> DrawnModel:
    """Draw the model that a file describes.

    Args:
        described: its config.
        tensors: the file's arrays.
        context: what holds for all of its layers.
        where: the file, for messages.

    Raises:
        CannotExpress: a layer that is not known, by its name and class.
        NotRecognised: weights that are not the config's, or a config that cannot be followed.
        FactMissing: a constant that the file leaves open.
    """
    config = described.config or {}
    entries = list(layers_of(config))
    refuse_unknown(config)
    artist = _Artist(
        Sketch(Drawing()), stored_weights(entries, described, tensors), context,
        ids_of(config),
    )  # fmt: skip
    artist.top(config)
    sketch, version = artist.sketch, described.version
    return DrawnModel(
        sketch.drawing.graph(where, f"Keras {version}" if version else None),
        sketch.drawing.tensors,
        {name: f"{value.name}:0" for name, value in sketch.inputs.items()},
        {name: f"{tensor}:0" for name, tensor in sketch.outputs.items()},
        tuple(sketch.places),
        tuple(sketch.notes),
    )


@dataclass
class _Artist:
    """Draws a model."""

    sketch: Sketch
    stored: Mapping[str, Stored]
    context: Context
    ids: frozenset[str]

    @property
    def drawing(self) -> Drawing:
        """What is drawn in."""
        return self.sketch.drawing

    def top(self, model: Mapping[str, Any]) -> None:
        """The model of the file."""
        ports = self._inputs(model)
        outputs, names = self.model(model, list(ports.values()), ())
        taken = set(self.sketch.inputs)
        for value, name in zip(outputs, names, strict=True):
            wanted, k = name, 0
            while wanted in taken:
                k += 1
                wanted = f"{name}_{k}"
            taken.add(wanted)
            kinds = {"int": np.int32, "bool": np.bool_, "float": np.float32}
            self.drawing.scope = ""
            self.sketch.outputs[wanted] = self.drawing.output(
                value, f"outputs/{wanted}", np.dtype(kinds[value.kind])
            )

    def _inputs(self, model: Mapping[str, Any]) -> dict[str, Value]:
        """Placeholders, by the names of their layers."""
        layers = listed(model)
        if model.get("class_name") == "Sequential":
            wanted = [name_of(layers[0])] if layers else []
        else:
            inner = model.get("config")
            ports = inner.get("input_layers") if isinstance(inner, dict) else None
            wanted = [link.layer for link in ports_of(ports, "input_layers")]
        found: dict[str, Value] = {}
        for name in wanted:
            layer = next((la for la in layers if name_of(la) == name), None)
            config = {} if layer is None else layer["config"]
            plain = layer is not None and layer.get("class_name") == "InputLayer"
            called = name if plain else f"{name}_input"
            shape = input_shape(layer or {}, called, self.context.where)
            ids = called in self.ids
            dtype = np.dtype(np.int32) if ids else dtype_of_input(config, called)
            found[name] = self.drawing.placeholder(called, shape, dtype)
            self.sketch.inputs[called] = found[name]
        return found

    def model(
        self,
        model: Mapping[str, Any],
        inputs: Sequence[Value],
        path: tuple[str, ...],
    ) -> tuple[list[Value], list[str]]:
        """A model that is called on `inputs`: its outputs, and the layers that give them."""
        if len(path) > DEEPEST:
            raise NotRecognised(f"{'/'.join(path)} lies too deep", where=self.context.where)
        if model.get("class_name") == "Sequential":
            return self._sequence(model, inputs, path)
        return self._network(model, inputs, path)

    def _sequence(
        self, model: Mapping[str, Any], inputs: Sequence[Value], path: tuple[str, ...]
    ) -> tuple[list[Value], list[str]]:
        values, name = list(inputs), ""
        for layer in listed(model):
            if layer.get("class_name") == "InputLayer":
                continue
            name = name_of(layer)
            values = self.layer(layer, values, {}, path)
        return values, [name] * len(values)

    def _network(
        self, model: Mapping[str, Any], inputs: Sequence[Value], path: tuple[str, ...]
    ) -> tuple[list[Value], list[str]]:
        inner = model["config"] if isinstance(model.get("config"), dict) else {}
        layers = {name_of(layer): layer for layer in listed(model)}
        fed = ports_of(inner.get("input_layers"), "input_layers")
        wanted = ports_of(inner.get("output_layers"), "output_layers")
        if len(fed) != len(inputs):
            raise NotRecognised(
                f"{'/'.join(path) or 'the model'} has {len(fed)} inputs and is fed {len(inputs)}",
                where=self.context.where,
            )
        known: dict[Link, Value] = {
            Link(link.layer, link.call, 0): value for link, value in zip(fed, inputs, strict=True)
        }
        calls = {name: calls_of(layer, name) for name, layer in layers.items()}
        first = _firsts(calls, wanted)
        todo = [(name, k) for name, own in calls.items() for k in range(len(own))]
        while todo:
            ready = [(name, k) for name, k in todo if links_of(calls[name][k]) <= known.keys()]
            if not ready:
                break
            for name, k in ready:
                call = calls[name][k]
                values = [known[link] for link in call.inputs]
                options = {key: _filled(one, known) for key, one in call.options.items()}
                made = self.layer(layers[name], values, options, path)
                number = k + first[name]
                known |= {Link(name, number, n): value for n, value in enumerate(made)}
            todo = [one for one in todo if one not in ready]
        missing = [link for link in wanted if link not in known]
        if missing:
            raise NotRecognised(
                f"the config does not say how {missing[0].layer} is reached from the inputs",
                expected="layers that feed one another",
                where=self.context.where,
                advice=ADVICE,
            )
        return [known[link] for link in wanted], [link.layer for link in wanted]

    def layer(
        self,
        layer: Mapping[str, Any],
        inputs: Sequence[Value],
        options: Mapping[str, Any],
        path: tuple[str, ...],
    ) -> list[Value]:
        """One call of a layer."""
        kind, name = str(layer.get("class_name", "")), name_of(layer)
        own = (*path, name)
        options, config = dict(options), layer["config"]
        inputs = _masked(inputs, options.pop("mask", None))
        if kind in MODELS:
            return self.model(layer, inputs, own)[0]
        self.drawing.scope = "/".join(own)
        if is_operation(layer):
            site = self._site(kind, config, inputs, options, own)
            return [replace(OPERATIONS[kind](site), mask=None)]
        options = _arguments(options, kind, "/".join(own))
        if kind == "TimeDistributed":
            return [self._distributed(config["layer"], inputs, options, own)]
        return self._plain(kind, config, inputs, options, own)

    def _site(
        self,
        kind: str,
        config: Mapping[str, Any],
        inputs: Sequence[Value],
        options: Mapping[str, Any],
        own: tuple[str, ...],
    ) -> Site:
        name = "/".join(own)
        return Site(
            self.drawing, name, kind, config, self.stored.get(name, Stored()),
            self.context.version, tuple(inputs), options,
        )  # fmt: skip

    def _plain(
        self,
        kind: str,
        config: Mapping[str, Any],
        inputs: Sequence[Value],
        options: Mapping[str, Any],
        own: tuple[str, ...],
    ) -> list[Value]:
        site = self._site(kind, config, inputs, options, own)
        self._note(site)
        if kind in RECURRENT:
            result = draw_recurrent(site, self.context)
            for place in result.places:
                self._stands(place)
            return result.outputs
        if options.get("training") is True and kind in RANDOM:
            raise site.refused("is called with training=True: its outputs are random")
        made = LAYERS[kind](site)
        if kind in PASS:
            # what only hands on may have handed on the mask already
            return [replace(made, mask=site.x.mask)]
        carried = kind in MERGES or kind in ATTENTION or kind in {"Embedding", "Masking"}
        return [made if carried else replace(made, mask=None)]

    def _stands(self, place: Place) -> None:
        """A stack, under a name of its own: a layer that is called twice stands twice."""
        taken = {one.name for one in self.sketch.places}
        name, k = place.name, 0
        while name in taken:
            k += 1
            name = f"{place.name}_{k}"
        self.sketch.places.append(replace(place, name=name))

    def _note(self, site: Site) -> None:
        if site.config.get("stateful"):
            self.sketch.notes[
                f"{site.name} is stateful in Keras, which goes on from call to call: here each "
                "call begins with states of zeros"
            ] = None
        policy = site.config.get("dtype")
        text = str(policy.get("config", "")) if isinstance(policy, dict) else str(policy)
        if "float16" in text:
            self.sketch.notes[
                f"{site.name} computes in 16 bits in Keras: it is converted in the precision of "
                "its weights"
            ] = None

    def _distributed(
        self,
        inner: Mapping[str, Any],
        inputs: Sequence[Value],
        options: Mapping[str, Any],
        own: tuple[str, ...],
    ) -> Value:
        """A layer at each step: steps become rows, and rows steps again."""
        d, kind = self.drawing, str(inner.get("class_name", ""))
        if len(inputs) != 1 or inputs[0].rank < 3:
            raise CannotExpress(
                f"the TimeDistributed {'/'.join(own)} is not called on one sequence",
                where="/".join(own),
                advice=ADVICE,
            )
        x = inputs[0]
        if x.mask is not None and kind not in PASS:
            raise CannotExpress(
                f"the TimeDistributed {'/'.join(own)} over a {kind} is masked",
                expected="a layer that has no use for masks",
                where="/".join(own),
                advice=ADVICE,
            )
        rest = [d.dim(x, k) for k in range(2, x.rank)]
        flat = d.reshape(x, [-1, *rest], (None, *x.shape[2:]))
        flat = replace(flat, kind=x.kind)
        if kind in MODELS:
            [made] = self.model(inner, [flat], own)[0]
        else:
            config = inner["config"] if isinstance(inner.get("config"), dict) else {}
            [made] = self._plain(kind, config, [flat], options, own)
        if made.mask is not None:
            raise CannotExpress(
                f"the TimeDistributed {'/'.join(own)} makes a mask of its own at each step",
                where="/".join(own),
                advice=ADVICE,
            )
        d.scope = "/".join(own)
        tail = [d.dim(made, k) for k in range(1, made.rank)]
        shape = (*x.shape[:2], *made.shape[1:])
        wide = d.reshape(made, [d.dim(x, 0), d.dim(x, 1), *tail], shape)
        return replace(wide, mask=x.mask, kind=made.kind)


_OPTIONS = frozenset({"initial_state", "return_attention_scores", "training", "use_causal_mask"})


def _arguments(options: Mapping[str, Any], kind: str, name: str) -> dict[str, Any]:
    """The options of a layer's call, Keras 3's positional ones by name. Errors: CannotExpress."""
    found = dict(options)
    further = (found.pop(ARGUMENTS, None) or [])[1:]
    if further and kind in RECURRENT:
        found["initial_state"] = further.pop(0)
    odd = [key for key, v in found.items() if key not in _OPTIONS and v not in (None, False)]
    if odd or any(value is not None for value in further):
        raise CannotExpress(
            f"the {kind} {name} is called with {', '.join(odd) or 'further arguments'}",
            expected="a call on tensors alone",
            where=name,
            advice=ADVICE,
        )
    return found


def _masked(inputs: Sequence[Value], mask: Any) -> list[Value]:
    """The inputs with the masks that the call says; where it says none, with their own."""
    given = mask if isinstance(mask, list) else [mask]
    if mask is None or len(given) != len(inputs):
        return list(inputs)
    return [
        replace(value, mask=one) if isinstance(one, Value) else value
        for value, one in zip(inputs, given, strict=True)
    ]


def _filled(option: Any, known: Mapping[Link, Value]) -> Any:
    if isinstance(option, Link):
        return known[option]
    if isinstance(option, list):
        return [_filled(one, known) for one in option]
    return option


def _firsts(calls: Mapping[str, Sequence[Call]], wanted: Sequence[Link]) -> dict[str, int]:
    """Layer -> the number by which others refer to its first call."""
    links = [link for own in calls.values() for call in own for link in links_of(call)]
    seen: dict[str, list[Link]] = {}
    for link in (*links, *wanted):
        seen.setdefault(link.layer, []).append(link)
    return {name: first_call(seen.get(name, ()), len(own)) for name, own in calls.items()}
