"""Write the generated parts of the documentation anew: what `convert` and `inspect` print, say.

    python scripts/readme.py          rewrite README.md and the pages in docs/
    python scripts/readme.py --check  exit 1 when it is stale (the tests do this)

A generated part stands between `<!-- begin NAME -->` and `<!-- end NAME -->`. One that differs
only in what a run or a machine decides (see `steady`) is left as it is.
"""

from __future__ import annotations

import os
import re
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from lstmbridge import api
from lstmbridge.report import terminal
from lstmbridge.targets.capability import CAPABILITIES

ROOT = Path(__file__).resolve().parents[1]
EXAMPLE = "fixtures/tf115-seed-meta/model.ckpt"


def how(target: str, feature: str) -> str:
    """How `target` says `feature`; a row for one kind of cell falls back to the general one."""
    table = CAPABILITIES[target]
    rule = table.get(feature) or table.get(feature.partition(" ")[2])
    return "refused" if rule is None else rule.how


def capability_table() -> str:
    """Features down, targets across; features that every target says alike share a row."""
    targets = list(CAPABILITIES)
    features = list(dict.fromkeys(name for table in CAPABILITIES.values() for name in table))
    rows: dict[tuple[str, ...], list[str]] = {}
    for feature in features:
        kind, _, value = feature.rpartition(":")
        rows.setdefault((kind, *(how(target, feature) for target in targets)), []).append(value)
    lines = ["| | " + " | ".join(targets) + " |", "|---" * (len(targets) + 1) + "|"]
    for (kind, *hows), values in rows.items():
        what = f"{kind.replace('_', ' ')} " if kind else ""
        lines.append(f"| {what}{', '.join(f'`{v}`' for v in values)} | {' | '.join(hows)} |")
    return "\n".join(lines)


def inspection() -> str:
    """What `inspect` prints for the example, with the path that the reader types."""
    text = terminal.inspection(api.inspect(ROOT / EXAMPLE))
    return "```\n" + text.replace(f"{ROOT}/", "") + "\n```"


def conversion() -> str:
    """What the first command of the page prints."""
    before = Path.cwd()
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        try:
            text = terminal.conversion(api.convert(ROOT / EXAMPLE, to="onnx", output="model.onnx"))
        finally:
            os.chdir(before)
    return "```\n" + text + "\n```"


_DECIDED_BY_A_RUN = (
    (r"in \d+\.\d\d s", "in # s"),  # time
    (r"\d+\.\d+\.\d+", "#"),  # versions of packages
    (r"\([\d,]+ bytes\)", "(# bytes)"),  # the file holds the differences that were seen
    (r"at worst, .*\n(      .*\n)*", "at worst, #\n"),  # processors round differently
    (r"at \S+ x what", "at # x what"),
    (r"  not run\n(    .*\n)*", "  not run #\n"),  # what is installed
)


def steady(text: str) -> str:
    """`text` without what another run, or another machine, would say differently."""
    for pattern, replacement in _DECIDED_BY_A_RUN:
        text = re.sub(pattern, replacement, text)
    return text


PAGES: dict[str, dict[str, Callable[[], str]]] = {
    "README.md": {"convert": conversion},
    "docs/inspect.md": {"inspect": inspection},
    "docs/what-converts.md": {"capability": capability_table},
}
"""Page -> its generated parts."""


def _renewed(body: str) -> Callable[[re.Match[str]], str]:
    def renewed(found: re.Match[str]) -> str:
        kept = found[2] if steady(found[2]) == steady(body) else body
        return f"{found[1]}{kept}{found[3]}"

    return renewed


def rendered(page: str) -> str:
    """`page` with every generated part made anew."""
    text = (ROOT / page).read_text(encoding="utf-8")
    for name, make in PAGES[page].items():
        pattern = rf"(<!-- begin {name} -->\n)(.*?)(<!-- end {name} -->)"
        body = f"{make()}\n"
        text, found = re.subn(pattern, _renewed(body), text, flags=re.DOTALL)
        if found != 1:
            raise SystemExit(f"{page} has {found} parts called {name}")
    return text


def main() -> None:
    for page in PAGES:
        old = (ROOT / page).read_text(encoding="utf-8")
        new = rendered(page)
        if "--check" in sys.argv and old != new:
            sys.exit(f"{page} is stale: python scripts/readme.py")
        (ROOT / page).write_text(new, encoding="utf-8")


if __name__ == "__main__":
    main()
