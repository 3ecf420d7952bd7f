//! Which processes of a group or of a namespace still run, according to `/proc`.

use std::ffi::OsString;
use std::fs;
use std::io;

/// The processes of group `pgid` that have not ended. Zombies have ended.
pub(crate) fn of_group(pgid: i32) -> io::Result<Vec<i32>> {
    matching(|pid| {
        let stat = fs::read(format!("/proc/{pid}/stat")).ok();
        stat.and_then(|stat| parse_stat(&stat))
            .is_some_and(|found| found.pgid == pgid && !found.ended)
    })
}

/// The processes whose namespace of this kind (`pid`, `net`) is `id`, as [`namespace_of`] gives it.
pub(crate) fn of_namespace(kind: &str, id: &OsString) -> io::Result<Vec<i32>> {
    matching(|pid| namespace_of(&pid.to_string(), kind).is_ok_and(|found| found == *id))
}

/// The identity of a namespace, like `net:[4026531840]`; `process` is a number or `self`.
pub(crate) fn namespace_of(process: &str, kind: &str) -> io::Result<OsString> {
    Ok(fs::read_link(format!("/proc/{process}/ns/{kind}"))?.into_os_string())
}

fn matching(wanted: impl Fn(i32) -> bool) -> io::Result<Vec<i32>> {
    let mut out = Vec::new();
    for entry in fs::read_dir("/proc")? {
        let name = entry?.file_name();
        let pid = name.to_str().and_then(|name| name.parse::<i32>().ok());
        // A process that ends while it is looked at is simply not there any more.
        out.extend(pid.filter(|pid| wanted(*pid)));
    }
    Ok(out)
}

#[derive(Debug, PartialEq, Eq)]
struct StatLine {
    ended: bool,
    pgid: i32,
}

/// `number (name) state parent group …`; the name may contain anything, also brackets.
fn parse_stat(stat: &[u8]) -> Option<StatLine> {
    let end_of_name = stat.iter().rposition(|byte| *byte == b')')?;
    let rest = std::str::from_utf8(stat.get(end_of_name + 1..)?).ok()?;
    let mut fields = rest.split_ascii_whitespace();
    let state = fields.next()?;
    let pgid = fields.nth(1)?.parse().ok()?;
    Some(StatLine {
        ended: matches!(state, "Z" | "X"),
        pgid,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_with_brackets_do_not_confuse_the_parser() {
        let running = parse_stat(b"12 (a) Z 1 9) S 1 77 5 0").expect("parses");
        assert_eq!(
            running,
            StatLine {
                ended: false,
                pgid: 77
            }
        );
        let ended = parse_stat(b"12 (sh) Z 1 78 5 0").expect("parses");
        assert_eq!(
            ended,
            StatLine {
                ended: true,
                pgid: 78
            }
        );
        assert_eq!(parse_stat(b"12 sh S"), None);
        assert_eq!(parse_stat(b"12 (sh) S 1"), None);
    }

    #[test]
    fn our_own_group_is_alive() {
        let group = rustix::process::getpgrp().as_raw_nonzero().get();
        let own = i32::try_from(std::process::id()).expect("small");
        assert!(of_group(group).expect("procfs").contains(&own));
        let namespace = namespace_of("self", "pid").expect("procfs");
        assert!(
            of_namespace("pid", &namespace)
                .expect("procfs")
                .contains(&own)
        );
    }
}
