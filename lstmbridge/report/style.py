"""How the HTML report looks: on a light screen, on a dark one, on a phone and on paper."""

from __future__ import annotations

CSS = """
:root { color-scheme: light dark; --ink: #1d2329; --soft: #56616b; --page: #ffffff;
  --box: #f4f6f8; --line: #d4dae0; --good: #14713f; --bad: #b5271e; --unsure: #855600;
  --good-ground: #e3f4ea; --bad-ground: #fbe6e4; --unsure-ground: #fbf0d8;
  --bar: #3f74ab; --native: #e6eff8; }
@media (prefers-color-scheme: dark) { :root { --ink: #e4e8ec; --soft: #a3afba; --page: #14181c;
  --box: #1d2329; --line: #39424b; --good: #5ccb95; --bad: #f58a80; --unsure: #e5b650;
  --good-ground: #16311f; --bad-ground: #3c1c1a; --unsure-ground: #35290f;
  --bar: #7fb0e0; --native: #1b2c3d; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--page); color: var(--ink);
  font: 15px/1.5 system-ui, "Segoe UI", "DejaVu Sans", sans-serif; }
main { margin: 0 auto; max-width: 62rem; padding: 2rem 1.5rem; }
h1 { font-size: 1.5rem; margin: 0 0 .5rem; }
h2 { font-size: 1.1rem; margin: 2.2rem 0 .6rem; padding-bottom: .15rem;
  border-bottom: 1px solid var(--line); }
h3 { font-size: 1rem; font-weight: normal; margin: 1.5rem 0 .25rem; break-after: avoid; }
h3 b { font-weight: 600; }
p { margin: .25rem 0 .5rem; overflow-wrap: anywhere; }
.badge { display: inline-block; padding: .1rem .7rem; border-radius: .4rem; }
.badge.pass { background: var(--good-ground); } .badge.fail { background: var(--bad-ground); }
.badge.inconclusive { background: var(--unsure-ground); }
.soft, th { color: var(--soft); font-weight: normal; }
.pass { color: var(--good); } .fail, .error { color: var(--bad); }
.inconclusive, .unavailable, .is-assumed { color: var(--unsure); }
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(10.5rem, 1fr));
  gap: .75rem; margin: 1.25rem 0 0; }
.tile { background: var(--box); border-radius: .4rem; padding: .5rem .8rem; }
.tile dt { color: var(--soft); font-size: .85rem; } .tile dd { margin: 0; }
.tile b { display: block; font-size: 1.15rem; font-weight: 600; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-size: .9rem; }
table.short { width: auto; }
th, td { text-align: left; padding: .25rem .9rem .25rem 0; vertical-align: top;
  overflow-wrap: break-word; }
td.n, th.n { text-align: right; white-space: nowrap; font-variant-numeric: tabular-nums; }
th, .faults td:nth-child(2) { white-space: nowrap; }
td:last-child, th:last-child { padding-right: 0; }
.facts td:last-child { min-width: 14rem; }
.faults td:last-child { min-width: 12rem; }
tbody tr { border-bottom: 1px solid var(--line); }
ul { margin: .25rem 0; padding-left: 1.2rem; } li { overflow-wrap: anywhere; }
.findings { margin: 1rem 0; }
code { font: .9em ui-monospace, "DejaVu Sans Mono", monospace; overflow-wrap: anywhere; }
td code { overflow-wrap: break-word; }
pre { background: var(--box); border-radius: .4rem; padding: .6rem .8rem; overflow-x: auto;
  white-space: pre-wrap; overflow-wrap: anywhere; font: .9em ui-monospace, monospace; }
details { margin: .5rem 0; } summary { cursor: pointer; color: var(--bar); }
dl.words dt { font-weight: 600; margin-top: .5rem; } dl.words dd { margin: 0; }
figure { margin: 0; overflow-x: auto; }
.flow svg { min-width: 46rem; max-width: 100%; height: auto; }
svg { display: block; font: 12px system-ui, "DejaVu Sans", sans-serif; }
svg text { fill: var(--ink); } svg text.soft { fill: var(--soft); }
svg .box { fill: var(--box); stroke: var(--line); } svg .box.native { fill: var(--native); }
svg .box.over { fill: var(--bad-ground); stroke: var(--bad); }
svg .box.port { fill: var(--page); } svg .box.loop { stroke: var(--soft);
  stroke-dasharray: 5 3; }
svg .wire { stroke: var(--soft); fill: none; }
svg .grid { stroke: var(--line); }
svg .bar { fill: var(--bar); } svg .over { fill: var(--bad); }
svg .dot { fill: var(--bar); fill-opacity: .55; }
svg .limit { stroke: var(--ink); stroke-width: 2; }
svg .floor { fill: var(--line); opacity: .6; } svg .line { stroke: var(--bar); fill: none;
  stroke-width: 1.5; }
.along { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(100%, 21rem), 1fr));
  gap: .75rem 1.5rem; margin: .5rem 0 1rem; overflow: visible; }
.along svg { width: 100%; height: auto; break-inside: avoid; }
@media (max-width: 40rem) { main { padding: 1.25rem 1rem; } }
@media print { :root { color-scheme: light; --ink: #000; --soft: #444; --page: #fff;
    --box: #f4f4f4; --line: #bbb; --good: #14663b; --bad: #a3241b; --unsure: #7a5400;
    --good-ground: #e3f4ea; --bad-ground: #fbe6e4; --unsure-ground: #fbf0d8;
    --bar: #3a6ea5; --native: #e6eff8; }
  main { padding: 0; max-width: none; } body { font-size: 9.5pt; }
  h2 { break-after: avoid; } tr, li, .tile, svg, dd { break-inside: avoid; }
  dt { break-after: avoid; }
  .wide, figure { overflow: visible; }
  figure svg, .flow svg { min-width: 0; max-width: 100%; height: auto; }
  * { print-color-adjust: exact; -webkit-print-color-adjust: exact; } }
"""
