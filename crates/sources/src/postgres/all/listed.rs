//! What a point of all databases holds, and where.

use std::io::Read;

use serde::{Deserialize, Serialize};
use vouchsafe_capture::{CaptureError, PointReader, TreePath, Visit};
use vouchsafe_format::{Node, NodeKind};
use vouchsafe_model::{DigestEntry, DigestManifest};

use super::super::about::{About, DIRECTORY, DUMP, Dump, GLOBALS, NAME, Parts};
use super::super::digest::LARGE_OBJECTS;
use super::super::session::{quoted, unreadable};

/// The longest `about.json` that is read.
const LONGEST: u64 = 16 << 20;

/// Written beside the dumps, as JSON.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::postgres) struct AllAbout {
    /// The server, as the database `postgres` tells it.
    pub(in crate::postgres) server: About,
    /// What is told of each database, in the order of their names.
    pub(in crate::postgres) databases: Vec<About>,
}

impl AllAbout {
    pub(super) fn to_json(&self) -> Vec<u8> {
        let mut out = serde_json::to_vec_pretty(self).unwrap_or_default();
        out.push(b'\n');
        out
    }

    pub(super) fn parse(place: &str, json: &[u8]) -> Result<AllAbout, CaptureError> {
        serde_json::from_slice(json)
            .map_err(|e| unreadable(place, format!("{NAME}: {e}"), "choose another point"))
    }

    /// Reads it from a point.
    pub(super) fn read(place: &str, point: &dyn PointReader) -> Result<AllAbout, CaptureError> {
        let node = find_file(point, &[DIRECTORY, NAME])?.ok_or_else(|| {
            let message = format!("the point holds no {NAME}");
            let remedy = "choose a point that was captured from this source";
            unreadable(place, message, remedy)
        })?;
        let mut json = Vec::new();
        point
            .open(&node)?
            .take(LONGEST)
            .read_to_end(&mut json)
            .map_err(|e| CaptureError::io("read", NAME, e))?;
        AllAbout::parse(place, &json)
    }
}

/// The files of one database of a point, and the roles of all.
pub(super) fn parts_of(point: &dyn PointReader, database: &str) -> Result<Parts, CaptureError> {
    let directory = directory_of(database);
    Ok(Parts {
        about: None,
        dump: find(point, &[DIRECTORY, &directory, DUMP])?
            .and_then(|(at, node)| Dump::of(&at, &node)),
        globals: find_file(point, &[DIRECTORY, GLOBALS])?,
    })
}

fn find_file(point: &dyn PointReader, way: &[&str]) -> Result<Option<Node>, CaptureError> {
    let found = find(point, way)?.map(|(_, node)| node);
    Ok(found.filter(|node| node.kind == NodeKind::File))
}

fn find(point: &dyn PointReader, way: &[&str]) -> Result<Option<(TreePath, Node)>, CaptureError> {
    let mut found = None;
    point.walk(&mut |path, node| {
        let names = path.names();
        let leads = names
            .iter()
            .map(Vec::as_slice)
            .eq(way.iter().take(names.len()).map(|name| name.as_bytes()));
        if leads && names.len() == way.len() {
            found = Some((path.clone(), node.clone()));
            return Ok(Visit::Stop);
        }
        Ok(if leads { Visit::Into } else { Visit::Over })
    })?;
    Ok(found)
}

/// The directory of a database in a point: its name, with what no file's name should hold as percent signs and digits.
pub(super) fn directory_of(database: &str) -> String {
    let mut out = String::from("db-");
    for byte in database.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'_' | b'-' => out.push(char::from(byte)),
            other => out.push_str(&format!("%{other:02X}")),
        }
    }
    out
}

/// The key of a database's part in the manifest of all: its name, as SQL quotes it, stands before the part's own.
pub(in crate::postgres) fn key_in(database: &str, key: &str) -> String {
    let database = quoted(database);
    match key.split_once(':') {
        Some((kind, name)) => format!("{kind}:{database} {name}"),
        None => format!("{key}:{database}"),
    }
}

/// The manifest of one database out of that of all, as a dump of it alone has it.
pub(super) fn manifest_in(
    manifest: &DigestManifest,
    database: &str,
    method: &str,
) -> DigestManifest {
    let database = quoted(database);
    let inside = |(key, entry): (&String, &DigestEntry)| {
        let (kind, name) = key.split_once(':')?;
        let key = match name.strip_prefix(&database)? {
            "" if kind == LARGE_OBJECTS => kind.to_owned(),
            rest => format!("{kind}:{}", rest.strip_prefix(' ')?),
        };
        Some((key, entry.clone()))
    };
    DigestManifest {
        method: method.to_owned(),
        entries: manifest.entries.iter().filter_map(inside).collect(),
        ..manifest.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use vouchsafe_model::Time;

    #[test]
    fn keys_of_databases_come_apart_as_they_were() {
        let keys = [
            "rows:public.t",
            "schema:columns public.t",
            "sequence:a.b",
            LARGE_OBJECTS,
        ];
        let entry = || DigestEntry {
            count: Some(1),
            digest: "aa".to_owned(),
        };
        let databases = ["shop", "shop 2", "odd \"name"];
        let mut entries = std::collections::BTreeMap::from([("grants:role r".to_owned(), entry())]);
        for database in databases {
            entries.extend(keys.iter().map(|key| (key_in(database, key), entry())));
        }
        assert_eq!(entries.len(), 13);
        let all = DigestManifest {
            method: "all".to_owned(),
            taken_at: Time::from_secs(1),
            engine: None,
            entries,
        };
        for database in databases {
            let one = manifest_in(&all, database, "one");
            let found: Vec<&str> = one.entries.keys().map(String::as_str).collect();
            assert_eq!(
                found,
                [
                    "large-objects",
                    "rows:public.t",
                    "schema:columns public.t",
                    "sequence:a.b"
                ]
            );
        }
    }

    #[test]
    fn every_database_has_a_directory_of_its_own() {
        assert_eq!(directory_of("shop_2"), "db-shop_2");
        assert_eq!(directory_of("a.b/c"), "db-a%2Eb%2Fc");
        assert_ne!(directory_of("a%2Eb"), directory_of("a.b"));
    }
}
