//! The policy's own queries to a restored database, as a rung of a drill's ladder.

use vouchsafe_model::{Rung, RungOutcome};

use crate::rung::{Findings, skipped};

const NAME: &str = "checks";
const QUESTION: &str = "Do the policy's own queries find what they should?";

/// Asks each query; each must give one value, and that must be true (`true`, `t` or a number that is not 0).
///
/// `below` are the rungs that were climbed: where one is red, nothing is asked.
pub(crate) fn rung(
    below: &[Rung],
    checks: &[String],
    mut ask: impl FnMut(&str) -> Result<Option<String>, String>,
) -> Rung {
    if let Some(red) = below.iter().find(|r| r.outcome == RungOutcome::Red) {
        return skipped(NAME, QUESTION, &red.name);
    }
    let mut found = Findings::default();
    for check in checks {
        match ask(check) {
            Ok(Some(value)) if is_true(&value) => {}
            Ok(Some(value)) => found.add(format!("`{check}` gives {value}")),
            Ok(None) => found.add(format!("`{check}` gives nothing")),
            Err(error) => found.add(format!("`{check}`: {error}")),
        }
    }
    let expected = format!("{} of {} queries give true", checks.len(), checks.len());
    found.rung(NAME, QUESTION, expected)
}

/// `true`, `t`, or a number that is not 0.
pub(crate) fn is_true(value: &str) -> bool {
    match value {
        "t" | "true" => true,
        number => number.parse::<f64>().is_ok_and(|n| n != 0.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(answer: Result<Option<&str>, &str>) -> RungOutcome {
        let answer = answer.map(|a| a.map(str::to_owned)).map_err(str::to_owned);
        rung(&[], &["q".to_owned()], |_| answer.clone()).outcome
    }

    #[test]
    fn only_what_is_true_is_green() {
        for good in ["t", "true", "1", "-3.5"] {
            assert_eq!(outcome(Ok(Some(good))), RungOutcome::Green, "{good}");
        }
        for bad in ["f", "false", "0", "0.0", "", "yes"] {
            assert_eq!(outcome(Ok(Some(bad))), RungOutcome::Red, "{bad}");
        }
        assert_eq!(outcome(Ok(None)), RungOutcome::Red);
        assert_eq!(outcome(Err("no such table")), RungOutcome::Red);
        let red = rung(&[], &["q".to_owned()], |_| Ok(None));
        let above = rung(&[red], &["q".to_owned()], |_| Ok(Some("t".to_owned())));
        assert_eq!(above.outcome, RungOutcome::Skipped);
    }
}
