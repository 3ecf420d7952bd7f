//! `vault mount`: a vault as a read-only file system.

use std::sync::Arc;

use vouchsafe_host::machine;
use vouchsafe_keeper::reading::{Reading, Seen};
use vouchsafe_mount::{MountOptions, Shown};

use crate::args::reading::Mount;
use crate::commands::browse;
use crate::exit::{Exit, Failure};
use crate::output::Output;
use crate::session::Session;

/// Mounts, and serves until somebody asks to stop, which is the proper end.
pub(crate) fn mount(session: &Session, args: &Mount) -> Result<Exit, Failure> {
    let reading = browse::open(session, &args.vault)?;
    let (seen, issues) = reading.snapshots()?;
    for issue in &issues {
        Output::complain(&format!("! {}: {}", issue.place, issue.message));
    }
    let shown: Vec<Shown> = seen.into_iter().map(shown).collect();
    let count = shown.len();
    let Reading { vault, .. } = reading;
    let options = MountOptions {
        at: args.dir.clone(),
        name: format!("vouchsafe:{}", args.vault),
        threads: machine::parallelism() * 2,
    };
    let trouble = Arc::new(|line: &str| Output::complain(&format!("! {line}")));
    let mounted = vouchsafe_mount::mount(vault.repo, shown, &options, trouble)?;
    if session.output.json {
        session.output.json(&serde_json::json!({
            "event": "mounted", "vault": args.vault, "dir": args.dir.display().to_string(), "snapshots": count,
        }))?;
    } else {
        let snapshots = vouchsafe_evidence::count(count as u64, "snapshot");
        session.output.text(&format!(
            "{snapshots} of vault {} under {}; Ctrl-C unmounts it",
            args.vault,
            args.dir.display()
        ))?;
    }
    mounted.serve(&session.tools.interrupt, session.tools.clock.as_ref())?;
    Ok(Exit::Met)
}

fn shown(seen: Seen) -> Shown {
    Shown {
        snapshot: seen.snapshot,
        time: seen.time,
        point: seen.point.zip(seen.of.map(|of| of.system)),
    }
}
