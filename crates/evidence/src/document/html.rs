//! The document as one page: no script, nothing fetched, made for A4 as much as for a screen.

use maud::{DOCTYPE, Markup, PreEscaped, html};

use super::{Block, Document, Section};

pub(super) fn render(document: &Document) -> String {
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                title { (document.title) }
                style { (PreEscaped(CSS)) }
            }
            body {
                header {
                    h1 { (document.title) }
                    dl.head {
                        @for (name, value) in &document.head { dt { (name) } dd { (value) } }
                    }
                    p.standing { (document.standing) }
                }
                nav aria-label="Contents" {
                    ol.toc {
                        @for (n, section) in document.sections.iter().enumerate() {
                            li { a href={ "#s" (n + 1) } { (section.title) } }
                        }
                    }
                }
                main {
                    @for (n, section) in document.sections.iter().enumerate() {
                        (self::section(n + 1, section))
                    }
                    (notes(document))
                }
                footer { p { (document.made) } }
            }
        }
    }
    .into_string()
}

fn section(n: usize, section: &Section) -> Markup {
    html! {
        section aria-labelledby={ "s" (n) } {
            h2 id={ "s" (n) } { span.number { (n) "." } " " (section.title) (marks(&section.fulfils)) }
            @for block in &section.blocks { (self::block(block)) }
        }
    }
}

fn block(block: &Block) -> Markup {
    match block {
        Block::Paragraph(text) => html! { p { (code(text)) } },
        Block::List(items) => html! { ol { @for item in items { li { (code(item)) } } } },
        Block::Table { head, rows } => html! {
            div.scroll {
                table {
                    thead { tr { @for name in head { th scope="col" { (name) } } } }
                    tbody {
                        @for row in rows {
                            tr {
                                @for (n, cell) in row.iter().enumerate() {
                                    @if n == 0 { th scope="row" { (code(cell)) } }
                                    @else if cell.is_empty() { td { "–" } }
                                    @else { td { (code(cell)) } }
                                }
                            }
                        }
                    }
                }
            }
        },
        Block::Sub {
            title,
            blocks,
            fulfils,
        } => html! {
            h3 { (title) (marks(fulfils)) }
            @for inner in blocks { (self::block(inner)) }
        },
        Block::Figure { map, caption } => html! {
            figure { (map.svg()) figcaption { (caption) } }
        },
    }
}

/// The requirements that a part fulfils.
fn marks(ids: &[String]) -> Markup {
    html! {
        @if !ids.is_empty() {
            sup.marks {
                @for (n, id) in ids.iter().enumerate() {
                    @if n > 0 { " " }
                    a href={ "#r-" (id) } { (id) }
                }
            }
        }
    }
}

fn notes(document: &Document) -> Markup {
    html! {
        @if !document.notes.is_empty() {
            section aria-labelledby="requirements" {
                h2 id="requirements" { "Requirements" }
                p { "What is asked for, by the numbers of whoever asks; the parts of this document that fulfil it carry the number." }
                dl.notes {
                    @for (id, text) in &document.notes {
                        dt id={ "r-" (id) } { (id) }
                        dd { (code(text)) }
                    }
                }
            }
        }
    }
}

/// Text in which `…` marks code.
fn code(text: &str) -> Markup {
    let parts: Vec<&str> = text.split('`').collect();
    if parts.len().is_multiple_of(2) {
        return html! { (text) };
    }
    html! {
        @for (n, part) in parts.iter().enumerate() {
            @if n % 2 == 1 { code { (part) } } @else { (part) }
        }
    }
}

const CSS: &str = r#"
:root { --ink: #1a1d21; --soft: #4a5159; --line: #c9ced4; --wash: #f4f6f8; --blue: #1f4e8c; }
* { box-sizing: border-box; }
html { font-size: 15px; }
body { margin: 0 auto; padding: 2.5rem 1.5rem 4rem; max-width: 58rem; background: #fff; color: var(--ink);
  font-family: "Segoe UI", "Helvetica Neue", Arial, "Liberation Sans", "DejaVu Sans", sans-serif; line-height: 1.5; }
h1 { font-size: 2rem; margin: 0 0 1rem; line-height: 1.2; }
h2 { font-size: 1.3rem; margin: 2.4rem 0 .7rem; padding-bottom: .25rem; border-bottom: 2px solid var(--ink); }
h3 { font-size: 1.05rem; margin: 1.5rem 0 .4rem; }
p { margin: .4rem 0 .8rem; max-width: 48rem; }
a { color: var(--blue); }
code { font-family: "DejaVu Sans Mono", Menlo, Consolas, "Liberation Mono", monospace; font-size: .86em; overflow-wrap: anywhere; }
.number { color: var(--soft); }
dl.head { display: grid; grid-template-columns: max-content 1fr; gap: .15rem 1.2rem; margin: .6rem 0 1rem; }
dl.head dt { color: var(--soft); } dl.head dd { margin: 0; }
.standing { border-left: 4px solid var(--blue); background: var(--wash); padding: .6rem .9rem; max-width: none; }
ol.toc { columns: 2; margin: 1rem 0; padding-left: 1.6rem; max-width: 44rem; }
.scroll { overflow-x: auto; margin: .5rem 0 1.1rem; }
table { border-collapse: collapse; width: 100%; font-size: .88rem; }
th, td { text-align: left; vertical-align: top; padding: .35rem .6rem; border-bottom: 1px solid var(--line); overflow-wrap: break-word; }
thead th { background: var(--wash); border-bottom: 2px solid var(--soft); }
tbody th { font-weight: 600; }
sup.marks { font-size: .55em; font-weight: normal; margin-left: .5rem; }
dl.notes { display: grid; grid-template-columns: max-content 1fr; gap: .1rem 1rem; font-size: .85rem; }
dl.notes dd { margin: 0; }
figure { margin: .8rem 0 1.2rem; }
figcaption { font-size: .86rem; color: var(--soft); }
svg { display: block; width: 100%; height: auto; max-width: 52rem; }
svg text { font-family: inherit; fill: var(--ink); }
footer { margin-top: 3rem; border-top: 1px solid var(--line); color: var(--soft); font-size: .8rem; overflow-wrap: anywhere; }
@page { size: A4; margin: 17mm 15mm 18mm;
  @bottom-right { content: "page " counter(page) " of " counter(pages); font-size: 8pt; color: #4a5159; } }
@media (max-width: 44rem) { dl.head, dl.notes { grid-template-columns: 1fr; } ol.toc { columns: 1; } }
@media print {
  html { font-size: 9.6pt; }
  body { padding: 0; max-width: none; }
  * { print-color-adjust: exact; -webkit-print-color-adjust: exact; }
  a { color: inherit; text-decoration: none; }
  h2, h3 { break-after: avoid; }
  thead { display: table-header-group; }
  tr, li, dl.head { break-inside: avoid; }
  figure { break-inside: avoid; }
  .scroll { overflow: visible; }
  p { orphans: 3; widows: 3; }
}
"#;
