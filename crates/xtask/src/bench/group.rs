//! A control group that limits memory, by version 2 of the kernel's interface or by version 1.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use super::data::at;

/// One group, removed when it is dropped; whatever runs in it must have ended by then.
pub(crate) struct Group {
    dir: PathBuf,
    version: Version,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Version {
    One,
    Two,
}

static NUMBER: AtomicU32 = AtomicU32::new(0);

impl Group {
    /// A group in which all processes together hold at most this much, their page cache included.
    pub(crate) fn new(limit: u64) -> Result<Self, String> {
        let (own, version) = own_group()?;
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let dir = own.join(format!("vouchsafe-bench-{}-{number}", std::process::id()));
        fs::create_dir(&dir).map_err(|error| {
            format!(
                "{}: {error}: a memory limit needs a control group in which we may make others: \
                     run as root, or by `systemd-run --user --scope -p Delegate=yes`",
                dir.display()
            )
        })?;
        let group = Self { dir, version };
        let limit = limit.to_string();
        match version {
            Version::One => group.set("memory.limit_in_bytes", &limit)?,
            Version::Two => {
                group.set("memory.max", &limit)?;
                group.set("memory.swap.max", "0")?;
            }
        }
        Ok(group)
    }

    /// The file into which a process writes its number to become a member.
    pub(crate) fn members(&self) -> PathBuf {
        self.dir.join("cgroup.procs")
    }

    /// Whether the limit has ended a process.
    pub(crate) fn has_killed(&self) -> bool {
        let file = match self.version {
            Version::One => "memory.oom_control",
            Version::Two => "memory.events",
        };
        let text = fs::read_to_string(self.dir.join(file)).unwrap_or_default();
        value_of(&text, "oom_kill").is_some_and(|kills| kills > 0)
    }

    fn set(&self, file: &str, value: &str) -> Result<(), String> {
        let path = self.dir.join(file);
        fs::write(&path, value).map_err(at(&path))
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        // A group that is still busy stays behind, empty and without effect.
        let _ = fs::remove_dir(&self.dir);
    }
}

/// Where groups with a limit can be made: below our own group, or in version 2, where a group with processes has no
/// limited children, beside it.
fn own_group() -> Result<(PathBuf, Version), String> {
    let read = |path: &str| fs::read_to_string(path).map_err(|error| format!("{path}: {error}"));
    let (groups, mounts) = (read("/proc/self/cgroup")?, read("/proc/self/mountinfo")?);
    find(&groups, &mounts).ok_or_else(|| "this machine has no control groups for memory".to_owned())
}

fn find(groups: &str, mounts: &str) -> Option<(PathBuf, Version)> {
    for line in groups.lines() {
        let mut parts = line.splitn(3, ':');
        let (_, controllers, path) = (parts.next()?, parts.next()?, parts.next()?);
        if controllers.split(',').any(|name| name == "memory") {
            let mount = mount_of(mounts, "cgroup", Some("memory"))?;
            return Some((below(&mount, path), Version::One));
        }
    }
    let path = groups.lines().find_map(|line| line.strip_prefix("0::"))?;
    let own = below(&mount_of(mounts, "cgroup2", None)?, path);
    let above = own.parent().filter(|_| path != "/").map(Path::to_path_buf);
    Some((above.unwrap_or(own), Version::Two))
}

fn below(mount: &str, path: &str) -> PathBuf {
    Path::new(mount).join(path.trim_start_matches('/'))
}

/// The place where a file system of this type, with this option, is mounted.
fn mount_of(mounts: &str, kind: &str, option: Option<&str>) -> Option<String> {
    mounts.lines().find_map(|line| {
        let (before, after) = line.split_once(" - ")?;
        let mut after = after.split(' ');
        let (found, options) = (after.next()?, after.nth(1)?);
        let has = |option: &str| options.split(',').any(|word| word == option);
        (found == kind && option.is_none_or(has))
            .then(|| before.split(' ').nth(4).map(str::to_owned))?
    })
}

fn value_of(text: &str, name: &str) -> Option<u64> {
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(' '))?;
    line.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOUNTS: &str = "\
30 23 0:26 / /sys/fs/cgroup ro - tmpfs tmpfs rw,mode=755
31 30 0:27 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu
32 30 0:28 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory
33 30 0:29 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw
";

    #[test]
    fn both_versions_are_found() {
        let one = find("5:cpu:/a\n4:memory:/a/b\n0::/\n", MOUNTS).unwrap();
        assert_eq!(
            one,
            (PathBuf::from("/sys/fs/cgroup/memory/a/b"), Version::One)
        );
        let two = find("0::/user/x.scope\n", MOUNTS).unwrap();
        assert_eq!(
            two,
            (PathBuf::from("/sys/fs/cgroup/unified/user"), Version::Two)
        );
        let root = find("0::/\n", MOUNTS).unwrap();
        assert_eq!(
            root,
            (PathBuf::from("/sys/fs/cgroup/unified"), Version::Two)
        );
        assert_eq!(find("4:memory:/a\n", ""), None);
    }

    #[test]
    fn kills_are_counted() {
        assert_eq!(
            value_of("oom_kill_disable 0\nunder_oom 0\noom_kill 2\n", "oom_kill"),
            Some(2)
        );
        assert_eq!(value_of("oom 1\noom_group_kill 0\n", "oom_kill"), None);
    }
}
