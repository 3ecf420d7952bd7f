//! For every statement of an append: fail there, go on or open again, find all of the batch or nothing.

use std::sync::{Arc, Mutex};

use vouchsafe_model::{Entry, Fact, Time};

use crate::database::{Database, Value};
use crate::key::SigningKey;
use crate::ledger::Ledger;
use crate::schema::Dialect;

/// When a fault comes, and what is left of the connection.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Plan {
    /// Which statement fails, from 0.
    at: usize,
    /// Whether it is carried out nevertheless, and only its answer is lost.
    carried_out: bool,
    /// Whether nothing works any more afterwards.
    for_good: bool,
}

struct Faulty {
    inner: Box<dyn Database>,
    plan: Plan,
    seen: Arc<Mutex<usize>>,
}

impl Faulty {
    fn step<T>(
        &mut self,
        deed: impl FnOnce(&mut dyn Database) -> Result<T, sqlx::Error>,
    ) -> Result<T, sqlx::Error> {
        let mut seen = self.seen.lock().unwrap();
        let step = *seen;
        *seen += 1;
        if step == self.plan.at {
            if self.plan.carried_out {
                deed(self.inner.as_mut())?;
            }
            return Err(sqlx::Error::WorkerCrashed);
        }
        if step > self.plan.at && self.plan.for_good {
            return Err(sqlx::Error::WorkerCrashed);
        }
        deed(self.inner.as_mut())
    }
}

impl Database for Faulty {
    fn dialect(&self) -> &'static Dialect {
        self.inner.dialect()
    }
    fn run(&mut self, sql: &str, args: &[Value]) -> Result<u64, sqlx::Error> {
        self.step(|inner| inner.run(sql, args))
    }
    fn rows(&mut self, sql: &str, args: &[Value]) -> Result<Vec<Vec<Value>>, sqlx::Error> {
        self.step(|inner| inner.rows(sql, args))
    }
}

fn entry(n: i64) -> Entry {
    Entry {
        v: 1,
        at: Time::from_secs(n),
        actor: "test".into(),
        tool: "test".into(),
        fact: Fact::Horizon {
            until: Time::from_secs(n + 10),
        },
    }
}

fn open(url: &str) -> Ledger {
    Ledger::open(url, SigningKey::from_seed([1; 32])).unwrap()
}

/// Puts the fault between the ledger and its database; the count of statements seen.
fn plant(ledger: &Ledger, plan: Plan) -> Arc<Mutex<usize>> {
    let seen = Arc::new(Mutex::new(0));
    let mut database = ledger.database.lock().unwrap();
    let stand_in = crate::database::connect("sqlite::memory:", true).unwrap();
    let inner = std::mem::replace(&mut *database, stand_in);
    *database = Box::new(Faulty {
        inner,
        plan,
        seen: Arc::clone(&seen),
    });
    seen
}

#[test]
fn a_failed_append_leaves_all_or_nothing() {
    for (carried_out, for_good) in [(false, false), (false, true), (true, false), (true, true)] {
        let mut committed = 0;
        for at in 0.. {
            let dir = tempfile::tempdir().unwrap();
            let url = format!("sqlite:{}/ledger.db", dir.path().display());
            let plan = Plan {
                at,
                carried_out,
                for_good,
            };
            let ledger = open(&url);
            ledger.append(&[entry(0)]).unwrap();
            let seen = plant(&ledger, plan);
            let done = ledger.append(&[entry(1), entry(2), entry(3)]);
            if *seen.lock().unwrap() <= at {
                assert!(done.is_ok(), "no fault was met, and it failed");
                assert!(at > 6, "an append has more statements than {at}");
                break;
            }
            assert!(done.is_err(), "{plan:?} was not told");
            let before = if for_good {
                drop(ledger);
                open(&url)
            } else {
                ledger
            };
            let size = before.len().unwrap();
            assert!(size == 1 || size == 4, "{plan:?}: {size} entries");
            committed += usize::from(size == 4);
            let horizon = if size == 1 { 10 } else { 13 };
            assert_eq!(before.horizon().unwrap(), Some(Time::from_secs(horizon)));
            before.append_at(size, &[entry(4)]).unwrap();
            assert!(before.verify(&[]).unwrap().is_sound(), "{plan:?}");
            drop(before);
            assert_eq!(open(&url).len().unwrap(), size + 1);
        }
        // Only where the answer to the commit is lost has it happened after all.
        assert_eq!(
            committed,
            usize::from(carried_out),
            "{carried_out} {for_good}"
        );
    }
}
