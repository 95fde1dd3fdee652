"""The stylesheet of the report: for the screen, bright or dark, for a phone, and for paper."""

from __future__ import annotations

from autobrats.reporting import palette

_COLOURS = f"""
:root {{
  color-scheme: light dark;
  --paper: #ffffff; --wash: #f5f6f8; --line: #d9dde3; --rule: #1c2128;
  --ink: #1c2128; --soft: #59636e; --faint: #8d96a0; --shade: 0, 114, 178;
  --s0: {palette.BLUE}; --s1: {palette.VERMILION}; --s2: {palette.GREEN};
  --s3: {palette.PURPLE}; --s4: {palette.ORANGE}; --s5: {palette.SKY};
}}
@media screen and (prefers-color-scheme: dark) {{
  :root {{
    --paper: #14171c; --wash: #1d2229; --line: #343b45; --rule: #e4e7eb;
    --ink: #e4e7eb; --soft: #a4adb8; --faint: #7b8591; --shade: 86, 180, 233;
    --s0: {palette.SKY}; --s1: #f08a4b; --s2: #2fc79a; --s3: {palette.PURPLE}; --s4: {palette.ORANGE};
    --s5: {palette.YELLOW};
  }}
}}
"""

_TEXT = """
*, *::before, *::after { box-sizing: border-box; }
html { -webkit-text-size-adjust: 100%; text-size-adjust: 100%; scroll-behavior: smooth; }
body {
  margin: 0 auto; padding: 4.5rem 2rem 6rem; max-width: 72rem; background: var(--paper); color: var(--ink);
  font: 400 1rem/1.6 system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", "Helvetica Neue", Arial, sans-serif;
  counter-reset: section figure table; font-variant-numeric: lining-nums tabular-nums;
}
header p.kind { margin: 0; color: var(--soft); font-size: .875rem; letter-spacing: .04em; }
h1 { margin: .25rem 0 .5rem; font-size: clamp(1.75rem, 5vw, 2.75rem); line-height: 1.15; font-weight: 650;
  letter-spacing: -.02em; overflow-wrap: anywhere; }
h2 { margin: 0 0 1.25rem; font-size: 1.625rem; line-height: 1.25; font-weight: 650; letter-spacing: -.012em; }
h2::before { counter-increment: section; content: counter(section) "\\2002"; color: var(--faint); font-weight: 400; }
h3 { margin: 2.75rem 0 .75rem; font-size: 1.125rem; line-height: 1.35; font-weight: 650; overflow-wrap: anywhere; }
p { margin: 0 0 1rem; max-width: 44rem; overflow-wrap: break-word; }
p.lead { font-size: 1.125rem; }
p.soft, .facts dt { color: var(--soft); }
section { margin-top: 4rem; padding-top: 2.25rem; border-top: 1px solid var(--line); }
nav { margin-top: 2.25rem; }
nav ol { display: flex; flex-wrap: wrap; gap: .375rem 1.5rem; margin: 0; padding: 0; list-style: none;
  font-size: .9375rem; }
nav a { color: inherit; text-decoration-color: var(--faint); text-underline-offset: .2em; }
nav a:hover { text-decoration-color: currentColor; }
:focus-visible { outline: 2px solid var(--s0); outline-offset: 2px; }
details { border-bottom: 1px solid var(--line); padding: .75rem 0; }
details:first-of-type { border-top: 1px solid var(--line); }
summary { cursor: pointer; font-weight: 600; overflow-wrap: anywhere; }
details > dl { margin-top: 1rem; }
footer { margin-top: 4rem; color: var(--soft); font-size: .875rem; }
"""

_NUMBERS = """
.key-numbers { display: grid; grid-template-columns: repeat(auto-fill, minmax(12.5rem, 1fr)); gap: 1.75rem 2rem;
  margin: 2rem 0 2.25rem; }
.key-numbers > div { border-top: 2px solid var(--rule); padding-top: .625rem; }
.key-numbers dt { font-size: .875rem; color: var(--soft); }
.key-numbers dd { margin: 0; }
.key-numbers .value { font-size: 2.25rem; line-height: 1.25; font-weight: 600; letter-spacing: -.02em; }
.key-numbers .note { font-size: .875rem; color: var(--soft); }
.facts { display: grid; gap: .5rem 2rem; margin: 0 0 1.5rem; }
.facts > div { display: grid; grid-template-columns: 11rem minmax(0, 1fr); gap: 1rem; }
.facts dd { margin: 0; overflow-wrap: anywhere; }
"""

