//! Comparing a restored server with what was noted when it was copied.

use std::path::Path;
use std::time::Duration;

use vouchsafe_capture::{CaptureContext, CaptureError, Restored};
use vouchsafe_host::process::{ProcessError, run_captured};
use vouchsafe_model::{DigestManifest, Rung, RungOutcome};

use super::super::about::About;
use super::super::compare::check_table;
use super::super::server::{Server, data_directory};
use super::super::{binlog, replay};
use super::files::{Copy, begins_system_space, doublewrite_buffer, page_size};
use super::way::{self, Noted, serve};
use crate::confine::Confined;
use crate::failure;
use crate::rung::{Findings, number, skipped};

const OPENS: &str = "Does the restored server start, and does every table open?";
const POSITION: &str = "Does it have the source's tables, at the end of the copy or beyond?";
const CHECKSUMS: &str = "Does every page have its checksum?";
const PAGES: Duration = Duration::from_secs(24 * 3600);

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
            if let Err(error) = every_table(ctx, &server, &mut opens) {
                opens.add(error.to_string());
            }
            Some((server, about))
        }
        Err(error) => {
            opens.add(error.to_string());
            None
        }
    };
    let found = served.as_ref().map_or_else(
        || "the source's version serves it".to_owned(),
        |(_, about)| {
            format!(
                "{} {} serves it",
                about.product.name(),
                about.server_version
            )
        },
    );
    let red = !opens.is_empty();
    let mut rungs = vec![opens.rung("opens", OPENS, found)];
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
        None => rungs.push(position(ctx, (&server, &about), place, expected)?),
        Some(log) => {
            let mut session = server.session(ctx)?;
            rungs.push(replay::position(place, log, &mut session)?);
            rungs.push(replay::moment(place, log)?);
            let held = binlog::server::tokens(&mut session)?;
            drop(session);
            rungs.push(replay::tokens(log, &held)?);
        }
    }
    let answers: Vec<_> = checks
        .iter()
        .map(|sql| {
            let answer = server
                .session(ctx)
                .and_then(|mut session| session.answer(sql));
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

/// Opens each table; its pages are looked at by `checksums`.
fn every_table(
    ctx: &CaptureContext<'_>,
    server: &Server,
    found: &mut Findings,
) -> Result<(), CaptureError> {
    let mut session = server.session(ctx)?;
    let tables = session.rows(
        "SELECT TABLE_SCHEMA, TABLE_NAME FROM information_schema.TABLES \
         WHERE TABLE_TYPE IN ('BASE TABLE', 'SYSTEM VERSIONED') \
         AND TABLE_SCHEMA NOT IN ('information_schema', 'performance_schema')",
    )?;
    for row in tables {
        let mut row = row.into_iter().map(Option::unwrap_or_default);
        let (database, table) = (
            row.next().unwrap_or_default(),
            row.next().unwrap_or_default(),
        );
        check_table(&mut session, &database, &table, " FOR UPGRADE", found)?;
    }
    Ok(())
}

fn position(
    ctx: &CaptureContext<'_>,
    (server, about): (&Server, &About),
    place: &Path,
    expected: Option<&DigestManifest>,
) -> Result<Rung, CaptureError> {
    let mut found = Findings::default();
    let Some(expected) = expected else {
        found.add("the point has no manifest to compare with");
        return Ok(found.rung("position", POSITION, "a manifest"));
    };
    let way = way::of(about.product);
    if expected.method != way.method() {
        found.add(format!(
            "the manifest is of the method `{}`",
            expected.method
        ));
    }
    let mut session = server.session(ctx)?;
    let (data, noted) = (data_directory(place), Noted(expected));
    let text = way.compare(&mut session, &data, &noted, &mut found)?;
    Ok(found.rung("position", POSITION, text))
}

/// Reads every page of the stopped server.
fn checksums(ctx: &CaptureContext<'_>, about: &About, place: &Path) -> Result<Rung, CaptureError> {
    let mut found = Findings::default();
    let confined = Confined::to(ctx, place)?;
    let root = data_directory(place);
    let pages = page_size(&way::of(about.product).options(about, &root)?);
    let files = Copy::look(&root)?.page_files()?;
    let count = files.len() as u64;
    for (path, size) in files {
        failure::check_interrupt(ctx)?;
        let name = path.strip_prefix(&root).unwrap_or(&path);
        let seen = confined.seen("data").join(name);
        let parts: Vec<Option<String>> = if begins_system_space(name) {
            let between = doublewrite_buffer(pages);
            vec![
                Some(format!("--end-page={}", between.start - 1)),
                Some(format!("--start-page={}", between.end)),
            ]
        } else {
            vec![None]
        };
        for part in parts {
            let command = confined
                .program(Path::new("innochecksum"))
                .args(part)
                .arg(&seen);
            match run_captured(ctx.spawn, command, PAGES) {
                Ok(_) => {}
                Err(ProcessError::Failed(failed)) => {
                    let said = failed.stderr_tail.trim_end().replace('\n', ", ");
                    found.add(format!("{}: {said}", name.display()));
                }
                Err(error) => {
                    let remedy = "install the server's package whole";
                    return Err(failure::program("innochecksum", &error, remedy));
                }
            }
        }
        ctx.progress.advance(1, size);
    }
    let text = format!("every page of {} files has its own", number(count));
    Ok(found.rung("checksums", CHECKSUMS, text))
}
