//! The table that says, at three in the morning, what holds and what to type next.

use std::collections::BTreeMap;

use vouchsafe_model::{
    Assessment, Judgement, Obligation, ObligationKind, ProtectionAssessment, ProtectionId,
    Question, Time, Verdict,
};

use crate::layout::{Cell, Colour, Table, TableRow, TextOptions, clean, wrapped};
use crate::points::CopyCount;
use crate::words::{answer, called, count, figure, len, mark, short};

/// The status of everything that `a` judges: the worst first, each line ended by a newline.
///
/// Beneath each protection that is not good stand the reasons, and the command to type next.
pub fn status_text(a: &Assessment, opts: TextOptions) -> String {
    status_text_counting(a, &BTreeMap::new(), &BTreeMap::new(), opts)
}

/// Like [`status_text`], with the number of copies (see [`crate::copy_counts`]) where it is known, and the legal holds in
/// force (see [`crate::holds_by_protection`]).
pub fn status_text_counting(
    a: &Assessment,
    copies: &BTreeMap<ProtectionId, CopyCount>,
    holds: &BTreeMap<ProtectionId, Vec<String>>,
    opts: TextOptions,
) -> String {
    let mut lines = alarms(a, opts);
    lines.extend(headline(a, opts));
    lines.push(String::new());
    lines.extend(table(a, copies, holds, opts));
    lines.extend(exemptions(a, opts));
    lines.extend(missed_duties(a, opts));
    lines.extend(storage(a, opts));
    lines.extend(crate::duties::status_lines(a, opts));
    if opts.verbose {
        lines.extend(controls(a, opts));
    }
    lines.push(String::new());
    lines.extend(last_line(a, opts));
    lines.push(String::new());
    lines.join("\n")
}

fn headline(a: &Assessment, opts: TextOptions) -> Vec<String> {
    let of = |v: Verdict| a.protections.iter().filter(|p| p.verdict == v).count();
    let mut parts: Vec<String> = [
        (of(Verdict::Met), "met"),
        (of(Verdict::NotMet), "not met"),
        (of(Verdict::Unproven), "unproven"),
        (of(Verdict::Planned), "planned"),
        (of(Verdict::Exempt) + a.exempt.len(), "exempt"),
    ]
    .into_iter()
    .filter(|(n, word)| *n > 0 || matches!(*word, "met" | "not met" | "unproven"))
    .map(|(n, word)| format!("{} {word}", figure(len(n))))
    .collect();
    parts.push(format!("as of {}", a.at.minute()));
    let word = format!(
        "{} {}:",
        mark(a.verdict),
        a.verdict.to_string().to_uppercase()
    );
    let text = format!("{word} {}", parts.join(" · "));
    let mut lines = wrapped(&text, opts.columns(), "", "  ");
    if let Some(first) = lines.first_mut() {
        *first = first.replacen(&word, &opts.paint(Colour::of(a.verdict), &word), 1);
    }
    let o = &a.obligations;
    let due = format!(
        "obligations: {} on time · {} late · {} missed · {} open",
        figure(o.on_time),
        figure(o.late),
        figure(o.missed),
        figure(o.open)
    );
    lines.extend(wrapped(&due, opts.columns(), "", "  "));
    lines
}

fn alarms(a: &Assessment, opts: TextOptions) -> Vec<String> {
    let mut lines = Vec::new();
    let mut loud = |word: &str, text: &str, command: &str| {
        let head = format!("!! {word}:");
        let text = format!("{head} {}", clean(text));
        let mut said = wrapped(&text, opts.columns(), "", "   ");
        if let Some(first) = said.first_mut() {
            *first = first.replacen(&head, &opts.paint(Colour::Loud, &head), 1);
        }
        lines.extend(said);
        lines.push(next_command("   ", command, opts));
    };
    for (seq, reason) in &a.breaks {
        let text = format!("entry {seq}: {reason}. What was before it cannot be continued.");
        loud("THE RECORD IS BROKEN", &text, "vouchsafe ledger verify");
    }
    for s in &a.silence {
        let text = format!(
            "the ledger says nothing from {} to {} ({}). Whatever should have happened then may not have.",
            s.from.minute(),
            s.to.minute(),
            s.to.since(s.from)
        );
        loud("SILENCE", &text, "vouchsafe run --due");
    }
    lines
}

