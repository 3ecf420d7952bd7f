//! Comparing a restored server with the manifest that was taken at the dump's own moment.

use std::path::Path;

use vouchsafe_capture::{CaptureContext, CaptureError};
use vouchsafe_model::policy::Digests;
use vouchsafe_model::{DigestManifest, Rung};

use super::about::About;
use super::accounts::Accounts;
use super::digest::{self, GRANTS, OF_NO_MOMENT, ROWS, SCHEMA, SEQUENCE};
use super::server::Server;
use super::session::{Session, literal, quoted};
use super::{MySqlSource, engine, moment, serve};
use crate::rung::{Findings, climbed, held, number, sentence, skipped};

const OPENS: &str = "Does the restored server start, and is every table sound?";
const SCHEMA_QUESTION: &str = "Is every object defined as it was?";
const GRANTS_QUESTION: &str =
    "Are accounts, roles, grants and definers those of the moment of capture?";
const SEQUENCES: &str = "Does no counter stand further back than it stood?";
const CONTENT: &str = "Does every table hold exactly the rows of the moment of capture?";

/// Digests of the database in a restored server.
pub(super) fn manifest_of(
    ctx: &CaptureContext<'_>,
    server: &Server,
    about: &About,
    digests: Digests,
) -> Result<DigestManifest, CaptureError> {
    let mut session = server.session(ctx)?;
    let mut entries = digest::stands(&mut session, about)?;
    entries.extend(digest::schema(&mut session, about)?);
    if about.accounts {
        let accounts = Accounts::read(&mut session, &about.database, about)?;
        entries.extend(accounts.digests());
    }
    moment::begin(&mut session)?;
    entries.extend(digest::content(ctx, &mut session, about, digests)?);
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
    rungs.extend(judge(expected, &actual));
    if !checks.is_empty() {
        let ask = |sql: &str| {
            let answer = server.session(ctx).and_then(|mut session| {
                session.execute(&format!("USE {}", quoted(&about.database)))?;
                session.answer(sql)
            });
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
    let mut session = server.session(ctx)?;
    let names = session.rows(&format!(
        "SELECT TABLE_NAME FROM information_schema.TABLES WHERE TABLE_SCHEMA = {}",
        literal(&about.database)
    ))?;
    for name in names.into_iter().flatten().flatten() {
        check_table(&mut session, &about.database, &name, "", found)?;
    }
    Ok((server, about))
}

/// Lets the server look through a table, or only at its definition.
pub(super) fn check_table(
    session: &mut Session,
    database: &str,
    table: &str,
    how: &str,
    found: &mut Findings,
) -> Result<(), CaptureError> {
    let sql = format!("CHECK TABLE {}.{}{how}", quoted(database), quoted(table));
    for row in session.rows(&sql)? {
        let mut row = row.into_iter().map(Option::unwrap_or_default).skip(2);
        let (kind, text) = (
            row.next().unwrap_or_default(),
            row.next().unwrap_or_default(),
        );
        // An engine that cannot be looked through says so in a note.
        if kind.eq_ignore_ascii_case("error") {
            found.add(format!("{table}: {text}"));
        }
    }
    Ok(())
}

/// The rungs above `opens`: where one is red those above are not compared, so that the first red one names the fault.
fn judge(expected: &DigestManifest, actual: &DigestManifest) -> Vec<Rung> {
    let mut schema = Findings::default();
    let (mut grants, mut content) = (Findings::default(), Findings::default());
    let mut sequences = Findings::default();
    for difference in expected.differences(actual) {
        let part = difference.part.as_str();
        if part.starts_with(GRANTS) {
            grants.add(sentence(&difference, GRANTS));
        } else if part.starts_with(ROWS) {
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
    let mut compared = format!(
        "{} tables with {} rows, equal digests",
        number(tables),
        number(rows)
    );
    match held(OF_NO_MOMENT).0 {
        0 => {}
        others => compared.push_str(&format!(
            "; {} tables without transactions not compared",
            number(others)
        )),
    }
    let equal = |n, what: &str| format!("{} {what}, equal digests", number(n));
    let all = [
        ("schema", SCHEMA_QUESTION, schema, equal(objects, "objects")),
        (
            "grants",
            GRANTS_QUESTION,
            grants,
            equal(privileges, "accounts and definers"),
        ),
        (
            "sequences",
            SEQUENCES,
            sequences,
            format!("{} counters, none behind", number(stands)),
        ),
        ("content", CONTENT, content, compared),
    ];
    // A rung is climbed only if there is something to compare.
    let all = all
        .into_iter()
        .filter(|(name, ..)| *name != "content" || expected.method != MySqlSource::SCHEMA);
    climbed(all)
}

fn rest_skipped(below: &str) -> Vec<Rung> {
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
            method: MySqlSource::METHOD.to_owned(),
            taken_at: Time::from_secs(1),
            engine: None,
            entries: entries.iter().map(entry).collect(),
        }
    }

    const WHOLE: [(&str, Option<u64>, &str); 5] = [
        ("schema:table t", None, "aa"),
        ("grants:account app@%", None, "bb"),
        ("of-no-moment:old", None, "MyISAM"),
        ("sequence:t.AUTO_INCREMENT", None, "5 1"),
        ("rows:t", Some(2), "dd"),
    ];

    fn first_red(changed: usize, to: (&str, Option<u64>, &str)) -> Option<String> {
        let mut other = WHOLE;
        other[changed] = to;
        let rungs = judge(&manifest(&WHOLE), &manifest(&other));
        let red = rungs.iter().find(|r| r.outcome == RungOutcome::Red);
        red.map(|r| r.name.clone())
    }

    #[test]
    fn each_kind_of_difference_between_mysql_servers_reddens_its_own_rung() {
        let reddens = |at, to| first_red(at, to).unwrap_or_default();
        assert_eq!(first_red(0, WHOLE[0]), None);
        assert_eq!(reddens(0, ("schema:table t", None, "ax")), "schema");
        assert_eq!(reddens(0, ("schema:table u", None, "aa")), "schema");
        assert_eq!(reddens(1, ("grants:account app@%", None, "x")), "grants");
        assert_eq!(reddens(2, ("of-no-moment:old", None, "InnoDB")), "schema");
        let behind = ("sequence:t.AUTO_INCREMENT", None, "4 1");
        assert_eq!(reddens(3, behind), "sequences");
        assert_eq!(
            first_red(3, ("sequence:t.AUTO_INCREMENT", None, "6 1")),
            None
        );
        assert_eq!(reddens(4, ("rows:t", Some(3), "dd")), "content");
        assert_eq!(reddens(4, ("rows:t", Some(2), "de")), "content");
        let mut other = manifest(&WHOLE);
        other.method = "mysql-rows/2".to_owned();
        let rungs = judge(&manifest(&WHOLE), &other);
        assert_eq!(rungs[0].outcome, RungOutcome::Red);
        assert_eq!(rungs[3].outcome, RungOutcome::Skipped);
    }
}
