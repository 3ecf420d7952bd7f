//! Every dependency has a price in compile time and trust: their number stays within a budget.

use super::Finding;
use super::tree::Tree;

/// How many locked packages the project allows itself: 300 for the first working version, 450 with
/// databases and remote stores, 650 in the end. Raising it is a decision to be written down.
const BUDGET: usize = 650;
const LOCKFILE: &str = "Cargo.lock";

/// Holds the number of locked packages against the budget.
pub(crate) fn judge(tree: &Tree) -> Vec<Finding> {
    match locked(tree) {
        None => vec![Finding::error(LOCKFILE, "is missing")],
        Some(count) if count > BUDGET => {
            let text = format!("{count} locked packages are more than the budget of {BUDGET}");
            vec![Finding::error(LOCKFILE, text)]
        }
        Some(_) => Vec::new(),
    }
}

/// One line that says how much of the budget is spent.
pub(crate) fn summary(tree: &Tree) -> String {
    let count = locked(tree).unwrap_or_default();
    format!("packages: {count} locked, budget {BUDGET}")
}

fn locked(tree: &Tree) -> Option<usize> {
    let text = tree.text(LOCKFILE)?;
    Some(text.lines().filter(|line| *line == "[[package]]").count())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_budget_is_a_limit() {
        let of = |count: usize| {
            let text = "[[package]]\nname = \"a\"\n\n".repeat(count);
            judge(&Tree::of([(LOCKFILE, &text)]))
        };
        assert_eq!(of(BUDGET), []);
        assert_eq!(of(BUDGET + 1).len(), 1);
        assert_eq!(judge(&Tree::default()).len(), 1);
    }
}
