//! The command line's grammar.

pub(crate) mod changes;
pub(crate) mod document;
pub(crate) mod holds;
pub(crate) mod keys;
pub(crate) mod ledger;
pub(crate) mod people;
pub(crate) mod reading;
pub(crate) mod report;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

/// Keeps a backup policy, and proves that it was kept.
#[derive(Debug, Parser)]
#[command(
    name = "vouchsafe",
    version,
    max_term_width = 100,
    disable_help_subcommand = true
)]
pub(crate) struct Cli {
    /// The policy file.
    #[arg(
        long,
        global = true,
        value_name = "FILE",
        default_value = "policy.yaml"
    )]
    pub(crate) policy: PathBuf,
    /// The state directory; beside the policy if not named.
    #[arg(long, global = true, value_name = "DIR")]
    pub(crate) state: Option<PathBuf>,
    /// Print JSON instead of text.
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// What to do.
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// The verbs.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Protect a directory, damage copies of it on purpose, restore, compare, report: everything in one command.
    Demo(Demo),
    /// Write a commented policy.yaml if there is none; create the vaults and keys that are missing.
    Init(Init),
    /// Say what is wrong with the policy, with file, line, reason and remedy.
    Lint(Lint),
    /// Show which key of the policy fulfils which requirement, and what that rests on.
    Trace,
    /// Show what will happen when.
    Agenda(Agenda),
    /// Fulfil obligations now: capture, copy, read back.
    Run(Run),
    /// Keep working until stopped: ship transaction logs, and do what is due when it is due.
    Worker(Worker),
    /// One line a system: covered? fresh? proven? overdue? and why.
    Status(Status),
    /// Recovery points and their copies.
    Points(Points),
    /// Write a recovery point out.
    Restore(Restore),
    /// Read the vaults' bytes back.
    Verify(Verify),
    /// Remove what the policy lets go: the worklist first, then the deed.
    Prune(Prune),
    /// Legal holds: points that somebody's order keeps, whatever the policy says of their age.
    #[command(subcommand)]
    Hold(holds::Hold),
    /// Agree to a change of the policy that weakens it: from then on it is in force.
    Approve(changes::Approve),
    /// Refuse a change of the policy: what was promised before stays in force.
    Deny(changes::Deny),
    /// What people owe: overdue, open and to come, with who answers it and who hears of it when it is late.
    Duties(people::Duties),
    /// State how a duty came out, by your own key; hand in what goes with it.
    Attest(people::Attest),
    /// Failures, from their acknowledgement to their closure.
    #[command(subcommand)]
    Incident(people::Incident),
    /// Permissions to depart from a rule, by somebody, for a reason, until a day.
    #[command(subcommand)]
    Exempt(people::Exempt),
    /// Rights that are asked for, given for a time by somebody else, and end by themselves.
    #[command(subcommand)]
    Access(people::Access),
    /// Systems for which nothing is done by itself for a while.
    #[command(subcommand)]
    Pause(people::Pause),
    /// Rehearse a restore in a sandbox, compare and time it.
    Drill(Drill),
    /// Rebuild ledger and policy from one vault and the recovery sheet.
    RecoverState(RecoverState),
    /// Check, show or export the record.
    #[command(subcommand)]
    Ledger(Ledger),
    /// The evidence of a period, for an auditor.
    Report(report::Report),
    /// What there is around the declared sources, against what is declared and protected: databases of a server,
    /// repositories and SQLite files below a root of files.
    Coverage,
    /// The policy as prose, generated from what is in force.
    Document(document::Document),
    /// Look into a vault.
    #[command(subcommand)]
    Vault(VaultCommand),
    /// The keys of the vaults.
    #[command(subcommand)]
    Key(KeyCommand),
    /// Print the JSON Schema of the policy file.
    Schema,
    /// Print a completion script for a shell.
    Completions {
        /// Which shell.
        shell: clap_complete::Shell,
    },
}

/// `demo`
#[derive(Debug, Args)]
pub(crate) struct Demo {
    /// The directory to protect; the current one if not named.
    pub(crate) dir: Option<PathBuf>,
    /// Keep everything in this new directory instead of a temporary one.
    #[arg(long, value_name = "WORKSPACE")]
    pub(crate) keep: Option<PathBuf>,
}

/// `init`
#[derive(Debug, Args)]
pub(crate) struct Init {
    /// Which commented policy to write if there is none.
    #[arg(long, value_name = "NAME", default_value = "default")]
    pub(crate) template: String,
    /// Begin a new ledger although a vault holds another one; every report will show the break.
    #[arg(long)]
    pub(crate) new_ledger: bool,
}

