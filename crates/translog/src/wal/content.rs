//! What the records that concern us say.
//!
//! (`access/xact.h`, `catalog/pg_control.h`, `replication/message.h`, and how `xactdesc.c` and `xlogreader.c` parse them)

use vouchsafe_model::Time;

use super::event::{Meaning, Message, ResourceManager};
use super::lsn::Lsn;
use super::record::{
    CHECKPOINT_SHUTDOWN, END_OF_RECOVERY, HEADER, OVERWRITE, RESTORE_POINT, RecordHeader,
};
use super::timeline::Timeline;
use crate::fields::Fields;

/// So many bytes of a record are looked into, so that no record takes memory without bound: longer messages come out
/// cut, and of commits with some 16,000 subtransactions or dropped files the transaction is not known.
pub const MESSAGE_LIMIT: usize = 64 << 10;

const COMMIT: u8 = 0x00;
const PREPARE: u8 = 0x10;
const ABORT: u8 = 0x20;
const COMMIT_PREPARED: u8 = 0x30;
const ABORT_PREPARED: u8 = 0x40;
/// More than the time is in a commit or an abort.
const HAS_INFO: u8 = 0x80;

/// Which parts a commit or an abort has.
const HAS_DATABASE: u32 = 1 << 0;
const HAS_SUBTRANSACTIONS: u32 = 1 << 1;
const HAS_FILES: u32 = 1 << 2;
const HAS_INVALIDATIONS: u32 = 1 << 3;
const HAS_TWO_PHASES: u32 = 1 << 4;
const HAS_DROPPED_STATISTICS: u32 = 1 << 8;

/// What a record says whose body begins with `body`; none if that is not what the version writes.
pub(crate) fn meaning(header: &RecordHeader, body: &[u8], major: u16) -> Option<Meaning> {
    if !header.concerns_us() {
        return Some(Meaning::Other);
    }
    if header.is_switch() {
        return Some(Meaning::Switch);
    }
    let whole = body.len() + HEADER >= usize::try_from(header.length).ok()?;
    let (data, length) = main_data(body)?;
    if whole && data.len() as u64 != length {
        return None;
    }
    match header.manager {
        ResourceManager::TRANSACTION => transaction(header, data, whole, major),
        ResourceManager::LOGICAL_MESSAGE => message(header, data, whole),
        _ => xlog(header.kind(), data),
    }
}

/// The resource manager's own data, and its whole length. The records that concern us refer to no blocks, so that it
/// comes after at most an origin and the number of the top transaction.
fn main_data(body: &[u8]) -> Option<(&[u8], u64)> {
    const SHORT: u8 = 255;
    const LONG: u8 = 254;
    const ORIGIN: u8 = 253;
    const TOP_TRANSACTION: u8 = 252;
    let mut fields = Fields::of(body);
    if body.is_empty() {
        return Some((body, 0));
    }
    loop {
        let length = match fields.u8()? {
            SHORT => u64::from(fields.u8()?),
            LONG => u64::from(fields.u32()?),
            ORIGIN => {
                fields.u16()?;
                continue;
            }
            TOP_TRANSACTION => {
                fields.u32()?;
                continue;
            }
            _ => return None,
        };
        return Some((fields.rest(), length));
    }
}

fn transaction(header: &RecordHeader, data: &[u8], whole: bool, major: u16) -> Option<Meaning> {
    let mut fields = Fields::of(data);
    let kind = header.info & 0x70;
    if kind == PREPARE {
        // A magic number, the length, then the transaction and the database.
        fields.u64()?;
        let transaction = fields.u32()?;
        fields.u32()?;
        let time = time(fields.i64()?);
        return Some(Meaning::Prepare { time, transaction });
    }
    if !matches!(kind, COMMIT | ABORT | COMMIT_PREPARED | ABORT_PREPARED) {
        return Some(Meaning::Other);
    }
    let time = time(fields.i64()?);
    let commits = matches!(kind, COMMIT | COMMIT_PREPARED);
    let prepared = matches!(kind, COMMIT_PREPARED | ABORT_PREPARED);
    let mut transaction = Some(header.xid);
    if prepared {
        let has_info = header.info & HAS_INFO != 0;
        transaction = if has_info {
            prepared_transaction(fields, commits, major)
        } else {
            None
        };
        if transaction.is_none() && whole {
            return None;
        }
    }
    Some(if commits {
        Meaning::Commit {
            time,
            transaction,
            prepared,
        }
    } else {
        Meaning::Abort {
            time,
            transaction,
            prepared,
        }
    })
}

/// The transaction that the second phase ends: the record itself is written by none.
fn prepared_transaction(mut fields: Fields<'_>, commits: bool, major: u16) -> Option<u32> {
    let parts = fields.u32()?;
    let has = |part: u32| parts & part != 0;
    if has(HAS_DATABASE) {
        fields.u64()?;
    }
    if has(HAS_SUBTRANSACTIONS) {
        fields.skip_items(4)?;
    }
    if has(HAS_FILES) {
        fields.skip_items(12)?;
    }
    if major >= 15 && has(HAS_DROPPED_STATISTICS) {
        // The number of the object has 64 bits since version 18.
        fields.skip_items(if major >= 18 { 16 } else { 12 })?;
    }
    if commits && has(HAS_INVALIDATIONS) {
        fields.skip_items(16)?;
    }
    if has(HAS_TWO_PHASES) {
        fields.u32()
    } else {
        None
    }
}

