//! The arguments of what changes the keys of a vault.

use std::path::PathBuf;

use clap::Args;

/// `key add`
#[derive(Debug, Args)]
pub(crate) struct Add {
    /// The vault's name.
    pub(crate) vault: String,
    /// A file that holds the new passphrase, or a key file; read as restic reads a password file.
    #[arg(long, value_name = "FILE", required_unless_present = "generate")]
    pub(crate) new_passphrase_file: Option<PathBuf>,
    /// Make a passphrase and leave it in a file.
    #[arg(long, conflicts_with = "new_passphrase_file")]
    pub(crate) generate: bool,
}

/// `key remove`
#[derive(Debug, Args)]
pub(crate) struct Remove {
    /// The vault's name.
    pub(crate) vault: String,
    /// The beginning of the key's id, as `key list` shows it.
    pub(crate) key: String,
    /// A file with the passphrase of another key, which proves that the vault stays open, and is in force from then
    /// on if the removed key was the one in use.
    #[arg(long, value_name = "FILE")]
    pub(crate) prove: Option<PathBuf>,
}

/// `key wrap`
#[derive(Debug, Args)]
pub(crate) struct Wrap {
    /// The vault's name.
    pub(crate) vault: String,
    /// A file with a passphrase that opens the vault; otherwise that of the state directory, or the one wrapped before.
    #[arg(long, value_name = "FILE")]
    pub(crate) passphrase_file: Option<PathBuf>,
}

/// `key rotate`, `key passphrase`
#[derive(Debug, Args)]
pub(crate) struct Rotate {
    /// The vault's name.
    pub(crate) vault: String,
}

/// `key rekey`
#[derive(Debug, Args)]
pub(crate) struct Rekey {
    /// The vault whose master key is to be replaced.
    pub(crate) vault: String,
    /// Where its successor is: another vault of the policy, or a URL.
    #[arg(long, value_name = "VAULT|URL")]
    pub(crate) to: String,
    /// What the successor is called, if it is given by its URL.
    #[arg(long, value_name = "NAME")]
    pub(crate) name: Option<String>,
}
