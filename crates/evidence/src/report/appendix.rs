//! The facts behind the report, one sentence each, so that every number cited has a row.

use std::collections::{BTreeMap, BTreeSet};

use vouchsafe_model::fact::{
    CopyFact, Expiry, Fact, KeyChange, KeyDeed, Pruning, Recorded, RecoveryPoint, Repair,
    VaultCoverage, Verification,
};
use vouchsafe_model::{
    CopyLock, DrillResult, HiddenObject, Hold, Issue, LogGap, LogShipped, ObligationId, Outcome,
    RunId, VaultLocks, human_bytes,
};

use super::ReportInput;
use super::content::{Appendix, AppendixRow};
use super::gather::{Shown, in_period};
use crate::layout::clean;
use crate::names::Names;
use crate::words::{count, figure, len, outcome};

pub(super) fn appendix(
    input: &ReportInput<'_>,
    names: &Names<'_>,
    shown: &Shown,
    cited: &BTreeSet<u64>,
) -> Appendix {
    let mut rows: BTreeMap<u64, AppendixRow> = BTreeMap::new();
    let mut left_out = shown.left_out;
    for recorded in input.facts {
        let plan = matches!(
            recorded.entry.fact,
            Fact::ObligationDue(_) | Fact::Horizon { .. } | Fact::LogShipped(_)
        );
        let in_period = in_period(input, recorded);
        let is_cited = cited.contains(&recorded.seq);
        if plan && in_period && is_cited {
            left_out = left_out.saturating_sub(1);
        }
        if is_cited || (in_period && !plan) {
            rows.insert(recorded.seq, row(recorded, names));
        }
    }
    for seq in cited {
        rows.entry(*seq).or_insert_with(|| AppendixRow {
            seq: *seq,
            at: None,
            actor: String::new(),
            tool: String::new(),
            kind: "not at hand".to_owned(),
            text: "A verdict cites this entry, and this report was made without it.".to_owned(),
        });
    }
    Appendix {
        left_out,
        rows: rows.into_values().collect(),
    }
}

fn row(recorded: &Recorded, names: &Names<'_>) -> AppendixRow {
    let entry = &recorded.entry;
    AppendixRow {
        seq: recorded.seq,
        at: Some(entry.at),
        actor: clean(&entry.actor),
        tool: clean(&entry.tool),
        kind: kind(&entry.fact).to_owned(),
        text: clean(&sentence(&names.fact(&entry.fact))),
    }
}

fn kind(fact: &Fact) -> &'static str {
    match fact {
        Fact::PolicyInForce { .. } => "policy-in-force",
        Fact::PolicyChanged(_) => "policy-changed",
        Fact::ChangeDecided(_) => "change-decided",
        Fact::ObligationDue(_) => "obligation-due",
        Fact::Horizon { .. } => "horizon",
        Fact::ObligationsWithdrawn { .. } => "obligations-withdrawn",
        Fact::RunOpened { .. } => "run-opened",
        Fact::RunClosed { .. } => "run-closed",
        Fact::RunAbandoned { .. } => "run-abandoned",
        Fact::RecoveryPoint(_) => "recovery-point",
        Fact::Copy(_) => "copy",
        Fact::Verification(_) => "verification",
        Fact::Coverage(_) => "coverage",
        Fact::CopyLost(_) => "copy-lost",
        Fact::Repaired(_) => "repaired",
        Fact::Drill(_) => "drill",
        Fact::ErasuresReplayed(_) => "erasures-replayed",
        Fact::Locks(_) => "locks",
        Fact::Space(_) => "space",
        Fact::KeyChange(_) => "key-change",
        Fact::LogShipped(_) => "log-shipped",
        Fact::LogGap(_) => "log-gap",
        Fact::Held(_) => "held",
        Fact::HoldReleased(_) => "hold-released",
        Fact::People(fact) => fact.word(),
        Fact::Expired(_) => "expired",
        Fact::Pruned(_) => "pruned",
        Fact::VaultKnown { .. } => "vault-known",
        Fact::Published { .. } => "published",
        Fact::Joined { .. } => "joined",
        Fact::LedgerKeyRotated(_) => "ledger-key-rotated",
        Fact::Witnessed(_) => "witnessed",
        Fact::Timestamped(_) => "timestamped",
        Fact::Break { .. } => "break",
    }
}

