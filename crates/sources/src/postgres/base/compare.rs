//! Comparing a restored server with what was noted when it was copied.

use std::path::Path;
use std::time::Duration;

use vouchsafe_capture::{CaptureContext, CaptureError, FetchedLog, Restored};
use vouchsafe_host::process::{ProcessError, run_captured};
use vouchsafe_model::{DigestManifest, Rung, RungOutcome};

use super::super::about::About;
use super::super::programs;
use super::super::replay;
use super::super::server::Server;
use super::super::session::literal;
use super::{DATA, DATABASE, PostgresBaseSource, serve};
use crate::confine::Confined;
use crate::rung::{Findings, skipped};

const OPENS: &str = "Does the restored server start, and does every database open?";
const POSITION: &str = "Is it the same server, at the end of its copy or beyond?";
const EXACT: &str =
    "Is it the same server, recovered up to exactly the position that was asked for?";
const CHECKSUMS: &str = "Does every page have its checksum?";
const PAGES: Duration = Duration::from_secs(7 * 24 * 3600);

/// The rungs from `opens` upwards.
pub(super) fn compare(
    ctx: &CaptureContext<'_>,
    restored: &Restored,
    expected: Option<&DigestManifest>,
    checks: &[String],
) -> Result<Vec<Rung>, CaptureError> {
    let place = restored.place.as_path();
    let replayed = restored.replayed.as_ref();
    let mut opens = Findings::default();
    let served = match serve(ctx, place) {
        Ok((server, about)) => {
            every_database(ctx, &server, &mut opens);
            Some((server, about))
        }
        Err(error) => {
            opens.add(error.to_string());
            None
        }
    };
    let version = served
        .as_ref()
        .map_or("the source's version".to_owned(), |(_, a)| {
            a.server_version.clone()
        });
    let red = !opens.is_empty();
    let mut rungs = vec![opens.rung("opens", OPENS, format!("PostgreSQL {version} serves it"))];
    let (Some((server, about)), false) = (served, red) else {
        rungs.push(skipped("position", POSITION, "opens"));
        if replayed.is_some() {
            rungs.push(skipped("moment", replay::MOMENT, "opens"));
            rungs.push(skipped("tokens", replay::TOKENS, "opens"));
        }
        rungs.push(skipped("checksums", CHECKSUMS, "opens"));
        return Ok(rungs);
    };
    match replayed {
        None => rungs.push(position(ctx, &server, expected)?),
        Some(log) => {
            rungs.push(position_of_replay(ctx, &server, place, expected, log)?);
            let mut session = server.login(ctx, DATABASE)?.session()?;
            rungs.push(replay::moment(&mut session, log)?);
            rungs.push(replay::tokens(place, log)?);
        }
    }
    let login = server.login(ctx, DATABASE)?;
    let answers: Vec<_> = checks
        .iter()
        .map(|sql| {
            let answer = login.session().and_then(|mut session| session.answer(sql));
            answer.map_err(|e| e.to_string())
        })
        .collect();
    server.stop(ctx)?;
    let stands = rungs.iter().all(|r| r.outcome == RungOutcome::Green);
    rungs.push(if stands {
        checksums(ctx, &about, place)?
    } else {
        skipped("checksums", CHECKSUMS, "position")
    });
    if !checks.is_empty() {
        let mut answers = answers.into_iter();
        let next = |_: &str| answers.next().unwrap_or(Ok(None));
        rungs.push(crate::checks::rung(&rungs, checks, next));
    }
    Ok(rungs)
}

/// A connection to each database that allows any.
fn every_database(ctx: &CaptureContext<'_>, server: &Server, found: &mut Findings) {
    let names = server
        .login(ctx, DATABASE)
        .and_then(|login| login.session())
        .and_then(|mut session| {
            session.rows("SELECT datname::text FROM pg_database WHERE datallowconn ORDER BY 1")
        });
    match names {
        Err(error) => found.add(error.to_string()),
        Ok(names) => {
            for name in names.into_iter().flatten().flatten() {
                let opened = server.login(ctx, &name).and_then(|login| login.session());
                if let Err(error) = opened {
                    found.add(error.to_string());
                }
            }
        }
    }
}