_TABLES = """
.scroll { overflow-x: auto; margin: 1.75rem 0 2rem; }
table { border-collapse: collapse; min-width: min(100%, 46rem); font-size: .9375rem;
  line-height: 1.45; }
caption { caption-side: top; text-align: left; color: var(--soft); font-size: .9375rem; padding: 0 0 .625rem; }
caption > span { display: block; position: sticky; left: 0; width: fit-content;
  max-width: min(46rem, calc(100vw - 2.25rem)); }
caption > span::before { counter-increment: table; content: "Table " counter(table) ". "; font-weight: 600; color: var(--ink); }
th, td { padding: .5rem 1rem .5rem 0; text-align: left; vertical-align: baseline; }
th:last-child, td:last-child { padding-right: 0; }
thead th { border-bottom: 1.5px solid var(--rule); font-weight: 600; vertical-align: bottom; }
tbody th { font-weight: 400; }
tbody tr { border-bottom: 1px solid var(--line); }
.number { text-align: right; white-space: nowrap; }
tr.marked th, tr.marked td { font-weight: 650; }
table .note { display: block; color: var(--soft); font-size: .8125rem; font-weight: 400; white-space: nowrap; }
.confusion .note { color: inherit; }
.confusion td { background: rgba(var(--shade), calc(var(--share) * .55)); padding: .625rem .875rem; }
.confusion td, .confusion thead th:not(:first-child) { text-align: right; }
.confusion thead th:not(:first-child) { padding-right: .875rem; padding-left: .875rem; }
.confusion tr.above > * { border-bottom: 0; padding-bottom: 0; background: none; font-weight: 400; color: var(--soft); }
.confusion thead tr.above > th { text-align: center; }
.confusion tbody tr { border-bottom: 2px solid var(--paper); }
"""

_FIGURES = """
figure { margin: 2rem 0 2.75rem; }
figcaption { margin-top: .875rem; max-width: 46rem; color: var(--soft); font-size: .9375rem; line-height: 1.5; }
figcaption::before { counter-increment: figure; content: "Figure " counter(figure) ". "; font-weight: 600;
  color: var(--ink); }
.panels { display: grid; gap: 1.75rem 2rem; align-items: start; }
.panels.third { grid-template-columns: repeat(auto-fill, minmax(min(100%, 18.5rem), 1fr)); }
.panels.half { grid-template-columns: repeat(auto-fill, minmax(min(100%, 25rem), 1fr)); }
.beside .panels.half { grid-template-columns: minmax(0, 1fr); }
figure.beside { display: grid; grid-template-columns: minmax(0, 33rem) minmax(0, 1fr); grid-template-rows: auto 1fr;
  column-gap: 3rem; align-items: start; }
figure.beside .panels { grid-row: 1 / span 2; }
figure.beside > :not(.panels) { grid-column: 2; }
figure.beside > figcaption { margin-top: .75rem; }
figure.beside > .legend { margin-top: .5rem; flex-direction: column; }
figure.beside > figcaption:nth-child(2) { margin-top: .5rem; }
.panel { min-width: 0; }
.panel > svg { display: block; width: 100%; height: auto; overflow: visible; }
.panel-title { margin: 0 0 .375rem; font-weight: 600; font-size: .9375rem; overflow-wrap: anywhere; }
.legend { display: flex; flex-wrap: wrap; gap: .25rem 1.5rem; margin: 1rem 0 0; padding: 0; list-style: none;
  font-size: .875rem; color: var(--soft); }
.legend li { display: flex; align-items: baseline; }
.swatch { flex: none; width: 1.75rem; height: .875rem; margin-right: .5rem; vertical-align: -.09em; }
.pictures { display: block; width: 100%; height: auto; border-radius: 4px; background: #000; }
.case h3 { margin-bottom: .25rem; }
.case figure { margin-top: .75rem; }
.case .scroll { margin: 0; }
.tag { color: var(--soft); font-weight: 400; }
"""

