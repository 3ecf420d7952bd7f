//! Controls of frameworks, each resting on named questions over all protections.

use vouchsafe_model::{ControlAssessment, ProtectionAssessment, Question, Verdict};

pub(super) struct Control {
    pub(super) framework: &'static str,
    /// How policies may write the framework, without blanks and punctuation.
    words: &'static [&'static str],
    pub(super) control: &'static str,
    title: &'static str,
    pub(super) questions: &'static [Question],
}

const SOC2: &[&str] = &[
    "soc2",
    "soc2type1",
    "soc2type2",
    "soc2typei",
    "soc2typeii",
    "tsc",
];
const ISO: &[&str] = &["iso27001", "isoiec27001", "iso270012022", "isoiec270012022"];

const NIST: &[&str] = &[
    "nist",
    "nist80053",
    "nistsp80053",
    "nist80053r5",
    "nist80053rev5",
    "nistsp80053r5",
    "nistsp80053rev5",
];
const GDPR: &[&str] = &["gdpr", "ukgdpr", "eugdpr"];
const CIS: &[&str] = &[
    "cis",
    "ciscontrols",
    "cisv8",
    "ciscontrolsv8",
    "ciscontrolsv81",
];

static CONTROLS: [Control; 12] = [
    Control {
        framework: "SOC 2",
        words: SOC2,
        control: "A1.2",
        title: "Data is backed up in time, sealed, and kept in more than one place",
        questions: &[
            Question::Covered,
            Question::Fresh,
            Question::Copies,
            Question::Encrypted,
        ],
    },
    Control {
        framework: "SOC 2",
        words: SOC2,
        control: "A1.3",
        title: "Recovery is rehearsed, and what is stored is read back",
        questions: &[Question::Verified, Question::Proven],
    },
    Control {
        framework: "SOC 2",
        words: SOC2,
        control: "CC7.5",
        title: "After an incident what was lost comes back, from copies that are known to be whole",
        questions: &[Question::Verified, Question::Proven],
    },
    Control {
        framework: "SOC 2",
        words: SOC2,
        control: "CC9.1",
        title: "A disruption of the business is survived: copies exist elsewhere and come back",
        questions: &[Question::Covered, Question::Copies, Question::Proven],
    },
    Control {
        framework: "ISO 27001",
        words: ISO,
        control: "A.8.13",
        title: "Backups are made, kept and tested as the policy says",
        questions: &Question::ALL,
    },
    Control {
        framework: "ISO 27001",
        words: ISO,
        control: "A.8.14",
        title: "Copies lie in more than one place",
        questions: &[Question::Copies],
    },
    Control {
        framework: "ISO 27001",
        words: ISO,
        control: "A.5.30",
        title: "After a disruption systems are back within the objectives, as rehearsed",
        questions: &[Question::Fresh, Question::Proven],
    },
    Control {
        framework: "NIST SP 800-53",
        words: NIST,
        control: "CP-4",
        title: "The plan for recovery is tested",
        questions: &[Question::Proven],
    },
    Control {
        framework: "NIST SP 800-53",
        words: NIST,
        control: "CP-9",
        title: "Systems are backed up in time; copies are sealed, apart, and tested for being whole",
        questions: &[
            Question::Covered,
            Question::Fresh,
            Question::Copies,
            Question::Verified,
            Question::Encrypted,
        ],
    },
    Control {
        framework: "NIST SP 800-53",
        words: NIST,
        control: "CP-10",
        title: "Systems come back to a known state within the time that is allowed",
        questions: &[Question::Fresh, Question::Proven],
    },
    Control {
        framework: "GDPR",
        words: GDPR,
        control: "Art. 32",
        title: "Personal data is sealed, can be had back in time, and this is tested regularly",
        questions: &[
            Question::Copies,
            Question::Verified,
            Question::Proven,
            Question::Encrypted,
        ],
    },
    Control {
        framework: "CIS Controls",
        words: CIS,
        control: "11",
        title: "Data is backed up by machine, kept apart and sealed, and its recovery is tested",
        questions: &[
            Question::Covered,
            Question::Fresh,
            Question::Copies,
            Question::Proven,
            Question::Encrypted,
        ],
    },
];

/// Whether a framework as policies write it is one that controls are known for.
pub(crate) fn is_known(framework: &str) -> bool {
    let word = plain(framework);
    CONTROLS.iter().any(|c| c.words.contains(&word.as_str()))
}

/// One answer a control, for the frameworks that are named, or all if none is.
pub(super) fn controls(
    frameworks: &[String],
    protections: &[ProtectionAssessment],
) -> Vec<ControlAssessment> {
    asked(frameworks).map(|c| judge(c, protections)).collect()
}

/// The controls of the frameworks that are named, or all if none is.
pub(super) fn asked(frameworks: &[String]) -> impl Iterator<Item = &'static Control> + use<> {
    let named: Vec<String> = frameworks.iter().map(|f| plain(f)).collect();
    CONTROLS
        .iter()
        .filter(move |c| named.is_empty() || named.iter().any(|n| c.words.contains(&n.as_str())))
}

fn judge(control: &Control, protections: &[ProtectionAssessment]) -> ControlAssessment {
    let mut verdict: Option<Verdict> = None;
    let mut worst = String::new();
    let (mut good, mut all) = (0usize, 0usize);
    for protection in protections {
        for judgement in protection
            .judgements
            .iter()
            .filter(|j| control.questions.contains(&j.question))
        {
            all += 1;
            good += usize::from(judgement.verdict == Verdict::Met);
            if verdict.is_none_or(|v| judgement.verdict > v) {
                verdict = Some(judgement.verdict);
                worst = format!(
                    "{} {}: {}",
                    protection.id,
                    judgement.question.word(),
                    judgement.because
                );
            }
        }
    }
    let verdict = verdict.unwrap_or(Verdict::Unproven);
    let because = match (all, verdict) {
        (0, _) => "the policy protects nothing".to_owned(),
        (1, Verdict::Met) => "the one answer it rests on is met".to_owned(),
        (_, Verdict::Met) => format!("all {all} answers it rests on are met"),
        _ => format!("{good} of {all} answers it rests on are met; {worst}"),
    };
    ControlAssessment {
        framework: control.framework.to_owned(),
        control: control.control.to_owned(),
        title: control.title.to_owned(),
        verdict,
        because,
        questions: control.questions.to_vec(),
    }
}

fn plain(text: &str) -> String {
    let letters = text.chars().filter(char::is_ascii_alphanumeric);
    letters.map(|c| c.to_ascii_lowercase()).collect()
}
