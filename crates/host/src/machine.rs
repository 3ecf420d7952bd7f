//! Who and where we are: host name, user, process, environment, working directory.

use std::ffi::OsString;
use std::path::PathBuf;

use crate::files::{self, FileError};
use crate::users;

/// The machine's host name.
pub fn hostname() -> String {
    rustix::system::uname()
        .nodename()
        .to_string_lossy()
        .into_owned()
}

/// The name of the user whose rights we have, or its number when it has no name.
pub fn username() -> String {
    let uid = uid();
    users::user_name(uid).unwrap_or_else(|| uid.to_string())
}

/// The effective user's number.
pub fn uid() -> u32 {
    rustix::process::geteuid().as_raw()
}

/// The effective group's number.
pub fn gid() -> u32 {
    rustix::process::getegid().as_raw()
}

/// This process's number.
pub fn pid() -> u32 {
    std::process::id()
}

/// The working directory.
pub fn current_dir() -> Result<PathBuf, FileError> {
    std::env::current_dir().map_err(|e| FileError::new(".", "find the working directory", e))
}

/// One variable of this process's environment.
pub fn env_var(name: &str) -> Option<OsString> {
    std::env::var_os(name)
}

/// The program that is running, for starting it again.
pub fn current_program() -> Result<PathBuf, FileError> {
    std::env::current_exe().map_err(|e| FileError::new("/proc/self/exe", "find our own program", e))
}

/// How many threads the machine can run at once; at least 1.
pub fn parallelism() -> usize {
    std::thread::available_parallelism().map_or(1, std::num::NonZero::get)
}

/// Whether asking for more addresses than will ever be written to takes nothing from anybody: not where the kernel
/// counts them as memory (`vm.overcommit_memory=2`, as on many database servers), nor where that cannot be told.
pub fn lends_addresses() -> bool {
    let setting = files::read_to_string("/proc/sys/vm/overcommit_memory", 64);
    cfg!(target_pointer_width = "64") && setting.is_ok_and(|text| matches!(text.trim(), "0" | "1"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_machine_knows_itself() {
        let kernel = std::fs::read_to_string("/proc/sys/kernel/hostname").expect("procfs");
        assert_eq!(hostname(), kernel.trim_end());
        assert!(!username().is_empty());
        assert!(parallelism() >= 1);
        assert_eq!(current_dir().ok(), std::env::current_dir().ok());
        assert_eq!(env_var("VOUCHSAFE_SURELY_UNSET"), None);
    }
}
