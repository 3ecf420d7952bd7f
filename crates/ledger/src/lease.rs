//! Leases with a fencing token: one holder at a time, and a late one can do no harm.

use vouchsafe_model::{Span, Time};

use crate::database::Value;
use crate::error::LedgerError;
use crate::ledger::Ledger;
use crate::schema;
use crate::session::{Session, int};

/// A lease that was granted.
///
/// Its end is told by the holders' clocks and only says when others may try; what protects the
/// record is the token, which grows with each grant and is compared in the writing transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lease {
    /// What it is on.
    pub name: String,
    /// Grows with each grant.
    pub token: u64,
    /// Others may take it after this time.
    pub until: Time,
}

impl Ledger {
    /// Takes the lease `name` for `holder` from `now` on; [`LedgerError::Leased`] if another holder
    /// has it. The same holder may take it again, and thereby ends its own earlier grant.
    pub fn take_lease(
        &self,
        name: &str,
        holder: &str,
        now: Time,
        length: Span,
    ) -> Result<Lease, LedgerError> {
        self.session().writing(|turn| {
            let mut token = 1;
            if let Some(current) = turn.lease(name)? {
                if current.holder != holder && current.until > now {
                    return Err(LedgerError::Leased {
                        name: name.to_owned(),
                        holder: current.holder,
                        until: current.until,
                    });
                }
                token = current.token.saturating_add(1);
            }
            let until = now.plus(length);
            let args = [
                Value::Text(name.to_owned()),
                Value::Text(holder.to_owned()),
                int(token),
                Value::Int(until.micros()),
            ];
            turn.run("take a lease", schema::TAKE_LEASE, &args)?;
            Ok(Lease {
                name: name.to_owned(),
                token,
                until,
            })
        })
    }

    /// Makes the lease last until `length` after `now`; [`LedgerError::LeaseLost`] if it has passed on.
    pub fn renew_lease(
        &self,
        lease: &Lease,
        now: Time,
        length: Span,
    ) -> Result<Lease, LedgerError> {
        let until = now.plus(length);
        self.extend_lease(lease, until)?;
        Ok(Lease {
            until,
            ..lease.clone()
        })
    }

    /// Gives the lease back, so that others need not wait for its end.
    pub fn release_lease(&self, lease: Lease) -> Result<(), LedgerError> {
        self.extend_lease(&lease, Time::MIN)
    }

    fn extend_lease(&self, lease: &Lease, until: Time) -> Result<(), LedgerError> {
        self.session().writing(|turn| {
            let args = [
                Value::Int(until.micros()),
                Value::Text(lease.name.clone()),
                int(lease.token),
            ];
            match turn.run("extend a lease", schema::EXTEND_LEASE, &args)? {
                1 => Ok(()),
                _ => Err(lost(lease)),
            }
        })
    }
}

struct Granted {
    holder: String,
    token: u64,
    until: Time,
}

impl Session<'_> {
    /// Whether the lease is still the last one granted.
    pub(crate) fn still_holds(&mut self, lease: &Lease) -> Result<(), LedgerError> {
        match self.lease(&lease.name)? {
            Some(current) if current.token == lease.token => Ok(()),
            _ => Err(lost(lease)),
        }
    }

    fn lease(&mut self, name: &str) -> Result<Option<Granted>, LedgerError> {
        let args = [Value::Text(name.to_owned())];
        let Some(row) = self.rows("read a lease", schema::READ_LEASE, &args)?.pop() else {
            return Ok(None);
        };
        let [holder, token, until] = self.columns("lease", row)?;
        Ok(Some(Granted {
            holder: self.text("holder", holder)?,
            token: self.count("token", &token)?,
            until: Time::from_micros(self.int("lease", &until)?),
        }))
    }
}

fn lost(lease: &Lease) -> LedgerError {
    LedgerError::LeaseLost {
        name: lease.name.clone(),
        token: lease.token,
    }
}
