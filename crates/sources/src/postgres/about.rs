//! What a restore must know of the server that a database came from.

use std::io::Read;

use serde::{Deserialize, Serialize};
use vouchsafe_capture::{CaptureError, PointReader, TreePath, Visit};
use vouchsafe_format::{Node, NodeKind};

use super::session::{Session, unreadable};

/// The file's name in a point.
pub(super) const NAME: &str = "about.json";

/// Written beside the dump, as JSON.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct About {
    /// The database's name.
    pub(super) database: String,
    /// The server's version as it says it, like `15.18 (Debian 15.18-0+deb12u1)`.
    pub(super) server_version: String,
    /// The server's major version, like 15.
    pub(super) major: u32,
    /// The name of the role that the cluster was made with, which exists in every cluster by some name.
    pub(super) superuser: String,
    /// The database's encoding, collation and character type; `icu_locale` where ICU provides them.
    pub(super) encoding: String,
    pub(super) collate: String,
    pub(super) ctype: String,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(super) icu_locale: Option<String>,
    /// Whether the server's identifier could be read, and which it is.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(super) system_identifier: Option<String>,
    /// How the connection was protected, as the server saw it: `TLSv1.3 TLS_AES_256_GCM_SHA384`, or `none`.
    pub(super) tls: String,
    /// Whether pages carry checksums.
    #[serde(default)]
    pub(super) checksums: bool,
    /// Every how many bytes files of pages are cut, where the whole server was captured.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(super) cut: Option<u32>,
    /// Whether `globals.sql` holds the roles' password hashes.
    pub(super) role_passwords: bool,
    /// The moment of the snapshot, as the server's clock has it.
    pub(super) snapshot_time: String,
}

/// The longest `about.json` that is read.
const LONGEST: u64 = 1 << 20;

impl About {
    /// Asks a server, within the snapshot.
    pub(super) fn ask(session: &mut Session, database: &str) -> Result<About, CaptureError> {
        let version = session.text("SHOW server_version")?;
        let number: u32 = session
            .text("SHOW server_version_num")?
            .parse()
            .unwrap_or_default();
        let superuser = session.text("SELECT rolname::text FROM pg_roles WHERE oid = 10")?;
        let tls = session.text(
            "SELECT coalesce((SELECT CASE WHEN s.ssl THEN s.version || ' ' || s.cipher ELSE 'none' END \
             FROM pg_stat_ssl s WHERE s.pid = pg_backend_pid()), 'none')",
        )?;
        let role_passwords =
            session.text("SELECT has_table_privilege('pg_catalog.pg_authid', 'SELECT')::text")?;
        let snapshot_time = session.text(
            "SELECT to_char(now() AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"')",
        )?;
        let may_ask = session.text(
            "SELECT has_function_privilege('pg_catalog.pg_control_system()', 'EXECUTE')::text",
        )?;
        let system_identifier = if may_ask == "true" {
            Some(session.text("SELECT system_identifier::text FROM pg_control_system()")?)
        } else {
            None
        };
        let rows = session.rows(
            "SELECT pg_encoding_to_char(d.encoding)::text, d.datcollate::text, d.datctype::text, \
             CASE to_jsonb(d)->>'datlocprovider' WHEN 'i' \
             THEN coalesce(to_jsonb(d)->>'daticulocale', to_jsonb(d)->>'datlocale') END \
             FROM pg_database d WHERE d.datname = current_database()",
        )?;
        let mut locale = rows.into_iter().next().unwrap_or_default().into_iter();
        let mut next = || locale.next().flatten();
        let (encoding, collate, ctype, icu_locale) = (next(), next(), next(), next());
        Ok(About {
            encoding: encoding.unwrap_or_default(),
            collate: collate.unwrap_or_default(),
            ctype: ctype.unwrap_or_default(),
            icu_locale,
            database: database.to_owned(),
            server_version: version,
            major: number / 10_000,
            superuser,
            system_identifier,
            checksums: session.text("SHOW data_checksums")? == "on",
            cut: None,
            tls,
            role_passwords: role_passwords == "true",
            snapshot_time,
        })
    }

    /// As the file has it.
    pub(super) fn to_json(&self) -> Vec<u8> {
        let mut out = serde_json::to_vec_pretty(self).unwrap_or_default();
        out.push(b'\n');
        out
    }

    /// Reads it from JSON; the error names `place`.
    pub(super) fn parse(place: &str, json: &[u8]) -> Result<About, CaptureError> {
        serde_json::from_slice(json)
            .map_err(|e| unreadable(place, format!("{NAME}: {e}"), "choose another point"))
    }
}

/// The files of a point.
#[derive(Debug, Default)]
pub(super) struct Parts {
    pub(super) about: Option<Node>,
    pub(super) dump: Option<Dump>,
    pub(super) globals: Option<Node>,
}

/// A dump in a point.
#[derive(Clone, Debug)]
pub(super) struct Dump {
    /// A file, or a directory in `pg_dump`'s directory format.
    pub(super) node: Node,
    /// Where it is in the point.
    pub(super) at: TreePath,
}

impl Dump {
    /// What is neither is none.
    pub(super) fn of(at: &TreePath, node: &Node) -> Option<Dump> {
        matches!(node.kind, NodeKind::File | NodeKind::Dir).then(|| Dump {
            node: node.clone(),
            at: at.clone(),
        })
    }

    /// Its length, where it is one file.
    pub(super) fn bytes(&self) -> Option<u64> {
        (self.node.kind == NodeKind::File).then_some(self.node.size)
    }
}

/// Finds the parts of a point.
pub(super) fn parts(point: &dyn PointReader) -> Result<Parts, CaptureError> {
    let mut out = Parts::default();
    point.walk(&mut |path, node| {
        let names = path.names();
        if names.first().map(Vec::as_slice) != Some(DIRECTORY.as_bytes()) {
            return Ok(Visit::Over);
        }
        if names.len() == 2 && node.name.as_slice() == DUMP.as_bytes() {
            out.dump = Dump::of(path, node);
        } else if names.len() == 2 && node.kind == NodeKind::File {
            match node.name.as_slice() {
                name if name == NAME.as_bytes() => out.about = Some(node.clone()),
                name if name == GLOBALS.as_bytes() => out.globals = Some(node.clone()),
                _ => {}
            }
        }
        Ok(if names.len() == 1 {
            Visit::Into
        } else {
            Visit::Over
        })
    })?;
    Ok(out)
}

/// The directory of a point in which everything lies but the manifest.
pub(super) const DIRECTORY: &str = "postgres";

/// The dump's name: `pg_dump`'s custom format, or its directory format where several processes made it, not compressed.
pub(super) const DUMP: &str = "database.dump";

/// The name of the file of roles and tablespaces.
pub(super) const GLOBALS: &str = "globals.sql";

/// Reads what a point says of its origin.
pub(super) fn read(
    place: &str,
    point: &dyn PointReader,
    node: Option<&Node>,
) -> Result<About, CaptureError> {
    let node = node.ok_or_else(|| {
        let message = format!("the point holds no {NAME}");
        unreadable(
            place,
            message,
            "choose a point that was captured from this source",
        )
    })?;
    let mut json = Vec::new();
    point
        .open(node)?
        .take(LONGEST)
        .read_to_end(&mut json)
        .map_err(|e| CaptureError::io("read", NAME, e))?;
    About::parse(place, &json)
}
