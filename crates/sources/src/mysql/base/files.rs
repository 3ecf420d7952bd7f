//! The files of a copy that `mariadb-backup` has made, and what it says of itself.

use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};
use vouchsafe_capture::{CaptureContext, CaptureError, Sink};
use vouchsafe_format::NodeKind;
use vouchsafe_host::files;
use vouchsafe_model::Time;

use super::super::about::Position;
use super::super::session::unreadable;
use crate::failure;
use crate::node::made as node;
use crate::spooled::FileStream;

/// A copy in a directory of its own.
#[derive(Debug)]
pub(super) struct Copy {
    root: PathBuf,
    pub(super) points: Points,
    /// Where in the binary log the copy ends.
    pub(super) position: Option<Position>,
    /// Directories and files below the root, directories before what is in them.
    entries: Vec<Item>,
}

#[derive(Debug)]
struct Item {
    /// The name of its directory below the root, if it is not the root itself.
    directory: Option<String>,
    name: String,
    is_directory: bool,
}

/// Between which positions in InnoDB's log the files were copied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Points {
    pub(super) start: u64,
    pub(super) end: u64,
    /// Whether the copy was made consistent.
    pub(super) is_prepared: bool,
}

/// Names by which versions call the file of positions; before MariaDB 11.1 the second one.
const POINTS: [&str; 2] = ["mariadb_backup_checkpoints", "xtrabackup_checkpoints"];
const POSITION: [&str; 2] = ["mariadb_backup_binlog_info", "xtrabackup_binlog_info"];
const OPTIONS: &str = "backup-my.cnf";
/// What a server of ours leaves while it runs.
const NOT_OURS: [&str; 2] = ["server.sock", "server.pid"];
/// None of these files is longer.
const LONGEST: u64 = 1 << 20;

impl Copy {
    /// Looks at what is there.
    pub(super) fn look(root: &Path) -> Result<Copy, CaptureError> {
        let mut entries = Vec::new();
        for (name, is_directory) in listed(root)? {
            if NOT_OURS.contains(&name.as_str()) {
                continue;
            }
            entries.push(Item {
                directory: None,
                name: name.clone(),
                is_directory,
            });
            if !is_directory {
                continue;
            }
            let path = root.join(&name);
            for (inner, is_directory) in listed(&path)? {
                if is_directory || inner.ends_with(".isl") {
                    return Err(unreadable(
                        &path.join(&inner).display().to_string(),
                        "a table lies outside of the data directory",
                        "servers with tables elsewhere cannot be captured whole yet; capture their databases one by one",
                    ));
                }
                entries.push(Item {
                    directory: Some(name.clone()),
                    name: inner,
                    is_directory: false,
                });
            }
        }
        Ok(Copy {
            points: points(root)?,
            position: position(root)?,
            root: root.to_path_buf(),
            entries,
        })
    }

    /// Hands all of it to a sink, files of pages cut every `cut` bytes.
    pub(super) fn hand_over(
        &self,
        ctx: &CaptureContext<'_>,
        sink: &mut dyn Sink,
        cut: u32,
        moment: Time,
    ) -> Result<(), CaptureError> {
        let mut open: Option<&str> = None;
        for item in &self.entries {
            failure::check_interrupt(ctx)?;
            if open.is_some() && item.directory.as_deref() != open {
                sink.leave()?;
                open = None;
            }
            if item.is_directory {
                sink.enter(node(&item.name, NodeKind::Dir, moment))?;
                open = Some(&item.name);
                continue;
            }
            let directory = item.directory.as_ref();
            let path = directory.map_or_else(|| self.root.clone(), |d| self.root.join(d));
            let stream = FileStream::open(&path.join(&item.name), item.name.clone())?;
            let stream = if has_pages(&item.name) {
                stream.cut_every(cut)
            } else {
                stream
            };
            sink.stream(node(&item.name, NodeKind::File, moment), Box::new(stream))?;
        }
        if open.is_some() {
            sink.leave()?;
        }
        Ok(())
    }

    /// How many definitions of tables there are, and the digest of their names.
    pub(super) fn tables(&self) -> (u64, String) {
        let definitions = self
            .entries
            .iter()
            .filter(|item| item.name.ends_with(".frm"));
        let mut sum = Sha256::new();
        let mut count = 0;
        for item in definitions {
            let directory = item.directory.as_deref().unwrap_or_default();
            sum.update(format!("{directory}/{}\n", item.name).as_bytes());
            count += 1;
        }
        (count, hex::encode(sum.finalize()))
    }

    /// The files that consist of InnoDB's pages, each with the size that the file system tells.
    pub(super) fn page_files(&self) -> Result<Vec<(PathBuf, u64)>, CaptureError> {
        let mut out = Vec::new();
        for item in self
            .entries
            .iter()
            .filter(|item| !item.is_directory && has_pages(&item.name))
        {
            let directory = item.directory.as_ref();
            let path = directory.map_or_else(|| self.root.clone(), |d| self.root.join(d));
            let path = path.join(&item.name);
            out.push((path.clone(), files::size(&path).map_err(failure::file)?));
        }
        Ok(out)
    }
}

/// Whether a file consists of InnoDB's pages: of a table, also one that was made while the copy ran, of the system's
/// space, of undo logs.
fn has_pages(name: &str) -> bool {
    name.ends_with(".ibd")
        || name.ends_with(".new")
        || name.starts_with("ibdata")
        || name.starts_with("undo")
}

