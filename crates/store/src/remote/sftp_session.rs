//! One SSH connection with an SFTP session over it: started when needed, started again when it broke.

use std::ffi::OsString;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use openssh_sftp_client::error::SftpErrorKind;
use openssh_sftp_client::{Error, Sftp, SftpOptions};
use tokio::net::unix::pipe::{Receiver, Sender};
use vouchsafe_host::process::{Child, Command, Stdin, Stdout};
use vouchsafe_model::VaultPlace;

use super::reason;
use super::{Means, RemoteAccess, runtime};
use crate::StoreError;

/// What is negotiated at most: ciphers that authenticate what they encrypt.
pub(super) const CIPHERS: &str =
    "chacha20-poly1305@openssh.com,aes256-gcm@openssh.com,aes128-gcm@openssh.com";

/// How long logging in may take.
const LOGIN: Duration = Duration::from_secs(60);

/// Where to log in, and the connection if there is one.
pub(super) struct Sessions {
    name: String,
    arguments: Vec<OsString>,
    means: Means,
    current: Mutex<Option<Arc<Session>>>,
}

/// A connection.
pub(super) struct Session {
    pub(super) sftp: Sftp,
    /// Ends with the session.
    child: Mutex<Child>,
}

impl Sessions {
    pub(super) fn new(
        name: String,
        place: &VaultPlace,
        access: &RemoteAccess,
        means: &Means,
    ) -> Self {
        Self {
            name,
            arguments: arguments(place, access),
            means: means.clone(),
            current: Mutex::default(),
        }
    }

    /// The connection, made now if there is none.
    pub(super) fn get(&self, key: &str) -> Result<Arc<Session>, StoreError> {
        let mut current = self.current();
        if let Some(session) = &*current {
            return Ok(Arc::clone(session));
        }
        let session = Arc::new(self.connect(key)?);
        *current = Some(Arc::clone(&session));
        Ok(session)
    }

    /// Sorts an error; a broken connection is let go, so that the next call makes a new one.
    pub(super) fn error(&self, error: &Error, key: &str, session: &Arc<Session>) -> StoreError {
        let (k, store) = (key.to_owned(), self.name.clone());
        // What the server said while a file was written comes wrapped.
        if let Error::IOError(io) = error
            && let Some(inner) = io.get_ref().and_then(|e| e.downcast_ref::<Error>())
        {
            return self.error(inner, key, session);
        }
        match error {
            Error::SftpError(SftpErrorKind::NoSuchFile, _) => {
                StoreError::NotFound { key: k, store }
            }
            Error::SftpError(SftpErrorKind::PermDenied, _) => StoreError::Denied { key: k, store },
            Error::SftpError(..) | Error::UnsupportedExtension(_) => {
                self.unavailable(key, reason(error), false)
            }
            broken => {
                let mut current = self.current();
                if current.as_ref().is_some_and(|c| Arc::ptr_eq(c, session)) {
                    *current = None;
                }
                drop(current);
                let said = session.said();
                self.unavailable(
                    key,
                    format!("the connection broke: {}{said}", reason(broken)),
                    true,
                )
            }
        }
    }

    fn connect(&self, key: &str) -> Result<Session, StoreError> {
        let mut command = Command::new("ssh")
            .args(&self.arguments)
            .stdin(Stdin::Pipe)
            .stdout(Stdout::Pipe);
        if let Some(agent) = &self.means.ssh_agent {
            command = command.env("SSH_AUTH_SOCK", agent);
        }
        let spawned = self.means.spawn.spawn(command);
        let mut child = spawned.map_err(|e| self.unavailable(key, reason(&e), false))?;
        let pipes = (child.stdin_writer(), child.stdout_reader());
        let (Some(input), Some(output)) = pipes else {
            return Err(self.unavailable(key, "ssh has no pipes".to_owned(), false));
        };
        let opened = runtime::wait(async {
            let input = Sender::from_owned_fd(input.into())?;
            let output = Receiver::from_owned_fd(output.into_pipe())?;
            let login = Sftp::new(input, output, SftpOptions::new());
            match tokio::time::timeout(LOGIN, login).await {
                Ok(done) => done,
                Err(_) => Err(Error::IOError(std::io::ErrorKind::TimedOut.into())),
            }
        });
        match opened {
            Ok(Ok(sftp)) => Ok(Session {
                sftp,
                child: Mutex::new(child),
            }),
            Ok(Err(error)) => {
                // ssh says why when it ends.
                let _ = child.wait_timeout(Duration::from_secs(2));
                Err(self.login_error(key, &reason(&error), child.last_words().trim()))
            }
            Err(no_runtime) => Err(self.unavailable(key, no_runtime, false)),
        }
    }

