//! Which artefacts each control asks for.

/// What an artefact is found in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// The text of the policy, with its approval.
    Policy,
    /// Its texts over time.
    PolicyHistory,
    /// What is to happen when.
    Schedule,
    /// Everything that ran.
    Runs,
    /// Whatever failed, with its closure.
    Failures,
    /// Whether stored bytes are sealed.
    Encryption,
    /// Where copies lie.
    Locations,
    /// What locks say, and which copies lie apart.
    Isolation,
    /// How much is stored, and what there is room for.
    Capacity,
    /// How often and how restores are to be tested.
    TestPlan,
    /// Each test, with its result.
    Tests,
    /// What was lost at the worst, and how long restores took.
    Achieved,
    /// Objectives, and who approved them.
    Objectives,
    /// What a test compared.
    Comparisons,
    /// Failed tests and their retests.
    Retests,
    /// Reading stored bytes back.
    Integrity,
    /// Samples that were restored.
    SampleRestores,
    /// Recovery up to a moment, by the log.
    Transactions,
    /// How far logs lag.
    Lag,
    /// How long things are kept, and each deletion with its reason.
    Retention,
    /// Duties of people, with their sign-off.
    Reviews,
    /// What is protected, held against what there is.
    Scope,
    /// Who answers for what.
    Owners,
    /// Measures that were tested.
    Mitigations,
    /// What is personal, and how it comes back.
    Personal,
    /// Whether a restore brings back whose data was erased.
    Erasures,
    /// What happened in each incident.
    Incidents,
    /// Why it happened.
    Causes,
    /// Who was told.
    Notices,
    /// What providers promise and others attest of them.
    Papers,
    /// What the record itself proves.
    Record,
    /// Nothing that is recorded: it has to come from elsewhere, and why.
    Elsewhere(&'static str),
}

use Kind::*;

type Asked = &'static [(&'static str, Kind)];

/// In the order in which an auditor would ask. A control that is not known has none.
pub(super) fn asked(framework: &str, control: &str) -> Asked {
    match (framework, control) {
        ("SOC 2", "A1.2") => A1_2,
        ("SOC 2", "A1.3") => A1_3,
        ("SOC 2", "CC7.5") => CC7_5,
        ("SOC 2", "CC9.1") => CC9_1,
        ("ISO 27001", "A.8.13") => A_8_13,
        ("ISO 27001", "A.8.14") => A_8_14,
        ("ISO 27001", "A.5.30") => A_5_30,
        ("NIST SP 800-53", "CP-4") => CP_4,
        ("NIST SP 800-53", "CP-9") => CP_9,
        ("NIST SP 800-53", "CP-10") => CP_10,
        ("GDPR", "Art. 32") => ART_32,
        ("CIS Controls", "11") => CIS_11,
        _ => &[],
    }
}

const A1_2: Asked = &[
    ("Approved policy", Policy),
    ("Schedule: what was to happen, written ahead", Schedule),
    ("Population of all jobs of the period", Runs),
    ("Failed jobs with their tickets", Failures),
    ("Encryption of what is stored", Encryption),
    ("Where copies lie", Locations),
    ("Trend of capacity", Capacity),
    ("Integrity of the record", Record),
];

const A1_3: Asked = &[
    ("Plan of recovery tests", TestPlan),
    ("Every recovery test, with scope and result", Tests),
    ("Achieved RPO and RTO", Achieved),
    ("Checks of the restored data", Comparisons),
    ("Defects and retests", Retests),
    ("Lessons learned", Elsewhere("No lesson is recorded.")),
    ("Revisions of the plan", PolicyHistory),
];

const CC7_5: Asked = &[
    ("Timeline of each incident", Incidents),
    ("Notices that were sent", Notices),
    ("Root cause", Causes),
    ("Changes that were made", PolicyHistory),
    ("Recovery tests by scenario", Comparisons),
    (
        "Tests in which key staff are absent",
        Elsewhere("Who took part in a test is not recorded."),
    ),
    ("Failures of the period and how they were closed", Failures),
];

const CC9_1: Asked = &[
    ("Risks of disruption, each with its measure", Mitigations),
    ("Owners", Owners),
    ("Tested outcome of the measures", Tests),
    (
        "Insurance",
        Elsewhere("Insurance papers are not kept here."),
    ),
    ("Papers of vendors, with their expiry", Papers),
];

const A_8_13: Asked = &[
    ("Topic policy on backup", Policy),
    ("Scope, held against the register of assets", Scope),
    ("Logs of the jobs", Runs),
    ("Records of restore tests", Tests),
    ("Copies at another place", Locations),
    ("Encryption of what is stored", Encryption),
    ("Retention, and each deletion", Retention),
    ("Sign-offs of reviews", Reviews),
];

const A_8_14: Asked = &[
    ("Zones and regions of each copy", Locations),
    ("Copies apart from the systems", Isolation),
    ("Lag of replication", Lag),
    (
        "Failover test",
        Elsewhere("Failing over to a replica is not tested here; restores are."),
    ),
];

const A_5_30: Asked = &[
    (
        "Business impact analysis",
        Elsewhere("It is not kept here; tiers state what follows from it."),
    ),
    (
        "RPO and RTO for each service, and their approver",
        Objectives,
    ),
    ("Continuity plans", Elsewhere("They are not kept here.")),
    ("Achieved values over time", Achieved),
    ("Reports of exercises", Tests),
    ("Deviations and corrective actions", Failures),
];

const CP_4: Asked = &[
    ("Plan with its version", PolicyHistory),
    ("Tests of the plan", Tests),
    (
        "CP-4(1): coordination with related plans",
        Elsewhere("It is not recorded."),
    ),
    ("CP-4(3): automated testing", Comparisons),
    ("CP-4(4): full recovery", Achieved),
    ("Review of the results", Reviews),
    ("Corrective actions", Retests),
];

const CP_9: Asked = &[
    (
        "Backups of user and system data, with their frequency",
        Schedule,
    ),
    (
        "Backups of the documentation",
        Elsewhere("Which data is documentation is not told apart."),
    ),
    ("CP-9(1): tests for reliability and integrity", Integrity),
    ("CP-9(2): restoration of samples", SampleRestores),
    ("CP-9(3): separate storage", Isolation),
    ("CP-9(5): transfer to the alternate site", Locations),
    (
        "CP-9(7): two persons for a deletion",
        Elsewhere("A second approval of deletions is not recorded."),
    ),
    ("CP-9(8): cryptographic protection", Encryption),
];

const CP_10: Asked = &[
    ("Recovery to a known state within the time", Achieved),
    ("CP-10(2): recovery of transactions", Transactions),
    ("CP-10(4): restoration within the time allowed", Tests),
    ("Check of consistency after recovery", Comparisons),
];

const ART_32: Asked = &[
    ("(1)(a) Encryption", Encryption),
    ("(1)(b) Resilience", Isolation),
    (
        "(1)(c) Timely restoration of access to personal data",
        Personal,
    ),
    ("(1)(d) Regular testing and evaluation", Tests),
    (
        "Log of access",
        Elsewhere("Who read from vaults by other means than this tool is not known."),
    ),
    ("Erasures replayed after a restore", Erasures),
];

const CIS_11: Asked = &[
    ("11.1: process, reviewed each year", Policy),
    ("11.2: automated backups, each week or more often", Schedule),
    ("11.3: protection equal to that of the original", Encryption),
    ("11.4: an isolated copy", Isolation),
    (
        "11.5: recovery tested each quarter, on a sample",
        SampleRestores,
    ),
];
