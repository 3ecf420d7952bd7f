//! What there is of each artefact, from the report's own content.

use std::collections::BTreeSet;

use vouchsafe_model::period::{DrillPeriod, ProtectionPeriod};
use vouchsafe_model::{Policy, Strength, human_bytes};

use super::asked::Kind;
use super::{Artefact, Presence};
use crate::erasures::Replays;
use crate::report::content::{OutsideKind, ReportContent};
use crate::words::{count, figure, len};

use Presence::{Absent, Here, InPart};
use Strength::{Measured, Stated};

/// Where things are looked for.
pub(super) struct Found<'a> {
    pub(super) policy: &'a Policy,
    pub(super) content: &'a ReportContent,
    pub(super) replays: Replays,
}

/// Presence, strength, what it says, populations.
pub(super) type Answer = (Presence, Strength, String, &'static [&'static str]);

impl Found<'_> {
    pub(super) fn artefact(&self, name: &str, kind: Kind) -> Artefact {
        let (presence, strength, says, populations) = self.answer(kind);
        Artefact {
            name: name.to_owned(),
            presence,
            strength: (presence != Absent).then_some(strength),
            says,
            populations: populations.iter().map(|p| (*p).to_owned()).collect(),
        }
    }

    fn answer(&self, kind: Kind) -> Answer {
        match kind {
            Kind::Policy => self.approved(),
            Kind::PolicyHistory => self.history(),
            Kind::Schedule => self.schedule(),
            Kind::Runs => self.runs(),
            Kind::Failures => self.failures(),
            Kind::Encryption => self.encryption(),
            Kind::Locations => self.locations(),
            Kind::Isolation => self.isolation(),
            Kind::Capacity => self.capacity(),
            Kind::TestPlan => self.test_plan(),
            Kind::Tests => self.tests(),
            Kind::Achieved => self.achieved(),
            Kind::Objectives => self.objectives(),
            Kind::Comparisons => self.comparisons(),
            Kind::Retests => self.retests(),
            Kind::Integrity => self.integrity(),
            Kind::SampleRestores => self.samples(),
            Kind::Transactions => self.transactions(),
            Kind::Lag => self.lag(),
            Kind::Retention => self.retention(),
            Kind::Reviews => self.reviews(),
            Kind::Scope => self.scope(),
            Kind::Owners => self.owners(),
            Kind::Mitigations => self.mitigations(),
            Kind::Personal => self.personal(),
            Kind::Erasures => self.erasures(),
            Kind::Incidents => self.incidents(),
            Kind::Causes => self.causes(),
            Kind::Notices => self.notices(),
            Kind::Papers => self.papers(),
            Kind::Record => self.record(),
            Kind::Elsewhere(why) => (Absent, Stated, why.to_owned(), &[]),
        }
    }

    pub(super) fn rows(&self, population: &str) -> u64 {
        let all = self.content.populations.iter();
        all.filter(|p| p.name == population).map(|p| p.rows).sum()
    }

    fn protections(&self) -> &[ProtectionPeriod] {
        &self.content.period.protections
    }

    fn drilled(&self) -> impl Iterator<Item = &DrillPeriod> {
        self.protections().iter().flat_map(|p| &p.drills)
    }

    /// How many protections are so.
    fn are(&self, so: impl Fn(&ProtectionPeriod) -> bool) -> u64 {
        len(self.protections().iter().filter(|p| so(p)).count())
    }

    /// `3 of 4 protections`.
    fn share(&self, n: u64) -> String {
        let all = len(self.protections().len());
        format!("{} of {}", figure(n), count(all, "protection"))
    }

    fn of_protections(&self, n: u64) -> Presence {
        of_all(n, len(self.protections().len()))
    }

    fn approved(&self) -> Answer {
        let p = &self.content.policy;
        let reviewed = match &p.next_review {
            Some(day) => format!("Next review stated: {day}."),
            None => "No review is stated.".to_owned(),
        };
        let (presence, says) = match (p.digest_matches, &p.approved) {
            (Some(true), _) => (
                Here,
                "This text is the approved one, by its digest.".to_owned(),
            ),
            (Some(false), _) => (
                InPart,
                "An approval is stated, and it is of another text than this one.".to_owned(),
            ),
            (None, _) if p.agreed.as_ref().is_some_and(|a| a.granted) => {
                let by_signature = p.agreed.as_ref().and_then(|a| a.strength) == Some(Measured);
                let presence = if by_signature { Here } else { InPart };
                (presence, p.approval.clone())
            }
            (None, Some(day)) => (
                InPart,
                format!(
                    "Approval stated for {day}, without a digest: nothing binds it to this text."
                ),
            ),
            (None, None) => (
                InPart,
                "There is a policy; no approval of it is stated.".to_owned(),
            ),
        };
        (
            presence,
            Stated,
            format!("{says} {reviewed}"),
            &["policies"],
        )
    }

    fn history(&self) -> Answer {
        let texts = len(self.content.policy.in_force.len());
        let says = format!(
            "{} came into force up to the end of the period, each with its digest; who changed what, as far as it is known, stands in `others`.",
            count(texts, "text")
        );
        (some(texts, InPart), Measured, says, &["policies", "others"])
    }

    fn schedule(&self) -> Answer {
        let c = self.content.period.counts;
        let says = format!(
            "{} due in the period, written down before: {} on time, {} late, {} missed, {} unproven.",
            count(c.total(), "obligation"),
            figure(c.on_time),
            figure(c.late),
            figure(c.missed),
            figure(c.unproven)
        );
        (some(c.total(), Here), Measured, says, &["obligations"])
    }

    fn runs(&self) -> Answer {
        let (runs, points) = (self.rows("runs"), self.rows("points"));
        let says = format!(
            "{} and ends of runs, {}, with the query that yields them and no others.",
            count(runs, "beginning"),
            count(points, "recovery point")
        );
        (
            some(runs + points, Here),
            Measured,
            says,
            &["runs", "points", "copies"],
        )
    }

    fn failures(&self) -> Answer {
        let failures = len(self.content.failures.len());
        let period = &self.content.period;
        let behind = period.counts.missed + period.counts.unproven;
        let says = format!(
            "{}, and {} missed or unproven, of which {} are closed. Tickets of other systems are not linked.",
            count(failures, "failure"),
            count(behind, "obligation"),
            figure(period.closed)
        );
        let presence = match failures + behind {
            0 => Here,
            _ => InPart,
        };
        (presence, Measured, says, &["failures", "obligations"])
    }

    fn encryption(&self) -> Answer {
        let copies = &self.content.copies.rows;
        let probed = len(copies.iter().filter(|c| c.fact.encryption.probed).count());
        let keys: BTreeSet<&str> = copies
            .iter()
            .map(|c| c.fact.encryption.key.as_str())
            .collect();
        let says = format!(
            "Of {}, stored bytes of {} were fetched and seen to be sealed, under {}.",
            count(len(copies.len()), "copy"),
            figure(probed),
            count(len(keys.len()), "key")
        );
        (
            of_all(probed, len(copies.len())),
            Measured,
            says,
            &["copies", "keys"],
        )
    }

    fn locations(&self) -> Answer {
        let copies = self.content.copies.rows.iter();
        let vaults: BTreeSet<&str> = copies.map(|c| c.fact.vault.as_str()).collect();
        let declared = self.content.policy.vaults.iter();
        let placed = declared.filter(|v| v.region.is_some() && vaults.contains(v.name.as_str()));
        let says = format!(
            "Copies of the period lie in {}; the region of {} is declared. Regions are stated, not measured; how long a transfer took is not recorded.",
            count(len(vaults.len()), "vault"),
            figure(len(placed.count()))
        );
        (some(len(vaults.len()), InPart), Stated, says, &["copies"])
    }

    fn isolation(&self) -> Answer {
        let apart = self.are(|p| p.worst_rpo.is_some() && p.without_copy.micros() == 0);
        let locked = self
            .policy
            .vaults
            .values()
            .filter(|v| v.retention_lock.is_some())
            .count();
        let says = format!(
            "{} had a copy outside their own failure domain whenever that was measured; {} declared with a retention lock.",
            self.share(apart),
            count(len(locked), "vault")
        );
        let presence = match self.of_protections(apart) {
            Here if locked == 0 => InPart,
            presence => presence,
        };
        (presence, Measured, says, &["copies", "others"])
    }

    fn capacity(&self) -> Answer {
        let rows = &self.content.copies.rows;
        let added = rows
            .iter()
            .map(|c| c.fact.added_bytes)
            .fold(0, u64::saturating_add);
        let says = format!(
            "{} were added to vaults in the period; how much room the stores have is not recorded.",
            human_bytes(added)
        );
        (
            some(len(rows.len()), InPart),
            Measured,
            says,
            &["copies", "prunes"],
        )
    }

    fn test_plan(&self) -> Answer {
        let planned = self.policy.protections().filter(|(_, p)| p.drill.is_some());
        let planned = len(planned.count());
        let says = format!(
            "The policy asks for drills of {}; their rhythm stands at each.",
            self.share(planned)
        );
        (self.of_protections(planned), Stated, says, &["obligations"])
    }

    fn tests(&self) -> Answer {
        let tested = self.are(|p| !p.drills.is_empty());
        let says = format!(
            "{} over {}, {} green and in time; each names its point, vault, phases and comparisons. They run by machine; who took part is not recorded.",
            count(len(self.drilled().count()), "drill"),
            self.share(tested),
            figure(len(self.drilled().filter(|d| d.is_good()).count()))
        );
        (self.of_protections(tested), Measured, says, &["drills"])
    }

    fn achieved(&self) -> Answer {
        let rpo = self.are(|p| p.worst_rpo.is_some());
        let rto = self.are(|p| !p.drills.is_empty());
        let both = self.are(|p| p.worst_rpo.is_some() && !p.drills.is_empty());
        let says = format!(
            "The worst RPO of the period is measured for {}, the RTO for {}, both over time.",
            figure(rpo),
            self.share(rto)
        );
        let presence = match self.of_protections(both) {
            Absent if rpo + rto > 0 => InPart,
            presence => presence,
        };
        (presence, Measured, says, &["points", "copies", "drills"])
    }

    fn objectives(&self) -> Answer {
        let set = self.are(|p| p.target_rpo.is_some() && p.target_rto.is_some());
        let says = format!(
            "RPO and RTO are set for {}. Their approver is that of the policy: {}",
            self.share(set),
            self.content.policy.approval
        );
        (self.of_protections(set), Stated, says, &["policies"])
    }

    fn comparisons(&self) -> Answer {
        let drills = &self.content.drills.rows;
        let rungs: usize = drills
            .iter()
            .map(|d| d.fact.result.ladder.rungs.len())
            .sum();
        let controls: Vec<bool> = drills.iter().flat_map(|d| d.fact.caught.clone()).collect();
        let says = format!(
            "{} in {}, each with expected and actual; {} on damaged twins, {} caught.",
            count(len(rungs), "comparison"),
            count(len(drills.len()), "drill"),
            count(len(controls.len()), "negative control"),
            figure(len(controls.iter().filter(|c| **c).count()))
        );
        let presence = match (rungs, controls.is_empty()) {
            (0, _) => Absent,
            (_, true) => InPart,
            (_, false) => Here,
        };
        (presence, Measured, says, &["drills"])
    }

    fn retests(&self) -> Answer {
        let bad: Vec<&DrillPeriod> = self.drilled().filter(|d| !d.is_good()).collect();
        let again = bad.iter().filter(|d| d.retested_by.is_some()).count();
        let closed = bad.iter().filter(|d| d.closure.is_some()).count();
        let says = format!(
            "{} not good: {} tested again with success, {} closed.",
            count(len(bad.len()), "drill"),
            figure(len(again)),
            figure(len(closed))
        );
        let presence = match bad.len() {
            _ if self.drilled().next().is_none() => Absent,
            n if n == closed => Here,
            _ => InPart,
        };
        (presence, Measured, says, &["drills", "failures"])
    }

    fn integrity(&self) -> Answer {
        let rows = &self.content.verifications.rows;
        let says = format!(
            "{}: {} without a problem, {} of everything that is stored.",
            count(len(rows.len()), "verification"),
            figure(len(rows
                .iter()
                .filter(|v| v.fact.problems.is_empty())
                .count())),
            figure(len(rows.iter().filter(|v| v.fact.complete).count()))
        );
        (
            some(len(rows.len()), Here),
            Measured,
            says,
            &["verifications"],
        )
    }

    fn samples(&self) -> Answer {
        let rows = &self.content.drills.rows;
        let seeded = rows.iter().filter(|d| d.fact.result.seed.is_some()).count();
        let says = format!(
            "{} restored a whole point each; of {} the point was drawn by a recorded seed.",
            count(len(rows.len()), "drill"),
            figure(len(seeded))
        );
        let presence = match (rows.len(), seeded) {
            (0, _) => Absent,
            (_, 0) => InPart,
            _ => Here,
        };
        (presence, Measured, says, &["drills"])
    }

    fn transactions(&self) -> Answer {
        let drills = self.content.drills.rows.iter();
        let moments: Vec<_> = drills
            .filter_map(|d| d.fact.result.moment.as_ref())
            .collect();
        let placed = len(moments.iter().filter(|m| m.position.is_some()).count());
        let says = match moments.len() {
            0 => "No drill of the period went on from its point by the log.".to_owned(),
            n => format!(
                "{} went on by the log; of {} the last position that was applied is recorded.",
                count(len(n), "drill"),
                figure(placed)
            ),
        };
        (
            of_all(placed, len(moments.len())),
            Measured,
            says,
            &["drills", "logs"],
        )
    }

    fn lag(&self) -> Answer {
        let all = self.protections().iter();
        let logs: Vec<String> = all
            .filter_map(|p| Some(format!("{}: at worst {}", p.id, p.worst_log_rpo?)))
            .collect();
        let says = match logs.is_empty() {
            true => "No log was shipped in the period; replicas are not watched.".to_owned(),
            false => format!(
                "Logs that were shipped: {}; replicas are not watched.",
                logs.join(", ")
            ),
        };
        (some(len(logs.len()), InPart), Measured, says, &["logs"])
    }

    fn retention(&self) -> Answer {
        let said = self
            .policy
            .protections()
            .filter(|(_, p)| !p.keep.is_unsaid());
        let said = len(said.count());
        let says = format!(
            "The policy says how long for {}; {} let go in the period, each with its reason; {} of holds.",
            self.share(said),
            count(self.rows("deletions"), "copy"),
            count(self.rows("holds"), "entry")
        );
        (
            self.of_protections(said),
            Measured,
            says,
            &["deletions", "prunes", "holds"],
        )
    }

    fn scope(&self) -> Answer {
        let systems = len(self.policy.systems.len());
        let says = format!(
            "{} declared, {} of them left out with a reason. No register of assets, and nothing that a provider lists, is held against them here.",
            count(systems, "system"),
            figure(len(self.content.exempt.len()))
        );
        (some(systems, InPart), Stated, says, &[])
    }

    fn owners(&self) -> Answer {
        let systems = self.policy.systems.values();
        let owned = len(systems.filter(|s| s.owner.is_some()).count());
        let all = len(self.policy.systems.len());
        let says = format!(
            "{} of {} have an owner.",
            figure(owned),
            count(all, "system")
        );
        (of_all(owned, all), Stated, says, &[])
    }

    fn mitigations(&self) -> Answer {
        let all = len(self.protections().len());
        let says = format!(
            "{} stand against loss, each with its rules and verdict; which risk each answers is not recorded.",
            count(all, "protection")
        );
        (some(all, InPart), Measured, says, &[])
    }

    fn personal(&self) -> Answer {
        let classed = self.policy.systems.values().filter(|s| s.class.is_some());
        let drills = len(self.content.drills.rows.len());
        let says = format!(
            "{} name a class of data; {} in the period, each timed. Which classes are personal stands in the policy only.",
            count(len(classed.count()), "system"),
            count(drills, "drill")
        );
        (some(drills, InPart), Measured, says, &["drills"])
    }

    fn erasures(&self) -> Answer {
        let replays = &self.replays;
        let how = self.policy.protections();
        let how = len(how.filter(|(_, p)| p.erasure.is_some()).count());
        let Some(said) = replays.says() else {
            let why = match &self.policy.erasure {
                None => "The policy names no file of the register, so nothing is replayed.",
                Some(_) => "Nothing was restored or drilled in the period that it concerns.",
            };
            return (Absent, Stated, why.to_owned(), &[]);
        };
        let says = format!(
            "{said} {} how subjects are erased; what else holds personal data is not seen here.",
            match how {
                1 => "1 protection says".to_owned(),
                n => format!("{} say", count(n, "protection")),
            }
        );
        let presence = match replays.clean + replays.drilled {
            0 => Absent,
            _ => InPart,
        };
        (presence, Measured, says, &["drills", "others"])
    }

    fn record(&self) -> Answer {
        let l = &self.content.ledger;
        let alarms = match self.content.alarms.len() {
            0 => "no break, no silence".to_owned(),
            n => format!("{} about it", count(len(n), "alarm")),
        };
        let outside = l.outside.iter().map(|part| {
            let size = count(part.tree_size, "entry");
            match part.kind {
                OutsideKind::Witness => format!(" {} has seen {size} of it.", part.who),
                OutsideKind::TimeStamp => format!(
                    " {} has stamped {size} of it at {}.",
                    part.who,
                    part.at.minute()
                ),
            }
        });
        let outside: String = outside.collect();
        let says = format!(
            "{} under one signed head; {} hold heads of it; {alarms}.{outside}",
            count(l.size, "entry"),
            count(len(l.witnesses.len()), "vault")
        );
        let presence = match (self.content.alarms.is_empty(), l.witnesses.is_empty()) {
            (true, false) => Here,
            _ => InPart,
        };
        (presence, Measured, says, &[])
    }
}

/// All of it, some, or nothing.
pub(super) fn of_all(n: u64, of: u64) -> Presence {
    match (n, of) {
        (0, _) => Absent,
        (n, of) if n >= of => Here,
        _ => InPart,
    }
}

/// `presence` if there is any.
pub(super) fn some(n: u64, presence: Presence) -> Presence {
    if n == 0 { Absent } else { presence }
}
