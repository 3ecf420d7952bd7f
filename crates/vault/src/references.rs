//! What snapshots refer to: all their directories and chunks, each visited once.

use std::collections::HashSet;
use std::sync::Arc;

use vouchsafe_capture::Progress;
use vouchsafe_format::{BlobKind, Id, NodeKind};
use vouchsafe_host::Interrupt;
use vouchsafe_model::Issue;

use crate::error::{RepoError, TreeProblem};
use crate::index::{BlobIndex, ById};
use crate::repository::{Repository, in_words};
use crate::trees::Trees;

/// Follows trees and notes which blobs they need.
pub(crate) struct References {
    trees: Trees,
    index: Arc<BlobIndex>,
    interrupt: Interrupt,
    /// All blobs that were met.
    pub(crate) seen: HashSet<(Id, BlobKind), ById>,
    /// What is missing or cannot be read.
    pub(crate) problems: Vec<Issue>,
}

impl References {
    pub(crate) fn new(repository: &Repository, index: &Arc<BlobIndex>) -> References {
        References {
            trees: Trees::new(
                repository.objects.clone(),
                repository.key.clone(),
                Arc::clone(index),
            ),
            index: Arc::clone(index),
            interrupt: repository.env().interrupt.clone(),
            seen: HashSet::default(),
            problems: Vec::new(),
        }
    }

    /// Follows a snapshot's tree down to all chunks. What was met before is not followed again.
    pub(crate) fn follow(
        &mut self,
        snapshot: &Id,
        root: Id,
        progress: &dyn Progress,
    ) -> Result<(), RepoError> {
        // Each directory with the path that led to it, for messages.
        let mut frontier = vec![(root, String::new())];
        while let Some((tree, path)) = frontier.pop() {
            if self.interrupt.requested() {
                return Err(RepoError::Interrupted);
            }
            if !self.seen.insert((tree, BlobKind::Tree)) {
                continue;
            }
            progress.advance(1, 0);
            let place = |name: &[u8]| {
                format!(
                    "snapshot {}:{path}/{}",
                    snapshot.short(),
                    String::from_utf8_lossy(name)
                )
            };
            let nodes = match self.trees.load(&tree) {
                Ok(nodes) => nodes,
                Err(error) => {
                    let message = format!("the directory cannot be read: {}", in_words(&error));
                    self.problems.push(Issue {
                        place: place(b""),
                        message,
                    });
                    continue;
                }
            };
            for node in &nodes {
                if !node.has_safe_name() {
                    let name = node.name.escape_ascii().to_string();
                    self.problem(place(b""), &TreeProblem::UnsafeName { name });
                }
                match (node.kind == NodeKind::Dir, node.subtree) {
                    (true, Some(subtree)) => {
                        frontier.push((
                            subtree,
                            format!("{path}/{}", String::from_utf8_lossy(&node.name)),
                        ));
                    }
                    (true, None) => {
                        let name = node.name.escape_ascii().to_string();
                        self.problem(place(&node.name), &TreeProblem::NoSubtree { name });
                    }
                    (false, _) => {}
                }
                for chunk in node.content.iter().flatten() {
                    if self.seen.insert((*chunk, BlobKind::Data))
                        && !self.index.contains(BlobKind::Data, chunk)
                    {
                        let name = node.name.escape_ascii().to_string();
                        self.problem(
                            place(&node.name),
                            &TreeProblem::ChunkNotListed {
                                chunk: *chunk,
                                name,
                            },
                        );
                    }
                }
            }
        }
        Ok(())
    }

    /// How many of the directories that were read lie in none of these packs.
    pub(crate) fn directories_outside(&self, packs: &[Id]) -> u64 {
        let packs: HashSet<&Id> = packs.iter().collect();
        let outside = |id: &Id| {
            let place = self.index.place(BlobKind::Tree, id);
            place.is_some_and(|place| !packs.contains(&place.pack))
        };
        let trees = self.seen.iter().filter(|(_, kind)| *kind == BlobKind::Tree);
        trees.filter(|(id, _)| outside(id)).count() as u64
    }

    fn problem(&mut self, place: String, problem: &TreeProblem) {
        self.problems.push(Issue {
            place,
            message: in_words(problem),
        });
    }
}
