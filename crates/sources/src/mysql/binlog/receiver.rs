//! The receiver: the server's own `mariadb-binlog` or `mysqlbinlog`, which writes its log into the spool.

use std::path::Path;

use sha2::{Digest, Sha256};
use vouchsafe_capture::{CaptureContext, CaptureError};
use vouchsafe_host::process::{Child, Stdout};

use super::super::login::Login;
use super::super::programs::{self, Product};
use super::server::BinlogServer;
use crate::failure;

const REMEDY: &str = "the user needs REPLICATION SLAVE on *.*, and the server must still have the file that is named";

/// Starts it. It writes `file` and those after it into `directory`, each from its beginning, and ends when the
/// connection does: beginning again is up to us. `number` is what the server knows it by; of two with one number it
/// lets the older one go.
pub(super) fn start(
    ctx: &CaptureContext<'_>,
    login: &Login,
    server: &BinlogServer,
    number: u32,
    (directory, file): (&Path, &str),
) -> Result<Child, CaptureError> {
    let program = programs::log_reader(ctx, server.product, server.series)?;
    let mut prefix = directory.as_os_str().to_owned();
    prefix.push("/");
    let mut result = std::ffi::OsString::from("--result-file=");
    result.push(prefix);
    let own = match server.product {
        Product::MariaDb => format!("--stop-never-slave-server-id={number}"),
        Product::MySql => format!("--connection-server-id={number}"),
    };
    let command = login
        .program(&program, server.product)
        .args(["--read-from-remote-server", "--raw", "--stop-never"])
        .arg(own)
        .arg(result)
        .arg(file)
        .stdout(Stdout::Null);
    ctx.spawn
        .spawn(command)
        .map_err(|e| failure::program(programs::log_reader_name(server.product), &e.into(), REMEDY))
}

/// What it said when it ended.
pub(super) fn ended(child: Child, product: Product) -> CaptureError {
    match child.finish() {
        Ok(_) => CaptureError::Program {
            program: programs::log_reader_name(product).to_owned(),
            message: "it ended by itself".to_owned(),
            remedy: "see the server's log".to_owned(),
        },
        Err(error) => failure::program(programs::log_reader_name(product), &error.into(), REMEDY),
    }
}

/// The number by which a server knows us among its replicas: the same at each start, and in the upper half, where people
/// put none.
pub(super) fn number(protection: &str, mark: &str) -> u32 {
    let digest = Sha256::digest(format!("{mark} {protection}").as_bytes());
    let [a, b, c, d, ..] = <[u8; 32]>::from(digest);
    u32::from_be_bytes([a, b, c, d]) | 1 << 31
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_installation_and_protection_has_a_number_of_its_own() {
        let one = number("shop/base", "3f9a");
        assert_eq!(one, number("shop/base", "3f9a"));
        assert_ne!(one, number("shop/base", "3f9b"));
        assert_ne!(one, number("till/base", "3f9a"));
        assert!(one >= 1 << 31);
    }
}
