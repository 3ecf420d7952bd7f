//! Names of tables as people and catalogs write them.

use vouchsafe_capture::{BesideRequest, CaptureError};
use vouchsafe_model::DigestManifest;

use super::super::digest::{ROWS, SCHEMA};
use crate::beside::no_table;

/// A table as it was asked for: `table`, `schema.table` or `database.schema.table`; parts in double quotes may hold
/// anything, and case counts everywhere.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Wanted {
    said: String,
    pub(super) database: Option<String>,
    schema: Option<String>,
    table: String,
}

/// One part of a name: as it is written, and what it means.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Part {
    written: String,
    meant: String,
}

impl Wanted {
    fn parse(text: &str) -> Result<Wanted, CaptureError> {
        let mut parts = split(text).unwrap_or_default();
        let table = parts.pop();
        let (schema, database) = (parts.pop(), parts.pop());
        match table {
            Some(table) if parts.is_empty() => Ok(Wanted {
                said: text.to_owned(),
                database: database.map(|part| part.meant),
                schema: schema.map(|part| part.meant),
                table: table.meant,
            }),
            _ => Err(CaptureError::Target {
                place: format!("`{text}`"),
                message: "it is no table's name; write table, schema.table or database.schema.table, and what holds dots or quotes in double quotes".to_owned(),
            }),
        }
    }

    /// All that were asked for.
    pub(super) fn all(request: &BesideRequest) -> Result<Vec<Wanted>, CaptureError> {
        request
            .only
            .iter()
            .map(|text| Wanted::parse(text))
            .collect()
    }

    /// The one among these that is meant.
    pub(super) fn among<'r, T>(
        &self,
        all: &'r [T],
        named: impl Fn(&T) -> (&str, &str),
        shown: impl Fn(&T) -> String,
    ) -> Result<&'r T, CaptureError> {
        let is_meant = |each: &&T| {
            let (schema, table) = named(each);
            table == self.table && self.schema.as_deref().is_none_or(|s| s == schema)
        };
        let found: Vec<&T> = all.iter().filter(is_meant).collect();
        match found.as_slice() {
            [one] => Ok(one),
            [] => Err(no_table(&self.said, all.iter().map(shown).collect())),
            several => Err(CaptureError::Target {
                place: format!("`{}`", self.said),
                message: format!(
                    "several tables are called so; write which one: {}",
                    several
                        .iter()
                        .map(|each| shown(each))
                        .collect::<Vec<_>>()
                        .join(", ")
                ),
            }),
        }
    }
}

/// A relation that the manifest of a dump names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Noted {
    /// As the catalogs write it.
    pub(super) name: String,
    /// The table's part of it.
    pub(super) bare: String,
    schema: String,
    table: String,
    pub(super) rows: Option<u64>,
}

impl Noted {
    /// Everything that may be a table: those whose rows were digested first, then partitioned ones and others, of
    /// which only the definition was.
    pub(super) fn all(manifest: &DigestManifest) -> Vec<Noted> {
        let mut out: Vec<Noted> = Vec::new();
        let relation = format!("{SCHEMA}relation ");
        for prefix in [ROWS, relation.as_str()] {
            for (key, entry) in &manifest.entries {
                let Some(name) = key.strip_prefix(prefix) else {
                    continue;
                };
                let parts = split(name).unwrap_or_default();
                if let [schema, table] = parts.as_slice()
                    && out.iter().all(|noted| noted.name != name)
                {
                    out.push(Noted {
                        name: name.to_owned(),
                        bare: table.written.clone(),
                        schema: schema.meant.clone(),
                        table: table.meant.clone(),
                        rows: entry.count,
                    });
                }
            }
        }
        out
    }

    /// Which of them a person means.
    pub(super) fn meant<'n>(all: &'n [Noted], wanted: &Wanted) -> Result<&'n Noted, CaptureError> {
        // A name without a schema means a table rather than a view of that name.
        let tables: Vec<Noted> = all.iter().filter(|n| n.rows.is_some()).cloned().collect();
        if let Ok(found) = wanted.among(
            &tables,
            |n| (n.schema.as_str(), n.table.as_str()),
            |n| n.name.clone(),
        ) && let Some(same) = all.iter().find(|noted| noted.name == found.name)
        {
            return Ok(same);
        }
        wanted.among(
            all,
            |noted| (noted.schema.as_str(), noted.table.as_str()),
            |noted| noted.name.clone(),
        )
    }
}

