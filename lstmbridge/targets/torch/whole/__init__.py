"""A whole graph under PyTorch: the graph's operations, run by torch's in place of NumPy's.

`program` is what a file says beside its tensors, `words` the vocabulary in PyTorch, `module` the
`nn.Module`. Importing this package does not import torch; `words` and `module` do.
"""
