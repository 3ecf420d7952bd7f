//! The page's inline style: light, high contrast, and made for A4 as much as for a screen.

pub(super) const CSS: &str = r#"
:root { --ink: #1a1d21; --soft: #4a5159; --line: #c9ced4; --wash: #f4f6f8;
  --good: #0f5c2b; --good-wash: #e4f3e8; --bad: #9b0c22; --bad-wash: #fdeaec;
  --unsure: #6b4200; --unsure-wash: #fff2d3; --still: #3d4650; --still-wash: #e9edf1; --blue: #1f4e8c; }
* { box-sizing: border-box; }
html { font-size: 15px; }
body { margin: 0 auto; padding: 2rem 1.5rem 4rem; max-width: 68rem; background: #fff; color: var(--ink);
  font-family: "Segoe UI", "Helvetica Neue", Arial, "Liberation Sans", "DejaVu Sans", sans-serif; line-height: 1.45; }
h1 { font-size: 1.9rem; margin: 0 0 .6rem; line-height: 1.2; }
h2 { font-size: 1.3rem; margin: 2.6rem 0 .7rem; padding-bottom: .25rem; border-bottom: 2px solid var(--ink); }
h3 { font-size: 1.05rem; margin: 1.8rem 0 .5rem; }
h4 { font-size: .95rem; margin: 1.1rem 0 .3rem; }
p { margin: .4rem 0 .7rem; max-width: 52rem; }
a { color: var(--blue); }
.kicker { text-transform: uppercase; letter-spacing: .08em; font-size: .8rem; color: var(--soft); margin: 0 0 .3rem; }
.soft { color: var(--soft); }
code, pre { font-family: "DejaVu Sans Mono", Menlo, Consolas, "Liberation Mono", monospace; font-size: .86em; }
code { overflow-wrap: anywhere; }
code.id, .kind, .name { white-space: nowrap; }
.soft { font-weight: normal; }
pre { background: var(--wash); border: 1px solid var(--line); padding: .6rem .8rem; white-space: pre-wrap;
  overflow-wrap: anywhere; break-inside: avoid; }
dl.head { display: grid; grid-template-columns: max-content 1fr; gap: .15rem 1rem; margin: .6rem 0 1rem; }
dl.pair { grid-template-columns: max-content 1fr max-content 1fr; }
dl.head dt { color: var(--soft); }
dl.head dd { margin: 0; overflow-wrap: anywhere; }
.badge { display: inline-block; padding: .05rem .5rem; border-radius: .25rem; font-weight: 600; white-space: nowrap;
  border: 1px solid currentColor; font-size: .88em; }
.met { color: var(--good); background: var(--good-wash); }
.not-met { color: var(--bad); background: var(--bad-wash); }
.unproven { color: var(--unsure); background: var(--unsure-wash); }
.deviations { color: var(--blue); background: #e6eefa; }
.planned, .exempt { color: var(--still); background: var(--still-wash); }
.overall { font-size: 1.15rem; }
.strength { color: var(--soft); white-space: nowrap; }
.alarm { border: 3px solid var(--bad); background: var(--bad-wash); color: #5c0512; padding: .8rem 1.1rem;
  margin: 1rem 0 1.4rem; break-inside: avoid; }
.alarm h2 { border: 0; margin: 0 0 .4rem; color: var(--bad); }
.alarm p { max-width: none; font-weight: 600; }
.cards { display: grid; grid-template-columns: repeat(3, 1fr); gap: .8rem; padding: 0;
  margin: .8rem 0 1.4rem; list-style: none; }
.cards li { border: 1px solid var(--line); border-top: 4px solid var(--still); padding: .6rem .8rem; break-inside: avoid;
  background: #fff; color: var(--ink); }
.cards .good { border-top-color: var(--good); } .cards .bad { border-top-color: var(--bad); }
.cards .unsure { border-top-color: var(--unsure); }
.cards b { display: block; font-size: 1.3rem; } .cards span { display: block; color: var(--soft); font-size: .88rem; }
.scroll { overflow-x: auto; margin: .6rem 0 1.2rem; }
.short { break-inside: avoid; } .slim table { width: auto; min-width: 18rem; }
table { border-collapse: collapse; width: 100%; font-size: .88rem; }
caption { text-align: left; font-weight: 600; padding: .3rem 0; }
th, td { text-align: left; vertical-align: top; padding: .32rem .55rem; border-bottom: 1px solid var(--line);
  overflow-wrap: break-word; }
thead th { background: var(--wash); border-bottom: 2px solid var(--soft); }
tbody th { font-weight: 600; }
th.n, td.n { text-align: right; }
td.n { white-space: nowrap; font-variant-numeric: tabular-nums; }
tr.wrong td, tr.wrong th { background: var(--bad-wash); }
tr.doubtful td, tr.doubtful th { background: var(--unsure-wash); }
tr:target th, tr:target td { outline: 2px solid var(--blue); }
time { white-space: nowrap; font-variant-numeric: tabular-nums; }
.refs { font-size: .85em; } .refs a { white-space: nowrap; }
ul.toc { columns: 2; margin: .3rem 0 1rem; padding-left: 1.2rem; max-width: 44rem; }
ul.issues { margin: .2rem 0 0; padding-left: 1.1rem; }
figure { margin: .6rem 0 1rem; break-inside: avoid; }
figcaption { font-size: .86rem; color: var(--soft); }
svg { display: block; width: 100%; height: auto; max-width: 45rem; }
svg text { font-family: inherit; font-size: 11px; fill: var(--ink); }
.key { display: inline-block; margin-right: 1rem; white-space: nowrap; }
@page { size: A4; margin: 15mm 13mm 17mm;
  @bottom-right { content: "page " counter(page) " of " counter(pages); font-size: 8pt; color: #4a5159; }
  @bottom-left { content: "Backup evidence report"; font-size: 8pt; color: #4a5159; } }
@media (max-width: 44rem) { .cards { grid-template-columns: 1fr; } dl.head { grid-template-columns: 1fr; } dl.head dd { margin-bottom: .4rem; }
  ul.toc { columns: 1; } }
@media print {
  html { font-size: 9.4pt; }
  body { padding: 0; max-width: none; }
  * { print-color-adjust: exact; -webkit-print-color-adjust: exact; }
  a { color: inherit; text-decoration: none; }
  h2, h3, h4, caption { break-after: avoid; }
  h2 { margin-top: 1.6rem; }
  section.page { break-before: page; } section.page > h2 { margin-top: 0; }
  thead { display: table-header-group; }
  tr, li, dl.head { break-inside: avoid; }
  .scroll { overflow: visible; }
  table { font-size: .8rem; } th, td { padding: .2rem .35rem; } .badge { padding: 0 .3rem; }
  p { orphans: 3; widows: 3; }
}
"#;
