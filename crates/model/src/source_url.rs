//! What a protection reads, as a URL whose password never shows.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The kinds of source that the policy knows.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SourceKind {
    /// A folder tree: `files:/var/www`.
    Files,
    /// A SQLite database file: `sqlite:/var/lib/app.db`.
    Sqlite,
    /// A git repository: `git:/srv/code.git`, `git:https://host/code.git`.
    Git,
    /// One database of a PostgreSQL server: `postgres://user@host/shop`.
    Postgres,
    /// One database of a MariaDB or MySQL server: `mysql://user@host/shop`, `mariadb://user@host/shop`; without a
    /// database, the whole of a MariaDB server.
    MySql,
    /// One database of a MongoDB replica set: `mongodb://user@host/shop`; without a database, all of them.
    MongoDb,
    /// Any other scheme: it can be declared, and is not yet connected.
    Other(String),
}

impl SourceKind {
    /// Whether a capture of this kind can be run by this version.
    pub fn is_connected(&self) -> bool {
        !matches!(self, SourceKind::Other(_))
    }
}

impl fmt::Display for SourceKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            SourceKind::Files => "files",
            SourceKind::Sqlite => "sqlite",
            SourceKind::Git => "git",
            SourceKind::Postgres => "postgres",
            SourceKind::MySql => "mysql",
            SourceKind::MongoDb => "mongodb",
            SourceKind::Other(name) => name,
        })
    }
}

/// A source as the policy writes it: a scheme, a colon, and what the scheme makes of the rest.
///
/// Shown and serialised with any password replaced by `***`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SourceUrl {
    kind: SourceKind,
    scheme: String,
    rest: String,
}

/// A text that is not a source.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{shown}` is not a source; write a scheme, a colon and a place, like files:/var/www or postgres://user@host/name"
)]
pub struct SourceUrlError {
    /// The text, passwords hidden.
    pub shown: String,
}

impl SourceUrl {
    /// Reads `scheme:rest`; the scheme is letters, digits, `+`, `-`, and neither part is empty.
    pub fn parse(text: &str) -> Result<SourceUrl, SourceUrlError> {
        let bad = || SourceUrlError {
            shown: redact(text),
        };
        let (scheme, rest) = text.split_once(':').ok_or_else(bad)?;
        let scheme_ok = scheme.starts_with(|c: char| c.is_ascii_alphabetic())
            && scheme
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'-'));
        if !scheme_ok || rest.trim().is_empty() {
            return Err(bad());
        }
        let scheme = scheme.to_ascii_lowercase();
        let kind = match scheme.as_str() {
            "files" | "file" => SourceKind::Files,
            "sqlite" => SourceKind::Sqlite,
            "git" => SourceKind::Git,
            "postgres" | "postgresql" => SourceKind::Postgres,
            "mysql" | "mariadb" => SourceKind::MySql,
            "mongodb" => SourceKind::MongoDb,
            other => SourceKind::Other(other.to_owned()),
        };
        Ok(SourceUrl {
            kind,
            scheme,
            rest: rest.to_owned(),
        })
    }

    /// Which kind of source this is.
    pub fn kind(&self) -> &SourceKind {
        &self.kind
    }

    /// What follows the scheme, whole, password included: for the one place that connects.
    pub fn rest(&self) -> &str {
        &self.rest
    }

    /// The path of a local source: the rest without a leading `//`.
    pub fn local_path(&self) -> &str {
        self.rest.strip_prefix("//").unwrap_or(&self.rest)
    }

    /// Whether what it names keeps a log of every change, which could be shipped.
    pub fn has_log(&self) -> bool {
        matches!(
            self.kind,
            SourceKind::Postgres
                | SourceKind::MySql
                | SourceKind::Sqlite
                | SourceKind::MongoDb
                | SourceKind::Other(_)
        )
    }

    /// Whether its log can be replayed over what is captured of it: that of a whole server, or of a database that is a
    /// file.
    pub fn can_be_rolled_forward(&self) -> bool {
        self.kind == SourceKind::Sqlite || self.names_whole_server()
    }

    /// Whether two restores of one moment of it can be held against each other, table by table.
    pub fn has_comparable_moments(&self) -> bool {
        let has_tables = matches!(self.kind, SourceKind::Postgres | SourceKind::MySql);
        has_tables && self.names_whole_server()
    }

    /// Whether it names a whole server rather than one database of it: what a log is that of.
    pub fn names_whole_server(&self) -> bool {
        self.server_database() == Some("")
    }

    /// Whether it names all databases of a PostgreSQL server, to be dumped one by one.
    pub fn names_all_databases(&self) -> bool {
        self.kind == SourceKind::Postgres && self.server_database() == Some("*")
    }

    /// What stands for the database, where it is one of a server.
    fn server_database(&self) -> Option<&str> {
        let has_servers = matches!(
            self.kind,
            SourceKind::Postgres | SourceKind::MySql | SourceKind::MongoDb
        );
        let rest = self.rest.strip_prefix("//").filter(|_| has_servers)?;
        let before_query = rest.split_once('?').map_or(rest, |(before, _)| before);
        Some(before_query.split_once('/').map_or("", |(_, path)| path))
    }

    /// Whether the text itself holds a password, which belongs in `password:` by reference.
    pub fn has_password(&self) -> bool {
        redact(&self.rest) != self.rest
    }
}

