//! Findings on time: faults that are noticed later than points live, and recovery that waits for another.

use vouchsafe_model::Span;
use vouchsafe_model::policy::{Keep, Protection, Schedule, System, Way};

use crate::declared::{Entry, Said};
use crate::lint::Lint;
use crate::problem::Level::Warning;
use crate::schedule::longest_gap;

/// Kinds of test in which something is restored.
const RESTORING: [&str; 6] = [
    "restore",
    "files",
    "configuration",
    "disaster",
    "several-systems",
    "versions",
];

/// How far back one can go at least once a rule on keeping has run for long; nothing if it does not say.
fn reach(keep: &Keep) -> Option<Span> {
    let days = |n: u32, each: u64| Span::from_days(u64::from(n) * each);
    let counts = [
        keep.counts.hourly.map(|n| Span::from_hours(u64::from(n))),
        keep.counts.daily.map(|n| days(n, 1)),
        keep.counts.weekly.map(|n| days(n, 7)),
        keep.counts.monthly.map(|n| days(n, 31)),
        keep.counts.yearly.map(|n| days(n, 366)),
    ];
    let lengths = [keep.at_least, keep.at_most];
    let lengths = lengths.into_iter().flatten().map(|l| l.roughly());
    counts.into_iter().flatten().chain(lengths).max()
}

impl Lint<'_> {
    /// The tests of the programme that restore something of a system, if they have a rhythm.
    pub(super) fn tests_of(
        &self,
        system: &System,
    ) -> impl Iterator<Item = (&String, &Entry, &Schedule)> {
        let name = system.name.to_string();
        let tests = self.lowered.declared.root.named("programme");
        tests.filter_map(move |(test, entry)| {
            let kinds = entry.texts("kind");
            let restores = kinds.is_empty() || kinds.iter().any(|k| RESTORING.contains(k));
            let systems = entry.texts("systems");
            let meant = systems.is_empty() || systems.contains(&name.as_str());
            let every = entry.schedule("every")?;
            (restores && meant).then_some((test, entry, every))
        })
    }

    pub(super) fn detection(&mut self, system: &System) {
        self.outlived(system);
        for protection in system.protections.values() {
            self.read_back_in_time(system, protection);
        }
        self.waits_for_another(system);
        self.layers(system);
    }

    /// Within which time a fault of a protection is noticed, and by what.
    fn noticed(&self, protection: &Protection) -> Option<(Span, String)> {
        let drill = protection.drill.as_ref().map(|d| &d.every);
        let check = match self.lowered.declared.of(&protection.id, "check") {
            Some(Said::Entry(check)) => check.schedule("every"),
            _ => None,
        };
        [drill, check]
            .into_iter()
            .flatten()
            .map(|s| (longest_gap(&s.rule), format!("`{}`", s.text)))
            .min()
    }

    fn outlived(&mut self, system: &System) {
        let real = || {
            let all = system.protections.values();
            all.filter(|p| !matches!(p.way, Way::Replica(_)))
        };
        let tested = self
            .tests_of(system)
            .filter(|(_, test, _)| !matches!(test.text("of"), Some("any" | "sample")))
            .map(|(name, _, every)| {
                let by = format!("`{}` by test `{name}`", every.text);
                (longest_gap(&every.rule), by)
            });
        let own = real().filter_map(|p| self.noticed(p));
        let Some((noticed, by)) = own.chain(tested).min() else {
            return;
        };
        let mut longest: Option<(Span, &Protection)> = None;
        for protection in real() {
            let Some(reach) = reach(&protection.keep) else {
                return;
            };
            if longest.is_none_or(|(best, _)| reach > best) {
                longest = Some((reach, protection));
            }
        }
        let Some((reach, protection)) = longest else {
            return;
        };
        let said_of_drill = real().any(|p| self.drilled_too_late(p));
        if noticed <= reach || said_of_drill {
            return;
        }
        let message = format!(
            "points of {} live {reach} at most, and a fault is noticed {by}, after up to {noticed}: then no good point is left",
            system.name
        );
        let remedy = format!(
            "keep some of them longer than {noticed}, like monthly: 12; or look more often"
        );
        let subject = self.subject(system, protection);
        self.about(&subject, Warning, "P159", "keep", message, remedy);
    }

    /// Whether points go before a drill looks at them.
    pub(super) fn drilled_too_late(&self, protection: &Protection) -> bool {
        let (Some(drill), Some(most)) = (&protection.drill, protection.keep.at_most) else {
            return false;
        };
        longest_gap(&drill.every.rule) > most.roughly()
    }

    /// A point that was never read back before it goes was never known to be whole.
    fn read_back_in_time(&mut self, system: &System, protection: &Protection) {
        let (Some(verify), Some(reach)) = (&protection.verify, reach(&protection.keep)) else {
            return;
        };
        let (n, d) = verify.coverage.unwrap_or((1, 1));
        let turns = u64::from(d).div_ceil(u64::from(n.max(1)));
        let gap = longest_gap(&verify.every.rule);
        let whole = Span::from_micros(gap.micros().saturating_mul(turns));
        if whole <= reach {
            return;
        }
        let message = format!(
            "all of {} is read back once in {whole}, and points live {reach}: most of them go unread",
            protection.id
        );
        let remedy = format!("read all of it at least every {reach}");
        let subject = self.subject(system, protection);
        self.about(&subject, Warning, "P160", "verify", message, remedy);
    }

    fn waits_for_another(&mut self, system: &System) {
        let Some(own) = system.tier.as_ref().and_then(|t| t.rto) else {
            return;
        };
        let declared = self.lowered.declared.systems.get(&system.name);
        let others = declared.map(|d| d.texts("depends_on")).unwrap_or_default();
        for (n, other) in others.into_iter().enumerate() {
            let found = self
                .policy
                .systems
                .values()
                .find(|s| s.name.as_str() == other);
            let theirs = found.and_then(|s| s.tier.as_ref()?.rto);
            let Some(theirs) = theirs.filter(|t| *t > own) else {
                continue;
            };
            let path = format!("systems/{}/depends_on/{n}", system.name);
            let message = format!(
                "{} is to be back within {own}, and waits for {other}, which may take {theirs}",
                system.name
            );
            let remedy =
                format!("give {other} a tier with an RTO of {own} or less, or allow {theirs} here");
            self.say(Warning, "P163", &path, message, remedy);
        }
    }

    fn layers(&mut self, system: &System) {
        let wanted = system
            .tier
            .as_ref()
            .and_then(|t| self.lowered.declared.layers.get(&t.name));
        let Some(wanted) = wanted.filter(|w| !w.is_empty()) else {
            return;
        };
        let has = |layer: &str| {
            system.protections.values().any(|p| match layer {
                "replica" => matches!(p.way, Way::Replica(_)),
                "snapshots" => matches!(p.way, Way::Observe(_) | Way::Orchestrate(_)),
                _ => !p.copies.is_empty() && !matches!(p.way, Way::Replica(_)),
            })
        };
        let missing: Vec<&str> = wanted
            .iter()
            .map(String::as_str)
            .filter(|l| !has(l))
            .collect();
        if missing.is_empty() {
            return;
        }
        let path = format!("systems/{}", system.name);
        let message = format!(
            "the tier of {} asks for these layers, which it has not: {}",
            system.name,
            missing.join(", ")
        );
        let remedy = "add protections: a replica, snapshots by observe or orchestrate, an archive by copies in vaults";
        self.say(Warning, "P171", &path, message, remedy);
    }
}
