//! Phrases of a document: rhythms, lengths, kinds of sources, lists.

use vouchsafe_model::policy::{CopyRule, Keep, Length, Period, Schedule, ScheduleRule};
use vouchsafe_model::{SourceKind, Span, Time};

use vouchsafe_model::policy::Way;

/// A rhythm as part of a sentence: `once each week`, `every 6 hours`, `daily at 02:00 UTC`.
pub fn rhythm(schedule: &Schedule) -> String {
    match &schedule.rule {
        ScheduleRule::Every(span) => format!("every {}", span_alone(*span)),
        ScheduleRule::Once(period) => format!("once each {}", self::period(*period)),
        ScheduleRule::Cron { expression, zone } if schedule.text.starts_with(expression) => {
            format!("by the times `{expression}` in {zone}")
        }
        ScheduleRule::Cron { .. } => schedule.text.clone(),
    }
}

fn period(period: Period) -> &'static str {
    match period {
        Period::Day => "day",
        Period::Week => "week",
        Period::Month => "month",
        Period::Quarter => "quarter",
        Period::HalfYear => "half year",
        Period::Year => "year",
    }
}

/// `26 hours`, `5 minutes`, `35 days`.
pub fn span(span: Span) -> String {
    let (n, unit) = unit(span);
    match n {
        1 => format!("1 {unit}"),
        n => format!("{n} {unit}s"),
    }
}

/// The same after `every`: `hour`, `6 hours`.
fn span_alone(span: Span) -> String {
    match unit(span) {
        (1, unit) => unit.to_owned(),
        _ => self::span(span),
    }
}

/// The largest unit that needs no fraction; a single day is told in hours, as objectives are.
fn unit(span: Span) -> (u64, &'static str) {
    let secs = span.secs();
    for (size, unit) in [(86_400, "day"), (3_600, "hour"), (60, "minute")] {
        let enough = size != 86_400 || secs > 86_400;
        if secs >= size && secs.is_multiple_of(size) && enough {
            return (secs / size, unit);
        }
    }
    (secs, "second")
}

/// `35 days`, `3 months`, `1 year`.
pub fn length(length: Length) -> String {
    let months = match length.months {
        0 => None,
        m if m % 12 == 0 => Some((m / 12, "year")),
        m => Some((m, "month")),
    };
    let months = months.map(|(n, unit)| match n {
        1 => format!("1 {unit}"),
        n => format!("{n} {unit}s"),
    });
    match (months, length.span) {
        (Some(months), Span::ZERO) => months,
        (Some(months), rest) => format!("{months} and {}", span(rest)),
        (None, rest) => span(rest),
    }
}

/// For how long points are kept, after `kept`.
pub(super) fn keep(keep: &Keep) -> String {
    if keep.is_unsaid() {
        return "without end".to_owned();
    }
    let mut parts = Vec::new();
    match (keep.at_least, keep.at_most) {
        (Some(least), Some(most)) if least == most => {
            parts.push(format!("exactly {}", length(least)));
        }
        (least, most) => {
            parts.extend(least.map(|least| format!("at least {}", length(least))));
            parts.extend(most.map(|most| format!("at most {}", length(most))));
        }
    }
    let counted: Vec<String> = keep
        .counts
        .rules()
        .map(|(word, n)| counted(word, n))
        .collect();
    if !counted.is_empty() {
        parts.push(and(&counted));
    }
    let mut text = parts.join("; ");
    if let Some(grace) = keep.grace {
        text.push_str(&format!("; the deletion takes {} at most", length(grace)));
    }
    text
}

fn counted(word: &str, n: u32) -> String {
    let unit = match word {
        "hourly" => "hour",
        "daily" => "day",
        "weekly" => "week",
        "monthly" => "month",
        "yearly" => "year",
        _ if n == 1 => return "the newest point".to_owned(),
        _ => return format!("the newest {n} points"),
    };
    match n {
        1 => format!("the newest of the last {unit}"),
        n => format!("the newest of each of {n} {unit}s"),
    }
}

/// Where copies lie: `local and, once each week, off-site`.
pub(super) fn copies(copies: &[CopyRule]) -> String {
    let all: Vec<String> = copies
        .iter()
        .map(|copy| match &copy.every {
            Some(every) => format!("{} ({})", copy.vault, rhythm(every)),
            None => copy.vault.to_string(),
        })
        .collect();
    and(&all)
}

