"""Planted faults: the classic ways to convert a recurrent network wrongly.

A verdict is worth what it could have caught. Each fault is data: a name, how a report words it,
and how the wrong network is run. Faults of cells say for which cells they exist by answering
None for the others; faults of networks likewise.
"""

from lstmbridge.verify.faults.catalogue import explanations, planted_faults
from lstmbridge.verify.faults.fault import Fault

__all__ = ["Fault", "explanations", "planted_faults"]
