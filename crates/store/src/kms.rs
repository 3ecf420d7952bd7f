//! Key services: they wrap a passphrase, so that it may lie beside what it opens, and unwrap it again.

use std::sync::Arc;
use std::time::Duration;

use vouchsafe_host::Clock;
use vouchsafe_host::process::{Command, ProcessError, Spawn, Stdin, run_captured};
use vouchsafe_model::{MinTls, Secret, WrapCommand};

/// What is wrapped is bound to this. A service that knows no such binding is told of it, and no more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bound {
    /// The repository that the passphrase opens: its id, lower hex.
    pub repository: String,
    /// What the wrapped bytes are for.
    pub purpose: &'static str,
}

/// Bytes that were wrapped, and by which key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wrapped {
    /// The key as the service names it; an alias leads to it.
    pub key: String,
    /// What it made of the secret.
    pub bytes: Vec<u8>,
}

/// What a service says of its key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyState {
    /// The key as the service names it.
    pub key: String,
    /// Whether it wraps and unwraps now.
    pub usable: bool,
    /// In the service's own words.
    pub said: String,
}

/// Wraps and unwraps secrets of at most [`LONGEST`] bytes. Every call may be repeated.
pub trait KeyService: Send + Sync {
    /// The key, for people, without secrets.
    fn describe(&self) -> String;

    /// Wraps a secret.
    ///
    /// # Errors
    /// [`KmsError`]; the secret is in none of them.
    fn wrap(&self, secret: &Secret, bound: &Bound) -> Result<Wrapped, KmsError>;

    /// Gives back what was wrapped with the same key and the same binding.
    ///
    /// # Errors
    /// [`KmsError`]; what a service without authentication makes of damaged bytes may be no error and no passphrase
    /// either: what comes back is worth what it opens.
    fn unwrap(&self, wrapped: &Wrapped, bound: &Bound) -> Result<Secret, KmsError>;

    /// Asks whether the key can be used, without using it; nothing where there is nobody to ask.
    ///
    /// # Errors
    /// [`KmsError`].
    fn probe(&self) -> Result<Option<KeyState>, KmsError>;
}

/// The longest secret, in bytes: what AWS KMS takes.
pub const LONGEST: usize = 4096;

/// Why a key service did not do it.
#[derive(Debug, thiserror::Error)]
pub enum KmsError {
    /// No answer.
    #[error(
        "the {key} cannot be reached: {reason}; see whether its address and the network are right, and try again"
    )]
    Unreachable {
        /// Which key.
        key: String,
        /// Why.
        reason: String,
    },
    /// The service does not let us.
    #[error(
        "the {key} is not for us ({said}); the access key needs kms:Encrypt, kms:Decrypt and kms:DescribeKey on it"
    )]
    Denied {
        /// Which key.
        key: String,
        /// What the service said.
        said: String,
    },
    /// There is no such key.
    #[error(
        "the {key} does not exist ({said}); see whether key and region are right in the policy"
    )]
    Absent {
        /// Which key.
        key: String,
        /// What the service said.
        said: String,
    },
    /// It is disabled, or will be deleted.
    #[error(
        "the {key} cannot be used ({said}); if it is to be deleted, `aws kms cancel-key-deletion`, and then `aws kms enable-key`, bring it back while there is time"
    )]
    Unusable {
        /// Which key.
        key: String,
        /// What the service said.
        said: String,
    },
    /// It was another key.
    #[error(
        "the {key} did not wrap it, {wrapped_by} did; name that one in the policy, or wrap it anew with `vouchsafe key wrap`"
    )]
    OtherKey {
        /// Which key was asked.
        key: String,
        /// Which key it was.
        wrapped_by: String,
    },
    /// The bytes are not those that were wrapped, or not for this repository.
    #[error(
        "what is to be unwrapped by the {key} was changed, or was wrapped for another vault; put a whole copy back, or wrap it anew with `vouchsafe key wrap`"
    )]
    Altered {
        /// Which key.
        key: String,
    },
    /// Any other refusal.
    #[error("the {key} answered {code} {said}")]
    Refused {
        /// Which key.
        key: String,
        /// The service's code.
        code: String,
        /// What the service said.
        said: String,
    },
    /// It is longer than a service takes.
    #[error(
        "{bytes} bytes are more than the {key} wraps; a passphrase of at most {LONGEST} bytes can be wrapped"
    )]
    TooLong {
        /// Which key.
        key: String,
        /// How long it is.
        bytes: usize,
    },
    /// A program did not do it.
    #[error(
        "the {key} did not do it; the program must read standard input, write standard output and exit with 0"
    )]
    Command {
        /// Which key.
        key: String,
        /// Why.
        #[source]
        source: ProcessError,
    },
    /// A program gave nothing.
    #[error("the {key} gave nothing; the program must write what it made to standard output")]
    Nothing {
        /// Which key.
        key: String,
    },
    /// What the service needs is missing.
    #[error("the {key} cannot be asked: {needs}")]
    Access {
        /// Which key.
        key: String,
        /// What is missing, and what to do.
        needs: String,
    },
    /// This build speaks to no such service.
    #[error("this build does not speak to the {key}; take one with the feature `kms`")]
    NotBuilt {
        /// Which key.
        key: String,
    },
}