fn table(
    a: &Assessment,
    copies: &BTreeMap<ProtectionId, CopyCount>,
    holds: &BTreeMap<ProtectionId, Vec<String>>,
    opts: TextOptions,
) -> Vec<String> {
    if a.protections.is_empty() {
        return wrapped("The policy names no protection.", opts.columns(), "", "");
    }
    let mut judged: Vec<&ProtectionAssessment> = a.protections.iter().collect();
    judged.sort_by_key(|p| std::cmp::Reverse(p.verdict));
    let table = |brief: bool| Table {
        indent: "",
        lead: 2,
        header: &HEADER,
        rows: judged
            .iter()
            .map(|p| TableRow {
                cells: cells(p, a.at, copies.get(&p.id), brief),
                below: {
                    let mut below = held(holds.get(&p.id), opts);
                    below.extend(reasons(p, a.at, opts));
                    below
                },
            })
            .collect(),
    };
    let (full, brief) = (table(false), table(true));
    if !full.fits(opts) && brief.fits(opts) {
        brief.lines(opts)
    } else {
        full.lines(opts)
    }
}

/// Stores that fill, and those of which nothing is known.
fn storage(a: &Assessment, opts: TextOptions) -> Vec<String> {
    let shown = a
        .storage
        .iter()
        .filter(|s| opts.verbose || !s.verdict.is_good());
    let said = shown.map(|s| {
        format!(
            "{} storage of {}: {}. {}",
            mark(s.verdict),
            s.vault,
            s.verdict,
            clean(&s.because)
        )
    });
    said.flat_map(|text| wrapped(&text, opts.columns(), "", "    "))
        .collect()
}

const HEADER: [&str; 8] = [
    "", "", "covered", "fresh", "copies", "verified", "proven", "next due",
];

/// The cells of one line; brief ones leave out the words that their headings imply.
fn cells(
    p: &ProtectionAssessment,
    now: Time,
    copies: Option<&CopyCount>,
    brief: bool,
) -> Vec<Cell> {
    let judged = |question: Question, figure: Option<String>| match p.judgement(question) {
        None => Cell::plain(""),
        Some(j) => {
            let word = if brief { "" } else { answer(j.verdict) };
            let said = figure.unwrap_or_else(|| word.to_owned());
            let said = format!("{} {said}", mark(j.verdict));
            Cell::of(Colour::of(j.verdict), said.trim_end())
        }
    };
    let points = match (p.points, brief) {
        (0, _) => None,
        (n, true) => Some(figure(n)),
        (n, false) => Some(count(n, "point")),
    };
    let age = p.newest_point.map(|t| {
        let age = short(now.since(t));
        let log = p
            .achieved_log_rpo
            .map(|lost| format!("log {}", short(lost)));
        match (brief, log) {
            (true, None) => age,
            (true, Some(log)) => format!("{age}, {log}"),
            (false, None) => format!("{age} old"),
            (false, Some(log)) => format!("{age} old, {log}"),
        }
    });
    let held = copies.map(|c| format!("{}/{}", c.have, c.want));
    vec![
        Cell::of(
            Colour::of(p.verdict),
            format!("{} {}", mark(p.verdict), called(&p.id)),
        ),
        Cell::of(Colour::of(p.verdict), p.verdict.to_string()),
        judged(Question::Covered, points),
        judged(Question::Fresh, age),
        judged(Question::Copies, held),
        judged(Question::Verified, None),
        judged(Question::Proven, drilled(p, now, brief)),
        Cell::plain(
            p.next
                .as_ref()
                .map(|o| upcoming(o, now, brief))
                .unwrap_or_default(),
        ),
    ]
}

