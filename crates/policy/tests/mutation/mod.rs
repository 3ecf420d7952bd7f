//! Faults put into clean policies at random places: exactly the finding meant for each, at its line, and no other.

mod insertions;
mod platforms;
mod promises;
mod rules;
mod text;

use std::collections::BTreeSet;
use std::fmt::Write as _;

use crate::common::{self, CORRECTED, Finding, findings, without_requirements};
use text::{Fault, Operator, Text};

fn operators() -> impl Iterator<Item = &'static Operator> {
    platforms::OPERATORS
        .iter()
        .chain(promises::OPERATORS)
        .chain(rules::OPERATORS)
        .chain(insertions::OPERATORS)
}

/// Numbers that look random and are the same each time.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % sides.max(1) as u64).unwrap()
    }
}

/// So many places are tried for each operator, if there are more.
const MOST: usize = 40;

#[test]
fn each_kind_of_fault_gives_its_finding_and_no_other() {
    let mut dice = Dice(0x9e37_79b9_7f4a_7c15);
    let mut wrong = Vec::new();
    let mut table = String::new();
    for operator in operators() {
        let mut places: Vec<(&str, String, Fault)> = Vec::new();
        for (name, text) in CORRECTED {
            let clean = without_requirements(text);
            for fault in (operator.faults)(&Text::new(&clean)) {
                places.push((name, clean.clone(), fault));
            }
        }
        while places.len() > MOST {
            let at = dice.roll(places.len());
            places.swap_remove(at);
        }
        assert!(!places.is_empty(), "no place for `{}`", operator.name);
        for (name, clean, fault) in &places {
            let mut lines: Vec<&str> = clean.lines().collect();
            for (at, new) in &fault.edits {
                lines[*at] = new;
            }
            let faulty = lines.join("\n") + "\n";
            let found: BTreeSet<Finding> = findings(&faulty);
            let wanted = BTreeSet::from([(operator.code.to_owned(), fault.line + 1)]);
            if found != wanted {
                let (at, new) = &fault.edits[0];
                wrong.push(format!(
                    "{name}:{}: {} (now `{}`): wanted {wanted:?}, found {found:?}",
                    at + 1,
                    operator.name,
                    new.trim()
                ));
            }
        }
        let _ = writeln!(
            table,
            "| {} | {} | {} |",
            operator.code,
            operator.name,
            places.len()
        );
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    let page = include_str!("../../../../docs/linter.md");
    assert!(
        page.contains(table.trim_end()),
        "docs/linter.md must hold this table:\n{table}"
    );
}

/// Lines that are lost, repeated, moved or cut: whatever comes of it is said, and nothing panics.
#[test]
fn no_damage_to_a_policy_stops_the_linter() {
    let mut dice = Dice(0x2545_f491_4f6c_dd1d);
    let mut usable = 0;
    for (_, text) in CORRECTED {
        let clean: Vec<&str> = text.lines().collect();
        for _ in 0..60 {
            let mut lines: Vec<String> = clean.iter().map(|l| (*l).to_owned()).collect();
            for _ in 0..=dice.roll(3) {
                let (at, other) = (dice.roll(lines.len()), dice.roll(lines.len()));
                match dice.roll(5) {
                    0 => drop(lines.remove(at)),
                    1 => lines.insert(other, lines[at].clone()),
                    2 => lines.swap(at, other),
                    3 => {
                        let keep = dice.roll(lines[at].chars().count() + 1);
                        lines[at] = lines[at].chars().take(keep).collect();
                    }
                    _ => lines[at] = lines[at].replacen(": ", ":", 1),
                }
            }
            let damaged = lines.join("\n");
            let lowered = common::read(&damaged);
            let said = common::problems(&damaged);
            assert!(lowered.is_usable() || !said.is_empty(), "{damaged}");
            assert!(said.iter().all(|p| p.line <= lines.len() + 1), "{said:?}");
            vouchsafe_policy::trace(&lowered);
            vouchsafe_policy::sarif(&said, "policy.yaml", "0");
            usable += usize::from(lowered.is_usable());
        }
    }
    // Some damage is no error, so that the linter itself was reached.
    assert!(usable > 20, "{usable}");
}
