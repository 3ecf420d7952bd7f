//! What a server says of its log and of our slot in it.

use vouchsafe_capture::CaptureError;
use vouchsafe_translog::wal::{Lsn, Timeline};

use super::super::session::{Session, literal, unreadable};

/// A server and where its log is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ServerLog {
    pub(super) system: u64,
    pub(super) major: u32,
    pub(super) segment_size: u32,
    pub(super) block_size: u32,
    pub(super) timeline: Timeline,
    /// A standby: it takes no heartbeat.
    pub(super) in_recovery: bool,
    /// Up to where its log is on its disk.
    pub(super) flushed: Lsn,
}

/// Our slot, by which the server keeps what was not received yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Slot {
    /// From where on the server keeps its log; nothing if it keeps nothing any more.
    pub(super) keeps_from: Option<Lsn>,
    /// `reserved`, `extended`, `unreserved`, `lost`.
    pub(super) status: String,
    pub(super) is_active: bool,
}

const LOG: &str = "SELECT (SELECT system_identifier::text FROM pg_control_system()), \
    current_setting('server_version_num'), \
    (SELECT setting FROM pg_settings WHERE name = 'wal_segment_size'), \
    (SELECT setting FROM pg_settings WHERE name = 'wal_block_size'), \
    CASE WHEN pg_is_in_recovery() THEN (SELECT lpad(to_hex(timeline_id), 8, '0') FROM pg_control_checkpoint()) \
    ELSE substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8) END, \
    pg_is_in_recovery()::text, \
    CASE WHEN pg_is_in_recovery() THEN coalesce(pg_last_wal_receive_lsn(), pg_last_wal_replay_lsn()) \
    ELSE pg_current_wal_flush_lsn() END::text";

impl ServerLog {
    pub(super) fn ask(session: &mut Session, shown: &str) -> Result<ServerLog, CaptureError> {
        let rows = session.rows(LOG)?;
        let row = rows.into_iter().next().unwrap_or_default();
        parse(&row).ok_or_else(|| {
            unreadable(
                shown,
                "it does not say where its log is",
                "it must be PostgreSQL 13 or later",
            )
        })
    }
}

fn parse(row: &[Option<String>]) -> Option<ServerLog> {
    let mut fields = row.iter().map(|field| field.as_deref().unwrap_or_default());
    let mut next = || fields.next();
    let system = next()?.parse().ok()?;
    let version: u32 = next()?.parse().ok()?;
    let segment_size = next()?.parse().ok()?;
    let block_size = next()?.parse().ok()?;
    let timeline = u32::from_str_radix(next()?, 16).ok()?;
    let in_recovery = next()? == "true";
    Some(ServerLog {
        system,
        major: version / 10_000,
        segment_size,
        block_size,
        timeline: Timeline::new(timeline)?,
        in_recovery,
        flushed: next()?.parse().ok()?,
    })
}

impl Slot {
    /// The slot of this name; nothing if the server has none.
    pub(super) fn ask(session: &mut Session, name: &str) -> Result<Option<Slot>, CaptureError> {
        let name = literal(name);
        let rows = session.rows(&format!(
            "SELECT restart_lsn::text, coalesce(wal_status, '')::text, active::text FROM pg_replication_slots \
             WHERE slot_name = {name} AND slot_type = 'physical'"
        ))?;
        let Some(row) = rows.into_iter().next() else {
            return Ok(None);
        };
        let mut row = row.into_iter();
        let mut next = || row.next().flatten();
        let keeps_from = next().and_then(|lsn| lsn.parse().ok());
        Ok(Some(Slot {
            keeps_from,
            status: next().unwrap_or_default(),
            is_active: next().as_deref() == Some("true"),
        }))
    }

    /// Makes it; from this moment on the server keeps its log.
    pub(super) fn make(session: &mut Session, name: &str) -> Result<(), CaptureError> {
        let name = literal(name);
        session
            .rows(&format!(
                "SELECT slot_name::text FROM pg_create_physical_replication_slot({name}, true)"
            ))
            .map(drop)
    }

    /// Removes it.
    pub(super) fn drop(session: &mut Session, name: &str) -> Result<(), CaptureError> {
        let name = literal(name);
        session
            .rows(&format!("SELECT pg_drop_replication_slot({name})::text"))
            .map(drop)
    }

    /// Ends the connection that has it: that of a receiver whose owner was killed, or one that the network has swallowed.
    /// Whoever begins to receive is the only one who may.
    pub(super) fn free(session: &mut Session, name: &str) -> Result<(), CaptureError> {
        let name = literal(name);
        session
            .rows(&format!(
                "SELECT pg_terminate_backend(active_pid)::text FROM pg_replication_slots \
                 WHERE slot_name = {name} AND active_pid IS NOT NULL"
            ))
            .map(drop)
    }

    /// Whether the server still keeps what it promised.
    pub(super) fn holds(&self) -> bool {
        self.keeps_from.is_some() && self.status != "lost"
    }
}

/// The slot's name: letters, digits and underscores, at most 63 bytes. `mark` is what tells installations apart.
pub(super) fn slot_name(protection: &str, mark: &str) -> String {
    let plain = |text: &str| -> String {
        text.chars()
            .map(|c| match c.to_ascii_lowercase() {
                c if c.is_ascii_alphanumeric() => c,
                _ => '_',
            })
            .collect()
    };
    let (name, mark) = (plain(protection), plain(mark));
    let mark: String = mark.chars().take(8).collect();
    let name: String = name.chars().take(40).collect();
    format!("vouchsafe_{name}_{mark}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slots_name_is_one_that_servers_take() {
        let name = slot_name("shop-db/base", "3f9A00112233");
        assert_eq!(name, "vouchsafe_shop_db_base_3f9a0011");
        let long = slot_name(&"x".repeat(200), &"é".repeat(20));
        assert!(long.len() <= 63, "{long}");
        let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
        assert!(long.chars().all(fits), "{long}");
    }

    #[test]
    fn an_answer_is_read_or_refused() {
        let answer = |fields: [&str; 7]| {
            let row: Vec<_> = fields.iter().map(|f| Some((*f).to_owned())).collect();
            parse(&row)
        };
        let good = [
            "7",
            "150018",
            "16777216",
            "8192",
            "0000000A",
            "false",
            "0/3000028",
        ];
        let log = answer(good).unwrap();
        assert_eq!(
            (log.major, log.timeline.number(), log.flushed),
            (15, 10, Lsn(0x0300_0028))
        );
        for (at, bad) in [(0, ""), (2, "16MB"), (4, "0"), (6, "x")] {
            let mut fields = good;
            fields[at] = bad;
            assert_eq!(answer(fields), None, "{fields:?}");
        }
        assert_eq!(parse(&[]), None);
    }
}
