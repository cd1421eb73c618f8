"""Variables that are no part of a layer, and what each of them probably is."""

from __future__ import annotations

import re
from collections.abc import Iterable

from lstmbridge.adapters.stored import Stored
from lstmbridge.contracts import Ignored

_STATE = (
    r"(?i)(^|/|_)(init(ial)?_?(state|hidden|[hc]_?\d*(_|$))"
    r"|(h|c|state|hidden)_?(0|init(ial)?)(_\d+)?$)"
)
_Row = tuple[str, "int | None", str]

# (pattern searched in the last two segments, number of axes or None for any, reason)
_REASONS: tuple[_Row, ...] = (
    (r"(?i)beta[12]_power", None, "optimizer's bookkeeping"),
    (r"(?i)loss_scale|good_steps", 0, "loss scaling"),
    (r"(?i)(^|/|_)(global_?step|step|epoch(_?step)?|save_counter)$", None, "counter"),
    (r"(?i)learning_?rate|(^|/)lr$|decay", 0, "learning rate"),
    (r"(?i)_CHECKPOINTABLE_OBJECT_GRAPH", None, "TensorFlow's own bookkeeping"),
    (r"(?i)moving_(mean|variance)$", None, "batch normalisation"),
    (r"(?i)(batch_?norm\w*|(^|/)bn\d*)/(beta|gamma)", None, "batch normalisation"),
    (r"(?i)(layer_?norm\w*|(^|/)ln\w*)/\w*(beta|gamma|scale|bias)", None, "layer normalisation"),
    (r"(?i)transitions?(_params|_matrix)?$", 2, "transition scores of a CRF"),
    (r"(?i)embed|lookup_table|word2?vec|glove", 2, "embedding"),
    (r"(?i)carry_[wb]$", None, "of a HighwayWrapper"),
    (r"(?i)attention|attn|memory_layer|query_layer", None, "attention"),
    (r"(?i)conv|kernel|filter|(^|/)w\w*$", 3, "convolution"),
    (r"(?i)conv|kernel|filter|(^|/)w\w*$", 4, "convolution"),
    (r"(?i)softmax|logit|output|proj|fully_connected|dense|linear|(^|/)fc", None, "dense layer"),
    (r"(?i)(kernel|weights|Matrix)$", 2, "weights of another layer (dense, probably)"),
    (r"(?i)(bias|biases|Bias)$", 1, "bias of another layer"),
    (_STATE, None, "a state, learned or kept"),
)


def reasons(strays: Iterable[Stored]) -> tuple[Ignored, ...]:
    """Each variable under the names it has in the source, with a reason in plain words."""
    return tuple(
        Ignored(source, stored.ref.shape, _reason(stored))
        for stored in strays
        for source in stored.sources
    )


def is_state(stored: Stored) -> bool:
    """Whether a variable is called as an initial state."""
    return _reason(stored) == "a state, learned or kept"


def _reason(stored: Stored) -> str:
    tail = "/".join(stored.name.split("/")[-2:])
    axes = len(stored.ref.shape)
    for pattern, wanted, reason in _REASONS:
        if (wanted is None or wanted == axes) and re.search(pattern, tail):
            return reason
    if axes == 0:
        return "a single number (a counter, a rate)"
    return "no recurrent layer that we know has a variable of this name"
