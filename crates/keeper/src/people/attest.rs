//! A person states how a duty came out, and hands in what goes with it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use vouchsafe_host::files;
use vouchsafe_model::attestation::{Refusal, StatedFile};
use vouchsafe_model::fact::{Fact, Recorded};
use vouchsafe_model::people::{Capacity, HandedFile, HandedIn, PeopleDuty, When};
use vouchsafe_model::policy::Way;
use vouchsafe_model::{
    Attestation, DutyOutcome, Identity, Issue, Obligation, ObligationId, PeopleFact, Protection,
    Span, Statement, System, Time,
};
use vouchsafe_policy::people::CLOCK_AHEAD;

use crate::catalogue::{self, Catalogue, KnownPoint};
use crate::error::KeeperError;
use crate::events::Reporter;
use crate::keeper::Keeper;
use crate::people::signature;
use crate::people::upload::{Aside, Looked, NotTaken, look_at_input};

/// What somebody states.
#[derive(Clone, Debug)]
pub struct AttestOrder {
    /// The duty's name, or the protection (or its system) that something is handed in for.
    pub duty: String,
    /// What it is about, where each of several things owes one of its own.
    pub about: Option<String>,
    /// How it came out.
    pub outcome: DutyOutcome,
    /// Why, or what was found.
    pub reason: String,
    /// Who says so: an address, or the name of a person in the policy.
    pub by: String,
    /// The private key to sign with.
    pub key: Option<PathBuf>,
    /// Where the statement lies in order to be signed elsewhere, its signature beside it as `FILE.sig`.
    pub statement: Option<PathBuf>,
    /// What is handed in.
    pub files: Vec<PathBuf>,
    /// Whether a much smaller upload than the last one is right.
    pub smaller_is_right: bool,
}

/// What came of it, and what is still missing.
#[derive(Clone, Debug)]
pub struct AttestDone {
    /// What came of it.
    pub end: AttestEnd,
    /// Why what was handed in and recorded is not in every vault that it is meant for.
    pub not_copied: Vec<Issue>,
    /// Vaults that do not have the record of it, and why.
    pub unpublished: Vec<Issue>,
}

/// How a statement ended.
#[derive(Clone, Debug)]
pub enum AttestEnd {
    /// It is in the record.
    Recorded(Box<Attestation>),
    /// What was handed in was not taken, and nothing is answered.
    Refused(Refusal),
    /// The statement was written, to be signed.
    ToSign {
        /// Where.
        path: PathBuf,
        /// What to type.
        command: String,
    },
}

/// How old a statement may be that was written to be signed.
const SIGN_WITHIN: Span = Span::from_days(7);

/// What a statement answers.
enum Asked<'a> {
    Duty(&'a PeopleDuty),
    Slot(&'a System, &'a Protection),
}

impl Keeper {
    /// Records what a person states, if that person may; captures what is handed in for a protection, if it is good.
    /// What is in the first vault is recorded, whatever becomes of the others.
    ///
    /// # Errors
    /// [`KeeperError::Refused`] if the person may not, nothing of the kind is owed, or a signature is wrong; whatever a
    /// capture ends with.
    pub fn attest(
        &self,
        order: &AttestOrder,
        reporter: &dyn Reporter,
    ) -> Result<AttestDone, KeeperError> {
        let _lock = self.state.lock()?;
        self.reconcile()?;
        let facts = self.facts()?;
        let now = self.tools.clock.now();
        let by = self.policy.people.address(&order.by);
        let refused = |reason: String| KeeperError::Refused {
            subject: order.duty.clone(),
            reason,
        };
        if by.trim().is_empty() || order.reason.trim().is_empty() {
            return Err(refused("a statement says who makes it, and why".to_owned()));
        }
        let asked = self.asked(&order.duty)?;
        let capacity = self.capacity(&asked, &by).map_err(refused)?;
        let owed = self
            .to_answer(&facts, &asked, order, &by, now)
            .map_err(refused)?;
        let (files, handed) = match self.look(&facts, &asked, order)? {
            Ok(looked) => looked,
            Err(not_taken) => return self.refuse(order, &by, not_taken, reporter),
        };
        let owed = match of_its_time(handed.as_ref().map(|(_, handed)| handed), owed) {
            Ok(owed) => owed,
            Err(because) => {
                let file = files.first().map(|f| f.name.clone()).unwrap_or_default();
                return self.refuse(order, &by, NotTaken { file, because }, reporter);
            }
        };
        let fresh = Statement {
            duty: asked.name(),
            obligations: owed.iter().map(|o| o.id.clone()).collect(),
            outcome: order.outcome,
            reason: order.reason.clone(),
            by,
            at: now,
            policy: self.policy.digest.clone(),
            files,
        };
        let (statement, identity) = match self.signed(&facts, order, fresh).map_err(refused)? {
            Signing::Done(statement, identity) => (statement, identity),
            Signing::Wanted(end) => {
                return Ok(AttestDone {
                    end,
                    not_copied: Vec::new(),
                    unpublished: Vec::new(),
                });
            }
        };
        let (handed_in, not_copied) = match (&asked, handed) {
            (Asked::Slot(_, protection), Some((_aside, handed))) => {
                (Some(handed), self.store(protection, order, reporter)?)
            }
            _ => (None, Vec::new()),
        };
        let attestation = Attestation {
            statement,
            capacity,
            identity,
            handed_in,
        };
        self.record(vec![Fact::People(PeopleFact::Attested(
            attestation.clone(),
        ))])?;
        Ok(AttestDone {
            end: AttestEnd::Recorded(Box::new(attestation)),
            not_copied,
            unpublished: self.publish(reporter)?,
        })
    }

