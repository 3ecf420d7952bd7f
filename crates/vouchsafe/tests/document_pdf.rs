//! The policy on paper: a reader of PDF finds all in it that the Markdown says, and nothing beyond the page's edge.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::common::{POLICY, Workspace};

/// Width of A4 and the margins that nothing may cross, in points.
const EDGES: (f32, f32) = (41.5, 595.0 - 41.5);

fn corrected(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join(format!("../../examples/policies/corrected/{name}.yaml"))
}

fn made(w: &Workspace, policy: &Path, more: &[&str]) -> String {
    let policy = policy.to_str().unwrap();
    let args = ["--policy", policy, "--state", "none", "document"];
    w.ok([&args[..], more].concat())
}

/// What poppler reads out of the file; it may find nothing to complain about.
fn read(w: &Workspace, file: &str, how: &str) -> String {
    let out = Command::new("pdftotext")
        .args([how, "-enc", "UTF-8"])
        .arg(w.path(file))
        .arg("-")
        .output()
        .expect("pdftotext is needed: apt-get install poppler-utils");
    let complaints = String::from_utf8_lossy(&out.stderr).into_owned();
    assert!(
        out.status.success() && complaints.is_empty(),
        "{complaints}"
    );
    String::from_utf8(out.stdout).unwrap()
}

/// Text without what breaks lines and pages.
fn joined(text: &str) -> String {
    text.chars().filter(|c| !c.is_whitespace()).collect()
}

/// All text of the file in the order in which it was written, without the feet of the pages.
fn text_of(w: &Workspace, file: &str) -> String {
    let text = read(w, file, "-raw");
    let pages: Vec<&str> = text
        .split('\u{c}')
        .filter(|p| !p.trim().is_empty())
        .collect();
    let mut all = String::new();
    for (n, page) in pages.iter().enumerate() {
        let foot = format!("page {} of {}", n + 1, pages.len());
        let lines: Vec<&str> = page.trim_end().lines().collect();
        let at = lines.iter().rposition(|l| l.contains(&foot));
        let at = at.unwrap_or_else(|| panic!("no `{foot}` on its page:\n{page}"));
        // What is left of the number stands on the same line or on the one before.
        let end = if lines[at] == foot { at - 1 } else { at };
        all.push_str(&lines[..end].join("\n"));
        all.push('\n');
    }
    joined(&all)
}

/// Markdown's text as the paper has it.
fn unescaped(text: &str) -> String {
    let mut out = String::new();
    let mut letters = text.chars();
    while let Some(c) = letters.next() {
        match c {
            '\\' => out.extend(letters.next()),
            '`' => {}
            c => out.push(c),
        }
    }
    let out = out.replace("&lt;", "<").replace("&amp;", "&");
    let out = out.replace('→', "->").replace('≥', ">=").replace('≤', "<=");
    joined(&out)
}

/// Every heading, paragraph, item, cell and note of the Markdown.
fn pieces(markdown: &str) -> Vec<String> {
    let mut all = Vec::new();
    for line in markdown.lines() {
        let rules = ["---", "|---", "| | |"];
        if line.is_empty() || rules.iter().any(|r| line.starts_with(r)) {
            continue;
        }
        if let Some(marks) = line.strip_prefix("Fulfils: ") {
            all.extend(
                marks
                    .split(' ')
                    .map(|m| joined(m.trim_matches(['[', '^', ']']))),
            );
        } else if let Some(row) = line.strip_prefix("| ") {
            let row = row.replace("\\|", "\u{1}");
            let cells = row.trim_end_matches('|').split(" | ");
            all.extend(cells.map(|c| unescaped(&c.replace('\u{1}', "|"))));
        } else if let Some((_, note)) = line.strip_prefix("[^").and_then(|l| l.split_once("]: ")) {
            let (id, text) = note.split_once(": ").unwrap();
            all.extend([unescaped(id), unescaped(text)]);
        } else {
            let text = line.trim_start_matches('#').trim_start_matches("- ");
            let text = text
                .strip_prefix('*')
                .and_then(|t| t.strip_suffix('*'))
                .unwrap_or(text);
            all.push(unescaped(text));
        }
    }
    all.retain(|piece| !piece.is_empty());
    all
}

/// What the Markdown says and the file does not.
fn missing(markdown: &str, text: &str) -> Vec<String> {
    let all = pieces(markdown).into_iter();
    all.filter(|piece| !text.contains(piece.as_str())).collect()
}

