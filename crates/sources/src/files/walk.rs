//! Walking a folder tree into a sink.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use vouchsafe_capture::{CaptureContext, CaptureError, Sink, TreePath};
use vouchsafe_format::Node;
use vouchsafe_host::inode::{self, Inode, Kind};
use vouchsafe_host::{FileError, files};

use super::FilesSource;
use super::content::FileContent;
use crate::{failure, node, place};

/// Pushes the source's tree with its parent directories; gives what was left out on purpose.
pub(super) fn capture(
    ctx: &CaptureContext<'_>,
    source: &FilesSource,
    sink: &mut dyn Sink,
) -> Result<Vec<String>, CaptureError> {
    let root = real_root(&source.read)?;
    let own_places: Vec<PathBuf> = ctx.own_places.iter().map(|p| place::resolved(p)).collect();
    if let Some(own) = own_places.iter().find(|own| root.starts_with(own)) {
        return Err(failure::unreadable(
            &source.named,
            format!("it lies in {}, which is Vouchsafe's own", own.display()),
            "name a directory outside of the state directory and the vaults",
        ));
    }
    ctx.progress.phase("read", None, None);
    let mut walk = Walk {
        ctx,
        source,
        sink,
        own_places,
        left_out: Vec::new(),
    };
    walk.whole(&root)?;
    Ok(walk.left_out)
}

/// The root without links; an error that says what to do if there is none.
pub(super) fn real_root(read: &Path) -> Result<PathBuf, CaptureError> {
    files::canonicalize(read).map_err(|e| {
        if e.is_not_found() {
            return failure::unreadable(
                read,
                "there is nothing at this path",
                "correct the path in the policy, or mount what should be there",
            );
        }
        failure::file(e)
    })
}

struct Walk<'a> {
    ctx: &'a CaptureContext<'a>,
    source: &'a FilesSource,
    sink: &'a mut dyn Sink,
    own_places: Vec<PathBuf>,
    left_out: Vec<String>,
}

/// A directory that is being walked: where it is, and the names still to be visited.
struct Open {
    path: PathBuf,
    names: std::vec::IntoIter<Vec<u8>>,
}

impl Walk<'_> {
    fn whole(&mut self, root: &Path) -> Result<(), CaptureError> {
        let names = self.source.names.names().to_vec();
        let Some((last, parents)) = names.split_last() else {
            return self.below(root);
        };
        let mut named = PathBuf::from("/");
        for name in parents {
            named.push(OsStr::from_bytes(name));
            // A copy may be read on a machine that does not have the original's parents.
            let real = files::canonicalize(&named).unwrap_or_else(|_| root.to_path_buf());
            let seen = inode::lstat(&real).map_err(failure::file)?;
            let parent = self.described(name, &real, &seen);
            self.sink.enter(parent)?;
        }
        let seen = inode::lstat(root).map_err(failure::file)?;
        if seen.kind == Kind::Directory {
            let directory = self.described(last, root, &seen);
            self.sink.enter(directory)?;
            self.below(root)?;
            self.sink.leave()?;
        } else {
            self.leaf(last, root, &seen)?;
        }
        parents.iter().try_for_each(|_| self.sink.leave())
    }

    /// Everything below an entered directory. A list of open directories instead of recursion: trees may be deep.
    fn below(&mut self, root: &Path) -> Result<(), CaptureError> {
        let mut open = vec![self.listed(root)];
        let mut below_root = TreePath::root();
        while let Some(here) = open.last_mut() {
            failure::check_interrupt(self.ctx)?;
            let Some(name) = here.names.next() else {
                open.pop();
                if below_root.pop() {
                    self.sink.leave()?;
                }
                continue;
            };
            let path = here.path.join(OsStr::from_bytes(&name));
            if below_root.push(&name).is_err() {
                // The kernel does not give such names.
                continue;
            }
            match self.visit(&name, &path, &below_root)? {
                true => open.push(self.listed(&path)),
                false => drop(below_root.pop()),
            }
        }
        Ok(())
    }

    /// Pushes one name; true if it is a directory that was entered.
    fn visit(
        &mut self,
        name: &[u8],
        path: &Path,
        below_root: &TreePath,
    ) -> Result<bool, CaptureError> {
        let seen = match inode::lstat(path) {
            Ok(seen) => seen,
            Err(e) if e.is_not_found() => return Ok(false),
            Err(e) => {
                self.issue(path, &e);
                return Ok(false);
            }
        };
        let is_directory = seen.kind == Kind::Directory;
        if self
            .source
            .exclude
            .excludes(below_root.names(), is_directory)
        {
            if is_directory {
                self.left_out.push(format!("{} (excluded)", path.display()));
            }
            return Ok(false);
        }
        if is_directory && self.own_places.iter().any(|own| own == path) {
            self.left_out
                .push(format!("{} (Vouchsafe's own)", path.display()));
            return Ok(false);
        }
        if is_directory {
            let directory = self.described(name, path, &seen);
            self.sink.enter(directory)?;
            return Ok(true);
        }
        self.leaf(name, path, &seen)?;
        Ok(false)
    }

    fn leaf(&mut self, name: &[u8], path: &Path, seen: &Inode) -> Result<(), CaptureError> {
        let mut node = self.described(name, path, seen);
        if seen.kind == Kind::File {
            let content = FileContent::new(path.to_path_buf(), seen.clone(), node.clone());
            // The sink counts what it takes.
            return self.sink.file(node, Box::new(content));
        }
        if seen.kind == Kind::Symlink {
            match inode::read_link(path) {
                Ok(target) => node.linktarget = target,
                Err(e) if e.is_not_found() => return Ok(()),
                Err(e) => {
                    self.issue(path, &e);
                    return Ok(());
                }
            }
        }
        self.sink.entry(node)
    }

    /// The node with its extended attributes; those that cannot be read are an issue.
    fn described(&mut self, name: &[u8], path: &Path, seen: &Inode) -> Node {
        let mut out = node::of_inode(name, seen);
        match inode::xattrs(path) {
            Ok(found) => out.extended_attributes = node::attributes(found),
            Err(e) if e.is_not_found() => {}
            Err(e) => self.issue(path, &e),
        }
        out
    }

    fn listed(&mut self, path: &Path) -> Open {
        let names = inode::read_dir(path).unwrap_or_else(|e| {
            if !e.is_not_found() {
                self.issue(path, &e);
            }
            Vec::new()
        });
        Open {
            path: path.to_path_buf(),
            names: names.into_iter(),
        }
    }

    fn issue(&mut self, path: &Path, error: &FileError) {
        self.sink
            .issue(failure::issue(path.display().to_string(), error));
    }
}
