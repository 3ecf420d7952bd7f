//! A disk that is too small: nothing is begun that cannot succeed, a full disk ends a run cleanly, and more room is all
//! that the next one needs.

use std::fs;
use std::process::{Command, Stdio};

use crate::common::{Workspace, noise, text};

const POLICY: &str = r#"
vaults:
  local: { url: ./disk/local }
plans:
  p: { schedule: daily, keep: { at_least: 35 days }, copies: [ local ] }
systems:
  data: { source: "files:./data", plan: p, owner: o@example.com }
"#;

/// Runs a script in which `disk` can be mounted as a file system of its own, of any size.
fn script(w: &Workspace, script: &str) -> String {
    let binary = env!("CARGO_BIN_EXE_vouchsafe");
    let script = script.replace("VOUCHSAFE", binary);
    let out = Command::new("unshare")
        .args(["--user", "--map-root-user", "--mount", "sh", "-c", &script])
        .current_dir(w.root())
        .stdin(Stdio::null())
        .output()
        .unwrap();
    format!("{}{}", text(&out.stdout), text(&out.stderr))
}

#[test]
fn a_disk_that_fills_ends_a_run_cleanly_and_more_room_is_all_it_needs() {
    let w = Workspace::new();
    fs::write(w.path("policy.yaml"), POLICY).unwrap();
    fs::create_dir_all(w.path("data")).unwrap();
    fs::create_dir_all(w.path("disk")).unwrap();
    for n in 0..12 {
        let mut bytes = noise(5_000_000);
        bytes.iter_mut().for_each(|b| *b = b.wrapping_add(n));
        fs::write(w.path(format!("data/{n}")), bytes).unwrap();
    }
    let told = script(
        &w,
        "mount -t tmpfs -o size=8m disk disk || exit 1
         VOUCHSAFE init > /dev/null || exit 1
         VOUCHSAFE run; echo \"tiny: $?\"
         mount -o remount,size=44m disk || exit 1
         VOUCHSAFE run; echo \"small: $?\"
         VOUCHSAFE verify > /dev/null; echo \"verified: $?\"
         mount -o remount,size=200m disk || exit 1
         VOUCHSAFE run; echo \"large: $?\"
         VOUCHSAFE restore data --to back; echo \"restored: $?\"
         VOUCHSAFE vault check local",
    );
    assert!(told.contains("left at"), "{told}");
    assert!(told.contains("tiny: 3"), "{told}");
    assert!(told.contains("is full"), "{told}");
    assert!(!told.contains("data/main: data/main"), "{told}");
    assert!(told.contains("small: 3"), "{told}");
    assert!(
        told.contains("verified: 0"),
        "a full disk leaves a sound vault: {told}"
    );
    assert!(
        told.contains("large: 0") && told.contains("restored: 0"),
        "{told}"
    );
    assert!(told.contains(" 0 problems"), "{told}");
    for n in 0..12 {
        let name = format!("{n}");
        assert!(
            fs::read(w.path("back").join(&name)).unwrap()
                == fs::read(w.path("data").join(&name)).unwrap()
        );
    }
}
