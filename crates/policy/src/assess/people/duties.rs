//! The verdict on each duty: was it done in time, by whom, and what came of it.

use vouchsafe_model::assessment::ObligationCounts;
use vouchsafe_model::attestation::DutyOutcome;
use vouchsafe_model::people::{PeopleDuty, When};
use vouchsafe_model::people_assessment::{
    DutyAssessment, ExemptionState, IncidentState, LastAnswer,
};
use vouchsafe_model::{ObligationId, Policy, Strength, Time, Verdict};

use crate::assess::owed::{Ledgered, Owed, Standing};
use crate::assess::people::exemptions::{exempt, words};
use crate::assess::people::incidents::{Failure, about};
use crate::assess::people::items::{Which, groups, newest_missed};
use crate::assess::people::register::Register;
use crate::obligations::AHEAD;

/// Judges every duty that has a time.
pub(in crate::assess) fn duties(
    policy: &Policy,
    ledgered: &Ledgered<'_>,
    register: &Register<'_>,
    (incidents, exemptions): (&[IncidentState], &[ExemptionState]),
    now: Time,
) -> Vec<DutyAssessment> {
    let judge = Judge {
        policy,
        ledgered,
        register,
        incidents,
        now,
    };
    let timed = policy.people.duties.values();
    timed
        .filter(|d| !matches!(d.when, When::After(_)))
        .map(|duty| {
            let mut judged = judge.duty(duty);
            if let Some(permission) = exempt(&duty.name, exemptions)
                && !judged.verdict.is_good()
            {
                judged.verdict = Verdict::Exempt;
                judged.because = format!("{}; otherwise: {}", words(permission), judged.because);
                judged.facts.extend(permission.seq);
            }
            judged
        })
        .collect()
}

struct Judge<'a, 'f> {
    policy: &'a Policy,
    ledgered: &'a Ledgered<'f>,
    register: &'a Register<'f>,
    incidents: &'a [IncidentState],
    now: Time,
}

/// What is said of one group of a duty's obligations.
struct Said {
    verdict: Verdict,
    because: String,
    facts: Vec<u64>,
    strength: Option<Strength>,
    last: Option<LastAnswer>,
}

impl Judge<'_, '_> {
    fn duty(&self, duty: &PeopleDuty) -> DutyAssessment {
        let groups = groups(self.policy, duty, self.ledgered);
        let mut said: Vec<Said> = groups
            .iter()
            .map(|(which, group)| self.group(duty, *which, group))
            .collect();
        if said.is_empty() {
            said.push(self.not_owed_yet(duty));
        }
        let all = said.len();
        let good = said.iter().filter(|s| s.verdict == Verdict::Met).count();
        said.sort_by_key(|s| std::cmp::Reverse(s.verdict));
        let verdict = said.first().map_or(Verdict::Unproven, |s| s.verdict);
        let worst = said.first().map(|s| s.because.clone()).unwrap_or_default();
        let because = match all {
            1 => worst,
            _ => format!("{good} of {all} answered; {worst}"),
        };
        let mut facts: Vec<u64> = said.iter().flat_map(|s| s.facts.iter().copied()).collect();
        facts.sort_unstable();
        facts.dedup();
        let last = said
            .iter()
            .filter_map(|s| s.last.clone())
            .max_by_key(|l| l.seq);
        let people = &self.policy.people;
        DutyAssessment {
            name: duty.name.clone(),
            kind: duty.kind,
            text: duty.text.clone(),
            holders: duty.holders(people).into_iter().collect(),
            delegates: duty.delegates(people).into_iter().collect(),
            verdict,
            strength: said.iter().filter_map(|s| s.strength).min(),
            because,
            facts,
            obligations: counts(groups.values().flatten().copied()),
            last,
        }
    }

