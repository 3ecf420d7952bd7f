//! Directories and chunks of a repository by their ids, for whoever keeps them himself.

use vouchsafe_format::{BlobKind, Id, Node};
use vouchsafe_model::Issue;

use crate::error::RepoError;
use crate::fetch::{BlobProblem, Blobs};
use crate::repository::Repository;
use crate::trees::Trees;

/// What a repository holds, as its index listed it when this was made.
pub struct Contents {
    blobs: Blobs,
    trees: Trees,
    index_issues: Vec<Issue>,
}

impl Repository {
    /// Everything in the repository, for reading. Damaged index files do not hinder it: see
    /// [`Contents::index_issues`].
    ///
    /// # Errors
    /// [`RepoError::Store`], [`RepoError::Interrupted`].
    pub fn contents(&self) -> Result<Contents, RepoError> {
        let (index, index_issues) = self.index()?;
        Ok(Contents {
            blobs: Blobs {
                objects: self.objects.clone(),
                key: self.key.clone(),
                index: index.clone(),
                threads: self.hands(),
            },
            trees: Trees::new(self.objects.clone(), self.key.clone(), index),
            index_issues,
        })
    }
}

impl Contents {
    /// What is wrong with the index.
    pub fn index_issues(&self) -> &[Issue] {
        &self.index_issues
    }

    /// The entries of a directory.
    ///
    /// # Errors
    /// [`RepoError::Tree`].
    pub fn directory(&self, tree: &Id) -> Result<Vec<Node>, RepoError> {
        self.trees.load(tree).map_err(|source| RepoError::Tree {
            tree: *tree,
            store: self.blobs.objects.place(),
            source: Box::new(source),
        })
    }

    /// The bytes of a chunk, re-hashed.
    ///
    /// # Errors
    /// [`RepoError::Chunk`].
    pub fn chunk(&self, chunk: &Id) -> Result<Vec<u8>, RepoError> {
        let read = self.blobs.read(BlobKind::Data, chunk);
        read.map_err(|source| self.broken(chunk, Box::new(source)))
    }

    /// How many bytes a chunk has, by the index.
    ///
    /// # Errors
    /// [`RepoError::Chunk`] if it is not listed.
    pub fn chunk_length(&self, chunk: &Id) -> Result<u64, RepoError> {
        match self.blobs.index.place(BlobKind::Data, chunk) {
            Some(place) => Ok(place.plain_length()),
            None => Err(self.broken(chunk, Box::new(BlobProblem::NotListed { id: *chunk }))),
        }
    }

    fn broken(&self, chunk: &Id, source: Box<dyn std::error::Error + Send + Sync>) -> RepoError {
        RepoError::Chunk {
            chunk: *chunk,
            store: self.blobs.objects.place(),
            source,
        }
    }
}