    /// Captures what lies aside, and copies it on; why it is not in every vault. It has to be whole in the first one.
    fn store(
        &self,
        protection: &Protection,
        order: &AttestOrder,
        reporter: &dyn Reporter,
    ) -> Result<Vec<Issue>, KeeperError> {
        let report = self.run_one(protection, Some(order.reason.as_str()), reporter)?;
        let known = Catalogue::of(&self.facts()?);
        let point = report.point.as_ref().and_then(|point| known.get(point));
        if point.is_some_and(KnownPoint::is_complete) {
            return Ok(report.issues);
        }
        let why = report.issues.first().map(|i| i.message.clone());
        let why = why.unwrap_or_else(|| "see the messages above".to_owned());
        Err(KeeperError::Refused {
            subject: order.duty.clone(),
            reason: format!(
                "what was handed in was not stored, and nothing is recorded as done: {why}"
            ),
        })
    }

    fn asked(&self, name: &str) -> Result<Asked<'_>, KeeperError> {
        if let Some(duty) = self.policy.people.duties.get(name) {
            return Ok(Asked::Duty(duty));
        }
        let by_hand = || {
            self.policy.protections().filter(|(system, p)| {
                system.exempt.is_none() && matches!(p.way, Way::Manual { .. })
            })
        };
        let mine: Vec<_> = by_hand()
            .filter(|(system, p)| p.id.to_string() == name || system.name.as_str() == name)
            .collect();
        match mine.as_slice() {
            [one] => Ok(Asked::Slot(one.0, one.1)),
            [] => {
                let slots = by_hand().map(|(_, p)| p.id.to_string());
                let names: Vec<String> = self
                    .policy
                    .people
                    .duties
                    .keys()
                    .cloned()
                    .chain(slots)
                    .collect();
                let reason = match names.is_empty() {
                    true => "the policy asks nothing of people".to_owned(),
                    false => format!("the policy has no such duty; it has {}", names.join(", ")),
                };
                Err(KeeperError::Refused {
                    subject: name.to_owned(),
                    reason,
                })
            }
            several => {
                let names: Vec<String> = several.iter().map(|(_, p)| p.id.to_string()).collect();
                Err(KeeperError::Refused {
                    subject: name.to_owned(),
                    reason: format!("which one is meant? {}", names.join(", ")),
                })
            }
        }
    }

    fn capacity(&self, asked: &Asked<'_>, by: &str) -> Result<Capacity, String> {
        let people = &self.policy.people;
        let (capacity, holders, delegates) = match asked {
            Asked::Duty(duty) => (
                duty.capacity(people, by),
                duty.holders(people),
                duty.delegates(people),
            ),
            Asked::Slot(system, _) => {
                let owner: Vec<String> = system.owner.iter().cloned().collect();
                (
                    people.capacity(by, &owner, None),
                    people.all_holders(&owner),
                    people.all_delegates(&owner, None),
                )
            }
        };
        capacity.ok_or_else(|| {
            let list = |names: BTreeSet<String>| names.into_iter().collect::<Vec<_>>().join(", ");
            let instead = match delegates.is_empty() {
                true => String::new(),
                false => format!(", or instead {}", list(delegates)),
            };
            format!(
                "{by} may not answer it; it is owed by {}{instead}",
                list(holders)
            )
        })
    }

    /// What the statement answers: the newest that has opened, even if it was answered already, and older ones that
    /// are still in time.
    fn to_answer<'f>(
        &self,
        facts: &'f [Recorded],
        asked: &Asked<'_>,
        order: &AttestOrder,
        by: &str,
        now: Time,
    ) -> Result<Vec<&'f Obligation>, String> {
        let answered = catalogue::answered(facts);
        let mut promised: BTreeMap<&ObligationId, &Obligation> = BTreeMap::new();
        for recorded in facts {
            match &recorded.entry.fact {
                Fact::ObligationDue(owed) if asked.owes(owed, by) => {
                    promised.insert(&owed.id, owed);
                }
                Fact::ObligationsWithdrawn { obligations, .. } => {
                    promised.retain(|id, _| !obligations.contains(id));
                }
                _ => {}
            }
        }
        let opened = promised.into_values().filter(|o| o.opens <= now);
        let mut opened: Vec<&Obligation> = opened.collect();
        opened.sort();
        if let Asked::Duty(duty) = asked
            && !duty.about.iter().all(|a| a.name.is_none())
        {
            let names: Vec<&str> = duty
                .about
                .iter()
                .filter_map(|a| a.name.as_deref())
                .collect();
            let about = order.about.as_deref();
            if !about.is_some_and(|a| names.contains(&a)) {
                let all = names.join(", ");
                return Err(format!("say with --about what it is about: {all}"));
            }
            opened.retain(|o| o.about.as_deref() == about);
        } else if order.about.is_some() {
            return Err("it is one for the whole; leave --about out".to_owned());
        }
        let is_answered = |id: &ObligationId| answered.contains(id);
        let newest = opened.last().copied();
        if order.outcome == DutyOutcome::Declined && newest.is_some_and(|o| is_answered(&o.id)) {
            return Err("it was done already, so it cannot be declined".to_owned());
        }
        let mut out: Vec<&Obligation> = opened
            .iter()
            .filter(|o| !is_answered(&o.id) && o.due >= now)
            .copied()
            .collect();
        if let Some(newest) = newest.filter(|n| !out.iter().any(|o| o.id == n.id)) {
            out.push(newest);
        }
        let may_be_none = match asked {
            Asked::Slot(..) => true,
            Asked::Duty(duty) => match &duty.when {
                When::After(_) => true,
                // Its day had passed before it was owed.
                When::By { end, .. } => *end <= now,
                When::Every(_) => false,
            },
        };
        if out.is_empty() && !may_be_none {
            return Err("nothing of it is owed now; see `vouchsafe duties --days 100`".to_owned());
        }
        Ok(out)
    }

    /// Looks at what is handed in.
    #[expect(
        clippy::type_complexity,
        reason = "what was looked at, or why not, or why it could not be"
    )]
    fn look(
        &self,
        facts: &[Recorded],
        asked: &Asked<'_>,
        order: &AttestOrder,
    ) -> Result<Result<(Vec<StatedFile>, Option<(Aside, HandedIn)>), NotTaken>, KeeperError> {
        let refused = |reason: &str| {
            Err(KeeperError::Refused {
                subject: order.duty.clone(),
                reason: reason.to_owned(),
            })
        };
        let declined = order.outcome == DutyOutcome::Declined;
        if declined && !order.files.is_empty() {
            return refused("who declines hands nothing in; leave --file out");
        }
        match asked {
            Asked::Slot(..) if !declined && order.files.is_empty() => {
                refused("name with --file what is handed in")
            }
            Asked::Slot(_, protection) if !declined => {
                let looked =
                    self.look_at_upload(facts, protection, &order.files, order.smaller_is_right)?;
                Ok(match looked {
                    Looked::Good(aside, handed) => {
                        let files = handed.files.iter().map(stated).collect();
                        Ok((files, Some((aside, handed))))
                    }
                    Looked::Bad(not_taken) => Err(not_taken),
                })
            }
            _ => {
                let looked: Result<Vec<StatedFile>, NotTaken> = order
                    .files
                    .iter()
                    .map(|path| look_at_input(path).map(|file| stated(&file)))
                    .collect();
                Ok(looked.map(|files| (files, None)))
            }
        }
    }

    fn refuse(
        &self,
        order: &AttestOrder,
        by: &str,
        not_taken: NotTaken,
        reporter: &dyn Reporter,
    ) -> Result<AttestDone, KeeperError> {
        let refusal = Refusal {
            duty: order.duty.clone(),
            file: not_taken.file,
            by: by.to_owned(),
            because: not_taken.because,
        };
        self.record(vec![Fact::People(PeopleFact::Refused(refusal.clone()))])?;
        Ok(AttestDone {
            end: AttestEnd::Refused(refusal),
            not_copied: Vec::new(),
            unpublished: self.publish(reporter)?,
        })
    }

    fn signed(
        &self,
        facts: &[Recorded],
        order: &AttestOrder,
        fresh: Statement,
    ) -> Result<Signing, String> {
        let now = fresh.at;
        let keys = self.policy.people.keys(&fresh.by);
        if let Some(key) = &order.key {
            let identity = signature::sign(key, &fresh.text(), &keys)?;
            return Ok(Signing::Done(fresh, identity));
        }
        let Some(path) = &order.statement else {
            return Ok(Signing::Done(fresh, Identity::Unverified));
        };
        let failed = |e: vouchsafe_host::FileError| crate::error::chain(&e);
        if !files::exists(path).map_err(failed)? {
            files::write_atomic(path, fresh.text().as_bytes(), 0o600).map_err(failed)?;
            let command = format!(
                "ssh-keygen -Y sign -n {} -f KEY {}",
                signature::NAMESPACE,
                path.display()
            );
            return Ok(Signing::Wanted(AttestEnd::ToSign {
                path: path.clone(),
                command,
            }));
        }
        let text = files::read_to_string(path, LONGEST).map_err(failed)?;
        let place = path.display();
        let said: Statement = serde_json::from_str(&text).map_err(|e| {
            format!("{place} is no statement ({e}); remove it, and it is written anew")
        })?;
        if let Some(entry) = recorded_as(facts, &said) {
            return Err(format!(
                "what {place} says is recorded already, by entry {entry}; remove it with its signature, and it is \
                 written anew"
            ));
        }
        let expected = Statement {
            at: said.at,
            ..fresh
        };
        let young = said.at <= now.plus(CLOCK_AHEAD) && now.since(said.at) <= SIGN_WITHIN;
        if expected.text() != text || !young {
            return Err(format!(
                "{place} does not say what would be recorded now; remove it with its signature, and it is written anew"
            ));
        }
        let beside = signature_path(path);
        if !files::exists(&beside).map_err(failed)? {
            return Err(format!(
                "there is no signature in {}; make it with `ssh-keygen -Y sign -n {} -f KEY {place}`",
                beside.display(),
                signature::NAMESPACE
            ));
        }
        let armored = files::read_to_string(&beside, LONGEST).map_err(failed)?;
        let identity = signature::verify(&armored, &text, &keys)?;
        Ok(Signing::Done(said, identity))
    }
}

