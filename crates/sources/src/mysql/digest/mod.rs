//! Digests of a database: what is declared in it, who may do what, and every row.

mod catalogs;
mod rows;

pub(super) use rows::{free_columns, tables};

use std::collections::BTreeMap;
use std::time::Duration;

use sha2::{Digest, Sha256};
use vouchsafe_capture::{CaptureContext, CaptureError};
use vouchsafe_model::policy::Digests;
use vouchsafe_model::{DigestEntry, Span};

use super::MySqlSource;
use super::about::About;
use super::programs::Product;
use super::session::{Session, literal, quoted};
use crate::failure;
use crate::rung::number;

/// What begins the keys of declarations, of definers and accounts, of tables' rows, of counters, and of tables whose
/// rows are of no one moment.
pub(super) const SCHEMA: &str = "schema:";
pub(super) const GRANTS: &str = "grants:";
pub(super) const ROWS: &str = "rows:";
pub(super) const SEQUENCE: &str = "sequence:";
pub(super) const OF_NO_MOMENT: &str = "of-no-moment:";

/// Values of one or several rows, written so that no two lists of values are written alike: of each value a byte that
/// is 0 for null and 1 otherwise, then its length as eight bytes, the lowest first, then the value.
#[derive(Default)]
pub(super) struct Values(Vec<u8>);

impl Values {
    fn add(&mut self, value: Option<&[u8]>) {
        match value {
            None => self.0.push(0),
            Some(value) => {
                self.0.push(1);
                self.0
                    .extend_from_slice(&(value.len() as u64).to_le_bytes());
                self.0.extend_from_slice(value);
            }
        }
    }

    fn digest(&self) -> [u8; 32] {
        Sha256::digest(&self.0).into()
    }
}

/// Everything that is declared, and who its definers are.
pub(super) fn schema(
    session: &mut Session,
    about: &About,
) -> Result<BTreeMap<String, DigestEntry>, CaptureError> {
    let mut folded: BTreeMap<String, Values> = BTreeMap::new();
    for catalog in catalogs::all(about) {
        session.each(&catalog.sql, &mut |row| {
            let Some((identity, values)) = row.split_first() else {
                return Ok(());
            };
            let identity = String::from_utf8_lossy(identity.unwrap_or_default()).into_owned();
            let key = format!("{}{} {identity}", catalog.part, catalog.kind);
            let entry = folded.entry(key).or_default();
            for value in values {
                entry.add(*value);
            }
            Ok(())
        })?;
    }
    for name in sequences(session, about)? {
        let sql = format!(
            "SELECT start_value, minimum_value, maximum_value, increment, cache_size, cycle_option FROM {}.{}",
            quoted(&about.database),
            quoted(&name)
        );
        let entry = folded
            .entry(format!("{SCHEMA}sequence {name}"))
            .or_default();
        session.each(&sql, &mut |row| {
            row.iter().for_each(|value| entry.add(*value));
            Ok(())
        })?;
    }
    let digested = |(key, values): (String, Values)| (key, entry(None, &values.digest()));
    Ok(folded.into_iter().map(digested).collect())
}

/// What is digested of the accounts of a server.
pub(super) fn of_account(statements: &[String]) -> DigestEntry {
    let mut values = Values::default();
    statements
        .iter()
        .for_each(|each| values.add(Some(each.as_bytes())));
    entry(None, &values.digest())
}

/// The rows that `session` sees.
pub(super) fn content(
    ctx: &CaptureContext<'_>,
    session: &mut Session,
    about: &About,
    digests: Digests,
) -> Result<BTreeMap<String, DigestEntry>, CaptureError> {
    let mut out = BTreeMap::new();
    if digests == Digests::None {
        return Ok(out);
    }
    let all = tables(session, about)?;
    ctx.progress
        .phase("digest the rows", Some(all.len() as u64), None);
    for table in all {
        failure::check_interrupt(ctx)?;
        if table.is_of_one_moment() {
            let digested = rows::digest(session, about, &table, digests)?;
            out.insert(format!("{ROWS}{}", table.name), digested);
        } else {
            let engine = DigestEntry {
                count: None,
                digest: table.engine,
            };
            out.insert(format!("{OF_NO_MOMENT}{}", table.name), engine);
        }
        ctx.progress.advance(1, 0);
    }
    Ok(out)
}

/// The rows of one table, within a transaction; nothing if there is none of this name.
pub(super) fn of_table(
    session: &mut Session,
    about: &About,
    name: &str,
    digests: Digests,
) -> Result<Option<DigestEntry>, CaptureError> {
    let all = tables(session, about)?;
    let table = all.iter().find(|table| table.name == name);
    table
        .map(|table| rows::digest(session, about, table, digests))
        .transpose()
}

/// Where the counters of `AUTO_INCREMENT` and sequences stand. They keep to no snapshot: asked before the dump, a
/// restored one may stand further on, never further back.
pub(super) fn stands(
    session: &mut Session,
    about: &About,
) -> Result<BTreeMap<String, DigestEntry>, CaptureError> {
    let mut out = BTreeMap::new();
    let mut insert = |name: String, digest: String| {
        let entry = DigestEntry {
            count: None,
            digest,
        };
        out.insert(format!("{SEQUENCE}{name}"), entry);
    };
    let asked = format!(
        "SELECT TABLE_NAME, AUTO_INCREMENT FROM information_schema.TABLES WHERE TABLE_SCHEMA = {} \
         AND AUTO_INCREMENT IS NOT NULL",
        literal(&about.database)
    );
    let mut counters = session.rows(&asked)?;
    if about.product == Product::MySql {
        // Of a table that was not opened since the server was started it tells the last value, not the next one.
        for name in counters.iter().filter_map(|row| row.first()?.as_deref()) {
            let (database, table) = (quoted(&about.database), quoted(name));
            session.rows(&format!("SELECT 1 FROM {database}.{table} LIMIT 0"))?;
        }
        counters = session.rows(&asked)?;
    }
    for row in counters {
        let mut row = row.into_iter().map(Option::unwrap_or_default);
        let (name, next) = (row.next().unwrap_or_default(), row.next());
        insert(
            format!("{name}.AUTO_INCREMENT"),
            format!("{} 1", next.unwrap_or_default()),
        );
    }
    for name in sequences(session, about)? {
        let stand = session.text(&format!(
            "SELECT CONCAT(next_not_cached_value, ' ', increment) FROM {}.{}",
            quoted(&about.database),
            quoted(&name)
        ))?;
        insert(name, stand);
    }
    Ok(out)
}

