//! Which tables of a restored server are meant.

use vouchsafe_capture::CaptureError;

use super::super::session::Session;
use super::names::Wanted;

/// A table that is brought back: one that was asked for, or a partition of one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Chosen {
    /// Its number in the restored server.
    pub(super) oid: String,
    pub(super) schema: String,
    pub(super) table: String,
    /// As the catalogs write it, with its schema.
    pub(super) name: String,
    /// The same without.
    pub(super) bare: String,
    /// Whether it has rows of its own; a partitioned one has not.
    pub(super) has_rows: bool,
}

struct Relation {
    kind: String,
    is_child: bool,
    chosen: Chosen,
}

/// What is asked of each relation.
const COLUMNS: &str = "c.relkind::text, c.oid::text, n.nspname::text, c.relname::text, \
    format('%I.%I', n.nspname, c.relname), quote_ident(c.relname), c.relispartition::text";

fn relations(session: &mut Session, which: &str) -> Result<Vec<Relation>, CaptureError> {
    let rows = session.rows(&format!(
        "SELECT {COLUMNS} FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE {which} \
         AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema' AND NOT EXISTS (SELECT FROM pg_depend e \
         WHERE e.classid = 'pg_class'::regclass AND e.objid = c.oid AND e.deptype = 'e') ORDER BY 5"
    ))?;
    let relation = |row: Vec<Option<String>>| {
        let mut texts = row.into_iter().map(Option::unwrap_or_default);
        let mut next = || texts.next().unwrap_or_default();
        let kind = next();
        Relation {
            chosen: Chosen {
                oid: next(),
                schema: next(),
                table: next(),
                name: next(),
                bare: next(),
                has_rows: kind == "r",
            },
            is_child: next() == "true",
            kind,
        }
    };
    Ok(rows.into_iter().map(relation).collect())
}

/// The tables that are meant, with their partitions.
pub(super) fn choose(
    session: &mut Session,
    wanted: &[Wanted],
) -> Result<Vec<Chosen>, CaptureError> {
    let all = relations(session, "c.relkind IN ('r', 'p', 'v', 'm', 'f')")?;
    let (tables, others): (Vec<Relation>, Vec<Relation>) = all
        .into_iter()
        .partition(|r| matches!(r.kind.as_str(), "r" | "p"));
    let named = |r: &Relation| (r.chosen.schema.clone(), r.chosen.table.clone());
    let mut out: Vec<Chosen> = Vec::new();
    for each in wanted {
        let pairs: Vec<_> = others.iter().map(named).collect();
        let other = each.among(
            &pairs,
            |(s, t)| (s.as_str(), t.as_str()),
            |(s, t)| format!("{s}.{t}"),
        );
        let found = each.among(
            &tables,
            |r| (r.chosen.schema.as_str(), r.chosen.table.as_str()),
            |r| r.chosen.name.clone(),
        );
        let found = match (found, other) {
            (Ok(found), _) => found,
            (Err(_), Ok((schema, table))) => {
                return Err(CaptureError::Target {
                    place: format!("`{schema}.{table}`"),
                    message: "it is a view or a foreign table, which has no rows of its own; name the tables"
                        .to_owned(),
                });
            }
            (Err(error), Err(_)) => return Err(error),
        };
        out.push(found.chosen.clone());
        if found.kind == "p" {
            let within = format!(
                "c.relkind IN ('r', 'p') AND c.oid IN (SELECT relid FROM pg_partition_tree({}))",
                found.chosen.oid
            );
            let parts = relations(session, &within)?;
            out.extend(parts.into_iter().filter(|p| p.is_child).map(|p| p.chosen));
        }
    }
    let mut seen = std::collections::BTreeSet::new();
    out.retain(|chosen| seen.insert(chosen.oid.clone()));
    Ok(out)
}

/// The numbers of tables, for a list in SQL.
pub(super) fn numbers(chosen: &[Chosen]) -> String {
    let all: Vec<&str> = chosen.iter().map(|chosen| chosen.oid.as_str()).collect();
    all.join(", ")
}