/// Names in a directory, and whether they are directories.
fn listed(path: &Path) -> Result<Vec<(String, bool)>, CaptureError> {
    let text = |entry: files::Entry| match entry.name.into_string() {
        Ok(name) => Ok((name, entry.is_dir)),
        Err(name) => Err(unreadable(
            &path.join(name).display().to_string(),
            "no file of a server's data has this name",
            "look at the server's data directory",
        )),
    };
    let entries = files::list_entries(path).map_err(failure::file)?;
    entries.into_iter().map(text).collect()
}

/// The text of the first of several files that is there.
fn first(root: &Path, names: &[&str]) -> Result<Option<String>, CaptureError> {
    for name in names {
        let path = root.join(name);
        if files::exists(&path).map_err(failure::file)? {
            let text = files::read_to_string(&path, LONGEST).map_err(failure::file)?;
            return Ok(Some(text));
        }
    }
    Ok(None)
}

/// By which words versions say that the log was replayed.
const PREPARED: [&str; 2] = ["log-applied", "full-prepared"];

/// Reads the positions that the copy noted of itself.
pub(super) fn points(root: &Path) -> Result<Points, CaptureError> {
    let text = first(root, &POINTS)?.unwrap_or_default();
    points_of(&text).ok_or_else(|| {
        unreadable(
            &root.display().to_string(),
            "the copy does not say between which positions it was made",
            "run it again; if it persists, this version of mariadb-backup is not known",
        )
    })
}

fn points_of(text: &str) -> Option<Points> {
    let value = |key: &str| {
        let line = text
            .lines()
            .find_map(|line| line.split_once('=').filter(|(k, _)| k.trim() == key));
        line.map(|(_, value)| value.trim())
    };
    Some(Points {
        start: value("to_lsn")?.parse().ok()?,
        end: value("last_lsn")?.parse().ok()?,
        is_prepared: PREPARED.contains(&value("backup_type")?),
    })
}

/// File, offset and GTIDs, between tabs.
fn position(root: &Path) -> Result<Option<Position>, CaptureError> {
    let text = first(root, &POSITION)?.unwrap_or_default();
    let mut parts = text.trim_end().split('\t');
    let (file, offset) = (parts.next().unwrap_or_default(), parts.next());
    let Some(offset) = offset.and_then(|n| n.parse().ok()) else {
        return Ok(None);
    };
    Ok(Some(Position {
        file: file.to_owned(),
        offset,
        gtid: parts.next().unwrap_or_default().to_owned(),
    }))
}

/// Options that say how the files of a server are laid out: another server needs the same ones. Others that the copy
/// names are not taken over.
const LAYOUT: [&str; 4] = [
    "innodb_page_size",
    "innodb_data_file_path",
    "innodb_undo_tablespaces",
    "innodb_log_file_size",
];

/// What a server over this data must be started with.
pub(super) fn server_options(data: &Path) -> Result<Vec<String>, CaptureError> {
    let text = first(data, &[OPTIONS])?.unwrap_or_default();
    Ok(options_of(&text))
}

/// The pages of the system's space, of so many bytes each, that hold no pages of its own: copies of pages of any file,
/// old ones among them, which the server writes there before it writes them where they belong. They are the second and
/// the third extent, an extent being a mebibyte, and 64 pages at least.
pub(super) fn doublewrite_buffer(page_size: u64) -> std::ops::Range<u64> {
    let extent = ((1 << 20) / page_size.max(1)).max(64);
    extent..3 * extent
}

/// How large the pages of a server over this data are.
pub(super) fn page_size(data: &Path) -> Result<u64, CaptureError> {
    let options = server_options(data)?;
    let size = options
        .iter()
        .find_map(|option| option.strip_prefix("--innodb-page-size="));
    Ok(size.and_then(|size| size.parse().ok()).unwrap_or(16 << 10))
}

/// Whether it is the file in which the system's space begins.
pub(super) fn begins_system_space(name: &Path) -> bool {
    name == Path::new("ibdata1")
}

fn options_of(text: &str) -> Vec<String> {
    let plain = |value: &str| {
        let fine = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b':' | b';' | b'_' | b'.');
        !value.is_empty() && !value.contains("..") && value.bytes().all(fine)
    };
    text.lines()
        .filter_map(|line| line.split_once('='))
        .map(|(key, value)| (key.trim(), value.trim()))
        .filter(|(key, value)| LAYOUT.contains(key) && plain(value))
        .map(|(key, value)| format!("--{}={value}", key.replace('_', "-")))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_copy_says_of_itself_is_read() {
        let text = "backup_type = full-backuped\nfrom_lsn = 0\nto_lsn = 46590\nlast_lsn = 46602\n";
        let points = points_of(text).unwrap();
        assert_eq!(
            (points.start, points.end, points.is_prepared),
            (46590, 46602, false)
        );
        assert!(
            points_of(&text.replace("full-backuped", "log-applied"))
                .unwrap()
                .is_prepared
        );
        assert!(points_of("backup_type = full-backuped\n").is_none());
    }

    #[test]
    fn copies_of_other_pages_lie_behind_the_first_extent() {
        assert_eq!(doublewrite_buffer(16 << 10), 64..192);
        assert_eq!(doublewrite_buffer(4 << 10), 256..768);
        assert_eq!(doublewrite_buffer(64 << 10), 64..192);
    }

    #[test]
    fn only_the_layout_of_the_files_is_taken_over() {
        let text = "[mysqld]\ninnodb_page_size=16384\ninnodb_data_file_path=ibdata1:12M:autoextend\n\
            plugin_load=evil.so\ninnodb_undo_tablespaces=\ninnodb_log_file_size=1 --x\n\
            innodb_data_file_path=../../etc/x:12M\n";
        assert_eq!(
            options_of(text),
            [
                "--innodb-page-size=16384",
                "--innodb-data-file-path=ibdata1:12M:autoextend"
            ]
        );
    }
}
