//! What there is, held against what the policy declares and what the record has points of.

use std::collections::BTreeMap;

use vouchsafe_model::policy::Way;
use vouchsafe_model::{Issue, ProtectionId};
use vouchsafe_sources::{FoundKind, Reads, reads, surroundings};

use crate::catalogue::Catalogue;
use crate::error::{KeeperError, chain};
use crate::events::Reporter;
use crate::keeper::Keeper;

/// How a found thing stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Standing {
    /// Nothing declares it.
    Undeclared,
    /// Declared, and there is no complete point of it.
    Unprotected,
    /// A protection of files reads it as files: while it is written to, the copy may be torn.
    AsFiles,
    /// Left out, by an exempt system or by the patterns of the source that it lies below.
    Exempt,
    /// Declared, and there is a complete point.
    Protected,
}

impl Standing {
    /// For people.
    pub fn word(self) -> &'static str {
        match self {
            Standing::Undeclared => "NOT DECLARED",
            Standing::Unprotected => "declared, no point yet",
            Standing::AsFiles => "copied as files",
            Standing::Exempt => "exempt",
            Standing::Protected => "protected",
        }
    }
}

/// One thing that there is.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct CoveredThing {
    /// `database`, `SQLite file`, `git repository`.
    pub kind: &'static str,
    /// A path, or a database's URL without secrets.
    pub place: String,
    /// How it stands.
    pub standing: Standing,
    /// The protection that reads it, or leaves it out.
    pub by: Option<ProtectionId>,
    /// The protection next to which it was found.
    pub found_by: ProtectionId,
}

/// What was found, and what could not be looked at.
#[derive(Clone, Debug, Default)]
pub struct CoverageReport {
    /// What there is, the undeclared first.
    pub things: Vec<CoveredThing>,
    /// Protections that were looked around.
    pub looked_at: Vec<ProtectionId>,
    /// Protections whose surroundings cannot be listed by this version.
    pub not_listed: Vec<ProtectionId>,
    /// What could not be looked at.
    pub issues: Vec<Issue>,
}

impl CoverageReport {
    /// Whether everything that was found is declared or exempt.
    pub fn is_declared(&self) -> bool {
        let undeclared = |thing: &CoveredThing| thing.standing == Standing::Undeclared;
        !self.things.iter().any(undeclared)
    }
}

struct Reader {
    id: ProtectionId,
    reads: Reads,
    exempt: bool,
    has_point: bool,
}

impl Keeper {
    /// Looks around every source that is captured: the databases of its server, what lies below its root. What cannot
    /// be reached is an issue.
    ///
    /// # Errors
    /// [`KeeperError::Ledger`], [`KeeperError::Interrupted`].
    pub fn coverage(&self, reporter: &dyn Reporter) -> Result<CoverageReport, KeeperError> {
        let facts = self.facts()?;
        let catalogue = Catalogue::of(&facts);
        let base = &self.policy.base;
        let readers: Vec<Reader> = self
            .policy
            .protections()
            .filter_map(|(system, protection)| {
                let Way::Capture(url) = &protection.way else {
                    return None;
                };
                let points = catalogue.of_protection(&protection.id);
                Some(Reader {
                    id: protection.id.clone(),
                    reads: reads(url, base)?,
                    exempt: system.exempt.is_some(),
                    has_point: points
                        .iter()
                        .any(|p| p.is_complete() && !p.copies.is_empty()),
                })
            })
            .collect();
        let mut report = CoverageReport::default();
        let mut things: BTreeMap<(FoundKind, String), CoveredThing> = BTreeMap::new();
        for (system, protection) in self.policy.protections() {
            if system.exempt.is_some() {
                continue;
            }
            let url = match &protection.way {
                Way::Capture(url) if reads(url, base).is_some() => url,
                _ => {
                    report.not_listed.push(protection.id.clone());
                    continue;
                }
            };
            self.stop_if_asked()?;
            let (exclude, password) = (&protection.exclude, protection.password.as_ref());
            let around = self.with_context(&protection.id, reporter, |ctx| {
                Ok(surroundings(url, exclude, password, base, ctx)?)
            });
            let around = match around {
                Ok(around) => around,
                Err(error @ KeeperError::Interrupted) => return Err(error),
                Err(error) => {
                    report.issues.push(Issue {
                        place: protection.id.to_string(),
                        message: chain(&error),
                    });
                    continue;
                }
            };
            report.looked_at.push(protection.id.clone());
            report.issues.extend(around.issues);
            for found in around.found {
                let (standing, by) = stands(&readers, found.kind, &found.place);
                let left_out = found.left_out && standing == Standing::AsFiles;
                let thing = CoveredThing {
                    kind: found.kind.word(),
                    place: found.place.clone(),
                    standing: if left_out { Standing::Exempt } else { standing },
                    by,
                    found_by: protection.id.clone(),
                };
                things.entry((found.kind, found.place)).or_insert(thing);
            }
        }
        report.things = things.into_values().collect();
        report
            .things
            .sort_by(|a, b| (a.standing, &a.place).cmp(&(b.standing, &b.place)));
        Ok(report)
    }
}

