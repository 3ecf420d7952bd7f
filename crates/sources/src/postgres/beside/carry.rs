//! Carrying a schema from a scratch server into a live one, whole or not at all.

use std::sync::Arc;
use std::time::Duration;

use vouchsafe_capture::{CaptureContext, CaptureError};
use vouchsafe_host::files;
use vouchsafe_host::process::{Command, run_captured};

use super::super::dump::Door;
use super::super::restore::conninfo;
use super::super::server::Server;
use super::super::{login, programs};
use super::target::Target;
use crate::failure;

const LASTS: Duration = Duration::from_secs(7 * 24 * 3600);

/// Only what lies in the schema, as it is: no roles, and nothing that makes others read or send it.
const DUMPED: [&str; 10] = [
    "--format=custom",
    "--compress=0",
    "--no-password",
    "--encoding=UTF8",
    "--strict-names",
    "--no-owner",
    "--no-privileges",
    "--no-publications",
    "--no-subscriptions",
    "--no-security-labels",
];

/// Dumps the schema of `database` in the scratch server, and restores it into the target in one transaction.
pub(super) fn carry(
    ctx: &CaptureContext<'_>,
    server: &Arc<Server>,
    (database, major): (&str, u32),
    target: &Target,
) -> Result<(), CaptureError> {
    let programs = programs::for_dumping(ctx, major)?;
    let scratch = login::scratch(ctx, "carry-")?;
    let path = files::canonicalize(scratch.path())
        .map_err(failure::file)?
        .join("dump");
    ctx.progress.phase("take the tables out", None, None);
    let own = Door::Own(Arc::clone(server));
    let dump = Command::new(programs.join("pg_dump"))
        .args(DUMPED)
        .arg("--no-tablespaces")
        .arg(format!("--schema=\"{}\"", target.into))
        .arg(format!("--file={}", path.display()));
    run_captured(ctx.spawn, own.reach(dump, database), LASTS)
        .map_err(|e| programs::failed("pg_dump", &e, "what it said names the object"))?;
    failure::check_interrupt(ctx)?;
    ctx.progress.phase("put the tables in", None, None);
    let restore = Command::new(programs.join("pg_restore"))
        .args(["--exit-on-error", "--single-transaction", "--no-password"])
        .args(["--no-owner", "--no-privileges", "--no-tablespaces"])
        .arg(format!("--dbname={}", conninfo(&target.address.database)))
        .arg(&path);
    let restore = target
        .login
        .reach(restore)
        .env("PGDATABASE", &target.address.database);
    let remedy = "nothing was made in the target; what it said names the object that the target lacks or that differs there";
    run_captured(ctx.spawn, restore, LASTS)
        .map(drop)
        .map_err(|e| programs::failed("pg_restore", &e, remedy))
}
