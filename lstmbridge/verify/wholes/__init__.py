"""Verification of whole models: the source's own graph, in float64, is what artifacts must equal.

The same star as for stacks (`verify.verdict`): probes, a noise floor, planted faults, a verdict.
What differs is who says what is right (the graph, run op by op), how probes are made (from the
ports' shapes, dtypes and what reads them) and which mistakes are planted: those of every
recognised stack, and those of the operations and weights around them.
"""

from lstmbridge.verify.wholes.facts import facts_of
from lstmbridge.verify.wholes.verdict import verify_whole

__all__ = ["facts_of", "verify_whole"]
