//! `approve`, `deny`.

use clap::Args;

/// `approve`
#[derive(Debug, Args)]
pub(crate) struct Approve {
    /// The change, as `status` names it.
    pub(crate) change: String,
    /// Who agrees. With a signature the signer, who need not be named.
    #[arg(long, value_name = "WHO", required_unless_present_any = ["commit", "tag"])]
    pub(crate) by: Option<String>,
    /// Why.
    #[arg(long, value_name = "TEXT")]
    pub(crate) reason: String,
    /// A signed commit that holds the policy: who agrees is then measured, not only stated.
    #[arg(long, value_name = "REV", conflicts_with = "tag")]
    pub(crate) commit: Option<String>,
    /// A signed tag of a commit that holds the policy.
    #[arg(long, value_name = "TAG")]
    pub(crate) tag: Option<String>,
}

/// `deny`
#[derive(Debug, Args)]
pub(crate) struct Deny {
    /// The change, as `status` names it.
    pub(crate) change: String,
    /// Who refuses.
    #[arg(long, value_name = "WHO")]
    pub(crate) by: String,
    /// Why.
    #[arg(long, value_name = "TEXT")]
    pub(crate) reason: String,
}
