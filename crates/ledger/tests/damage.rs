//! Every way to damage an export, and the entry that must be named for it.

use crate::common::{composed, exported, key, numbered, other_key, series, signature_in, sqlite};
use proptest::prelude::*;
use vouchsafe_ledger::{
    Problem, ProblemKind, SignedHead, VerifyError, VerifyReport, leaf_hash, verify_export,
};

const SIZE: u64 = 40;

/// An export, taken apart into lines.
struct Export {
    lines: Vec<String>,
    heads: Vec<String>,
}

fn export() -> Export {
    let place = sqlite();
    let ledger = place.open();
    ledger.append(&series(0..1)).unwrap();
    ledger.append(&series(1..33)).unwrap();
    ledger.append(&series(33..SIZE)).unwrap();
    let text = String::from_utf8(exported(&ledger)).unwrap();
    let heads = (0..=SIZE).map(|n| ledger.head_at(n).unwrap().note);
    Export {
        lines: text.lines().map(str::to_owned).collect(),
        heads: heads.collect(),
    }
}

impl Export {
    /// The line of entry `n`.
    fn entry(&mut self, n: u64) -> &mut String {
        &mut self.lines[n as usize + 1]
    }

    fn replace(&mut self, n: u64, from: &str, to: &str) {
        let line = self.entry(n);
        assert!(line.contains(from), "{line}");
        *line = line.replacen(from, to, 1);
    }

    /// Makes the leaf hash beside entry `n` fit its bytes again.
    fn refit(&mut self, n: u64) {
        let line = self.entry(n).clone();
        let body = line.split_once("\"entry\":").unwrap().1;
        let leaf = leaf_hash(&body.as_bytes()[..body.len() - 1]);
        let old = line.split('"').nth(5).unwrap().to_owned();
        self.replace(n, &old, &leaf.to_string());
    }

    /// Numbers the lines of the entries from 0 on.
    fn renumber(&mut self) {
        let entries = self.lines.iter_mut().filter(|l| l.starts_with("{\"seq\":"));
        for (n, line) in entries.enumerate() {
            let rest = line.split_once(',').unwrap().1;
            *line = format!("{{\"seq\":{n},{rest}");
        }
    }

    fn header_size(&mut self, size: u64) {
        let old = format!("\"size\":{SIZE}}}");
        self.lines[0] = self.lines[0].replace(&old, &format!("\"size\":{size}}}"));
    }

    fn footer(&mut self, note: &str) {
        let note = serde_json::to_string(note).unwrap();
        *self.lines.last_mut().unwrap() = format!("{{\"head\":{note}}}");
    }

    fn bytes(&self) -> Vec<u8> {
        (self.lines.join("\n") + "\n").into_bytes()
    }

    fn report(&self, published: &[u64]) -> VerifyReport {
        let heads: Vec<String> = published
            .iter()
            .map(|n| self.heads[*n as usize].clone())
            .collect();
        let vkey = key().public_key_text();
        verify_export(self.bytes().as_slice(), Some(&vkey), &heads).unwrap()
    }

    fn first(&self, published: &[u64]) -> (u64, ProblemKind) {
        let report = self.report(published);
        let first: &Problem = report.problems.first().expect("something is wrong");
        assert_eq!(report.first_wrong(), first.first_wrong);
        assert!(
            report.problems.len() < 10,
            "one damage, many complaints: {report:#?}"
        );
        (first.first_wrong.expect("an entry"), first.kind)
    }
}

#[test]
fn a_whole_export_is_sound() {
    let export = export();
    let report = export.report(&[0, 1, 20, SIZE]);
    assert!(report.is_sound(), "{report:?}");
    assert_eq!((report.entries, report.published_matched), (SIZE, 4));
    assert_eq!(report.head.unwrap().note, export.heads[SIZE as usize]);
    let own = verify_export(export.bytes().as_slice(), None, &[]).unwrap();
    assert!(own.is_sound());
    let bodies: Vec<_> = (0..SIZE)
        .map(|n| serde_json::to_vec(&numbered(n)).unwrap())
        .collect();
    assert_eq!(
        composed(&key(), &bodies),
        export.bytes(),
        "the form is as documented"
    );
    let none = composed(&key(), &[]);
    assert!(
        verify_export(none.as_slice(), None, &[])
            .unwrap()
            .is_sound()
    );
    assert_eq!(exported(&sqlite().open()), none);
}

