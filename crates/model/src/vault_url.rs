//! The URL of a vault, taken apart: which kind of store, and where in it.

use std::fmt;

use crate::source_url::redact;

/// Where a vault is. Holds no credentials.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum VaultPlace {
    /// A directory of this machine: `file:///path` or a path.
    File {
        /// As written, without `file://`.
        path: String,
    },
    /// S3 or a service that speaks it: `s3://bucket/prefix`, or with its address `s3:https://host/bucket/prefix`.
    S3 {
        /// The service's address, if it is not that of AWS: `https://host:port`.
        endpoint: Option<String>,
        /// The bucket.
        bucket: String,
        /// What every key begins with; without slashes at its ends, perhaps empty.
        prefix: String,
    },
    /// A restic REST server: `rest:https://host/path`.
    Rest {
        /// `http` or `https`, without a slash at its end.
        url: String,
    },
    /// A directory reached by SSH: `sftp://user@host:port/absolute/path`; `/~/` begins at the user's home.
    Sftp {
        /// Who logs in; the SSH configuration decides if nobody is named.
        user: Option<String>,
        /// Name, address or alias of the SSH configuration.
        host: String,
        /// The port, if it is not the usual one.
        port: Option<u16>,
        /// Absolute, or relative to the user's home.
        path: String,
    },
    /// A WebDAV folder: `webdav:https://host/path`.
    WebDav {
        /// `http` or `https`, without a slash at its end.
        url: String,
    },
    /// Azure Blob Storage: `azblob://container/prefix`.
    Azblob {
        /// The container.
        container: String,
        /// What every key begins with.
        prefix: String,
    },
    /// Google Cloud Storage: `gs://bucket/prefix`.
    Gcs {
        /// The bucket.
        bucket: String,
        /// What every key begins with.
        prefix: String,
    },
    /// Google Drive: `gdrive://folder/path`.
    Gdrive {
        /// The folder, from the drive's root.
        path: String,
    },
}

/// A text that names no place for a vault. Shown without passwords.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum VaultUrlError {
    /// Nothing here speaks that scheme.
    #[error("stores of the kind `{scheme}:` are not known")]
    Unknown {
        /// The part before the colon.
        scheme: String,
    },
    /// The scheme is known and something else is wrong.
    #[error("`{shown}` is not a place for a vault: {reason}")]
    Wrong {
        /// Without passwords.
        shown: String,
        /// What is wrong.
        reason: &'static str,
    },
}

/// Whether what goes over the network can be read by others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wire {
    /// It goes over no network.
    None,
    /// TLS.
    Tls,
    /// SSH.
    Ssh,
    /// Plain text, to this very machine.
    PlainLoopback,
    /// Plain text, over a network.
    Plain,
}

impl VaultPlace {
    /// Takes a URL apart; a text without scheme is a path.
    pub fn parse(text: &str) -> Result<VaultPlace, VaultUrlError> {
        let text = text.trim();
        let wrong = |reason| VaultUrlError::Wrong {
            shown: redact(text),
            reason,
        };
        let (scheme, rest) = match text.split_once(':') {
            Some((scheme, rest)) if is_scheme(scheme) => (scheme.to_ascii_lowercase(), rest),
            _ if text.is_empty() => return Err(wrong("it is empty")),
            _ => {
                return Ok(VaultPlace::File {
                    path: text.to_owned(),
                });
            }
        };
        match scheme.as_str() {
            "file" => Ok(VaultPlace::File {
                path: rest.strip_prefix("//").unwrap_or(rest).to_owned(),
            }),
            "s3" => s3(rest).map_err(wrong),
            "rest" => Ok(VaultPlace::Rest {
                url: http(rest).map_err(wrong)?,
            }),
            "webdav" => Ok(VaultPlace::WebDav {
                url: http(rest).map_err(wrong)?,
            }),
            "sftp" => sftp(rest).map_err(wrong),
            "azblob" => bucket(rest)
                .map(|(container, prefix)| VaultPlace::Azblob { container, prefix })
                .map_err(wrong),
            "gs" => bucket(rest)
                .map(|(bucket, prefix)| VaultPlace::Gcs { bucket, prefix })
                .map_err(wrong),
            "gdrive" => bucket(rest)
                .map(|(first, rest)| VaultPlace::Gdrive {
                    path: if rest.is_empty() {
                        first
                    } else {
                        format!("{first}/{rest}")
                    },
                })
                .map_err(wrong),
            _ => Err(VaultUrlError::Unknown { scheme }),
        }
    }

    /// The address that is spoken to by HTTP, if it stands in the URL itself.
    pub fn http_address(&self) -> Option<&str> {
        match self {
            VaultPlace::S3 { endpoint, .. } => endpoint.as_deref(),
            VaultPlace::Rest { url } | VaultPlace::WebDav { url } => Some(url),
            _ => None,
        }
    }

