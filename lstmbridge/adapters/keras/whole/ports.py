"""The inputs of a Keras model: their shapes and dtypes, as far as the config says them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from lstmbridge.adapters.keras.config import MODELS
from lstmbridge.adapters.keras.whole.calls import calls_of, links_of
from lstmbridge.adapters.keras.whole.drawing import Shape
from lstmbridge.adapters.keras.whole.known import listed, name_of
from lstmbridge.adapters.keras.whole.site import ADVICE
from lstmbridge.errors import CannotExpress, NotRecognised


def ids_of(model: Mapping[str, Any]) -> frozenset[str]:
    """Inputs of a model that nothing but embeddings reads: they are whole numbers."""
    layers = listed(model)
    if model.get("class_name") == "Sequential":
        first = next((la for la in layers if la.get("class_name") != "InputLayer"), {})
        begins = _begins_withids_of(first)
        return frozenset({name_of(layers[0]), f"{name_of(first)}_input"} if begins else ())
    readers: dict[str, list[bool]] = {}
    for layer in layers:
        for call in calls_of(layer, name_of(layer)):
            for link in links_of(call):
                readers.setdefault(link.layer, []).append(_begins_withids_of(layer))
    return frozenset(name for name, found in readers.items() if all(found))


def _begins_withids_of(layer: Mapping[str, Any]) -> bool:
    if layer.get("class_name") in MODELS:
        own = ids_of(layer)
        inputs = [la for la in listed(layer) if la.get("class_name") == "InputLayer"]
        return bool(own) and len(inputs) < 2
    return layer.get("class_name") == "Embedding"


def input_shape(layer: Mapping[str, Any], name: str, where: str) -> Shape:
    """The shape that a config gives to an input. Errors: NotRecognised."""
    config = layer.get("config")
    config = config if isinstance(config, dict) else {}
    for key in ("batch_input_shape", "batch_shape"):
        shape = config.get(key)
        if isinstance(shape, list | tuple):
            return tuple(None if n is None else int(n) for n in shape)
    if layer.get("class_name") in MODELS:
        first = listed(layer)
        return input_shape(first[0] if first else {}, name, where)
    inner = config.get("layer")
    if isinstance(inner, dict):
        return input_shape(inner, name, where)
    built = layer.get("build_config")
    shape = built.get("input_shape") if isinstance(built, dict) else None
    if isinstance(shape, list) and not any(isinstance(n, list) for n in shape):
        return tuple(None if n is None else int(n) for n in shape)
    width = config.get("input_dim")
    if isinstance(width, int) and layer.get("class_name") == "Embedding":
        return (None, config.get("input_length"))
    raise NotRecognised(
        f"the config does not say the shape of the input {name}",
        expected="batch_input_shape or batch_shape",
        where=where,
        advice=ADVICE,
    )


def dtype_of_input(config: Any, name: str) -> np.dtype[Any]:
    """The dtype that a config gives to an input; 16 bits are fed as 32. Errors: CannotExpress."""
    stated = config.get("dtype", config.get("input_dtype")) if isinstance(config, dict) else None
    if isinstance(stated, dict):
        inner = stated.get("config")
        stated = inner.get("name") if isinstance(inner, dict) else None
    text = str(stated or "float32")
    if text in {"float16", "mixed_float16", "bfloat16", "mixed_bfloat16"}:
        text = "float32"
    try:
        dtype = np.dtype(text)
    except TypeError:
        dtype = np.dtype(object)
    if dtype.kind not in "fiub":
        raise CannotExpress(
            f"the input {name} is of {text[:40]}",
            expected="numbers",
            where=name,
            advice=ADVICE,
        )
    return dtype
