//! Walking a folder tree into a sink.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::thread;

use vouchsafe_capture::{CaptureContext, CaptureError, Sink, TreePath};
use vouchsafe_format::Node;
use vouchsafe_host::inode::{self, Directory, Inode, Kind};
use vouchsafe_host::{FileError, Interrupt, files};

use super::FilesSource;
use super::ahead::{self, Step, Steps};
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
    let (steps, walked) = ahead::channel();
    thread::scope(|scope| {
        let walk = Walk {
            interrupt: ctx.interrupt,
            source,
            steps,
            own_places,
        };
        let walker = scope.spawn(move || walk.whole(&root));
        let pushed = walked.push_into(sink);
        let found = walker.join().unwrap_or_else(|_| Err(died(source)));
        // Whoever ends early makes the other end too; what the sink says is then the reason.
        pushed.and_then(|left_out| found.map(|()| left_out))
    })
}

fn died(source: &FilesSource) -> CaptureError {
    failure::unreadable(
        &source.named,
        "the thread that walks through it died",
        "report this defect",
    )
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

/// Looks at names and metadata, ahead of whoever takes the steps.
struct Walk<'a> {
    interrupt: &'a Interrupt,
    source: &'a FilesSource,
    steps: Steps,
    own_places: Vec<PathBuf>,
}

/// A directory that is being walked: where it is, and the names still to be visited.
struct Open {
    path: PathBuf,
    /// Nothing for a directory so deep that keeping it open could be one open file too many.
    directory: Option<Directory>,
    names: std::vec::IntoIter<Vec<u8>>,
}

impl Open {
    fn lstat(&self, name: &[u8], path: &Path) -> Result<Inode, FileError> {
        match &self.directory {
            Some(directory) => directory.lstat(name),
            None => inode::lstat(path),
        }
    }
}

/// Directories of one walk that are kept open.
const KEPT_OPEN: usize = 64;

