//! Names of users and groups, from `/etc/passwd` and `/etc/group`, read once.

use std::collections::HashMap;
use std::fs;
use std::sync::OnceLock;

/// The name of user `uid`, when the machine has one for it.
pub fn user_name(uid: u32) -> Option<String> {
    static USERS: OnceLock<Names> = OnceLock::new();
    USERS.get_or_init(|| Names::load("/etc/passwd")).name(uid)
}

/// The name of group `gid`, when the machine has one for it.
pub fn group_name(gid: u32) -> Option<String> {
    static GROUPS: OnceLock<Names> = OnceLock::new();
    GROUPS.get_or_init(|| Names::load("/etc/group")).name(gid)
}

#[derive(Debug, Default)]
struct Names {
    by_id: HashMap<u32, String>,
}

impl Names {
    /// A file that is absent or unreadable names nobody: numbers are kept in any case.
    fn load(path: &str) -> Self {
        fs::read(path)
            .map(|bytes| Self::parse(&bytes))
            .unwrap_or_default()
    }

    /// Both files have the form `name:password:number:…`, one entry a line; the first entry of a
    /// number gives its name, as in the C library.
    fn parse(bytes: &[u8]) -> Self {
        let mut by_id = HashMap::new();
        for line in String::from_utf8_lossy(bytes).lines() {
            let mut fields = line.split(':');
            let (name, number) = (fields.next(), fields.nth(1));
            if let (Some(name), Some(Ok(id))) = (name, number.map(str::parse::<u32>))
                && !name.is_empty()
            {
                by_id.entry(id).or_insert_with(|| name.to_owned());
            }
        }
        Self { by_id }
    }

    fn name(&self, id: u32) -> Option<String> {
        self.by_id.get(&id).cloned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_name_of_a_number_counts_and_rubbish_is_skipped() {
        let names = Names::parse(
            b"root:x:0:0::/root:/bin/sh\n# note\ntoor:x:0:0\n:x:5:\nwww:x:33\nbad:x:-1\n\xff\xfe\n",
        );
        assert_eq!(names.name(0).as_deref(), Some("root"));
        assert_eq!(names.name(33).as_deref(), Some("www"));
        assert_eq!(names.name(5), None);
        assert_eq!(names.by_id.len(), 2);
    }

    #[test]
    fn the_machine_has_a_root() {
        assert_eq!(user_name(0).as_deref(), Some("root"));
        assert_eq!(group_name(0).as_deref(), Some("root"));
        assert_eq!(user_name(4_294_000_000), None);
    }
}
