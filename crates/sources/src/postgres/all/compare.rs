//! Comparing a restored server with what was digested of each database in its own snapshot.

use std::path::Path;

use vouchsafe_capture::{CaptureContext, CaptureError};
use vouchsafe_model::policy::Digests;
use vouchsafe_model::{DigestManifest, Rung};

use super::super::base::DATABASE;
use super::super::compare::{OPENS, SCHEMA_QUESTION, judge, rest_skipped, unusable};
use super::super::server::Server;
use super::super::{begin, digest, engine};
use super::listed::{AllAbout, key_in};
use super::{method, of_method, serve};
use crate::rung::Findings;

/// Digests of every database that the restored server should have.
pub(super) fn manifest_of(
    ctx: &CaptureContext<'_>,
    server: &Server,
    all: &AllAbout,
    digests: Digests,
) -> Result<DigestManifest, CaptureError> {
    let mut entries = digest::roles(&mut server.login(ctx, DATABASE)?.session()?)?;
    for about in &all.databases {
        let mut session = server.login(ctx, &about.database)?.session()?;
        begin(&mut session)?;
        let mut found = digest::sequences(&mut session)?;
        found.extend(digest::digest(ctx, &mut session, digests)?);
        let named = |(key, entry): (String, _)| (key_in(&about.database, &key), entry);
        entries.extend(found.into_iter().map(named));
    }
    Ok(DigestManifest {
        method: method(digests).to_owned(),
        taken_at: ctx.clock.now(),
        engine: Some(engine(&all.server)),
        entries,
    })
}

/// The rungs from `opens` upwards.
pub(super) fn compare(
    ctx: &CaptureContext<'_>,
    place: &Path,
    expected: Option<&DigestManifest>,
    checks: &[String],
) -> Result<Vec<Rung>, CaptureError> {
    let mut opens = Findings::default();
    let served = match open(ctx, place, &mut opens) {
        Ok(served) => Some(served),
        Err(error) => {
            opens.add(error.to_string());
            None
        }
    };
    let red = !opens.is_empty();
    let version = served.as_ref().map_or("of the source", |(_, all)| {
        all.server.server_version.as_str()
    });
    let mut rungs = vec![opens.rung("opens", OPENS, format!("PostgreSQL {version} serves it"))];
    let (Some((server, all)), false) = (&served, red) else {
        rungs.extend(rest_skipped("opens"));
        return Ok(rungs);
    };
    let Some(expected) = expected else {
        let mut schema = Findings::default();
        schema.add("the point has no manifest to compare with");
        rungs.push(schema.rung("schema", SCHEMA_QUESTION, "a manifest"));
        rungs.extend(rest_skipped("schema").into_iter().skip(1));
        server.stop(ctx)?;
        return Ok(rungs);
    };
    let digests = of_method(&expected.method);
    let actual = manifest_of(ctx, server, all, digests)?;
    rungs.extend(judge(expected, &actual, digests));
    if !checks.is_empty() {
        let login = server.login(ctx, DATABASE)?;
        let ask = |sql: &str| {
            let answer = login.session().and_then(|mut session| session.answer(sql));
            answer.map_err(|e| e.to_string())
        };
        rungs.push(crate::checks::rung(&rungs, checks, ask));
    }
    server.stop(ctx)?;
    Ok(rungs)
}

fn open(
    ctx: &CaptureContext<'_>,
    place: &Path,
    found: &mut Findings,
) -> Result<(Server, AllAbout), CaptureError> {
    let (server, all) = serve(ctx, place)?;
    for about in &all.databases {
        let mut session = server.login(ctx, &about.database)?.session()?;
        unusable(&mut session, found)?;
    }
    Ok((server, all))
}
