//! The grammar of people's part: `duties`, `attest`, `incident`, `exempt`, `access`, `pause`.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

/// `duties`
#[derive(Debug, Args)]
pub(crate) struct Duties {
    /// Only what this person owes, may do instead of somebody, or has to hear of.
    #[arg(long, value_name = "PERSON")]
    pub(crate) mine: Option<String>,
    /// How many days ahead.
    #[arg(long, value_name = "N", default_value_t = 30, value_parser = clap::value_parser!(u32).range(0..=400))]
    pub(crate) days: u32,
    /// As of this time instead of now (RFC 3339).
    #[arg(long, value_name = "TIME")]
    pub(crate) as_of: Option<String>,
}

/// How a duty came out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Outcome {
    /// It was done, and all was well.
    Done,
    /// It was done, and something was found; an incident follows.
    Problems,
    /// It will not be done; nothing is fulfilled by that.
    Declined,
}

/// `attest`
#[derive(Debug, Args)]
pub(crate) struct Attest {
    /// The duty as `vouchsafe duties` calls it, or the system that something is handed in for.
    pub(crate) duty: String,
    /// What it is about, where each of several things owes one of its own.
    #[arg(long, value_name = "WHAT")]
    pub(crate) about: Option<String>,
    /// How it came out.
    #[arg(long, value_enum)]
    pub(crate) outcome: Outcome,
    /// Why, or what was found.
    #[arg(long, value_name = "TEXT")]
    pub(crate) reason: String,
    /// Who says so: an address, or the name of a person in the policy.
    #[arg(long, value_name = "PERSON")]
    pub(crate) by: String,
    /// Sign with this private key of OpenSSH's (Ed25519); the policy has its public half under `people`.
    #[arg(long, value_name = "FILE")]
    pub(crate) key: Option<PathBuf>,
    /// Write the statement to this file, so that `ssh-keygen -Y sign -n vouchsafe` can sign it by an agent, or with
    /// a sealed key; the same command again takes the signature beside it.
    #[arg(long, value_name = "FILE", conflicts_with = "key")]
    pub(crate) statement: Option<PathBuf>,
    /// What is handed in; may be given several times.
    #[arg(long, value_name = "PATH")]
    pub(crate) file: Vec<PathBuf>,
    /// Take an upload that has less than half of the last one's bytes.
    #[arg(long, requires = "file")]
    pub(crate) smaller_is_right: bool,
}

/// `incident`
#[derive(Debug, Subcommand)]
pub(crate) enum Incident {
    /// Acknowledge a failure.
    Open {
        /// Its name.
        name: String,
        /// What failed: a duty, a system, an obligation's id, or the number of a ledger entry; may be given several times.
        #[arg(long, value_name = "WHAT", required = true)]
        about: Vec<String>,
        /// Who acknowledges it.
        #[arg(long, value_name = "PERSON")]
        by: String,
        /// What happened.
        #[arg(long, value_name = "TEXT")]
        reason: String,
    },
    /// Note its cause, what was done about it, or anything else.
    Note {
        /// Its name.
        name: String,
        /// Why it happened.
        #[arg(long, value_name = "TEXT", required_unless_present_any = ["fix", "remark"])]
        cause: Option<String>,
        /// What was done about it.
        #[arg(long, value_name = "TEXT")]
        fix: Option<String>,
        /// Anything else.
        #[arg(long, value_name = "TEXT")]
        remark: Option<String>,
        /// Who says so.
        #[arg(long, value_name = "PERSON")]
        by: String,
    },
    /// Close it: its cause and what was done are noted, and it was tested again.
    Close {
        /// Its name.
        name: String,
        /// The ledger entry that shows that it works again: a green drill, a complete point, a clean verification, a duty
        /// attested as done.
        #[arg(long, value_name = "ENTRY")]
        retest: u64,
        /// Who closes it.
        #[arg(long, value_name = "PERSON")]
        by: String,
        /// What is to be said at the end.
        #[arg(long, value_name = "TEXT")]
        reason: String,
    },
    /// List incidents, open ones first.
    List,
}

/// `exempt`
#[derive(Debug, Subcommand)]
pub(crate) enum Exempt {
    /// Allow a departure from a rule, until a day.
    Add {
        /// Its name.
        name: String,
        /// What is departed from: covered, fresh, copies, verified, proven, encrypted, retained, or a duty.
        #[arg(long, value_name = "RULE")]
        from: String,
        /// For which system; may be given several times; every system if not given.
        #[arg(long, value_name = "SYSTEM")]
        system: Vec<String>,
        /// Who asks for it.
        #[arg(long, value_name = "PERSON")]
        by: String,
        /// Who allows it: whoever answers for the policy, or has approved it; never the one who asks.
        #[arg(long, value_name = "PERSON")]
        approved_by: String,
        /// Why.
        #[arg(long, value_name = "TEXT")]
        reason: String,
        /// When it ends (RFC 3339).
        #[arg(long, value_name = "TIME")]
        until: String,
        /// The private key of whoever allows it.
        #[arg(long, value_name = "FILE")]
        key: Option<PathBuf>,
    },
    /// End a permission before its time.
    End {
        /// Its name.
        name: String,
        /// Who ends it.
        #[arg(long, value_name = "PERSON")]
        by: String,
        /// Why.
        #[arg(long, value_name = "TEXT")]
        reason: String,
    },
    /// List permissions, those that are over too.
    List,
}

/// `access`
#[derive(Debug, Subcommand)]
pub(crate) enum Access {
    /// Ask for a right, for a time.
    Request {
        /// The request's name.
        name: String,
        /// The right, as the policy calls it under `access`.
        #[arg(long, value_name = "RIGHT")]
        right: String,
        /// Who asks.
        #[arg(long, value_name = "PERSON")]
        by: String,
        /// For how long: 30m, 4h.
        #[arg(long = "for", value_name = "LENGTH")]
        length: String,
        /// Why.
        #[arg(long, value_name = "TEXT")]
        reason: String,
    },
    /// Give what was asked for, from now on.
    Grant {
        /// The request's name.
        name: String,
        /// Who allows it: one of the right's approvers, never the one who asks.
        #[arg(long, value_name = "PERSON")]
        approved_by: String,
        /// The private key of whoever allows it.
        #[arg(long, value_name = "FILE")]
        key: Option<PathBuf>,
    },
    /// Deny a request, or end a right before its time.
    End {
        /// The request's name.
        name: String,
        /// Who ends it.
        #[arg(long, value_name = "PERSON")]
        by: String,
        /// Why.
        #[arg(long, value_name = "TEXT")]
        reason: String,
    },
    /// List what is in force, asked for, ended and over.
    List,
}

/// `pause`
#[derive(Debug, Subcommand)]
pub(crate) enum Pause {
    /// Do nothing for a system by itself for a while; what is due is owed all the same.
    Start {
        /// The system.
        system: String,
        /// Until when (RFC 3339).
        #[arg(long, value_name = "TIME")]
        until: String,
        /// Who says so: the system's owner, who stands in, or who answers for the policy.
        #[arg(long, value_name = "PERSON")]
        by: String,
        /// Why.
        #[arg(long, value_name = "TEXT")]
        reason: String,
    },
    /// Go on before the time.
    End {
        /// The system.
        system: String,
        /// Who says so.
        #[arg(long, value_name = "PERSON")]
        by: String,
        /// Why.
        #[arg(long, value_name = "TEXT")]
        reason: String,
    },
    /// List what is paused.
    List,
}
