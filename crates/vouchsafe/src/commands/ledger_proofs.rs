//! `ledger prove`, `check-proof` and `export --tiles`: what shows single entries, and growth, to others.

use std::path::Path;

use vouchsafe_evidence::count;
use vouchsafe_host::files;
use vouchsafe_keeper::{KeeperError, chain};
use vouchsafe_ledger::{ProofError, Proven, VerifyingKey, check_proof};

use crate::args::ledger::{CheckProof, Prove};
use crate::commands::ledger_witness;
use crate::exit::{Exit, Failure};
use crate::output::Output;
use crate::session::Session;

/// The longest proof: an entry in base64, and what stands around it.
const LONGEST: u64 = 8 << 20;

/// `ledger prove`
pub(super) fn prove(session: &Session, args: &Prove) -> Result<Exit, Failure> {
    let keeper = session.keeper()?;
    let proof = match (args.entry, args.from_size) {
        (Some(entry), _) => keeper.ledger.prove_entry(entry, args.size),
        (None, from) => keeper
            .ledger
            .prove_growth(from.unwrap_or_default(), args.size),
    };
    let proof = proof.map_err(KeeperError::from)?;
    put(session, args.output.as_deref(), &proof)?;
    Ok(Exit::Met)
}

/// Writes a text to a new file, or to standard output.
pub(super) fn put(session: &Session, output: Option<&Path>, text: &str) -> Result<(), Failure> {
    match output {
        None => session.output.text(text)?,
        Some(path) => {
            let mut file = files::create_new(path, 0o644).map_err(KeeperError::from)?;
            std::io::Write::write_all(&mut file, text.as_bytes())?;
            Output::complain(&format!("wrote {}", path.display()));
        }
    }
    Ok(())
}

/// `ledger check-proof`
pub(super) fn check(session: &Session, args: &CheckProof) -> Result<Exit, Failure> {
    let key = VerifyingKey::parse(&args.key).map_err(|e| Failure::Usage(chain(&e)))?;
    let witnesses = ledger_witness::keys(&args.witness)?;
    let read = |path: &Path| files::read_to_string(path, LONGEST).map_err(KeeperError::from);
    let proof = read(&args.proof)?;
    let older = args.head.as_deref().map(read).transpose()?;
    let proven = match check_proof(&proof, &key, older.as_deref(), &witnesses) {
        Ok(proven) => proven,
        Err(error @ (ProofError::Form | ProofError::OlderHead { .. })) => {
            let place = args.proof.display();
            return Err(Failure::Usage(format!("{place}: {}", chain(&error))));
        }
        Err(error) => {
            match session.output.json {
                true => session.output.json(&serde_json::json!({
                    "proven": false, "reason": chain(&error),
                }))?,
                false => session.output.text(&format!("✗ {}", chain(&error)))?,
            }
            return Ok(Exit::NotMet);
        }
    };
    let (head, witnesses) = match &proven {
        Proven::Entry {
            head, witnesses, ..
        }
        | Proven::Growth {
            head, witnesses, ..
        } => (head, witnesses),
    };
    let names: Vec<&str> = witnesses.iter().map(|w| w.witness.as_str()).collect();
    if session.output.json {
        let mut json = serde_json::json!({
            "proven": true, "size": head.size, "root": head.root, "witnesses": names,
        });
        match &proven {
            Proven::Entry { index, entry, .. } => {
                json["index"] = (*index).into();
                json["entry"] = serde_json::from_slice(entry).unwrap_or_default();
            }
            Proven::Growth { from, .. } => json["from"] = from.size.into(),
        }
        session.output.json(&json)?;
        return Ok(Exit::Met);
    }
    let mut lines = Vec::new();
    match &proven {
        Proven::Entry { index, entry, .. } => {
            lines.push(String::from_utf8_lossy(entry).into_owned());
            lines.push(format!(
                "✓ this is entry {index} of the record that the head of {} covers",
                count(head.size, "entry")
            ));
        }
        Proven::Growth { from, .. } => lines.push(format!(
            "✓ the head of {} goes on from the one of {}: nothing before was changed",
            count(head.size, "entry"),
            from.size
        )),
    }
    lines.extend(names.iter().map(|name| format!("✓ witnessed by {name}")));
    session.output.text(&lines.join("\n"))?;
    Ok(Exit::Met)
}

/// `ledger export --tiles`
pub(super) fn tiles(session: &Session, dir: &Path) -> Result<Exit, Failure> {
    let keeper = session.keeper()?;
    files::create_dir(dir, 0o755).map_err(KeeperError::from)?;
    let written = keeper.ledger.tiles(&mut |name, bytes| {
        let path = dir.join(name);
        if let Some(parent) = path.parent() {
            files::create_dir_all(parent, 0o755)?;
        }
        Ok(files::write_atomic(&path, bytes, 0o644)?)
    });
    let size = written.map_err(|e| KeeperError::Damaged {
        place: dir.display().to_string(),
        message: chain(&e),
    })?;
    session.output.text(&format!(
        "wrote tiles of {} to {}",
        count(size, "entry"),
        dir.display()
    ))?;
    Ok(Exit::Met)
}
