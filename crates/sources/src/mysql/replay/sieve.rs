//! Which transaction of a log is the last that a replay may reach.

use std::collections::VecDeque;

use vouchsafe_capture::{Around, LoggedCommit, LoggedId, Until};
use vouchsafe_model::Time;
use vouchsafe_translog::binlog::{
    BinlogMeaning, BinlogRecord, GtidState, LogGtid, Outcome, Transaction,
};
use vouchsafe_translog::gtid::MariaGtid;

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
            BinlogMeaning::End(transaction) => {
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

    /// Whether the transactions so far, of which the record ends the last, may be those that the base notes.
    fn is_of_base(&self, record: &BinlogRecord) -> bool {
        match (&self.base.past, &self.past) {
            // All that it notes are there, and it ends with one of them.
            (GtidState::MySql(noted), GtidState::MySql(here)) => {
                let ends =
                    |gtid: &LogGtid| matches!(gtid, LogGtid::MySql(gtid) if noted.contains(gtid));
                matches!(&record.meaning, BinlogMeaning::End(last) if ends(&last.gtid))
                    && noted.is_subset(here)
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
mod tests {
    use super::*;
    use vouchsafe_format::fragment::Position;
    use vouchsafe_translog::binlog::{BinlogFormat, EventKind};
    use vouchsafe_translog::gtid::Continuity;

    fn gtid(sequence: u64) -> MariaGtid {
        MariaGtid {
            domain: 0,
            server: 7,
            sequence,
        }
    }

    /// A transaction of ten bytes, which ends at ten times its number.
    fn commit(sequence: u64, secs: i64) -> BinlogRecord {
        let end = sequence * 10;
        BinlogRecord {
            at: end - 5,
            end,
            kind: EventKind(16),
            server: 7,
            flags: 0,
            time: Time::from_secs(secs),
            meaning: BinlogMeaning::End(Transaction {
                gtid: LogGtid::MariaDb(gtid(sequence), Continuity::Next),
                begin: end - 10,
                time: Time::from_secs(secs),
                outcome: Outcome::Committed,
            }),
            token: None,
        }
    }

    fn sifted(until: Until, offset: u64, gtids: &str, log: &[BinlogRecord]) -> (Sieve, Verdict) {
        let base = Base {
            number: 1,
            offset,
            past: GtidState::MariaDb(gtids.parse().unwrap()),
            taken: Time::from_secs(0),
        };
        let mut sieve = Sieve::new(until, base);
        let mut verdict = Verdict::More;
        for record in log {
            verdict = sieve.take(1, record);
            if verdict != Verdict::More {
                break;
            }
        }
        (sieve, verdict)
    }

    fn at(secs: i64) -> Until {
        Until::Time(Time::from_secs(secs))
    }

    fn end(sieve: &Sieve) -> Option<u64> {
        sieve.target().map(|target| target.end.1)
    }

    #[test]
    fn everything_before_the_second_begins() {
        let log = [
            commit(1, 1),
            commit(2, 2),
            commit(3, 3),
            commit(4, 3),
            commit(5, 4),
        ];
        for (until, expected, stopped) in [(2, 10, 10), (3, 20, 20), (4, 40, 40)] {
            let (sieve, _) = sifted(at(until), 10, "0-7-1", &log);
            assert_eq!(end(&sieve), Some(expected), "{until}");
            assert_eq!(sieve.stopped(), Some((1, stopped)), "{until}");
        }
        // Within a second it is the second's beginning.
        let within = Until::Time(Time::from_micros(3_999_999));
        assert_eq!(end(&sifted(within, 10, "0-7-1", &log).0), Some(20));
        let (sieve, _) = sifted(at(4), 10, "0-7-1", &log);
        assert_eq!(
            (sieve.commits(), sieve.newest()),
            (3, Some(Time::from_secs(3)))
        );
        assert_eq!(sieve.around().0.after.len(), 1);
        assert_eq!(sifted(at(9), 10, "0-7-1", &log).0.stopped(), None);
    }

    #[test]
    fn a_commit_behind_a_later_one_is_not_reached_and_is_counted() {
        let log = [commit(1, 1), commit(2, 5), commit(3, 2)];
        let (sieve, _) = sifted(at(4), 10, "0-7-1", &log);
        assert_eq!((end(&sieve), sieve.overtaken()), (Some(10), 1));
    }

    #[test]
    fn a_base_of_another_log_or_moment_is_refused() {
        let log = [commit(1, 1), commit(2, 2), commit(3, 3)];
        let (_, verdict) = sifted(Until::End, 20, "0-7-2", &log);
        assert_eq!(verdict, Verdict::More);
        for (offset, gtids) in [(20, "0-7-3"), (20, "0-8-2"), (15, "0-7-2")] {
            let (_, verdict) = sifted(Until::End, offset, gtids, &log);
            assert!(matches!(verdict, Verdict::Foreign(_)), "{offset} {gtids}");
        }
        // Domains that are not in this log are another one's.
        let (sieve, _) = sifted(Until::End, 20, "0-7-2,9-1-5", &log);
        assert_eq!(end(&sieve), Some(30));
        assert_eq!(sifted(at(2), 20, "0-7-2", &log).1, Verdict::TooEarly);
        assert!(sifted(at(1), 0, "", &[]).0.may_be_too_early());
        assert!(!sifted(at(3), 20, "0-7-2", &log).0.may_be_too_early());
    }

    #[test]
    fn a_position_is_reached_by_whole_transactions_and_one_by_its_name() {
        let log = [commit(1, 1), commit(2, 2), commit(3, 3)];
        for (offset, expected) in [(20, 20), (29, 20), (30, 30), (99, 30)] {
            let until = Until::Position(Position::File { file: 1, offset });
            assert_eq!(end(&sifted(until, 10, "0-7-1", &log).0), Some(expected));
        }
        let named = |sequence| {
            let LoggedId::Gtid { domain, server, .. } =
                id(&LogGtid::MariaDb(gtid(1), Continuity::Next))
            else {
                panic!("no name");
            };
            Until::Transaction(LoggedId::Gtid {
                domain,
                server,
                sequence,
            })
        };
        for (sequence, expected, found) in [(1, 10, true), (2, 20, true), (9, 30, false)] {
            let (sieve, _) = sifted(named(sequence), 10, "0-7-1", &log);
            assert_eq!((end(&sieve), sieve.found()), (Some(expected), found));
        }
        assert_eq!(sifted(named(1), 20, "0-7-2", &log).1, Verdict::TooEarly);
    }

    #[test]
    fn a_transaction_before_the_file_of_the_base_is_too_early_for_it() {
        let other = "5-7-3".parse().unwrap();
        let list = |end: u64| BinlogRecord {
            at: end - 5,
            meaning: BinlogMeaning::List(vec![gtid(3), other]),
            ..commit(end / 10, 1)
        };
        let log = [list(30), commit(4, 4), commit(5, 5)];
        let named = |domain, sequence| {
            Until::Transaction(LoggedId::Gtid {
                domain,
                server: 7,
                sequence,
            })
        };
        for (offset, noted) in [(30, "0-7-3,5-7-3"), (40, "0-7-4,5-7-3")] {
            for (domain, sequence) in [(0, 1), (0, 3), (5, 2), (5, 3)] {
                let (sieve, verdict) = sifted(named(domain, sequence), offset, noted, &log);
                assert_eq!(verdict, Verdict::TooEarly, "{offset} {domain} {sequence}");
                assert_eq!(sieve.target(), None);
            }
            // What comes later is not, nor what is of no domain of this log.
            for (domain, sequence, found) in [(0, 5, true), (0, 6, false), (9, 1, false)] {
                let (sieve, verdict) = sifted(named(domain, sequence), offset, noted, &log);
                assert_eq!((verdict, sieve.found()), (Verdict::More, found));
            }
        }
        // The last one of the base is the base itself.
        let (sieve, verdict) = sifted(named(0, 4), 40, "0-7-4,5-7-3", &log);
        assert_eq!((verdict, sieve.found()), (Verdict::More, true));
        // Another server's log says nothing of it.
        let (_, verdict) = sifted(named(0, 1), 40, "0-8-4,5-7-3", &log);
        assert!(matches!(verdict, Verdict::Foreign(_)), "{verdict:?}");
    }

    #[test]
    fn what_lies_behind_the_base_does_not_show_that_a_moment_does() {
        let format = |end: u64, secs| BinlogRecord {
            meaning: BinlogMeaning::Format(BinlogFormat {
                version: "10.11.6-MariaDB-log".to_owned(),
                checksums: true,
                in_use: false,
            }),
            ..commit(end / 10, secs)
        };
        // The base lies where its file begins, of which nothing is older than the moment. A statement that took long
        // bears an earlier second, and so does the next file.
        let log = [format(10, 8), commit(2, 3), format(30, 3), commit(4, 9)];
        let (sieve, _) = sifted(at(5), 10, "0-7-1", &log);
        assert_eq!(end(&sieve), Some(20));
        assert!(sieve.may_be_too_early());
        // What lies before it does.
        let log = [format(10, 3), commit(2, 3), commit(3, 9)];
        let (sieve, _) = sifted(at(5), 10, "0-7-1", &log);
        assert!(!sieve.may_be_too_early());
    }

    #[test]
    fn a_base_that_notes_nothing_is_of_no_log_that_has_something() {
        let log = [commit(1, 1), commit(2, 2)];
        let (sieve, verdict) = sifted(Until::End, 10, "", &log);
        assert!(matches!(verdict, Verdict::Foreign(_)), "{verdict:?}");
        assert_eq!(sieve.target(), None);
        // Of a server that has committed nothing yet it may be.
        let list = BinlogRecord {
            meaning: BinlogMeaning::List(Vec::new()),
            ..commit(1, 1)
        };
        let (sieve, verdict) = sifted(Until::End, 10, "", &[list, commit(2, 2)]);
        assert_eq!((verdict, end(&sieve)), (Verdict::More, Some(20)));
    }

    #[test]
    fn a_base_of_mysql_is_a_set_with_holes_and_a_moment_a_microsecond() {
        const UUID: &str = "3e11fa47-71ca-11e1-9e33-c80aa9429562";
        let log: Vec<BinlogRecord> = (1..=5)
            .map(|number: i64| {
                let mut record = commit(number as u64, 1);
                if let BinlogMeaning::End(ended) = &mut record.meaning {
                    ended.gtid = LogGtid::MySql(format!("{UUID}:{number}").parse().unwrap());
                    ended.time = Time::from_micros(1_000_000 + number);
                }
                record
            })
            .collect();
        let sifted = |until, offset, set: &str| {
            let base = Base {
                number: 1,
                offset,
                past: GtidState::MySql(format!("{UUID}:{set}").parse().unwrap()),
                taken: Time::from_secs(0),
            };
            let mut sieve = Sieve::new(until, base);
            let mut all = log.iter().map(|record| sieve.take(1, record));
            let verdict = all.find(|verdict| *verdict != Verdict::More);
            (sieve, verdict.unwrap_or(Verdict::More))
        };
        // What is missing in it changed nothing, and is run.
        assert_eq!(end(&sifted(Until::End, 30, "1:3").0), Some(50));
        for (offset, set) in [(30, "1-2"), (30, "1-3:9"), (30, "1-4"), (35, "1-3")] {
            let (_, verdict) = sifted(Until::End, offset, set);
            assert!(matches!(verdict, Verdict::Foreign(_)), "{offset} {set}");
        }
        let at = |micros: i64| Until::Time(Time::from_micros(1_000_000 + micros));
        for (micros, expected) in [(3, 30), (4, 40), (5, 50)] {
            assert_eq!(end(&sifted(at(micros), 30, "1-3").0), Some(expected));
        }
        assert_eq!(sifted(at(2), 30, "1-3").1, Verdict::TooEarly);
        let named =
            |text: &str| Until::Transaction(LoggedId::parse(&format!("{UUID}{text}")).unwrap());
        assert_eq!(end(&sifted(named(":4"), 30, "1:3").0), Some(40));
        for early in [":1", ":2"] {
            assert_eq!(
                sifted(named(early), 30, "1:3").1,
                Verdict::TooEarly,
                "{early}"
            );
        }
        assert!(!sifted(named(":tag:4"), 30, "1-3").0.found());
    }
}
