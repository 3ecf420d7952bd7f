//! What there is of artefacts that people make: reviews, incidents with their causes, notices, papers of providers.

use vouchsafe_model::Strength::{Measured, Stated};

use super::Presence::{Absent, Here, InPart};
use super::found::{Answer, Found, of_all, some};
use crate::words::{count, figure, len};

impl Found<'_> {
    pub(super) fn reviews(&self) -> Answer {
        let duties = self.rows("duties");
        let rules = self
            .content
            .period
            .others
            .iter()
            .filter(|r| r.duty.is_some());
        let done: u64 = rules.map(|r| r.counts.on_time + r.counts.late).sum();
        let says = match duties {
            0 => "No duty of a person was due in the period.".to_owned(),
            n => format!("{} due, {} answered.", count(n, "duty"), figure(done)),
        };
        (of_all(done, duties), Stated, says, &["duties"])
    }

    pub(super) fn incidents(&self) -> Answer {
        let all = &self.content.incidents;
        let closed = len(all.iter().filter(|i| i.closed.is_some()).count());
        let says = match len(all.len()) {
            0 => "No incident was open in the period.".to_owned(),
            n => format!(
                "{} open in the period, each with its entries in their order; {} of them closed.",
                count(n, "incident"),
                figure(closed)
            ),
        };
        (some(len(all.len()), Here), Stated, says, &["others"])
    }

    pub(super) fn causes(&self) -> Answer {
        let all = &self.content.incidents;
        let known = len(all.iter().filter(|i| i.has_cause).count());
        let mended = len(all.iter().filter(|i| i.has_fix).count());
        let says = match len(all.len()) {
            0 => "No incident was open in the period.".to_owned(),
            n => format!(
                "Of {}, {} with a cause and {} with what was done, as people say.",
                count(n, "incident"),
                figure(known),
                figure(mended)
            ),
        };
        (of_all(known, len(all.len())), Stated, says, &["others"])
    }

    pub(super) fn notices(&self) -> Answer {
        let n = self.content.notices;
        let says = format!(
            "{} and escalations, and {}, in the population `others`. A mail server took {}, and refused {}; that somebody read them is not known.",
            count(n.reminders, "reminder"),
            count(n.alerts, "alert"),
            count(n.taken, "letter"),
            figure(n.refused)
        );
        let presence = match (n.reminders + n.alerts, n.taken) {
            (0, _) => Absent,
            (_, 0) => InPart,
            _ => Here,
        };
        (presence, Measured, says, &["others"])
    }

    pub(super) fn papers(&self) -> Answer {
        let of_providers = |name: &str| name.starts_with("providers/");
        let duties = self.policy.people.duties.keys();
        let named = len(duties.filter(|name| of_providers(name)).count());
        let others = self.content.period.others.iter();
        let due = others.filter(|r| r.duty.as_deref().is_some_and(of_providers));
        let (mut all, mut done) = (0, 0);
        for rule in due {
            all += rule.counts.total();
            done += rule.counts.on_time + rule.counts.late;
        }
        let says = match named {
            0 => "The policy names no agreement and no paper of a provider that is read by a day or in a rhythm.".to_owned(),
            n => format!(
                "{} of providers owed by the policy; {} due in the period, {} answered. The papers themselves are not kept here.",
                count(n, "reading"),
                figure(all),
                figure(done)
            ),
        };
        (some(named, InPart), Stated, says, &["duties"])
    }
}
