//! What can be wrong with what a policy includes.

use crate::files::{JoinError, MOST_BYTES, MOST_FILES};

/// Why what a policy includes is not read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IncludeFault {
    /// Nothing has that name.
    #[error("`{pattern}` names no file")]
    Nothing {
        /// As it is written.
        pattern: String,
    },
    /// Something has, and cannot be read.
    #[error("`{name}` cannot be read: {why}")]
    Unread {
        /// The file or folder.
        name: String,
        /// What the machine says.
        why: String,
    },
    /// It leads out of the folder.
    #[error("`{name}` leads out of the folder of the file that includes it")]
    Outside {
        /// As it is written, or the link.
        name: String,
    },
    /// A file that includes itself.
    #[error("`{name}` includes itself, by way of this")]
    Itself {
        /// Which.
        name: String,
    },
    /// Chains of files that include files.
    #[error("files include files more than {most} deep")]
    Deep {
        /// How deep they may.
        most: usize,
    },
    /// Too many of them.
    #[error("the policy has more than {MOST_FILES} files")]
    Many,
    /// Too long.
    #[error("the policy's files have more than {MOST_BYTES} bytes together")]
    Long,
    /// They cannot be made one text.
    #[error(transparent)]
    Join(#[from] JoinError),
}

impl IncludeFault {
    /// Its code.
    pub fn code(&self) -> &'static str {
        match self {
            IncludeFault::Nothing { .. } | IncludeFault::Unread { .. } => "P186",
            IncludeFault::Outside { .. } => "P187",
            IncludeFault::Itself { .. } => "P188",
            IncludeFault::Deep { .. } | IncludeFault::Many | IncludeFault::Long => "P189",
            IncludeFault::Join(_) => "P190",
        }
    }

    /// What to do about it.
    pub fn remedy(&self) -> &'static str {
        match self {
            IncludeFault::Nothing { .. } => "name files that are there, or take it out",
            IncludeFault::Unread { .. } => "make it a text that can be read",
            IncludeFault::Outside { .. } => {
                "name files below the folder of the file that includes them, like systems/*.yaml"
            }
            IncludeFault::Itself { .. } => "include only what does not include this file",
            IncludeFault::Deep { .. } => "include them from the first file",
            IncludeFault::Many => "put several into one",
            IncludeFault::Long => "take out what is not policy",
            IncludeFault::Join(_) => "take the line out, or rename the file",
        }
    }
}
