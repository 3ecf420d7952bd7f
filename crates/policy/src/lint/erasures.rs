//! Findings on erased subjects: whom a restore would bring back, and what would not be noticed.

use vouchsafe_model::policy::{Protection, Way};
use vouchsafe_model::{ErasureRule, SourceKind, System};

use crate::lint::Lint;
use crate::problem::Level::{Note, Warning};
use crate::problem::{Lowered, Problem};

/// What is said of a register that cannot be used: a fault in it, or that it is not on this machine, where the policy may
/// only be looked at.
pub fn unusable_register(lowered: &Lowered, fault: Option<&str>) -> Problem {
    let (line, column) = lowered.place("erasure/file");
    let (level, message, remedy) = match fault {
        Some(fault) => (
            Warning,
            format!("the register cannot be used: {fault}"),
            "correct it: until then nothing that it concerns is restored or drilled",
        ),
        None => (
            Note,
            "the register is not here".to_owned(),
            "put it there where the policy is in force: without it nothing that it concerns is restored or drilled",
        ),
    };
    Problem {
        code: "P184",
        level,
        line,
        column,
        message,
        remedy: remedy.to_owned(),
    }
}

impl Lint<'_> {
    /// What of a system's protections would bring back whose data was erased.
    pub(super) fn erasures(&mut self, system: &System) {
        for protection in system.protections.values() {
            let several = format!(
                "systems/{}/protections/{}",
                system.name, protection.id.protection
            );
            let path = match self.lowered.places.contains_key(&several) {
                true => several,
                false => format!("systems/{}", system.name),
            };
            match (&self.policy.erasure, &protection.erasure) {
                (None, Some(_)) => {
                    let message = format!(
                        "{} says how a subject is erased, and the policy names no file of whom: nothing is replayed",
                        protection.id
                    );
                    let remedy =
                        "write erasure: { file: ./erased.jsonl } at the root of the policy";
                    self.say(Warning, "P184", &format!("{path}/erasure"), message, remedy);
                }
                (Some(register), Some(ErasureRule::Statements { someone: None, .. }))
                    if register.drill =>
                {
                    let message = format!(
                        "nothing shows that `find` of {} would find anybody: a drill that finds nobody is green",
                        protection.id
                    );
                    let remedy = "write someone: \"SELECT id FROM customers LIMIT 1\", who is looked for in the drill's own test";
                    self.say(Warning, "P183", &format!("{path}/erasure"), message, remedy);
                }
                (Some(_), None) if self.is_personal(system) => {
                    self.brought_back(protection, &path);
                }
                _ => {}
            }
        }
    }

    fn brought_back(&mut self, protection: &Protection, path: &str) {
        let Way::Capture(url) = &protection.way else {
            return;
        };
        match url.kind() {
            SourceKind::Postgres if url.names_all_databases() => {
                let message = format!(
                    "erasing people in what a restore of {} brings back is not connected for all databases of a server",
                    protection.id
                );
                let remedy = "give each database with people in it a system of its own, or erase them by hand after a restore";
                self.say(Note, "P028", path, message, remedy);
            }
            SourceKind::Files | SourceKind::Postgres | SourceKind::MySql | SourceKind::Sqlite => {
                let message = format!(
                    "a restore of {} brings back people whose data was erased since",
                    protection.id
                );
                let remedy = match url.kind() {
                    SourceKind::Files => "write erasure: { paths: [ \"home/{subject}\" ] }",
                    _ => "write erasure: { find: QUERY, erase: [ STATEMENT ], someone: QUERY }",
                };
                self.say(Warning, "P181", path, message, remedy);
            }
            SourceKind::Git | SourceKind::MongoDb => {
                let message = format!(
                    "erasing people in what a restore of {} brings back is not connected for {}",
                    protection.id,
                    url.kind()
                );
                let remedy = "erase them by hand after a restore";
                self.say(Note, "P028", path, message, remedy);
            }
            SourceKind::Other(_) => {}
        }
    }

    fn is_personal(&self, system: &System) -> bool {
        let classes = &self.lowered.declared.classes;
        let class = system.class.as_ref().and_then(|name| classes.get(name));
        class.is_some_and(|class| class.personal)
    }
}
