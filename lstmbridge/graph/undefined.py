"""Why an operation is not defined here, where that lies in what it does."""

from __future__ import annotations

import re
from collections.abc import Mapping

_REASONS: Mapping[str, str] = {
    r"(Stateless)?(Multinomial|Random|ParameterizedTruncated|TruncatedNormal).*": (
        "which draws random numbers: no other runtime draws the same"
    ),
    r".*(HashTable|LookupTable).*": "which looks words up in a table: that stays outside",
    r"(String|Regex|Unicode|Substr|AsString|DecodeRaw|ReduceJoin|StaticRegex|Decode|Encode).*": (
        "which works on text or encoded bytes: that stays outside"
    ),
    r"(Eager)?PyFunc.*": "which runs Python code that no file holds",
}
"""Kind of operation -> what it does."""


def why_undefined(kind: str) -> str:
    """Half a sentence that follows the operation's name."""
    known = (why for kinds, why in _REASONS.items() if re.fullmatch(kinds, kind))
    return next(known, "which is not defined here")
