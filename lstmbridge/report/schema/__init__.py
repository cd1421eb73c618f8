"""The JSON that lstmbridge answers with, described by a JSON Schema in this folder.

A key that no schema knows fails the tests: what is said and what is published cannot part.
Within a version keys are only added; one that goes, or means something else, is a new version.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib.resources import files
from typing import Any

VERSION = 1


def text() -> str:
    """The schema's file, as `lstmbridge schema` prints it."""
    return files(__package__).joinpath(f"lstmbridge-{VERSION}.json").read_text(encoding="utf-8")


def headed(kind: str, body: Mapping[str, Any]) -> dict[str, Any]:
    """`body` as an answer that says what it is: one of the schema's ``$defs``, by its kind."""
    return {"kind": kind, "schema": VERSION, **body}
