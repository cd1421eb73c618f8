"""The pytest plugin: a fixture called `lstmbridge`. Off, and next to free, unless it is asked for.

pytest imports this module in every run of everyone who has lstmbridge installed: nothing of ours
may be imported here before a test uses the fixture.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from lstmbridge.contracts import Conversion, Verdict


class Bridge:
    """The verbs, with a test's own folder for what they write.

    Args:
        folder: relative names of artifacts lie in it.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def convert(
        self, source: str | Path, *, to: str = "onnx", output: str | Path = "", **more: Any
    ) -> Conversion:
        """`lstmbridge.convert` into the folder; without `output`, under a name that is free.

        Raises:
            As `lstmbridge.convert`.
        """
        from lstmbridge import api

        place = self.folder / output if output else self._free(to)
        return api.convert(source, to=to, output=place, **more)

    def verify(self, source: str | Path, *artifacts: str | Path, **more: Any) -> Verdict:
        """`lstmbridge.verify`: a verdict, whatever it is.

        Raises:
            As `lstmbridge.verify`.
        """
        from lstmbridge import api

        return api.verify(source, *self._found(artifacts), **more)

    def assert_equivalent(
        self, source: str | Path, *artifacts: str | Path, **more: Any
    ) -> Verdict:
        """`lstmbridge.testing.assert_equivalent`.

        Raises:
            As `lstmbridge.testing.assert_equivalent`.
        """
        __tracebackhide__ = True
        from lstmbridge import testing

        return testing.assert_equivalent(source, *self._found(artifacts), **more)

    def _free(self, to: str) -> Path:
        from lstmbridge import registry

        suffix = registry.target(to).suffixes[0]
        taken = {path.name for path in self.folder.glob(f"model*{suffix}")}
        names = (f"model{k or ''}{suffix}" for k in range(len(taken) + 1))
        return self.folder / next(name for name in names if name not in taken)

    def _found(self, artifacts: tuple[str | Path, ...]) -> list[Path]:
        return [self.folder / path for path in artifacts]


@pytest.fixture
def lstmbridge(tmp_path: Path) -> Bridge:
    """Convert, verify and assert_equivalent; artifacts lie in this test's `tmp_path`."""
    return Bridge(tmp_path)
