//! The transactions that are in a log so far, in the way of either server.

use super::error::BinlogError;
use crate::gtid::{Continuity, Gtid, GtidSet, MariaGtid, MariaPosition};

/// All transactions up to a place in the log.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
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

    pub(crate) fn add(&mut self, at: u64, gtid: &Gtid) -> Result<(), BinlogError> {
        if let GtidState::MySql(set) = self {
            if set.contains(gtid) {
                let gtid = gtid.clone();
                return Err(BinlogError::Repeated { at, gtid });
            }
            set.add(gtid);
        }
        Ok(())
    }

    pub(crate) fn follow(&mut self, gtid: MariaGtid) -> Continuity {
        match self {
            GtidState::MariaDb(position) => position.follow(gtid),
            _ => {
                let mut position = MariaPosition::default();
                let continuity = position.follow(gtid);
                *self = GtidState::MariaDb(position);
                continuity
            }
        }
    }
}