fn sequences(session: &mut Session, about: &About) -> Result<Vec<String>, CaptureError> {
    let rows = session.rows(&format!(
        "SELECT TABLE_NAME FROM information_schema.TABLES WHERE TABLE_SCHEMA = {} AND TABLE_TYPE = 'SEQUENCE' \
         ORDER BY TABLE_NAME",
        literal(&about.database)
    ))?;
    Ok(rows.into_iter().flatten().flatten().collect())
}

fn entry(count: Option<u64>, digest: &[u8]) -> DigestEntry {
    DigestEntry {
        count,
        digest: hex::encode(digest),
    }
}

/// The manifest's method.
pub(super) fn method(digests: Digests) -> &'static str {
    match digests {
        Digests::Full => MySqlSource::METHOD,
        Digests::Sample => MySqlSource::SAMPLE,
        Digests::None => MySqlSource::SCHEMA,
    }
}

/// What a manifest of this method digested; everything if it is not known.
pub(super) fn of_method(method: &str) -> Digests {
    match method {
        MySqlSource::SAMPLE => Digests::Sample,
        MySqlSource::SCHEMA => Digests::None,
        _ => Digests::Full,
    }
}

/// What the digests took, and for how long the snapshot was held open meanwhile.
pub(super) fn cost(
    entries: &BTreeMap<String, DigestEntry>,
    took: Duration,
    snapshot: Duration,
) -> String {
    let tables = entries.iter().filter(|(key, _)| key.starts_with(ROWS));
    let (tables, rows) = tables.fold((0, 0), |(n, rows), (_, entry)| {
        (n + 1, rows + entry.count.unwrap_or(0))
    });
    format!(
        "digests of {} tables with {} rows took {}; the snapshot was open for {} by then",
        number(tables),
        number(rows),
        Span::from_duration(took),
        Span::from_duration(snapshot)
    )
}

/// Which counters of `actual` stand further back than in `expected`, or are missing.
pub(super) fn behind(
    expected: &BTreeMap<String, DigestEntry>,
    actual: &BTreeMap<String, DigestEntry>,
) -> Vec<String> {
    // Counted in the direction in which the sequence counts.
    let stand = |entry: &DigestEntry| {
        let (value, step) = entry.digest.split_once(' ')?;
        let value: i128 = value.parse().ok()?;
        Some(if step.starts_with('-') { -value } else { value })
    };
    let mut out = Vec::new();
    for (key, entry) in expected {
        let Some(name) = key.strip_prefix(SEQUENCE) else {
            continue;
        };
        let found = actual.get(key);
        let reached = matches!((stand(entry), found.and_then(stand)), (Some(wanted), Some(is)) if is >= wanted);
        if !reached {
            let found = found.map_or("missing".to_owned(), |f| f.digest.clone());
            out.push(format!("{name}: expected {}, found {found}", entry.digest));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(values: &[Option<&str>]) -> [u8; 32] {
        let mut out = Values::default();
        values.iter().for_each(|v| out.add(v.map(str::as_bytes)));
        out.digest()
    }

    #[test]
    fn no_two_rows_are_written_alike() {
        let rows: [&[Option<&str>]; 8] = [
            &[None, Some("a")],
            &[Some("a"), None],
            &[Some(""), Some("a")],
            &[Some("a"), Some("")],
            &[Some("NULL"), Some("a")],
            &[Some("ab"), Some("c")],
            &[Some("a"), Some("bc")],
            &[Some("abc")],
        ];
        let all: std::collections::BTreeSet<_> = rows.iter().map(|row| written(row)).collect();
        assert_eq!(all.len(), rows.len());
    }

    fn stands(stands: &[(&str, &str)]) -> BTreeMap<String, DigestEntry> {
        let entry = |(name, stand): &(&str, &str)| {
            let entry = DigestEntry {
                count: None,
                digest: (*stand).to_owned(),
            };
            (format!("{SEQUENCE}{name}"), entry)
        };
        stands.iter().map(entry).collect()
    }

    #[test]
    fn a_counter_may_stand_further_on_and_never_further_back() {
        let expected = stands(&[("a.AUTO_INCREMENT", "5 1"), ("b", "1 1")]);
        let further = stands(&[("a.AUTO_INCREMENT", "6 1"), ("b", "1 1")]);
        assert!(behind(&expected, &expected).is_empty());
        assert!(behind(&expected, &further).is_empty());
        assert_eq!(behind(&further, &expected).len(), 1);
        assert_eq!(behind(&expected, &stands(&[("b", "1 1")])).len(), 1);
        let down = |stand: &str| stands(&[("d", stand)]);
        assert!(behind(&down("1 -2"), &down("-1 -2")).is_empty());
        assert_eq!(behind(&down("-1 -2"), &down("1 -2")).len(), 1);
    }
}
