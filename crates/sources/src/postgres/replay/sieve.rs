//! Which record of a log is the last that a replay may reach.

use std::collections::VecDeque;

use vouchsafe_capture::{Around, LoggedCommit, LoggedId, Until};
use vouchsafe_format::fragment::Position;
use vouchsafe_model::{Span, Time};
use vouchsafe_translog::wal::{Lsn, Meaning, WalRecord};

use super::tokens::token_in;

/// So many transactions before the target are kept, and so many after it.
const BEFORE: usize = 1000;
const AFTER: usize = 200;

/// Looks at records in their order and remembers the last one that may be replayed.
///
/// For a moment that is the last commit (or first phase of one) at or before it that stands before the first one after
/// it: where PostgreSQL itself would stop by `recovery_target_time`, but named by its place in the log. It is never
/// before the end of the base, whose files need all of the log up to there.
#[derive(Debug)]
pub(super) struct Sieve {
    until: Until,
    /// Where the base begins.
    start: Lsn,
    /// The end of the base.
    floor: Lsn,
    last: Option<Reached>,
    /// Where the first record stands that must not be replayed.
    stopped: Option<Lsn>,
    before: VecDeque<LoggedCommit>,
    after: Vec<LoggedCommit>,
    commits: u64,
    newest: Option<Time>,
    overtaken: u64,
    /// When the base began, to the second.
    began: Option<Time>,
    /// Tokens behind the last record that may be replayed.
    tokens_beyond: Vec<Vec<u8>>,
}

/// A record that may be replayed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Reached {
    pub(super) record: Lsn,
    pub(super) end: Lsn,
}

/// What a record means for the search.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Go on.
    More,
    /// Enough is known.
    Enough,
    /// The moment lies before the end of the base.
    TooEarly,
    /// The timeline that begins here began after the moment: at that moment the database was on `previous`.
    Later {
        /// The timeline that it came from.
        previous: u32,
    },
}

impl Sieve {
    pub(super) fn new(until: Until, start: Lsn, floor: Lsn) -> Sieve {
        Sieve {
            until,
            start,
            floor,
            last: None,
            stopped: None,
            before: VecDeque::new(),
            after: Vec::new(),
            commits: 0,
            newest: None,
            overtaken: 0,
            began: None,
            tokens_beyond: Vec::new(),
        }
    }

    /// The next record.
    pub(super) fn take(&mut self, record: &WalRecord) -> Verdict {
        // Whether it is part of what is replayed, a later record tells.
        if let Some(text) = token_in(record)
            && self.tokens_beyond.len() < AFTER
        {
            self.tokens_beyond.push(text.to_vec());
        }
        if let Meaning::Checkpoint { redo, time, .. } = &record.meaning
            && *redo == self.start
        {
            self.began = Some(*time);
        }
        if self.stopped.is_some() {
            return self.look_beyond(record);
        }
        match self.until {
            Until::Time(until) => self.take_by_time(record, until),
            Until::End => self.reach(record),
            Until::Position(Position::Byte(until)) if Lsn(until) < self.floor => Verdict::TooEarly,
            Until::Position(Position::Byte(until)) if record.end <= Lsn(until) => {
                self.reach(record)
            }
            Until::Position(_) | Until::Transaction(_) => self.stop(record),
        }
    }

    /// Where the first record stands that must not be replayed, if one came.
    pub(super) fn stopped(&self) -> Option<Lsn> {
        self.stopped
    }

    /// The last record that may be replayed; none if the base itself is not whole by then.
    pub(super) fn target(&self) -> Option<Reached> {
        self.last.filter(|last| last.end >= self.floor)
    }

    /// Whether the moment may lie before the base began. What was committed before that is in the base, and its commits
    /// are not in the log that is read: so a moment has to be after one that is, or after the base's own checkpoint, of
    /// which the second is known.
    pub(super) fn may_be_too_early(&self) -> bool {
        let Until::Time(until) = self.until else {
            return false;
        };
        let second = Span::from_secs(1);
        self.newest.is_none() && self.began.is_none_or(|began| until < began.plus(second))
    }

    /// The newest commit up to the target.
    pub(super) fn newest(&self) -> Option<Time> {
        self.newest
    }

    /// How many commits there are up to the target.
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

