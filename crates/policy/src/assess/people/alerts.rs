//! What has happened that the policy wants people to hear of.

use std::collections::{BTreeMap, HashMap, HashSet};

use vouchsafe_model::alert::{Alert, AlertKind, AlertRule};
use vouchsafe_model::fact::{Recorded, RecoveryPoint};
use vouchsafe_model::{
    Fact, LogShipped, Obligation, ObligationKind, Outcome, PeopleFact, Policy, ProtectionId, RunId,
    Span, Time, VaultName, VaultSpace, human_bytes,
};

use crate::assess::owed::Ledgered;
use crate::assess::projection::Projection;
use crate::assess::storage::share;

/// What happened longer ago is told to nobody any more: an alert is about now.
pub(super) const RECENT: Span = Span::from_days(3);

/// The alerts that have become due by `now` and are not in the record: each run, obligation, point and stretch of lag
/// or of a store's being full once for each kind.
///
/// Of what was missed again and again only the newest is told, and nothing that is more than three days old.
pub fn alerts(policy: &Policy, facts: &[Recorded], now: Time) -> Vec<Alert> {
    // A clock that was set back tells nothing before it has come to where it was.
    if policy.alerts.is_empty() || facts.iter().any(|r| r.entry.at > now) {
        return Vec::new();
    }
    let mut seen = Seen::default();
    facts.iter().for_each(|recorded| seen.note(recorded));
    let watch = Watch { policy, now, seen };
    let mut all = Vec::new();
    for (kind, rule) in &policy.alerts {
        match kind {
            AlertKind::Failure => watch.failures(rule, &mut all),
            AlertKind::Missing => watch.missing(rule, facts, &mut all),
            AlertKind::Storage => watch.stores(rule, facts, &mut all),
            AlertKind::Lag => watch.lags(rule, facts, &mut all),
            AlertKind::Size => watch.sizes(rule, facts, &mut all),
            AlertKind::Duration => watch.durations(rule, &mut all),
            AlertKind::Keys => watch.keys(rule, facts, &mut all),
        }
    }
    all.retain(|alert| !watch.seen.told.contains(&(alert.kind, alert.of.as_str())));
    all
}

/// A run as the ledger has it.
struct Run<'f> {
    deed: &'f str,
    subject: &'f str,
    opened: Time,
    /// How and when it ended.
    ended: Option<(End<'f>, Time)>,
}

#[derive(Clone, Copy)]
enum End<'f> {
    Closed(Outcome, Option<&'f vouchsafe_model::Issue>),
    Abandoned,
}

