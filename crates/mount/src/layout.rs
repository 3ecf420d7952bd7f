//! The upper directories: `snapshots/ID`, `points/POINT` and `systems/SYSTEM/TIME`.

use std::collections::BTreeMap;

use vouchsafe_format::Id;
use vouchsafe_model::{PointId, SystemName, Time};

/// A snapshot that is shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shown {
    /// Its id.
    pub snapshot: Id,
    /// The moment whose state it holds.
    pub time: Time,
    /// The point that it is, if that is known, and of which system.
    pub point: Option<(PointId, SystemName)>,
}

/// What lies in an upper directory under a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Upper {
    /// A further one, by its number.
    Directory(usize),
    /// The root of a snapshot, by its number.
    Snapshot(usize),
}

/// The upper directories; the first is the root.
#[derive(Debug)]
pub(crate) struct Layout {
    directories: Vec<BTreeMap<String, Upper>>,
    snapshots: Vec<Shown>,
}

impl Layout {
    pub(crate) fn new(snapshots: Vec<Shown>) -> Layout {
        let mut layout = Layout {
            directories: vec![BTreeMap::new()],
            snapshots: Vec::new(),
        };
        let [by_id, by_point, by_system] =
            ["snapshots", "points", "systems"].map(|name| layout.directory(0, name));
        for (number, shown) in snapshots.iter().enumerate() {
            let id = shown.snapshot.to_hex();
            layout.snapshot(by_id, &shown.snapshot.short(), &id, number);
            if let Some((point, system)) = &shown.point {
                layout.snapshot(by_point, point.as_str(), &id, number);
                let times = layout.directory(by_system, system.as_str());
                layout.snapshot(times, &shown.time.to_string(), &id, number);
            }
        }
        layout.snapshots = snapshots;
        layout
    }

    /// What lies in a directory, by name.
    pub(crate) fn entries(&self, directory: usize) -> impl Iterator<Item = (&str, Upper)> {
        let entries = self.directories.get(directory).into_iter().flatten();
        entries.map(|(name, upper)| (name.as_str(), *upper))
    }

    pub(crate) fn find(&self, directory: usize, name: &[u8]) -> Option<Upper> {
        let name = std::str::from_utf8(name).ok()?;
        self.directories.get(directory)?.get(name).copied()
    }

    pub(crate) fn shown(&self, snapshot: usize) -> Option<&Shown> {
        self.snapshots.get(snapshot)
    }

    fn directory(&mut self, within: usize, name: &str) -> usize {
        let next = self.directories.len();
        let Some(above) = self.directories.get_mut(within) else {
            return 0;
        };
        match above.get(name) {
            Some(Upper::Directory(there)) => *there,
            _ => {
                above.insert(name.to_owned(), Upper::Directory(next));
                self.directories.push(BTreeMap::new());
                next
            }
        }
    }

    /// Under its name, and if that is taken, under its name and its whole id.
    fn snapshot(&mut self, within: usize, name: &str, id: &str, number: usize) {
        let Some(above) = self.directories.get_mut(within) else {
            return;
        };
        let free = match above.contains_key(name) {
            false => name.to_owned(),
            true => format!("{name}-{id}"),
        };
        above.entry(free).or_insert(Upper::Snapshot(number));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_snapshot_is_shown_by_all_its_names() {
        let shown = |n: u8, point: Option<(&str, &str)>| Shown {
            snapshot: Id::of(&[n]),
            time: Time::from_secs(1_700_000_000),
            point: point.map(|(p, s)| (p.parse().unwrap(), s.parse().unwrap())),
        };
        let all = vec![
            shown(1, Some(("p1", "site"))),
            shown(2, Some(("p2", "site"))),
            shown(3, None),
        ];
        let layout = Layout::new(all);
        let directory = |within: usize, name: &str| match layout.find(within, name.as_bytes()) {
            Some(Upper::Directory(there)) => there,
            other => panic!("{name}: {other:?}"),
        };
        let names = |directory: usize| -> Vec<String> {
            layout.entries(directory).map(|(n, _)| n.into()).collect()
        };
        assert_eq!(names(0), ["points", "snapshots", "systems"]);
        assert_eq!(names(directory(0, "points")), ["p1", "p2"]);
        assert_eq!(names(directory(0, "snapshots")).len(), 3);
        // Two points of one moment: the second has its id with its name.
        let times = names(directory(directory(0, "systems"), "site"));
        assert_eq!(times.len(), 2);
        assert!(times[1].starts_with(&times[0]) && times[1].ends_with(&Id::of(&[2]).to_hex()));
        assert_eq!(layout.find(0, b"nothing"), None);
        assert_eq!(layout.find(0, b"\xff"), None);
    }
}
