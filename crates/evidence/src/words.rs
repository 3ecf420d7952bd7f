//! Marks, figures and short phrases that every rendering shares.

use vouchsafe_model::fact::Outcome;
use vouchsafe_model::{ProtectionId, RungOutcome, Span, Verdict};

/// A mark that says the same as the word, for those who do not see the colour.
pub(crate) fn mark(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Met => "✓",
        Verdict::NotMet => "✗",
        Verdict::Unproven => "?",
        Verdict::Planned => "»",
        Verdict::Exempt => "-",
    }
}

/// The answer to a yes-or-no question.
pub(crate) fn answer(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Met => "yes",
        Verdict::NotMet => "no",
        Verdict::Unproven => "unproven",
        Verdict::Planned => "planned",
        Verdict::Exempt => "exempt",
    }
}

pub(crate) fn outcome(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Done => "done",
        Outcome::Incomplete => "incomplete",
        Outcome::Failed => "failed",
    }
}

pub(crate) fn rung(outcome: RungOutcome) -> &'static str {
    match outcome {
        RungOutcome::Green => "✓ green",
        RungOutcome::Red => "✗ red",
        RungOutcome::Skipped => "– skipped",
    }
}

pub(crate) fn rung_word(outcome: RungOutcome) -> &'static str {
    match outcome {
        RungOutcome::Green => "green",
        RungOutcome::Red => "red",
        RungOutcome::Skipped => "skipped",
    }
}

/// One unit where that is exact enough, two where the larger counts one: `3d`, `1h59m`, `12s`.
pub(crate) fn short(span: Span) -> String {
    let text = span.to_string();
    match text.split_once(' ') {
        Some((large, small)) if large.trim_end_matches(char::is_alphabetic) == "1" => {
            format!("{large}{small}")
        }
        Some((large, _)) => large.to_owned(),
        None => text,
    }
}

/// To the millisecond below a minute: `1.234 s`, `0.850 s`, `2m 5s`.
pub(crate) fn precise(span: Span) -> String {
    if span.secs() < 60 {
        let millis = span.micros() / 1_000;
        format!("{}.{:03} s", millis / 1_000, millis % 1_000)
    } else {
        span.to_string()
    }
}

/// With commas between thousands.
pub(crate) fn figure(n: u64) -> String {
    let digits = n.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (i, c) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(c);
    }
    out
}

/// `1 point`, `2,000 points`; `ies` for words in a consonant and `y`. Of several words the last one is counted.
pub fn count(n: u64, word: &str) -> String {
    let stem = word
        .strip_suffix('y')
        .filter(|s| !s.ends_with(['a', 'e', 'o', 'u']));
    match (n, stem) {
        (1, _) => format!("1 {word}"),
        (_, Some(stem)) => format!("{} {stem}ies", figure(n)),
        (_, None) => format!("{} {word}s", figure(n)),
    }
}

/// As people call it: the system alone where it has the one protection of the shorthand.
pub fn called(id: &ProtectionId) -> String {
    if id.protection.as_str() == "main" {
        id.system.to_string()
    } else {
        id.to_string()
    }
}

/// The length of a list as it is counted everywhere else.
pub fn len(n: usize) -> u64 {
    u64::try_from(n).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_read_well() {
        assert_eq!(short(Span::from_secs(3 * 86_400 + 3_600)), "3d");
        assert_eq!(short(Span::from_mins(119)), "1h59m");
        assert_eq!(short(Span::from_hours(24 * 12 + 3)), "12d");
        assert_eq!(short(Span::from_secs(12)), "12s");
        assert_eq!(figure(1_234_567), "1,234,567");
        assert_eq!(count(1, "point"), "1 point");
        assert_eq!(count(2_000, "entry"), "2,000 entries");
    }
}
