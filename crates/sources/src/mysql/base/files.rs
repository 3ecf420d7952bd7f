//! The files of a copy of a whole server.

use std::path::{Path, PathBuf};

use vouchsafe_capture::{CaptureContext, CaptureError, Sink};
use vouchsafe_format::NodeKind;
use vouchsafe_host::files;
use vouchsafe_model::Time;

use super::super::session::unreadable;
use crate::failure;
use crate::node::made as node;
use crate::spooled::FileStream;

/// A copy in a directory of its own.
#[derive(Debug)]
pub(super) struct Copy {
    root: PathBuf,
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

/// What a server of ours leaves while it runs.
const NOT_OURS: [&str; 3] = ["server.sock", "server.sock.lock", "server.pid"];

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

    /// The files, each with the name of its directory below the root if it is not the root itself.
    pub(super) fn files(&self) -> impl Iterator<Item = (Option<&str>, &str)> {
        let files = self.entries.iter().filter(|item| !item.is_directory);
        files.map(|item| (item.directory.as_deref(), item.name.as_str()))
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
        || name.ends_with(".ibu")
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

/// The pages of the system's space, of so many bytes each, that hold no pages of its own: copies of pages of any file,
/// old ones among them, which the server writes there before it writes them where they belong. They are the second and
/// the third extent, an extent being a mebibyte, and 64 pages at least.
pub(super) fn doublewrite_buffer(page_size: u64) -> std::ops::Range<u64> {
    let extent = ((1 << 20) / page_size.max(1)).max(64);
    extent..3 * extent
}

/// How large the pages of a server with these options are.
pub(super) fn page_size(options: &[String]) -> u64 {
    let size = options
        .iter()
        .find_map(|option| option.strip_prefix("--innodb-page-size="));
    size.and_then(|size| size.parse().ok()).unwrap_or(16 << 10)
}

/// Whether it is the file in which the system's space begins.
pub(super) fn begins_system_space(name: &Path) -> bool {
    name == Path::new("ibdata1")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn copies_of_other_pages_lie_behind_the_first_extent() {
        assert_eq!(doublewrite_buffer(16 << 10), 64..192);
        assert_eq!(doublewrite_buffer(4 << 10), 256..768);
        assert_eq!(doublewrite_buffer(64 << 10), 64..192);
    }
}