/// What a source is, for people.
pub(super) fn kind(kind: &SourceKind) -> String {
    let name = kind.to_string();
    let known = match name.as_str() {
        "files" => "files",
        "sqlite" => "SQLite",
        "git" => "git",
        "postgres" => "PostgreSQL",
        "mysql" => "MariaDB or MySQL",
        "mongodb" => "MongoDB",
        "rds" => "Amazon RDS",
        "rds-replica" => "an RDS replica",
        "ec2-snapshot" => "EC2 snapshots",
        "ebs-snapshot" => "EBS snapshots",
        "aws-backup" => "AWS Backup",
        "aws-config" => "AWS Config",
        "secrets-manager" => "AWS Secrets Manager",
        "s3-versions" => "S3 versions",
        "cloudsql" => "Cloud SQL",
        "gdrive" => "Google Drive",
        "github" => "GitHub",
        "arq" => "Arq",
        "nas" => "NAS replication",
        "filemaker-server" => "FileMaker Server",
        "service" => "the service itself",
        "confluence" => "Confluence",
        "jira" => "Jira",
        _ => return name.replace('-', " "),
    };
    known.to_owned()
}

/// How a protection keeps its system, as a cell of a table.
pub(super) fn way(way: &Way) -> String {
    match way {
        Way::Capture(url) => format!("captured by us ({})", kind(url.kind())),
        Way::Orchestrate(url) => format!("made by {} on our order", kind(url.kind())),
        Way::Observe(url) => format!("made by {}, checked by us", kind(url.kind())),
        Way::Manual { .. } => "exported by a person, checked by us".to_owned(),
        Way::Replica(url) => format!("live copy by {}; it counts as no backup", kind(url.kind())),
    }
}

/// `a`, `a and b`, `a, b and c`.
pub(super) fn and(all: &[String]) -> String {
    match all {
        [] => String::new(),
        [one] => one.clone(),
        [most @ .., last] => format!("{} and {last}", most.join(", ")),
    }
}

/// A sentence of what may have been written as a half one: `lead`, the text, a full stop.
pub(super) fn sentence(lead: &str, text: &str) -> String {
    let text = text.trim();
    let is_whole = text.chars().next().is_some_and(char::is_uppercase) || text.ends_with('.');
    let stop = match text.ends_with(['.', '!', '?']) {
        true => "",
        false => ".",
    };
    match is_whole {
        true => format!("{text}{stop}"),
        false => format!("{lead}{text}{stop}"),
    }
}

/// With its first letter large.
pub(super) fn capital(text: &str) -> String {
    let mut chars = text.chars();
    match chars.next() {
        Some(first) => first.to_uppercase().chain(chars).collect(),
        None => String::new(),
    }
}

/// `2026-01-31`.
pub(super) fn day(at: Time) -> String {
    at.to_timestamp().strftime("%Y-%m-%d").to_string()
}

/// A framework's name as its publishers write it.
pub(super) fn framework(name: &str) -> String {
    match name {
        "soc2" => "SOC 2".to_owned(),
        "iso27001" => "ISO/IEC 27001".to_owned(),
        "gdpr" => "GDPR".to_owned(),
        "nist" | "nist-800-53" => "NIST SP 800-53".to_owned(),
        "cis" => "CIS Controls".to_owned(),
        "hipaa" => "HIPAA".to_owned(),
        other => other.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use vouchsafe_model::policy::KeepCounts;

    #[test]
    fn phrases_read_as_people_speak() {
        let days = |n| Some(Length::exact(Span::from_days(n)));
        let exactly = Keep {
            at_least: days(35),
            at_most: days(35),
            grace: Some(Length::exact(Span::from_hours(24))),
            ..Keep::default()
        };
        assert_eq!(
            keep(&exactly),
            "exactly 35 days; the deletion takes 24 hours at most"
        );
        let counted = Keep {
            at_least: days(35),
            counts: KeepCounts {
                monthly: Some(12),
                ..KeepCounts::default()
            },
            ..Keep::default()
        };
        assert_eq!(
            keep(&counted),
            "at least 35 days; the newest of each of 12 months"
        );
        assert_eq!(span(Span::from_hours(26)), "26 hours");
        assert_eq!(and(&["a".into(), "b".into(), "c".into()]), "a, b and c");
        assert_eq!(sentence("That ", "all is well"), "That all is well.");
        assert_eq!(sentence("That ", "All is well."), "All is well.");
    }
}