/// The parts of a name between dots; nothing if it is none.
fn split(text: &str) -> Option<Vec<Part>> {
    let (mut out, mut rest) = (Vec::new(), text);
    loop {
        let mut part = Part {
            written: String::new(),
            meant: String::new(),
        };
        if let Some(quoted) = rest.strip_prefix('"') {
            let mut chars = quoted.char_indices().peekable();
            let end = loop {
                match (chars.next()?, chars.peek()) {
                    ((_, '"'), Some((_, '"'))) => {
                        chars.next();
                        part.meant.push('"');
                    }
                    ((at, '"'), _) => break at + 1,
                    ((_, other), _) => part.meant.push(other),
                }
            };
            let (inside, after) = quoted.split_at(end);
            part.written = format!("\"{inside}");
            rest = after;
        } else {
            let end = rest.find('.').unwrap_or(rest.len());
            let (plain, after) = rest.split_at(end);
            if plain.contains('"') {
                return None;
            }
            part.written = plain.to_owned();
            part.meant = plain.to_owned();
            rest = after;
        }
        if part.meant.is_empty() {
            return None;
        }
        out.push(part);
        match rest.strip_prefix('.') {
            Some(next) => rest = next,
            None if rest.is_empty() => return Some(out),
            None => return None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;
    use vouchsafe_model::{DigestEntry, Time};

    fn meant(text: &str) -> Option<Vec<String>> {
        Some(split(text)?.into_iter().map(|part| part.meant).collect())
    }

    #[test]
    fn names_are_read_as_the_catalogs_write_them() {
        let is = |parts: &[&str]| Some(parts.iter().map(|p| (*p).to_owned()).collect());
        assert_eq!(meant("orders"), is(&["orders"]));
        assert_eq!(meant("public.orders"), is(&["public", "orders"]));
        assert_eq!(
            meant("d.\"A.b\".\"odd \"\"name\""),
            is(&["d", "A.b", "odd \"name"])
        );
        for bad in ["", ".", "a.", ".a", "a\"b", "\"a", "\"a\"b", "\"\""] {
            assert_eq!(meant(bad), None, "{bad}");
        }
        assert!(Wanted::parse("a.b.c.d").is_err());
        assert_eq!(
            Wanted::parse("a.b.c").unwrap().database.as_deref(),
            Some("a")
        );
    }

    fn manifest(keys: &[(&str, Option<u64>)]) -> DigestManifest {
        let entry = |(key, count): &(&str, Option<u64>)| {
            let entry = DigestEntry {
                count: *count,
                digest: String::new(),
            };
            ((*key).to_owned(), entry)
        };
        DigestManifest {
            method: String::new(),
            taken_at: Time::from_secs(1),
            engine: None,
            entries: keys.iter().map(entry).collect::<BTreeMap<_, _>>(),
        }
    }

    #[test]
    fn a_name_means_one_table_or_is_refused() {
        let all = Noted::all(&manifest(&[
            ("rows:public.orders", Some(5)),
            ("rows:stock.orders", Some(6)),
            ("rows:public.\"Odd\"", Some(1)),
            ("schema:relation public.orders", None),
            ("schema:relation stock.moves", None),
        ]));
        assert_eq!(all.len(), 4);
        let find = |text: &str| Noted::meant(&all, &Wanted::parse(text).unwrap()).cloned();
        assert_eq!(find("stock.orders").unwrap().rows, Some(6));
        assert_eq!(find("Odd").unwrap().bare, "\"Odd\"");
        assert_eq!(find("moves").unwrap().rows, None);
        let said = find("orders").unwrap_err().to_string();
        assert!(said.contains("public.orders, stock.orders"), "{said}");
        let said = find("odd").unwrap_err().to_string();
        assert!(
            said.contains("no such table") && said.contains("public.orders"),
            "{said}"
        );
    }
}