/// What opens AWS KMS; the secrets are there, no longer by reference.
#[derive(Clone, Debug)]
pub struct AwsAccess {
    /// The key's ARN, id or alias.
    pub key: String,
    /// The region that requests are signed for.
    pub region: String,
    /// The service's address, if it is not that of the region.
    pub endpoint: Option<String>,
    /// The identifier of the access key.
    pub access_key: Secret,
    /// The access key's secret.
    pub secret_key: Secret,
    /// The token of a session, where the access key is one of a session.
    pub session_token: Option<Secret>,
    /// The oldest version of TLS that is spoken.
    pub min_tls: MinTls,
}

/// Opens AWS KMS; nothing is sent yet.
///
/// # Errors
/// [`KmsError::Access`] for plain text to another machine and for secrets that are no text, [`KmsError::NotBuilt`].
pub fn open_aws(
    access: &AwsAccess,
    clock: Arc<dyn Clock>,
) -> Result<Arc<dyn KeyService>, KmsError> {
    #[cfg(feature = "kms")]
    return Ok(Arc::new(crate::remote::kms::AwsKms::open(access, clock)?));
    #[cfg(not(feature = "kms"))]
    {
        let _ = clock;
        Err(KmsError::NotBuilt {
            key: format!("AWS KMS key {}", access.key),
        })
    }
}

/// Programs as a key service.
pub struct CommandService {
    command: WrapCommand,
    vault: String,
    spawn: Arc<dyn Spawn>,
}

/// How long a program may take; it may ask a person to touch something.
const COMMAND_TIME: Duration = Duration::from_secs(120);
/// The most that a program may make of a secret.
const LONGEST_WRAPPED: usize = 64 << 10;

impl CommandService {
    /// Programs that are told the vault's name by `VOUCHSAFE_VAULT`.
    pub fn new(command: WrapCommand, vault: &str, spawn: Arc<dyn Spawn>) -> CommandService {
        CommandService {
            command,
            vault: vault.to_owned(),
            spawn,
        }
    }

    fn run(&self, words: &[String], input: Secret, bound: &Bound) -> Result<Vec<u8>, KmsError> {
        let key = || self.describe();
        let (program, arguments) = words.split_first().ok_or_else(|| KmsError::Access {
            key: key(),
            needs: "it names no program".to_owned(),
        })?;
        let command = Command::new(program)
            .args(arguments)
            .env("VOUCHSAFE_VAULT", &self.vault)
            .env("VOUCHSAFE_REPOSITORY", &bound.repository)
            .env("VOUCHSAFE_PURPOSE", bound.purpose)
            .stdin(Stdin::Bytes(input))
            .capture(LONGEST_WRAPPED);
        let output = run_captured(self.spawn.as_ref(), command, COMMAND_TIME)
            .map_err(|source| KmsError::Command { key: key(), source })?;
        Ok(output.stdout)
    }
}

impl KeyService for CommandService {
    fn describe(&self) -> String {
        vouchsafe_model::Kms::Command(self.command.clone()).to_string()
    }