    /// What protects the bytes on their way, if the service is at `endpoint`.
    pub fn wire(&self, endpoint: Option<&str>) -> Wire {
        match self {
            VaultPlace::File { .. } => Wire::None,
            VaultPlace::Sftp { .. } => Wire::Ssh,
            // Without an address it is the provider's own, which is always by TLS.
            _ => self.http_address().or(endpoint).map_or(Wire::Tls, wire_of),
        }
    }

    /// What stock restic calls the repository of a vault here, if the service is at `endpoint` and signs for
    /// `region`; nothing if restic does not speak to it by itself.
    pub fn restic(&self, endpoint: Option<&str>, region: Option<&str>) -> Option<String> {
        let below = |prefix: &str| match prefix {
            "" => "repo".to_owned(),
            prefix => format!("{prefix}/repo"),
        };
        Some(match self {
            VaultPlace::File { path } => format!("{}/repo", path.trim_end_matches('/')),
            VaultPlace::S3 {
                endpoint: own,
                bucket,
                prefix,
            } => {
                let usual = match region {
                    Some(region) => format!("https://s3.{region}.amazonaws.com"),
                    None => "https://s3.amazonaws.com".to_owned(),
                };
                let host = own.as_deref().or(endpoint).unwrap_or(&usual);
                format!("s3:{host}/{bucket}/{}", below(prefix))
            }
            VaultPlace::Rest { url } => format!("rest:{url}/repo/"),
            VaultPlace::Sftp {
                user,
                host,
                port,
                path,
            } => {
                let user = user.as_ref().map(|u| format!("{u}@")).unwrap_or_default();
                let port = port.map(|p| format!(":{p}")).unwrap_or_default();
                // Restic takes one slash for the user's home and two for the root.
                format!("sftp://{user}{host}{port}/{path}/repo")
            }
            VaultPlace::Azblob { container, prefix } => {
                format!("azure:{container}:/{}", below(prefix))
            }
            VaultPlace::Gcs { bucket, prefix } => format!("gs:{bucket}:/{}", below(prefix)),
            VaultPlace::WebDav { .. } | VaultPlace::Gdrive { .. } => return None,
        })
    }

    /// The word for the kind of store.
    pub fn kind(&self) -> &'static str {
        match self {
            VaultPlace::File { .. } => "file",
            VaultPlace::S3 { .. } => "s3",
            VaultPlace::Rest { .. } => "rest",
            VaultPlace::Sftp { .. } => "sftp",
            VaultPlace::WebDav { .. } => "webdav",
            VaultPlace::Azblob { .. } => "azblob",
            VaultPlace::Gcs { .. } => "gs",
            VaultPlace::Gdrive { .. } => "gdrive",
        }
    }

    /// Whether a vault here can hold its ledger and policy beside the repository: a REST server knows nothing but
    /// the parts of a repository, and holds them within it.
    pub fn holds_record(&self) -> bool {
        !matches!(self, VaultPlace::Rest { .. })
    }
}

impl fmt::Display for VaultPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let joined = |a: &str, b: &str| match b {
            "" => a.to_owned(),
            b => format!("{a}/{b}"),
        };
        match self {
            VaultPlace::File { path } => f.write_str(path),
            VaultPlace::S3 {
                endpoint: Some(endpoint),
                bucket,
                prefix,
            } => {
                write!(f, "s3:{endpoint}/{}", joined(bucket, prefix))
            }
            VaultPlace::S3 {
                endpoint: None,
                bucket,
                prefix,
            } => {
                write!(f, "s3://{}", joined(bucket, prefix))
            }
            VaultPlace::Rest { url } => write!(f, "rest:{url}"),
            VaultPlace::WebDav { url } => write!(f, "webdav:{url}"),
            VaultPlace::Sftp {
                user,
                host,
                port,
                path,
            } => {
                let user = user.as_ref().map(|u| format!("{u}@")).unwrap_or_default();
                let port = port.map(|p| format!(":{p}")).unwrap_or_default();
                let path = match path.strip_prefix('/') {
                    Some(absolute) => absolute.to_owned(),
                    None => format!("~/{path}"),
                };
                write!(f, "sftp://{user}{host}{port}/{path}")
            }
            VaultPlace::Azblob { container, prefix } => {
                write!(f, "azblob://{}", joined(container, prefix))
            }
            VaultPlace::Gcs { bucket, prefix } => write!(f, "gs://{}", joined(bucket, prefix)),
            VaultPlace::Gdrive { path } => write!(f, "gdrive://{path}"),
        }
    }
}

impl Wire {
    /// What protects the way to an HTTP address.
    pub fn of_address(url: &str) -> Wire {
        wire_of(url)
    }
}

