"""Model -> PyTorch: a state dict whose keys are those of the module that runs it.

Importing this package does not import torch; `modules` and `namespace` do, and are only
imported by functions that need them.
"""

from lstmbridge.targets.torch.export_target import TorchExportTarget
from lstmbridge.targets.torch.target import TorchTarget

__all__ = ["TorchExportTarget", "TorchTarget"]
