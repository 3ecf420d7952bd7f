//! What a look at names and metadata shows of a restored tree, without reading any content.

use std::collections::{BTreeSet, HashMap};

use vouchsafe_capture::{CaptureContext, CaptureError, PointReader, Visit};
use vouchsafe_format::{Node, NodeKind};
use vouchsafe_host::inode::{Inode, Kind};
use vouchsafe_host::{DestDir, machine};

use super::metadata::shown;
use super::scope::{Scope, Where};
use crate::rung::Findings;
use crate::{failure, node};

/// What differs, by the rung that it concerns, and how much there is.
#[derive(Default)]
pub(super) struct Structure {
    /// Directories that are missing or cannot be listed.
    pub(super) opens: Findings,
    /// Other entries that are missing, of another kind, or not in the tree at all.
    pub(super) names: Findings,
    /// Metadata that is not as captured.
    pub(super) metadata: Findings,
    pub(super) directories: u64,
    pub(super) files: u64,
    pub(super) others: u64,
    pub(super) bytes: u64,
}

/// Looks at everything in the scope below `dest`.
pub(super) fn look(
    ctx: &CaptureContext<'_>,
    point: &dyn PointReader,
    scope: &Scope,
    dest: &DestDir,
) -> Result<Structure, CaptureError> {
    let mut look = Look {
        dest,
        found: Structure::default(),
        open: Vec::new(),
        inodes: HashMap::new(),
        as_root: machine::uid() == 0,
    };
    look.list(b".");
    scope.walk(point, &mut |place, node| {
        failure::check_interrupt(ctx)?;
        ctx.progress.advance(1, 0);
        match place {
            Where::Inside(rel) => Ok(look.entry(rel, node)),
            _ => Ok(Visit::Into),
        }
    })?;
    while !look.open.is_empty() {
        look.leave();
    }
    Ok(look.found)
}

struct Look<'a> {
    dest: &'a DestDir,
    found: Structure,
    /// Directories on the way down, each with the names on disk that the tree has not named yet.
    open: Vec<(Vec<u8>, BTreeSet<Vec<u8>>)>,
    /// The inode on disk of each captured inode with several names.
    inodes: HashMap<(u64, u64), (u64, u64)>,
    as_root: bool,
}