    fn login_error(&self, key: &str, error: &str, said: &str) -> StoreError {
        if said.contains("Permission denied") {
            return StoreError::Denied {
                key: key.to_owned(),
                store: self.name.clone(),
            };
        }
        let said: String = said
            .lines()
            .last()
            .unwrap_or(error)
            .chars()
            .take(300)
            .collect();
        let for_good = [
            "Host key verification failed",
            "Could not resolve",
            "Bad configuration",
            "no matching",
        ];
        let passing = !for_good.iter().any(|text| said.contains(text));
        self.unavailable(key, format!("ssh: {said}"), passing)
    }

    fn unavailable(&self, key: &str, reason: String, retryable: bool) -> StoreError {
        StoreError::Unavailable {
            key: key.to_owned(),
            store: self.name.clone(),
            reason,
            retryable,
        }
    }

    fn current(&self) -> MutexGuard<'_, Option<Arc<Session>>> {
        self.current.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Session {
    fn said(&self) -> String {
        let child = self.child.lock().unwrap_or_else(PoisonError::into_inner);
        let said = child.stderr_tail();
        match said.trim().lines().last() {
            Some(line) => format!("; ssh: {line}"),
            None => String::new(),
        }
    }
}

/// The arguments of `ssh`; the place was checked not to hold anything that could be taken for an option.
fn arguments(place: &VaultPlace, access: &RemoteAccess) -> Vec<OsString> {
    let mut out: Vec<OsString> = Vec::new();
    let mut option = |text: String| {
        out.push("-o".into());
        out.push(text.into());
    };
    // Nobody is there to answer questions, and an unknown host is a reason to stop.
    option("BatchMode=yes".to_owned());
    option("StrictHostKeyChecking=yes".to_owned());
    option(format!("Ciphers={CIPHERS}"));
    option("ConnectTimeout=20".to_owned());
    option("ServerAliveInterval=20".to_owned());
    option("ServerAliveCountMax=3".to_owned());
    if let Some(file) = &access.known_hosts {
        option(format!("UserKnownHostsFile=\"{}\"", file.display()));
    }
    if let Some(file) = &access.identity {
        option("IdentitiesOnly=yes".to_owned());
        out.push("-i".into());
        out.push(file.into());
    }
    if let VaultPlace::Sftp {
        user, host, port, ..
    } = place
    {
        if let Some(port) = port {
            out.push("-p".into());
            out.push(port.to_string().into());
        }
        if let Some(user) = user {
            out.push("-l".into());
            out.push(user.into());
        }
        out.push("-s".into());
        out.push("--".into());
        out.push(host.into());
        out.push("sftp".into());
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ssh_asks_nobody_and_trusts_no_unknown_host() {
        let place = VaultPlace::parse("sftp://u@h:2222/srv/v").expect("a place");
        let all = arguments(&place, &RemoteAccess::default());
        let has = |text: &str| all.iter().any(|a| a.to_string_lossy() == text);
        assert!(has("BatchMode=yes") && has("StrictHostKeyChecking=yes"));
        assert!(
            all.iter()
                .any(|a| a.to_string_lossy().starts_with("Ciphers=chacha20"))
        );
        assert_eq!(all.last().map(OsString::as_os_str), Some("sftp".as_ref()));
    }
}
