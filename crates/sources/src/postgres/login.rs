//! A connection with its secret: for ourselves, and for PostgreSQL's programs by a file.

use std::path::PathBuf;

use vouchsafe_capture::{CaptureContext, CaptureError};
use vouchsafe_host::files::{self, TempDir};
use vouchsafe_host::process::Command;
use vouchsafe_model::Secret;

use super::address::Address;
use super::session::Session;
use crate::failure;

/// An address and the password that opens it.
pub(super) struct Login {
    pub(super) address: Address,
    password: Option<Secret>,
    /// Holds the password file for as long as a program may read it.
    passfile: Option<(TempDir, PathBuf)>,
}

impl Login {
    /// Writes the password, if there is one, to a file of mode 0600 in a private directory: arguments and environments
    /// of programs can be seen by others.
    pub(super) fn new(
        ctx: &CaptureContext<'_>,
        address: Address,
        password: Option<Secret>,
    ) -> Result<Login, CaptureError> {
        let passfile = match &password {
            None => None,
            Some(password) => {
                let dir = scratch(ctx, "login-")?;
                let path = files::canonicalize(dir.path())
                    .map_err(failure::file)?
                    .join("pgpass");
                files::write_atomic(&path, &line(password), 0o600).map_err(failure::file)?;
                Some((dir, path))
            }
        };
        Ok(Login {
            address,
            password,
            passfile,
        })
    }

    /// Our own connection to the database.
    pub(super) fn session(&self) -> Result<Session, CaptureError> {
        Session::open(&self.address, self.password.as_ref())
    }

    /// Our own connection to another database of the same server.
    pub(super) fn session_to(&self, database: &str) -> Result<Session, CaptureError> {
        Session::open(
            &self.address.with_database(database),
            self.password.as_ref(),
        )
    }

    /// Gives a program what it needs to connect.
    pub(super) fn reach(&self, command: Command) -> Command {
        let command = self.address.reach(command);
        let command = match &self.password {
            Some(password) => command.redact(password),
            None => command,
        };
        match &self.passfile {
            Some((_, path)) => command.env("PGPASSFILE", path),
            None => command,
        }
    }
}

/// A private directory that goes with the value.
pub(super) fn scratch(ctx: &CaptureContext<'_>, prefix: &str) -> Result<TempDir, CaptureError> {
    files::create_dir_all(ctx.work_dir, files::PRIVATE_DIR).map_err(failure::file)?;
    files::scratch_dir_in(ctx.work_dir, prefix).map_err(failure::file)
}

/// One line for every host, port, database and user: `*:*:*:*:password`, with `\` before `\` and `:`.
fn line(password: &Secret) -> Vec<u8> {
    let mut out = b"*:*:*:*:".to_vec();
    for byte in password.expose() {
        if matches!(byte, b':' | b'\\') {
            out.push(b'\\');
        }
        out.push(*byte);
    }
    out.push(b'\n');
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colons_and_backslashes_of_passwords_are_kept() {
        let secret = Secret::new(b"a:b\\c".to_vec());
        assert_eq!(line(&secret), b"*:*:*:*:a\\:b\\\\c\n");
    }
}