    fn take_by_time(&mut self, record: &WalRecord, until: Time) -> Verdict {
        let began = match &record.meaning {
            Meaning::EndOfRecovery { time, previous, .. } => Some((*time, *previous)),
            Meaning::Checkpoint {
                time,
                previous,
                timeline,
                ..
            } if *previous != timeline.number() => Some((*time, *previous)),
            _ => None,
        };
        if let Some((time, previous)) = began
            && time > until
        {
            return Verdict::Later { previous };
        }
        match &record.meaning {
            Meaning::Commit { time, .. } | Meaning::Prepare { time, .. } => {
                if *time <= until {
                    self.reach(record)
                } else if record.lsn < self.floor {
                    Verdict::TooEarly
                } else {
                    self.stop(record)
                }
            }
            // The base needs all of the log up to its end.
            _ if self.last.is_none_or(|last| last.end < self.floor) => self.reach(record),
            _ => Verdict::More,
        }
    }

    fn reach(&mut self, record: &WalRecord) -> Verdict {
        self.tokens_beyond.clear();
        self.last = Some(Reached {
            record: record.lsn,
            end: record.end,
        });
        if let Meaning::Commit { time, .. } = &record.meaning
            && self.start <= record.lsn
        {
            self.commits += 1;
            self.newest = self.newest.max(Some(*time));
            if let Some(commit) = logged(record) {
                if self.before.len() == BEFORE {
                    self.before.pop_front();
                }
                self.before.push_back(commit);
            }
        }
        Verdict::More
    }

    fn stop(&mut self, record: &WalRecord) -> Verdict {
        self.stopped = Some(record.lsn);
        self.look_beyond(record)
    }

    fn look_beyond(&mut self, record: &WalRecord) -> Verdict {
        if let Meaning::Commit { time, .. } = &record.meaning
            && matches!(self.until, Until::Time(until) if *time <= until)
        {
            self.overtaken += 1;
        }
        if self.after.len() < AFTER {
            self.after.extend(logged(record));
        }
        if self.after.len() < AFTER {
            Verdict::More
        } else {
            Verdict::Enough
        }
    }
}

