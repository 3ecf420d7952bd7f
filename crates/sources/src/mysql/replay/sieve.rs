//! Which transaction of a log is the last that a replay may reach.

use std::collections::VecDeque;

use vouchsafe_capture::{Around, LoggedCommit, LoggedId, Until};
use vouchsafe_model::Time;
use vouchsafe_translog::binlog::{
    BinlogMeaning, BinlogRecord, EventKind, GtidState, LogGtid, Outcome, Transaction,
};
use vouchsafe_translog::gtid::{GtidSet, MariaGtid};

use super::super::binlog::own;
use super::Base;
use super::dialect::{self, id};

/// So many transactions before the target are kept, and so many after it.
const BEFORE: usize = 1000;
const AFTER: usize = 200;

/// A place in a file: the file's own number, and the byte.
pub(super) type Place = (u64, u64);

/// Looks at events in their order and remembers the last transaction that may be replayed.
///
/// MariaDB's log says in whole seconds when a transaction was committed. For a moment it is the last one of an earlier
/// second that stands before the first one of that second or a later one: everything that was committed before the
/// second begins. MySQL's log says it in microseconds: it is the last one before the first that was committed later than
/// the moment. It is never before the base.
#[derive(Debug)]
pub(super) struct Sieve {
    until: Until,
    base: Base,
    /// Whether all up to the base was seen.
    at_base: bool,
    /// The transactions so far.
    past: GtidState,
    /// Before the base there is one that it does not note: of an earlier file any, of its own one that changed rows.
    lacks_data: bool,
    last: Option<Reached>,
    /// Where the first transaction begins that must not be replayed.
    stopped: Option<Place>,
    /// The transaction that was asked for was seen.
    found: bool,
    before: VecDeque<LoggedCommit>,
    after: Vec<LoggedCommit>,
    commits: u64,
    newest: Option<Time>,
    overtaken: u64,
    /// Something of a time before the moment is part of the base, so that the moment is not before it.
    is_late_enough: bool,
    token: Option<String>,
    tokens_beyond: Vec<Vec<u8>>,
}

/// A transaction that may be replayed, or the base itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Reached {
    pub(super) begin: Place,
    pub(super) end: Place,
}

/// What an event means for the search.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Go on.
    More,
    /// Enough is known.
    Enough,
    /// The moment lies before the base.
    TooEarly,
    /// The base is not of this log.
    Foreign(String),
}

impl Sieve {
    pub(super) fn new(until: Until, base: Base) -> Sieve {
        Sieve {
            until,
            base,
            at_base: false,
            past: GtidState::Unknown,
            lacks_data: false,
            last: None,
            stopped: None,
            found: false,
            before: VecDeque::new(),
            after: Vec::new(),
            commits: 0,
            newest: None,
            overtaken: 0,
            is_late_enough: false,
            token: None,
            tokens_beyond: Vec::new(),
        }
    }

    /// The next event, of the file with this number.
    pub(super) fn take(&mut self, number: u64, record: &BinlogRecord) -> Verdict {
        if let Some(token) = &record.token {
            self.token = Some(token.text());
        }
        dialect::note(&mut self.past, &record.meaning);
        let verdict = match &record.meaning {
            BinlogMeaning::Format(_) => {
                if !self.at_base {
                    self.note_time(record.time);
                }
                Verdict::More
            }
            BinlogMeaning::Previous(earlier) => {
                self.lacks_data |= number == self.base.number && !self.notes_all(earlier);
                Verdict::More
            }
            BinlogMeaning::End(transaction) => {
                self.lacks_data |=
                    !self.at_base && self.is_missing_data(record.kind, &transaction.gtid);
                let begin = (number, transaction.begin);
                self.transaction(transaction, begin, (number, record.end))
            }
            _ => Verdict::More,
        };
        if self.at_base || verdict != Verdict::More {
            return verdict;
        }
        self.look_for_base(number, record)
    }

    /// Where the base lies, an event has to end, with the transactions that the base says it has.
    fn look_for_base(&mut self, number: u64, record: &BinlogRecord) -> Verdict {
        let place = (self.base.number, self.base.offset);
        let (begin, end) = ((number, record.at), (number, record.end));
        if end < place {
            return Verdict::More;
        }
        if end != place {
            return Verdict::Foreign(format!(
                "no event ends at {}, where the base says it lies",
                self.base.shown()
            ));
        }
        if !self.is_of_base(record) {
            let noted = match dialect::shown(&self.base.past).as_str() {
                "" => "none".to_owned(),
                noted => noted.to_owned(),
            };
            return Verdict::Foreign(format!(
                "at {} it has {}, and the base says {noted}: it is the log of another server",
                self.base.shown(),
                dialect::shown(&self.past),
            ));
        }
        if self.is_before_base() {
            return Verdict::TooEarly;
        }
        self.at_base = true;
        self.last = Some(Reached { begin, end });
        Verdict::More
    }

    /// Whether a base of MySQL notes all of these.
    fn notes_all(&self, earlier: &GtidSet) -> bool {
        match &self.base.past {
            GtidState::MySql(noted) => earlier.is_subset(noted),
            GtidState::MariaDb(_) | GtidState::Unknown => true,
        }
    }

    /// Whether a transaction of MySQL that an event of this kind ends has changed rows that the base does not have. What
    /// changed nothing ends with its statement, and so do definitions, accounts and what was prepared before: of these
    /// the base may lack some here, and then they are run with what follows.
    fn is_missing_data(&self, kind: EventKind, gtid: &LogGtid) -> bool {
        const QUERY: EventKind = EventKind(2);
        match (&self.base.past, gtid) {
            (GtidState::MySql(noted), LogGtid::MySql(gtid)) => {
                kind != QUERY && !noted.contains(gtid)
            }
            _ => false,
        }
    }

