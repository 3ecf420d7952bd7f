//! Comparing a restored server with the manifest that was taken in the dump's own snapshot.

use std::path::Path;

use vouchsafe_capture::{CaptureContext, CaptureError};
use vouchsafe_model::policy::Digests;
use vouchsafe_model::{DigestManifest, Rung};

use super::about::About;
use super::digest::{self, GRANTS, LARGE_OBJECTS, ROWS, SCHEMA, SEQUENCE};
use super::server::Server;
use super::session::Session;
use super::{begin, engine, serve};
use crate::rung::{Findings, climbed, held, number, sentence, skipped};

pub(super) const OPENS: &str = "Does the restored server start, and is every index usable?";
pub(super) const SCHEMA_QUESTION: &str = "Is every object defined as it was?";
const GRANTS_QUESTION: &str = "Are roles, owners and privileges those of the moment of capture?";
const SEQUENCES: &str = "Does no sequence stand further back than it stood?";
const CONTENT: &str = "Does every table hold exactly the rows of the moment of capture?";

/// Digests of the database in a restored server.
pub(super) fn manifest_of(
    ctx: &CaptureContext<'_>,
    server: &Server,
    about: &About,
    digests: Digests,
) -> Result<DigestManifest, CaptureError> {
    let mut session = server.login(ctx, &about.database)?.session()?;
    let roles = digest::roles(&mut session)?;
    begin(&mut session)?;
    let mut entries = digest::sequences(&mut session)?;
    entries.extend(digest::digest(ctx, &mut session, digests)?);
    entries.extend(roles);
    Ok(DigestManifest {
        method: digest::method(digests).to_owned(),
        taken_at: ctx.clock.now(),
        engine: Some(engine(about)),
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
    let version = served
        .as_ref()
        .map(|(_, about)| about.server_version.clone());
    let found = format!(
        "PostgreSQL {} serves it",
        version.unwrap_or_else(|| "of the source".to_owned())
    );
    let mut rungs = vec![opens.rung("opens", OPENS, found)];
    let (Some((server, about)), false) = (served, red) else {
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
    let digests = digest::of_method(&expected.method);
    let actual = manifest_of(ctx, &server, &about, digests)?;
    rungs.extend(judge(expected, &actual, digests));
    if !checks.is_empty() {
        let login = server.login(ctx, &about.database)?;
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
) -> Result<(Server, About), CaptureError> {
    let (server, about) = serve(ctx, place)?;
    let mut session = server.login(ctx, &about.database)?.session()?;
    unusable(&mut session, found)?;
    Ok((server, about))
}

/// Indexes of a database that a query could not use.
pub(super) fn unusable(session: &mut Session, found: &mut Findings) -> Result<(), CaptureError> {
    let broken = session.rows(
        "SELECT indexrelid::regclass::text FROM pg_index WHERE NOT (indisready AND indislive)",
    )?;
    for name in broken.into_iter().flatten().flatten() {
        found.add(format!("index {name} is not usable"));
    }
    Ok(())
}

/// The rungs above `opens`: where one is red those above are not compared, so that the first red one names the fault.
pub(super) fn judge(
    expected: &DigestManifest,
    actual: &DigestManifest,
    digests: Digests,
) -> Vec<Rung> {
    let mut schema = Findings::default();
    let (mut grants, mut content) = (Findings::default(), Findings::default());
    let mut sequences = Findings::default();
    for difference in expected.differences(actual) {
        let part = difference.part.as_str();
        if part.starts_with(GRANTS) {
            grants.add(sentence(&difference, GRANTS));
        } else if part.starts_with(ROWS) || part.starts_with(LARGE_OBJECTS) {
            content.add(sentence(&difference, ROWS));
        } else if !part.starts_with(SEQUENCE) {
            schema.add(sentence(&difference, SCHEMA));
        }
    }
    for behind in digest::behind(&expected.entries, &actual.entries) {
        sequences.add(behind);
    }
    let held = |prefix| held(expected, prefix);
    let (objects, privileges, stands) = (held(SCHEMA).0, held(GRANTS).0, held(SEQUENCE).0);
    let (tables, rows) = held(ROWS);
    let equal = |n, what: &str| format!("{} {what}, equal digests", number(n));
    let all = [
        ("schema", SCHEMA_QUESTION, schema, equal(objects, "objects")),
        (
            "grants",
            GRANTS_QUESTION,
            grants,
            equal(privileges, "owners and roles"),
        ),
        (
            "sequences",
            SEQUENCES,
            sequences,
            format!("{} sequences, none behind", number(stands)),
        ),
        (
            "content",
            CONTENT,
            content,
            format!(
                "{} tables with {} rows, equal digests",
                number(tables),
                number(rows)
            ),
        ),
    ];
    // A rung is climbed only if there is something to compare.
    let all = all
        .into_iter()
        .filter(|(name, ..)| *name != "content" || digests != Digests::None);
    climbed(all)
}

pub(super) fn rest_skipped(below: &str) -> Vec<Rung> {
    let rest = [
        ("schema", SCHEMA_QUESTION),
        ("grants", GRANTS_QUESTION),
        ("sequences", SEQUENCES),
        ("content", CONTENT),
    ];
    rest.map(|(name, question)| skipped(name, question, below))
        .into()
}

#[cfg(test)]
mod tests {
    use super::super::PostgresSource;
    use super::*;
    use vouchsafe_model::{DigestEntry, RungOutcome, Time};

    fn manifest(entries: &[(&str, Option<u64>, &str)]) -> DigestManifest {
        let entry = |(key, count, digest): &(&str, Option<u64>, &str)| {
            let entry = DigestEntry {
                count: *count,
                digest: (*digest).to_owned(),
            };
            ((*key).to_owned(), entry)
        };
        DigestManifest {
            method: PostgresSource::METHOD.to_owned(),
            taken_at: Time::from_secs(1),
            engine: None,
            entries: entries.iter().map(entry).collect(),
        }
    }

    const WHOLE: [(&str, Option<u64>, &str); 5] = [
        ("schema:relation public.t", None, "aa"),
        ("grants:relation public.t", None, "bb"),
        ("grants:role shop", None, "cc"),
        ("sequence:public.s", None, "5 t 1"),
        ("rows:public.t", Some(2), "dd"),
    ];

    fn first_red(changed: usize, to: (&str, Option<u64>, &str)) -> Option<String> {
        let mut other = WHOLE;
        other[changed] = to;
        let rungs = judge(&manifest(&WHOLE), &manifest(&other), Digests::Full);
        let red = rungs.iter().find(|r| r.outcome == RungOutcome::Red);
        red.map(|r| r.name.clone())
    }

    #[test]
    fn each_kind_of_difference_reddens_its_own_rung() {
        let is = |at: usize| first_red(at, WHOLE[at]);
        assert_eq!(is(0), None);
        assert_eq!(
            first_red(0, ("schema:relation public.t", None, "ax")).as_deref(),
            Some("schema")
        );
        assert_eq!(
            first_red(0, ("schema:relation public.u", None, "aa")).as_deref(),
            Some("schema")
        );
        assert_eq!(
            first_red(1, ("grants:relation public.t", None, "x")).as_deref(),
            Some("grants")
        );
        assert_eq!(
            first_red(2, ("grants:role other", None, "cc")).as_deref(),
            Some("grants")
        );
        assert_eq!(
            first_red(3, ("sequence:public.s", None, "4 t 1")).as_deref(),
            Some("sequences")
        );
        assert_eq!(first_red(3, ("sequence:public.s", None, "6 t 1")), None);
        assert_eq!(
            first_red(4, ("rows:public.t", Some(3), "dd")).as_deref(),
            Some("content")
        );
        assert_eq!(
            first_red(4, ("rows:public.t", Some(2), "de")).as_deref(),
            Some("content")
        );
        let mut other = manifest(&WHOLE);
        other.method = "postgres-rows/2".to_owned();
        let rungs = judge(&manifest(&WHOLE), &other, Digests::Full);
        assert_eq!(rungs[0].outcome, RungOutcome::Red);
        assert_eq!(rungs[3].outcome, RungOutcome::Skipped);
    }
}
