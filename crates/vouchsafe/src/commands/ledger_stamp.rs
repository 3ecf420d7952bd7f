//! `ledger timestamp`, and what examiners are told of time stamps.

use std::path::Path;

use vouchsafe_evidence::count;
use vouchsafe_host::files;
use vouchsafe_keeper::{KeeperError, LONGEST_ROOTS, StampOrder};
use vouchsafe_ledger::{LONGEST_STAMP, StampRoots, StampedBy};
use vouchsafe_model::Span;

use crate::args::ledger::Timestamp;
use crate::exit::{Exit, Failure};
use crate::reporter::Console;
use crate::session::Session;

/// The roots in a file.
pub(super) fn roots(path: &Path) -> Result<StampRoots, Failure> {
    let pem = files::read(path, LONGEST_ROOTS).map_err(KeeperError::from)?;
    let roots = StampRoots::parse(&pem);
    roots.map_err(|e| Failure::Usage(format!("{}: {e}", path.display())))
}

/// `ledger timestamp`
pub(super) fn timestamp(session: &Session, args: &Timestamp) -> Result<Exit, Failure> {
    let keeper = session.keeper()?;
    let reporter = Console::new(session.output);
    if let Some(path) = &args.query {
        let (query, size) = keeper.begin_stamp()?;
        files::write_atomic(path, &query, 0o644).map_err(KeeperError::from)?;
        if session.output.json {
            session.output.json(&serde_json::json!({
                "event": "result", "query": path, "size": size,
            }))?;
            return Ok(Exit::Met);
        }
        let path = path.display();
        session.output.text(&format!(
            "wrote the request for a time stamp of {} to {path}\nsend it as it is to an authority, and take its answer in with --reply:\n  curl -H 'Content-Type: application/timestamp-query' --data-binary @{path} -o reply.tsr URL\n  vouchsafe ledger timestamp --reply reply.tsr --root ROOT.pem",
            count(size, "entry")
        ))?;
        return Ok(Exit::Met);
    }
    let said = keeper.policy.timestamps.as_ref();
    let root = args.root.as_ref().or(said.map(|said| &said.root));
    let Some(root) = root else {
        return Err(Failure::Usage(
            "say with --root FILE which roots the authority must lead to, or with `timestamps` in the policy".to_owned(),
        ));
    };
    let roots = roots(root)?;
    let stamp = match &args.reply {
        Some(reply) => {
            let answer = files::read(reply, LONGEST_STAMP as u64).map_err(KeeperError::from)?;
            keeper.answer_stamp(&answer, &roots, &reporter)?
        }
        None => {
            let authority = args.tsa.as_ref().or(said.map(|said| &said.authority));
            let Some(authority) = authority else {
                return Err(Failure::Usage(
                    "say whom to ask with --tsa URL, or with `timestamps` in the policy; or write the request with --query FILE".to_owned(),
                ));
            };
            let order = StampOrder {
                authority,
                min_tls: args
                    .min_tls
                    .or(said.map(|said| said.min_tls))
                    .unwrap_or_default(),
                roots: &roots,
            };
            keeper.stamp(&order, &reporter)?
        }
    };
    if session.output.json {
        session.output.json(&serde_json::json!({
            "event": "result", "authority": stamp.authority, "size": stamp.tree_size, "at": stamp.seen,
            "accuracy_micros": stamp.accuracy_micros, "policy": stamp.policy, "serial": stamp.serial,
        }))?;
        return Ok(Exit::Met);
    }
    session.output.text(&format!(
        "{} has stamped the head of {} with the time {}",
        stamp.authority,
        count(stamp.tree_size, "entry"),
        stamp.seen
    ))?;
    Ok(Exit::Met)
}

/// What the examination of a record found, as a line.
pub(super) fn line(stamp: &StampedBy, roots_given: bool) -> String {
    let known = match (stamp.is_trusted, roots_given) {
        (true, _) => "",
        (false, true) => ", who leads to none of the roots given",
        (false, false) => {
            ", an authority that the record itself names: give --tsa-root to hold it against a root that you trust"
        }
    };
    let accuracy = stamp.accuracy_micros.map(|micros| {
        let span = Span::from_micros(micros);
        format!(" (± {span})")
    });
    format!(
        "stamped up to {} at {}{} by {}{known}",
        count(stamp.size, "entry"),
        stamp.at,
        accuracy.unwrap_or_default(),
        stamp.authority
    )
}