fn sentence(fact: &Fact) -> String {
    match fact {
        Fact::PolicyInForce {
            digest,
            version,
            bytes,
            approved,
        } => in_force(digest, version.as_deref(), *bytes, *approved),
        Fact::PolicyChanged(change) => crate::change::changed(change),
        Fact::ChangeDecided(decision) => crate::change::decided(decision),
        Fact::ObligationDue(o) => format!("{} of {} by {}.", o.kind, o.subject(), o.due.minute()),
        Fact::Horizon { until } => format!("Obligations are written up to {}.", until.minute()),
        Fact::ObligationsWithdrawn {
            obligations,
            policy,
        } => {
            let ids: Vec<&str> = obligations.iter().map(ObligationId::as_str).collect();
            let all = count(len(ids.len()), "obligation");
            format!(
                "{all} withdrawn, for the policy {policy} no longer asks for them: {}.",
                ids.join(", ")
            )
        }
        Fact::RunOpened {
            run,
            deed,
            subject,
            reason,
        } => {
            let why = reason.as_ref().map(|r| format!(", because: {r}"));
            format!("Run {run}: {deed} of {subject}{}.", why.unwrap_or_default())
        }
        Fact::RunClosed {
            run,
            outcome,
            issues,
        } => closed(run, *outcome, issues),
        Fact::RunAbandoned { run } => {
            format!("Run {run} was found open with no process behind it.")
        }
        Fact::RecoveryPoint(p) => captured(p),
        Fact::Copy(c) => copied(c),
        Fact::Verification(v) => read_back(v),
        Fact::Coverage(c) => covered(c),
        Fact::CopyLost(l) => format!(
            "Point {} in {} has lost {}: snapshot {} is no whole copy any more.",
            l.point,
            l.vault,
            count(l.lost, "file"),
            l.snapshot
        ),
        Fact::Repaired(r) => repaired(r),
        Fact::Drill(d) => rehearsed(d),
        Fact::ErasuresReplayed(replay) => crate::erasures::sentence(replay),
        Fact::Locks(locks) => locked(locks),
        Fact::Space(space) => format!("The store of {} is {}.", space.vault, space.said()),
        Fact::KeyChange(change) => key_change(change),
        Fact::LogShipped(log) => shipped(log),
        Fact::LogGap(gap) => gap_in_log(gap),
        Fact::Held(hold) => held(hold),
        Fact::HoldReleased(release) => format!(
            "Hold {} lifted by {}: {}",
            release.name, release.by, release.reason
        ),
        Fact::People(fact) => crate::people_sayings::sentence(fact),
        Fact::Expired(e) => expired(e),
        Fact::Pruned(p) => pruned(p),
        Fact::VaultKnown {
            vault,
            repository,
            created,
        } => {
            let how = if *created {
                "created"
            } else {
                "opened for the first time"
            };
            format!("Vault {vault} {how}, repository {repository}.")
        }
        Fact::Published {
            vault,
            tree_size,
            root,
            snapshot,
        } => {
            let within = snapshot
                .as_ref()
                .map(|id| format!(", in the snapshot {id}"));
            format!(
                "Head over {}, root {root}, published to vault {vault}{}.",
                count(*tree_size, "entry"),
                within.unwrap_or_default()
            )
        }
        Fact::Joined {
            vault,
            tree_size,
            root,
        } => format!(
            "The ledger goes on from the head over {}, root {root}, found in vault {vault}.",
            count(*tree_size, "entry")
        ),
        Fact::LedgerKeyRotated(change) => format!(
            "From here on the record is signed by {} and no more by {}.",
            change.to, change.from
        ),
        Fact::Witnessed(seen) => format!(
            "{} has seen the record up to {}, root {}, at {}.",
            seen.witness,
            count(seen.tree_size, "entry"),
            seen.root,
            seen.seen.minute()
        ),
        Fact::Timestamped(stamp) => format!(
            "{} has stamped the head over {}, root {}, with the time {} (serial number {}, policy {}).",
            stamp.authority,
            count(stamp.tree_size, "entry"),
            stamp.root,
            stamp.seen,
            stamp.serial,
            stamp.policy
        ),
        Fact::Break {
            reason,
            vault,
            tree_size,
        } => {
            let vault = vault.as_ref().map(|v| format!(" Vault {v}."));
            let size = tree_size.map(|n| format!(" Foreign head over {}.", count(n, "entry")));
            let (vault, size) = (vault.unwrap_or_default(), size.unwrap_or_default());
            format!("BREAK: {}.{vault}{size}", reason.trim_end_matches('.'))
        }
    }
}