    fn wrap(&self, secret: &Secret, bound: &Bound) -> Result<Wrapped, KmsError> {
        let bytes = self.run(&self.command.wrap, short(secret, self)?.clone(), bound)?;
        if bytes.is_empty() {
            return Err(KmsError::Nothing {
                key: self.describe(),
            });
        }
        let key = self.command.key.clone();
        Ok(Wrapped { key, bytes })
    }

    fn unwrap(&self, wrapped: &Wrapped, bound: &Bound) -> Result<Secret, KmsError> {
        if wrapped.key != self.command.key {
            return Err(KmsError::OtherKey {
                key: self.describe(),
                wrapped_by: format!("the key {}", wrapped.key),
            });
        }
        let input = Secret::new(wrapped.bytes.clone());
        let mut bytes = self.run(&self.command.unwrap, input, bound)?;
        // Many programs end their output like a line.
        if bytes.last() == Some(&b'\n') {
            bytes.pop();
        }
        if bytes.is_empty() {
            return Err(KmsError::Nothing {
                key: self.describe(),
            });
        }
        Ok(Secret::new(bytes))
    }

    fn probe(&self) -> Result<Option<KeyState>, KmsError> {
        Ok(None)
    }
}

/// The secret, if it is short enough to be wrapped.
pub(crate) fn short<'s>(
    secret: &'s Secret,
    service: &dyn KeyService,
) -> Result<&'s Secret, KmsError> {
    match secret.expose().len() {
        0..=LONGEST => Ok(secret),
        bytes => Err(KmsError::TooLong {
            key: service.describe(),
            bytes,
        }),
    }
}

#[cfg(test)]
mod tests {
    use vouchsafe_host::process::LocalSpawn;

    use super::*;

    fn service(wrap: &str, unwrap: &str) -> CommandService {
        let words = |script: &str| ["sh", "-c", script].map(String::from).to_vec();
        let command = WrapCommand {
            key: "safe".into(),
            wrap: words(wrap),
            unwrap: words(unwrap),
        };
        CommandService::new(command, "v", Arc::new(LocalSpawn::new()))
    }

    fn bound() -> Bound {
        Bound {
            repository: "ab".into(),
            purpose: "vault-passphrase",
        }
    }

    #[test]
    fn a_program_wraps_and_unwraps_and_its_failure_shows_no_secret() {
        let secret = Secret::new(b"open-sesame".to_vec());
        let turn = "tr 'a-z' 'n-za-m'";
        let good = service(turn, &format!("{turn}; echo"));
        let wrapped = good.wrap(&secret, &bound()).expect("wraps");
        assert_ne!(wrapped.bytes, secret.expose());
        assert_eq!(good.unwrap(&wrapped, &bound()).expect("unwraps"), secret);
        let other = Wrapped {
            key: "drawer".into(),
            ..wrapped.clone()
        };
        assert!(matches!(
            good.unwrap(&other, &bound()),
            Err(KmsError::OtherKey { .. })
        ));
        let bad = service("cat >&2; exit 3", "cat >/dev/null");
        let error = bad.wrap(&secret, &bound()).expect_err("fails");
        let told = format!("{error} {:?}", error);
        assert!(told.contains("safe") && !told.contains("sesame"), "{told}");
        assert!(matches!(
            bad.unwrap(&wrapped, &bound()),
            Err(KmsError::Nothing { .. })
        ));
    }

    #[test]
    fn a_program_is_told_what_it_is_for_and_a_long_secret_is_refused() {
        let asks = "test \"$VOUCHSAFE_VAULT $VOUCHSAFE_REPOSITORY $VOUCHSAFE_PURPOSE\" = 'v ab vault-passphrase' && cat";
        let secret = Secret::new(vec![b'x'; LONGEST]);
        service(asks, "cat").wrap(&secret, &bound()).expect("wraps");
        let long = Secret::new(vec![b'x'; LONGEST + 1]);
        let error = service(asks, "cat").wrap(&long, &bound());
        assert!(matches!(error, Err(KmsError::TooLong { bytes: 4097, .. })));
    }
}