_DRAWINGS = """
svg text { font-size: 12px; fill: var(--soft); paint-order: stroke; stroke: var(--paper); stroke-width: 3.5px;
  stroke-linejoin: round; }
svg text.axis-label { fill: var(--ink); }
svg text.row-name { fill: var(--ink); }
svg text.marked { fill: var(--ink); font-weight: 650; }
.grid { stroke: var(--line); stroke-width: 1; }
.line { fill: none; stroke: var(--ink); stroke-width: 1.75; stroke-linejoin: round; }
.line.thin { stroke-width: 1.25; }
.line.faint { stroke: var(--faint); }
.line.zero { stroke: var(--soft); stroke-width: 1; }
.line.limit { stroke: var(--s1); stroke-width: 1.5; stroke-dasharray: 6 4; }
.line.bias { stroke: var(--s0); stroke-width: 2; }
.line.whisker { stroke: var(--soft); stroke-width: 1.25; }
.line.median { stroke-width: 2; }
.line.interval { stroke: var(--s1); stroke-width: 2; }
.dots { fill: none; stroke: var(--faint); stroke-width: 3; stroke-linecap: round; opacity: .6; }
.dots.cases { stroke: var(--s0); stroke-width: 3.5; opacity: .55; }
.dots.trials { stroke-width: 4; opacity: .7; }
.box { fill: var(--paper); fill-opacity: .6; stroke: var(--soft); stroke-width: 1.25; }
.box.marked { fill: var(--s0); fill-opacity: .28; stroke: var(--s0); }
.mean { fill: var(--s1); stroke: var(--paper); stroke-width: 1; }
.swatch .mean { stroke: var(--s1); stroke-width: 1.5; }
.line.tick { stroke-width: 1; stroke-dasharray: none; opacity: .8; }
.line.border { stroke: var(--faint); stroke-width: 1; stroke-dasharray: 2 3; }
.line.alive { stroke: var(--soft); stroke-width: 1.25; }
.band { opacity: .14; }
.f0 { fill: var(--s0); }
.f1 { fill: var(--s1); }
.f4 { fill: var(--s4); }
.class-square { fill: var(--wash); }
.bar { fill: var(--s0); }
.mark { stroke-width: 1.75; fill: var(--paper); stroke: var(--ink); }
.mark.plain { stroke: var(--soft); }
.mark.hollow { fill: none; stroke: var(--s1); stroke-width: 1.25; }
.mark.filled { fill: var(--faint); stroke: none; }
.mark.cases { fill: var(--s0); stroke: none; }
.s0 { stroke: var(--s0); }
.s1 { stroke: var(--s1); stroke-dasharray: 7 3; }
.s2 { stroke: var(--s2); stroke-dasharray: 2 2.5; }
.s3 { stroke: var(--s3); stroke-dasharray: 9 3 2 3; }
.s4 { stroke: var(--s4); stroke-dasharray: 12 4; }
.s5 { stroke: var(--s5); stroke-dasharray: 4 2; }
"""

_PHONE = """
@media screen and (max-width: 46rem) {
  body { padding: 2.5rem 1.125rem 4rem; }
  section { margin-top: 3rem; padding-top: 1.75rem; }
  h2 { font-size: 1.375rem; }
  .key-numbers { grid-template-columns: repeat(auto-fill, minmax(8.5rem, 1fr)); gap: 1.25rem; }
  .key-numbers .value { font-size: 1.75rem; }
  .facts > div { grid-template-columns: minmax(0, 1fr); gap: 0; }
  .facts > div + div { margin-top: .375rem; }
  .pictures { width: 40rem; }
  .panels.third, .panels.half { grid-template-columns: minmax(0, 1fr); }
  figure.beside { display: block; }
  figure.beside > .legend { flex-direction: row; margin-top: 1rem; }
}
"""

_PAPER = """
@page { size: A4; margin: 16mm 15mm 18mm; }
@media print {
  html { font-size: 10pt; }
  body { padding: 0; max-width: none; }
  nav { display: none; }
  section { margin-top: 2.25rem; padding-top: 1.5rem; }
  figure, tr, .key-numbers, .case, .facts > div, .legend, .panel { break-inside: avoid; }
  h2, h3, caption, summary, .panel-title { break-after: avoid; }
  thead { display: table-header-group; }
  p { orphans: 3; widows: 3; }
  .scroll { overflow: visible; break-inside: avoid; }
  details.chosen::details-content { content-visibility: visible; display: block; }
  table { font-size: .8125rem; }
  th, td { padding-right: .625rem; }
  .number { white-space: normal; }
  table .note { font-size: .6875rem; }
  .third svg text { font-size: 13px; }
  .panels.third { grid-template-columns: repeat(3, minmax(0, 1fr)); gap: 1rem 1.25rem; }
  .panels.half { grid-template-columns: repeat(2, minmax(0, 1fr)); gap: 1rem 1.5rem; }
  figure.beside { grid-template-columns: 100mm minmax(0, 1fr); column-gap: 8mm; }
  .key-numbers { grid-template-columns: repeat(4, minmax(0, 1fr)); gap: 1.25rem; }
  .key-numbers .value { font-size: 1.75rem; }
  .pictures { max-height: 105mm; width: auto; max-width: 100%; }
  .confusion td, .pictures, svg { -webkit-print-color-adjust: exact; print-color-adjust: exact; }
}
"""

STYLE = _COLOURS + _TEXT + _NUMBERS + _TABLES + _FIGURES + _DRAWINGS + _PHONE + _PAPER