/// The transaction whose commit this is, if it has a number.
fn logged(record: &WalRecord) -> Option<LoggedCommit> {
    match record.meaning {
        Meaning::Commit {
            time,
            transaction: Some(transaction),
            ..
        } if transaction != 0 => Some(LoggedCommit {
            transaction: LoggedId::Number(transaction),
            time,
        }),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use vouchsafe_translog::wal::{ResourceManager, Timeline};

    fn record(lsn: u64, meaning: Meaning) -> WalRecord {
        WalRecord {
            lsn: Lsn(lsn),
            end: Lsn(lsn + 8),
            prev: Lsn(0),
            length: 8,
            xid: 0,
            manager: ResourceManager(1),
            info: 0,
            meaning,
        }
    }

    fn commit(lsn: u64, secs: i64) -> WalRecord {
        let meaning = Meaning::Commit {
            time: Time::from_secs(secs),
            transaction: Some(lsn as u32),
            prepared: false,
        };
        record(lsn, meaning)
    }

    fn begins(lsn: u64, secs: i64) -> WalRecord {
        let meaning = Meaning::EndOfRecovery {
            time: Time::from_secs(secs),
            timeline: Timeline::new(2).unwrap(),
            previous: 1,
        };
        record(lsn, meaning)
    }

    fn sifted(until: Until, floor: u64, records: &[WalRecord]) -> (Sieve, Verdict) {
        let mut sieve = Sieve::new(until, Lsn(8), Lsn(floor));
        let mut verdict = Verdict::More;
        for each in records {
            verdict = sieve.take(each);
            if !matches!(verdict, Verdict::More) {
                break;
            }
        }
        (sieve, verdict)
    }

    fn at(secs: i64) -> Until {
        Until::Time(Time::from_secs(secs))
    }

    fn end(sieve: &Sieve) -> Option<u64> {
        sieve.target().map(|target| target.end.0)
    }

    #[test]
    fn everything_up_to_and_including_the_moment() {
        let log = [
            commit(8, 1),
            record(16, Meaning::Other),
            commit(24, 2),
            record(32, Meaning::Other),
            commit(40, 3),
        ];
        for (until, expected, stopped) in [
            (1, 16, Some(Lsn(24))),
            (2, 32, Some(Lsn(40))),
            (3, 48, None),
            (9, 48, None),
        ] {
            let (sieve, _) = sifted(at(until), 8, &log);
            assert_eq!(end(&sieve), Some(expected), "{until}");
            assert_eq!(sieve.stopped(), stopped, "{until}");
        }
        let (sieve, _) = sifted(at(2), 8, &log);
        assert_eq!(sieve.commits(), 2);
        assert_eq!(sieve.newest(), Some(Time::from_secs(2)));
        let (around, _) = sieve.around();
        let ids = |list: &[LoggedCommit]| -> Vec<LoggedId> {
            list.iter().map(|each| each.transaction).collect()
        };
        assert_eq!(ids(&around.before), [8, 24].map(LoggedId::Number));
        assert_eq!(ids(&around.after), [40].map(LoggedId::Number));
    }

    #[test]
    fn a_commit_behind_a_later_one_is_not_reached_and_is_counted() {
        let log = [commit(8, 1), commit(16, 5), commit(24, 4)];
        let (sieve, _) = sifted(at(4), 8, &log);
        assert_eq!(end(&sieve), Some(16));
        assert_eq!(sieve.overtaken(), 1);
    }

    #[test]
    fn all_of_the_base_is_needed_and_nothing_before_it_can_be_reached() {
        let log = [
            commit(8, 1),
            record(16, Meaning::Other),
            record(24, Meaning::Other),
            record(32, Meaning::Other),
            commit(40, 5),
        ];
        // The base ends at 32; the newest commit by then is older.
        let (sieve, _) = sifted(at(2), 32, &log);
        assert_eq!(end(&sieve), Some(32));
        let (_, verdict) = sifted(at(0), 32, &log);
        assert_eq!(verdict, Verdict::TooEarly);
        // Half of the base is no target.
        let (sieve, _) = sifted(at(2), 32, &log[..2]);
        assert_eq!(end(&sieve), None);
        let (_, verdict) = sifted(Until::Position(Position::Byte(24)), 32, &log);
        assert_eq!(verdict, Verdict::TooEarly);
    }

    #[test]
    fn a_moment_before_the_base_began_is_not_taken_for_one_without_commits() {
        let checkpoint = |secs: i64| {
            let meaning = Meaning::Checkpoint {
                redo: Lsn(8),
                timeline: Timeline::FIRST,
                previous: 1,
                shutdown: false,
                time: Time::from_secs(secs),
            };
            record(16, meaning)
        };
        let log = [record(8, Meaning::Other), checkpoint(50), commit(32, 99)];
        for (until, too_early) in [
            (40, true),
            (50, true),
            (51, false),
            (60, false),
            (99, false),
        ] {
            let (sieve, _) = sifted(at(until), 24, &log);
            assert_eq!(sieve.may_be_too_early(), too_early, "{until}");
        }
        // Without its checkpoint nothing is known.
        let (sieve, _) = sifted(at(60), 24, &[log[0].clone(), commit(32, 99)]);
        assert!(sieve.may_be_too_early());
        // A commit before the base began says nothing of it.
        let mut before = Sieve::new(at(60), Lsn(16), Lsn(24));
        before.take(&commit(8, 5));
        assert_eq!(before.newest(), None);
    }

    #[test]
    fn a_position_is_reached_by_whole_records() {
        let log = [commit(8, 1), commit(16, 2), commit(24, 3)];
        for (until, expected) in [(16, 16), (23, 16), (24, 24), (99, 32)] {
            let (sieve, _) = sifted(Until::Position(Position::Byte(until)), 8, &log);
            assert_eq!(end(&sieve), Some(expected), "{until}");
        }
        let (sieve, _) = sifted(Until::End, 8, &log);
        assert_eq!(end(&sieve), Some(32));
    }

    #[test]
    fn a_timeline_that_began_after_the_moment_is_not_followed() {
        let log = [commit(8, 1), begins(16, 10), commit(24, 11)];
        let (_, verdict) = sifted(at(5), 8, &log);
        assert_eq!(verdict, Verdict::Later { previous: 1 });
        let (sieve, verdict) = sifted(at(10), 8, &log);
        assert_eq!(verdict, Verdict::More);
        assert_eq!(end(&sieve), Some(16));
        let (sieve, _) = sifted(at(11), 8, &log);
        assert_eq!(end(&sieve), Some(32));
    }
}