/// How long ago the newest green drill was, and its time against the target.
fn drilled(p: &ProtectionAssessment, now: Time, brief: bool) -> Option<String> {
    let ago = short(now.since(p.proven_at?));
    let took = match (p.achieved_rto, p.target_rto) {
        (Some(a), Some(t)) => format!(" {}/{}", short(a), short(t)),
        (Some(a), None) => format!(" {}", short(a)),
        _ => String::new(),
    };
    Some(if brief {
        format!("{ago}{took}")
    } else {
        format!("drilled {ago} ago{took}")
    })
}

fn upcoming(o: &Obligation, now: Time, brief: bool) -> String {
    if o.due > now {
        let within = if brief { "" } else { "in " };
        format!("{} {within}{}", o.kind, short(o.due.since(now)))
    } else {
        format!("{} overdue {}", o.kind, short(now.since(o.due)))
    }
}

fn held(holds: Option<&Vec<String>>, opts: TextOptions) -> Vec<String> {
    let holds = holds.into_iter().flatten();
    holds
        .flat_map(|said| wrapped(&format!("hold {said}"), opts.columns(), "    ", "      "))
        .collect()
}

fn reasons(p: &ProtectionAssessment, now: Time, opts: TextOptions) -> Vec<String> {
    let mut lines = Vec::new();
    let mut commands: Vec<String> = Vec::new();
    let bare = p
        .judgement(Question::Covered)
        .is_some_and(|j| !j.verdict.is_good());
    for j in &p.judgements {
        // Without any point, that nothing else is shown either follows from it.
        let follows = bare && j.question != Question::Covered && j.verdict == Verdict::Unproven;
        if (j.verdict.is_good() || follows) && !opts.verbose {
            continue;
        }
        lines.extend(reason(j, opts));
        if !j.verdict.is_good()
            && !follows
            && let Some(command) = remedy(p, j.question)
            && !commands.contains(&command)
        {
            commands.push(command);
        }
    }
    if !p.overdue.is_empty() {
        let said: Vec<String> = p
            .overdue
            .iter()
            .map(|o| {
                let place = o
                    .vault
                    .as_ref()
                    .map(|v| format!(" → {v}"))
                    .unwrap_or_default();
                format!("{}{place} was due {} ago", o.kind, short(now.since(o.due)))
            })
            .collect();
        let text = format!("overdue: {}", said.join(", "));
        lines.extend(wrapped(&text, opts.columns(), "    ", "      "));
        for command in p.overdue.iter().filter_map(|o| answering(p, o)) {
            if !commands.contains(&command) {
                commands.push(command);
            }
        }
    }
    lines.extend(commands.iter().map(|c| next_command("    ", c, opts)));
    lines
}

fn reason(j: &Judgement, opts: TextOptions) -> Vec<String> {
    let head = format!("{}:", j.question.word());
    let text = format!("{head} {}", clean(&j.because));
    let mut lines = wrapped(&text, opts.columns(), "    ", "      ");
    if let Some(first) = lines.first_mut() {
        *first = first.replacen(&head, &opts.paint(Colour::of(j.verdict), &head), 1);
    }
    lines
}

/// What to type so that the question may be answered better; nothing where no command of ours can.
fn remedy(p: &ProtectionAssessment, question: Question) -> Option<String> {
    let by_hand = p.way == "manual";
    if !(p.way == "capture" || by_hand) || !p.connected {
        return None;
    }
    Some(match question {
        Question::Covered | Question::Fresh | Question::Copies | Question::Encrypted if by_hand => {
            let name = called(&p.id);
            format!("vouchsafe attest {name} --outcome done --reason TEXT --by WHO --file FILE")
        }
        Question::Covered | Question::Fresh | Question::Copies | Question::Encrypted => {
            format!("vouchsafe run {}", called(&p.id))
        }
        Question::Verified => {
            let vault = p
                .overdue
                .iter()
                .find(|o| o.kind == ObligationKind::Verify)
                .and_then(|o| o.vault.as_ref());
            match vault {
                Some(vault) => format!("vouchsafe verify --vault {vault}"),
                None => "vouchsafe verify".to_owned(),
            }
        }
        Question::Proven => format!("vouchsafe drill {}", p.id.system),
        Question::Retained => format!("vouchsafe points {}", p.id.system),
    })
}

