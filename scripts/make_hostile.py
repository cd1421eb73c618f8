"""Make fixtures/hostile: files that lie about themselves, each with the error it must give.

usage: python scripts/make_hostile.py [OUTPUT]

Each case is a function that fills an empty folder; its decorator says what is opened there,
when it must be refused (open, load, graph, or constant: a tensor in the graph), and words that the message must contain. The
table lands in ``fixtures/hostile/cases.json``; the tests run every case in bounded memory.
"""

import json
import shutil
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "scripts")]

import hostile_bundles  # noqa: E402, F401 - importing it registers its cases
import hostile_others  # noqa: E402, F401 - the same
from hostile_kit import CASES  # noqa: E402 - the path is set above


def main():
    out = Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "fixtures" / "hostile"
    shutil.rmtree(out, ignore_errors=True)
    for name, (make, _) in CASES.items():
        (out / name).mkdir(parents=True)
        make(out / name)
    listed = {name: said for name, (_, said) in sorted(CASES.items())}
    (out / "cases.json").write_text(json.dumps(listed, indent=1) + "\n")


if __name__ == "__main__":
    main()
