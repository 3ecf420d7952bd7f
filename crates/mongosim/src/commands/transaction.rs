//! Writes and transactions that have a number: what was answered once is answered again, and not done twice.

use bson::{Bson, Document};

use super::{Call, dispatch, must_be_primary};
use crate::fault::{Answer, BAD_VALUE, Fault, NO_SUCH_TRANSACTION};
use crate::session::Transaction;

/// Whether a command belongs to a transaction, or is a write that may be asked for again.
pub(super) fn is_numbered(call: &Call<'_>) -> bool {
    call.body.contains_key("txnNumber") && call.body.contains_key("lsid")
}

pub(super) fn run(call: &mut Call<'_>) -> Answer {
    let number = call.number("txnNumber").unwrap_or(0);
    let lsid = call.document("lsid")?;
    let key = match lsid.get("id") {
        Some(Bson::Binary(id)) => id.bytes.clone(),
        _ => return Err(Fault::new(BAD_VALUE, "a session needs an id")),
    };
    match call.body.get("autocommit") {
        None => again(call, key, number),
        Some(_) if call.name == "commitTransaction" => commit(call, &key, number, &lsid),
        Some(_) if call.name == "abortTransaction" => {
            let mut shared = call.server.lock();
            match shared
                .sessions
                .entry(key)
                .or_default()
                .transaction
                .take_if(|open| open.number == number)
            {
                Some(_) => Ok(Document::new()),
                None => Err(none(number)),
            }
        }
        Some(_) => within(call, key, number),
    }
}

fn none(number: i64) -> Fault {
    let message =
        format!("Given transaction number {number} does not match any in-progress transactions.");
    Fault::new(NO_SUCH_TRANSACTION, message).labelled("TransientTransactionError")
}

/// A single write: what was answered to its number before is answered again.
fn again(call: &mut Call<'_>, key: Vec<u8>, number: i64) -> Answer {
    let session = |call: &Call<'_>| {
        call.server
            .lock()
            .sessions
            .get(&key)
            .and_then(|session| session.answered.clone())
    };
    match session(call) {
        Some((before, answer)) if before == number => return Ok(answer),
        Some((before, _)) if before > number => {
            let message = format!(
                "Cannot start transaction with number {number}: a newer one, {before}, has already started"
            );
            return Err(Fault::new(225, message));
        }
        _ => {}
    }
    let answer = dispatch(call, None)?;
    call.server.lock().sessions.entry(key).or_default().answered = Some((number, answer.clone()));
    Ok(answer)
}

/// A command of a transaction. One that fails ends it.
fn within(call: &mut Call<'_>, key: Vec<u8>, number: i64) -> Answer {
    let mut open = {
        let mut shared = call.server.lock();
        let now = shared.state.now();
        let session = shared.sessions.entry(key.clone()).or_default();
        match call.body.get("startTransaction").and_then(Bson::as_bool) {
            Some(true) => Transaction::begin(number, now),
            _ => session
                .transaction
                .take_if(|open| open.number == number)
                .ok_or_else(|| none(number))?,
        }
    };
    let answer = dispatch(call, Some(&mut open))?;
    call.server
        .lock()
        .sessions
        .entry(key)
        .or_default()
        .transaction = Some(open);
    Ok(answer)
}

fn commit(call: &Call<'_>, key: &[u8], number: i64, lsid: &Document) -> Answer {
    let mut shared = call.server.lock();
    must_be_primary(&mut shared)?;
    let session = shared.sessions.entry(key.to_vec()).or_default();
    if session.committed == Some(number) {
        return Ok(Document::new());
    }
    let open = session
        .transaction
        .take_if(|open| open.number == number)
        .ok_or_else(|| none(number))?;
    open.commit(&mut shared.state, lsid)?;
    shared.sessions.entry(key.to_vec()).or_default().committed = Some(number);
    call.server.wake();
    Ok(Document::new())
}
