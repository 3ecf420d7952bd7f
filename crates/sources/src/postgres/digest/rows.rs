//! The rows of every table, by the text in which `COPY` writes them.

use std::collections::BTreeMap;

use sha2::{Digest, Sha256};
use vouchsafe_capture::{CaptureContext, CaptureError};
use vouchsafe_model::DigestEntry;
use vouchsafe_model::policy::Digests;

use super::super::session::{Session, literal};
use super::ROWS;
use crate::failure;
use crate::sum::Sum;

/// Every table that holds rows which a dump holds too: no extension's, no foreign one, and no materialised view, which
/// a restore computes anew. The second column lists what is stored in it, quoted and in order.
pub(in crate::postgres) const TABLES: &str = "SELECT format('%I.%I', n.nspname, c.relname), \
    coalesce((SELECT string_agg(quote_ident(a.attname), ', ' ORDER BY a.attnum) FROM pg_attribute a \
    WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = ''), '') \
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.relkind = 'r' AND n.nspname !~ '^pg_' \
    AND n.nspname <> 'information_schema' AND NOT EXISTS (SELECT FROM pg_depend e \
    WHERE e.classid = 'pg_class'::regclass AND e.objid = c.oid AND e.deptype = 'e') \
    ORDER BY pg_table_size(c.oid) DESC, 1";

/// Every table and every materialised view with content, but for those that the log says nothing of.
pub(super) const EVERYTHING: &str = "SELECT format('%I.%I', n.nspname, c.relname), \
    coalesce((SELECT string_agg(quote_ident(a.attname), ', ' ORDER BY a.attnum) FROM pg_attribute a \
    WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = ''), '') \
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.relkind IN ('r', 'm') AND c.relispopulated \
    AND c.relpersistence = 'p' AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema' ORDER BY 1";

/// Which share of the rows is in a sample.
const ONE_IN: u32 = 64;

/// Adds the digest of each table.
pub(super) fn digest(
    ctx: &CaptureContext<'_>,
    session: &mut Session,
    digests: Digests,
    out: &mut BTreeMap<String, DigestEntry>,
) -> Result<(), CaptureError> {
    digest_of(ctx, session, TABLES, digests, out)
}

/// The same of tables that a query names as [`TABLES`] does.
pub(super) fn digest_of(
    ctx: &CaptureContext<'_>,
    session: &mut Session,
    tables: &str,
    digests: Digests,
    out: &mut BTreeMap<String, DigestEntry>,
) -> Result<(), CaptureError> {
    let tables = session.rows(tables)?;
    ctx.progress
        .phase("digest the rows", Some(tables.len() as u64), None);
    for row in tables {
        failure::check_interrupt(ctx)?;
        let mut texts = row.into_iter().map(Option::unwrap_or_default);
        let name = texts.next().unwrap_or_default();
        let columns = texts.next().unwrap_or_default();
        let entry = entry(session, &name, &columns, digests)?;
        out.insert(format!("{ROWS}{name}"), entry);
        ctx.progress.advance(1, 0);
    }
    Ok(())
}

/// The digest of one table, if there is one of this name.
pub(super) fn of_table(
    session: &mut Session,
    name: &str,
    digests: Digests,
) -> Result<Option<DigestEntry>, CaptureError> {
    let found = session.rows(&format!(
        "SELECT t.columns FROM ({TABLES}) AS t(name, columns) WHERE t.name = {}",
        literal(name)
    ))?;
    match found.into_iter().flatten().next() {
        None => Ok(None),
        Some(columns) => entry(session, name, &columns.unwrap_or_default(), digests).map(Some),
    }
}

fn entry(
    session: &mut Session,
    name: &str,
    columns: &str,
    digests: Digests,
) -> Result<DigestEntry, CaptureError> {
    match digests {
        Digests::Sample => of_sample(session, name, columns),
        Digests::Full | Digests::None => {
            let sql = format!("COPY (SELECT {columns} FROM ONLY {name}) TO STDOUT");
            of_copy(session, &sql)
        }
    }
}

/// The number of all rows, and the sum of the digests of some, which are chosen by what is in them.
fn of_sample(
    session: &mut Session,
    name: &str,
    columns: &str,
) -> Result<DigestEntry, CaptureError> {
    let count = session.text(&format!("SELECT count(*)::text FROM ONLY {name}"))?;
    // No table has a column of this name, which would be taken instead of the row.
    let sql = format!(
        "COPY (SELECT {columns} FROM ONLY {name} AS vouchsafe_row \
         WHERE hashtextextended((vouchsafe_row.*)::text, 0) % {ONE_IN} = 0) TO STDOUT"
    );
    Ok(DigestEntry {
        count: count.parse().ok(),
        digest: of_copy(session, &sql)?.digest,
    })
}

/// The number of lines, and the sum of their SHA-256: a line is a row, because `COPY` escapes line ends in values.
pub(super) fn of_copy(session: &mut Session, sql: &str) -> Result<DigestEntry, CaptureError> {
    let mut lines = Lines::default();
    session.copy_out(sql, &mut |piece| {
        lines.take(piece);
        Ok(())
    })?;
    Ok(lines.entry())
}

/// Lines that come in pieces.
#[derive(Default)]
struct Lines {
    begun: Vec<u8>,
    sum: Sum,
    count: u64,
}

impl Lines {
    fn take(&mut self, mut piece: &[u8]) {
        while let Some(end) = piece.iter().position(|b| *b == b'\n') {
            let (line, rest) = piece.split_at(end + 1);
            if self.begun.is_empty() {
                self.add(line);
            } else {
                self.begun.extend_from_slice(line);
                let whole = std::mem::take(&mut self.begun);
                self.add(&whole);
            }
            piece = rest;
        }
        self.begun.extend_from_slice(piece);
    }

    fn add(&mut self, line: &[u8]) {
        self.sum.add(Sha256::digest(line).into());
        self.count += 1;
    }

    fn entry(mut self) -> DigestEntry {
        if !self.begun.is_empty() {
            let last = std::mem::take(&mut self.begun);
            self.add(&last);
        }
        DigestEntry {
            count: Some(self.count),
            digest: self.sum.to_hex(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn all(pieces: &[&[u8]]) -> DigestEntry {
        let mut lines = Lines::default();
        pieces.iter().for_each(|piece| lines.take(piece));
        lines.entry()
    }

    #[test]
    fn order_does_not_matter_and_every_row_does() {
        let entry = all(&[b"1\ta\n2\tb\n"]);
        assert_eq!(entry.count, Some(2));
        assert_eq!(entry, all(&[b"2\tb\n1\ta\n"]));
        assert_ne!(entry, all(&[b"1\ta\n2\tc\n"]));
        assert_ne!(entry, all(&[b"1\ta\n2\tb\n2\tb\n"]));
        assert_ne!(all(&[b"1\n1\n"]), all(&[]));
    }

    proptest! {
        #[test]
        fn pieces_may_end_anywhere(text in "[ab\n]{0,60}", at in 0_usize..60) {
            let bytes = text.as_bytes();
            let (head, tail) = bytes.split_at(at.min(bytes.len()));
            prop_assert_eq!(all(&[bytes]), all(&[head, tail]));
        }
    }
}