fn position(
    ctx: &CaptureContext<'_>,
    server: &Server,
    expected: Option<&DigestManifest>,
) -> Result<Rung, CaptureError> {
    let mut found = Findings::default();
    let Some(expected) = expected else {
        found.add("the point has no manifest to compare with");
        return Ok(found.rung("position", POSITION, "a manifest"));
    };
    let noted = |key: &str| {
        let entry = expected.entries.get(key);
        entry.map_or(String::new(), |e| e.digest.clone())
    };
    if expected.method != PostgresBaseSource::METHOD {
        found.add(format!(
            "the manifest is of the method `{}`",
            expected.method
        ));
    }
    let mut session = server.login(ctx, DATABASE)?.session()?;
    let system = session.text("SELECT system_identifier::text FROM pg_control_system()")?;
    if system != noted("system") {
        found.add(format!(
            "expected server {}, found {system}",
            noted("system")
        ));
    }
    let end = noted("end");
    let (timeline, lsn) = end.split_once(' ').unwrap_or(("", ""));
    let reached = session.rows(&format!(
        "SELECT (pg_current_wal_lsn() >= {lsn}::pg_lsn AND c.timeline_id::text = {timeline})::text, \
         c.timeline_id || ' ' || pg_current_wal_lsn() FROM pg_control_checkpoint() c",
        lsn = literal(lsn),
        timeline = literal(timeline)
    ));
    match reached.map(|rows| rows.into_iter().flatten().collect::<Vec<_>>()) {
        Ok(row) => match row.as_slice() {
            [Some(reached), Some(_)] if reached == "true" => {}
            [_, Some(at)] => found.add(format!("expected {end} or beyond, found {at}")),
            _ => found.add("the server does not say where it stands"),
        },
        Err(error) => found.add(error.to_string()),
    }
    Ok(found.rung(
        "position",
        POSITION,
        format!(
            "server {}, timeline and position {end} reached",
            noted("system")
        ),
    ))
}

fn position_of_replay(
    ctx: &CaptureContext<'_>,
    server: &Server,
    place: &Path,
    expected: Option<&DigestManifest>,
    log: &FetchedLog,
) -> Result<Rung, CaptureError> {
    let mut found = Findings::default();
    let mut session = server.login(ctx, DATABASE)?.session()?;
    let system = session.text("SELECT system_identifier::text FROM pg_control_system()")?;
    let noted = expected.and_then(|manifest| manifest.entries.get("system"));
    let noted = noted.map_or("unknown", |entry| entry.digest.as_str());
    if system != noted {
        found.add(format!("expected server {noted}, found {system}"));
    }
    for difference in replay::at_the_target(&mut session, place, &log.target)? {
        found.add(difference);
    }
    Ok(found.rung(
        "position",
        EXACT,
        format!(
            "server {noted}, recovered up to exactly {}",
            log.target.shown
        ),
    ))
}

/// Reads every page of the stopped server.
fn checksums(ctx: &CaptureContext<'_>, about: &About, place: &Path) -> Result<Rung, CaptureError> {
    let mut found = Findings::default();
    if !about.checksums {
        return Ok(found.rung(
            "checksums",
            CHECKSUMS,
            "the source writes none; nothing to compare",
        ));
    }
    let programs = programs::for_serving(ctx, about.major)?;
    let confined = Confined::to(ctx, place)?;
    let command = confined
        .program(&programs.join("pg_checksums"))
        .args(["--check", "-D"])
        .arg(confined.seen(DATA));
    match run_captured(ctx.spawn, command, PAGES) {
        Ok(_) => {}
        Err(ProcessError::Failed(failed)) => found.add(failed.stderr_tail.trim_end().to_owned()),
        Err(error) => {
            let remedy = "see that PostgreSQL is installed whole";
            return Err(programs::failed("pg_checksums", &error, remedy));
        }
    }
    Ok(found.rung("checksums", CHECKSUMS, "every page has its own"))
}
