//! What is often asked, kept beside the entries in the same transactions: horizon and known obligations.

use std::collections::{BTreeMap, BTreeSet};

use vouchsafe_model::{Fact, ObligationId, Time};

use crate::database::Value;
use crate::error::{Corruption, LedgerError};
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

    /// Makes the projections anew from the entries.
    pub fn rebuild_projections(&self) -> Result<(), LedgerError> {
        let (obligations, horizon) = self.compute_projections()?;
        self.session().writing(|turn| {
            turn.run("clear a projection", schema::DROP_OBLIGATIONS, &[])?;
            for (id, seq) in &obligations {
                let args = [Value::Text(id.to_string()), int(*seq)];
                turn.run("write a projection", schema::NOTE_OBLIGATION, &args)?;
            }
            let args = [time_value(horizon)];
            turn.run("write a projection", schema::SET_HORIZON, &args)?;
            Ok(())
        })
    }

    /// Holds the projections against the entries.
    pub(crate) fn check_projections(&self) -> Result<(), LedgerError> {
        let (obligations, horizon) = self.compute_projections()?;
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

    fn compute_projections(&self) -> Result<(Known, Option<Time>), LedgerError> {
        let mut obligations = Known::new();
        let mut horizon = None;
        self.each(0..self.len()?, |recorded| {
            match recorded.entry.fact {
                Fact::ObligationDue(due) => {
                    obligations.entry(due.id).or_insert(recorded.seq);
                }
                Fact::ObligationsWithdrawn {
                    obligations: ids, ..
                } => {
                    for id in &ids {
                        obligations.remove(id);
                    }
                }
                Fact::Horizon { until } => horizon = horizon.max(Some(until)),
                _ => {}
            }
            Ok(())
        })?;
        Ok((obligations, horizon))
    }
}

/// Obligations and the entries that first named them.
type Known = BTreeMap<ObligationId, u64>;

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
