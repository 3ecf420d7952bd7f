//! What real servers of other versions wrote, kept in files, read as their own `pg_waldump` reads it.
//!
//! Each file is the beginning of one segment, up to the page in which the log ends: rows, subtransactions, two phases,
//! dropped and new tables, messages, a restore point, checkpoints. They were made by the servers of Debian's `bullseye`
//! (13), `trixie` (17) and `sid` (18).

use crate::common::{self, reader, records, waldump};
use vouchsafe_translog::wal::{Meaning, WalRecord};

const VERSIONS: [(u16, &[u8], &str); 3] = [
    (
        13,
        include_bytes!("golden/postgresql-13/segment"),
        include_str!("golden/postgresql-13/dump.txt"),
    ),
    (
        17,
        include_bytes!("golden/postgresql-17/segment"),
        include_str!("golden/postgresql-17/dump.txt"),
    ),
    (
        18,
        include_bytes!("golden/postgresql-18/segment"),
        include_str!("golden/postgresql-18/dump.txt"),
    ),
];

#[test]
fn other_versions_are_read_as_their_own_pg_waldump_reads_them() {
    for (major, bytes, text) in VERSIONS {
        let dumped = waldump::lines(text);
        let first = dumped[0].lsn.0;
        let mut reader = reader(first - first % common::SEGMENT);
        let mut events = Vec::new();
        for piece in bytes.chunks(61) {
            reader.feed(piece, |event| events.push(event)).unwrap();
        }
        let status = reader.status();
        assert_eq!(status.major, Some(major));
        assert_eq!(status.verified, waldump::end(text), "{major}: {status:?}");
        waldump::agree(&events, &dumped, major);
        let of = |which: fn(&Meaning) -> bool| {
            let those = records(&events).into_iter();
            those
                .filter(|record: &&WalRecord| which(&record.meaning))
                .count()
        };
        assert_eq!(of(|what| matches!(what, Meaning::Prepare { .. })), 4);
        assert_eq!(
            of(|what| matches!(what, Meaning::Commit { prepared: true, .. })),
            2
        );
        assert_eq!(
            of(|what| matches!(what, Meaning::Abort { prepared: true, .. })),
            2
        );
        assert_eq!(of(|what| matches!(what, Meaning::Message(_))), 3);
        assert_eq!(of(|what| matches!(what, Meaning::RestorePoint { .. })), 1);
        assert_eq!(of(|what| matches!(what, Meaning::Checkpoint { .. })), 2);
        let newest = status.newest_commit.unwrap().time;
        for record in records(&events) {
            if let Meaning::Checkpoint { time, shutdown, .. } = record.meaning {
                // The time of a checkpoint is in seconds, and lies behind all commits.
                assert!(time.since(newest).secs() < 60, "{major}: {time} {newest}");
                assert!(
                    shutdown || newest.since(time).secs() < 2,
                    "{major}: {time} {newest}"
                );
            }
        }
    }
}
