"""Outputs -> Verdict: probes, noise floor, planted faults, comparison, ledger, diagnosis.

Never imports a runtime or a target: `api` hands over the runtimes, the artifacts, and what was
read back from them.
"""

from lstmbridge.verify.options import VerifyOptions
from lstmbridge.verify.verdict import verify

__all__ = ["VerifyOptions", "verify"]
