//! What every command starts from: the policy, the state, the machine.

use std::path::PathBuf;
use std::sync::Arc;

use vouchsafe_host::clock::SystemClock;
use vouchsafe_host::machine;
use vouchsafe_host::process::LocalSpawn;
use vouchsafe_host::random::OsRandom;
use vouchsafe_host::signals::Interrupt;
use vouchsafe_keeper::{Keeper, PolicyFile, State, Tools};
use vouchsafe_model::{Policy, Time};

use crate::args::Cli;
use crate::exit::Failure;
use crate::findings;
use crate::output::Output;

/// One call of the command line.
pub(crate) struct Session {
    /// The policy file's path, absolute.
    pub(crate) policy_path: PathBuf,
    /// The same as it was named, for those who know files by other addresses.
    pub(crate) policy_argument: PathBuf,
    /// The state directory.
    pub(crate) state: State,
    /// Where results go.
    pub(crate) output: Output,
    /// The machine.
    pub(crate) tools: Tools,
}

impl Session {
    /// Reads nothing but the arguments, and takes over the signals.
    pub(crate) fn new(cli: &Cli) -> Result<Session, Failure> {
        let here = machine::current_dir().map_err(vouchsafe_keeper::KeeperError::from)?;
        let policy_path = here.join(&cli.policy);
        let state = match &cli.state {
            Some(dir) => here.join(dir),
            None => PolicyFile::default_state(&policy_path),
        };
        Ok(Session {
            policy_path,
            policy_argument: cli.policy.clone(),
            state: State::at(state),
            output: Output::new(cli.json),
            tools: Tools {
                clock: Arc::new(SystemClock::new()),
                random: Arc::new(OsRandom),
                interrupt: Interrupt::install()?,
                spawn: Arc::new(LocalSpawn),
            },
        })
    }

    /// The same machine with another policy and state.
    pub(crate) fn elsewhere(&self, policy_path: PathBuf) -> Session {
        Session {
            state: State::at(PolicyFile::default_state(&policy_path)),
            policy_argument: policy_path.clone(),
            policy_path,
            output: self.output,
            tools: self.tools.clone(),
        }
    }

    /// Now.
    pub(crate) fn now(&self) -> Time {
        self.tools.clock.now()
    }

    /// The policy, if it has no errors; else its findings as the failure.
    pub(crate) fn policy(&self) -> Result<(Policy, Vec<u8>), Failure> {
        let (policy, file) = self.policy_file()?;
        Ok((policy, file.text.into_bytes()))
    }

    /// The policy with everything that is known of its file.
    pub(crate) fn policy_file(&self) -> Result<(Policy, PolicyFile), Failure> {
        let file = PolicyFile::read(&self.policy_path)?;
        match file.lowered.policy.clone() {
            Some(policy) => Ok((policy, file)),
            None => {
                let errors = file
                    .lowered
                    .problems
                    .iter()
                    .filter(|p| findings::is_error(p));
                let rows: Vec<String> = errors.map(|p| findings::line(&file, p)).collect();
                Err(Failure::Usage(format!(
                    "the policy cannot be used:\n  {}\nsee `vouchsafe lint`",
                    rows.join("\n  ")
                )))
            }
        }
    }

    /// The keeper over an initialised state.
    pub(crate) fn keeper(&self) -> Result<Keeper, Failure> {
        let (policy, text) = self.policy()?;
        let mut keeper = Keeper::open(policy, text, self.state.clone(), self.tools.clone())?;
        keeper.policy_file = Some(self.policy_path.clone());
        Ok(keeper)
    }

    /// A time as given on the command line.
    pub(crate) fn time(&self, text: &str) -> Result<Time, Failure> {
        text.parse()
            .map_err(|e: vouchsafe_model::time::TimeError| Failure::Usage(e.to_string()))
    }
}