fn answering(p: &ProtectionAssessment, o: &Obligation) -> Option<String> {
    match o.kind {
        ObligationKind::Capture | ObligationKind::Copy => remedy(p, Question::Fresh),
        ObligationKind::Verify => {
            let vault = o.vault.as_ref()?;
            remedy(p, Question::Verified).map(|_| format!("vouchsafe verify --vault {vault}"))
        }
        ObligationKind::Drill => remedy(p, Question::Proven),
        ObligationKind::NegativeControl => {
            remedy(p, Question::Proven).map(|c| format!("{c} --negative"))
        }
        ObligationKind::RotateKey => {
            let vault = o.vault.as_ref()?;
            Some(format!("vouchsafe key rotate {vault}"))
        }
        ObligationKind::Prune => {
            let vault = o.vault.as_ref()?;
            Some(format!("vouchsafe prune --vault {vault}"))
        }
        ObligationKind::Duty => None,
    }
}

fn next_command(indent: &str, command: &str, opts: TextOptions) -> String {
    format!("{indent}→ {}", opts.paint(Colour::Bold, command))
}

fn exemptions(a: &Assessment, opts: TextOptions) -> Vec<String> {
    a.exempt
        .iter()
        .flat_map(|(system, reason)| {
            let text = format!(
                "{} {} exempt: {}",
                mark(Verdict::Exempt),
                clean(system),
                clean(reason)
            );
            wrapped(&text, opts.columns(), "", "    ")
        })
        .collect()
}

/// Duties that concern no protection: nothing else on the page would show them.
fn missed_duties(a: &Assessment, opts: TextOptions) -> Vec<String> {
    a.missed
        .iter()
        // Those of people's are judged each by itself.
        .filter(|o| {
            o.protection.is_none() && !a.duties.iter().any(|d| o.duty.as_ref() == Some(&d.name))
        })
        .flat_map(|o| {
            let text = format!(
                "{} {} {}: was due {} ({} ago), and no fact answers it",
                mark(Verdict::NotMet),
                o.kind,
                clean(&o.subject()),
                o.due.minute(),
                short(a.at.since(o.due))
            );
            wrapped(&text, opts.columns(), "", "    ")
        })
        .collect()
}

fn controls(a: &Assessment, opts: TextOptions) -> Vec<String> {
    let mut lines = Vec::new();
    for c in &a.controls {
        let text = format!(
            "{} {} {}: {}. {}",
            mark(c.verdict),
            clean(&c.framework),
            clean(&c.control),
            c.verdict,
            clean(&c.because)
        );
        lines.extend(wrapped(&text, opts.columns(), "", "    "));
    }
    if !lines.is_empty() {
        lines.insert(0, String::new());
    }
    lines
}

fn last_line(a: &Assessment, opts: TextOptions) -> Vec<String> {
    let next = a
        .protections
        .iter()
        .filter_map(|p| p.next.as_ref().map(|o| (o, &p.id)))
        .filter(|(o, _)| o.due > a.at)
        .min_by_key(|(o, _)| o.due);
    let next = next.map_or("Nothing is due next.".to_owned(), |(o, id)| {
        format!(
            "Next: {} of {} by {} (in {}).",
            o.kind,
            called(id),
            o.due.minute(),
            short(o.due.since(a.at))
        )
    });
    let calm = a.verdict.is_good()
        && a.breaks.is_empty()
        && a.silence.is_empty()
        && a.missed.is_empty()
        && a.protections
            .iter()
            .all(|p| p.verdict.is_good() && p.overdue.is_empty());
    let text = if calm {
        format!("Nothing to do. {next}")
    } else {
        next
    };
    wrapped(&text, opts.columns(), "", "  ")
}
