//! What a restore must know of the server that a database came from.

use std::collections::BTreeMap;
use std::fmt;
use std::io::Read;

use serde::{Deserialize, Serialize};
use vouchsafe_capture::{CaptureError, PointReader, Visit};
use vouchsafe_format::{Node, NodeKind};

use super::programs::{self, Product, Series};
use super::session::{Session, literal, unreadable};

/// The file's name in a point.
pub(super) const NAME: &str = "about.json";

/// The directory of a point in which everything lies but the manifest.
pub(super) const DIRECTORY: &str = "mysql";

/// The dump's name.
pub(super) const DUMP: &str = "database.sql";

/// The name of the file of accounts, roles and what they may do.
pub(super) const ACCOUNTS: &str = "accounts.sql";

/// Written beside the dump, as JSON.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct About {
    /// The database's name; empty where the whole server was captured.
    pub(super) database: String,
    /// Which family the server is of.
    pub(super) product: Product,
    /// The server's version as it says it, like `10.11.19-MariaDB-0+deb12u1-log`.
    pub(super) server_version: String,
    /// Its release series, like `[10, 11]`.
    pub(super) series: Series,
    /// The database's character set and collation.
    pub(super) character_set: String,
    pub(super) collation: String,
    /// How the server compares the names of tables: 0, 1 or 2. Another server must do it in the same way.
    pub(super) lower_case_table_names: String,
    /// How the connection was protected, as the server saw it: `TLSv1.3 TLS_AES_256_GCM_SHA384`, or `none`.
    pub(super) tls: String,
    /// Whether `accounts.sql` holds the server's accounts.
    #[serde(default)]
    pub(super) accounts: bool,
    /// Where in the binary log the moment of the capture lies, where the server writes one and the user may know.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(super) position: Option<Position>,
    /// By what writers were held while the moment began: `backup stage`, `global read lock`, `table locks`.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(super) held_by: Option<String>,
    /// Tables whose engine knows no transactions: their rows are of no one moment.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub(super) of_no_moment: Vec<String>,
    /// Every how many bytes files of pages are cut, where the whole server was captured.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(super) cut: Option<u32>,
    /// What is known of a clone, where the whole of a MySQL server was captured.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(super) cloned: Option<Cloned>,
    /// The moment of the capture, as the server's clock has it.
    pub(super) server_time: String,
}

/// What a clone of a MySQL server says of itself when it is started for the first time.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Cloned {
    /// All transactions that are in it, as the server writes them.
    pub(super) gtids: String,
    /// How many tables there are.
    pub(super) tables: u64,
    /// SHA-256 of their sorted names.
    pub(super) names: String,
    /// Settings that say how its files are laid out: another server needs the same ones.
    pub(super) layout: BTreeMap<String, String>,
}

/// A place in a binary log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Position {
    /// The file's name.
    pub(super) file: String,
    /// The offset in it.
    pub(super) offset: u64,
    /// The global transaction identifiers up to there, as the server writes them; empty if there are none.
    #[serde(default)]
    pub(super) gtid: String,
}

/// As manifests have it: `bin.000003 1234 0-1-42`.
impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.file, self.offset)?;
        match self.gtid.as_str() {
            "" => Ok(()),
            gtid => write!(f, " {gtid}"),
        }
    }
}

/// The longest `about.json` that is read.
const LONGEST: u64 = 1 << 20;

impl About {
    /// Asks a server.
    pub(super) fn ask(
        session: &mut Session,
        shown: &str,
        database: &str,
    ) -> Result<About, CaptureError> {
        let server_version = session.text("SELECT VERSION()")?;
        let (product, series) = programs::series_of(&server_version).ok_or_else(|| {
            let message = format!("its version is not known: {server_version}");
            unreadable(shown, message, "capture MariaDB or MySQL")
        })?;
        let cipher = session.status("Ssl_cipher")?.unwrap_or_default();
        let version = session.status("Ssl_version")?.unwrap_or_default();
        let (mut character_set, mut collation) = (String::new(), String::new());
        if !database.is_empty() {
            let rows = session.rows(&format!(
                "SELECT DEFAULT_CHARACTER_SET_NAME, DEFAULT_COLLATION_NAME FROM information_schema.SCHEMATA \
                 WHERE SCHEMA_NAME = {}",
                literal(database)
            ))?;
            let Some(row) = rows.into_iter().next() else {
                return Err(unreadable(
                    shown,
                    format!("it has no database `{database}` that this user may see"),
                    "see that the database's name is right, and grant the user SELECT on it",
                ));
            };
            let mut row = row.into_iter().map(Option::unwrap_or_default);
            character_set = row.next().unwrap_or_default();
            collation = row.next().unwrap_or_default();
        }
        let names = session.setting("lower_case_table_names")?;
        Ok(About {
            database: database.to_owned(),
            product,
            server_version,
            series,
            character_set,
            collation,
            lower_case_table_names: names.unwrap_or_else(|| "0".to_owned()),
            tls: if cipher.is_empty() {
                "none".to_owned()
            } else {
                format!("{version} {cipher}")
            },
            accounts: false,
            position: None,
            held_by: None,
            of_no_moment: Vec::new(),
            cut: None,
            cloned: None,
            server_time: session.text("SELECT DATE_FORMAT(NOW(6), '%Y-%m-%dT%H:%i:%s.%fZ')")?,
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
    pub(super) dump: Option<Node>,
    pub(super) accounts: Option<Node>,
}

/// Finds the parts of a point.
pub(super) fn parts(point: &dyn PointReader) -> Result<Parts, CaptureError> {
    let mut out = Parts::default();
    point.walk(&mut |path, node| {
        let names = path.names();
        if names.first().map(Vec::as_slice) != Some(DIRECTORY.as_bytes()) {
            return Ok(Visit::Over);
        }
        if names.len() == 2 && node.kind == NodeKind::File {
            match node.name.as_slice() {
                name if name == NAME.as_bytes() => out.about = Some(node.clone()),
                name if name == DUMP.as_bytes() => out.dump = Some(node.clone()),
                name if name == ACCOUNTS.as_bytes() => out.accounts = Some(node.clone()),
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
