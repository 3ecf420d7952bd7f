//! The page as a whole: its head, what is loud, the order of its sections.

use maud::{DOCTYPE, Markup, html};

use super::content::ReportContent;
use super::parts::{badge, reference, text_or, when};
use super::{drills, incidents, period, records, style, verdicts};

/// Section ids and titles, in the order of the page.
const SECTIONS: [(&str, &str); 17] = [
    ("summary", "Summary"),
    ("policy", "The policy"),
    ("period", "The period"),
    ("controls", "Controls"),
    ("artefacts", "Artefacts, control by control"),
    ("protections", "Protections"),
    ("obligations", "Obligations"),
    ("failures", "Failures and incomplete runs"),
    ("incidents", "Incidents, from failure to closure"),
    ("points", "Recovery points"),
    ("copies", "Copies"),
    ("verifications", "Verifications"),
    ("drills", "Drills"),
    ("populations", "Populations and samples"),
    ("ledger", "The ledger, and how to verify it"),
    (
        "reading",
        "How to read this report, and what it does not prove",
    ),
    ("appendix", "Appendix: the facts"),
];

pub(super) fn page(c: &ReportContent) -> String {
    let title = text_or(c.policy.title.as_deref(), "Backup policy");
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                title { "Backup evidence: " (title) }
                style { (maud::PreEscaped(style::CSS)) }
            }
            body {
                (heading(c, title))
                (alarms(c))
                nav aria-label="Contents" {
                    ul.toc { @for (id, name) in SECTIONS { li { a href={ "#" (id) } { (name) } } } }
                }
                main { @for (id, name) in SECTIONS { (section(c, id, name)) } }
            }
        }
    }
    .into_string()
}

fn heading(c: &ReportContent, title: &str) -> Markup {
    html! {
        header {
            p.kicker { "Backup evidence report" }
            h1 { (title) }
            p.overall { "Overall: " (badge(c.verdict)) " as of " (when(c.as_of)) " UTC" }
            dl.head {
                dt { "Period" }
                dd { (when(c.from)) " up to, and without, " (when(c.to)) }
                dt { "Policy" }
                dd {
                    (text_or(c.policy.id.as_deref(), "without an id"))
                    ", version " (text_or(c.policy.version.as_deref(), "not stated"))
                    ". " (c.policy.approval)
                }
                dt { "Made" }
                dd { (when(c.generated_at)) " by " (c.tool) }
                dt { "Times" }
                dd { "All times are UTC, by the host's clock." }
            }
        }
    }
}

fn alarms(c: &ReportContent) -> Markup {
    html! {
        @if !c.alarms.is_empty() {
            div.alarm role="alert" id="alarms" {
                h2 { "✗ Read this first: the record itself is in doubt" }
                @for alarm in &c.alarms {
                    p {
                        (alarm.text)
                        @if let Some(seq) = alarm.seq { " (fact " (reference(seq)) ")" }
                    }
                }
            }
        }
    }
}

fn section(c: &ReportContent, id: &str, name: &str) -> Markup {
    let (body, own_page) = match id {
        "summary" => (verdicts::summary(c), false),
        "policy" => (verdicts::policy(c), false),
        "period" => (period::period(c), true),
        "controls" => (verdicts::controls(c), false),
        "artefacts" => (period::artefacts(c), true),
        "protections" => (verdicts::protections(c), false),
        "obligations" => (verdicts::obligations(c), false),
        "failures" => (verdicts::failures(c), false),
        "incidents" => (incidents::section(c), false),
        "points" => (records::points(c), true),
        "copies" => (records::copies(c), false),
        "verifications" => (records::verifications(c), false),
        "drills" => (drills::drills(c), false),
        "populations" => (period::populations(c), true),
        "ledger" => (records::ledger(c), true),
        "reading" => (records::reading(c), false),
        _ => (records::appendix(c), true),
    };
    html! {
        section id=(id) class=[own_page.then_some("page")] aria-labelledby={ (id) "-title" } {
            h2 id={ (id) "-title" } { (name) }
            (body)
        }
    }
}