    fn group(&self, duty: &PeopleDuty, which: Which<'_>, group: &[&Owed<'_>]) -> Said {
        let whose = match which {
            (None, None) => String::new(),
            (Some(one), None) | (None, Some(one)) => format!("{one}: "),
            (Some(about), Some(person)) => format!("{about}, {person}: "),
        };
        let mut said = self.of_group(duty, group);
        said.because = format!("{whose}{}", said.because);
        said
    }

    fn of_group(&self, duty: &PeopleDuty, group: &[&Owed<'_>]) -> Said {
        let answered = |o: &&&Owed<'_>| matches!(o.standing, Standing::OnTime | Standing::Late);
        let newest = group.iter().filter(answered).max_by_key(|o| o.what.opens);
        let last = newest.and_then(|owed| self.answer(owed));
        if let Some(missed) = newest_missed(group) {
            return self.missed(missed, last);
        }
        if let (Some(owed), Some((answer, text))) = (newest, &last) {
            let late = match owed.standing {
                Standing::Late => format!(", late: it was due {}", owed.what.due.minute()),
                _ => String::new(),
            };
            let mut said = Said {
                verdict: Verdict::Met,
                because: format!("{text}{late}"),
                facts: vec![answer.seq],
                strength: Some(strength(answer)),
                last: Some(answer.clone()),
            };
            if answer.outcome == DutyOutcome::Problems {
                self.problems(&mut said, Some(&owed.what.id), answer.seq);
            }
            return said;
        }
        let due = group.iter().map(|o| o.what.due).min().unwrap_or(self.now);
        let verdict = match duty.when {
            // Until that day the promise is kept.
            When::By { .. } => Verdict::Met,
            _ => Verdict::Unproven,
        };
        let declined = group.iter().find_map(|o| {
            let said = self.register.last_of(&o.what.id)?;
            (said.outcome() == DutyOutcome::Declined).then_some(said)
        });
        let mut because = format!("not done yet; due by {}", due.minute());
        let mut facts = Vec::new();
        if let Some(said) = declined {
            let statement = &said.attestation.statement;
            because = format!("{because}; {} declined: {}", statement.by, statement.reason);
            facts.push(said.seq);
        }
        Said {
            verdict,
            because,
            facts,
            strength: None,
            last: None,
        }
    }

    /// What was found is settled by an incident about it that is closed.
    fn problems(&self, said: &mut Said, obligation: Option<&ObligationId>, entry: u64) {
        let incident = about(self.incidents, obligation, Failure::Told { entry });
        let closed = incident.and_then(|i| Some((&i.name, i.closed.as_ref()?)));
        let what = match (closed, incident) {
            (Some((name, closed)), _) => {
                said.facts.push(closed.seq);
                format!("incident {name} about it is closed")
            }
            (None, Some(open)) => {
                said.verdict = Verdict::NotMet;
                format!("incident {} about it is open", open.name)
            }
            (None, None) => {
                said.verdict = Verdict::NotMet;
                "no incident about it was opened".to_owned()
            }
        };
        said.because = format!("{}; {what}", said.because);
    }

    fn missed(&self, missed: &Owed<'_>, last: Option<(LastAnswer, String)>) -> Said {
        let what = missed.what;
        let mut because = format!("missed; it was due {}", what.due.minute());
        let mut facts = Vec::new();
        if let Some(said) = self.register.last_of(&what.id) {
            let statement = &said.attestation.statement;
            because = format!(
                "{because}, and {} declined: {}",
                statement.by, statement.reason
            );
            facts.push(said.seq);
        }
        let mut verdict = Verdict::NotMet;
        match about(
            self.incidents,
            Some(&what.id),
            Failure::Missed { due: what.due },
        ) {
            Some(incident) => {
                facts.push(incident.seq);
                because = match &incident.closed {
                    Some(closed) => {
                        verdict = Verdict::Met;
                        facts.push(closed.seq);
                        format!(
                            "{because}; closed by {} with incident {}",
                            closed.by, incident.name
                        )
                    }
                    None => format!("{because}; incident {} is open", incident.name),
                };
            }
            None => {
                if let Some((_, text)) = &last {
                    because = format!("{because}; before that {text}");
                }
            }
        }
        Said {
            verdict,
            because,
            facts,
            strength: None,
            last: last.map(|(answer, _)| answer),
        }
    }

    /// What answered an obligation, with its sentence: what a person said last, else a drill.
    fn answer(&self, owed: &Owed<'_>) -> Option<(LastAnswer, String)> {
        if let Some(said) = self.register.last_of(&owed.what.id) {
            let statement = &said.attestation.statement;
            let verified = said.attestation.identity.is_verified();
            let how = match verified {
                true => "signed",
                false => "identity unverified",
            };
            let ago = self.now.since(said.at);
            let mut text = format!(
                "{} by {} ({how}) {ago} ago",
                statement.outcome.word(),
                statement.by
            );
            if statement.outcome == DutyOutcome::Problems {
                text = format!("{text}: {}", statement.reason);
            }
            let answer = LastAnswer {
                seq: said.seq,
                at: said.at,
                by: Some(statement.by.clone()),
                outcome: statement.outcome,
                verified,
            };
            return Some((answer, text));
        }
        let (seq, drill) = self.register.drill_of(&owed.what.id)?;
        let ago = self.now.since(drill.ended);
        let answer = LastAnswer {
            seq,
            at: drill.ended,
            by: None,
            outcome: DutyOutcome::Done,
            verified: false,
        };
        Some((
            answer,
            format!("drilled with {} {ago} ago", drill.protection),
        ))
    }

    /// Nothing of it is in the ledger: it lies further ahead than is written, or its day had passed before.
    fn not_owed_yet(&self, duty: &PeopleDuty) -> Said {
        let plain = |verdict, because| Said {
            verdict,
            because,
            facts: Vec::new(),
            strength: None,
            last: None,
        };
        match &duty.when {
            When::By { day, end } if *end > self.now => {
                plain(Verdict::Met, format!("due by {day}, as the policy says"))
            }
            When::By { day, end } => {
                let since = end.minus(AHEAD);
                let done = self
                    .register
                    .of_duty(&duty.name)
                    .iter()
                    .rev()
                    .find(|said| said.at >= since && said.outcome() != DutyOutcome::Declined);
                match done {
                    Some(done) => {
                        let mut said = Said {
                            facts: vec![done.seq],
                            strength: Some(Strength::Stated),
                            ..plain(
                                Verdict::Met,
                                format!(
                                    "{} by {}; the policy names no later day than {day}",
                                    done.outcome().word(),
                                    done.attestation.statement.by
                                ),
                            )
                        };
                        if done.outcome() == DutyOutcome::Problems {
                            let owed = done.attestation.statement.obligations.first();
                            self.problems(&mut said, owed, done.seq);
                        }
                        said
                    }
                    None => plain(
                        Verdict::NotMet,
                        format!("was due by {day}, and nobody says that it was done"),
                    ),
                }
            }
            When::Every(every) => plain(
                Verdict::Unproven,
                format!("not owed yet; the policy says `every: {}`", every.text),
            ),
            When::After(event) => plain(Verdict::Unproven, format!("when it happens: {event}")),
        }
    }
}

fn strength(answer: &LastAnswer) -> Strength {
    match answer.by {
        Some(_) => Strength::Stated,
        None => Strength::Measured,
    }
}

fn counts<'o, 'f: 'o>(all: impl Iterator<Item = &'o Owed<'f>>) -> ObligationCounts {
    let mut counts = ObligationCounts::default();
    for owed in all {
        match owed.standing {
            Standing::OnTime => counts.on_time += 1,
            Standing::Late => counts.late += 1,
            Standing::Missed => counts.missed += 1,
            Standing::Open => counts.open += 1,
        }
    }
    counts
}
