//! Whether a server stands exactly where its replay was to end: by the log that it kept of what it ran itself, and by
//! the heartbeat tokens in the log that it was given.

use std::collections::BTreeSet;
use std::path::Path;

use vouchsafe_capture::{CaptureError, FetchedLog, LoggedId};
use vouchsafe_model::{Rung, RungOutcome};
use vouchsafe_translog::binlog::{BinlogMeaning, GtidState, Outcome};
use vouchsafe_translog::token::Token;

use super::super::server::data_directory;
use super::super::session::Session;
use super::apply::{OWN_LOG, expect, place_of};
use super::base_at;
use super::dialect::{self, id};
use super::files::{fetched, listed, read};
use crate::rung::{Findings, number};
use crate::tokens::{self, Chains};

const EXACT: &str = "Does the server stand exactly at the transaction that belongs to the moment?";
pub(in crate::mysql) const MOMENT: &str = "By the server's own log: did it run what was committed by then, and nothing that was committed later?";

/// What a server says of its replay.
struct Said {
    past: GtidState,
    /// Of the transactions that were asked for, those that it ran.
    ran: BTreeSet<LoggedId>,
}

/// Reads the log that the server kept of what it ran. It may have run more than there is memory for names.
fn said(place: &Path, asked: &BTreeSet<LoggedId>) -> Result<Result<Said, String>, CaptureError> {
    let own = listed(&data_directory(place), OWN_LOG)?;
    if own.is_empty() {
        return Ok(Err("the server kept no log of what it ran".to_owned()));
    }
    let mut ran = BTreeSet::new();
    let read = read(&own, &mut |_, record, _| {
        if let BinlogMeaning::End(transaction) = &record.meaning {
            ran.extend(asked.get(&id(&transaction.gtid)));
        }
    })?;
    Ok(read.map(|past| Said { past, ran }))
}

/// Whether it stands where the fetched log ends: by the log that it kept, and by what it says itself, if it does without
/// that log.
pub(in crate::mysql) fn position(
    place: &Path,
    log: &FetchedLog,
    session: &mut Session,
) -> Result<Rung, CaptureError> {
    let mut found = Findings::default();
    let base = base_at(place)?;
    let expected = match &base {
        Some(base) => expect(base, &fetched(&log.place)?)?.map(|expected| expected.at_end),
        None => Err("it does not say where in the log its base lies".to_owned()),
    };
    match (said(place, &BTreeSet::new())?, &expected) {
        (Ok(said), Ok(expected)) => {
            // A log of MySQL's holds only what was run since the base.
            let all = match (base.map(|base| base.past), said.past) {
                (Some(GtidState::MySql(base)), GtidState::MySql(ran)) => {
                    GtidState::MySql(base.union(&ran))
                }
                (_, past) => past,
            };
            let itself = dialect::stands_without_a_log(session, expected)?;
            for stands in std::iter::once(all).chain(itself) {
                if stands != *expected {
                    let (expected, stands) = (dialect::shown(expected), dialect::shown(&stands));
                    found.add(format!("expected `{expected}`, found `{stands}`"));
                }
            }
        }
        (Err(message), _) => found.add(message),
        (_, Err(message)) => found.add(message.clone()),
    }
    let text = match expected {
        Ok(past) => format!("{}, which is `{}`", log.target.shown, dialect::shown(&past)),
        Err(_) => log.target.shown.clone(),
    };
    Ok(found.rung("position", EXACT, text))
}

