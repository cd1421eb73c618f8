"""A message has four parts, and a class of error has one exit code."""

from __future__ import annotations

import pytest

from lstmbridge import errors


def test_a_message_says_what_was_read_expected_where_and_what_to_do() -> None:
    error = errors.SourceUnreadable("a", expected="b", where="c", advice="d")
    assert str(error) == "a\n  expected: b\n  where: c\n  what to do: d"


def test_a_part_that_is_not_there_leaves_no_gap() -> None:
    assert str(errors.UsageError("a", where="c")) == "a\n  where: c"


@pytest.mark.parametrize(
    ("kind", "code"),
    [
        (errors.UsageError, 2),
        (errors.RuntimeUnavailable, 3),
        (errors.SourceUnreadable, 4),
        (errors.NotRecognised, 5),
        (errors.FactMissing, 6),
        (errors.FactConflict, 6),
        (errors.CannotExpress, 7),
    ],
)
def test_exit_codes_are_those_of_the_design(kind: type[errors.LstmBridgeError], code: int) -> None:
    assert kind.exit_code == code
    assert f"{kind.__name__:<20}" in errors.__doc__ or kind.__name__ in errors.__doc__
    assert f"(exit {code})" in errors.__doc__
