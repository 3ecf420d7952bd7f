//! The nouns of Vouchsafe: identifiers, time, policy, obligations, facts, verdicts; no IO and no clock.

pub mod alert;
pub mod assessment;
pub mod attestation;
pub mod change;
pub mod custody;
pub mod drill;
pub mod equality;
pub mod erasure;
pub mod fact;
pub mod hold;
pub mod ids;
pub mod incident;
pub mod locks;
pub mod log;
pub mod manifest;
pub mod obligation;
pub mod people;
pub mod people_assessment;
pub mod people_fact;
pub mod period;
pub mod policy;
pub mod record;
pub mod secret;
pub mod size;
pub mod source_url;
pub mod space;
pub mod time;
pub mod vault_url;
pub mod verdict;

pub use alert::{Alert, AlertKind, AlertRule, Mail, MailWire, Mailed};
pub use assessment::{Assessment, ControlAssessment, Judgement, ProtectionAssessment, Question};
pub use attestation::{Attestation, DutyOutcome, Identity, Statement};
pub use change::{Alteration, ChangeDecision, Effect, PolicyChange, SignedBy};
pub use custody::{AwsKey, Kms, WrapCommand};
pub use drill::{
    Damage, DrillResult, DrilledMoment, Ladder, NegativeControl, Phase, Rung, RungOutcome,
};
pub use equality::{EqualTo, Equality, EqualityRule};
pub use erasure::{
    ErasedSubject, ErasureRegister, ErasureReplay, ErasureRule, ReplayResult, SubjectId,
};
pub use fact::{Entry, Fact, Issue, Outcome};
pub use hold::{Hold, HoldRelease};
pub use ids::{
    ChangeId, HoldName, IdError, ObligationId, PointId, ProtectionId, RunId, SystemName, VaultName,
};
pub use locks::{CopyLock, HiddenObject, LockMode, VaultLocks};
pub use log::{LogCopy, LogGap, LogGapCause, LogShipped, LogToken};
pub use manifest::{Difference, DigestEntry, DigestManifest, Engine};
pub use obligation::{Obligation, ObligationKind};
pub use people::{DutyKind, People, PeopleDuty};
pub use people_fact::PeopleFact;
pub use period::{Fulfilment, PeriodAssessment, PeriodCounts, PeriodVerdict};
pub use policy::{Access, Limits, MinTls, Policy, Protection, System, Vault};
pub use record::{SigningKeyChange, Timestamping, Witnessing};
pub use secret::{Secret, SecretRef};
pub use size::human_bytes;
pub use source_url::{SourceKind, SourceUrl};
pub use space::{StorageState, VaultSpace};
pub use time::{Span, Time};
pub use vault_url::{VaultPlace, VaultUrlError, Wire};
pub use verdict::{Strength, Verdict};
