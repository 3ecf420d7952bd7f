//! Building the report's content from policy, verdicts and facts.

use std::collections::{BTreeMap, BTreeSet};

use vouchsafe_model::fact::{Fact, Recorded};
use vouchsafe_model::source_url::redact;
use vouchsafe_model::{Assessment, Policy, Protection, Question, Time, VaultName};

use super::content::*;
use super::{ReportInput, appendix, failures, incidents, late, sayings};
use crate::agreed::{Agreement, agreements};
use crate::artefacts::artefacts;
use crate::erasures::Replays;
use crate::layout::clean;
use crate::names::Names;
use crate::points::source_of;
use crate::populations::{Frozen, populations};
use crate::recovery_sheet::quoted;
use crate::sample::sample;
use crate::words::{count, len};

/// The facts that the report shows, prepared for it.
pub(super) struct Shown {
    /// Recorded in the period, in ledger order, without obligations and horizons.
    pub(super) period: Vec<(u64, Time, Fact)>,
    /// Obligations and horizons recorded in the period.
    pub(super) left_out: u64,
}

pub(super) fn content(input: &ReportInput<'_>) -> ReportContent {
    let names = Names::new(input);
    let assessment = names.assessment(input.assessment);
    let shown = shown(input, &names);
    let protections = protections(input.policy, &assessment);
    let controls = controls(&assessment);
    let late = late::late(input);
    let alarms = alarms(input, &assessment, &names);
    let policy = policy(input);
    let incidents = incidents::incidents(input, &names);
    let cited: BTreeSet<u64> = protections
        .iter()
        .flat_map(|p| p.answers.iter().flat_map(|a| a.facts.iter().copied()))
        .chain(late.iter().map(|l| l.answered_by))
        .chain(input.period.deviations.iter().filter_map(|d| d.answered_by))
        .chain(alarms.iter().filter_map(|a| a.seq))
        .chain(policy_seqs(input))
        .chain(
            policy
                .in_force
                .iter()
                .filter_map(|p| p.agreed.as_ref()?.seq),
        )
        .chain(incidents.iter().flat_map(|i| i.lines.iter().map(|l| l.seq)))
        .collect();
    let frozen = populations(input);
    let mut content = ReportContent {
        format: super::REPORT_FORMAT.to_owned(),
        generated_at: input.generated_at,
        tool: clean(&input.tool),
        from: input.from,
        to: input.to,
        as_of: assessment.at,
        places_redacted: input.redact_places,
        verdict: assessment.verdict,
        alarms,
        policy,
        controls,
        exempt: assessment
            .exempt
            .iter()
            .map(|(system, reason)| Exemption {
                system: clean(system),
                reason: clean(reason),
            })
            .collect(),
        obligations: ObligationsPart {
            counts: assessment.obligations,
            missed: assessment.missed.clone(),
            late,
            withdrawn: withdrawals(input),
        },
        failures: failures::failures(input, &shown),
        incidents,
        notices: incidents::notices(input),
        points: population(input, &shown, "recovery-point", |f| match f {
            Fact::RecoveryPoint(p) => Some(p.clone()),
            _ => None,
        }),
        copies: population(input, &shown, "copy", |f| match f {
            Fact::Copy(c) => Some(c.clone()),
            _ => None,
        }),
        verifications: population(input, &shown, "verification", |f| match f {
            Fact::Verification(v) => Some(v.clone()),
            _ => None,
        }),
        drills: population(input, &shown, "drill", drill_row),
        ledger: ledger(input),
        verdicts: sayings::verdicts(),
        strengths: sayings::strengths(),
        limits: sayings::limits(input.redact_places, input.names_key.is_some()),
        appendix: appendix::appendix(input, &names, &shown, &cited),
        protections,
        period: names.period(input.period),
        artefacts: Vec::new(),
        populations: frozen.iter().map(Frozen::head).collect(),
        samples: frozen.iter().map(|p| sample(p, &input.sampling)).collect(),
    };
    // They rest on all the rest.
    let replays = Replays::of(input.facts, (input.from, input.to));
    content.artefacts = artefacts(input.policy, &content, replays);
    content
}

/// Everything of the period that went wrong, as it may be shown.
pub(super) fn failures_of(input: &ReportInput<'_>) -> Vec<Failure> {
    failures::failures(input, &shown(input, &Names::new(input)))
}

