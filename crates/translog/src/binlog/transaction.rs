//! Which events belong together to a transaction, and how it ends.

use vouchsafe_model::Time;

use super::content::{self, EventHeader, Statement};
use super::error::BinlogError;
use super::event::{BinlogMeaning, EventKind, LogGtid, Outcome, Transaction};
use super::gtids::GtidState;

/// A transaction that has begun.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Open {
    pub(crate) begin: u64,
    gtid: LogGtid,
    /// If the beginning says it.
    time: Option<Time>,
    /// It goes on until a commit: a `BEGIN` has come, or none is needed.
    grouped: bool,
}

/// Takes one event after the other.
#[derive(Debug, Clone, Default)]
pub(crate) struct Grouping {
    pub(crate) open: Option<Open>,
    pub(crate) gtids: GtidState,
}

impl Grouping {
    /// What the event is for the transaction it belongs to. Its body is without the checksum, and may be cut off.
    pub(crate) fn take(
        &mut self,
        at: u64,
        header: &EventHeader,
        body: &[u8],
        length: usize,
    ) -> Result<BinlogMeaning, BinlogError> {
        let kind = EventKind(header.kind);
        let malformed = BinlogError::Malformed { at, kind };
        match kind {
            EventKind::GTID | EventKind::ANONYMOUS => {
                let (gtid, micros) = content::gtid(body).ok_or(malformed)?;
                self.begin_mysql(at, (kind == EventKind::GTID).then_some(gtid), micros)
            }
            EventKind::TAGGED_GTID => {
                let (gtid, micros) = super::tagged::gtid(body).ok_or(malformed)?;
                self.begin_mysql(at, Some(gtid), Some(micros))
            }
            EventKind::MARIA_GTID => {
                let begin = content::maria_gtid(body, header.server).ok_or(malformed)?;
                self.refuse_open(at)?;
                let gtid = self.gtids.begin_maria(begin.gtid);
                Ok(self.begin(at, gtid, None, !begin.standalone))
            }
            EventKind::QUERY => {
                let statement = content::statement(body, length).ok_or(malformed)?;
                Ok(self.statement(at, header, statement))
            }
            EventKind::MARIA_COMPRESSED_QUERY => Ok(self.statement(at, header, Statement::Other)),
            EventKind::XID | EventKind::PAYLOAD | EventKind::INCIDENT => {
                Ok(self.end(at, header, Outcome::Committed))
            }
            EventKind::XA_PREPARE => {
                // Its first byte says that the transaction is committed at once.
                let [at_once, ..] = body else {
                    return Err(malformed);
                };
                let outcome = if *at_once == 0 {
                    Outcome::Prepared
                } else {
                    Outcome::Committed
                };
                Ok(self.end(at, header, outcome))
            }
            _ => Ok(BinlogMeaning::Other),
        }
    }

    /// Fails if a transaction is open.
    pub(crate) fn refuse_open(&self, at: u64) -> Result<(), BinlogError> {
        match &self.open {
            Some(open) => Err(BinlogError::Unfinished {
                at,
                begun: open.begin,
            }),
            None => Ok(()),
        }
    }

    fn begin_mysql(
        &mut self,
        at: u64,
        gtid: Option<crate::gtid::Gtid>,
        micros: Option<u64>,
    ) -> Result<BinlogMeaning, BinlogError> {
        self.refuse_open(at)?;
        let time = micros.and_then(|micros| i64::try_from(micros).ok());
        let gtid = match gtid {
            Some(gtid) => self.gtids.begin(at, gtid)?,
            None => LogGtid::Anonymous,
        };
        Ok(self.begin(at, gtid, time.map(Time::from_micros), false))
    }

    fn begin(
        &mut self,
        begin: u64,
        gtid: LogGtid,
        time: Option<Time>,
        grouped: bool,
    ) -> BinlogMeaning {
        self.open = Some(Open {
            begin,
            gtid: gtid.clone(),
            time,
            grouped,
        });
        BinlogMeaning::Begin(gtid)
    }

    fn statement(&mut self, at: u64, header: &EventHeader, statement: Statement) -> BinlogMeaning {
        let grouped = self.open.as_ref().is_some_and(|open| open.grouped);
        match (statement, grouped) {
            (Statement::Begin, _) => {
                let open = self.open.get_or_insert(Open {
                    begin: at,
                    gtid: LogGtid::Anonymous,
                    time: None,
                    grouped: true,
                });
                open.grouped = true;
                BinlogMeaning::Other
            }
            (Statement::Rollback, true) => self.end(at, header, Outcome::RolledBack),
            (Statement::Commit, true) | (_, false) => self.end(at, header, Outcome::Committed),
            (Statement::Other, true) => BinlogMeaning::Other,
        }
    }

    fn end(&mut self, at: u64, header: &EventHeader, outcome: Outcome) -> BinlogMeaning {
        let open = self.open.take();
        let written = Time::from_secs(i64::from(header.time));
        let (begin, gtid, time) = match open {
            Some(open) => (open.begin, open.gtid, open.time),
            None => (at, LogGtid::Anonymous, None),
        };
        self.gtids.end(&gtid);
        BinlogMeaning::End(Transaction {
            gtid,
            begin,
            time: time.unwrap_or(written),
            outcome,
        })
    }
}