fn wire_of(url: &str) -> Wire {
    match url.split_once("://") {
        Some(("http", rest)) if is_loopback(rest) => Wire::PlainLoopback,
        Some(("http", _)) => Wire::Plain,
        _ => Wire::Tls,
    }
}

/// Whether the host of `host:port/path` is this machine, whatever any resolver says.
fn is_loopback(rest: &str) -> bool {
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let host = match authority.strip_prefix('[').and_then(|a| a.split_once(']')) {
        Some((inner, _)) => inner,
        None => authority.split(':').next().unwrap_or_default(),
    };
    host.parse::<core::net::IpAddr>()
        .is_ok_and(|ip| ip.is_loopback())
}

fn is_scheme(text: &str) -> bool {
    text.len() > 1
        && text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'-' | b'.'))
}

/// An `http` or `https` URL without user, query and slashes at its end.
fn http(text: &str) -> Result<String, &'static str> {
    let (scheme, rest) = text
        .split_once("://")
        .ok_or("write https:// and the server's name")?;
    if !matches!(scheme, "http" | "https") {
        return Err("its server is spoken to by https://");
    }
    let authority = rest.split('/').next().unwrap_or_default();
    if authority.is_empty() {
        return Err("it names no server");
    }
    if authority.contains('@') {
        return Err("a user does not stand in the URL; write user: NAME beside it");
    }
    if rest.contains(['?', '#']) {
        return Err("it holds a query or a fragment");
    }
    Ok(text.trim_end_matches('/').to_owned())
}

fn bucket(rest: &str) -> Result<(String, String), &'static str> {
    let rest = rest
        .strip_prefix("//")
        .ok_or("two slashes follow the scheme")?;
    let (first, path) = rest.split_once('/').unwrap_or((rest, ""));
    if first.is_empty() || first.contains(['@', ':', '?', '#']) {
        return Err("what follows the two slashes is no bucket, container or folder");
    }
    Ok((first.to_owned(), parts(path)?))
}

/// A path within a store: plain parts, slashes only between them.
fn parts(path: &str) -> Result<String, &'static str> {
    let path = path.trim_matches('/');
    let plain = |part: &str| {
        !part.is_empty()
            && part
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b"-_.=".contains(&b))
            && !matches!(part, "." | "..")
    };
    if path.is_empty() || path.split('/').all(plain) {
        Ok(path.to_owned())
    } else {
        Err("its path has a part that is not made of letters, digits, `-`, `_`, `.` and `=`")
    }
}

fn s3(rest: &str) -> Result<VaultPlace, &'static str> {
    if rest.starts_with("//") {
        let (bucket, prefix) = bucket(rest)?;
        return Ok(VaultPlace::S3 {
            endpoint: None,
            bucket,
            prefix,
        });
    }
    let url = http(rest)?;
    let (scheme, rest) = url.split_once("://").ok_or("it names no server")?;
    let (host, path) = rest
        .split_once('/')
        .ok_or("the bucket follows the server")?;
    let (bucket, prefix) = self::bucket(&format!("//{path}"))?;
    Ok(VaultPlace::S3 {
        endpoint: Some(format!("{scheme}://{host}")),
        bucket,
        prefix,
    })
}

fn sftp(rest: &str) -> Result<VaultPlace, &'static str> {
    let rest = rest
        .strip_prefix("//")
        .ok_or("two slashes follow the scheme")?;
    let (authority, path) = rest.split_once('/').ok_or("a path follows the host")?;
    let (user, host) = match authority.rsplit_once('@') {
        Some((user, host)) => (Some(user), host),
        None => (None, authority),
    };
    let (host, port) = match host.strip_prefix('[').and_then(|h| h.split_once(']')) {
        Some((inner, port)) => (inner, port.strip_prefix(':')),
        None => match host.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (host, None),
        },
    };
    // Both become words of the command line of ssh, and must not be taken for options or commands.
    let word = |text: &str| {
        !text.is_empty()
            && !text.starts_with('-')
            && text
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b"-_.:%".contains(&b))
    };
    if !word(host) {
        return Err("its host is not a name or an address");
    }
    if user.is_some_and(|u| !word(u) || u.contains(':')) {
        return Err("its user is not a name");
    }
    let port = port
        .map(str::parse)
        .transpose()
        .map_err(|_| "its port is not a number")?;
    let path = match path.strip_prefix("~/") {
        Some(relative) => parts(relative)?,
        None => format!("/{}", parts(path)?),
    };
    if matches!(path.as_str(), "" | "/") {
        return Err("it names no directory");
    }
    Ok(VaultPlace::Sftp {
        user: user.map(str::to_owned),
        host: host.to_owned(),
        port,
        path,
    })
}

#[cfg(test)]
mod tests;
