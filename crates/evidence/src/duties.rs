//! What people owe, and incidents, as lines of text.

use vouchsafe_model::people_assessment::{DutyAssessment, DutyItem, DutyStanding, IncidentState};
use vouchsafe_model::{Assessment, Time, Verdict};

use crate::layout::{Colour, TextOptions, clean, wrapped};
use crate::words::{count, len, mark, short};

/// What people owe, the most urgent first, with who answers it, who hears of it when it is late, and what to type.
///
/// `now` tells how long ago and how soon.
pub fn duties_text(items: &[DutyItem], now: Time, opts: TextOptions) -> String {
    let mut lines = Vec::new();
    for standing in [
        DutyStanding::Overdue,
        DutyStanding::Declined,
        DutyStanding::Open,
        DutyStanding::ToCome,
    ] {
        let these: Vec<&DutyItem> = items.iter().filter(|i| i.standing == standing).collect();
        if these.is_empty() {
            continue;
        }
        let head = format!(
            "{}  {}",
            standing.word().to_uppercase(),
            count(len(these.len()), "obligation")
        );
        lines.push(opts.paint(colour(standing), &head));
        let mut shown: Vec<String> = Vec::new();
        for item in these.iter().copied() {
            let subject = item.obligation.subject();
            // Of what comes again and again only the next is shown.
            if standing == DutyStanding::ToCome && shown.contains(&subject) {
                continue;
            }
            lines.extend(item_lines(item, now, opts));
            if standing == DutyStanding::ToCome {
                lines.extend(later(&these, &subject));
            }
            shown.push(subject);
        }
        lines.push(String::new());
    }
    if lines.is_empty() {
        lines.push("Nothing is owed.".to_owned());
        lines.push(String::new());
    }
    lines.join("\n")
}

/// How often the same is owed after the first time.
fn later(items: &[&DutyItem], subject: &str) -> Option<String> {
    let same = || {
        let all = items.iter().map(|item| &item.obligation);
        all.filter(|owed| owed.subject() == subject)
    };
    let more = same().count().saturating_sub(1);
    let last = same().map(|owed| owed.due).max()?;
    (more > 0).then(|| format!("      and {more} more, the last due {}", last.minute()))
}

fn colour(standing: DutyStanding) -> Colour {
    match standing {
        DutyStanding::Overdue | DutyStanding::Declined => Colour::Bad,
        DutyStanding::Open => Colour::Bold,
        DutyStanding::ToCome => Colour::Faint,
    }
}

fn item_lines(item: &DutyItem, now: Time, opts: TextOptions) -> Vec<String> {
    let owed = &item.obligation;
    let when = match item.standing {
        DutyStanding::Overdue => {
            let ago = short(now.since(owed.due));
            format!("was due {} ({ago} ago)", owed.due.minute())
        }
        DutyStanding::ToCome => {
            let soon = short(owed.opens.since(now));
            format!("opens in {soon}, due {}", owed.due.minute())
        }
        _ => format!(
            "due {} (in {})",
            owed.due.minute(),
            short(owed.due.since(now))
        ),
    };
    let kind = item.kind.map_or("upload", |k| k.word());
    let head = format!("{} ({kind}), {when}", clean(&owed.subject()));
    let mut lines = wrapped(&head, opts.columns(), "  ", "      ");
    let mut more = |text: String| {
        lines.extend(wrapped(&text, opts.columns(), "      ", "        "));
    };
    if item.text != item.duty {
        more(clean(&item.text));
    }
    more(who(item));
    if let Some(input) = &item.input {
        more(format!("needs: {}", clean(input)));
    }
    if let Some(escalation) = &item.escalation {
        let to = clean(&escalation.to.join(", "));
        more(match (escalation.due, escalation.fact) {
            (true, Some(seq)) => format!("escalated to {to} (entry {seq})"),
            (true, None) => format!(
                "goes to {to} now: it is late since {}",
                escalation.at.minute()
            ),
            (false, _) => format!("goes to {to} {}, if it is not done", escalation.at.minute()),
        });
    }
    if let Some(incident) = &item.incident {
        more(format!("incident {} is about it", clean(incident)));
    }
    if item.standing != DutyStanding::ToCome {
        lines.push(format!(
            "      → {}",
            opts.paint(Colour::Bold, &command(item))
        ));
    }
    lines
}

fn who(item: &DutyItem) -> String {
    let list = |names: &[String]| clean(&names.join(", "));
    match (item.holders.as_slice(), item.delegates.as_slice()) {
        ([], []) => "the policy names nobody; anybody may answer".to_owned(),
        (holders, []) => format!("by {}", list(holders)),
        ([], delegates) => format!("by {}", list(delegates)),
        (holders, delegates) => format!("by {}, or instead {}", list(holders), list(delegates)),
    }
}

fn command(item: &DutyItem) -> String {
    let by = item.holders.first().map_or("WHO", String::as_str);
    let file = match item.kind {
        None => " --file FILE",
        Some(_) => "",
    };
    let about = item.obligation.about.as_ref();
    let about = about.map_or_else(String::new, |about| format!(" --about {}", clean(about)));
    format!(
        "vouchsafe attest {}{about} --outcome done --reason TEXT --by {}{file}",
        clean(&item.duty),
        clean(by)
    )
}

