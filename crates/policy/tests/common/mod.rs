//! The example policies, and what is found in them.
#![allow(
    dead_code,
    unreachable_pub,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic
)]

use std::collections::BTreeSet;
use std::path::Path;

use vouchsafe_policy::{Level, Lowered, Problem};

macro_rules! policies {
    ($folder:literal) => {
        [
            (
                "social-workshop",
                include_str!(concat!(
                    "../../../../examples/policies/",
                    $folder,
                    "/social-workshop.yaml"
                )),
            ),
            (
                "5x",
                include_str!(concat!(
                    "../../../../examples/policies/",
                    $folder,
                    "/5x.yaml"
                )),
            ),
            (
                "web-firm",
                include_str!(concat!(
                    "../../../../examples/policies/",
                    $folder,
                    "/web-firm.yaml"
                )),
            ),
            (
                "bangkok",
                include_str!(concat!(
                    "../../../../examples/policies/",
                    $folder,
                    "/bangkok.yaml"
                )),
            ),
            (
                "quickseries",
                include_str!(concat!(
                    "../../../../examples/policies/",
                    $folder,
                    "/quickseries.yaml"
                )),
            ),
        ]
    };
}

/// The five policies as they are stated.
pub const STATED: [(&str, &str); 5] = policies!("stated");

/// Their twins without faults.
pub const CORRECTED: [(&str, &str); 5] = policies!("corrected");

/// A code and its line.
pub type Finding = (String, usize);

/// The day on which the examples are looked at.
pub const TODAY: &str = "2026-06-01T00:00:00Z";

/// Reads a policy.
pub fn read(text: &str) -> Lowered {
    vouchsafe_policy::lower(text, "policy.yaml", Path::new("/p"), String::new())
}

/// Everything that is said about a policy, by lowering and linter.
pub fn problems(text: &str) -> Vec<Problem> {
    let lowered = read(text);
    let mut all = lowered.problems.clone();
    all.extend(vouchsafe_policy::lint(&lowered, TODAY.parse().ok()));
    all
}

/// Its errors and warnings.
pub fn findings(text: &str) -> BTreeSet<Finding> {
    problems(text)
        .into_iter()
        .filter(|p| p.level > Level::Note)
        .map(|p| (p.code.to_owned(), p.line))
        .collect()
}

/// A policy without its table of requirements, which comes last.
pub fn without_requirements(text: &str) -> String {
    let end = text.find("\n# What is asked for").unwrap_or(text.len());
    format!("{}\n", &text[..end])
}