impl Look<'_> {
    fn entry(&mut self, rel: &[u8], node: &Node) -> Visit {
        let parent = rel
            .iter()
            .rposition(|b| *b == b'/')
            .and_then(|at| rel.get(..at));
        let parent = parent.unwrap_or(b".");
        while self.open.last().is_some_and(|(path, _)| path != parent) {
            self.leave();
        }
        let listed = self
            .open
            .last_mut()
            .is_some_and(|(_, names)| names.remove(&node.name));
        if node.kind == NodeKind::Socket {
            return Visit::Into;
        }
        match node.kind {
            NodeKind::Dir => self.found.directories += 1,
            NodeKind::File => {
                self.found.files += 1;
                self.found.bytes += node.size;
            }
            _ => self.found.others += 1,
        }
        let seen = if listed {
            self.dest.lstat(rel).ok()
        } else {
            None
        };
        let difference = match &seen {
            None => Some(format!("{} is missing", shown(rel))),
            Some(seen) if node::kind(seen.kind) != node.kind => Some(format!(
                "{} is a {}, not a {}",
                shown(rel),
                node::kind(seen.kind).as_str(),
                node.kind.as_str()
            )),
            Some(_) => None,
        };
        if let Some(difference) = difference {
            let rung = if node.kind == NodeKind::Dir {
                &mut self.found.opens
            } else {
                &mut self.found.names
            };
            rung.add(difference);
            return Visit::Over;
        }
        if let Some(seen) = seen {
            self.metadata(rel, node, &seen);
        }
        if node.kind == NodeKind::Dir {
            self.list(rel);
        }
        Visit::Into
    }

    fn list(&mut self, rel: &[u8]) {
        let names = match self.dest.read_dir(rel) {
            Ok(names) => names.into_iter().collect(),
            Err(e) => {
                self.found.opens.add(failure::issue("", &e).message);
                BTreeSet::new()
            }
        };
        self.open.push((rel.to_vec(), names));
    }

    fn leave(&mut self) {
        let Some((path, unnamed)) = self.open.pop() else {
            return;
        };
        for name in unnamed {
            let rel = if path == b"." {
                name
            } else {
                [path.as_slice(), b"/", &name].concat()
            };
            self.found
                .names
                .add(format!("{} is there but was not captured", shown(&rel)));
        }
    }

    fn metadata(&mut self, rel: &[u8], node: &Node, seen: &Inode) {
        let mut differ = |what: &str, expected: &str, actual: &str| {
            let text = format!("{}: {what} is {actual}, not {expected}", shown(rel));
            self.found.metadata.add(text);
        };
        let (mode, own) = (node::permissions(node), seen.mode);
        if node.kind != NodeKind::Symlink && mode != own {
            differ("mode", &format!("{mode:04o}"), &format!("{own:04o}"));
        }
        let mtime = node::time(seen.mtime);
        if node.mtime.unix_nanos() != mtime.unix_nanos() {
            differ("time", &node.mtime.to_string(), &mtime.to_string());
        }
        if self.as_root && (node.uid, node.gid) != (seen.uid, seen.gid) {
            let (expected, actual) = (
                format!("{}:{}", node.uid, node.gid),
                format!("{}:{}", seen.uid, seen.gid),
            );
            differ("owner", &expected, &actual);
        }
        if matches!(node.kind, NodeKind::Dev | NodeKind::CharDev) && node.device != seen.rdev {
            differ("device", &node.device.to_string(), &seen.rdev.to_string());
        }
        if node.kind == NodeKind::Symlink {
            match self.dest.read_link(rel) {
                Ok(target) if target == node.linktarget => {}
                Ok(target) => differ("link target", &shown(&node.linktarget), &shown(&target)),
                Err(e) => differ("link target", &shown(&node.linktarget), &e.to_string()),
            }
        }
        self.attributes(rel, node);
        self.links(rel, node, seen);
    }

    fn attributes(&mut self, rel: &[u8], node: &Node) {
        let actual = match self.dest.xattrs(rel) {
            Ok(found) => node::attributes(found),
            Err(e) => {
                self.found.metadata.add(failure::issue("", &e).message);
                return;
            }
        };
        let as_root = self.as_root;
        let judged = |name: &[u8]| is_ours_to_restore(name, as_root);
        for expected in node.extended_attributes.iter().filter(|x| judged(&x.name)) {
            match actual.iter().find(|x| x.name == expected.name) {
                Some(x) if x.value == expected.value => {}
                found => {
                    let how = if found.is_some() {
                        "has another value"
                    } else {
                        "is missing"
                    };
                    let (place, name) = (shown(rel), shown(&expected.name));
                    self.found
                        .metadata
                        .add(format!("{place}: attribute {name} {how}"));
                }
            }
        }
        for extra in actual.iter().filter(|x| judged(&x.name)) {
            if !node
                .extended_attributes
                .iter()
                .any(|x| x.name == extra.name)
            {
                let (place, name) = (shown(rel), shown(&extra.name));
                self.found
                    .metadata
                    .add(format!("{place}: attribute {name} was not captured"));
            }
        }
    }

    /// Names of one file must be names of one file again.
    fn links(&mut self, rel: &[u8], node: &Node, seen: &Inode) {
        if seen.kind != Kind::File {
            return;
        }
        if node.links < 2 {
            if seen.nlink > 1 {
                let text = format!("{} has {} names, not 1", shown(rel), seen.nlink);
                self.found.metadata.add(text);
            }
            return;
        }
        let here = (seen.dev, seen.ino);
        let first = *self
            .inodes
            .entry((node.device_id, node.inode))
            .or_insert(here);
        if first != here {
            let text = format!(
                "{} is no longer the same file as its other names",
                shown(rel)
            );
            self.found.metadata.add(text);
        }
    }
}

/// Attributes that a security module or a file system gives by itself say nothing of the captured data.
fn is_ours_to_restore(name: &[u8], as_root: bool) -> bool {
    let always: [&[u8]; 2] = [b"user.", b"system.posix_acl_"];
    let for_root: [&[u8]; 2] = [b"trusted.", b"security.capability"];
    always.iter().any(|p| name.starts_with(p))
        || (as_root && for_root.iter().any(|p| name.starts_with(p)))
}