/// Incidents with everything that was noted of them.
pub fn incidents_text(incidents: &[IncidentState], opts: TextOptions) -> String {
    let mut lines = Vec::new();
    for incident in incidents {
        let state = match &incident.closed {
            Some(closed) => format!("closed {} by {}", closed.at.minute(), clean(&closed.by)),
            None => "open".to_owned(),
        };
        let head = format!(
            "{}: {state}; opened {} by {}: {}",
            clean(&incident.name),
            incident.at.minute(),
            clean(&incident.by),
            clean(&incident.reason)
        );
        lines.extend(wrapped(&head, opts.columns(), "", "    "));
        let about = incident.obligations.iter().map(ToString::to_string);
        let entries = incident.facts.iter().map(|seq| format!("entry {seq}"));
        let about: Vec<String> = about.chain(entries).collect();
        lines.extend(wrapped(
            &format!("about {}", about.join(", ")),
            opts.columns(),
            "    ",
            "    ",
        ));
        for note in &incident.notes {
            let text = format!(
                "{} {} by {}: {}",
                note.at.minute(),
                note.kind.word(),
                clean(&note.by),
                clean(&note.text)
            );
            lines.extend(wrapped(&text, opts.columns(), "    ", "      "));
        }
        if let Some(closed) = &incident.closed {
            let text = format!(
                "retested by entry {}: {}",
                closed.retest,
                clean(&closed.reason)
            );
            lines.extend(wrapped(&text, opts.columns(), "    ", "      "));
        }
    }
    if lines.is_empty() {
        lines.push("There is no incident.".to_owned());
    }
    lines.push(String::new());
    lines.join("\n")
}

/// What of people's part is not as it should be, for the status: duties, open incidents, permissions that are over.
pub(crate) fn status_lines(a: &Assessment, opts: TextOptions) -> Vec<String> {
    let mut lines = Vec::new();
    let shown =
        |d: &&DutyAssessment| opts.verbose || !d.verdict.is_good() || d.verdict == Verdict::Exempt;
    for duty in a.duties.iter().filter(shown) {
        let text = format!(
            "{} {} {}: {}. {}",
            mark(duty.verdict),
            duty.kind,
            clean(&duty.name),
            duty.verdict,
            clean(&duty.because)
        );
        lines.extend(wrapped(&text, opts.columns(), "", "    "));
    }
    if a.duties.iter().any(|d| !d.verdict.is_good()) {
        lines.push(format!(
            "    → {}",
            opts.paint(Colour::Bold, "vouchsafe duties")
        ));
    }
    for incident in a.incidents.iter().filter(|i| i.closed.is_none()) {
        let text = format!(
            "! incident {} is open since {}: {}",
            clean(&incident.name),
            incident.at.minute(),
            clean(&incident.reason)
        );
        lines.extend(wrapped(&text, opts.columns(), "", "    "));
    }
    for exemption in &a.exemptions {
        if let Some(finding) = &exemption.finding {
            let text = format!("! exemption {}: {}", clean(&exemption.name), clean(finding));
            lines.extend(wrapped(&text, opts.columns(), "", "    "));
        }
    }
    for pause in &a.paused {
        let text = format!(
            "! {} is paused until {} by {}: {}. What is due is owed all the same.",
            pause.system,
            pause.until.minute(),
            clean(&pause.by),
            clean(&pause.reason)
        );
        lines.extend(wrapped(&text, opts.columns(), "", "    "));
    }
    for access in &a.access {
        let until = access.until.map(|u| format!(" until {}", u.minute()));
        let text = format!(
            "! right {} of {}: {}{} ({}: {})",
            clean(&access.right),
            clean(&access.by),
            access.standing.word(),
            until.unwrap_or_default(),
            clean(&access.name),
            clean(&access.reason)
        );
        lines.extend(wrapped(&text, opts.columns(), "", "    "));
    }
    lines
}

#[cfg(test)]
mod tests {
    use vouchsafe_model::people::DutyKind;
    use vouchsafe_model::{Obligation, ObligationKind, Span};

    use super::*;

    #[test]
    fn of_what_comes_again_and_again_only_the_next_is_shown_and_the_rest_counted() {
        let begin = Time::from_secs(1_700_000_000);
        let day = |n| begin.plus(Span::from_days(n));
        let item = |duty: &str, n: u64, standing| DutyItem {
            obligation: Obligation::new(
                ObligationKind::Duty,
                None,
                None,
                Some(duty.to_owned()),
                day(n),
                day(n + 1),
            ),
            duty: duty.to_owned(),
            kind: Some(DutyKind::Duty),
            standing,
            holders: vec!["a@example.com".to_owned()],
            delegates: Vec::new(),
            text: duty.to_owned(),
            input: None,
            escalation: None,
            incident: None,
        };
        let mut items = vec![
            item("look", 0, DutyStanding::Open),
            item("look", 0, DutyStanding::Open),
        ];
        items.extend((1..6).map(|n| item("look", n, DutyStanding::ToCome)));
        items.push(item("read", 2, DutyStanding::ToCome));
        let told = duties_text(&items, begin, TextOptions::default());
        // What is owed now is never left out.
        assert_eq!(told.matches("look (duty), due").count(), 2, "{told}");
        assert_eq!(told.matches("look (duty), opens").count(), 1, "{told}");
        let rest = format!("and 4 more, the last due {}", day(6).minute());
        assert!(told.contains(&rest), "{told}");
        assert!(told.contains("TO COME  6 obligations"), "{told}");
        assert_eq!(told.matches("read (duty), opens").count(), 1, "{told}");
        assert_eq!(told.matches("more, the last").count(), 1, "{told}");
        // A text that only repeats the name says nothing.
        assert!(!told.lines().any(|line| line.trim() == "look"), "{told}");
    }
}
