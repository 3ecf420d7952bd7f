//! URLs of sources and vaults as policies write them: paths made whole, passwords found out.

use std::path::{Component, Path, PathBuf};

use vouchsafe_model::source_url::redact;
use vouchsafe_model::{SourceKind, SourceUrl};

/// A URL that cannot be used; never holds a password.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum UrlError {
    /// Not a URL of a source.
    #[error("`{shown}` is not a source")]
    NotSource {
        /// Without passwords.
        shown: String,
    },
    /// Not a URL of a vault.
    #[error("`{shown}` is not a place for a vault")]
    NotVault {
        /// Without passwords.
        shown: String,
    },
    /// A file URL with a host in it.
    #[error("`{shown}` names a host where a path begins")]
    Host {
        /// Without passwords.
        shown: String,
    },
    /// A password stands in the URL.
    #[error("a password stands in this URL")]
    Password,
    /// The policy's folder cannot be written as text.
    #[error("the policy's folder has a name that is not UTF-8, so no path can start from it")]
    Base,
}

impl UrlError {
    pub(crate) fn code(&self) -> &'static str {
        match self {
            UrlError::Password => "P026",
            _ => "P029",
        }
    }

    pub(crate) fn remedy(&self) -> &'static str {
        match self {
            UrlError::NotSource { .. } => {
                "write a scheme, a colon and a place, like files:/var/www or postgres://user@host/name"
            }
            UrlError::NotVault { .. } => {
                "write file:///srv/vouchsafe, or a path from the policy's folder"
            }
            UrlError::Host { .. } => "write three slashes: file:///srv/vouchsafe",
            UrlError::Password => {
                "take it out, change it, and say where it is kept: password: { env: NAME }, { file: PATH } or { command: [...] }"
            }
            UrlError::Base => "write whole paths",
        }
    }
}

/// Reads a source; local paths start from `base`.
pub(crate) fn source(text: &str, base: &Path) -> Result<SourceUrl, UrlError> {
    if holds_password(text) {
        return Err(UrlError::Password);
    }
    let not_source = || UrlError::NotSource {
        shown: redact(text),
    };
    let url = SourceUrl::parse(text).map_err(|_| not_source())?;
    let local = match url.kind() {
        SourceKind::Files | SourceKind::Sqlite => true,
        SourceKind::Git => is_local_git(url.rest()),
        SourceKind::Postgres | SourceKind::MySql | SourceKind::MongoDb | SourceKind::Other(_) => {
            false
        }
    };
    if !local {
        return Ok(url);
    }
    let path = whole(url.local_path(), base)?;
    SourceUrl::parse(&format!("{}:{path}", url.kind())).map_err(|_| not_source())
}

/// Reads a vault's URL; gives `file:///whole/path` for local ones and the text itself for others.
pub(crate) fn vault(text: &str, base: &Path) -> Result<String, UrlError> {
    if holds_password(text) {
        return Err(UrlError::Password);
    }
    let shown = || redact(text);
    let text = text.trim();
    if text.is_empty() {
        return Err(UrlError::NotVault { shown: shown() });
    }
    let path = match text.split_once(':') {
        Some((scheme, rest)) if scheme.eq_ignore_ascii_case("file") => {
            match rest.strip_prefix("//") {
                Some(path) if !path.starts_with(['/', '.']) => {
                    return Err(UrlError::Host { shown: shown() });
                }
                Some(path) => path,
                None => rest,
            }
        }
        Some((scheme, rest)) if is_scheme(scheme) && !rest.is_empty() => return Ok(text.to_owned()),
        Some(_) if !text.starts_with(['/', '.']) => {
            return Err(UrlError::NotVault { shown: shown() });
        }
        _ => text,
    };
    if path.is_empty() {
        return Err(UrlError::NotVault { shown: shown() });
    }
    Ok(format!("file://{}", whole(path, base)?))
}

/// A path made whole from `base`, without `.` components.
pub(crate) fn path_from(text: &str, base: &Path) -> PathBuf {
    base.join(text)
        .components()
        .filter(|c| !matches!(c, Component::CurDir))
        .collect()
}

/// The folder of a `file://` vault.
pub(crate) fn vault_path(url: &str) -> Option<&Path> {
    url.strip_prefix("file://").map(Path::new)
}

/// Whether the text is a URL that asks for a user's name and so, mostly, for a password. A database that is reached by a
/// socket knows who its user is from the machine.
pub(crate) fn names_user(url: &SourceUrl) -> bool {
    let rest = url.rest();
    if of_database(url).is_some_and(|(_, query)| is_socket(query)) {
        return false;
    }
    let authority = rest
        .strip_prefix("//")
        .and_then(|r| r.split(['/', '?', '#']).next());
    authority.is_some_and(|a| a.contains('@'))
}

