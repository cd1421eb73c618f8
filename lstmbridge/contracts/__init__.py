"""Protocols and plain values that cross floors.

The rooms on F4 (sources, adapters, targets, runtimes, verify) never import each other; what
they hand one another is defined here, and `api` introduces them. No room's logic in here.
"""

from lstmbridge.contracts.answers import (
    Conversion,
    Inspection,
)
from lstmbridge.contracts.described import Described, DescribedSource
from lstmbridge.contracts.diagnoses import (
    Account,
    Diagnosis,
    WeightFinding,
    WeightReport,
)
from lstmbridge.contracts.drawn import DrawnModel, Draws
from lstmbridge.contracts.holdings import (
    ArtifactInspection,
    Describing,
    HeldLayer,
    Holdings,
)
from lstmbridge.contracts.recognition import (
    Adapter,
    Hints,
    Ignored,
    NoMatch,
    Part,
    Recognition,
)
from lstmbridge.contracts.runtimes import (
    Feeds,
    Limited,
    OfSource,
    Outputs,
    Runtime,
    RuntimeInfo,
    Session,
)
from lstmbridge.contracts.sources import (
    Source,
    SourceSignature,
    TensorRef,
)
from lstmbridge.contracts.targets import (
    Artifact,
    Expression,
    Ledger,
    Target,
    TargetOptions,
    WholeTarget,
)
from lstmbridge.contracts.understanding import (
    BATCH_MAJOR,
    TIME_MAJOR,
    Port,
    Understanding,
)
from lstmbridge.contracts.verdicts import (
    Counterexample,
    FaultReport,
    LedgerReport,
    Outcome,
    OutputComparison,
    Progress,
    RuntimeResult,
    Trace,
    Verdict,
)
from lstmbridge.model.signature import Signature, States, TensorSpec

__all__ = [
    "BATCH_MAJOR",
    "TIME_MAJOR",
    "Account",
    "Adapter",
    "Artifact",
    "ArtifactInspection",
    "Conversion",
    "Counterexample",
    "Described",
    "DescribedSource",
    "Describing",
    "Diagnosis",
    "DrawnModel",
    "Draws",
    "Expression",
    "FaultReport",
    "Feeds",
    "HeldLayer",
    "Hints",
    "Holdings",
    "Ignored",
    "Inspection",
    "Ledger",
    "LedgerReport",
    "Limited",
    "NoMatch",
    "OfSource",
    "Outcome",
    "OutputComparison",
    "Outputs",
    "Part",
    "Port",
    "Progress",
    "Recognition",
    "Runtime",
    "RuntimeInfo",
    "RuntimeResult",
    "Session",
    "Signature",
    "Source",
    "SourceSignature",
    "States",
    "Target",
    "TargetOptions",
    "TensorRef",
    "TensorSpec",
    "Trace",
    "Understanding",
    "Verdict",
    "WeightFinding",
    "WeightReport",
    "WholeTarget",
]
