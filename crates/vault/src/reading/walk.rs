//! Walking below a directory: parents before children, and what cannot be read is an issue.

use std::vec;

use vouchsafe_capture::{TreePath, Visit};
use vouchsafe_format::{Node, NodeKind};
use vouchsafe_model::Issue;

use crate::error::{RepoError, TreeProblem};
use crate::point::Point;
use crate::repository::in_words;

impl Point {
    /// Visits every entry below a directory that lies at `at`, siblings by raw name. A directory that cannot be read,
    /// and a name that leads out of it, is an issue, and the rest is visited.
    ///
    /// # Errors
    /// What `visit` gives; [`RepoError::Interrupted`].
    pub fn walk_below<E: From<RepoError>>(
        &self,
        at: &TreePath,
        directory: &Node,
        visit: &mut dyn FnMut(&TreePath, &Node) -> Result<Visit, E>,
    ) -> Result<Vec<Issue>, E> {
        let mut issues = Vec::new();
        let mut path = at.clone();
        let mut above: Vec<vec::IntoIter<Node>> = Vec::new();
        self.enter(&path, directory, &mut above, &mut issues)?;
        while let Some(entries) = above.last_mut() {
            let Some(node) = entries.next() else {
                above.pop();
                path.pop();
                continue;
            };
            if path.push(&node.name).is_err() {
                issues.push(unsafe_name(&path, &node));
                continue;
            }
            match visit(&path, &node)? {
                Visit::Stop => return Ok(issues),
                Visit::Into
                    if node.kind == NodeKind::Dir
                        && self.enter(&path, &node, &mut above, &mut issues)? => {}
                _ => {
                    path.pop();
                }
            }
        }
        Ok(issues)
    }

    fn enter(
        &self,
        path: &TreePath,
        directory: &Node,
        above: &mut Vec<vec::IntoIter<Node>>,
        issues: &mut Vec<Issue>,
    ) -> Result<bool, RepoError> {
        match self.entries(directory) {
            Ok(entries) => {
                above.push(entries.into_iter());
                Ok(true)
            }
            Err(RepoError::Interrupted) => Err(RepoError::Interrupted),
            Err(error) => {
                issues.push(unreadable(path, &error));
                Ok(false)
            }
        }
    }
}

/// An entry that no path can hold.
pub(super) fn unsafe_name(directory: &TreePath, node: &Node) -> Issue {
    let name = node.name.escape_ascii().to_string();
    Issue {
        place: directory.to_string(),
        message: TreeProblem::UnsafeName { name }.to_string(),
    }
}

/// A directory that cannot be read.
pub(super) fn unreadable(path: &TreePath, error: &dyn std::error::Error) -> Issue {
    Issue {
        place: path.to_string(),
        message: in_words(error),
    }
}