#[test]
fn an_edited_entry() {
    for n in [0, 17, SIZE - 1] {
        let mut export = export();
        export.replace(n, "capture", "neglect");
        assert_eq!(export.first(&[]), (n, ProblemKind::Edited));
        assert_eq!(
            export.report(&[]).problems.len(),
            1,
            "the others are as they were"
        );
        export.refit(n);
        assert_eq!(export.first(&[]), (n, ProblemKind::NotSigned));
        assert_eq!(export.first(&[n, SIZE]), (n, ProblemKind::NotSigned));
    }
}

#[test]
fn two_edited_entries_are_both_named() {
    let mut export = export();
    export.replace(5, "capture", "neglect");
    export.replace(25, "capture", "neglect");
    let named: Vec<_> = export
        .report(&[])
        .problems
        .iter()
        .map(|p| p.first_wrong)
        .collect();
    assert_eq!(named, [Some(5), Some(25)]);
}

#[test]
fn an_edited_entry_that_also_hides_its_signature() {
    let mut export = export();
    export.replace(17, "capture", "neglect");
    export.refit(17);
    let line = export.entry(17).clone();
    let signature = line.split('"').nth(9).unwrap();
    export.replace(17, signature, "");
    assert_eq!(export.first(&[]), (17, ProblemKind::Malformed));
}

#[test]
fn a_changed_leaf_hash_or_signature() {
    let mut export1 = export();
    let other = leaf_hash(b"other").to_string();
    let leaf = export1.entry(9).split('"').nth(5).unwrap().to_owned();
    export1.replace(9, &leaf, &other);
    assert_eq!(export1.first(&[]), (9, ProblemKind::Edited));
    assert_eq!(export1.report(&[]).problems.len(), 1);

    let mut export2 = export();
    let ours = export2.entry(9).split('"').nth(9).unwrap().to_owned();
    let theirs = export2.entry(10).split('"').nth(9).unwrap().to_owned();
    export2.replace(9, &ours, &theirs);
    assert_eq!(export2.first(&[]), (9, ProblemKind::NotSigned));
    assert_eq!(export2.report(&[]).problems.len(), 1);
}

#[test]
fn a_removed_entry() {
    for n in [0, 17, SIZE - 1] {
        let mut removed = export();
        removed.lines.remove(n as usize + 1);
        let kind = match n == SIZE - 1 {
            true => ProblemKind::Truncated,
            false => ProblemKind::OutOfPlace,
        };
        assert_eq!(removed.first(&[]), (n, kind));
        removed.renumber();
        removed.header_size(SIZE - 1);
        let (first, kind) = removed.first(&[]);
        assert_eq!(first, n, "{kind:?}");
    }
}

#[test]
fn reordered_entries() {
    let mut export = export();
    export.lines.swap(8, 12);
    assert_eq!(export.first(&[]), (7, ProblemKind::OutOfPlace));
    export.renumber();
    assert_eq!(export.first(&[]), (7, ProblemKind::NotSigned));
}

#[test]
fn an_inserted_or_repeated_entry() {
    let mut repeated = export();
    let again = repeated.entry(17).clone();
    repeated.lines.insert(19, again);
    assert_eq!(repeated.first(&[]), (18, ProblemKind::OutOfPlace));

    let mut inserted = export();
    let forged = inserted.entry(17).replace("capture", "neglect");
    inserted.lines.insert(18, forged);
    inserted.refit(17);
    assert_eq!(inserted.first(&[]), (17, ProblemKind::NotSigned));
    inserted.renumber();
    inserted.header_size(SIZE + 1);
    assert_eq!(inserted.first(&[]), (17, ProblemKind::NotSigned));
}

#[test]
fn a_truncated_export() {
    let mut cut = export();
    cut.lines.truncate(21);
    assert_eq!(cut.first(&[]), (20, ProblemKind::Truncated));
    // The earlier head was really signed; only somebody who saw a later one can tell.
    let earlier = cut.heads[20].clone();
    cut.header_size(20);
    cut.lines.push(String::new());
    cut.footer(&earlier);
    assert!(cut.report(&[]).is_sound());
    assert!(cut.report(&[20]).is_sound());
    assert_eq!(cut.first(&[21]), (20, ProblemKind::Truncated));
    let report = cut.report(&[5, 33]);
    assert_eq!(report.problems[0].first_wrong, Some(20));
    assert_eq!(report.problems[0].not_after, Some(32));
    assert_eq!(report.published_matched, 1);
}

