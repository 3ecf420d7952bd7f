//! What of a data directory belongs to a base: the server's own list of what it leaves out (src/backend/backup/basebackup.c).

use std::collections::BTreeSet;

/// What is done with a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    /// It is copied, a directory with all that is in it.
    Taken,
    /// A directory that is there and empty.
    Emptied,
    /// It is of this run of the server, or can be made anew.
    LeftOut,
}

/// Directories whose content is of this run of the server.
const EMPTIED: [&str; 7] = [
    "pg_dynshmem",
    "pg_notify",
    "pg_replslot",
    "pg_serial",
    "pg_snapshots",
    "pg_stat_tmp",
    "pg_subtrans",
];

/// Files of this run, or of an earlier base.
const LEFT_OUT: [&str; 9] = [
    "postgresql.auto.conf.tmp",
    "current_logfiles",
    "current_logfiles.tmp",
    "backup_label",
    "backup_label.old",
    "tablespace_map",
    "backup_manifest",
    "postmaster.pid",
    "postmaster.opts",
];

/// What is done with `name` in the directory `parents` of a data directory, in which `unlogged` tables lie.
pub(super) fn part(parents: &[String], name: &str, unlogged: &BTreeSet<String>) -> Part {
    if parents.is_empty() && EMPTIED.contains(&name) {
        return Part::Emptied;
    }
    let is_own = parents.is_empty() && LEFT_OUT.contains(&name);
    // Caches, and what queries put aside.
    if is_own || name.starts_with("pg_internal.init") || name.starts_with("pgsql_tmp") {
        return Part::LeftOut;
    }
    if !holds_relations(parents) {
        return Part::Taken;
    }
    let is_of_unlogged =
        Relation::of(name).is_some_and(|r| r.fork != Some("init") && unlogged.contains(r.number));
    if is_of_unlogged || is_temporary(name) {
        return Part::LeftOut;
    }
    Part::Taken
}

/// The numbers of the tables of a directory whose rows are in no log: they come back empty.
pub(super) fn unlogged<'n>(names: impl Iterator<Item = &'n str>) -> BTreeSet<String> {
    names
        .filter_map(Relation::of)
        .filter(|relation| relation.fork == Some("init"))
        .map(|relation| relation.number.to_owned())
        .collect()
}

/// Whether tables and indexes lie in this directory.
pub(super) fn holds_relations(parents: &[String]) -> bool {
    match parents {
        [only] => only == "global",
        [base, number] => base == "base" && is_number(number),
        _ => false,
    }
}

/// A file of a table or an index: `16384`, `16384.1`, `16384_fsm`, `16384_vm.2`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Relation<'n> {
    number: &'n str,
    fork: Option<&'n str>,
    /// Which of its files this is, from 0.
    pub(super) segment: u32,
}

impl Relation<'_> {
    /// What the name says; nothing if it is not that of a relation.
    pub(super) fn of(name: &str) -> Option<Relation<'_>> {
        let (stem, segment) = match name.split_once('.') {
            Some((stem, segment)) if is_number(segment) => (stem, segment.parse().ok()?),
            Some(_) => return None,
            None => (name, 0),
        };
        let (number, fork) = match stem.split_once('_') {
            Some((number, fork)) => (number, Some(fork)),
            None => (stem, None),
        };
        let is_known = fork.is_none_or(|fork| ["fsm", "vm", "init"].contains(&fork));
        (is_number(number) && is_known).then_some(Relation {
            number,
            fork,
            segment,
        })
    }
}

/// A temporary table's file: `t3_16390`, and what may follow the number.
fn is_temporary(name: &str) -> bool {
    let parts = name.strip_prefix('t').and_then(|rest| rest.split_once('_'));
    parts.is_some_and(|(session, rest)| is_number(session) && Relation::of(rest).is_some())
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(path: &str, unlogged: &[&str]) -> Part {
        let mut names: Vec<String> = path.split('/').map(str::to_owned).collect();
        let name = names.pop().unwrap();
        let unlogged = unlogged.iter().map(|n| (*n).to_owned()).collect();
        part(&names, &name, &unlogged)
    }

    #[test]
    fn only_what_is_of_this_run_stays_behind() {
        for taken in [
            "PG_VERSION",
            "postgresql.auto.conf",
            "base",
            "base/5/16384",
            "base/5/16384_fsm",
            "base/5/16384.1",
            "base/5/16384_init",
            "base/5/pg_filenode.map",
            "global/1262",
            "pg_xact/0000",
            "pg_logical/replorigin_checkpoint",
            "somebody/postmaster.pid",
            "somebody/t3_16390",
        ] {
            assert_eq!(judged(taken, &[]), Part::Taken, "{taken}");
        }
        for left in [
            "postmaster.pid",
            "backup_label.old",
            "base/5/pg_internal.init",
            "global/pg_internal.init.77",
            "base/pgsql_tmp",
            "base/5/t3_16390",
            "base/5/t3_16390_fsm.1",
        ] {
            assert_eq!(judged(left, &[]), Part::LeftOut, "{left}");
        }
        assert_eq!(judged("pg_replslot", &[]), Part::Emptied);
        assert_eq!(judged("base/pg_replslot", &[]), Part::Taken);
    }

    #[test]
    fn unlogged_tables_come_back_empty() {
        let names = ["16384", "16384_init", "16384.1", "16384_vm", "16385"];
        let found = unlogged(names.into_iter());
        assert_eq!(found, BTreeSet::from(["16384".to_owned()]));
        for (name, part) in [
            ("16384", Part::LeftOut),
            ("16384.1", Part::LeftOut),
            ("16384_vm", Part::LeftOut),
            ("16384_init", Part::Taken),
            ("16385", Part::Taken),
        ] {
            let path = format!("base/5/{name}");
            assert_eq!(judged(&path, &["16384"]), part, "{name}");
        }
    }

    #[test]
    fn names_of_relations_are_told_from_others() {
        let of = |name| Relation::of(name).map(|r| (r.number, r.fork, r.segment));
        assert_eq!(of("16384"), Some(("16384", None, 0)));
        assert_eq!(of("16384_vm.12"), Some(("16384", Some("vm"), 12)));
        for other in ["pg_control", "16384_x", "16384.", "PG_VERSION", "", "1.2.3"] {
            assert_eq!(of(other), None, "{other}");
        }
    }
}