#[derive(Default)]
struct Seen<'f> {
    runs: BTreeMap<&'f RunId, Run<'f>>,
    gaps: Vec<(u64, &'f vouchsafe_model::LogGap)>,
    told: HashSet<(AlertKind, &'f str)>,
}

impl<'f> Seen<'f> {
    fn note(&mut self, recorded: &'f Recorded) {
        let at = recorded.entry.at;
        match &recorded.entry.fact {
            Fact::RunOpened {
                run, deed, subject, ..
            } => {
                let opened = Run {
                    deed,
                    subject,
                    opened: at,
                    ended: None,
                };
                self.runs.insert(run, opened);
            }
            Fact::RunClosed {
                run,
                outcome,
                issues,
            } => self.end(run, End::Closed(*outcome, issues.first()), at),
            Fact::RunAbandoned { run } => self.end(run, End::Abandoned, at),
            Fact::LogGap(gap) => self.gaps.push((recorded.seq, gap)),
            Fact::People(PeopleFact::Alerted(alert)) => {
                self.told.insert((alert.kind, alert.of.as_str()));
            }
            _ => {}
        }
    }

    fn end(&mut self, run: &RunId, how: End<'f>, at: Time) {
        if let Some(known) = self.runs.get_mut(run) {
            known.ended = Some((how, at));
        }
    }
}

struct Watch<'p, 'f> {
    policy: &'p Policy,
    now: Time,
    seen: Seen<'f>,
}

impl Watch<'_, '_> {
    fn is_recent(&self, at: Time) -> bool {
        at.plus(RECENT) >= self.now
    }

    fn alert(&self, kind: AlertKind, rule: &AlertRule, since: Time, of: String) -> Alert {
        Alert {
            kind,
            of,
            protection: None,
            since,
            text: String::new(),
            to: self
                .policy
                .people
                .all_holders(&rule.to)
                .into_iter()
                .collect(),
        }
    }

    /// The protection of that id, if the policy still has it.
    fn protection(&self, id: &ProtectionId) -> Option<ProtectionId> {
        self.policy.protection(id).map(|_| id.clone())
    }

    fn failures(&self, rule: &AlertRule, all: &mut Vec<Alert>) {
        for (id, run) in &self.seen.runs {
            let Some((how, at)) = run.ended.filter(|(_, at)| self.is_recent(*at)) else {
                continue;
            };
            let what = format!("{} of {}", run.deed, run.subject);
            let text = match how {
                End::Closed(Outcome::Done, _) => continue,
                End::Closed(outcome, issue) => {
                    let came = match outcome {
                        Outcome::Failed => "failed",
                        _ => "could not do everything",
                    };
                    match issue {
                        // What is told by its place need not name it again.
                        Some(issue) if issue.place == run.subject => {
                            format!("{what} {came}: {}", issue.message)
                        }
                        Some(issue) => format!("{what} {came}: {}: {}", issue.place, issue.message),
                        None => format!("{what} {came}"),
                    }
                }
                End::Abandoned => format!("{what} broke off: its process ended before it did"),
            };
            all.push(Alert {
                text,
                protection: ProtectionId::try_from(run.subject.to_owned()).ok(),
                ..self.alert(AlertKind::Failure, rule, at, id.to_string())
            });
        }
        for (seq, gap) in &self.seen.gaps {
            if !self.is_recent(gap.found) {
                continue;
            }
            all.push(Alert {
                text: format!(
                    "the log of {} has a gap at {}: {}; a new base is made",
                    gap.protection,
                    gap.from,
                    gap.cause.words()
                ),
                protection: self.protection(&gap.protection),
                ..self.alert(AlertKind::Failure, rule, gap.found, format!("gap {seq}"))
            });
        }
    }

    /// What is owed by us and not by people, who are reminded by notices.
    fn missing(&self, rule: &AlertRule, facts: &[Recorded], all: &mut Vec<Alert>) {
        let mut newest = HashSet::new();
        for what in self.unanswered(facts, |o| o.due < self.now) {
            if what.kind == ObligationKind::Duty || !self.is_recent(what.due) {
                continue;
            }
            let subject = what.subject();
            if !newest.insert((what.kind, subject.clone())) {
                continue;
            }
            all.push(Alert {
                text: format!(
                    "{} of {subject} did not come; it was due {}",
                    what.kind.word(),
                    what.due.minute()
                ),
                protection: what.protection.clone(),
                ..self.alert(AlertKind::Missing, rule, what.due, what.id.to_string())
            });
        }
    }

    fn keys(&self, rule: &AlertRule, facts: &[Recorded], all: &mut Vec<Alert>) {
        let Some(before) = rule.before else { return };
        let soon = |o: &Obligation| o.due >= self.now && before.after(self.now) >= o.due;
        for what in self.unanswered(facts, soon) {
            if what.kind == ObligationKind::RotateKey {
                all.push(Alert {
                    text: format!(
                        "the key of {} is to be replaced by {}",
                        what.subject(),
                        what.due.minute()
                    ),
                    ..self.alert(AlertKind::Keys, rule, self.now, what.id.to_string())
                });
            }
        }
    }

    /// Obligations that nothing has answered, those that were due last first.
    fn unanswered(
        &self,
        facts: &[Recorded],
        pick: impl Fn(&Obligation) -> bool,
    ) -> Vec<Obligation> {
        let projection = Projection::of(facts, self.now);
        let mut out: Vec<Obligation> = Ledgered::of(self.policy, &projection, self.now)
            .unanswered()
            .filter(|o| pick(o))
            .collect();
        out.sort_by(|a, b| (b.due, &b.id).cmp(&(a.due, &a.id)));
        out
    }

    fn durations(&self, rule: &AlertRule, all: &mut Vec<Alert>) {
        let Some(longest) = rule.longer_than else {
            return;
        };
        for (id, run) in &self.seen.runs {
            let ended = run.ended.map(|(_, at)| at);
            let took = ended.unwrap_or(self.now).since(run.opened);
            if took <= longest || !self.is_recent(ended.unwrap_or(self.now)) {
                continue;
            }
            let far = match ended {
                Some(_) => format!("took {took}"),
                None => format!("has taken {took} so far"),
            };
            all.push(Alert {
                text: format!("{} of {} {far}, more than {longest}", run.deed, run.subject),
                protection: ProtectionId::try_from(run.subject.to_owned()).ok(),
                ..self.alert(AlertKind::Duration, rule, run.opened, id.to_string())
            });
        }
    }

    fn sizes(&self, rule: &AlertRule, facts: &[Recorded], all: &mut Vec<Alert>) {
        let Some(above) = rule.above else { return };
        let mut before: HashMap<&ProtectionId, u64> = HashMap::new();
        for recorded in facts {
            let Fact::RecoveryPoint(point) = &recorded.entry.fact else {
                continue;
            };
            if point.outcome != Outcome::Done {
                continue;
            }
            let last = before.insert(&point.protection, point.bytes);
            let Some(last) = last.filter(|last| differs(*last, point.bytes, above)) else {
                continue;
            };
            if self.is_recent(point.completed) && self.protection(&point.protection).is_some() {
                all.push(Alert {
                    text: size(point, last),
                    protection: Some(point.protection.clone()),
                    ..self.alert(
                        AlertKind::Size,
                        rule,
                        point.completed,
                        point.point.to_string(),
                    )
                });
            }
        }
    }

    /// A store is told of once for as long as it stays that full.
    fn stores(&self, rule: &AlertRule, facts: &[Recorded], all: &mut Vec<Alert>) {
        let Some(above) = rule.above else { return };
        let mut full: BTreeMap<&VaultName, (u64, Time, &VaultSpace)> = BTreeMap::new();
        for recorded in facts {
            let Fact::Space(space) = &recorded.entry.fact else {
                continue;
            };
            match (space.is_taken(above), full.get_mut(&space.vault)) {
                (true, Some((_, _, last))) => *last = space,
                (true, None) => {
                    full.insert(&space.vault, (recorded.seq, space.seen, space));
                }
                (false, _) => {
                    full.remove(&space.vault);
                }
            }
        }
        for (vault, (seq, since, space)) in full {
            if self.policy.vaults.contains_key(vault) && self.is_recent(space.seen) {
                all.push(Alert {
                    text: format!(
                        "the store of {vault} is {}; the policy warns at {}",
                        space.said(),
                        share(above)
                    ),
                    ..self.alert(AlertKind::Storage, rule, since, format!("{vault} {seq}"))
                });
            }
        }
    }

    fn lags(&self, rule: &AlertRule, facts: &[Recorded], all: &mut Vec<Alert>) {
        let Some(longest) = rule.longer_than else {
            return;
        };
        let mut stretches: HashMap<&ProtectionId, Stretch<'_>> = HashMap::new();
        for recorded in facts {
            if let Fact::LogShipped(log) = &recorded.entry.fact {
                let stretch = stretches.entry(&log.protection).or_insert(Stretch {
                    last: log,
                    seq: recorded.seq,
                    over: None,
                });
                stretch.go_on(recorded.seq, log, longest);
            }
        }
        for (id, stretch) in stretches {
            let ships = self.policy.protection(id);
            if ships.is_none_or(|(_, p)| p.ships_log_every().is_none()) {
                continue;
            }
            let Some((seq, since, lag)) = stretch.at(self.now, longest) else {
                continue;
            };
            if self.is_recent(self.now.min(since)) || stretch.over.is_none() {
                all.push(Alert {
                    text: format!("the log of {id} is {lag} behind, more than {longest}"),
                    protection: Some(id.clone()),
                    ..self.alert(AlertKind::Lag, rule, since, format!("{id} {seq}"))
                });
            }
        }
    }
}

/// Whether a size differs from the one before by more than that share of it.
fn differs(before: u64, now: u64, (n, d): (u32, u32)) -> bool {
    let apart = u128::from(before.abs_diff(now));
    before > 0 && apart * u128::from(d) > u128::from(before) * u128::from(n)
}

fn size(point: &RecoveryPoint, before: u64) -> String {
    format!(
        "the point of {} of {} has {}, the one before it {}",
        point.protection,
        point.completed.minute(),
        human_bytes(point.bytes),
        human_bytes(before)
    )
}

/// How a log lags, from entry to entry.
struct Stretch<'f> {
    last: &'f LogShipped,
    seq: u64,
    /// Since when, and by which entry, it is further behind than allowed, and how far.
    over: Option<(u64, Time, Span)>,
}

