//! The populations of which each row is one fact.

use vouchsafe_model::fact::Fact;

use super::Frozen;
use super::cells::{
    copy, drill, joined, key_change, loss, point, prune, repair, some, verification,
};
use super::rows::{Freezer, select};
use crate::layout::clean;

impl Freezer<'_> {
    pub(super) fn points(&self) -> Frozen {
        let rows = self.each(|fact| match fact {
            Fact::RecoveryPoint(p) => Some((p.protection.to_string(), point(p))),
            _ => None,
        });
        self.frozen(
            ("points", "Recovery points"),
            select(&["recovery-point"]),
            &[
                "key",
                "at",
                "point",
                "protection",
                "run",
                "started",
                "content_time",
                "completed",
                "outcome",
                "issues",
                "items",
                "bytes",
                "tree",
                "manifest",
                "obligations",
            ],
            rows,
        )
    }

    pub(super) fn copies(&self) -> Frozen {
        let rows = self.each(|fact| match fact {
            Fact::Copy(c) => Some((format!("{} → {}", c.protection, c.vault), copy(c))),
            _ => None,
        });
        self.frozen(
            ("copies", "Copies in vaults"),
            select(&["copy"]),
            &[
                "key",
                "at",
                "point",
                "protection",
                "vault",
                "run",
                "completed",
                "snapshot",
                "tree",
                "blobs_read_back",
                "added_bytes",
                "cipher",
                "key_id",
                "seen_sealed",
                "lock_mode",
                "locked_until",
                "region_declared",
                "country_declared",
                "obligations",
            ],
            rows,
        )
    }

    pub(super) fn verifications(&self) -> Frozen {
        let rows = self.each(|fact| match fact {
            Fact::Verification(v) => Some((v.vault.to_string(), verification(v))),
            _ => None,
        });
        self.frozen(
            ("verifications", "Vaults that were read back"),
            select(&["verification"]),
            &[
                "key",
                "at",
                "vault",
                "run",
                "started",
                "completed",
                "packs_total",
                "packs_read",
                "bytes_read",
                "complete",
                "problems",
                "obligations",
            ],
            rows,
        )
    }

    pub(super) fn drills(&self) -> Frozen {
        let rows = self.each(|fact| match fact {
            Fact::Drill(d) => Some((d.protection.to_string(), drill(d))),
            _ => None,
        });
        self.frozen(
            ("drills", "Restores that were rehearsed"),
            select(&["drill"]),
            &[
                "key",
                "at",
                "protection",
                "point",
                "vault",
                "run",
                "started",
                "ended",
                "seed",
                "green",
                "rungs",
                "first_red",
                "achieved_rto_seconds",
                "target_rto_seconds",
                "bytes",
                "isolation",
                "sandbox_destroyed",
                "controls",
                "controls_caught",
                "obligations",
            ],
            rows,
        )
    }

    pub(super) fn prunes(&self) -> Frozen {
        let rows = self.each(|fact| match fact {
            Fact::Pruned(p) => Some((p.vault.to_string(), prune(p))),
            _ => None,
        });
        self.frozen(
            ("prunes", "Vaults that were pruned"),
            select(&["pruned"]),
            &[
                "key",
                "at",
                "vault",
                "run",
                "completed",
                "mode",
                "snapshots",
                "packs_removed",
                "bytes_freed",
                "unknown_kept",
                "refused",
                "obligations",
            ],
            rows,
        )
    }

    pub(super) fn keys(&self) -> Frozen {
        let rows = self.each(|fact| match fact {
            Fact::KeyChange(k) => Some((k.vault.to_string(), key_change(k))),
            Fact::VaultKnown {
                vault,
                repository,
                created,
            } => {
                let what = if *created {
                    "vault created"
                } else {
                    "vault met"
                };
                let cells = vec![
                    vault.to_string(),
                    repository.clone(),
                    String::new(),
                    what.to_owned(),
                    String::new(),
                    String::new(),
                    String::new(),
                ];
                Some((vault.to_string(), cells))
            }
            _ => None,
        });
        self.frozen(
            ("keys", "Keys of vaults"),
            select(&["key-change", "vault-known"]),
            &[
                "key",
                "at",
                "vault",
                "repository",
                "which",
                "what",
                "wrapped_by",
                "completed",
                "obligations",
            ],
            rows,
        )
    }

    pub(super) fn holds(&self) -> Frozen {
        let rows = self.each(|fact| match fact {
            Fact::Held(h) => Some((
                h.name.to_string(),
                vec![
                    h.name.to_string(),
                    "held".to_owned(),
                    joined(&h.systems),
                    joined(&h.points),
                    clean(&h.by),
                    clean(&h.reason),
                    h.since.to_string(),
                    some(h.until),
                ],
            )),
            Fact::HoldReleased(h) => Some((
                h.name.to_string(),
                vec![
                    h.name.to_string(),
                    "released".to_owned(),
                    String::new(),
                    String::new(),
                    clean(&h.by),
                    clean(&h.reason),
                    String::new(),
                    String::new(),
                ],
            )),
            _ => None,
        });
        self.frozen(
            ("holds", "Legal holds"),
            select(&["held", "hold-released"]),
            &[
                "key",
                "at",
                "hold",
                "what",
                "systems",
                "points",
                "by_stated",
                "reason",
                "since",
                "until",
            ],
            rows,
        )
    }

    pub(super) fn repairs(&self) -> Frozen {
        let rows = self.each(|fact| match fact {
            Fact::CopyLost(l) => Some((l.vault.to_string(), loss(l))),
            Fact::Repaired(r) => Some((r.vault.to_string(), repair(r))),
            _ => None,
        });
        self.frozen(
            ("repairs", "Copies that have lost data, and repairs"),
            select(&["copy-lost", "repaired"]),
            &[
                "key", "at", "vault", "what", "of", "run", "lost", "saved", "issues",
            ],
            rows,
        )
    }

    pub(super) fn logs(&self) -> Frozen {
        let rows = self.each(|fact| match fact {
            Fact::LogShipped(l) => {
                let vaults: Vec<String> = l
                    .copies
                    .iter()
                    .map(|c| {
                        let worst = c
                            .worst
                            .map_or("unknown".to_owned(), |w| w.micros().to_string());
                        format!("{}: up to {}, worst {worst} µs", c.vault, clean(&c.reaches))
                    })
                    .collect();
                let cells = vec![
                    l.protection.to_string(),
                    "shipped".to_owned(),
                    l.from.to_string(),
                    l.until.to_string(),
                    vaults.join("; "),
                    String::new(),
                ];
                Some((l.protection.to_string(), cells))
            }
            Fact::LogGap(g) => {
                let cells = vec![
                    g.protection.to_string(),
                    "gap".to_owned(),
                    clean(&g.from),
                    g.to.as_deref().map_or(String::new(), clean),
                    some(g.vault.as_ref()),
                    clean(&g.cause.to_string()),
                ];
                Some((g.protection.to_string(), cells))
            }
            _ => None,
        });
        self.frozen(
            (
                "logs",
                "Transaction logs that were shipped, and what is missing of them",
            ),
            select(&["log-shipped", "log-gap"]),
            &[
                "key",
                "at",
                "protection",
                "what",
                "from",
                "to",
                "vaults",
                "cause",
            ],
            rows,
        )
    }

    pub(super) fn policies(&self) -> Frozen {
        let rows = self.each(|fact| match fact {
            Fact::PolicyInForce {
                digest,
                version,
                approved,
                ..
            } => Some((
                "policy".to_owned(),
                vec![
                    "in force".to_owned(),
                    clean(digest),
                    version.as_deref().map_or(String::new(), clean),
                    some(*approved),
                    String::new(),
                ],
            )),
            Fact::ObligationsWithdrawn {
                obligations,
                policy,
            } => Some((
                "policy".to_owned(),
                vec![
                    "obligations withdrawn".to_owned(),
                    clean(policy),
                    String::new(),
                    String::new(),
                    joined(obligations),
                ],
            )),
            _ => None,
        });
        self.frozen(
            (
                "policies",
                "Texts of the policy that came into force, and what they withdrew",
            ),
            select(&["policy-in-force", "obligations-withdrawn"]),
            &[
                "key",
                "at",
                "what",
                "policy_sha256",
                "version",
                "approved_text",
                "obligations",
            ],
            rows,
        )
    }
}
