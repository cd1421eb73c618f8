"""`Attention` and `AdditiveAttention`, masks included.

Source: the layers' documentation (tf.keras 2.x, Keras 3.x).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

from lstmbridge.adapters.keras.whole.drawing import Value
from lstmbridge.adapters.keras.whole.site import Site

Definition = Callable[[Site], Value]
_FAR = 1.0e9


def _attention(site: Site) -> Value:
    d = site.drawing
    query, value, key = _operands(site)
    if site.config.get("score_mode", "dot") != "dot":
        raise site.refused(f"has score_mode {site.config['score_mode']!r}", "score_mode dot")
    scores = d.matmul(query, key, adjoint=True)
    if site.has("scale"):
        scores = d.binary("Mul", scores, site.weight("scale", 0))
    return _applied(site, scores, query, value)


def _additive(site: Site) -> Value:
    d = site.drawing
    query, value, key = _operands(site)
    total = d.unary("Tanh", d.binary("AddV2", d.expand(query, 2), d.expand(key, 1)))
    if site.has("scale"):
        total = d.binary("Mul", total, site.weight("scale", 1))
    return _applied(site, d.reduce("Sum", total, [-1], keep=False), query, value)


def _operands(site: Site) -> tuple[Value, Value, Value]:
    if len(site.inputs) not in {2, 3} or any(value.rank != 3 for value in site.inputs):
        raise site.refused("is not called on sequences: query, value and perhaps key")
    for option in ("use_causal_mask", "return_attention_scores", "causal"):
        if site.options.get(option) or site.config.get(option):
            raise site.refused(f"has {option}")
    query, value = site.inputs[:2]
    return query, value, site.inputs[-1] if len(site.inputs) == 3 else value


def _applied(site: Site, scores: Value, query: Value, value: Value) -> Value:
    """Softmax of what the value's mask leaves; rows that the query's mask takes away are 0."""
    d = site.drawing
    if value.mask is not None:
        padding = d.cast(d.op("LogicalNot", [value.mask], value.mask.shape, "bool"), "float")
        far = d.binary("Mul", d.expand(padding, 1), d.number(_FAR))
        scores = d.binary("Sub", scores, far)
    made = d.matmul(d.unary("Softmax", scores), value)
    if query.mask is not None:
        made = d.binary("Mul", made, d.expand(d.cast(query.mask, "float"), -1))
    return replace(made, mask=query.mask)


ATTENTION: Mapping[str, Definition] = {"Attention": _attention, "AdditiveAttention": _additive}
"""Layer class -> what it does."""
