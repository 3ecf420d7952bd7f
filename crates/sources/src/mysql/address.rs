//! Where a MariaDB or MySQL server is and how it is spoken to, read from the policy's URL.

use std::path::{Path, PathBuf};

use sqlx::ConnectOptions;
use sqlx::mysql::{MySqlConnectOptions, MySqlSslMode};
use vouchsafe_model::SourceUrl;

use crate::OpenSourceError;
use crate::authority::{SYSTEM_AUTHORITIES, decoded, is_this_machine, port, split_port, wrong};

/// How much of the connection TLS protects, with libmysql's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tls {
    /// None: what is sent can be read on the way.
    Disabled,
    /// Encrypted; the server may be anybody.
    Required,
    /// Encrypted; the certificate is signed by a known authority, for whomever. No URL asks for it.
    VerifyAuthority,
    /// Encrypted; the certificate is signed by a known authority and names the host.
    VerifyIdentity,
}

impl Tls {
    fn parse(text: &str) -> Option<Tls> {
        Some(match text.to_ascii_uppercase().replace('-', "_").as_str() {
            "DISABLED" => Tls::Disabled,
            "REQUIRED" => Tls::Required,
            "VERIFY_IDENTITY" => Tls::VerifyIdentity,
            _ => return None,
        })
    }

    pub(crate) fn word(self) -> &'static str {
        match self {
            Tls::Disabled => "DISABLED",
            Tls::Required => "REQUIRED",
            Tls::VerifyAuthority => "VERIFY_CA",
            Tls::VerifyIdentity => "VERIFY_IDENTITY",
        }
    }
}

/// A server, a user and, unless the whole server is meant, a database: `mysql://user@host:port/database?key=value`.
///
/// The keys are those of libmysql: `socket` (a file), `port`, `ssl-mode` (`DISABLED`, `REQUIRED`, `VERIFY_IDENTITY`),
/// `ssl-ca`. Without `ssl-mode` it is `VERIFY_IDENTITY`, but for sockets and this machine's own addresses, which are
/// spoken to in the clear. There is no password in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Address {
    /// A host name or an address; empty for a socket.
    pub(crate) host: String,
    pub(crate) port: u16,
    /// The absolute path of a socket, which is taken instead of the host.
    pub(crate) socket: Option<PathBuf>,
    pub(crate) user: String,
    pub(crate) database: String,
    pub(crate) tls: Tls,
    /// The file of the authorities that are trusted; the machine's own if none is named.
    pub(crate) authorities: Option<PathBuf>,
}

const DEFAULT_PORT: u16 = 3306;

impl Address {
    /// Reads a source's URL; the file of authorities starts at `base`.
    pub(crate) fn of_policy(url: &SourceUrl, base: &Path) -> Result<Address, OpenSourceError> {
        let read = Address::parse(url.rest());
        let mut address = read.map_err(|(message, remedy)| OpenSourceError::Place {
            source_url: url.to_string(),
            message,
            remedy,
        })?;
        address.authorities = address.authorities.map(|path| base.join(path));
        Ok(address)
    }