/// `lint`
#[derive(Debug, Args)]
pub(crate) struct Lint {
    /// Explain a finding's code.
    #[arg(long, value_name = "CODE")]
    pub(crate) explain: Option<String>,
    /// In which form; `--json` is the same as `json`.
    #[arg(long, value_enum, default_value_t = LintFormat::Text)]
    pub(crate) format: LintFormat,
}

/// The forms of findings.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum LintFormat {
    /// Each finding with the lines around it.
    Text,
    /// One JSON object.
    Json,
    /// SARIF 2.1.0, for code hosts and editors.
    Sarif,
}

/// `agenda`
#[derive(Debug, Args)]
pub(crate) struct Agenda {
    /// How many days ahead.
    #[arg(long, value_name = "N", default_value_t = 7, value_parser = clap::value_parser!(u32).range(1..=400))]
    pub(crate) days: u32,
    /// What would happen otherwise by another version: a git revision of the policy, or a file. Lists what differs,
    /// and which points would be lost and when.
    #[arg(long, value_name = "REV")]
    pub(crate) against: Option<String>,
}

/// `run`
#[derive(Debug, Args)]
pub(crate) struct Run {
    /// SYSTEM or SYSTEM/PROTECTION; all if none is named.
    pub(crate) names: Vec<String>,
    /// Only what is due now, or was never captured.
    #[arg(long)]
    pub(crate) due: bool,
    /// Why, for the record.
    #[arg(long, value_name = "TEXT")]
    pub(crate) reason: Option<String>,
}

/// `worker`
#[derive(Debug, Args)]
pub(crate) struct Worker {
    /// With --once: SYSTEM or SYSTEM/PROTECTION; all whose log is shipped if none is named.
    #[arg(requires = "once")]
    pub(crate) names: Vec<String>,
    /// Ship what there is of the logs now, and end; nothing else is done.
    #[arg(long)]
    pub(crate) once: bool,
    /// How often what was shipped is recorded, in seconds.
    #[arg(long, value_name = "SECONDS", default_value_t = 300, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    pub(crate) record_every: u64,
}

/// `status`
#[derive(Debug, Args)]
pub(crate) struct Status {
    /// Judge as of this time instead of now, by the policy that was in force then.
    #[arg(long, value_name = "TIME")]
    pub(crate) as_of: Option<String>,
    /// Show every judgement with its reason.
    #[arg(long, short)]
    pub(crate) verbose: bool,
}

/// `points`
#[derive(Debug, Args)]
pub(crate) struct Points {
    /// Only this system.
    pub(crate) system: Option<String>,
}

/// `restore`
#[derive(Debug, Args)]
pub(crate) struct Restore {
    /// SYSTEM or SYSTEM/PROTECTION.
    pub(crate) system: String,
    /// Where to: a directory, a file, what the source understands (a git URL, postgres://user@host/name of a running
    /// server), or server:DIR for a database server of its own in a new directory.
    #[arg(long, value_name = "DEST")]
    pub(crate) to: PathBuf,
    /// The newest point whose content is not later than this time (RFC 3339). With a log in the vault, and --to server:DIR
    /// or a SQLite database: everything that was committed up to and including this time; `latest` is all that the log
    /// holds, and a position in it is written like 16/B374D848.
    #[arg(long, value_name = "TIME|latest|LSN", conflicts_with = "point")]
    pub(crate) at: Option<String>,
    /// This point.
    #[arg(long, value_name = "ID")]
    pub(crate) point: Option<String>,
    /// From this vault.
    #[arg(long, value_name = "V")]
    pub(crate) vault: Option<String>,
    /// Only this path and what lies below it.
    #[arg(long, value_name = "PATH")]
    pub(crate) include: Option<String>,
    /// Only this table or collection, beside the live data of the database that --to names (postgres://, mysql://,
    /// mongodb:// of a running server, or a SQLite file); once for each.
    #[arg(long, value_name = "TABLE", requires = "into", conflicts_with_all = ["include", "force"])]
    pub(crate) only: Vec<String>,
    /// What is made for those tables: a schema (PostgreSQL), a database (MariaDB, MySQL, MongoDB), or the beginning of
    /// their new names (SQLite). It must not be there yet.
    #[arg(long, value_name = "NAME", requires = "only")]
    pub(crate) into: Option<String>,
    /// Show what would be restored, and do nothing.
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Overwrite existing data; of files, only those that differ.
    #[arg(long)]
    pub(crate) force: bool,
    /// How to tell files that differ.
    #[arg(long, value_enum, value_name = "HOW", default_value_t = reading::CompareBy::Time, requires = "force")]
    pub(crate) compare: reading::CompareBy,
    /// Leave in whose data was erased since: the register of erasures is not replayed. This is recorded.
    #[arg(long, requires = "reason")]
    pub(crate) without_erasures: bool,
    /// Why they are left in.
    #[arg(long, value_name = "TEXT", requires = "without_erasures")]
    pub(crate) reason: Option<String>,
}