fn shown(input: &ReportInput<'_>, names: &Names<'_>) -> Shown {
    let mut shown = Shown {
        period: Vec::new(),
        left_out: 0,
    };
    for recorded in input.facts.iter().filter(|r| in_period(input, r)) {
        match &recorded.entry.fact {
            Fact::ObligationDue(_) | Fact::Horizon { .. } | Fact::LogShipped(_) => {
                shown.left_out += 1;
            }
            fact => shown
                .period
                .push((recorded.seq, recorded.entry.at, names.fact(fact))),
        }
    }
    shown
}

pub(super) fn in_period(input: &ReportInput<'_>, recorded: &Recorded) -> bool {
    recorded.entry.at >= input.from && recorded.entry.at < input.to
}

fn population<T>(
    input: &ReportInput<'_>,
    shown: &Shown,
    kind: &str,
    pick: impl Fn(&Fact) -> Option<T>,
) -> Population<T> {
    let rows: Vec<Row<T>> = shown
        .period
        .iter()
        .filter_map(|(seq, at, fact)| {
            pick(fact).map(|fact| Row {
                seq: *seq,
                at: *at,
                fact,
            })
        })
        .collect();
    Population {
        query: format!(
            "select(.fact == \"{kind}\" and .at >= \"{}\" and .at < \"{}\")",
            input.from, input.to
        ),
        count: len(rows.len()),
        rows,
    }
}

fn drill_row(fact: &Fact) -> Option<DrillRow> {
    let Fact::Drill(d) = fact else { return None };
    Some(DrillRow {
        green: d.is_green(),
        within_target: d.target_rto.map(|t| d.achieved_rto <= t),
        caught: d.negative_controls.iter().map(|c| c.caught()).collect(),
        result: d.clone(),
    })
}

fn alarms(input: &ReportInput<'_>, a: &Assessment, names: &Names<'_>) -> Vec<Alarm> {
    let mut breaks: BTreeMap<u64, &str> = BTreeMap::new();
    for recorded in input.facts {
        if let Fact::Break { reason, .. } = &recorded.entry.fact {
            breaks.insert(recorded.seq, reason);
        }
    }
    breaks.extend(a.breaks.iter().map(|(seq, reason)| (*seq, reason.as_str())));
    breaks.extend(
        input
            .ledger
            .breaks
            .iter()
            .map(|b| (b.seq, b.reason.as_str())),
    );
    let mut alarms: Vec<Alarm> = breaks
        .into_iter()
        .map(|(seq, reason)| Alarm {
            kind: "break".to_owned(),
            text: format!(
                "The record is broken at entry {seq}: {}. What was recorded before it cannot be continued, \
                 and nothing below proves that it is whole.",
                names.text(reason).trim_end_matches('.')
            ),
            seq: Some(seq),
            silence: None,
        })
        .collect();
    alarms.extend(a.silence.iter().map(|s| Alarm {
        kind: "silence".to_owned(),
        text: format!(
            "The record is silent from {} to {} ({}). Nothing is known of what should have happened then.",
            s.from.minute(),
            s.to.minute(),
            s.to.since(s.from)
        ),
        seq: None,
        silence: Some(*s),
    }));
    let longer = input
        .ledger
        .witnesses
        .iter()
        .filter(|w| w.tree_size > input.ledger.size);
    alarms.extend(longer.map(|w| Alarm {
        kind: "longer-elsewhere".to_owned(),
        text: format!(
            "Vault {} holds a head over {}, and this ledger has only {}: entries that were once \
             published are missing here.",
            w.vault,
            count(w.tree_size, "entry"),
            input.ledger.size
        ),
        seq: None,
        silence: None,
    }));
    alarms
}

fn policy_seqs(input: &ReportInput<'_>) -> impl Iterator<Item = u64> {
    let to = input.to;
    input
        .facts
        .iter()
        .filter(move |r| r.entry.at < to && matches!(r.entry.fact, Fact::PolicyInForce { .. }))
        .map(|r| r.seq)
}