    /// Reads what follows `mysql:`.
    pub(crate) fn parse(rest: &str) -> Result<Address, (String, String)> {
        let form = "write mysql://user@host:3306/database";
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
            socket: None,
            user: decoded(user)?,
            database: decoded(database)?,
            tls: Tls::VerifyIdentity,
            authorities: None,
        };
        let tls = out.take_query(query)?;
        if out.host.is_empty() && out.socket.is_none() {
            return Err(wrong("it names no host", form));
        }
        if out.user.is_empty() {
            return Err(wrong("it names no user", form));
        }
        if out.database.contains('/') || out.database.contains('\0') {
            return Err(wrong("the database's name holds a `/`", form));
        }
        if let Some(system) = SYSTEM.iter().find(|name| **name == out.database) {
            return Err(wrong(
                format!("`{system}` is the server's own"),
                "name a database of yours, or none for the whole server",
            ));
        }
        out.tls = tls.unwrap_or(if out.is_this_machine() {
            Tls::Disabled
        } else {
            Tls::VerifyIdentity
        });
        Ok(out)
    }

    fn take_query(&mut self, query: &str) -> Result<Option<Tls>, (String, String)> {
        let mut tls = None;
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            let value = decoded(value)?;
            match key {
                "socket" => {
                    if !value.starts_with('/') {
                        let remedy = "write its whole path, like /run/mysqld/mysqld.sock";
                        return Err(wrong(format!("`{value}` is not a socket"), remedy));
                    }
                    self.socket = Some(PathBuf::from(value));
                }
                "port" => self.port = port(&value)?,
                "ssl-mode" => {
                    let modes = "write DISABLED, REQUIRED or VERIFY_IDENTITY";
                    tls = Some(Tls::parse(&value).ok_or_else(|| {
                        wrong(format!("`{value}` is not a value of ssl-mode"), modes)
                    })?);
                }
                "ssl-ca" => self.authorities = Some(PathBuf::from(value)),
                other => {
                    return Err(wrong(
                        format!("the key `{other}` is not known"),
                        "known are socket, port, ssl-mode and ssl-ca",
                    ));
                }
            }
        }
        Ok(tls)
    }

    /// Whether nothing leaves this machine.
    pub(crate) fn is_this_machine(&self) -> bool {
        self.socket.is_some() || is_this_machine(&self.host)
    }

    /// The URL without secrets, for people.
    pub(crate) fn shown(&self) -> String {
        let (user, database) = (&self.user, &self.database);
        if let Some(socket) = &self.socket {
            let socket = socket.display();
            return format!("mysql://{user}@localhost/{database}?socket={socket}");
        }
        let (host, port) = (&self.host, self.port);
        if host.contains(':') {
            format!("mysql://{user}@[{host}]:{port}/{database}")
        } else {
            format!("mysql://{user}@{host}:{port}/{database}")
        }
    }

    /// Whether both are the same server, as far as their spelling tells.
    pub(crate) fn same_server(&self, other: &Address) -> bool {
        match (&self.socket, &other.socket) {
            (None, None) => self.host == other.host && self.port == other.port,
            (ours, theirs) => ours == theirs,
        }
    }

    /// Whether both are the same database, as far as their spelling tells.
    pub(crate) fn same_database(&self, other: &Address) -> bool {
        self.same_server(other) && self.database == other.database
    }

    /// For our own connection, which begins in no database and whose statements, some of which hold a password, are
    /// logged nowhere.
    pub(crate) fn options(&self) -> MySqlConnectOptions {
        let options = MySqlConnectOptions::new()
            .username(&self.user)
            .pipes_as_concat(false)
            .no_engine_substitution(false)
            .timezone(None)
            .statement_cache_capacity(0)
            .disable_statement_logging();
        let options = match &self.socket {
            Some(socket) => options.socket(socket),
            None => options.host(&self.host).port(self.port),
        };
        let options = options.ssl_mode(match self.tls {
            Tls::Disabled => MySqlSslMode::Disabled,
            Tls::Required => MySqlSslMode::Required,
            Tls::VerifyAuthority => MySqlSslMode::VerifyCa,
            Tls::VerifyIdentity => MySqlSslMode::VerifyIdentity,
        });
        match self.trusted() {
            Some(authorities) => options.ssl_ca(authorities),
            None => options,
        }
    }

    /// The file of authorities, where any are asked.
    pub(crate) fn trusted(&self) -> Option<&Path> {
        match self.tls {
            Tls::Disabled | Tls::Required => self.authorities.as_deref(),
            Tls::VerifyAuthority | Tls::VerifyIdentity => {
                let system = Path::new(SYSTEM_AUTHORITIES);
                Some(self.authorities.as_deref().unwrap_or(system))
            }
        }
    }
}

/// Databases that a server makes for itself.
pub(crate) const SYSTEM: [&str; 4] = ["mysql", "information_schema", "performance_schema", "sys"];

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Address {
        Address::parse(text).unwrap()
    }

    #[test]
    fn tls_is_verified_unless_nothing_leaves_the_machine() {
        assert_eq!(read("//u@db.internal/shop").tls, Tls::VerifyIdentity);
        assert_eq!(read("//u@10.0.0.7/shop").tls, Tls::VerifyIdentity);
        assert_eq!(read("//u@127.0.0.1/shop").tls, Tls::Disabled);
        assert_eq!(read("//u@[::1]:3307/shop").tls, Tls::Disabled);
        assert_eq!(read("//u@/shop?socket=/run/mysqld.sock").tls, Tls::Disabled);
        assert_eq!(
            read("//u@localhost/shop?ssl-mode=verify-identity").tls,
            Tls::VerifyIdentity
        );
        assert_eq!(read("//u@db/shop?ssl-mode=DISABLED").tls, Tls::Disabled);
    }

    #[test]
    fn every_part_is_read() {
        let address = read("//back%20up@[fe80::1]:6000/sh%C3%B6p?ssl-ca=/etc/ca.pem");
        assert_eq!(address.host, "fe80::1");
        assert_eq!(address.port, 6000);
        assert_eq!(address.user, "back up");
        assert_eq!(address.database, "shöp");
        assert_eq!(address.trusted(), Some(Path::new("/etc/ca.pem")));
        assert_eq!(address.shown(), "mysql://back up@[fe80::1]:6000/shöp");
        let socket = read("//root@localhost?socket=/run/s");
        assert_eq!(socket.socket, Some(PathBuf::from("/run/s")));
        assert!(socket.same_server(&read("//other@localhost/x?socket=/run/s")));
        assert!(!socket.same_server(&read("//root@localhost")));
    }

    #[test]
    fn no_statement_is_logged() {
        let options = format!("{:?}", read("//u@h/shop").options());
        assert!(options.contains(" statements_level: Off"), "{options}");
        assert!(options.contains("slow_statements_level: Off"), "{options}");
    }

    #[test]
    fn what_is_missing_or_unknown_is_said() {
        for (text, says) in [
            ("shop", "`//`"),
            ("//host/shop", "no user"),
            ("//u@/shop", "no host"),
            ("//u@h:x/shop", "not a port"),
            ("//u@h/shop?ssl-mode=PREFERRED", "ssl-mode"),
            ("//u@h/shop?sslkey=x", "`sslkey`"),
            ("//u@h/shop?socket=run/s", "socket"),
            ("//u@h/%ff", "UTF-8"),
            ("//u@h/a/b", "`/`"),
            ("//u@[::1/shop", "bracket"),
            ("//u@h/mysql", "server's own"),
        ] {
            let (message, remedy) = Address::parse(text).unwrap_err();
            assert!(message.contains(says), "{text}: {message}");
            assert!(!remedy.is_empty());
        }
    }
}