/// `verify`
#[derive(Debug, Args)]
pub(crate) struct Verify {
    /// Only this vault.
    #[arg(long, value_name = "V")]
    pub(crate) vault: Option<String>,
    /// How much to read: a share (10%), a size (5GiB) or a time (20m); everything if not named.
    #[arg(long, value_name = "BUDGET")]
    pub(crate) budget: Option<String>,
    /// Only vaults whose reading is due by the policy, and as much of each as it asks for.
    #[arg(long, conflicts_with = "budget")]
    pub(crate) due: bool,
}

/// `prune`
#[derive(Debug, Args)]
pub(crate) struct Prune {
    /// Only this vault.
    #[arg(long, value_name = "V")]
    pub(crate) vault: Option<String>,
    /// Only vaults whose pruning is due by the policy.
    #[arg(long)]
    pub(crate) due: bool,
    /// Show the worklist and do nothing.
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Do it without asking.
    #[arg(long, conflicts_with = "dry_run")]
    pub(crate) yes: bool,
    /// Without locks: packs leave the index now and are removed by a prune two days later. Always so in a vault with a
    /// retention lock.
    #[arg(long)]
    pub(crate) write_once: bool,
}

/// `drill`
#[derive(Debug, Args)]
pub(crate) struct Drill {
    /// SYSTEM or SYSTEM/PROTECTION; all if none is named.
    pub(crate) names: Vec<String>,
    /// `random`, or the newest point not later than this time. Where the vault has a log: any moment that can be
    /// restored, or exactly this time; without `--at` the end of the log.
    #[arg(long, value_name = "random|TIME")]
    pub(crate) at: Option<String>,
    /// From this vault; the one drilled longest ago if not named.
    #[arg(long, value_name = "V")]
    pub(crate) vault: Option<String>,
    /// Also damage twins on purpose, and see each one refused.
    #[arg(long)]
    pub(crate) negative: bool,
    /// Only what is due by the policy, with `--negative` where that is due, too.
    #[arg(long)]
    pub(crate) due: bool,
}

/// `recover-state`
#[derive(Debug, Args)]
pub(crate) struct RecoverState {
    /// The vault's URL, such as file:///srv/vouchsafe.
    #[arg(long, value_name = "URL")]
    pub(crate) vault: String,
    /// The recovery sheet; passphrases are read from it.
    #[arg(long, value_name = "FILE", required_unless_present_any = ["passphrase_file", "wrapped"])]
    pub(crate) sheet: Option<PathBuf>,
    /// A file that holds the vault's passphrase, instead of the sheet.
    #[arg(long, value_name = "FILE", conflicts_with = "sheet")]
    pub(crate) passphrase_file: Option<PathBuf>,
    /// Without either: by the passphrase that lies wrapped in the vault, if the key that wraps it is at hand.
    #[arg(long, conflicts_with_all = ["sheet", "passphrase_file"])]
    pub(crate) wrapped: bool,
    /// The program that unwraps it, with its arguments, where one does; the last option.
    #[arg(long, value_name = "PROGRAM", num_args = 1.., allow_hyphen_values = true)]
    pub(crate) unwrap: Vec<String>,
}

/// `ledger`
#[derive(Debug, Subcommand)]
pub(crate) enum Ledger {
    /// Recompute every hash and signature; names the first wrong entry.
    Verify {
        /// Check this export instead of the own ledger; works offline, without state or policy.
        #[arg(long, value_name = "FILE")]
        export: Option<PathBuf>,
        /// The public key that must have signed it, as printed by `ledger show`.
        #[arg(long, value_name = "VKEY")]
        key: Option<String>,
        /// A published head that it must contain; may be given several times.
        #[arg(long, value_name = "FILE")]
        head: Vec<PathBuf>,
        #[command(flatten)]
        by: ledger::VerifyBy,
    },
    /// Write a proof that an entry is in the record, or that the record goes on from an older head.
    Prove(ledger::Prove),
    /// Check a proof, offline.
    CheckProof(ledger::CheckProof),
    /// As a witness: examine an export and sign its head, if it goes on from what this witness has signed before.
    Cosign(ledger::Cosign),
    /// Take in a head that a witness has signed: it is recorded and published.
    Witnessed(ledger::Witnessed),
    /// Have the newest head stamped with its time by an authority (RFC 3161): it is recorded and published.
    Timestamp(ledger::Timestamp),
    /// Make anew from the entries what is kept beside them to be found quickly: which obligations were written ahead, and
    /// up to when. The entries stay as they are.
    Rebuild,
    /// Print head, public key and the newest entries.
    Show {
        /// How many entries.
        #[arg(long, value_name = "N", default_value_t = 20)]
        last: u64,
    },
    /// Write the whole record to a file, or to standard output.
    Export {
        /// Where to.
        #[arg(long, short, value_name = "FILE")]
        output: Option<PathBuf>,
        /// Write it as a folder of tiles instead, as tools for transparency logs read it (C2SP tlog-tiles).
        #[arg(long, value_name = "DIR", conflicts_with = "output")]
        tiles: Option<PathBuf>,
    },
}