fn policy(input: &ReportInput<'_>) -> PolicyPart {
    let front = &input.policy.front;
    let shown = |text: &Option<String>| text.as_deref().map(clean);
    let agreements = agreements(input.facts.iter().filter(|r| r.entry.at < input.to));
    let newest = agreements.of_text(&input.policy.digest);
    let in_force = input
        .facts
        .iter()
        .filter(|r| r.entry.at < input.to)
        .filter_map(|r| match &r.entry.fact {
            Fact::PolicyInForce {
                digest,
                version,
                approved,
                ..
            } => Some(PolicyInForce {
                seq: r.seq,
                at: r.entry.at,
                digest: clean(digest),
                version: shown(version),
                approved: *approved,
                judged_by: *digest == input.policy.digest,
                agreed: agreements.at(r.seq).map(agreed),
            }),
            _ => None,
        })
        .collect();
    PolicyPart {
        id: shown(&front.id),
        title: shown(&front.title),
        owner: shown(&front.owner),
        version: shown(&front.version),
        approved: shown(&input.approval.stated),
        next_review: shown(&front.next_review),
        digest: clean(&input.policy.digest),
        approved_digest: shown(&front.approved_digest),
        digest_matches: input.approval.digest_matches,
        approval: approval(input, newest),
        agreed: newest.map(agreed),
        judged_by: input.judged_by.as_deref().map(clean),
        in_force,
        vaults: input
            .policy
            .vaults
            .values()
            .map(|v| VaultPart {
                name: v.name.clone(),
                url: clean(&redact(&v.url)),
                region: shown(&v.location.region),
                country: shown(&v.location.country),
                retention_lock: v.retention_lock.map(|l| l.to_string()),
            })
            .collect(),
    }
}

fn agreed(agreement: &Agreement) -> AgreedPart {
    AgreedPart {
        seq: agreement.seq,
        granted: agreement.granted,
        strength: agreement.strength,
        text: agreement.says.clone(),
    }
}

/// Whether the text is the approved one, and who agreed to what it weakens.
fn approval(input: &ReportInput<'_>, agreement: Option<&Agreement>) -> String {
    let said = as_sentence(&clean(&input.approval.text));
    match agreement {
        None => said,
        Some(agreement) => {
            let entry = agreement.seq.map(|seq| format!(", entry {seq}"));
            format!(
                "{said} What it promises less than the text before it is {}{}.",
                agreement.says,
                entry.unwrap_or_default()
            )
        }
    }
}

fn as_sentence(text: &str) -> String {
    let mut chars = text.trim_end_matches('.').chars();
    match chars.next() {
        Some(first) => format!("{}{}.", first.to_uppercase(), chars.as_str()),
        None => String::new(),
    }
}

fn withdrawals(input: &ReportInput<'_>) -> Vec<Withdrawal> {
    input
        .facts
        .iter()
        .filter(|r| in_period(input, r))
        .filter_map(|r| match &r.entry.fact {
            Fact::ObligationsWithdrawn {
                obligations,
                policy,
            } => Some(Withdrawal {
                seq: r.seq,
                at: r.entry.at,
                policy: clean(policy),
                obligations: obligations.clone(),
            }),
            _ => None,
        })
        .collect()
}

fn controls(a: &Assessment) -> Vec<ControlPart> {
    let asked = |questions: &[Question]| {
        let questions = questions.to_vec();
        a.protections
            .iter()
            .flat_map(|p| &p.judgements)
            .filter(move |j| questions.contains(&j.question))
    };
    a.controls
        .iter()
        .map(|c| ControlPart {
            framework: clean(&c.framework),
            control: clean(&c.control),
            title: clean(&c.title),
            verdict: c.verdict,
            strength: asked(&c.questions).filter_map(|j| j.strength).min(),
            without_fact: len(asked(&c.questions).filter(|j| j.facts.is_empty()).count()),
            because: c.because.clone(),
            questions: c.questions.clone(),
            facts: asked(&c.questions)
                .flat_map(|j| j.facts.iter().copied())
                .collect::<BTreeSet<u64>>()
                .into_iter()
                .collect(),
        })
        .collect()
}

