"""One program by several words, with its constants read once."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from lstmbridge.graph.execute import Program
from lstmbridge.graph.vocabulary import Words

__all__ = ["spoken"]


def spoken(program: Program, words: Words[Any], storage: str) -> Program:
    """`program` by other words; what it holds is read once for all of one `storage`.

    Args:
        program: as it stands; it keeps what has been read for each storage.
        words: those that take the place of its own.
        storage: words that are handed over under one name make the same of a constant.
    """
    made = replace(program, words=words)
    first = program._spoken.setdefault(storage, made)  # noqa: SLF001 - its own cache
    for cache in ("_constants", "_orders", "_loops"):
        # one dictionary for all of them: what one has read, the others have
        object.__setattr__(made, cache, getattr(first, cache))
    return made
