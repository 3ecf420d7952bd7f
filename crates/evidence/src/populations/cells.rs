//! Facts as cells of a table.

use vouchsafe_model::fact::{
    CopyFact, CopyLoss, KeyChange, Pruning, RecoveryPoint, Repair, Verification,
};
use vouchsafe_model::{DrillResult, VaultName};

use crate::layout::clean;
use crate::words::{len, outcome};

pub(super) fn some(value: Option<impl ToString>) -> String {
    value.map_or(String::new(), |v| v.to_string())
}

pub(super) fn joined<T: ToString>(all: &[T]) -> String {
    let all: Vec<String> = all.iter().map(T::to_string).collect();
    all.join(" ")
}

pub(super) fn point(p: &RecoveryPoint) -> Vec<String> {
    vec![
        p.point.to_string(),
        p.protection.to_string(),
        p.run.to_string(),
        p.started.to_string(),
        p.content_time.to_string(),
        p.completed.to_string(),
        outcome(p.outcome).to_owned(),
        p.issue_count.max(len(p.issues.len())).to_string(),
        p.items.to_string(),
        p.bytes.to_string(),
        clean(&p.tree),
        some(p.manifest.as_ref()),
        joined(&p.obligations),
    ]
}

pub(super) fn copy(c: &CopyFact) -> Vec<String> {
    vec![
        c.point.to_string(),
        c.protection.to_string(),
        c.vault.to_string(),
        c.run.to_string(),
        c.completed.to_string(),
        clean(&c.snapshot),
        clean(&c.tree),
        c.blobs_read_back.to_string(),
        c.added_bytes.to_string(),
        clean(&c.encryption.cipher),
        clean(&c.encryption.key),
        c.encryption.probed.to_string(),
        c.lock
            .as_ref()
            .map_or(String::new(), |l| l.mode.word().to_owned()),
        some(c.lock.as_ref().and_then(|l| l.until)),
        clean(&some(c.region.as_ref())),
        clean(&some(c.country.as_ref())),
        joined(&c.obligations),
    ]
}

pub(super) fn verification(v: &Verification) -> Vec<String> {
    vec![
        v.vault.to_string(),
        v.run.to_string(),
        v.started.to_string(),
        v.completed.to_string(),
        v.packs_total.to_string(),
        v.packs_read.to_string(),
        v.bytes_read.to_string(),
        v.complete.to_string(),
        v.problems.len().to_string(),
        joined(&v.obligations),
    ]
}

pub(super) fn drill(d: &DrillResult) -> Vec<String> {
    let rungs: Vec<String> = d
        .ladder
        .rungs
        .iter()
        .map(|r| format!("{} {}", clean(&r.name), crate::words::rung_word(r.outcome)))
        .collect();
    vec![
        d.protection.to_string(),
        d.point.to_string(),
        d.vault.to_string(),
        d.run.to_string(),
        d.started.to_string(),
        d.ended.to_string(),
        some(d.seed),
        d.is_green().to_string(),
        rungs.join("; "),
        d.ladder
            .first_red()
            .map_or(String::new(), |r| clean(&r.name)),
        seconds(d.achieved_rto.micros()),
        d.target_rto.map_or(String::new(), |t| seconds(t.micros())),
        d.bytes.to_string(),
        clean(&d.sandbox.isolation),
        d.sandbox.destroyed.to_string(),
        d.negative_controls.len().to_string(),
        d.negative_controls
            .iter()
            .filter(|c| c.caught())
            .count()
            .to_string(),
        joined(&d.obligations),
    ]
}

/// With three decimals.
fn seconds(micros: u64) -> String {
    format!("{}.{:03}", micros / 1_000_000, micros / 1_000 % 1_000)
}

pub(super) fn prune(p: &Pruning) -> Vec<String> {
    vec![
        p.vault.to_string(),
        p.run.to_string(),
        p.completed.to_string(),
        clean(&p.mode),
        joined(&p.snapshots),
        p.packs_removed.to_string(),
        p.bytes_freed.to_string(),
        p.unknown_kept.to_string(),
        p.refused.len().to_string(),
        joined(&p.obligations),
    ]
}

pub(super) fn key_change(k: &KeyChange) -> Vec<String> {
    let word = |value: serde_json::Value| value.as_str().unwrap_or_default().to_owned();
    vec![
        k.vault.to_string(),
        clean(&k.repository),
        word(serde_json::to_value(k.key).unwrap_or_default()),
        word(serde_json::to_value(k.change).unwrap_or_default()),
        clean(&some(k.wrapped_by.as_ref())),
        k.completed.to_string(),
        joined(&k.obligations),
    ]
}

pub(super) fn loss(l: &CopyLoss) -> Vec<String> {
    vec![
        l.vault.to_string(),
        "copy lost data".to_owned(),
        l.protection.to_string(),
        l.run.to_string(),
        l.lost.to_string(),
        String::new(),
        l.issues.len().to_string(),
    ]
}

pub(super) fn repair(r: &Repair) -> Vec<String> {
    let healed: Vec<&VaultName> = r.healed_from.iter().collect();
    vec![
        r.vault.to_string(),
        "repaired".to_owned(),
        format!("{} {}", clean(&r.part), joined(&healed))
            .trim_end()
            .to_owned(),
        r.run.to_string(),
        r.blobs_lost.to_string(),
        (r.blobs_salvaged + r.blobs_healed).to_string(),
        r.issues.len().to_string(),
    ]
}