#[test]
fn a_file_cut_at_any_byte() {
    let export = export();
    let bytes = export.bytes();
    let vkey = key().public_key_text();
    for cut in (0..bytes.len() - 1).step_by(97) {
        match verify_export(&bytes[..cut], Some(&vkey), &[]) {
            Ok(report) => assert!(!report.is_sound(), "cut at {cut}"),
            Err(error) => assert!(matches!(error, VerifyError::NotAnExport), "{error}"),
        }
    }
}

#[test]
fn a_forged_head() {
    let export0 = export();
    let good = export0.heads[SIZE as usize].clone();
    let root = SignedHead::sign(&key(), SIZE, leaf_hash(b"other"));
    let forged = good.replace(
        good.lines().nth(2).unwrap(),
        root.note.lines().nth(2).unwrap(),
    );
    let mut export1 = export();
    export1.footer(&forged);
    let report = export1.report(&[]);
    assert_eq!(report.problems[0].kind, ProblemKind::Head);
    assert_eq!(report.head, None);

    let mut export2 = export();
    export2.footer(&root.note);
    assert_eq!(export2.report(&[]).problems[0].kind, ProblemKind::Head);

    let mut export3 = export();
    export3.footer(&export0.heads[30]);
    assert_eq!(export3.first(&[]), (30, ProblemKind::Head));

    let mut export4 = export();
    export4.footer(&SignedHead::sign(&other_key(), SIZE, root.root).note);
    assert_eq!(export4.report(&[]).problems[0].kind, ProblemKind::OtherKey);

    let mut export5 = export();
    export5.footer("no note");
    assert_eq!(export5.report(&[]).problems[0].kind, ProblemKind::Head);
}

#[test]
fn another_key() {
    let bodies: Vec<_> = (0..SIZE)
        .map(|n| serde_json::to_vec(&numbered(n)).unwrap())
        .collect();
    let foreign = composed(&other_key(), &bodies);
    let vkey = key().public_key_text();
    assert!(
        verify_export(foreign.as_slice(), None, &[])
            .unwrap()
            .is_sound()
    );
    let report = verify_export(foreign.as_slice(), Some(&vkey), &[]).unwrap();
    assert_eq!(report.first_wrong(), Some(0));
    assert!(
        report
            .problems
            .iter()
            .any(|p| p.kind == ProblemKind::OtherKey)
    );

    let mut renamed = export();
    renamed.lines[0] = renamed.lines[0].replace(&vkey, &other_key().public_key_text());
    assert!(
        !verify_export(renamed.bytes().as_slice(), None, &[])
            .unwrap()
            .is_sound()
    );
    let origin = vkey.split('+').next().unwrap();
    let mut unnamed = export();
    unnamed.lines[0] = unnamed.lines[0].replacen(origin, "vouchsafe/other", 1);
    assert_eq!(unnamed.report(&[]).problems[0].kind, ProblemKind::Header);
}

#[test]
fn a_record_rewritten_by_whoever_has_the_key() {
    let original = export();
    let mut bodies: Vec<_> = (0..SIZE)
        .map(|n| serde_json::to_vec(&numbered(n)).unwrap())
        .collect();
    bodies[17] = serde_json::to_vec(&numbered(1717)).unwrap();
    let rewritten = composed(&key(), &bodies);
    let vkey = key().public_key_text();
    let examine = |sizes: &[usize]| {
        let heads: Vec<_> = sizes.iter().map(|n| original.heads[*n].clone()).collect();
        verify_export(rewritten.as_slice(), Some(&vkey), &heads).unwrap()
    };
    assert!(examine(&[]).is_sound(), "nobody saw anything");
    assert!(examine(&[5, 17]).is_sound(), "nobody saw what was changed");
    let found = examine(&[5, 33, 40]);
    assert_eq!(found.problems[0].kind, ProblemKind::Published);
    assert_eq!(
        found.problems[0].first_wrong,
        Some(5),
        "the last head that fits"
    );
    assert_eq!(found.problems[0].not_after, Some(32));
    let exact = examine(&[17, 18]);
    assert_eq!(exact.problems[0].first_wrong, Some(17));
    assert_eq!(exact.problems[0].not_after, Some(17));
}

