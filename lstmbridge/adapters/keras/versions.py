"""What a Keras of some version takes a constant to be, where the file does not say it."""

from __future__ import annotations

import re

_NUMBERS = re.compile(r"(\d+)\.(\d+)")


def release(version: str) -> tuple[int, int]:
    """``"2.2.4-tf"`` -> (2, 2); (0, 0) where it is not known."""
    found = _NUMBERS.match(version)
    return (int(found[1]), int(found[2])) if found else (0, 0)


def gate_activation(version: str, *, tree: bool) -> str | None:
    """The default of a recurrent layer's gates; None where the version leaves it open.

    Keras up to 2.2 and TensorFlow 1's have hard_sigmoid, Keras 2.3 and TensorFlow 2's sigmoid.
    Both TensorFlow 1.15 and 2.0 call their Keras 2.2.4-tf.

    Args:
        version: as the file states it.
        tree: the file has Keras 3's layout.
    """
    known = release(version)
    if tree or known >= (2, 3):
        return "sigmoid"
    if known == (0, 0):
        return None
    return None if known == (2, 2) and version.endswith("-tf") else "hard_sigmoid"


def unlike_tensorflow_2(version: str, *, after: bool) -> bool:
    """Whether a GRU that shows its reset is none of TensorFlow 2's by default.

    Those reset after the product. One that resets before it was told so, or is a layer of
    `tf.compat.v1`, whose gates are hard_sigmoid: seen in 2.21 with tf_keras.
    """
    return (2, 4) <= release(version) < (3, 0) and not after


def reset_after(version: str, *, tree: bool) -> bool | None:
    """The default of GRU; None where the version leaves it open.

    Keras up to 2.3 and TensorFlow 1's reset before the recurrent product, TensorFlow 2's (Keras
    2.4 and later) after it.

    Args:
        version: as the file states it.
        tree: the file has Keras 3's layout.
    """
    known = release(version)
    if tree or known >= (2, 4):
        return True
    if known == (0, 0) or version.endswith("-tf"):
        return None
    return False


def zeros_when_masked(version: str) -> bool:
    """Whether Bidirectional layers that return sequences give zeros at masked steps.

    tf.keras (TensorFlow 1.14 and later) and Keras 3 do, whatever the layers within say; Keras'
    own package up to 2.3 repeats the last output.
    """
    return version.endswith("-tf") or release(version) >= (2, 4)


def other_hard_sigmoid(version: str) -> bool:
    """Whether this Keras' hard_sigmoid is clip(x / 6 + 0.5, 0, 1), not clip(0.2 x + 0.5, 0, 1)."""
    return release(version) >= (3, 0)
