//! Running a restored database's server programs with rights to nothing but their own data.
//!
//! A dump runs code that the source's superuser chose, so databases refuse to run as root, and so do we: what a
//! restored one does must not reach the machine's files.

use std::path::{Path, PathBuf};
use std::time::Duration;

use vouchsafe_capture::{CaptureContext, CaptureError};
use vouchsafe_host::machine;
use vouchsafe_host::process::{Command, run_captured};

use crate::failure;

/// The user and group `nobody`, who owns nothing of a machine. It has a name, without which some servers do not start.
const NOBODY: &str = "65534:65534";

/// Where the programs see their place: a path that they may walk, wherever the place lies.
const SEEN: &str = "/mnt";

/// In a mount namespace of its own the place is put where `nobody` can walk to, and then all rights are given up.
const GIVE_UP: &str = r#"mount --bind "$1" /mnt && shift && exec setpriv --reuid=65534 --regid=65534 --clear-groups --no-new-privs --bounding-set=-all -- "$@""#;

/// Where only our own user exists, and is seen as root: the programs see it as another one.
const SEEN_AS_NOBODY: [&str; 5] = [
    "unshare",
    "--user",
    "--map-user=65534",
    "--map-group=65534",
    "--",
];

const PATIENCE: Duration = Duration::from_secs(3600);

/// How programs are kept from what is not theirs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    /// We are root: the programs run as `nobody`.
    Nobody,
    /// We are an ordinary user who is seen as root, as in a sandbox: the programs run as that user, under another number.
    Renamed,
    /// We are an ordinary user, and so are the programs.
    Same,
}

/// A directory with a server's data, for programs that run with rights to nothing else.
pub(crate) struct Confined {
    way: Way,
    place: PathBuf,
}

impl Confined {
    /// Gives `place`, which must be there, and all in it to whom the programs will run as.
    pub(crate) fn to(ctx: &CaptureContext<'_>, place: &Path) -> Result<Confined, CaptureError> {
        let way = if machine::uid() == 0 {
            Way::Nobody
        } else if is_seen_as_root(ctx)? {
            Way::Renamed
        } else {
            Way::Same
        };
        if way == Way::Nobody {
            let give = Command::new("chown")
                .args(["--recursive", "--no-dereference", NOBODY, "--"])
                .arg(place);
            run_captured(ctx.spawn, give, PATIENCE).map_err(|e| {
                failure::program(
                    "chown",
                    &e,
                    "see that the place is on a disk that keeps owners",
                )
            })?;
        }
        Ok(Confined {
            way,
            place: place.to_path_buf(),
        })
    }

    /// The program.
    pub(crate) fn program(&self, program: &Path) -> Command {
        match self.way {
            Way::Nobody => Command::new("unshare")
                .args(["--mount", "--propagation=private", "--"])
                .args(["sh", "-c", GIVE_UP, "sh"])
                .arg(&self.place)
                .arg(program)
                .current_dir("/"),
            Way::Renamed => {
                let mut words = SEEN_AS_NOBODY.into_iter();
                let launcher = words.next().unwrap_or_default();
                let command = Command::new(launcher).args(words).arg(program);
                command.current_dir(&self.place)
            }
            Way::Same => Command::new(program).current_dir(&self.place),
        }
    }

    /// How the program sees a name in the place.
    pub(crate) fn seen(&self, name: &str) -> PathBuf {
        match self.way {
            Way::Nobody => Path::new(SEEN).join(name),
            Way::Renamed | Way::Same => self.place.join(name),
        }
    }
}

fn is_seen_as_root(ctx: &CaptureContext<'_>) -> Result<bool, CaptureError> {
    let id = Command::new("id").arg("-u");
    let output = run_captured(ctx.spawn, id, Duration::from_secs(20))
        .map_err(|e| failure::program("id", &e, "install coreutils"))?;
    Ok(output.text().trim() == "0")
}