/// `vault`
#[derive(Debug, Subcommand)]
pub(crate) enum VaultCommand {
    /// Print what stock restic needs: eval "$(vouchsafe vault env local)".
    Env {
        /// The vault's name.
        vault: String,
    },
    /// List the snapshots in a vault, and which of them the ledger knows; or what is in one of them.
    Ls(reading::Ls),
    /// Look for names in all snapshots, or in some.
    Find(reading::Find),
    /// Say what differs between two snapshots: + added, - removed, M modified, T another type, U metadata only.
    Diff(reading::Diff),
    /// Show the snapshots as a read-only file system, until Ctrl-C or umount.
    Mount(reading::Mount),
    /// Write a file, or a tree as an archive, to standard output.
    Dump(reading::Dump),
    /// Check the structure of a vault, what its store can do, and how long its objects are locked.
    Check(Check),
    /// Extend the retention locks that are missing or too short for the policy.
    Lock {
        /// The vault's name.
        vault: String,
        /// Only say which those are.
        #[arg(long)]
        dry_run: bool,
    },
    /// Repair a vault's index, packs or snapshots: first the worklist, and with --yes the deed.
    Repair(VaultRepair),
}

/// `vault check`
#[derive(Debug, Args)]
pub(crate) struct Check {
    /// The vault's name.
    pub(crate) vault: String,
    /// Also read all data back, as `verify` does, and record it.
    #[arg(long)]
    pub(crate) read_data: bool,
    /// As --read-data, but only a share (10%), a size (5GiB) or a time (20m) of it: what was never read or longest ago
    /// comes first.
    #[arg(long, value_name = "BUDGET", conflicts_with = "read_data")]
    pub(crate) read_data_subset: Option<String>,
}

/// `vault repair`
#[derive(Debug, Args)]
pub(crate) struct VaultRepair {
    /// The vault's name.
    pub(crate) vault: String,
    /// What is to be repaired.
    #[command(subcommand)]
    pub(crate) part: RepairCommand,
}

/// The parts that can be repaired, in the order in which they should be.
#[derive(Debug, Subcommand)]
pub(crate) enum RepairCommand {
    /// Make the index anew from the headers of the packs.
    Index {
        /// How far to go.
        #[command(flatten)]
        go: Go,
    },
    /// Save what can be read of damaged packs, fetch what is lost from other vaults, drop the rest.
    Packs {
        /// Only these packs, by their whole names; all are read if none is named.
        packs: Vec<String>,
        /// Fetch lost blobs from this vault; may be given several times.
        #[arg(long, value_name = "OTHER")]
        from: Vec<String>,
        /// How far to go.
        #[command(flatten)]
        go: Go,
    },
    /// Write siblings, without what is lost, of snapshots that miss something.
    Snapshots {
        /// Also remove the broken ones.
        #[arg(long)]
        forget: bool,
        /// How far to go.
        #[command(flatten)]
        go: Go,
    },
}

/// How far a command that changes a vault goes.
#[derive(Clone, Copy, Debug, Args)]
pub(crate) struct Go {
    /// Only show the worklist; so it is without --yes, too.
    #[arg(long, conflicts_with = "yes")]
    pub(crate) dry_run: bool,
    /// Do what the worklist says.
    #[arg(long)]
    pub(crate) yes: bool,
}

/// `key`
#[derive(Debug, Subcommand)]
pub(crate) enum KeyCommand {
    /// List the keys of the vaults, and the ledger's public key.
    List,
    /// Let one more passphrase or key file open a vault.
    Add(keys::Add),
    /// Take a key away; never the last one.
    Remove(keys::Remove),
    /// Replace a vault's passphrase, or go on with a replacement that broke off; writes the recovery sheet anew.
    Rotate(keys::Rotate),
    /// Replace the key that signs the record; old and new key sign that, and the recovery sheet names the new one.
    RotateLedger,
    /// Copy every point into a new vault with another master key, and show that they are equal.
    Rekey(keys::Rekey),
    /// Wrap a vault's passphrase by the key service that its policy names.
    Wrap(keys::Wrap),
    /// Print a vault's passphrase, for stock restic: RESTIC_PASSWORD_COMMAND.
    Passphrase(keys::Rotate),
    /// Print where the recovery sheet is; to a terminal, the sheet itself.
    Sheet,
}