/// Looks for the transactions around the target in the server's own log.
pub(in crate::mysql) fn moment(place: &Path, log: &FetchedLog) -> Result<Rung, CaptureError> {
    const NAME: &str = "moment";
    let around = &log.around;
    if around.before.is_empty() && around.after.is_empty() {
        return Ok(Rung {
            name: NAME.to_owned(),
            question: MOMENT.to_owned(),
            expected: "a transaction that was committed since the base".to_owned(),
            actual: "there is none, so nothing was compared".to_owned(),
            outcome: RungOutcome::Skipped,
        });
    }
    let mut found = Findings::default();
    let asked = around.before.iter().chain(&around.after);
    let asked = asked.map(|commit| commit.transaction).collect();
    match said(place, &asked)? {
        Err(message) => found.add(message),
        Ok(said) => {
            for commit in &around.before {
                if !said.ran.contains(&commit.transaction) {
                    let (name, time) = (commit.transaction, commit.time);
                    found.add(format!("transaction {name} of {time} was not run"));
                }
            }
            for commit in &around.after {
                if said.ran.contains(&commit.transaction) {
                    let (name, time) = (commit.transaction, commit.time);
                    found.add(format!(
                        "transaction {name} of {time} was run, which was committed later"
                    ));
                }
            }
        }
    }
    let newest = log
        .target
        .newest
        .map_or(String::new(), |t| format!(", the newest of {t}"));
    let text = format!(
        "the last {} before are there{newest}; the first {} after are not",
        number(around.before.len() as u64),
        number(around.after.len() as u64)
    );
    Ok(found.rung(NAME, MOMENT, text))
}

/// Reads the tokens in the log that was replayed, and compares the last of each chain with what the server's table
/// holds: a token that was run there is there. What comes next must follow what the table holds.
pub(in crate::mysql) fn tokens(log: &FetchedLog, held: &[Token]) -> Result<Rung, CaptureError> {
    let mut chains = Chains::default();
    let (mut open, mut wrong) = (None, None);
    let end = place_of(log.target.end);
    let read = read(&fetched(&log.place)?, &mut |number, record, _| {
        if record.token.is_some() {
            open.clone_from(&record.token);
        }
        if let BinlogMeaning::End(transaction) = &record.meaning
            && let Some(token) = open.take()
            && transaction.outcome == Outcome::Committed
        {
            chains.take(token.text().as_bytes());
        }
        if (number, record.end) > end {
            wrong = Some(format!(
                "the log that was replayed goes on behind {}",
                log.target.shown
            ));
        }
    })?;
    if let Some(message) = read.err().or(wrong) {
        chains.found.add(message);
    }
    let last: Vec<Token> = chains.newest().cloned().collect();
    for token in last {
        if !held.contains(&token) {
            let (sequence, table) = (token.sequence, super::super::binlog::server::TABLE);
            chains.found.add(format!(
                "token {sequence} is the last in the log, and not what {table} holds"
            ));
        }
    }
    chains.are_whole_with(held);
    Ok(tokens::rung(chains, log))
}

#[cfg(test)]
mod tests {
    use vouchsafe_host::files;

    use super::super::super::binlog::sample::BinlogWriter;
    use super::*;

    #[test]
    fn a_server_that_kept_no_log_is_seen() {
        let nowhere = Path::new("/nonexistent");
        assert!(said(nowhere, &BTreeSet::new()).unwrap().is_err());
    }

    #[test]
    fn of_what_a_server_ran_only_what_is_asked_for_is_kept() {
        let place = files::temp_dir("rungs-").unwrap();
        let data = data_directory(place.path());
        files::create_dir_all(&data, files::PRIVATE_DIR).unwrap();
        let mut log = BinlogWriter::new();
        (1..=500).for_each(|sequence| log.transaction(sequence));
        let path = data.join(format!("{OWN_LOG}.000001"));
        files::write_atomic(&path, &log.bytes, 0o600).unwrap();
        let named = |sequence| LoggedId::Gtid {
            domain: 0,
            server: 1,
            sequence,
        };
        let asked = [named(7), named(501)].into();
        let said = said(place.path(), &asked).unwrap().unwrap();
        assert_eq!(said.ran, [named(7)].into());
        assert_eq!(dialect::shown(&said.past), "0-1-500");
    }
}