/// What stands before and behind the `?` of a database's URL, if it is one.
fn of_database(url: &SourceUrl) -> Option<(&str, &str)> {
    if !matches!(
        url.kind(),
        SourceKind::Postgres | SourceKind::MySql | SourceKind::MongoDb
    ) {
        return None;
    }
    let rest = url.rest().strip_prefix("//")?;
    Some(rest.split_once('?').unwrap_or((rest, "")))
}

/// The keys and values behind the `?`.
fn pairs(query: &str) -> impl Iterator<Item = (&str, &str)> {
    query.split('&').filter_map(|pair| pair.split_once('='))
}

/// Whether keys behind the `?` lead to a socket of this machine.
fn is_socket(query: &str) -> bool {
    pairs(query).any(|(key, value)| match key {
        "socket" => true,
        "host" => value.starts_with(['/', '%']),
        _ => false,
    })
}

/// Whether the URL of a database names none, and so means the whole server.
pub(crate) fn is_whole_server(url: &SourceUrl) -> bool {
    of_database(url).is_some_and(|(place, _)| {
        let database = place.split_once('/').map_or("", |(_, database)| database);
        database.is_empty()
    })
}

/// Whether the URL of a database names a host that is not this machine; no socket and no loopback address.
pub(crate) fn names_elsewhere(url: &SourceUrl) -> bool {
    let Some((place, query)) = of_database(url) else {
        return false;
    };
    let authority = place.split('/').next().unwrap_or_default();
    let hosts = authority.rsplit('@').next().unwrap_or_default();
    if *url.kind() == SourceKind::MongoDb {
        return hosts
            .split(',')
            .any(|host| is_elsewhere(without_port(host)));
    }
    let mut host = without_port(hosts);
    for (key, value) in pairs(query) {
        match key {
            "socket" => return false,
            "host" => host = value,
            _ => {}
        }
    }
    is_elsewhere(host)
}

/// `host`, `host:port` or `[::1]:port` without the port.
fn without_port(host: &str) -> &str {
    match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => host.split(':').next().unwrap_or_default(),
    }
}

fn is_elsewhere(host: &str) -> bool {
    let is_loopback = host == "::1" || host.starts_with("127.");
    // An empty host is an error elsewhere; one that begins with a slash is a socket, or a directory of them.
    !(host.is_empty() || host.starts_with(['/', '%']) || host == "localhost" || is_loopback)
}

/// The key and value by which the URL of a database asks for less than a certificate that is verified in full.
pub(crate) fn lowered_tls(url: &SourceUrl) -> Option<String> {
    let (_, query) = of_database(url)?;
    if *url.kind() == SourceKind::MongoDb {
        let lowers = |(key, value): &(&str, &str)| match *key {
            "tls" | "ssl" => *value == "false",
            "tlsAllowInvalidCertificates" | "tlsInsecure" => *value == "true",
            _ => false,
        };
        let found = pairs(query).find(lowers);
        return found.map(|(key, value)| format!("{key}={value}"));
    }
    let (key, value) = pairs(query).find(|(key, _)| matches!(*key, "sslmode" | "ssl-mode"))?;
    let full = value.to_ascii_lowercase().replace('_', "-");
    (!matches!(full.as_str(), "verify-full" | "verify-identity")).then(|| format!("{key}={value}"))
}

fn whole(path: &str, base: &Path) -> Result<String, UrlError> {
    let whole = path_from(path, base);
    whole.to_str().map(str::to_owned).ok_or(UrlError::Base)
}

fn is_scheme(text: &str) -> bool {
    text.len() > 1
        && text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'-' | b'.'))
}

fn is_local_git(rest: &str) -> bool {
    let scp_like = rest
        .split('/')
        .next()
        .is_some_and(|first| first.contains(':'));
    !rest.contains("://") && !scp_like
}

/// Whether a text holds `user:password@` behind `//`, or a query key that names a secret.
pub(crate) fn holds_password(text: &str) -> bool {
    let (before, query) = text.split_once('?').unwrap_or((text, ""));
    let named = query.split(['&', ';']).any(|pair| {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        let key = key.to_ascii_lowercase();
        let secret = [
            "password",
            "passwd",
            "pwd",
            "secret",
            "token",
            "passphrase",
            "access_key",
            "apikey",
            "api_key",
        ];
        !value.is_empty() && secret.iter().any(|s| key.contains(s))
    });
    // A `?` inside a password cuts it: then nothing before it looks like one, so both are looked at.
    named || redact(before) != before || redact_authority(text)
}

