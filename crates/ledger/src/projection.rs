//! What is often asked, kept beside the entries in the same transactions: horizon and known obligations.

use std::borrow::Cow;
use std::collections::{BTreeSet, HashMap};

use serde::Deserialize;
use vouchsafe_model::{Fact, ObligationId, Time};

use crate::database::Value;
use crate::entry::ENTRY_VERSION;
use crate::error::{Corruption, LedgerError};
use crate::hands::map_all;
use crate::ledger::Ledger;
use crate::schema;
use crate::session::{Session, int};

impl Ledger {
    /// The latest time up to which every obligation is in the ledger; nothing if none was stated yet.
    pub fn horizon(&self) -> Result<Option<Time>, LedgerError> {
        Ok(self.session().must_state()?.horizon)
    }

    /// The ids of all obligations that were written ahead and not withdrawn since.
    pub fn known_obligation_ids(&self) -> Result<BTreeSet<ObligationId>, LedgerError> {
        let stored = stored_obligations(&mut self.session())?;
        Ok(stored.into_keys().collect())
    }

    /// Makes the projections anew from the entries; [`LedgerError::Stale`] if somebody appends meanwhile.
    pub fn rebuild_projections(&self) -> Result<(), LedgerError> {
        let expected = self.len()?;
        let (obligations, horizon) = self.compute_projections(expected)?;
        // In the order of the table's key, which is how it is filled fastest.
        let mut obligations: Vec<(ObligationId, u64)> = obligations.into_iter().collect();
        obligations.sort_unstable();
        self.session().writing(|turn| {
            let actual = turn.must_state()?.frontier.size();
            if actual != expected {
                return Err(LedgerError::Stale { expected, actual });
            }
            turn.run("clear a projection", schema::DROP_OBLIGATIONS, &[])?;
            for rows in obligations.chunks(ROWS) {
                let args: Vec<Value> = rows
                    .iter()
                    .flat_map(|(id, seq)| [Value::Text(id.to_string()), int(*seq)])
                    .collect();
                let sql = schema::note_obligations(rows.len());
                turn.run("write a projection", &sql, &args)?;
            }
            let args = [time_value(horizon)];
            turn.run("write a projection", schema::SET_HORIZON, &args)?;
            Ok(())
        })
    }

    /// Holds the projections against the entries.
    pub(crate) fn check_projections(&self) -> Result<(), LedgerError> {
        let (obligations, horizon) = self.compute_projections(self.len()?)?;
        if stored_obligations(&mut self.session())? != obligations {
            return Err(self.corrupt(Corruption::Projection {
                what: "obligations",
            }));
        }
        if self.horizon()? != horizon {
            return Err(self.corrupt(Corruption::Projection { what: "horizon" }));
        }
        Ok(())
    }

    fn compute_projections(&self, size: u64) -> Result<(Known, Option<Time>), LedgerError> {
        let mut obligations = Known::new();
        let mut horizon = None;
        self.each_page(0..size, |first, bodies| {
            let Some(noted) = map_all(&bodies, |_, body| noted(body)) else {
                // One of them cannot be read: which, and why.
                let mut read = (first..).zip(&bodies);
                read.try_for_each(|(seq, body)| self.session().entry(seq, body).map(drop))?;
                return Err(self.corrupt(Corruption::Entry { seq: first }));
            };
            for (seq, noted) in (first..).zip(noted) {
                match noted {
                    Noted::Due(id) => {
                        obligations.entry(id).or_insert(seq);
                    }
                    Noted::Withdrawn(ids) => ids.iter().for_each(|id| {
                        obligations.remove(id);
                    }),
                    Noted::Horizon(until) => horizon = horizon.max(Some(until)),
                    Noted::Nothing => {}
                }
            }
            Ok(())
        })?;
        Ok((obligations, horizon))
    }
}

/// What an entry says that the projections keep.
enum Noted {
    Due(ObligationId),
    Withdrawn(Vec<ObligationId>),
    Horizon(Time),
    Nothing,
}

/// Reads no more of an entry than that; nothing if it cannot be read.
fn noted(body: &[u8]) -> Option<Noted> {
    #[derive(Deserialize)]
    struct Kind<'a> {
        v: u32,
        #[serde(borrow)]
        fact: Cow<'a, str>,
    }
    #[derive(Deserialize)]
    struct Due {
        id: ObligationId,
    }
    #[derive(Deserialize)]
    struct Withdrawn {
        obligations: Vec<ObligationId>,
    }
    #[derive(Deserialize)]
    struct Until {
        until: Time,
    }
    let kind: Kind<'_> = serde_json::from_slice(body).ok()?;
    if kind.v != ENTRY_VERSION {
        return None;
    }
    let read = match kind.fact.as_ref() {
        "obligation-due" => serde_json::from_slice(body).map(|due: Due| Noted::Due(due.id)),
        "obligations-withdrawn" => serde_json::from_slice(body)
            .map(|withdrawn: Withdrawn| Noted::Withdrawn(withdrawn.obligations)),
        "horizon" => serde_json::from_slice(body).map(|until: Until| Noted::Horizon(until.until)),
        _ => return Some(Noted::Nothing),
    };
    read.ok()
}

/// How many obligations one statement writes.
const ROWS: usize = 500;

/// Obligations and the entries that first named them.
type Known = HashMap<ObligationId, u64>;

/// The projections' part of a growing ledger.
pub(crate) struct Projected {
    horizon: Option<Time>,
}

impl Projected {
    pub(crate) fn new(horizon: Option<Time>) -> Projected {
        Projected { horizon }
    }

    /// Takes in one more fact.
    pub(crate) fn note(
        &mut self,
        turn: &mut Session<'_>,
        seq: u64,
        fact: &Fact,
    ) -> Result<(), LedgerError> {
        match fact {
            Fact::ObligationDue(due) => {
                let args = [Value::Text(due.id.to_string()), int(seq)];
                turn.run("note an obligation", schema::NOTE_OBLIGATION, &args)?;
            }
            Fact::ObligationsWithdrawn { obligations, .. } => {
                for id in obligations {
                    let args = [Value::Text(id.to_string())];
                    turn.run("note an obligation", schema::FORGET_OBLIGATION, &args)?;
                }
            }
            Fact::Horizon { until } => self.horizon = self.horizon.max(Some(*until)),
            _ => {}
        }
        Ok(())
    }

    pub(crate) fn horizon_value(&self) -> Value {
        time_value(self.horizon)
    }
}

fn time_value(time: Option<Time>) -> Value {
    time.map_or(Value::Null, |time| Value::Int(time.micros()))
}

fn stored_obligations(turn: &mut Session<'_>) -> Result<Known, LedgerError> {
    let rows = turn.rows("read obligations", schema::READ_OBLIGATIONS, &[])?;
    rows.into_iter()
        .map(|row| {
            let [id, seq] = turn.columns("obligation", row)?;
            let id = ObligationId::new(turn.text("obligation", id)?)
                .map_err(|_| turn.corrupt(Corruption::Value { what: "obligation" }))?;
            Ok((id, turn.count("seq", &seq)?))
        })
        .collect()
}
