//! Owner, mode, attributes and times of restored entries.

use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicBool, Ordering};

use vouchsafe_format::Node;
use vouchsafe_host::inode::Xattr;
use vouchsafe_host::{DestDir, DestEntry, DestError, machine};
use vouchsafe_model::Issue;

use crate::{failure, node};

/// Applies metadata and collects what could not be applied.
pub(crate) struct Metadata<'a> {
    dest: &'a DestDir,
    issues: Mutex<Vec<Issue>>,
    uid: u32,
    gid: u32,
    owners_left: AtomicBool,
}

impl<'a> Metadata<'a> {
    /// For entries below this directory.
    pub(crate) fn new(dest: &'a DestDir) -> Metadata<'a> {
        Metadata {
            dest,
            issues: Mutex::new(Vec::new()),
            uid: machine::uid(),
            gid: machine::gid(),
            owners_left: AtomicBool::new(false),
        }
    }

    /// Gives the entry at `rel` all metadata of its node. The order matters: changing the owner clears set-user bits
    /// and capabilities, changing the mode changes an access control list, and each of them the times.
    pub(crate) fn apply(&self, rel: &[u8], node: &Node) {
        self.owner(rel, node);
        self.note(rel, self.dest.chmod(rel, node::permissions(node)));
        if !node.extended_attributes.is_empty() {
            self.note(rel, self.dest.set_xattrs(rel, &attributes(node)));
        }
        let times = self.dest.set_times(
            rel,
            node::host_time(node.atime),
            node::host_time(node.mtime),
        );
        self.note(rel, times);
    }

    /// As [`Metadata::apply`], for what is open. Nothing is set that is right already.
    pub(crate) fn apply_to(&self, entry: &DestEntry, rel: &[u8], node: &Node) {
        let owned = entry
            .stat()
            .is_ok_and(|seen| (seen.uid, seen.gid) == (node.uid, node.gid));
        if !owned && self.may_set_owner(rel, node) {
            self.note(rel, entry.chown(node.uid, node.gid));
        }
        self.note(rel, entry.chmod(node::permissions(node)));
        if !node.extended_attributes.is_empty() {
            self.note(rel, entry.set_xattrs(&attributes(node)));
        }
        let times = entry.set_times(node::host_time(node.atime), node::host_time(node.mtime));
        self.note(rel, times);
    }

    /// Something that went wrong at one place.
    pub(crate) fn issue(&self, issue: Issue) {
        self.issues
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(issue);
    }

    /// Records an error, if it is one, as an issue.
    pub(crate) fn note(&self, rel: &[u8], result: Result<(), DestError>) {
        if let Err(error) = result {
            self.issue(failure::issue(shown(rel), &error));
        }
    }

    /// Everything that went wrong, by place.
    pub(crate) fn into_issues(self) -> Vec<Issue> {
        let mut issues = self
            .issues
            .into_inner()
            .unwrap_or_else(PoisonError::into_inner);
        issues.sort_by(|a, b| a.place.cmp(&b.place));
        issues
    }

    fn owner(&self, rel: &[u8], node: &Node) {
        if self.may_set_owner(rel, node) {
            self.note(rel, self.dest.lchown(rel, node.uid, node.gid));
        }
    }

    /// Only root can give files away; that others cannot is said once.
    fn may_set_owner(&self, rel: &[u8], node: &Node) -> bool {
        if self.uid == 0 {
            return true;
        }
        let foreign = (node.uid, node.gid) != (self.uid, self.gid);
        if foreign && !self.owners_left.swap(true, Ordering::Relaxed) {
            self.issue(Issue {
                place: shown(rel),
                message: "the owner of this and perhaps of other files was not restored, because that takes root"
                    .to_owned(),
            });
        }
        false
    }
}

fn attributes(node: &Node) -> Vec<Xattr> {
    let attributes = node.extended_attributes.iter();
    attributes
        .map(|x| Xattr {
            name: x.name.clone(),
            value: x.value.clone(),
        })
        .collect()
}

/// A path for people.
pub(crate) fn shown(rel: &[u8]) -> String {
    match std::str::from_utf8(rel) {
        Ok(text) if !text.chars().any(char::is_control) => text.to_owned(),
        _ => rel.escape_ascii().to_string(),
    }
}
