//! What there is around what a source reads: further databases of its server, repositories and databases below it.

use std::io::Read;
use std::path::{Path, PathBuf};

use vouchsafe_capture::{CaptureContext, CaptureError};
use vouchsafe_host::files;
use vouchsafe_host::inode::{Directory, Kind};
use vouchsafe_model::{Issue, SecretRef, SourceKind, SourceUrl};

use crate::exclude::Excludes;
use crate::{absolute, failure, mongodb, mysql, postgres};

/// What a found thing is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum FoundKind {
    /// A database on a server.
    Database,
    /// An SQLite file.
    Sqlite,
    /// A git repository.
    Git,
}

impl FoundKind {
    /// For people.
    pub fn word(self) -> &'static str {
        match self {
            FoundKind::Database => "database",
            FoundKind::Sqlite => "SQLite file",
            FoundKind::Git => "git repository",
        }
    }
}

/// One thing that was found.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Found {
    /// What it is.
    pub kind: FoundKind,
    /// Where: an absolute path, or the database's URL without secrets.
    pub place: String,
    /// Whether the source's own patterns leave it out.
    pub left_out: bool,
}

/// What a source itself reads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reads {
    /// Exactly this: a path, or a database's URL without secrets.
    One(String),
    /// Every database of this server: the URL without a database.
    Server(String),
    /// Everything below this directory, as files.
    Below(PathBuf),
}

/// Everything that was found, and what could not be looked at.
#[derive(Clone, Debug, Default)]
pub struct Surroundings {
    /// Sorted.
    pub found: Vec<Found>,
    /// Directories that could not be read.
    pub issues: Vec<Issue>,
}

/// What `url` reads; nothing of kinds that are not captured.
pub fn reads(url: &SourceUrl, base: &Path) -> Option<Reads> {
    let of = |(shown, whole)| match whole {
        true => Reads::Server(shown),
        false => Reads::One(shown),
    };
    match url.kind() {
        SourceKind::Files => Some(Reads::Below(real(&absolute(url, base).ok()?))),
        SourceKind::Sqlite | SourceKind::Git => {
            let path = absolute(url, base).ok()?;
            Some(Reads::One(real(&path).display().to_string()))
        }
        SourceKind::Postgres => postgres::databases::shown(url, base).map(of),
        SourceKind::MySql => mysql::databases::shown(url, base).map(of),
        SourceKind::MongoDb => mongodb::databases::shown(url, base).map(of),
        SourceKind::Other(_) => None,
    }
}

fn real(path: &Path) -> PathBuf {
    files::canonicalize(path).unwrap_or_else(|_| path.to_owned())
}

/// Looks around: every database of a server that a source reaches, every repository and SQLite file below a root of
/// files. Links are not followed, our own places are not looked into. Other kinds have no surroundings.
pub fn surroundings(
    url: &SourceUrl,
    exclude: &[String],
    password: Option<&SecretRef>,
    base: &Path,
    ctx: &CaptureContext<'_>,
) -> Result<Surroundings, CaptureError> {
    let databases = |names: Vec<String>| Surroundings {
        found: names
            .into_iter()
            .map(|place| Found {
                kind: FoundKind::Database,
                place,
                left_out: false,
            })
            .collect(),
        issues: Vec::new(),
    };
    match url.kind() {
        SourceKind::Postgres => postgres::databases::databases(url, password, base).map(databases),
        SourceKind::MySql => mysql::databases::databases(url, password, base).map(databases),
        SourceKind::MongoDb => mongodb::databases::databases(url, password, base).map(databases),
        SourceKind::Files => below(url, exclude, base, ctx),
        _ => Ok(Surroundings::default()),
    }
}

fn below(
    url: &SourceUrl,
    exclude: &[String],
    base: &Path,
    ctx: &CaptureContext<'_>,
) -> Result<Surroundings, CaptureError> {
    let shown = url.to_string();
    let unusable = |message: String| CaptureError::Unreadable {
        place: shown.clone(),
        message,
        remedy: "see `vouchsafe lint`".to_owned(),
    };
    let root = absolute(url, base).map_err(|e| unusable(e.to_string()))?;
    let root = files::canonicalize(&root).map_err(failure::file)?;
    let mut walk = Walk {
        excludes: Excludes::new(exclude, &root).map_err(|e| unusable(e.to_string()))?,
        ctx,
        out: Surroundings::default(),
    };
    let mut names = Vec::new();
    walk.directory(&root, &mut names, false)?;
    walk.out.found.sort();
    Ok(walk.out)
}

struct Walk<'a> {
    excludes: Excludes,
    ctx: &'a CaptureContext<'a>,
    out: Surroundings,
}

impl Walk<'_> {
    fn directory(
        &mut self,
        path: &Path,
        names: &mut Vec<Vec<u8>>,
        left_out: bool,
    ) -> Result<(), CaptureError> {
        failure::check_interrupt(self.ctx)?;
        if self.ctx.own_places.iter().any(|own| own == path) {
            return Ok(());
        }
        let listed = Directory::open(path).and_then(|directory| {
            let names = directory.names()?;
            Ok((directory, names))
        });
        let (directory, entries) = match listed {
            Ok(listed) => listed,
            Err(error) => {
                self.out.issues.push(Issue {
                    place: path.display().to_string(),
                    message: error.to_string(),
                });
                return Ok(());
            }
        };
        let has = |name: &str| entries.iter().any(|entry| entry == name.as_bytes());
        let is_bare = has("HEAD") && has("objects") && has("refs");
        if is_bare || has(".git") {
            self.say(FoundKind::Git, path, left_out);
        }
        if is_bare {
            return Ok(());
        }
        for entry in &entries {
            // What disappears meanwhile is not there.
            let Ok(inode) = directory.lstat(entry) else {
                continue;
            };
            let is_dir = inode.kind == Kind::Directory;
            names.push(entry.clone());
            let left_out = left_out || self.excludes.excludes(names, is_dir);
            let below = path.join(name(entry));
            match inode.kind {
                Kind::Directory if entry != b".git" => self.directory(&below, names, left_out)?,
                Kind::File if inode.size >= 512 && is_sqlite(&below) => {
                    self.say(FoundKind::Sqlite, &below, left_out);
                }
                _ => {}
            }
            names.pop();
        }
        Ok(())
    }

    fn say(&mut self, kind: FoundKind, path: &Path, left_out: bool) {
        self.out.found.push(Found {
            kind,
            place: path.display().to_string(),
            left_out,
        });
    }
}

fn name(raw: &[u8]) -> &std::ffi::OsStr {
    std::os::unix::ffi::OsStrExt::from_bytes(raw)
}

/// Whether a file begins as SQLite databases do: <https://www.sqlite.org/fileformat2.html#magic_header_string>.
fn is_sqlite(path: &Path) -> bool {
    let mut head = [0u8; 16];
    let read = files::open_read(path).map(|mut file| file.read_exact(&mut head));
    matches!(read, Ok(Ok(()))) && &head == b"SQLite format 3\0"
}
