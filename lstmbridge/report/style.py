"""How the HTML report looks: on a light screen, on a dark one, and on paper."""

from __future__ import annotations

CSS = """
:root { color-scheme: light dark; --ink: #1d2329; --soft: #5d6873; --page: #ffffff;
  --box: #f4f6f8; --line: #d4dae0; --good: #1a7f4b; --bad: #c0362c; --unsure: #9a6a00;
  --bar: #4b7fb5; }
@media (prefers-color-scheme: dark) { :root { --ink: #e4e8ec; --soft: #9aa6b2; --page: #14181c;
  --box: #1d2329; --line: #39424b; --good: #4cc38a; --bad: #f2766b; --unsure: #e0ad3c;
  --bar: #7fb0e0; } }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 60rem; padding: 2rem 1.5rem; background: var(--page);
  color: var(--ink); font: 15px/1.5 system-ui, "Segoe UI", "DejaVu Sans", sans-serif; }
h1 { font-size: 1.5rem; margin: 0 0 .25rem; }
h2 { font-size: 1.05rem; margin: 2rem 0 .5rem; border-bottom: 1px solid var(--line); }
p { margin: .25rem 0 .5rem; }
.soft, th { color: var(--soft); font-weight: normal; }
.pass { color: var(--good); } .fail, .error { color: var(--bad); }
.inconclusive, .unavailable { color: var(--unsure); }
table { border-collapse: collapse; width: 100%; font-size: .9rem; }
th, td { text-align: left; padding: .2rem .9rem .2rem 0; vertical-align: top;
  overflow-wrap: break-word; }
td.n, th.n { text-align: right; white-space: nowrap; font-variant-numeric: tabular-nums; }
td.bar { width: 270px; padding-right: 0; }
tr { border-bottom: 1px solid var(--line); }
ul { margin: .25rem 0; padding-left: 1.2rem; } li { overflow-wrap: anywhere; }
code { font: .9em ui-monospace, "DejaVu Sans Mono", monospace; overflow-wrap: anywhere; }
td code { overflow-wrap: break-word; }
figure { margin: 0; overflow-x: auto; }
svg { display: block; font: 12px system-ui, "DejaVu Sans", sans-serif; }
svg text { fill: var(--ink); } svg text.soft { fill: var(--soft); }
svg .box { fill: var(--box); stroke: var(--line); }
svg .wire { stroke: var(--soft); fill: none; }
svg .grid { stroke: var(--line); }
svg .bar { fill: var(--bar); } svg .over { fill: var(--bad); }
svg .limit { stroke: var(--ink); stroke-width: 2; }
svg .floor { fill: var(--line); opacity: .6; } svg .line { stroke: var(--bar); fill: none;
  stroke-width: 1.5; }
.along { display: grid; grid-template-columns: repeat(auto-fill, minmax(22rem, 1fr));
  gap: .75rem 1.5rem; margin: .5rem 0 1rem; }
.along svg { width: 100%; height: auto; break-inside: avoid; }
h3 { font-size: 1rem; font-weight: normal; margin: 1.5rem 0 .25rem; break-after: avoid; }
h3 b { font-weight: 600; }
svg .rod { stroke: var(--bar); stroke-width: 2; } svg .rod.over { stroke: var(--bad); }
@media print { :root { color-scheme: light; --ink: #000; --soft: #444; --page: #fff;
    --box: #f4f4f4; --line: #bbb; --good: #14663b; --bad: #a3241b; --unsure: #7a5400;
    --bar: #3a6ea5; }
  body { padding: 0; max-width: none; font-size: 10pt; }
  h2 { break-after: avoid; } tr, li { break-inside: avoid; }
  * { print-color-adjust: exact; -webkit-print-color-adjust: exact; } }
"""
