"""The door for PyTorch users: ``lstmbridge.torch.load("model.pt")``.

Importing this module does not import PyTorch; `load` does.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import nn

__all__ = ["load"]


def load(path: str | Path) -> nn.Module:
    """The `torch.nn.Module` that runs an artifact of ``--to torch`` or ``--to torch-export``.

    It is called with the artifact's names and returns tensors by the artifact's names::

        module = lstmbridge.torch.load("model.pt")
        out = module(inputs, sequence_length, initial_layer0_h=h, initial_layer0_c=c)
        out["outputs"], out["layer0_h"]

    Its state dict has the file's keys, its parameters are trainable, and it follows
    ``.to(device)``. It comes on the CPU, in the file's dtype, in evaluation mode (cuDNN needs
    ``module.train()`` to compute gradients). No code in the file is run.

    The file of a whole model gives a module that runs its graph operation by operation, called
    with its inputs by name, as keywords or as one mapping; its parameters are called as the
    graph's variables are::

        module({"words": words, "lengths": lengths})["probabilities"]

    A ``.pt2`` gives the exported program as `torch.export.load` gives it, after a look at the
    file, which that function would trust. It is called with names only, and with all of them::

        program = lstmbridge.torch.load("model.pt2")
        out = program(inputs=inputs)

    Args:
        path: a ``.pt``, ``.safetensors`` or ``.pt2`` file that lstmbridge wrote.

    Raises:
        NotRecognised: a state dict or another file that lstmbridge did not write.
        SourceUnreadable: missing, truncated, corrupt, or a pickle that holds code.
        RuntimeUnavailable: PyTorch is not installed.
    """
    from lstmbridge.targets.torch import loader
    from lstmbridge.targets.torch.archive import SUFFIX, is_ours

    path = Path(path)
    program = path.suffix == SUFFIX or is_ours(path)
    return loader.load_program(path) if program else loader.load_module(path)
