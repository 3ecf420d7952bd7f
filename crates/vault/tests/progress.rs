//! What is told while copies and readings go on: how much there is, and in the end just that much.

use std::sync::Mutex;
use std::time::Duration;

use crate::common::*;
use vouchsafe_capture::{NoProgress, Progress};
use vouchsafe_vault::{Budget, ReadBack, copy};

/// Phases by name, with the items and bytes announced, and those told since.
type Phase = (String, Option<(u64, u64)>, (u64, u64));

#[derive(Default)]
struct Told(Mutex<Vec<Phase>>);

impl Progress for Told {
    fn phase(&self, name: &str, items: Option<u64>, bytes: Option<u64>) {
        // Nothing of it is told before this comes back.
        std::thread::sleep(Duration::from_millis(300));
        let phase = (name.to_owned(), items.zip(bytes), (0, 0));
        self.0.lock().unwrap().push(phase);
    }

    fn advance(&self, items: u64, bytes: u64) {
        if let Some((_, _, done)) = self.0.lock().unwrap().last_mut() {
            *done = (done.0 + items, done.1 + bytes);
        }
    }
}

impl Told {
    /// What was announced for that phase, which must be what was done.
    fn whole(&self, name: &str) -> (u64, u64) {
        let all = self.0.lock().unwrap();
        let (_, announced, done) = all.iter().find(|phase| phase.0 == name).unwrap();
        assert_eq!(announced.unwrap(), *done, "{name}");
        *done
    }
}

#[test]
fn copies_and_readings_tell_their_bytes() {
    let (from, to) = (create(memory()), create(memory()));
    let items = [
        file("large", noise(1, 3 << 20)),
        file("small", b"some text".as_slice()),
    ];
    let report = back_up(&from, &items).unwrap();

    let told = Told::default();
    let copied = copy(&from, &to, &report.snapshot, &told).unwrap();
    let (blobs, bytes) = told.whole("copy");
    assert_eq!(blobs, copied.blobs_copied);
    assert!(bytes >= 3 << 20, "{bytes}");
    // Nothing is left for the second time.
    let told = Told::default();
    copy(&from, &to, &report.snapshot, &told).unwrap();
    assert_eq!(told.whole("copy"), (0, 0));

    let told = Told::default();
    let scope = ReadBack::Added(copied.added_packs.clone());
    let back = to
        .read_back_telling(&copied.snapshot, scope, &told)
        .unwrap();
    assert_eq!(back.problems, []);
    let read = told.whole("read back");
    assert_eq!(read, (copied.added_packs.len() as u64, back.bytes));

    let told = Told::default();
    let verified = to.verify(Budget::All, 1, &told).unwrap();
    assert_eq!(
        told.whole("packs"),
        (verified.packs_read, verified.bytes_read)
    );
    assert!(copy(&to, &from, &copied.snapshot, &NoProgress).is_ok());
}