    /// Whether the transactions so far, of which the record ends the last, may be those that the base notes.
    fn is_of_base(&self, record: &BinlogRecord) -> bool {
        match (&self.base.past, &self.past) {
            // All that it notes are there, a transaction ends or the first of the file may begin, and none is missing that
            // has changed rows.
            (GtidState::MySql(noted), GtidState::MySql(here)) => {
                let ends = match &record.meaning {
                    BinlogMeaning::End(_) => true,
                    // Every log of a new server begins without any.
                    BinlogMeaning::Previous(earlier) => !earlier.is_empty(),
                    _ => false,
                };
                ends && !self.lacks_data && noted.is_subset(here)
            }
            // Domains that are not in this log are another one's; but a base that notes none is of a server that had
            // none.
            (GtidState::MariaDb(noted), GtidState::MariaDb(here)) => {
                let differs = |gtid: &MariaGtid| here.of(gtid.domain).is_some_and(|at| at != gtid);
                !noted.iter().any(differs) && (here.is_empty() || !noted.is_empty())
            }
            (GtidState::MariaDb(_), GtidState::Unknown) => true,
            _ => false,
        }
    }

    /// Whether the transaction that was asked for must be part of the base: it was not seen behind it, and the base is as
    /// far.
    fn is_before_base(&self) -> bool {
        let Until::Transaction(asked) = self.until else {
            return false;
        };
        let is_there = match (&self.base.past, &self.past, asked) {
            (GtidState::MySql(noted), _, asked) => dialect::has(noted, asked),
            (
                _,
                GtidState::MariaDb(here),
                LoggedId::Gtid {
                    domain, sequence, ..
                },
            ) => here
                .of(domain)
                .is_some_and(|here| sequence <= here.sequence),
            _ => false,
        };
        !self.found && is_there
    }

    fn transaction(&mut self, transaction: &Transaction, begin: Place, end: Place) -> Verdict {
        let commit = LoggedCommit {
            transaction: id(&transaction.gtid),
            time: transaction.time,
        };
        let is_commit = transaction.outcome == Outcome::Committed;
        let token = self.token.take();
        if self.stopped.is_some() {
            return self.look_beyond(commit, is_commit, token);
        }
        if !self.at_base {
            return self.within_base(commit, is_commit, end);
        }
        let goes_on = match self.until {
            Until::Time(moment) => self.is_by(transaction.time, moment),
            Until::End => true,
            Until::Position(at) => Some(end) <= own(at),
            Until::Transaction(_) => !self.found,
        };
        if !goes_on {
            self.stopped = Some(begin);
            return self.look_beyond(commit, is_commit, token);
        }
        self.found |= self.until == Until::Transaction(commit.transaction);
        self.last = Some(Reached { begin, end });
        self.tokens_beyond.clear();
        if is_commit {
            self.commits += 1;
            self.newest = self.newest.max(Some(commit.time));
            if self.before.len() == BEFORE {
                self.before.pop_front();
            }
            self.before.push_back(commit);
        }
        Verdict::More
    }

    fn within_base(&mut self, commit: LoggedCommit, is_commit: bool, end: Place) -> Verdict {
        if let Until::Time(moment) = self.until
            && is_commit
            && !self.is_by(commit.time, moment)
        {
            return Verdict::TooEarly;
        }
        self.note_time(commit.time);
        if self.until == Until::Transaction(commit.transaction) {
            if end != (self.base.number, self.base.offset) {
                return Verdict::TooEarly;
            }
            self.found = true;
        }
        Verdict::More
    }

    fn is_by(&self, time: Time, moment: Time) -> bool {
        dialect::is_by(&self.base.past, time, moment)
    }

    fn note_time(&mut self, time: Time) {
        if let Until::Time(moment) = self.until {
            self.is_late_enough |= self.is_by(time, moment);
        }
    }

    fn look_beyond(
        &mut self,
        commit: LoggedCommit,
        is_commit: bool,
        token: Option<String>,
    ) -> Verdict {
        if is_commit && matches!(self.until, Until::Time(moment) if self.is_by(commit.time, moment))
        {
            self.overtaken += 1;
        }
        if self.tokens_beyond.len() < AFTER {
            self.tokens_beyond.extend(token.map(String::into_bytes));
        }
        if is_commit && self.after.len() < AFTER {
            self.after.push(commit);
        }
        if self.after.len() < AFTER {
            Verdict::More
        } else {
            Verdict::Enough
        }
    }

    /// Where the first transaction begins that must not be replayed, if one came.
    pub(super) fn stopped(&self) -> Option<Place> {
        self.stopped
    }

    /// The last transaction that may be replayed; none before all of the base was seen.
    pub(super) fn target(&self) -> Option<Reached> {
        self.last
    }

    /// Whether the transaction that was asked for was seen.
    pub(super) fn found(&self) -> bool {
        self.found
    }

    /// Whether the moment may lie before the base, for all that the log tells.
    pub(super) fn may_be_too_early(&self) -> bool {
        matches!(self.until, Until::Time(_)) && !self.is_late_enough
    }

    /// The newest commit up to the target.
    pub(super) fn newest(&self) -> Option<Time> {
        self.newest
    }

    /// How many commits there are from the base up to the target.
    pub(super) fn commits(&self) -> u64 {
        self.commits
    }

    /// Commits that stand behind a later one.
    pub(super) fn overtaken(&self) -> u64 {
        self.overtaken
    }

    /// The transactions around the target, and the tokens behind it.
    pub(super) fn around(self) -> (Around, Vec<Vec<u8>>) {
        let around = Around {
            before: self.before.into(),
            after: self.after,
        };
        (around, self.tokens_beyond)
    }
}

#[cfg(test)]
mod tests;