#[test]
fn published_heads_that_are_none() {
    let export = export();
    let vkey = key().public_key_text();
    let foreign = SignedHead::sign(&other_key(), 5, leaf_hash(b"x")).note;
    for bad in ["", "rubbish", foreign.as_str()] {
        let report =
            verify_export(export.bytes().as_slice(), Some(&vkey), &[bad.to_owned()]).unwrap();
        assert_eq!(
            report.problems[0].kind,
            ProblemKind::PublishedUnusable,
            "{bad}"
        );
    }
}

#[test]
fn entries_that_are_none_or_newer() {
    let whole = serde_json::to_string(&numbered(1)).unwrap();
    let newer = whole.replace("\"v\":1", "\"v\":2").into_bytes();
    let unknown = whole.replace("run-opened", "run-imagined").into_bytes();
    let bodies = [whole.into_bytes(), newer, unknown, b"no json".to_vec()];
    let report = verify_export(composed(&key(), &bodies).as_slice(), None, &[]).unwrap();
    let kinds: Vec<_> = report
        .problems
        .iter()
        .map(|p| (p.first_wrong, p.kind))
        .collect();
    let expected = [
        (Some(1), ProblemKind::Newer),
        (Some(2), ProblemKind::NotAnEntry),
        (Some(3), ProblemKind::NotAnEntry),
    ];
    assert_eq!(kinds, expected);
}

#[test]
fn files_that_are_no_exports() {
    for bad in [
        "",
        "\n",
        "{}\n",
        "rubbish",
        "{\"format\":\"vouchsafe-ledger-export/1\"}\n",
    ] {
        let refused = verify_export(bad.as_bytes(), None, &[]);
        assert!(matches!(refused, Err(VerifyError::NotAnExport)), "{bad}");
    }
    let mut newer = export();
    newer.lines[0] = newer.lines[0].replace("export/1", "export/3");
    let refused = verify_export(newer.bytes().as_slice(), None, &[]).unwrap_err();
    assert!(refused.to_string().contains("export/3"), "{refused}");
    // The form of a ledger whose key was changed, which this one's was not.
    let mut changed = export();
    changed.lines[0] = changed.lines[0].replace("export/1", "export/2");
    assert_eq!(changed.report(&[]).problems[0].kind, ProblemKind::Header);
    let refused = verify_export(export().bytes().as_slice(), Some("key"), &[]);
    assert!(matches!(refused, Err(VerifyError::Key(_))));
}

#[test]
fn something_after_the_end_and_a_line_without_end() {
    let mut longer = export();
    longer.lines.push("more".into());
    assert_eq!(longer.first(&[]), (SIZE, ProblemKind::Malformed));
    let mut endless = export();
    *endless.entry(3) = "x".repeat(6 << 20);
    assert_eq!(endless.first(&[]), (3, ProblemKind::Malformed));
}

#[test]
fn a_note_is_a_signed_note() {
    // The form of C2SP signed-note: em dash, name, base64 of 4 bytes of key id and the signature.
    let export = export();
    let note = &export.heads[3];
    let lines: Vec<_> = note.split('\n').collect();
    let vkey = key().public_key_text();
    let (name, rest) = vkey.split_once('+').unwrap();
    assert_eq!(
        (lines[0], lines[1], lines[3], lines[5]),
        (name, "3", "", "")
    );
    assert!(lines[4].starts_with(&format!("\u{2014} {name} ")));
    assert_eq!(signature_in(note).len(), 64);
    let id = rest.split('+').next().unwrap();
    use base64::Engine;
    let decoded = base64::prelude::BASE64_STANDARD
        .decode(lines[4].rsplit(' ').next().unwrap())
        .unwrap();
    assert_eq!(hex::encode(&decoded[..4]), id);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn any_changed_byte_is_seen(at in 0usize..20_000, flip in 1u8..=255) {
        let mut bytes = EXPORT.with(Clone::clone);
        let at = at % bytes.len();
        bytes[at] ^= flip;
        let vkey = key().public_key_text();
        match verify_export(bytes.as_slice(), Some(&vkey), &[]) {
            Err(_) => {}
            Ok(report) => prop_assert!(!report.is_sound(), "byte {} of {}", at, bytes.len()),
        }
    }
}

thread_local! {
    static EXPORT: Vec<u8> = {
        let bodies: Vec<_> = (0..20).map(|n| serde_json::to_vec(&numbered(n)).unwrap()).collect();
        composed(&key(), &bodies)
    };
}
