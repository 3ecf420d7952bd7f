//! The keeper at work: one policy, one state directory, one ledger.

use std::path::PathBuf;
use std::sync::Arc;

use vouchsafe_capture::CaptureContext;
use vouchsafe_host::clock::Clock;
use vouchsafe_host::machine;
use vouchsafe_host::process::Spawn;
use vouchsafe_host::random::Random;
use vouchsafe_host::signals::Interrupt;
use vouchsafe_ledger::Ledger;
use vouchsafe_model::fact::Recorded;
use vouchsafe_model::{Policy, Protection, ProtectionId, System, VaultName};
use vouchsafe_vault::Env;

use crate::change::{self, Bound};
use crate::error::KeeperError;
use crate::events::Reporter;
use crate::state::State;
use crate::vaults::{self, VaultHandle};

/// What the keeper uses of the machine.
#[derive(Clone)]
pub struct Tools {
    /// Tells the time.
    pub clock: Arc<dyn Clock>,
    /// Gives randomness.
    pub random: Arc<dyn Random>,
    /// Set when the user wants to stop.
    pub interrupt: Interrupt,
    /// Starts programs outside drills.
    pub spawn: Arc<dyn Spawn>,
}

impl Tools {
    /// What the engine needs to know of its surroundings.
    pub fn env(&self) -> Env {
        Env {
            clock: Arc::clone(&self.clock),
            random: Arc::clone(&self.random),
            interrupt: self.interrupt.clone(),
            hostname: machine::hostname(),
            username: machine::username(),
            pid: machine::pid(),
            uid: machine::uid(),
            gid: machine::gid(),
            program_version: crate::record::tool(),
        }
    }
}

/// One policy, its state and its ledger, open.
pub struct Keeper {
    /// The policy in force: the one that was given, but for what it weakens and nobody has agreed to yet.
    pub policy: Policy,
    /// Its text, as the file has it.
    pub policy_text: Vec<u8>,
    /// The state directory.
    pub state: State,
    /// The record.
    pub ledger: Ledger,
    /// The machine.
    pub tools: Tools,
    /// What binds beside the policy that was given.
    pub bound: Bound,
    /// The policy's file, for git; `policy.yaml` in its folder if it is not said.
    pub policy_file: Option<PathBuf>,
}

impl Keeper {
    /// Opens an initialised state.
    pub fn open(
        policy: Policy,
        policy_text: Vec<u8>,
        state: State,
        tools: Tools,
    ) -> Result<Keeper, KeeperError> {
        if !state.is_initialised()? {
            return Err(KeeperError::NotInitialised {
                place: state.root().display().to_string(),
            });
        }
        let ledger = crate::ledger_key::open_ledger(&state)?;
        Keeper::over(policy, policy_text, state, ledger, tools)
    }

    /// Over a ledger that is open, with what binds by its account.
    pub(crate) fn over(
        policy: Policy,
        policy_text: Vec<u8>,
        state: State,
        ledger: Ledger,
        tools: Tools,
    ) -> Result<Keeper, KeeperError> {
        let (policy, bound) = change::bind(policy, &policy_text, &ledger, &state, &tools)?;
        Ok(Keeper {
            policy,
            policy_text,
            state,
            ledger,
            tools,
            bound,
            policy_file: None,
        })
    }

    /// Every fact so far.
    pub fn facts(&self) -> Result<Vec<Recorded>, KeeperError> {
        Ok(self.ledger.read_all()?)
    }

    /// Opens a vault.
    pub fn vault(&self, name: &VaultName) -> Result<VaultHandle, KeeperError> {
        let spec = vaults::find(&self.policy, name.as_str())?;
        vaults::open(spec, &self.policy.base, &self.state, &self.tools)
    }

    /// The vaults of the policy that this version can reach.
    pub fn connected_vaults(&self) -> impl Iterator<Item = &VaultName> {
        let all = self.policy.vaults.values();
        all.filter(|v| vaults::is_connected(v)).map(|v| &v.name)
    }

    /// The protections that `names` ask for (`system` or `system/protection`); all if there are none.
    pub fn select(&self, names: &[String]) -> Result<Vec<(&System, &Protection)>, KeeperError> {
        if names.is_empty() {
            return Ok(self
                .policy
                .protections()
                .filter(|(s, _)| s.exempt.is_none())
                .collect());
        }
        let mut out: Vec<(&System, &Protection)> = Vec::new();
        for name in names {
            let found: Vec<_> = self
                .policy
                .protections()
                .filter(|(s, p)| s.name.as_str() == name || p.id.to_string() == *name)
                .collect();
            if found.is_empty() {
                return Err(self.unknown(name));
            }
            for pair in found {
                if !out.iter().any(|(_, p)| p.id == pair.1.id) {
                    out.push(pair);
                }
            }
        }
        Ok(out)
    }

    pub(crate) fn unknown(&self, name: &str) -> KeeperError {
        let known: Vec<_> = self.policy.systems.keys().map(|s| s.as_str()).collect();
        KeeperError::UnknownSystem {
            name: name.to_owned(),
            known: known.join(", "),
        }
    }

    /// Directories of our own that are never captured: the state, and every local vault.
    pub fn own_places(&self) -> Vec<PathBuf> {
        let vaults = self
            .policy
            .vaults
            .values()
            .filter_map(|v| vaults::local_dir(v, &self.policy.base));
        let all = vaults.chain([self.state.root().to_owned()]);
        all.map(|p| vouchsafe_host::files::canonicalize(&p).unwrap_or(p))
            .collect()
    }

    /// Calls `work` with what a source may use outside of a drill.
    pub(crate) fn with_context<T>(
        &self,
        id: &ProtectionId,
        reporter: &dyn Reporter,
        work: impl FnOnce(&CaptureContext<'_>) -> Result<T, KeeperError>,
    ) -> Result<T, KeeperError> {
        let work_dir = self.state.work_dir(id)?;
        let own_places = self.own_places();
        work(&CaptureContext {
            spawn: self.tools.spawn.as_ref(),
            clock: self.tools.clock.as_ref(),
            work_dir: &work_dir,
            interrupt: &self.tools.interrupt,
            progress: reporter.progress(),
            own_places: &own_places,
        })
    }

    pub(crate) fn stop_if_asked(&self) -> Result<(), KeeperError> {
        if self.tools.interrupt.requested() {
            Err(KeeperError::Interrupted)
        } else {
            Ok(())
        }
    }
}

/// Where the ledger of a state directory lies.
pub(crate) fn ledger_url(state: &State) -> String {
    format!("sqlite:{}", state.ledger_path().display())
}