fn key_change(c: &KeyChange) -> String {
    let short = |slots: &[String]| {
        let slots: Vec<&str> = slots.iter().map(|s| s.get(..8).unwrap_or(s)).collect();
        slots.join(", ")
    };
    let vault = &c.vault;
    match (&c.successor, c.change) {
        (Some(next), _) => format!(
            "Vault {vault}: its master key was replaced: vault {} holds its {} under another one, each with the same root of its tree.",
            next.vault,
            count(next.points, "point")
        ),
        (None, KeyDeed::Added) => format!("Vault {vault}: a slot was added: {}.", short(&c.added)),
        (None, KeyDeed::Removed) => format!(
            "Vault {vault}: a slot was removed: {}{}.",
            short(&c.removed),
            key_files(&c.hidden)
        ),
        (None, KeyDeed::Wrapped) => format!(
            "Vault {vault}: its passphrase lies in it, wrapped by the {}; what opens it is the same.",
            c.wrapped_by.as_deref().unwrap_or("key service")
        ),
        (None, KeyDeed::Rotated) => format!(
            "Vault {vault}: its passphrase was replaced: the slot {} took the place of {}{}; the master key is the same{}.",
            short(&c.added),
            short(&c.removed),
            key_files(&c.hidden),
            c.wrapped_by
                .as_ref()
                .map(|key| format!("; the new one is wrapped by {key}"))
                .unwrap_or_default()
        ),
    }
}

fn held(hold: &Hold) -> String {
    let points = hold.points.iter().map(ToString::to_string);
    let systems = hold.systems.iter().map(|name| format!("all of {name}"));
    let what: Vec<String> = systems.chain(points).collect();
    let until = hold.until.map_or("no end".to_owned(), |at| at.minute());
    format!(
        "Hold {} by {} since {}, until {until}, on {}: {}",
        hold.name,
        hold.by,
        hold.since.minute(),
        what.join(", "),
        hold.reason
    )
}

fn expired(e: &Expiry) -> String {
    let each: Vec<String> = e
        .copies
        .iter()
        .map(|c| format!("{} of {} ({})", c.point, c.protection, c.reason))
        .collect();
    let all = count(len(each.len()), "point");
    format!("{all} let go in vault {}: {}.", e.vault, each.join("; "))
}

fn pruned(p: &Pruning) -> String {
    let mut parts = vec![
        format!("{} removed", count(len(p.snapshots.len()), "snapshot")),
        format!("{} removed", count(p.packs_removed, "pack")),
        format!("{} freed", human_bytes(p.bytes_freed)),
    ];
    if p.bytes_rewritten > 0 {
        parts.push(format!("{} rewritten", human_bytes(p.bytes_rewritten)));
    }
    if !p.pending.is_empty() {
        let waiting = count(len(p.pending.len()), "pack");
        parts.push(format!("{waiting} out of the index, to be removed later"));
    }
    if p.unknown_kept > 0 {
        parts.push(format!(
            "{} kept",
            count(p.unknown_kept, "unknown snapshot")
        ));
    }
    if !p.refused.is_empty() {
        let refused = count(len(p.refused.len()), "object");
        parts.push(format!("the store refused to remove {refused}"));
    }
    if !p.hidden.is_empty() {
        let hidden = count(len(p.hidden.len()), "object");
        let last = last_end(&p.hidden);
        parts.push(format!("{hidden} hidden and kept by locks{last}"));
    }
    if !p.erased.is_empty() {
        let erased = count(len(p.erased.len()), "object");
        parts.push(format!("{erased} gone that were hidden before"));
    }
    format!(
        "Vault {} pruned ({}): {}.",
        p.vault,
        p.mode,
        parts.join(", ")
    )
}

fn shipped(log: &LogShipped) -> String {
    let copies: Vec<String> = log
        .copies
        .iter()
        .map(|copy| {
            let newest = match copy.newest_commit {
                Some(time) => format!("with commits up to {time}"),
                None => "without a commit".to_owned(),
            };
            let worst = copy.worst.map(|worst| format!(", at worst {worst} behind"));
            format!(
                "{} from {} to {} {newest}{}",
                copy.vault,
                copy.begins,
                copy.reaches,
                worst.unwrap_or_default()
            )
        })
        .collect();
    format!("Log of {} shipped: {}.", log.protection, copies.join("; "))
}

fn gap_in_log(gap: &LogGap) -> String {
    let goes_on = match &gap.to {
        Some(to) => format!("it goes on from {to}"),
        None => "it does not go on".to_owned(),
    };
    format!(
        "The log of {} has a gap from {} of timeline {}: {}; {goes_on}.",
        gap.protection, gap.from, gap.timeline, gap.cause
    )
}

fn locked(l: &VaultLocks) -> String {
    let first = l.soonest.map_or_else(String::new, |at| {
        format!("; the first lock ends {}", at.minute())
    });
    format!(
        "Vault {}: of {} to be locked for {} in {} mode {} are not, {} for too short a time, {} in too weak a mode; \
         {} extended{first}.",
        l.vault,
        count(l.objects, "object"),
        l.wanted,
        l.mode.word(),
        figure(l.unlocked),
        figure(l.short),
        figure(l.weak),
        count(l.extended, "lock")
    )
}