fn protections(policy: &Policy, a: &Assessment) -> Vec<ProtectionPart> {
    a.protections
        .iter()
        .map(|p| {
            let declared = policy.protection(&p.id).map(|(_, declared)| declared);
            ProtectionPart {
                id: p.id.clone(),
                way: clean(&p.way),
                source: declared.map_or_else(|| clean(&redact(&p.source)), source_of),
                owner: p.owner.as_deref().map(clean),
                tier: p.tier.as_deref().map(clean),
                verdict: p.verdict,
                rules: declared.map(rules).unwrap_or_default(),
                answers: p
                    .judgements
                    .iter()
                    .map(|j| Answer {
                        question: j.question,
                        verdict: j.verdict,
                        strength: j.strength,
                        because: j.because.clone(),
                        facts: j.facts.clone(),
                    })
                    .collect(),
                newest_point: p.newest_point,
                points: p.points,
                achieved_rpo: p.achieved_rpo,
                target_rpo: p.target_rpo,
                achieved_rto: p.achieved_rto,
                target_rto: p.target_rto,
                proven_at: p.proven_at,
                overdue: p.overdue.clone(),
            }
        })
        .collect()
}

fn rules(p: &Protection) -> Vec<Meaning> {
    let mut rules = Vec::new();
    let mut rule = |word: &str, text: String| {
        rules.push(Meaning {
            word: word.to_owned(),
            text: clean(&text),
        });
    };
    let unsaid = || "the policy does not say".to_owned();
    rule(
        "schedule",
        p.schedule.as_ref().map_or_else(unsaid, |s| s.text.clone()),
    );
    let keep: Vec<String> = [
        p.keep.at_least.map(|l| format!("at least {l}")),
        p.keep.at_most.map(|l| format!("at most {l}")),
        p.keep.grace.map(|l| format!("grace {l}")),
        (!p.keep.counts.is_empty()).then(|| p.keep.counts.to_string()),
    ]
    .into_iter()
    .flatten()
    .collect();
    rule(
        "retention",
        if keep.is_empty() {
            unsaid()
        } else {
            keep.join(", ")
        },
    );
    let copies: Vec<String> = p
        .copies
        .iter()
        .map(|c| match &c.every {
            Some(s) => format!("{} ({})", c.vault, s.text),
            None => format!("{} (every point)", c.vault),
        })
        .collect();
    rule(
        "copies",
        if copies.is_empty() {
            unsaid()
        } else {
            copies.join(", ")
        },
    );
    rule(
        "verification",
        p.verify.as_ref().map_or_else(unsaid, |v| match v.coverage {
            Some((n, d)) => format!("{}, {n}/{d} of the stored bytes each time", v.every.text),
            None => format!("{}, all stored bytes", v.every.text),
        }),
    );
    rule(
        "drill",
        p.drill
            .as_ref()
            .map_or_else(unsaid, |d| match &d.negative_control {
                Some(n) => format!("{}, with negative controls {}", d.every.text, n.text),
                None => d.every.text.clone(),
            }),
    );
    if !p.exclude.is_empty() {
        rule("left out", p.exclude.join(", "));
    }
    rules
}

fn ledger(input: &ReportInput<'_>) -> LedgerPart {
    let l = &input.ledger;
    let seen: BTreeSet<&VaultName> = l.witnesses.iter().map(|w| &w.vault).collect();
    LedgerPart {
        size: l.size,
        root: clean(&l.root),
        // The note is exact text over several lines; its signature covers them.
        checkpoint: l
            .checkpoint
            .lines()
            .map(clean)
            .collect::<Vec<_>>()
            .join("\n"),
        vkey: clean(&l.vkey),
        fingerprint: clean(&l.fingerprint),
        witnesses: l
            .witnesses
            .iter()
            .map(|w| WitnessPart {
                vault: w.vault.clone(),
                tree_size: w.tree_size,
                at: w.at,
                behind: l.size.saturating_sub(w.tree_size),
            })
            .collect(),
        unwitnessed: input
            .policy
            .vaults
            .keys()
            .filter(|v| !seen.contains(v))
            .cloned()
            .collect(),
        outside: super::outside::outside(input),
        not_covered: len(input.facts.iter().filter(|r| r.seq >= l.size).count()),
        export_command: "vouchsafe ledger export --output ledger.export".to_owned(),
        verify_command: format!(
            "vouchsafe ledger verify --export ledger.export --key {}",
            quoted(&l.vkey)
        ),
    }
}
