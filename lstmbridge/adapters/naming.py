"""What the parts of a source are called, and which of them a user means."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from lstmbridge.adapters.dialects import BIDIRECTIONAL_SCOPES, MULTI_SCOPES, Path
from lstmbridge.adapters.sites import is_wrapper
from lstmbridge.adapters.topology import Draft


def part_names(drafts: Sequence[Draft]) -> dict[Path, str]:
    """Root scope -> the part's name: the scope around it where no other part lies in there."""
    names: dict[Path, str] = {}
    inside = Counter(d.path[:cut] for d in drafts for cut in range(len(d.path) + 1))
    for draft in drafts:
        path = draft.path
        around = path
        if draft.cell is not None or MULTI_SCOPES.fullmatch(path[-1] if path else ""):
            around = path[:-1]
            while around and is_wrapper(around[-1]):
                around = around[:-1]
        elif draft.pair is not None and not BIDIRECTIONAL_SCOPES.fullmatch(
            path[-1] if path else ""
        ):
            around = path
        names[path] = "/".join(around if around and inside[around] == 1 else path)
    return names


def chosen(drafts: Sequence[Draft], names: Mapping[Path, str], select: str) -> list[Draft]:
    """The drafts that ``--select`` means: called so, or lying in that scope."""
    wanted = select.strip("/")
    exact = [d for d in drafts if wanted in {names[d.path], d.scope}]
    return exact or [d for d in drafts if d.scope.startswith(f"{wanted}/")]
