//! What a test may do to the server: `simulate`, a command that no real one has.

use std::time::{Duration, Instant};

use bson::doc;

use super::{Call, size, whole};
use crate::fault::{Answer, BAD_VALUE, Fault, number};
use crate::server::Refusal;
use crate::session::Session;

pub(super) fn command(call: &mut Call<'_>) -> Answer {
    let asked = call.document("simulate")?;
    let count = |name: &str| size(asked.get(name).and_then(whole));
    let time = |name: &str| {
        asked
            .get(name)
            .and_then(whole)
            .and_then(|ms| u64::try_from(ms).ok())
            .map(Duration::from_millis)
    };
    let mut shared = call.server.lock();
    let mut done = false;
    if let Some(count) = count("rollOplog") {
        shared.state.roll(count);
        done = true;
    }
    if let Some(count) = count("rollback") {
        shared.state.roll_back(count);
        shared.cursors.clear();
        shared
            .sessions
            .values_mut()
            .for_each(|session| *session = Session::default());
        done = true;
    }
    if let Some(time) = time("stepDown") {
        shared.stepped_down = Some(Instant::now() + time);
        shared
            .sessions
            .values_mut()
            .for_each(|session| session.transaction = None);
        done = true;
    }
    if asked.get("newTerm").is_some_and(crate::filter::truth) {
        shared.state.new_term();
        done = true;
    }
    if let Some(time) = time("freeze") {
        shared.frozen = Some(Instant::now() + time);
        done = true;
    }
    if asked.get("killCursors").is_some_and(crate::filter::truth) {
        shared.cursors.clear();
        done = true;
    }
    if let Ok(command) = asked.get_str("refuse") {
        shared.refusals.push(Refusal {
            command: command.to_owned(),
            code: asked
                .get("code")
                .and_then(whole)
                .and_then(|code| i32::try_from(code).ok())
                .unwrap_or(1),
            left: asked.get("times").and_then(whole).unwrap_or(1),
        });
        done = true;
    }
    let entries = number(shared.state.oplog().len());
    drop(shared);
    call.server.wake();
    if asked
        .get("dropConnections")
        .is_some_and(crate::filter::truth)
    {
        call.server.drop_connections(Some(call.connection.number));
        done = true;
    }
    match done {
        true => Ok(doc! { "oplogEntries": entries }),
        false => Err(Fault::new(
            BAD_VALUE,
            format!("nothing to simulate is known in {asked}"),
        )),
    }
}
