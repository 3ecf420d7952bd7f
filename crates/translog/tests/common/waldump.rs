//! What `pg_waldump` says of a log, and what of it a reader has to say too.
#![allow(dead_code)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use vouchsafe_model::Time;
use vouchsafe_translog::wal::{Lsn, Meaning, WalEvent, WalRecord};

use super::records;

/// One line of `pg_waldump`.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Dumped {
    pub(crate) manager: String,
    pub(crate) length: u32,
    pub(crate) xid: u32,
    pub(crate) lsn: Lsn,
    pub(crate) prev: Lsn,
    pub(crate) description: String,
}

/// `rmgr: Heap len (rec/tot): 54/ 8222, tx: 734, lsn: 0/01, prev 0/02, desc: INSERT off 1, blkref …`
fn parse(line: &str) -> Option<Dumped> {
    let rest = line.strip_prefix("rmgr: ")?;
    let (manager, rest) = rest.split_once("len (rec/tot):")?;
    let (lengths, rest) = rest.split_once(", tx:")?;
    let (xid, rest) = rest.split_once(", lsn: ")?;
    let (lsn, rest) = rest.split_once(", prev ")?;
    let (prev, description) = rest.split_once(", desc: ")?;
    Some(Dumped {
        manager: manager.trim().to_owned(),
        length: lengths.split_once('/')?.1.trim().parse().ok()?,
        xid: xid.trim().parse().ok()?,
        lsn: lsn.parse().ok()?,
        prev: prev.parse().ok()?,
        description: description.trim().to_owned(),
    })
}

/// All records that `text` speaks of.
pub(crate) fn lines(text: &str) -> Vec<Dumped> {
    text.lines().filter_map(parse).collect()
}

/// Where it says that there is no record any more.
pub(crate) fn end(text: &str) -> Option<Lsn> {
    let (_, rest) = text.split_once("invalid record length at ")?;
    rest.split_once(':')?.0.parse().ok()
}

/// As `pg_waldump` writes times in UTC.
fn written(time: Time) -> String {
    let text = time.to_string();
    format!("{} UTC", text.trim_end_matches('Z').replacen('T', " ", 1))
}

/// What the record says, in the words of `pg_waldump`; how the description begins.
fn described(record: &WalRecord, major: u16) -> String {
    let two = |name: &str, time: &Time, transaction: &Option<u32>, prepared: bool| {
        if prepared {
            format!(
                "{name}_PREPARED {}: {}",
                transaction.unwrap(),
                written(*time)
            )
        } else {
            assert_eq!(*transaction, Some(record.xid));
            format!("{name} {}", written(*time))
        }
    };
    match &record.meaning {
        Meaning::Commit {
            time,
            transaction,
            prepared,
        } => two("COMMIT", time, transaction, *prepared),
        Meaning::Abort {
            time,
            transaction,
            prepared,
        } => two("ABORT", time, transaction, *prepared),
        Meaning::Prepare { time, .. } => format!("PREPARE gid two: {}", written(*time)),
        // Before version 14 only how long it is.
        Meaning::Message(message) if major < 14 => {
            let not = if message.transactional { "" } else { "non" };
            format!(
                "MESSAGE {not}transactional message size {} bytes",
                message.length
            )
        }
        Meaning::Message(message) => {
            let kind = if message.transactional {
                "transactional"
            } else {
                "non-transactional"
            };
            let bytes: Vec<String> = message.content.iter().map(|b| format!("{b:02X}")).collect();
            let prefix = String::from_utf8_lossy(&message.prefix);
            format!(
                "MESSAGE {kind}, prefix \"{prefix}\"; payload ({} bytes): {}",
                message.length,
                bytes.join(" ")
            )
        }
        Meaning::Switch => "SWITCH".to_owned(),
        Meaning::Checkpoint {
            redo,
            timeline,
            previous,
            shutdown,
            ..
        } => {
            let kind = if *shutdown { "SHUTDOWN" } else { "ONLINE" };
            format!("CHECKPOINT_{kind} redo {redo}; tli {timeline}; prev tli {previous};")
        }
        Meaning::EndOfRecovery {
            time,
            timeline,
            previous,
        } => format!(
            "END_OF_RECOVERY tli {timeline}; prev tli {previous}; time {}",
            written(*time)
        ),
        Meaning::RestorePoint { name, .. } => {
            format!("RESTORE_POINT {}", String::from_utf8_lossy(name))
        }
        Meaning::AfterAbandoned { record, time } => {
            format!("OVERWRITE_CONTRECORD lsn {record}; time {}", written(*time))
        }
        Meaning::Other => String::new(),
    }
}

/// Kinds that this reader has to understand must not come out as something else.
fn must_be_understood(description: &str) -> bool {
    const KINDS: [&str; 10] = [
        "COMMIT ",
        "COMMIT_PREPARED ",
        "ABORT ",
        "ABORT_PREPARED ",
        "PREPARE ",
        "MESSAGE ",
        "SWITCH",
        "CHECKPOINT_",
        "END_OF_RECOVERY ",
        "RESTORE_POINT ",
    ];
    let redo = description.starts_with("CHECKPOINT_REDO");
    !redo && KINDS.iter().any(|kind| description.starts_with(kind))
}

/// Both name the same records with the same content.
pub(crate) fn agree(events: &[WalEvent], dumped: &[Dumped], major: u16) {
    let ours = records(events);
    for (ours, theirs) in ours.iter().zip(dumped) {
        let found = Dumped {
            manager: ours.manager.name().unwrap().to_owned(),
            length: ours.length,
            xid: ours.xid,
            lsn: ours.lsn,
            prev: ours.prev,
            description: theirs.description.clone(),
        };
        assert_eq!(found, *theirs);
        let expected = described(ours, major);
        let (expected, said) = (expected.trim_end(), theirs.description.as_str());
        // Either may have cut a long message.
        let cut = said.starts_with("MESSAGE") && expected.starts_with(said);
        assert!(said.starts_with(expected) || cut, "{expected}\n{theirs:?}");
        if must_be_understood(&theirs.description) {
            assert_ne!(ours.meaning, Meaning::Other, "{theirs:?}");
        }
    }
    assert_eq!(ours.len(), dumped.len());
}
