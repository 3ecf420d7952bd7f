//! Where a PostgreSQL server is and how it is spoken to, read from the policy's URL.

use std::path::{Path, PathBuf};

use sqlx::ConnectOptions;
use sqlx::postgres::{PgConnectOptions, PgSslMode};
use vouchsafe_host::process::Command;
use vouchsafe_model::SourceUrl;

use crate::OpenSourceError;
use crate::authority::{SYSTEM_AUTHORITIES, decoded, is_this_machine, port, split_port, wrong};

/// How much of the connection TLS protects, with libpq's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tls {
    /// None: what is sent can be read on the way.
    Disable,
    /// Encrypted; the server may be anybody.
    Require,
    /// Encrypted; the certificate is signed by a known authority.
    VerifyCa,
    /// Encrypted; the certificate is signed by a known authority and names the host.
    VerifyFull,
}

impl Tls {
    fn parse(text: &str) -> Option<Tls> {
        Some(match text {
            "disable" => Tls::Disable,
            "require" => Tls::Require,
            "verify-ca" => Tls::VerifyCa,
            "verify-full" => Tls::VerifyFull,
            _ => return None,
        })
    }

    pub(crate) fn word(self) -> &'static str {
        match self {
            Tls::Disable => "disable",
            Tls::Require => "require",
            Tls::VerifyCa => "verify-ca",
            Tls::VerifyFull => "verify-full",
        }
    }
}

/// A server, a user and, unless the whole server is meant, a database: `postgres://user@host:port/database?key=value`.
///
/// The keys are libpq's: `host` (a directory of sockets), `port`, `sslmode` (`disable`, `require`, `verify-ca`,
/// `verify-full`), `sslrootcert`. Without `sslmode` it is `verify-full`, but for sockets and this machine's own
/// addresses, which are spoken to in the clear. There is no password in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Address {
    /// A host name, an address, or an absolute directory of sockets.
    pub(crate) host: String,
    pub(crate) port: u16,
    pub(crate) user: String,
    pub(crate) database: String,
    pub(crate) tls: Tls,
    /// The file of the authorities that are trusted; the machine's own if none is named.
    pub(crate) root_cert: Option<PathBuf>,
}

const DEFAULT_PORT: u16 = 5432;

impl Address {
    /// Reads a source's URL; the file of authorities starts at `base`.
    pub(crate) fn of_policy(url: &SourceUrl, base: &Path) -> Result<Address, OpenSourceError> {
        let read = Address::parse(url.rest());
        let mut address = read.map_err(|(message, remedy)| OpenSourceError::Place {
            source_url: url.to_string(),
            message,
            remedy,
        })?;
        address.root_cert = address.root_cert.map(|path| base.join(path));
        Ok(address)
    }

    /// Reads what follows `postgres:`.
    pub(crate) fn parse(rest: &str) -> Result<Address, (String, String)> {
        let form = "write postgres://user@host:5432/database";
        let rest = rest
            .strip_prefix("//")
            .ok_or_else(|| wrong("`//` must follow the scheme", form))?;
        let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
        let (authority, database) = rest.split_once('/').unwrap_or((rest, ""));
        let (user, place) = authority.rsplit_once('@').unwrap_or(("", authority));
        let (host, port) = split_port(place)?;
        let mut out = Address {
            host: decoded(host)?,
            port: port.unwrap_or(DEFAULT_PORT),
            user: decoded(user)?,
            database: decoded(database)?,
            tls: Tls::VerifyFull,
            root_cert: None,
        };
        let tls = out.take_query(query)?;
        if out.host.is_empty() {
            return Err(wrong("it names no host", form));
        }
        if out.user.is_empty() {
            return Err(wrong("it names no user", form));
        }
        if out.database.contains('/') || out.database.contains('\0') {
            return Err(wrong("the database's name holds a `/`", form));
        }
        out.tls = tls.unwrap_or(if out.is_this_machine() {
            Tls::Disable
        } else {
            Tls::VerifyFull
        });
        Ok(out)
    }