/// No statement and no signature is longer, in bytes.
const LONGEST: u64 = 1 << 20;

enum Signing {
    Done(Statement, Identity),
    Wanted(AttestEnd),
}

impl Asked<'_> {
    fn name(&self) -> String {
        match self {
            Asked::Duty(duty) => duty.name.clone(),
            Asked::Slot(_, protection) => protection.id.to_string(),
        }
    }

    fn owes(&self, owed: &Obligation, by: &str) -> bool {
        match self {
            Asked::Duty(duty) => {
                owed.duty.as_ref() == Some(&duty.name)
                    && (!duty.each_person || owed.person.as_deref() == Some(by))
            }
            Asked::Slot(_, protection) => {
                owed.protection.as_ref() == Some(&protection.id)
                    && owed.kind == vouchsafe_model::ObligationKind::Capture
            }
        }
    }
}

/// Of what is owed only what had opened when the oldest of the files was made: what was made before a period began shows
/// nothing of it.
fn of_its_time<'f>(
    handed: Option<&HandedIn>,
    owed: Vec<&'f Obligation>,
) -> Result<Vec<&'f Obligation>, String> {
    let made = handed.and_then(|h| h.files.iter().map(|f| f.modified).min());
    let (Some(made), Some(first)) = (made, owed.iter().map(|o| o.opens).min()) else {
        return Ok(owed);
    };
    if made < first {
        return Err(format!(
            "it was made {}, before the period that it is for began ({}); make the export anew",
            made.minute(),
            first.minute()
        ));
    }
    Ok(owed.into_iter().filter(|o| o.opens <= made).collect())
}

/// The entry that holds a signed statement already: whoever has a copy of it does not say it again.
fn recorded_as(facts: &[Recorded], said: &Statement) -> Option<u64> {
    let same = |fact: &Fact| match fact {
        Fact::People(PeopleFact::Attested(known)) => {
            known.identity.is_verified() && known.statement == *said
        }
        _ => false,
    };
    facts.iter().find(|r| same(&r.entry.fact)).map(|r| r.seq)
}

fn stated(file: &HandedFile) -> StatedFile {
    StatedFile {
        name: file.name.clone(),
        bytes: file.bytes,
        digest: file.digest.clone(),
    }
}

/// Where `ssh-keygen -Y sign` puts the signature of a file.
fn signature_path(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".sig");
    PathBuf::from(name)
}
