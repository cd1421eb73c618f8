"""The HTML page that every report is: one file that needs no script, no font and no network."""

from __future__ import annotations

import platform
from collections.abc import Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version

from lstmbridge import __version__
from lstmbridge.report.drawing import said
from lstmbridge.report.style import CSS
from lstmbridge.report.summary import Finding

_PACKAGES = ("numpy", "onnx", "onnxruntime", "torch", "tensorflow")

WORDS: Mapping[str, str] = {
    "probe": "A batch of made-up sequences that both sides were run on. 8 x 4 has 8 rows of 4 "
    "steps; inputs x 64 is 64 times as loud. outputs[0, 3, 1] is row 0, step 3, unit 1.",
    "allowed": "What rounding alone may do, the noise floor: the source was run again with every "
    "operation off by a rounding error; how far the results stray on these weights is allowed.",
    "of allowed": "The largest difference as a share of what is allowed at that place: 1 is the "
    "limit.",
    "planted fault": "A classic mistake, built into a copy of the source on purpose. It shows "
    "that the comparison would have noticed: it must stand well above what is allowed.",
    "weights read back": "The numbers stored in the artifact, compared with the source's bit for "
    "bit.",
    "read, given, assumed": "A fact was found in the source and proved there; stated by the user; "
    "or nothing states it and it is the documented default.",
    "graph": "The source's own graph, run in float64 without TensorFlow.",
}
"""Word of a report -> what it means."""


def page(word: str, title: str, sections: Sequence[str]) -> str:
    """The whole file.

    Args:
        word: the verdict's class in the style sheet: ``"pass"``, ``"fail"``, ``"inconclusive"``.
        title: of the window, as plain text.
        sections: HTML; empty ones are left out.
    """
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta http-equiv="Content-Security-Policy" '
        "content=\"default-src 'none'; style-src 'unsafe-inline'\">\n"
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{said(title)}</title>\n<style>{CSS}</style>\n</head>\n"
        f'<body class="of-{said(word)}">\n<main>\n'
        f"{chr(10).join(filter(None, sections))}\n</main>\n</body>\n</html>\n"
    )


def headline(word: str, shown: str, line: str, small: str) -> str:
    """The verdict in one word, what it is about (HTML), and figures about it."""
    return (
        f'<header><h1><span class="badge {said(word)}">{said(shown)}</span></h1>\n'
        f'<p>{line}</p>\n<p class="soft">{said(small)}</p></header>'
    )


def tiles(found: Mapping[str, tuple[str, str]]) -> str:
    """What a reader wants to know first: name -> (a figure, what it says)."""
    body = "".join(
        f'<div class="tile"><dt>{said(name)}</dt><dd><b>{said(figure)}</b> {said(told)}</dd></div>'
        for name, (figure, told) in found.items()
    )
    return f'<dl class="tiles">{body}</dl>'


def section(title: str, body: str) -> str:
    """A part under its heading; "" where it would be empty."""
    return f"<section><h2>{said(title)}</h2>\n{body}</section>" if body else ""


def folded(title: str, body: str, *, shown: bool = False) -> str:
    """A part that opens when its title is pressed."""
    return f"<details{' open' * shown}><summary>{said(title)}</summary>\n{body}</details>"


def items(lines: Sequence[str]) -> str:
    """Plain lines as a list."""
    found = "".join(f"<li>{said(line)}</li>" for line in lines)
    return f"<ul>{found}</ul>" if found else ""


def finding_items(found: Sequence[Finding]) -> str:
    """Each finding with its details as a list of their own."""
    body = "".join(f"<li>{said(one.head)}{items(one.details)}</li>" for one in found)
    return f'<ul class="findings">{body}</ul>' if body else ""


def table(
    heads: Sequence[str],
    rows: Sequence[Sequence[str]],
    numbers: Sequence[int] = (),
    kind: str = "",
) -> str:
    """Rows of HTML under plain heads, in a box of their own where they are too wide.

    Args:
        heads: empty ones are said to nobody.
        rows: cells, as HTML.
        numbers: which columns hold numbers.
        kind: a class of the style sheet.
    """

    def style(k: int) -> str:
        return ' class="n"' if k in numbers else ""

    head = "".join(f'<th scope="col"{style(k)}>{said(x)}</th>' for k, x in enumerate(heads))
    head = f"<thead><tr>{head}</tr></thead>" if any(heads) else ""
    body = "".join(
        "<tr>" + "".join(f"<td{style(k)}>{x}</td>" for k, x in enumerate(row)) + "</tr>"
        for row in rows
    )
    named = f' class="{said(kind)}"' if kind else ""
    return f'<div class="wide"><table{named}>{head}<tbody>{body}</tbody></table></div>'


def words(wanted: Sequence[str]) -> str:
    """What the words of the page mean."""
    body = "".join(f"<dt>{said(name)}</dt><dd>{said(WORDS[name])}</dd>" for name in wanted)
    return section("What the words mean", f'<dl class="words">{body}</dl>')


def versions(seed: int) -> str:
    """What this was made with."""
    found = {"lstmbridge": __version__, "Python": platform.python_version()}
    found |= {name: number for name in _PACKAGES if (number := _installed(name))}
    found["machine"] = f"{platform.system()} {platform.machine()}"
    found["seed"] = str(seed)
    rows = [(said(name), said(value)) for name, value in found.items()]
    return section("Versions", table(("", ""), rows, kind="short"))


def _installed(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return ""
