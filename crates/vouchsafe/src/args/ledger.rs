//! The arguments of `ledger`.

use std::path::PathBuf;

use clap::Args;
use vouchsafe_model::policy::MinTls;

/// What `ledger verify` is to judge by, besides key and heads.
#[derive(Debug, Args)]
pub(crate) struct VerifyBy {
    /// The public key of a witness, as it was learnt from the witness; may be given several times.
    #[arg(long, value_name = "VKEY")]
    pub(crate) witness: Vec<String>,
    /// Certificates (PEM) of the roots that you trust to vouch for authorities of time stamps.
    #[arg(long, value_name = "FILE")]
    pub(crate) tsa_root: Option<PathBuf>,
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

/// `ledger timestamp`
#[derive(Debug, Args)]
pub(crate) struct Timestamp {
    /// Ask this authority for a time stamp of the newest head (RFC 3161); the policy's if not given.
    #[arg(long, value_name = "URL", conflicts_with_all = ["query", "reply"])]
    pub(crate) tsa: Option<String>,
    /// Write the request to this file instead, to be carried to an authority.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["reply", "root"])]
    pub(crate) query: Option<PathBuf>,
    /// Take in the answer to such a request.
    #[arg(long, value_name = "FILE")]
    pub(crate) reply: Option<PathBuf>,
    /// Certificates (PEM) of the roots that the authority's certificate must lead to, as the authority publishes them;
    /// the policy's if not given.
    #[arg(long, value_name = "FILE")]
    pub(crate) root: Option<PathBuf>,
    /// The oldest version of TLS that is spoken: 1.2 or 1.3; the policy's if not given, else 1.3.
    #[arg(long, value_name = "VERSION", value_parser = min_tls)]
    pub(crate) min_tls: Option<MinTls>,
}

fn min_tls(text: &str) -> Result<MinTls, String> {
    match text {
        "1.2" => Ok(MinTls::V1_2),
        "1.3" => Ok(MinTls::V1_3),
        _ => Err("it must be 1.2 or 1.3".to_owned()),
    }
}
