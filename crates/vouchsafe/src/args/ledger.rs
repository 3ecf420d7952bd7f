//! The arguments of `ledger`.

use std::path::PathBuf;

use clap::Args;

/// What `ledger verify` is to judge by, besides key and heads.
#[derive(Debug, Args)]
pub(crate) struct VerifyBy {
    /// The public key of a witness, as it was learnt from the witness; may be given several times.
    #[arg(long, value_name = "VKEY")]
    pub(crate) witness: Vec<String>,
    /// A time (RFC 3339) up to which the record should reach: after its last horizon it is silent.
    #[arg(long, value_name = "TIME")]
    pub(crate) until: Option<String>,
    /// Exit with 1 also where the record tells of silence, obligations without facts, a clock set back, or breaks.
    #[arg(long)]
    pub(crate) strict: bool,
}

/// `ledger prove`
#[derive(Debug, Args)]
pub(crate) struct Prove {
    /// The entry that is to be proven, by its number from 0.
    #[arg(value_name = "ENTRY", required_unless_present = "from_size")]
    pub(crate) entry: Option<u64>,
    /// Prove instead that the record goes on from its head of N entries.
    #[arg(long, value_name = "N", conflicts_with = "entry")]
    pub(crate) from_size: Option<u64>,
    /// Prove it for the head of N entries and not for the newest.
    #[arg(long, value_name = "N")]
    pub(crate) size: Option<u64>,
    /// Where to; standard output if not given.
    #[arg(long, short, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
}

/// `ledger check-proof`
#[derive(Debug, Args)]
pub(crate) struct CheckProof {
    /// The proof.
    #[arg(value_name = "FILE")]
    pub(crate) proof: PathBuf,
    /// The ledger's public key, from the recovery sheet.
    #[arg(long, value_name = "VKEY")]
    pub(crate) key: String,
    /// The older head from which the record goes on.
    #[arg(long, value_name = "FILE")]
    pub(crate) head: Option<PathBuf>,
    /// The public key of a witness; may be given several times.
    #[arg(long, value_name = "VKEY")]
    pub(crate) witness: Vec<String>,
}

/// `ledger cosign`
#[derive(Debug, Args)]
pub(crate) struct Cosign {
    /// The export of the record, or of a later state of it.
    #[arg(value_name = "EXPORT")]
    pub(crate) export: PathBuf,
    /// The witness's own directory, with its key and what it has seen; made if it is missing. Nobody else should have
    /// access to it.
    #[arg(long, value_name = "DIR")]
    pub(crate) witness: PathBuf,
    /// What the witness is called, such as example.com/auditor; needed the first time.
    #[arg(long, value_name = "NAME")]
    pub(crate) name: Option<String>,
    /// The ledger's public key, from its recovery sheet; needed the first time.
    #[arg(long, value_name = "VKEY")]
    pub(crate) key: Option<String>,
    /// Where the signed head goes; standard output if not given.
    #[arg(long, short, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
}

/// `ledger witnessed`
#[derive(Debug, Args)]
pub(crate) struct Witnessed {
    /// The head as the witness has signed it.
    #[arg(value_name = "FILE")]
    pub(crate) note: PathBuf,
    /// The witness's public key, as the witness has told it.
    #[arg(long, value_name = "VKEY")]
    pub(crate) witness: String,
}