    fn take_query(&mut self, query: &str) -> Result<Option<Tls>, (String, String)> {
        let mut tls = None;
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            let value = decoded(value)?;
            match key {
                "host" => self.host = value,
                "port" => self.port = port(&value)?,
                "sslmode" => {
                    let modes = "write disable, require, verify-ca or verify-full";
                    tls = Some(Tls::parse(&value).ok_or_else(|| {
                        wrong(format!("`{value}` is not a value of sslmode"), modes)
                    })?);
                }
                "sslrootcert" => self.root_cert = Some(PathBuf::from(value)),
                other => {
                    return Err(wrong(
                        format!("the key `{other}` is not known"),
                        "known are host, port, sslmode and sslrootcert",
                    ));
                }
            }
        }
        Ok(tls)
    }

    /// Whether it is a directory of sockets.
    pub(crate) fn is_socket(&self) -> bool {
        self.host.starts_with('/')
    }

    /// Whether nothing leaves this machine.
    pub(crate) fn is_this_machine(&self) -> bool {
        self.is_socket() || is_this_machine(&self.host)
    }

    /// The server without user and database, for people.
    pub(crate) fn server(&self) -> String {
        if self.host.contains(':') {
            format!("[{}]:{}", self.host, self.port)
        } else {
            format!("{}:{}", self.host, self.port)
        }
    }

    /// The URL without secrets, for people.
    pub(crate) fn shown(&self) -> String {
        if self.is_socket() {
            let (user, host, port) = (&self.user, &self.host, self.port);
            return format!(
                "postgres://{user}@/{}?host={host}&port={port}",
                self.database
            );
        }
        format!(
            "postgres://{}@{}/{}",
            self.user,
            self.server(),
            self.database
        )
    }

    /// The same server and user, another database.
    pub(crate) fn with_database(&self, database: &str) -> Address {
        Address {
            database: database.to_owned(),
            ..self.clone()
        }
    }

    /// Whether both are the same server, as far as their spelling tells.
    pub(crate) fn same_server(&self, other: &Address) -> bool {
        self.host == other.host && self.port == other.port
    }

    /// Whether both are the same database, as far as their spelling tells.
    pub(crate) fn same_database(&self, other: &Address) -> bool {
        self.same_server(other) && self.database == other.database
    }

    /// For our own connection. Everything is said, so that nothing is taken from the environment; statements are logged
    /// nowhere.
    pub(crate) fn options(&self) -> PgConnectOptions {
        let options = PgConnectOptions::new_without_pgpass()
            .port(self.port)
            .username(&self.user)
            .database(&self.database)
            .application_name("vouchsafe")
            .statement_cache_capacity(8)
            .disable_statement_logging();
        let options = if self.is_socket() {
            options.socket(&self.host)
        } else {
            options.host(&self.host)
        };
        let mode = match self.tls {
            Tls::Disable => PgSslMode::Disable,
            Tls::Require => PgSslMode::Require,
            Tls::VerifyCa => PgSslMode::VerifyCa,
            Tls::VerifyFull => PgSslMode::VerifyFull,
        };
        let options = options.ssl_mode(mode);
        match self.roots() {
            Some(roots) => options.ssl_root_cert(roots),
            None => options,
        }
    }

    /// For a program that uses libpq; the password comes by a file.
    pub(crate) fn reach(&self, command: Command) -> Command {
        let command = command
            .env("PGHOST", &self.host)
            .env("PGPORT", self.port.to_string())
            .env("PGUSER", &self.user)
            .env("PGDATABASE", &self.database)
            .env("PGSSLMODE", self.tls.word())
            .env("PGAPPNAME", "vouchsafe")
            .env("PGCONNECT_TIMEOUT", "30");
        match self.roots() {
            Some(roots) => command.env("PGSSLROOTCERT", roots),
            None => command,
        }
    }

    /// The file of authorities: libpq would look in the user's home only.
    fn roots(&self) -> Option<&Path> {
        match self.tls {
            Tls::Disable | Tls::Require => self.root_cert.as_deref(),
            Tls::VerifyCa | Tls::VerifyFull => Some(
                self.root_cert
                    .as_deref()
                    .unwrap_or(Path::new(SYSTEM_AUTHORITIES)),
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Address {
        Address::parse(text).unwrap()
    }

    #[test]
    fn tls_is_verified_in_full_unless_nothing_leaves_the_machine() {
        assert_eq!(read("//u@db.internal/shop").tls, Tls::VerifyFull);
        assert_eq!(read("//u@10.0.0.7/shop").tls, Tls::VerifyFull);
        assert_eq!(read("//u@127.0.0.1/shop").tls, Tls::Disable);
        assert_eq!(read("//u@[::1]:5433/shop").tls, Tls::Disable);
        assert_eq!(read("//u@/shop?host=/run/postgresql").tls, Tls::Disable);
        assert_eq!(
            read("//u@localhost/shop?sslmode=verify-full").tls,
            Tls::VerifyFull
        );
        assert_eq!(read("//u@db/shop?sslmode=disable").tls, Tls::Disable);
    }

    #[test]
    fn no_statement_is_logged() {
        let options = format!("{:?}", read("//u@h/shop").options());
        assert!(options.contains(" statements_level: Off"), "{options}");
        assert!(options.contains("slow_statements_level: Off"), "{options}");
    }

    #[test]
    fn every_part_is_read() {
        let address = read("//back%20up@[fe80::1]:6000/sh%C3%B6p?sslrootcert=/etc/ca.pem");
        assert_eq!(address.host, "fe80::1");
        assert_eq!(address.port, 6000);
        assert_eq!(address.user, "back up");
        assert_eq!(address.database, "shöp");
        assert_eq!(address.root_cert, Some(PathBuf::from("/etc/ca.pem")));
        assert_eq!(address.shown(), "postgres://back up@[fe80::1]:6000/shöp");
    }

    #[test]
    fn what_is_missing_or_unknown_is_said() {
        for (text, says) in [
            ("shop", "`//`"),
            ("//host/shop", "no user"),
            ("//u@/shop", "no host"),
            ("//u@h:x/shop", "not a port"),
            ("//u@h/shop?sslmode=prefer", "sslmode"),
            ("//u@h/shop?sslkey=x", "`sslkey`"),
            ("//u@h/%ff", "UTF-8"),
            ("//u@h/a/b", "`/`"),
            ("//u@[::1/shop", "bracket"),
        ] {
            let (message, remedy) = Address::parse(text).unwrap_err();
            assert!(message.contains(says), "{text}: {message}");
            assert!(!remedy.is_empty());
        }
    }
}
