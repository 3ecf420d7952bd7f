//! The grammar of `hold`.

use clap::{Args, Subcommand};

/// `hold`
#[derive(Debug, Subcommand)]
pub(crate) enum Hold {
    /// Place a hold on points, or on every point of systems.
    Place(Place),
    /// Lift a hold.
    Release(Release),
    /// List the holds in force.
    List,
}

/// `hold place`
#[derive(Debug, Args)]
pub(crate) struct Place {
    /// The hold's name, such as that of a case.
    pub(crate) name: String,
    /// Keep this point; may be given several times.
    #[arg(long, value_name = "ID", required_unless_present = "system")]
    pub(crate) point: Vec<String>,
    /// Keep every point of this system, those to come too; may be given several times.
    #[arg(long, value_name = "SYSTEM")]
    pub(crate) system: Vec<String>,
    /// Who orders it.
    #[arg(long, value_name = "WHO")]
    pub(crate) by: String,
    /// Why.
    #[arg(long, value_name = "TEXT")]
    pub(crate) reason: String,
    /// Since when it was ordered (RFC 3339); now if not said.
    #[arg(long, value_name = "TIME")]
    pub(crate) since: Option<String>,
    /// When it ends by itself (RFC 3339); never if not said.
    #[arg(long, value_name = "TIME")]
    pub(crate) until: Option<String>,
}

/// `hold release`
#[derive(Debug, Args)]
pub(crate) struct Release {
    /// The hold's name.
    pub(crate) name: String,
    /// Who lifts it.
    #[arg(long, value_name = "WHO")]
    pub(crate) by: String,
    /// Why.
    #[arg(long, value_name = "TEXT")]
    pub(crate) reason: String,
}