/// Replaces the password of `user:password@` behind `//`, and every value of a query, by `***`.
pub fn redact(text: &str) -> String {
    let mut out = text.to_owned();
    if let Some(start) = out.find("//").map(|i| i + 2) {
        let end = out[start..]
            .find(['/', '?', '#'])
            .map_or(out.len(), |i| start + i);
        if let Some(at) = out[start..end].rfind('@').map(|i| start + i)
            && let Some(colon) = out[start..at].find(':').map(|i| start + i)
        {
            out.replace_range(colon + 1..at, "***");
        }
    }
    if let Some(q) = out.find('?') {
        let shown: Vec<String> = out[q + 1..]
            .split('&')
            .map(|pair| {
                pair.split_once('=')
                    .map_or_else(|| pair.to_owned(), |(k, _)| format!("{k}=***"))
            })
            .collect();
        out.replace_range(q + 1.., &shown.join("&"));
    }
    out
}

impl fmt::Display for SourceUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.scheme, redact(&self.rest))
    }
}

impl fmt::Debug for SourceUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SourceUrl({self})")
    }
}

impl Serialize for SourceUrl {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_do_not_show() {
        let url = SourceUrl::parse("postgres://u:hunter2@db/shop?sslpassword=hunter2").unwrap();
        assert_eq!(url.to_string(), "postgres://u:***@db/shop?sslpassword=***");
        assert!(!format!("{url:?}").contains("hunter2"));
        assert!(url.has_password());
        assert!(
            !SourceUrl::parse("postgres://u@db/shop")
                .unwrap()
                .has_password()
        );
    }

    #[test]
    fn errors_do_not_show_passwords_either() {
        let err = SourceUrl::parse("://u:hunter2@db").unwrap_err();
        assert!(!err.to_string().contains("hunter2"));
    }

    #[test]
    fn kinds() {
        assert_eq!(
            SourceUrl::parse("files:/var/www").unwrap().local_path(),
            "/var/www"
        );
        assert_eq!(
            *SourceUrl::parse("rds:x/y").unwrap().kind(),
            SourceKind::Other("rds".into())
        );
        for text in ["mysql://u@h/shop", "mariadb://u@h/shop"] {
            let url = SourceUrl::parse(text).unwrap();
            assert_eq!(*url.kind(), SourceKind::MySql);
            assert!(url.has_log() && url.kind().is_connected());
        }
        let mongo = |text: &str| SourceUrl::parse(text).unwrap();
        assert!(mongo("mongodb://u@a,b:27018?replicaSet=rs0").can_be_rolled_forward());
        assert!(mongo("mongodb://u@a/").can_be_rolled_forward());
        let one = mongo("mongodb://u@a/shop?replicaSet=rs0");
        assert!(one.has_log() && !one.can_be_rolled_forward());
        assert!(SourceUrl::parse("files:").is_err());
    }
}
