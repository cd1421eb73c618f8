"""What is known about a network beyond its weights, and how it came to be known."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Generic, TypeVar

T = TypeVar("T")


class Basis(str, Enum):
    """On what a fact rests."""

    READ = "read"
    """The source states it: a graph node, an op attribute, a config."""
    GIVEN = "given"
    """The user stated it by a flag or an argument."""
    ASSUMED = "assumed"
    """The documented default of the class whose variables were recognised."""


@dataclass(frozen=True, slots=True)
class Fact(Generic[T]):
    """A value, what it rests on, and where that stands."""

    value: T
    basis: Basis
    where: str = ""

    @classmethod
    def read(cls, value: T, where: str) -> Fact[T]:
        """The source states it at `where`."""
        return cls(value, Basis.READ, where)

    @classmethod
    def given(cls, value: T, where: str) -> Fact[T]:
        """The user stated it with the option or argument `where`."""
        return cls(value, Basis.GIVEN, where)

    @classmethod
    def assumed(cls, value: T, where: str) -> Fact[T]:
        """The default of the class `where`."""
        return cls(value, Basis.ASSUMED, where)
