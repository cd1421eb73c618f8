"""Wrappers that left variables: where they are, before it is known what they lie around."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from lstmbridge.adapters.dialects import Path, Sizes, Wrapper
from lstmbridge.adapters.sites import spelled_roles
from lstmbridge.adapters.stored import Stored
from lstmbridge.adapters.wrappers import CONVERTED_WRAPPERS
from lstmbridge.gates import Weights
from lstmbridge.model.blocks import Block


@dataclass(frozen=True, slots=True)
class Wrap:
    """One wrapper's variables.

    Attributes:
        path: the scope that it opened; where it opens none, the scope that its cell lies in.
        stored: the variables by role.
    """

    wrapper: Wrapper
    path: Path
    stored: Mapping[str, Stored]

    @property
    def tensors(self) -> dict[str, Weights]:
        """The tensors by role."""
        return {role: stored.ref for role, stored in self.stored.items()}

    @property
    def scoped(self) -> bool:
        """Whether it opened a scope of its own."""
        return bool(self.wrapper.scopes)

    def measure(self, inner: Sizes) -> Sizes | None:
        """Sizes with the wrapper; None where it does not fit around `inner`."""
        return self.wrapper.measure(self.tensors, inner) if self.wrapper.measure else None

    def around(self, inner: Block) -> Block:
        """The block around `inner`."""
        return self.wrapper.build(self.tensors, inner) if self.wrapper.build else inner

    def __str__(self) -> str:
        return ", ".join(sorted(map(str, self.stored.values())))


def find_wraps(strays: Mapping[str, Stored]) -> list[Wrap]:
    """Every converted wrapper whose variables are whole among `strays`."""
    grouped: dict[tuple[int, Path], dict[str, Stored]] = {}
    for name, stored in strays.items():
        segments = tuple(name.split("/"))
        for number, wrapper in enumerate(CONVERTED_WRAPPERS):
            cut = _scope_of(segments, wrapper)
            if cut is not None:
                names = grouped.setdefault((number, segments[:cut]), {})
                names["/".join(segments[cut:])] = stored
    found = []
    for (number, path), names in grouped.items():
        wrapper = CONVERTED_WRAPPERS[number]
        for spelling in wrapper.spellings:
            roles = spelled_roles(names, spelling, "/".join(path))
            if all(role in roles for role in wrapper.needed) and len(roles) == len(names):
                found.append(Wrap(wrapper, path, roles))
                break
    return found


def _scope_of(segments: Path, wrapper: Wrapper) -> int | None:
    """How many segments of a variable's name are the wrapper's scope."""
    for word in {word for spelling in wrapper.spellings for word in spelling.roles.values()}:
        cut = len(segments) - len(word.split("/"))
        if "/".join(segments[max(cut, 0) :]) != word:
            continue
        scope = segments[cut - 1] if cut > 0 else ""
        if not wrapper.scopes or any(re.fullmatch(p, scope) for p in wrapper.scopes):
            return cut
    return None
