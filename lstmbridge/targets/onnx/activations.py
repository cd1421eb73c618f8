"""Activations that ONNX's recurrent operators know, by TensorFlow's names. Data and one rule.

Only those whose arithmetic ONNX Runtime's CPU operators were measured to do within rounding of
the float64 definition stand here (a test repeats it); the capability table sends the others to
the stepped form. `Elu` and `HardSigmoid` are used with the operator's own defaults (alpha 1;
alpha 0.2, beta 0.5), which are TensorFlow's and Keras 2's constants. `Affine` has no default.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class OnnxActivation:
    """The operator's name, the alpha and beta that it takes, and whether they must be said."""

    name: str
    alpha: float | None = None
    beta: float | None = None
    explicit: bool = False


NATIVE: Mapping[str, OnnxActivation] = {
    "tanh": OnnxActivation("Tanh"),
    "sigmoid": OnnxActivation("Sigmoid"),
    "relu": OnnxActivation("Relu"),
    "softsign": OnnxActivation("Softsign"),
    "elu": OnnxActivation("Elu", alpha=1.0),
    "hard_sigmoid": OnnxActivation("HardSigmoid", alpha=0.2, beta=0.5),
    "linear": OnnxActivation("Affine", alpha=1.0, beta=0.0, explicit=True),
}


def activation_attributes(wanted: Sequence[str], defaults: Sequence[str]) -> dict[str, Any]:
    """Attributes of a recurrent node; empty where every direction has the operator's defaults.

    Args:
        wanted: TensorFlow's names in the operator's order, one direction after the other.
        defaults: those of one direction that need not be said.

    The operator takes alphas and betas off one list each, in the order of the activations that
    take one: so where one must be said, all are.
    """
    if list(wanted) == list(defaults) * (len(wanted) // len(defaults)):
        return {}
    chosen = [NATIVE[name] for name in wanted]
    attributes: dict[str, Any] = {"activations": [one.name for one in chosen]}
    if any(one.explicit for one in chosen):
        alphas = [one.alpha for one in chosen if one.alpha is not None]
        betas = [one.beta for one in chosen if one.beta is not None]
        attributes |= {"activation_alpha": alphas, "activation_beta": betas}
    return attributes