impl Walk<'_> {
    fn whole(mut self, root: &Path) -> Result<(), CaptureError> {
        self.walk_from_the_top(root)?;
        self.steps.end()
    }

    fn walk_from_the_top(&mut self, root: &Path) -> Result<(), CaptureError> {
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
            let parent = self.described(name, &real, &seen)?;
            self.steps.push(Step::Enter(parent))?;
        }
        let seen = inode::lstat(root).map_err(failure::file)?;
        if seen.kind == Kind::Directory {
            let directory = self.described(last, root, &seen)?;
            self.steps.push(Step::Enter(directory))?;
            self.below(root)?;
            self.steps.push(Step::Leave)?;
        } else {
            self.leaf(last, root.to_path_buf(), seen)?;
        }
        parents
            .iter()
            .try_for_each(|_| self.steps.push(Step::Leave))
    }

    /// Everything below an entered directory. A list of open directories instead of recursion: trees may be deep.
    fn below(&mut self, root: &Path) -> Result<(), CaptureError> {
        let mut open = vec![self.listed(root.to_path_buf(), true)?];
        let mut below_root = TreePath::root();
        while let Some(here) = open.last_mut() {
            if self.interrupt.requested() {
                return Err(CaptureError::Interrupted);
            }
            let Some(name) = here.names.next() else {
                open.pop();
                if below_root.pop() {
                    self.steps.push(Step::Leave)?;
                }
                continue;
            };
            let path = here.path.join(OsStr::from_bytes(&name));
            if below_root.push(&name).is_err() {
                // The kernel does not give such names.
                continue;
            }
            let seen = here.lstat(&name, &path);
            match self.visit(&name, path, seen, &below_root)? {
                Some(path) => {
                    let keep = open.len() < KEPT_OPEN;
                    open.push(self.listed(path, keep)?);
                }
                None => drop(below_root.pop()),
            }
        }
        Ok(())
    }

    /// Pushes one name; gives the path back if it is a directory that was entered.
    fn visit(
        &mut self,
        name: &[u8],
        path: PathBuf,
        seen: Result<Inode, FileError>,
        below_root: &TreePath,
    ) -> Result<Option<PathBuf>, CaptureError> {
        let seen = match seen {
            Ok(seen) => seen,
            Err(e) if e.is_not_found() => return Ok(None),
            Err(e) => {
                self.issue(&path, &e)?;
                return Ok(None);
            }
        };
        let is_directory = seen.kind == Kind::Directory;
        if self
            .source
            .exclude
            .excludes(below_root.names(), is_directory)
        {
            if is_directory {
                self.left_out(&path, "excluded")?;
            }
            return Ok(None);
        }
        if is_directory && self.own_places.contains(&path) {
            self.left_out(&path, "Vouchsafe's own")?;
            return Ok(None);
        }
        if is_directory {
            let directory = self.described(name, &path, &seen)?;
            self.steps.push(Step::Enter(directory))?;
            return Ok(Some(path));
        }
        if is_shared_memory(name, &path) {
            self.left_out(&path, "SQLite's shared memory, which it makes anew")?;
            return Ok(None);
        }
        self.leaf(name, path, seen)?;
        Ok(None)
    }

    fn leaf(&mut self, name: &[u8], path: PathBuf, seen: Inode) -> Result<(), CaptureError> {
        if seen.kind == Kind::File {
            // Its attributes are read by who finds that it is not unchanged.
            let node = node::of_inode(name, &seen);
            return self.steps.push(Step::File { node, path, seen });
        }
        let mut node = self.described(name, &path, &seen)?;
        if seen.kind == Kind::Symlink {
            match inode::read_link(&path) {
                Ok(target) => node.linktarget = target,
                Err(e) if e.is_not_found() => return Ok(()),
                Err(e) => return self.issue(&path, &e),
            }
        }
        self.steps.push(Step::Entry(node))
    }

    /// The node with its extended attributes; those that cannot be read are an issue.
    fn described(&mut self, name: &[u8], path: &Path, seen: &Inode) -> Result<Node, CaptureError> {
        let mut out = node::of_inode(name, seen);
        match inode::xattrs(path) {
            Ok(found) => out.extended_attributes = node::attributes(found),
            Err(e) if e.is_not_found() => {}
            Err(e) => self.issue(path, &e)?,
        }
        Ok(out)
    }

    fn listed(&mut self, path: PathBuf, keep: bool) -> Result<Open, CaptureError> {
        let found =
            Directory::open(&path).and_then(|directory| Ok((directory.names()?, directory)));
        let (names, directory) = match found {
            Ok((names, directory)) => (names, Some(directory).filter(|_| keep)),
            Err(e) => {
                if !e.is_not_found() {
                    self.issue(&path, &e)?;
                }
                (Vec::new(), None)
            }
        };
        Ok(Open {
            path,
            directory,
            names: names.into_iter(),
        })
    }

    fn left_out(&mut self, path: &Path, why: &str) -> Result<(), CaptureError> {
        let place = format!("{} ({why})", path.display());
        self.steps.push(Step::LeftOut(place))
    }

    fn issue(&mut self, path: &Path, error: &FileError) -> Result<(), CaptureError> {
        let issue = failure::issue(path.display().to_string(), error);
        self.steps.push(Step::Issue(issue))
    }
}

/// Whether a file is memory that SQLite shares between programs, beside a database and its log. It is worth nothing
/// elsewhere, and whoever closes it ends all locks that this process has on that database.
fn is_shared_memory(name: &[u8], path: &Path) -> bool {
    let Some(stem) = name.strip_suffix(b"-shm") else {
        return false;
    };
    let beside = |ending: &[u8]| {
        let name = [stem, ending].concat();
        matches!(
            files::exists(path.with_file_name(OsStr::from_bytes(&name))),
            Ok(true)
        )
    };
    beside(b"") && beside(b"-wal")
}
