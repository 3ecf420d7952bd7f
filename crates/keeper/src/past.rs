//! Which policy was in force at a time that is over: what was done then is judged by what was promised then.

use vouchsafe_model::fact::Recorded;
use vouchsafe_model::{Policy, Time};
use vouchsafe_policy::change::Standing;

use crate::change::{self, Bound};
use crate::error::KeeperError;
use crate::keeper::Keeper;

/// The policy that was in force at a time.
#[derive(Debug)]
pub struct InForce {
    /// The policy, with the older rules that bound beside its text.
    pub policy: Policy,
    /// Its text.
    pub text: Vec<u8>,
    /// What bound beside the text.
    pub bound: Bound,
}

/// By which policy a time is judged.
#[derive(Debug)]
pub enum JudgedBy {
    /// The present one, which was in force then, too, if the time is not the present.
    Present,
    /// The one that was in force then.
    Then(Box<InForce>),
    /// The present one, though it was not in force then; and why.
    PresentInstead(String),
}

impl JudgedBy {
    /// The policy.
    pub fn policy<'k>(&'k self, keeper: &'k Keeper) -> &'k Policy {
        match self {
            JudgedBy::Then(then) => &then.policy,
            JudgedBy::Present | JudgedBy::PresentInstead(_) => &keeper.policy,
        }
    }

    /// Its text.
    pub fn text<'k>(&'k self, keeper: &'k Keeper) -> &'k [u8] {
        match self {
            JudgedBy::Then(then) => &then.text,
            JudgedBy::Present | JudgedBy::PresentInstead(_) => &keeper.policy_text,
        }
    }

    /// What bound beside it.
    pub fn bound<'k>(&'k self, keeper: &'k Keeper) -> &'k Bound {
        match self {
            JudgedBy::Then(then) => &then.bound,
            JudgedBy::Present | JudgedBy::PresentInstead(_) => &keeper.bound,
        }
    }

    /// What a reader has to know of it, as a sentence; nothing of the present.
    pub fn sentence(&self) -> Option<String> {
        match self {
            JudgedBy::Present => None,
            JudgedBy::Then(then) => {
                let version = then.policy.front.version.as_ref();
                let version = version.map_or_else(String::new, |v| format!("version {v}, "));
                Some(format!(
                    "judged by the policy that was in force then: {version}SHA-256 {}",
                    short(&then.policy.digest)
                ))
            }
            JudgedBy::PresentInstead(why) => Some(format!("judged by the present policy: {why}")),
        }
    }
}

impl Keeper {
    /// By which policy `at` is judged; `facts` are those up to then. A text is looked for where texts are kept: in the
    /// state, and in the vaults. One that is nowhere to be had is no reason to say nothing: the present policy stands
    /// in, and [`JudgedBy::sentence`] tells.
    ///
    /// # Errors
    /// [`KeeperError`] if the state cannot be read.
    pub fn judged_by(&self, at: Option<Time>, facts: &[Recorded]) -> Result<JudgedBy, KeeperError> {
        let now = self.tools.clock.now();
        if at.is_none_or(|at| at >= now) {
            return Ok(JudgedBy::Present);
        }
        let standing = Standing::of(facts);
        let Some(digest) = standing.in_force.clone() else {
            let why = "none was in force then".to_owned();
            return Ok(JudgedBy::PresentInstead(why));
        };
        let written = &self.bound.written;
        let is_present = digest == written.digest && standing.binding == [digest.as_str()];
        if is_present && self.bound.older.is_empty() && self.bound.unread.is_empty() {
            return Ok(JudgedBy::Present);
        }
        let Some(text) = self.text_of_policy(&digest)? else {
            let why = format!(
                "the text of the one that was in force then, SHA-256 {}, is nowhere to be had",
                short(&digest)
            );
            return Ok(JudgedBy::PresentInstead(why));
        };
        let Some(then) = change::read(text, written, &digest) else {
            let why = format!(
                "the text of the one that was in force then, SHA-256 {}, cannot be read by this version",
                short(&digest)
            );
            return Ok(JudgedBy::PresentInstead(why));
        };
        let (policy, bound) =
            change::bind_by(standing, then.policy, &then.text, &self.state, &self.tools)?;
        Ok(JudgedBy::Then(Box::new(InForce {
            policy,
            text: then.text,
            bound,
        })))
    }

    fn text_of_policy(&self, digest: &str) -> Result<Option<Vec<u8>>, KeeperError> {
        if *digest == self.bound.written.digest {
            return Ok(Some(self.policy_text.clone()));
        }
        change::text_of(digest, &self.bound.written, &self.state, &self.tools)
    }
}

fn short(digest: &str) -> &str {
    digest.get(..12).unwrap_or(digest)
}
