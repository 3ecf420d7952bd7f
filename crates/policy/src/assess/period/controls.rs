//! The controls of frameworks over a period.

use vouchsafe_model::period::{ControlPeriod, PeriodCounts, PeriodVerdict, RulePeriod};
use vouchsafe_model::{ObligationKind, Policy, Question};

use crate::assess::controls::asked;
use crate::assess::period::{Measured, is_judged};

/// One answer a control, for the frameworks that the policy names, or all if it names none.
pub(super) fn controls(
    policy: &Policy,
    protections: &[Measured],
    others: &[RulePeriod],
) -> Vec<ControlPeriod> {
    asked(&policy.front.frameworks)
        .map(|control| {
            let questions = control.questions;
            let concerns =
                |rule: &&RulePeriod| questions.iter().any(|q| kinds(*q).contains(&rule.kind));
            let mut counts = PeriodCounts::default();
            let mut closed = 0;
            let mut verdict: Option<PeriodVerdict> = None;
            let mut worse =
                |one| verdict = Some(verdict.map_or(one, |v: PeriodVerdict| v.worse(one)));
            let own = protections.iter().flat_map(|p| &p.shown.rules);
            for rule in own.chain(others).filter(concerns) {
                counts = counts.and(rule.counts);
                closed += rule.closed;
                if is_judged(rule) {
                    worse(rule.verdict);
                }
            }
            for protection in protections {
                for question in questions {
                    measured(protection, *question)
                        .into_iter()
                        .for_each(&mut worse);
                }
            }
            ControlPeriod {
                framework: control.framework.to_owned(),
                control: control.control.to_owned(),
                counts,
                closed,
                verdict: verdict.unwrap_or(PeriodVerdict::Unproven),
            }
        })
        .collect()
}

/// What was measured of one protection, for one question. Where neither an obligation nor a measurement speaks of
/// being backed up, of being read back or of coming back, that is unproven: nothing shows it.
fn measured(p: &Measured, question: Question) -> Option<PeriodVerdict> {
    let part = match question {
        Question::Covered | Question::Copies => None,
        Question::Fresh => p.freshness,
        Question::Verified => p.readings,
        Question::Proven => p.drills,
        Question::Encrypted | Question::Retained => return None,
    };
    let owed = p
        .shown
        .rules
        .iter()
        .any(|r| is_judged(r) && kinds(question).contains(&r.kind));
    let needed = !matches!(question, Question::Copies);
    match part {
        _ if !p.connected => Some(PeriodVerdict::Unproven),
        None if needed && !owed => Some(PeriodVerdict::Unproven),
        part => part,
    }
}

/// The obligations by which a question is kept.
fn kinds(question: Question) -> &'static [ObligationKind] {
    match question {
        Question::Covered | Question::Fresh => &[ObligationKind::Capture],
        Question::Copies => &[ObligationKind::Copy],
        Question::Verified => &[ObligationKind::Verify],
        Question::Proven => &[ObligationKind::Drill, ObligationKind::NegativeControl],
        Question::Encrypted => &[ObligationKind::RotateKey],
        Question::Retained => &[ObligationKind::Prune],
    }
}
