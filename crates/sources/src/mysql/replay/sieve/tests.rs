//! The search for the last transaction, on logs of a few made-up events.

use super::*;
use vouchsafe_format::fragment::Position;
use vouchsafe_translog::binlog::BinlogFormat;
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

const UUID: &str = "3e11fa47-71ca-11e1-9e33-c80aa9429562";

/// So many transactions of MySQL, of which these are statements that changed nothing.
fn mysql_log(count: i64, nothing: &[i64]) -> Vec<BinlogRecord> {
    let one = |number: i64| {
        let mut record = commit(number as u64, 1);
        if let BinlogMeaning::End(ended) = &mut record.meaning {
            ended.gtid = LogGtid::MySql(format!("{UUID}:{number}").parse().unwrap());
            ended.time = Time::from_micros(1_000_000 + number);
        }
        if nothing.contains(&number) {
            record.kind = EventKind(2);
        }
        record
    };
    (1..=count).map(one).collect()
}

fn sifted_mysql(until: Until, offset: u64, set: &str, log: &[BinlogRecord]) -> (Sieve, Verdict) {
    let base = Base {
        number: 1,
        offset,
        past: GtidState::MySql(set.parse().unwrap()),
        taken: Time::from_secs(0),
    };
    let mut sieve = Sieve::new(until, base);
    let mut all = log.iter().map(|record| sieve.take(1, record));
    let verdict = all.find(|verdict| *verdict != Verdict::More);
    (sieve, verdict.unwrap_or(Verdict::More))
}

#[test]
fn a_base_of_mysql_that_lacks_what_earlier_files_have_is_of_another_log() {
    const OTHER: &str = "4e11fa47-71ca-11e1-9e33-c80aa9429562";
    let log = |earlier: &str| {
        let previous = BinlogRecord {
            at: 4,
            end: 5,
            meaning: BinlogMeaning::Previous(earlier.parse().unwrap()),
            ..commit(1, 1)
        };
        let own = mysql_log(5, &[]).split_off(2);
        [vec![previous], own].concat()
    };
    let earlier = format!("{UUID}:1-2");
    for (earlier, set) in [
        (earlier.clone(), format!("{UUID}:1-3")),
        (String::new(), format!("{UUID}:3")),
        (
            format!("{OTHER}:1,{earlier}"),
            format!("{OTHER}:1,{UUID}:1-3"),
        ),
    ] {
        let (sieve, verdict) = sifted_mysql(Until::End, 30, &set, &log(&earlier));
        assert_eq!((verdict, end(&sieve)), (Verdict::More, Some(50)), "{set}");
    }
    // All that the base notes is there; but not all that is there is in the base, and it would never be run.
    for (earlier, set) in [
        (earlier.clone(), format!("{UUID}:3")),
        (earlier.clone(), format!("{UUID}:2-3")),
        (format!("{OTHER}:1,{earlier}"), format!("{UUID}:1-3")),
        (
            format!("{OTHER}:1-2,{earlier}"),
            format!("{OTHER}:1,{UUID}:1-3"),
        ),
    ] {
        let (sieve, verdict) = sifted_mysql(Until::End, 30, &set, &log(&earlier));
        assert!(matches!(verdict, Verdict::Foreign(_)), "{set}: {verdict:?}");
        assert_eq!(sieve.target(), None);
    }
    // A base that was made just after its file had begun lies before the file's first transaction.
    let (sieve, verdict) = sifted_mysql(Until::End, 5, &earlier, &log(&earlier));
    assert_eq!((verdict, end(&sieve)), (Verdict::More, Some(50)));
    for set in ["1", "1-3", "2"] {
        let (_, verdict) = sifted_mysql(Until::End, 5, &format!("{UUID}:{set}"), &log(&earlier));
        assert!(matches!(verdict, Verdict::Foreign(_)), "{set}: {verdict:?}");
    }
    let (_, verdict) = sifted_mysql(Until::End, 5, "", &log(""));
    assert!(matches!(verdict, Verdict::Foreign(_)), "{verdict:?}");
    let at_its_end = Until::Position(Position::File { file: 1, offset: 5 });
    let (sieve, _) = sifted_mysql(at_its_end, 5, &earlier, &log(&earlier));
    assert_eq!(end(&sieve), Some(5));
}

#[test]
fn a_base_of_mysql_is_a_set_with_holes_and_a_moment_a_microsecond() {
    let log = mysql_log(5, &[2]);
    let sifted =
        |until, offset, set: &str| sifted_mysql(until, offset, &format!("{UUID}:{set}"), &log);
    // What is missing in it changed nothing, and is run.
    for (offset, set) in [(30, "1:3"), (20, "1"), (20, "1-2")] {
        assert_eq!(end(&sifted(Until::End, offset, set).0), Some(50), "{set}");
    }
    for (offset, set) in [
        (30, "1-2"),
        (30, "2-3"),
        (30, "1-3:9"),
        (30, "1-4"),
        (35, "1-3"),
    ] {
        let (_, verdict) = sifted(Until::End, offset, set);
        assert!(matches!(verdict, Verdict::Foreign(_)), "{offset} {set}");
    }
    let at = |micros: i64| Until::Time(Time::from_micros(1_000_000 + micros));
    for (micros, expected) in [(3, 30), (4, 40), (5, 50)] {
        assert_eq!(end(&sifted(at(micros), 30, "1-3").0), Some(expected));
    }
    assert_eq!(sifted(at(2), 30, "1-3").1, Verdict::TooEarly);
    let named = |text: &str| Until::Transaction(LoggedId::parse(&format!("{UUID}{text}")).unwrap());
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
