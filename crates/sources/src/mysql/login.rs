//! A connection with its secret: for ourselves, and for the server's own programs by an option file.

use std::path::{Path, PathBuf};

use vouchsafe_capture::{CaptureContext, CaptureError};
use vouchsafe_host::files::{self, TempDir};
use vouchsafe_host::process::Command;
use vouchsafe_model::Secret;

use super::address::{Address, Tls};
use super::programs::Product;
use super::session::Session;
use crate::failure;

/// An address and the password that opens it.
pub(super) struct Login {
    pub(super) address: Address,
    password: Option<Secret>,
    /// Holds the option file for as long as a program may read it.
    _directory: TempDir,
    options: PathBuf,
}

impl Login {
    /// Writes how a program connects, and the password if there is one, to a file of mode 0600 in a private directory:
    /// arguments and environments of programs can be seen by others.
    pub(super) fn new(
        ctx: &CaptureContext<'_>,
        address: Address,
        password: Option<Secret>,
    ) -> Result<Login, CaptureError> {
        let directory = scratch(ctx, "login-")?;
        let options = files::canonicalize(directory.path())
            .map_err(failure::file)?
            .join("client.cnf");
        let text = option_file(&address, password.as_ref());
        files::write_atomic(&options, text.expose(), 0o600).map_err(failure::file)?;
        Ok(Login {
            address,
            password,
            _directory: directory,
            options,
        })
    }

    /// Our own connection.
    pub(super) fn session(&self) -> Result<Session, CaptureError> {
        Session::open(&self.address, self.password.as_ref())
    }

    /// The password, where there is one.
    pub(super) fn password(&self) -> Option<&Secret> {
        self.password.as_ref()
    }

    /// One of the server's programs, which connects by the option file and reads no other.
    pub(super) fn program(&self, program: &Path, product: Product) -> Command {
        let mut defaults = std::ffi::OsString::from("--defaults-file=");
        defaults.push(&self.options);
        let command = Command::new(program)
            .arg(defaults)
            .args(tls(&self.address, product));
        match &self.password {
            Some(password) => command.redact(password),
            None => command,
        }
    }
}

/// The words that say how much TLS protects: the two families of programs do not share them.
fn tls(address: &Address, product: Product) -> Vec<String> {
    let mut out: Vec<String> = match (product, address.tls) {
        (Product::MySql, tls) => vec![format!("--ssl-mode={}", tls.word())],
        (Product::MariaDb, Tls::Disabled) => vec!["--skip-ssl".to_owned()],
        (Product::MariaDb, Tls::Required) => {
            vec![
                "--ssl".to_owned(),
                "--disable-ssl-verify-server-cert".to_owned(),
            ]
        }
        // They have no word for less.
        (Product::MariaDb, Tls::VerifyAuthority | Tls::VerifyIdentity) => {
            vec!["--ssl".to_owned(), "--ssl-verify-server-cert".to_owned()]
        }
    };
    let trusted = match address.tls {
        Tls::Disabled | Tls::Required => None,
        Tls::VerifyAuthority | Tls::VerifyIdentity => address.trusted(),
    };
    out.extend(trusted.map(|path| format!("--ssl-ca={}", path.display())));
    out
}

/// A private directory that goes with the value.
pub(super) fn scratch(ctx: &CaptureContext<'_>, prefix: &str) -> Result<TempDir, CaptureError> {
    files::create_dir_all(ctx.work_dir, files::PRIVATE_DIR).map_err(failure::file)?;
    files::scratch_dir_in(ctx.work_dir, prefix).map_err(failure::file)
}

/// The group `client`, which all programs read.
fn option_file(address: &Address, password: Option<&Secret>) -> Secret {
    let mut out = b"[client]\n".to_vec();
    let mut option = |key: &str, value: &[u8]| {
        out.extend_from_slice(key.as_bytes());
        out.extend_from_slice(b"=\"");
        out.extend_from_slice(&escaped(value));
        out.extend_from_slice(b"\"\n");
    };
    option("user", address.user.as_bytes());
    match &address.socket {
        Some(socket) => {
            option("protocol", b"socket");
            option("socket", socket.as_os_str().as_encoded_bytes());
        }
        None => {
            option("protocol", b"tcp");
            option("host", address.host.as_bytes());
            option("port", address.port.to_string().as_bytes());
        }
    }
    if let Some(password) = password {
        option("password", password.expose());
    }
    Secret::new(out)
}

/// As an option file has it between double quotes.
fn escaped(value: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(value.len());
    for byte in value {
        match byte {
            b'\\' => out.extend_from_slice(b"\\\\"),
            b'"' => out.extend_from_slice(b"\\\""),
            b'\'' => out.extend_from_slice(b"\\'"),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b'\t' => out.extend_from_slice(b"\\t"),
            _ => out.push(*byte),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_means_something_in_option_files_is_kept() {
        assert_eq!(escaped(b"a\\b\"c'd#e\nf"), b"a\\\\b\\\"c\\'d#e\\nf");
    }
}
