//! The transactions that are in a log so far, in the way of either server.

use serde::{Deserialize, Serialize};

use super::error::BinlogError;
use super::event::LogGtid;
use crate::gtid::{Continuity, Gtid, GtidSet, MariaGtid, MariaPosition};

/// All transactions up to a place in the log.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GtidState {
    /// Nothing is known of them.
    #[default]
    Unknown,
    /// MySQL: a set.
    MySql(GtidSet),
    /// MariaDB: the last of each domain.
    MariaDb(MariaPosition),
}

impl GtidState {
    /// MySQL says what comes before a file: it has to be what was there.
    pub(crate) fn begin_with_set(&mut self, found: &GtidSet) -> Result<(), BinlogError> {
        if let GtidState::MySql(expected) = &*self
            && expected != found
        {
            return Err(BinlogError::Previous {
                missing: found.subtract(expected),
                unknown: expected.subtract(found),
            });
        }
        *self = GtidState::MySql(found.clone());
        Ok(())
    }

    /// MariaDB says what comes before a file: it has to be what was there.
    pub(crate) fn begin_with_list(&mut self, list: &[MariaGtid]) -> Result<(), BinlogError> {
        let mut found = MariaPosition::default();
        for gtid in list {
            found.set(*gtid);
        }
        if let GtidState::MariaDb(expected) = &*self
            && *expected != found
        {
            let expected = expected.clone();
            return Err(BinlogError::Position { expected, found });
        }
        *self = GtidState::MariaDb(found);
        Ok(())
    }

    /// MySQL's transaction begins, if it is not there already.
    pub(crate) fn begin(&self, at: u64, gtid: Gtid) -> Result<LogGtid, BinlogError> {
        match self {
            GtidState::MySql(set) if set.contains(&gtid) => Err(BinlogError::Repeated { at, gtid }),
            _ => Ok(LogGtid::MySql(gtid)),
        }
    }

    /// MariaDB's transaction begins.
    pub(crate) fn begin_maria(&self, gtid: MariaGtid) -> LogGtid {
        let continuity = match self {
            GtidState::MariaDb(position) => position.step(gtid),
            _ => Continuity::First,
        };
        LogGtid::MariaDb(gtid, continuity)
    }

    /// The transaction has ended: from now on it is among them. Where nothing is known of what was before, nothing is
    /// known of a set by one more; a position is known by its last.
    pub(crate) fn end(&mut self, gtid: &LogGtid) {
        match (&mut *self, gtid) {
            (GtidState::MySql(set), LogGtid::MySql(gtid)) => {
                set.add(gtid);
            }
            (GtidState::MariaDb(position), LogGtid::MariaDb(gtid, _)) => {
                position.follow(*gtid);
            }
            (GtidState::Unknown, LogGtid::MariaDb(gtid, _)) => {
                let mut position = MariaPosition::default();
                position.set(*gtid);
                *self = GtidState::MariaDb(position);
            }
            _ => {}
        }
    }
}