fn message(header: &RecordHeader, data: &[u8], whole: bool) -> Option<Meaning> {
    if header.kind() != 0 {
        return Some(Meaning::Other);
    }
    let mut fields = Fields::of(data);
    let database = fields.u32()?;
    let transactional = fields.u8()? != 0;
    fields.bytes(3)?;
    let (prefix_length, length) = (fields.u64()?, fields.u64()?);
    // It ends with a NUL.
    let prefix = fields.bytes(usize::try_from(prefix_length).ok()?)?;
    let (0, prefix) = prefix.split_last()? else {
        return None;
    };
    let content = fields.rest();
    if whole && content.len() as u64 != length {
        return None;
    }
    Some(Meaning::Message(Message {
        database,
        transactional,
        prefix: prefix.to_vec(),
        content: content.to_vec(),
        length,
    }))
}

fn xlog(kind: u8, data: &[u8]) -> Option<Meaning> {
    let mut fields = Fields::of(data);
    Some(match kind {
        RESTORE_POINT => {
            let time = time(fields.i64()?);
            let name = fields.rest().split(|byte| *byte == 0).next()?.to_vec();
            Meaning::RestorePoint { time, name }
        }
        END_OF_RECOVERY => Meaning::EndOfRecovery {
            time: time(fields.i64()?),
            timeline: Timeline::new(fields.u32()?)?,
            previous: fields.u32()?,
        },
        OVERWRITE => Meaning::AfterAbandoned {
            record: Lsn(fields.u64()?),
            time: time(fields.i64()?),
        },
        _ => {
            let redo = Lsn(fields.u64()?);
            let (timeline, previous) = (Timeline::new(fields.u32()?)?, fields.u32()?);
            // Counters, which end at the 64th byte in each of the versions; the time is in seconds since 1970.
            fields.bytes(48)?;
            let time = Time::from_secs(fields.i64()?);
            let shutdown = kind == CHECKPOINT_SHUTDOWN;
            Meaning::Checkpoint {
                redo,
                timeline,
                previous,
                shutdown,
                time,
            }
        }
    })
}

/// PostgreSQL counts microseconds since the beginning of the year 2000.
fn time(micros: i64) -> Time {
    const BEGINNING: i64 = 946_684_800_000_000;
    Time::from_micros(micros.saturating_add(BEGINNING))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn header(manager: ResourceManager, info: u8, body: &[u8]) -> RecordHeader {
        RecordHeader {
            length: (HEADER + body.len()) as u32,
            xid: 7,
            prev: Lsn(0),
            info,
            manager,
            checksum: 0,
        }
    }

    fn short(data: &[u8]) -> Vec<u8> {
        [&[255, data.len() as u8], data].concat()
    }

    /// A second phase with every part before the transaction, in the order of `ParseCommitRecord`.
    #[test]
    fn the_transaction_of_a_second_phase_is_found_behind_all_parts() {
        for (major, statistics) in [(14, 0), (15, 12), (17, 12), (18, 16)] {
            let mut data = 1_000_000_i64.to_le_bytes().to_vec();
            data.extend(0b1_0001_1111_u32.to_le_bytes());
            data.extend([1; 8]);
            for size in [4, 12, statistics, 16] {
                if size > 0 {
                    data.extend(2_u32.to_le_bytes());
                    data.extend(vec![9; size * 2]);
                }
            }
            data.extend(4711_u32.to_le_bytes());
            let body = short(&data);
            let header = header(
                ResourceManager::TRANSACTION,
                COMMIT_PREPARED | HAS_INFO,
                &body,
            );
            let expected = Meaning::Commit {
                time: "2000-01-01T00:00:01Z".parse().unwrap(),
                transaction: Some(4711),
                prepared: true,
            };
            assert_eq!(meaning(&header, &body, major), Some(expected), "{major}");
        }
    }

    #[test]
    fn a_commit_by_an_origin_in_a_subtransaction_is_read() {
        let mut body = vec![253, 1, 0, 252, 1, 2, 3, 4];
        body.extend(short(&(-946_684_800_000_000_i64).to_le_bytes()));
        let header = header(ResourceManager::TRANSACTION, COMMIT, &body);
        let expected = Meaning::Commit {
            time: Time::from_micros(0),
            transaction: Some(7),
            prepared: false,
        };
        assert_eq!(meaning(&header, &body, 14), Some(expected));
    }

    #[test]
    fn content_that_is_cut_short_is_malformed() {
        let data = [0; 8];
        for body in [vec![], vec![255], vec![254, 1], vec![3], short(&data[..7])] {
            let header = header(ResourceManager::TRANSACTION, COMMIT, &body);
            assert_eq!(meaning(&header, &body, 15), None, "{body:?}");
        }
        let long = [short(&data), vec![0]].concat();
        let header = header(ResourceManager::TRANSACTION, COMMIT, &long);
        assert_eq!(meaning(&header, &long, 15), None);
    }

    proptest! {
        #[test]
        fn arbitrary_bodies_are_survived(
            manager in 0_u8..=22, info in any::<u8>(), major in 13_u16..=18, more in 0_u32..9,
            body in prop::collection::vec(prop_oneof![Just(0_u8), Just(255), Just(254), any::<u8>()], 0..120),
        ) {
            let mut header = header(ResourceManager(manager), info, &body);
            header.length += more;
            let _ = meaning(&header, &body, major);
        }
    }
}