/// How a thing stands, and by which protection: the one that reads it itself, else one that reads it among others.
fn stands(readers: &[Reader], kind: FoundKind, place: &str) -> (Standing, Option<ProtectionId>) {
    let exact = readers.iter().filter(|r| match &r.reads {
        Reads::One(one) => same(one, place, kind),
        Reads::Server(server) => kind == FoundKind::Database && is_on(server, place),
        Reads::Below(_) => false,
    });
    let exact: Vec<&Reader> = exact.collect();
    let best = exact
        .iter()
        .find(|r| r.has_point && !r.exempt)
        .or_else(|| exact.iter().find(|r| !r.exempt))
        .or_else(|| exact.first());
    if let Some(best) = best {
        let standing = match (best.exempt, best.has_point) {
            (true, _) => Standing::Exempt,
            (false, true) => Standing::Protected,
            (false, false) => Standing::Unprotected,
        };
        return (standing, Some(best.id.clone()));
    }
    let around = readers.iter().find(|r| match &r.reads {
        Reads::Below(root) => {
            kind != FoundKind::Database && std::path::Path::new(place).starts_with(root)
        }
        _ => false,
    });
    match around {
        Some(reader) => (Standing::AsFiles, Some(reader.id.clone())),
        None => (Standing::Undeclared, None),
    }
}

fn same(one: &str, place: &str, kind: FoundKind) -> bool {
    match kind {
        // Who connects does not matter.
        FoundKind::Database => without_user(one) == without_user(place),
        // A repository may be named by its `.git`.
        FoundKind::Git => one.trim_end_matches("/.git") == place.trim_end_matches("/.git"),
        FoundKind::Sqlite => one == place,
    }
}

fn without_user(url: &str) -> (String, String) {
    let (scheme, rest) = url.split_once("://").unwrap_or(("", url));
    let rest = rest.split_once('@').map_or(rest, |(_, rest)| rest);
    (scheme.to_owned(), rest.to_owned())
}

/// Whether a database is on a server, both as they are shown.
fn is_on(server: &str, place: &str) -> bool {
    let cut = |url: &str| {
        let (scheme, rest) = without_user(url);
        let (host, rest) = rest.split_once('/').unwrap_or((&rest, ""));
        let query = rest.split_once('?').map_or("", |(_, query)| query);
        (scheme, host.to_owned(), query.to_owned())
    };
    cut(server) == cut(place)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reader(id: &str, reads: Reads, exempt: bool, has_point: bool) -> Reader {
        Reader {
            id: id.parse().unwrap(),
            reads,
            exempt,
            has_point,
        }
    }

    #[test]
    fn what_reads_a_thing_itself_decides_how_it_stands() {
        let one = |text: &str| Reads::One(text.to_owned());
        let readers = [
            reader("shop/main", one("postgres://b@h:5432/shop"), false, true),
            reader("old/main", one("postgres://b@h:5432/old"), true, false),
            reader(
                "all/main",
                Reads::Server("postgres://b@i:5432/".to_owned()),
                false,
                false,
            ),
            reader("home/main", Reads::Below("/srv".into()), false, true),
            reader("code/main", one("/srv/code/.git"), false, true),
        ];
        let of = |kind, place: &str| stands(&readers, kind, place).0;
        let database = |place: &str| of(FoundKind::Database, place);
        assert_eq!(
            database("postgres://other@h:5432/shop"),
            Standing::Protected
        );
        assert_eq!(database("postgres://b@h:5432/old"), Standing::Exempt);
        assert_eq!(
            database("postgres://b@h:5432/forgotten"),
            Standing::Undeclared
        );
        assert_eq!(database("postgres://b@i:5432/any"), Standing::Unprotected);
        assert_eq!(database("postgres://b@i:5433/any"), Standing::Undeclared);
        assert_eq!(of(FoundKind::Sqlite, "/srv/app.db"), Standing::AsFiles);
        assert_eq!(of(FoundKind::Sqlite, "/opt/app.db"), Standing::Undeclared);
        assert_eq!(of(FoundKind::Git, "/srv/code"), Standing::Protected);
    }
}
