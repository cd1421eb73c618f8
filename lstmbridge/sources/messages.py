"""Protobuf messages out of bytes, with protobuf's errors as ours.

`google.protobuf` is imported inside functions: it costs a tenth of a second.
"""

from __future__ import annotations

from typing import Any

from lstmbridge.errors import SourceUnreadable


def parse(message_type: Any, data: memoryview | bytes, where: str, advice: str = "") -> Any:
    """Parse a message; nesting is bounded by protobuf itself. Errors: SourceUnreadable."""
    from google.protobuf.message import DecodeError

    try:
        return message_type.FromString(bytes(data))
    except (DecodeError, UnicodeDecodeError, RuntimeError) as err:
        name = message_type.DESCRIPTOR.name
        raise SourceUnreadable(
            f"the bytes are no {name}: {err}", where=where, advice=advice
        ) from err


def parse_text(message_type: Any, text: str, where: str) -> Any:
    """Parse a message in text format; unknown fields are passed over.

    Errors: SourceUnreadable.
    """
    from google.protobuf import text_format

    message = message_type()
    try:
        text_format.Parse(text, message, allow_unknown_field=True)
    except (text_format.ParseError, RecursionError) as err:
        name = message_type.DESCRIPTOR.name
        raise SourceUnreadable(f"the text is no {name}: {err}", where=where) from err
    return message
