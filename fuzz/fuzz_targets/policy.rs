//! Policy files: whatever the text is, its problems have places, and what is taken can be linted.
#![no_main]

use std::path::Path;

use libfuzzer_sys::fuzz_target;
use vouchsafe_policy::{lint, lower};

fuzz_target!(|text: &str| {
    let lowered = lower(text, "policy.yaml", Path::new("/p"), String::new());
    let found = lint(
        &lowered,
        Some(vouchsafe_model::Time::from_secs(1_800_000_000)),
    );
    for problem in lowered.problems.iter().chain(&found) {
        assert!(problem.line > 0 && problem.column > 0, "{problem:?}");
    }
    if lowered.policy.is_none() {
        assert!(!lowered.problems.is_empty());
    }
});
