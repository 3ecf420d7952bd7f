//! `ledger cosign` and `ledger witnessed`: others who have seen the record.

use vouchsafe_evidence::count;
use vouchsafe_host::files;
use vouchsafe_keeper::{CosignOrder, Cosigning, KeeperError};
use vouchsafe_ledger::WitnessKey;

use crate::args::ledger::{Cosign, Witnessed};
use crate::commands::ledger_proofs::put;
use crate::exit::{Exit, Failure};
use crate::output::Output;
use crate::reporter::Console;
use crate::session::Session;

/// The public keys of witnesses, as given.
pub(super) fn keys(texts: &[String]) -> Result<Vec<WitnessKey>, Failure> {
    let keys = texts.iter().map(|text| WitnessKey::parse(text));
    Ok(keys.collect::<Result<_, _>>().map_err(KeeperError::from)?)
}

/// `ledger cosign`
pub(super) fn cosign(session: &Session, args: &Cosign) -> Result<Exit, Failure> {
    let order = CosignOrder {
        export: &args.export,
        dir: &args.witness,
        name: args.name.as_deref(),
        key: args.key.as_deref(),
    };
    let had_seen = |before: Option<u64>| match before {
        Some(size) => format!("had seen {} before", count(size, "entry")),
        None => "sees this record for the first time".to_owned(),
    };
    match vouchsafe_keeper::cosign(&order, &session.tools)? {
        Cosigning::Signed {
            note,
            witness,
            size,
            before,
        } => {
            if session.output.json {
                session.output.json(&serde_json::json!({
                    "signed": true, "size": size, "before": before,
                    "witness": witness.to_string(), "note": note,
                }))?;
                if args.output.is_none() {
                    return Ok(Exit::Met);
                }
            }
            put(session, args.output.as_deref(), &note)?;
            Output::complain(&format!(
                "{} has signed the head of {}; it {}\nbring it back with `vouchsafe ledger witnessed FILE --witness {witness}`",
                witness.name(),
                count(size, "entry"),
                had_seen(before)
            ));
            Ok(Exit::Met)
        }
        Cosigning::Refused { reasons, before } => {
            if session.output.json {
                session.output.json(&serde_json::json!({
                    "signed": false, "before": before, "reasons": reasons,
                }))?;
                return Ok(Exit::NotMet);
            }
            let mut lines = vec![format!("✗ not signed: this witness {}", had_seen(before))];
            lines.extend(reasons.iter().map(|reason| format!("✗ {reason}")));
            session.output.text(&lines.join("\n"))?;
            Ok(Exit::NotMet)
        }
    }
}

/// `ledger witnessed`
pub(super) fn witnessed(session: &Session, args: &Witnessed) -> Result<Exit, Failure> {
    let keeper = session.keeper()?;
    let witness = WitnessKey::parse(&args.witness).map_err(KeeperError::from)?;
    let note = files::read_to_string(&args.note, 64 << 10).map_err(KeeperError::from)?;
    let seen = keeper.take_witnessing(&note, &witness, &Console::new(session.output))?;
    if session.output.json {
        session.output.json(&serde_json::json!({
            "event": "result", "witness": seen.witness, "size": seen.tree_size, "at": seen.seen,
        }))?;
        return Ok(Exit::Met);
    }
    session.output.text(&format!(
        "{} has seen the record up to {} at {}",
        witness.name(),
        count(seen.tree_size, "entry"),
        seen.seen.minute()
    ))?;
    Ok(Exit::Met)
}