/// The words that cross an edge, of what `pdftotext -bbox` writes.
fn outside(boxes: &str) -> Vec<&str> {
    let number = |line: &str, name: &str| -> f32 {
        let rest = line.split_once(&format!("{name}=\"")).unwrap().1;
        rest.split('"').next().unwrap().parse().unwrap()
    };
    let words = boxes
        .lines()
        .filter(|l| l.trim_start().starts_with("<word"));
    let crosses = |line: &&str| {
        number(line, "xMin") < EDGES.0
            || number(line, "xMax") > EDGES.1
            || number(line, "yMin") < 20.0
            || number(line, "yMax") > 842.0 - 20.0
    };
    words.filter(crosses).collect()
}

#[test]
fn the_pdf_says_what_the_markdown_says_and_nothing_is_cut_off() {
    let w = Workspace::new();
    for name in [
        "5x",
        "bangkok",
        "quickseries",
        "social-workshop",
        "web-firm",
    ] {
        for more in [&[][..], &["--requirements"][..]] {
            let policy = corrected(name);
            let markdown = made(&w, &policy, more);
            made(
                &w,
                &policy,
                &[more, &["--format", "pdf", "-o", "p.pdf"]].concat(),
            );
            let text = text_of(&w, "p.pdf");
            let lost = missing(&markdown, &text);
            assert!(pieces(&markdown).len() > 100, "{name}");
            assert!(lost.is_empty(), "{name}: {lost:#?}\n{text}");
            let boxes = read(&w, "p.pdf", "-bbox");
            assert!(boxes.matches("<word").count() > 1000, "{name}");
            assert_eq!(outside(&boxes), Vec::<&str>::new(), "{name}");
        }
    }
}

/// The comparisons above can fail.
#[test]
fn what_the_pdf_lacks_and_what_crosses_its_edge_is_seen() {
    let w = Workspace::new();
    let policy = corrected("bangkok");
    let markdown = made(&w, &policy, &[]);
    made(&w, &policy, &["--format", "pdf", "-o", "p.pdf"]);
    let text = text_of(&w, "p.pdf");
    for piece in pieces(&markdown).iter().filter(|p| p.len() > 40) {
        let cut = text.replace(piece.as_str(), &piece[..piece.floor_char_boundary(30)]);
        assert!(missing(&markdown, &cut).contains(piece), "{piece}");
    }
    let word = "<word xMin=\"500.0\" yMin=\"99.0\" xMax=\"596.0\" yMax=\"108.0\">cut</word>";
    assert_eq!(outside(word).len(), 1);
    assert!(outside(&word.replace("596.0", "550.0")).is_empty());
    fs::write(
        w.path("half.pdf"),
        &fs::read(w.path("p.pdf")).unwrap()[..9000],
    )
    .unwrap();
    let half = Command::new("pdftotext")
        .arg(w.path("half.pdf"))
        .arg("-")
        .output()
        .unwrap();
    assert!(!half.stderr.is_empty(), "half of a file has no complaint");
}

#[test]
fn what_is_too_wide_or_too_strange_for_paper_is_broken_and_named() {
    let w = Workspace::new();
    let wide = "W".repeat(300);
    let policy = POLICY
        .replace(
            "title: Test policy",
            &format!("title: \"{wide}\", purpose: \"{wide} 日 `a` ` \\a\""),
        )
        .replace(
            "owner: o@example.com }",
            &format!("owner: \"{wide}@example.com\" }}"),
        );
    assert_eq!(policy.matches(&wide).count(), 5, "{policy}");
    fs::write(w.path("policy.yaml"), policy).unwrap();
    w.ok(["document", "--format", "pdf"]);
    let text = text_of(&w, "document.pdf");
    assert!(text.matches(&wide).count() >= 3, "{text}");
    assert!(text.contains("<U+65E5>"), "{text}");
    assert_eq!(
        outside(&read(&w, "document.pdf", "-bbox")),
        Vec::<&str>::new()
    );
}

#[test]
fn a_pdf_goes_into_a_file() {
    let w = Workspace::new();
    let (_, said) = w.exits(2, ["document", "--format", "pdf", "-o", "-"]);
    assert!(said.contains("name a file"), "{said}");
    assert!(
        w.ok(["document", "--format", "pdf"])
            .contains("wrote document.pdf")
    );
    assert!(
        fs::read(w.path("document.pdf"))
            .unwrap()
            .starts_with(b"%PDF-1.7")
    );
}
