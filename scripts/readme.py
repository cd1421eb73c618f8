"""Write the generated parts of README.md anew: what converts, and what `inspect` prints.

    python scripts/readme.py          rewrite README.md
    python scripts/readme.py --check  exit 1 when it is stale (the tests do this)

A generated part stands between `<!-- begin NAME -->` and `<!-- end NAME -->`.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

from lstmbridge import api
from lstmbridge.report import terminal
from lstmbridge.targets.capability import CAPABILITIES

ROOT = Path(__file__).resolve().parents[1]
README = ROOT / "README.md"
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


PARTS = {"capability": capability_table, "inspect": inspection}


def rendered(readme: str) -> str:
    """`readme` with every generated part made anew."""
    for name, make in PARTS.items():
        pattern = rf"(<!-- begin {name} -->\n).*?(<!-- end {name} -->)"
        body = make()
        readme, found = re.subn(
            pattern, lambda m, body=body: f"{m[1]}{body}\n{m[2]}", readme, flags=re.DOTALL
        )
        if found != 1:
            raise SystemExit(f"README.md has {found} parts called {name}")
    return readme


def main() -> None:
    old = README.read_text(encoding="utf-8")
    new = rendered(old)
    if "--check" in sys.argv:
        sys.exit("README.md is stale: python scripts/readme.py" if old != new else 0)
    README.write_text(new, encoding="utf-8")


if __name__ == "__main__":
    main()
