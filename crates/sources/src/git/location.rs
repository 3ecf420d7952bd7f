//! Where a repository is: a directory, or what git understands as a URL.

use std::ffi::OsString;
use std::fmt;
use std::path::{Path, PathBuf};

use vouchsafe_host::files;
use vouchsafe_model::SourceUrl;
use vouchsafe_model::source_url::redact;

use crate::{OpenSourceError, absolute};

/// A repository's place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Location {
    /// A directory: a bare repository, or one with a working tree.
    Local(PathBuf),
    /// A URL, or `[user@]host:path`.
    Remote(String),
}

impl Location {
    /// What the policy names.
    pub(super) fn of_source(url: &SourceUrl, base: &Path) -> Result<Location, OpenSourceError> {
        let refused = |message: &str, remedy: &str| OpenSourceError::Place {
            source_url: url.to_string(),
            message: message.to_owned(),
            remedy: remedy.to_owned(),
        };
        let rest = url.rest();
        // `git://host/path` is a URL of git's own protocol, `git:///path` a path.
        let own_protocol = rest.starts_with("//") && !rest.starts_with("///");
        let text = if own_protocol {
            format!("git:{rest}")
        } else {
            rest.to_owned()
        };
        if url.has_password() || redact(&text) != text {
            return Err(refused(
                "it holds a password",
                "use an ssh URL with a key, and remove the password",
            ));
        }
        if text.contains("::") {
            return Err(refused(
                "git's remote helpers are not used",
                "write a path, or an ssh, https or git URL",
            ));
        }
        if own_protocol || is_remote(&text) {
            return Ok(Location::Remote(text));
        }
        Ok(Location::Local(absolute(url, base)?))
    }

    /// What a person names as a target, or where something was restored to.
    pub(super) fn of_target(place: &Path) -> Location {
        match place.to_str() {
            Some(text) if is_remote(text) && !files::exists(place).unwrap_or(false) => {
                Location::Remote(text.to_owned())
            }
            _ => Location::Local(place.to_path_buf()),
        }
    }

    /// For git's command line, behind `--`.
    pub(super) fn argument(&self) -> OsString {
        match self {
            Location::Local(path) => path.clone().into_os_string(),
            Location::Remote(url) => url.into(),
        }
    }

    /// `code.git` for `/srv/code`, `/srv/code.git`, `/srv/code/.git` and `https://host/team/code.git`.
    pub(super) fn repository_name(&self) -> String {
        let text = match self {
            Location::Local(path) => path.to_string_lossy().into_owned(),
            Location::Remote(url) => url.clone(),
        };
        let parts = text
            .split(['/', ':'])
            .rev()
            .map(|part| part.strip_suffix(".git").unwrap_or(part));
        let name = parts
            .into_iter()
            .find(|part| !part.is_empty() && *part != "." && *part != "..");
        let safe: String = name
            .unwrap_or("repository")
            .chars()
            .filter(|c| !c.is_control())
            .collect();
        format!("{safe}.git")
    }

    /// Whether both are the same URL as people write it; `file` URLs are paths.
    pub(super) fn is_same_remote(&self, other: &Location) -> bool {
        let plain = |location: &Location| match location {
            Location::Local(path) => format!("file://{}", crate::place::resolved(path).display()),
            Location::Remote(url) => url.clone(),
        };
        let trimmed = |text: String| {
            let text = text.trim_end_matches('/').to_owned();
            text.strip_suffix(".git")
                .map_or(text.clone(), str::to_owned)
        };
        trimmed(plain(self)) == trimmed(plain(other))
    }
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Location::Local(path) => write!(f, "{}", path.display()),
            Location::Remote(url) => f.write_str(&redact(url)),
        }
    }
}

/// As git decides: a scheme, or a colon before the first slash.
fn is_remote(text: &str) -> bool {
    if text.contains("://") {
        return true;
    }
    let before_slash = text.split('/').next().unwrap_or_default();
    before_slash.contains(':')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(text: &str) -> Result<Location, OpenSourceError> {
        Location::of_source(
            &SourceUrl::parse(text).expect("a source"),
            Path::new("/etc/policy"),
        )
    }

    #[test]
    fn places_are_read_as_git_reads_them() {
        let cases = [
            ("git:/srv/code.git", "/srv/code.git", "code.git"),
            ("git:../code", "/etc/code", "code.git"),
            ("git:///srv/code/.git", "/srv/code/.git", "code.git"),
            (
                "git:https://host/team/code.git/",
                "https://host/team/code.git/",
                "code.git",
            ),
            ("git:me@host:code", "me@host:code", "code.git"),
            ("git://host/code", "git://host/code", "code.git"),
        ];
        for (text, shown, name) in cases {
            let location = source(text).expect("a place");
            assert_eq!(location.to_string(), shown);
            assert_eq!(location.repository_name(), name);
        }
        assert!(matches!(
            source("git:me@host:code"),
            Ok(Location::Remote(_))
        ));
        assert!(matches!(
            source("git:./me@host:code"),
            Ok(Location::Local(_))
        ));
    }

    #[test]
    fn passwords_and_remote_helpers_are_refused() {
        let error = source("git:https://me:hunter2@host/code").expect_err("a password");
        assert!(!error.to_string().contains("hunter2"));
        assert!(source("git:ext::sh -c evil").is_err());
    }

    #[test]
    fn one_repository_has_several_spellings() {
        let remote = |text: &str| Location::Remote(text.to_owned());
        assert!(remote("https://h/a.git").is_same_remote(&remote("https://h/a/")));
        assert!(!remote("https://h/a.git").is_same_remote(&remote("https://h/b")));
        assert!(
            remote("file:///nowhere/a.git").is_same_remote(&Location::Local("/nowhere/a".into()))
        );
    }
}