impl<'f> Stretch<'f> {
    fn go_on(&mut self, seq: u64, log: &'f LogShipped, longest: Span) {
        (self.seq, self.last) = (seq, log);
        let lag = furthest(log, |copy| {
            let at_the_end = copy.newest_commit.map(|newest| log.until.since(newest));
            copy.worst.max(at_the_end)
        });
        self.over = match lag.filter(|lag| *lag > longest) {
            Some(lag) => {
                let (first, since) = self.over.map_or((seq, log.until), |(s, t, _)| (s, t));
                Some((first, since, lag))
            }
            None => None,
        };
    }

    /// By which entry, since when and how far it is behind now.
    fn at(&self, now: Time, longest: Span) -> Option<(u64, Time, Span)> {
        if self.over.is_some() || now <= self.last.next_by {
            return self.over;
        }
        // Nothing was said since: it lags by all that time.
        let newest = furthest(self.last, |copy| {
            copy.newest_commit.map(|newest| now.since(newest))
        });
        let lag = newest.filter(|lag| *lag > longest)?;
        Some((self.seq, self.last.next_by, lag))
    }
}

/// The lag of the copy that is furthest behind.
fn furthest(
    log: &LogShipped,
    lag: impl Fn(&vouchsafe_model::LogCopy) -> Option<Span>,
) -> Option<Span> {
    log.copies.iter().filter_map(lag).max()
}
