//! What a comparison found, as a rung of a drill's ladder.

use vouchsafe_model::{Difference, DigestManifest, Rung, RungOutcome};

/// Differences found by one comparison; all are counted, the first are kept for the record.
#[derive(Debug, Default)]
pub(crate) struct Findings {
    shown: Vec<String>,
    count: u64,
}

/// How many differences a record names.
const SHOWN: usize = 12;

impl Findings {
    /// One more difference.
    pub(crate) fn add(&mut self, difference: impl Into<String>) {
        self.count += 1;
        if self.shown.len() < SHOWN {
            self.shown.push(difference.into());
        }
    }

    /// Whether nothing was found.
    pub(crate) fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// How many were found.
    pub(crate) fn count(&self) -> u64 {
        self.count
    }

    /// Takes over what another comparison found.
    pub(crate) fn append(&mut self, other: Findings) {
        self.count += other.count;
        let free = SHOWN.saturating_sub(self.shown.len());
        self.shown.extend(other.shown.into_iter().take(free));
    }

    /// Green if nothing was found; then `expected` is also what was found.
    pub(crate) fn rung(self, name: &str, question: &str, expected: impl Into<String>) -> Rung {
        let expected = expected.into();
        let outcome = if self.is_empty() {
            RungOutcome::Green
        } else {
            RungOutcome::Red
        };
        let actual = if self.is_empty() {
            expected.clone()
        } else {
            self.text()
        };
        Rung {
            name: name.to_owned(),
            question: question.to_owned(),
            expected,
            actual,
            outcome,
        }
    }

    fn text(&self) -> String {
        let mut text = self.shown.join("; ");
        let hidden = self.count.saturating_sub(self.shown.len() as u64);
        if hidden > 0 {
            text.push_str(&format!("; and {hidden} more"));
        }
        text
    }
}

/// A rung that was not climbed because one below it is red.
pub(crate) fn skipped(name: &str, question: &str, below: &str) -> Rung {
    Rung {
        name: name.to_owned(),
        question: question.to_owned(),
        expected: String::new(),
        actual: format!("not compared, because `{below}` is red"),
        outcome: RungOutcome::Skipped,
    }
}

/// The rungs of one comparison, each with its name, its question, what was found, and what is expected. Where one is red
/// those above it are not compared, so that the first red one names the fault.
pub(crate) fn climbed<'a>(
    all: impl IntoIterator<Item = (&'a str, &'a str, Findings, String)>,
) -> Vec<Rung> {
    let (mut red, mut out) = (None, Vec::new());
    for (name, question, found, expected) in all {
        if let Some(below) = red {
            out.push(skipped(name, question, below));
            continue;
        }
        if !found.is_empty() {
            red = Some(name);
        }
        out.push(found.rung(name, question, expected));
    }
    out
}

/// How many parts of a manifest have names that begin with `prefix`, and how much all of them count.
pub(crate) fn held(manifest: &DigestManifest, prefix: &str) -> (u64, u64) {
    let all = manifest.entries.iter();
    let found = all.filter(|(key, _)| key.starts_with(prefix));
    found.fold((0, 0), |(n, counted), (_, entry)| {
        (n + 1, counted + entry.count.unwrap_or(0))
    })
}

/// What differs, for people; the name is told without `prefix`, and digests are cut.
pub(crate) fn sentence(difference: &Difference, prefix: &str) -> String {
    let part = &difference.part;
    let name = part.strip_prefix(prefix).unwrap_or(part);
    let short = |text: &str| match text.rsplit_once(' ') {
        Some((head, digest)) => format!("{head} {}", digest.get(..12).unwrap_or(digest)),
        None => text.get(..12).unwrap_or(text).to_owned(),
    };
    match (&difference.expected, &difference.actual) {
        (Some(expected), Some(actual)) => format!(
            "{name}: expected {}, found {}",
            short(expected),
            short(actual)
        ),
        (Some(_), None) => format!("{name} is missing"),
        (None, _) => format!("{name} should not be there"),
    }
}

/// A number for people: `1,234,567`.
pub(crate) fn number(n: u64) -> String {
    let digits = n.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_finding_is_red_and_long_lists_are_cut_but_counted() {
        assert_eq!(
            Findings::default().rung("a", "", "x").outcome,
            RungOutcome::Green
        );
        let mut found = Findings::default();
        (0..20).for_each(|n| found.add(format!("f{n}")));
        let rung = found.rung("a", "", "x");
        assert_eq!(rung.outcome, RungOutcome::Red);
        assert!(rung.actual.ends_with("f11; and 8 more"), "{}", rung.actual);
    }

    #[test]
    fn above_the_first_red_rung_nothing_is_compared() {
        let mut red = Findings::default();
        red.add("x");
        let all = [
            ("a", "?", Findings::default(), "1".to_owned()),
            ("b", "?", red, "2".to_owned()),
            ("c", "?", Findings::default(), "3".to_owned()),
        ];
        let rungs = climbed(all);
        let outcomes: Vec<RungOutcome> = rungs.iter().map(|r| r.outcome).collect();
        assert_eq!(
            outcomes,
            [RungOutcome::Green, RungOutcome::Red, RungOutcome::Skipped]
        );
        assert!(
            rungs[2].actual.contains("`b` is red"),
            "{}",
            rungs[2].actual
        );
    }

    #[test]
    fn numbers_are_grouped() {
        assert_eq!(number(7), "7");
        assert_eq!(number(1234), "1,234");
        assert_eq!(number(123_456_789), "123,456,789");
    }
}