fn redact_authority(text: &str) -> bool {
    let Some((_, rest)) = text.split_once("//") else {
        return false;
    };
    let authority = rest.split('/').next().unwrap_or_default();
    authority
        .rsplit_once('@')
        .is_some_and(|(user, _)| user.contains(':'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> String {
        source(text, Path::new("/p")).unwrap().to_string()
    }

    #[test]
    fn local_paths_start_from_the_policy() {
        assert_eq!(read("files:."), "files:/p");
        assert_eq!(read("file:./www"), "files:/p/www");
        assert_eq!(read("sqlite:db/app.db"), "sqlite:/p/db/app.db");
        assert_eq!(read("sqlite:///db/app.db"), "sqlite:/db/app.db");
        assert_eq!(read("git:."), "git:/p");
        assert_eq!(read("git:https://host/x.git"), "git:https://host/x.git");
        assert_eq!(read("git:git@host:x/y.git"), "git:git@host:x/y.git");
        assert_eq!(
            read("postgres://u@h/db?sslmode=require"),
            "postgres://u@h/db?sslmode=***"
        );
    }

    #[test]
    fn vaults_become_file_urls() {
        let v = |t: &str| vault(t, Path::new("/p"));
        for text in [
            "./v",
            "v",
            "file:v",
            "file:./v",
            "file://./v",
            "/p/v",
            "file:///p/v",
        ] {
            assert_eq!(v(text).as_deref(), Ok("file:///p/v"), "{text}");
        }
        assert_eq!(v("s3://bucket/prod").as_deref(), Ok("s3://bucket/prod"));
        assert!(matches!(v("file://srv/v"), Err(UrlError::Host { .. })));
        assert!(matches!(v(""), Err(UrlError::NotVault { .. })));
        assert!(matches!(v("file:"), Err(UrlError::NotVault { .. })));
    }

    #[test]
    fn databases_elsewhere_and_lowered_tls_are_told_apart() {
        let url = |text: &str| SourceUrl::parse(text).unwrap();
        for here in [
            "mysql://u@localhost/d",
            "mysql://u@127.0.0.1:3307/d",
            "mysql://u@[::1]/d",
            "mysql://u@db/d?socket=/run/s",
            "postgres://u@db/d?host=/run/postgresql",
            "mongodb://u@127.0.0.1,[::1]:27018/d?replicaSet=r",
            "mongodb://%2Frun%2Fmongodb-27017.sock/d",
            "files:/data",
        ] {
            assert!(!names_elsewhere(&url(here)), "{here}");
        }
        for elsewhere in [
            "mysql://u@db.internal:3307/d",
            "mariadb://u@10.0.0.7",
            "postgres://u@[fe80::1]:6000/d",
            "postgres://u@localhost/d?host=db",
            "mongodb://u@localhost,db:27018?replicaSet=r",
        ] {
            assert!(names_elsewhere(&url(elsewhere)), "{elsewhere}");
        }
        assert!(is_whole_server(&url("mysql://u@db?ssl-ca=x")));
        assert!(is_whole_server(&url("mysql://u@db/")));
        assert!(!is_whole_server(&url("mysql://u@db/shop")));
        let lowered = |text: &str| lowered_tls(&url(text));
        assert_eq!(lowered("mysql://u@db/d?ssl-mode=VERIFY_IDENTITY"), None);
        assert_eq!(lowered("postgres://u@db/d?sslmode=verify-full"), None);
        assert_eq!(lowered("postgres://u@db/d"), None);
        assert_eq!(lowered("mongodb://u@db/d?tls=true&authSource=d"), None);
        for lower in ["tls=false", "tlsInsecure=true"] {
            let url = format!("mongodb://u@db/d?authSource=d&{lower}");
            assert_eq!(lowered(&url).as_deref(), Some(lower));
        }
        for lower in [
            "ssl-mode=REQUIRED",
            "ssl-mode=disabled",
            "sslmode=verify-ca",
        ] {
            assert_eq!(
                lowered(&format!("mysql://u@db/d?{lower}")).as_deref(),
                Some(lower)
            );
        }
    }

    #[test]
    fn passwords_are_found_and_never_shown() {
        for text in [
            "postgres://u:hunter2@h/db",
            "git:https://u:hunter2@h/x",
            "mysql://h/db?password=hunter2",
            "postgres://u:hunt?er2@h/db",
            "s3://k:hunter2@b/p",
        ] {
            let err = source(text, Path::new("/p")).unwrap_err();
            assert_eq!(err, UrlError::Password, "{text}");
            assert!(!format!("{err} {err:?}").contains("hunt"));
            assert_eq!(vault(text, Path::new("/p")), Err(UrlError::Password));
        }
        let err = source("://u:hunter2", Path::new("/p")).unwrap_err();
        assert!(!err.to_string().contains("hunter2@"));
    }
}