fn in_force(digest: &str, version: Option<&str>, bytes: u64, approved: Option<bool>) -> String {
    let version = version.unwrap_or("without a number");
    let approved = match approved {
        Some(true) => "the approved text",
        Some(false) => "NOT the approved text",
        None => "no approval stated",
    };
    let size = count(bytes, "byte");
    format!("Version {version} in force: {approved}; {size}, SHA-256 {digest}.")
}

fn closed(run: &RunId, how: Outcome, issues: &[Issue]) -> String {
    let mut text = format!("Run {run} ended: {}", outcome(how));
    if let Some(first) = issues.first() {
        let all = count(len(issues.len()), "issue");
        text.push_str(&format!(
            ", {all}, first {}: {}",
            first.place, first.message
        ));
    }
    format!("{text}.")
}

fn captured(p: &RecoveryPoint) -> String {
    format!(
        "Point {} of {}: {}, state of {}, {}, {}, {}, tree {}.",
        p.point,
        p.protection,
        outcome(p.outcome),
        p.content_time.minute(),
        count(p.items, "item"),
        human_bytes(p.bytes),
        count(p.issue_count, "issue"),
        p.tree
    )
}

fn copied(c: &CopyFact) -> String {
    format!(
        "Point {} lies in {} as snapshot {}, {} read back; sealed by {}, {}{}.",
        c.point,
        c.vault,
        c.snapshot,
        count(c.blobs_read_back, "blob"),
        c.encryption.cipher,
        if c.encryption.probed {
            "probed"
        } else {
            "NOT probed"
        },
        c.lock.as_ref().map_or_else(String::new, lock_of_copy)
    )
}

fn lock_of_copy(lock: &CopyLock) -> String {
    match lock.until {
        Some(until) if lock.unlocked == 0 => {
            format!(
                "; locked in {} mode until {}",
                lock.mode.word(),
                until.minute()
            )
        }
        _ => format!(
            "; {} of {} NOT locked",
            lock.unlocked,
            count(lock.objects, "object")
        ),
    }
}

fn read_back(v: &Verification) -> String {
    format!(
        "Vault {}: {} of {} read back, {}, {}{}.",
        v.vault,
        figure(v.packs_read),
        count(v.packs_total, "pack"),
        human_bytes(v.bytes_read),
        count(len(v.problems.len()), "problem"),
        if v.complete { ", complete" } else { "" }
    )
}

fn covered(c: &VaultCoverage) -> String {
    let oldest = match c.oldest {
        Some(at) => format!("oldest result {}", at.minute()),
        None => "no result".to_owned(),
    };
    format!(
        "Vault {}: {}, {oldest}, {} never read, {} damaged; memory {}.",
        c.vault,
        c.share(),
        count(c.packs_never, "pack"),
        figure(c.packs_damaged),
        c.memory
    )
}

/// What locks keep of removed slots.
fn key_files(hidden: &[HiddenObject]) -> String {
    match hidden {
        [] => String::new(),
        some => format!(", hidden and kept by a lock{}", last_end(some)),
    }
}

fn last_end(hidden: &[HiddenObject]) -> String {
    let last = hidden.iter().filter_map(|object| object.until).max();
    last.map_or_else(String::new, |at| {
        format!(", the last until {}", at.minute())
    })
}

fn repaired(r: &Repair) -> String {
    let from: Vec<&str> = r.healed_from.iter().map(|v| v.as_str()).collect();
    let from = match from.as_slice() {
        [] => String::new(),
        names => format!(" from {}", names.join(" and ")),
    };
    let hidden = match len(r.hidden.len()) {
        0 => String::new(),
        n => format!(
            "; {} of what was removed kept hidden{}",
            count(n, "object"),
            last_end(&r.hidden)
        ),
    };
    format!(
        "Vault {}, {} repaired: {} removed, {} saved, {} healed{from}, {} lost{hidden}.",
        r.vault,
        r.part,
        count(len(r.packs_removed.len()), "damaged pack"),
        count(r.blobs_salvaged, "blob"),
        figure(r.blobs_healed),
        figure(r.blobs_lost)
    )
}

fn rehearsed(d: &DrillResult) -> String {
    let red = d
        .ladder
        .first_red()
        .map(|r| format!(", first red rung {}", r.name));
    let caught = d.negative_controls.iter().filter(|c| c.caught()).count();
    let controls = match d.negative_controls.len() {
        0 => String::new(),
        all => format!(
            ", {caught} of {} caught",
            count(len(all), "negative control")
        ),
    };
    format!(
        "Point {} of {} restored from {} in {}: {}{}{controls}, sandbox {}.",
        d.point,
        d.protection,
        d.vault,
        d.achieved_rto,
        if d.is_green() { "green" } else { "RED" },
        red.unwrap_or_default(),
        if d.sandbox.destroyed {
            "destroyed"
        } else {
            "NOT destroyed"
        }
    )
}
