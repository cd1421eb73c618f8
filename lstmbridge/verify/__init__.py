"""Outputs -> Verdict: probes, noise floor, planted faults, comparison, ledger, diagnosis.

Never imports a runtime or a target: `api` hands over the runtimes, the artifacts, and what was
read back from them.
"""

from typing import TYPE_CHECKING, Any

from lstmbridge.verify.options import VerifyOptions

if TYPE_CHECKING:
    from lstmbridge.verify.verdict import verify

__all__ = ["VerifyOptions", "verify"]


def __getattr__(name: str) -> Any:
    """`verify`, when it is asked for: `inspect` needs none of what it imports."""
    if name == "verify":
        from lstmbridge.verify.verdict import verify

        return verify
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
