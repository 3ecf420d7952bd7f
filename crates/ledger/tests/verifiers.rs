//! Two programs examine each damaged export and come to the same: ours, and the one in `docs/tools`.
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used
)]

mod common;

use common::{
    answer, at, composed, due, entry, exported, horizon, key, numbered, obligation, other_key,
    said_by_python, said_by_us, series, sqlite,
};
use vouchsafe_ledger::verify::{Expected, verify_export_by};
use vouchsafe_ledger::{SignedHead, leaf_hash};
use vouchsafe_model::{Entry, Fact};

const SIZE: u64 = 40;

/// A real export, line by line, with the head of each size.
struct Export {
    lines: Vec<String>,
    heads: Vec<String>,
}

fn export_of(entries: &[Entry]) -> Export {
    let place = sqlite();
    let ledger = place.open();
    ledger.append(entries).unwrap();
    let text = String::from_utf8(exported(&ledger)).unwrap();
    let heads = (0..=entries.len() as u64).map(|n| ledger.head_at(n).unwrap().note);
    Export {
        lines: text.lines().map(str::to_owned).collect(),
        heads: heads.collect(),
    }
}

impl Export {
    fn bytes(&self) -> Vec<u8> {
        (self.lines.join("\n") + "\n").into_bytes()
    }

    fn change(&mut self, line: usize, from: &str, to: &str) {
        assert!(self.lines[line].contains(from), "{}", self.lines[line]);
        self.lines[line] = self.lines[line].replacen(from, to, 1);
    }

    /// Makes the leaf hash on a line fit its bytes again.
    fn refit(&mut self, line: usize) {
        let text = self.lines[line].clone();
        let body = text.split_once("\"entry\":").unwrap().1;
        let leaf = leaf_hash(&body.as_bytes()[..body.len() - 1]).to_string();
        let old = text.split('"').nth(5).unwrap().to_owned();
        self.change(line, &old, &leaf);
    }

    fn renumber(&mut self) {
        let entries = self.lines.iter_mut().filter(|l| l.starts_with("{\"seq\":"));
        for (n, line) in entries.enumerate() {
            let rest = line.split_once(',').unwrap().1;
            *line = format!("{{\"seq\":{n},{rest}");
        }
    }

    fn end_at(&mut self, size: usize) {
        let note = serde_json::to_string(&self.heads[size]).unwrap();
        self.lines.truncate(size + 1);
        self.lines.push(format!("{{\"head\":{note}}}"));
        self.change(0, &format!("\"size\":{SIZE}"), &format!("\"size\":{size}"));
    }
}

/// What both say of it must be the same, and be this.
fn both_say(name: &str, export: &[u8], heads: &[String], outcome: &str, wrong: Option<u64>) {
    let vkey = key().public_key_text();
    let expected = Expected {
        vkey: Some(&vkey),
        heads,
        ..Expected::default()
    };
    let ours = verify_export_by(export, &expected).unwrap();
    let (theirs, text) = said_by_python(export, Some(&vkey), heads, &[]);
    let expected = (outcome.to_owned(), wrong);
    assert_eq!(said_by_us(&ours), expected, "ours, {name}: {ours:#?}");
    assert_eq!(theirs, expected, "the other, {name}: {text}");
}

#[test]
fn both_verifiers_agree_on_every_damage() {
    let whole = || export_of(&series(0..SIZE));
    let heads = whole().heads;
    let seen =
        |sizes: &[usize]| -> Vec<String> { sizes.iter().map(|n| heads[*n].clone()).collect() };
    let case = |name: &str, damage: &dyn Fn(&mut Export), sizes: &[usize], wrong: Option<u64>| {
        let mut export = whole();
        damage(&mut export);
        both_say(name, &export.bytes(), &seen(sizes), "wrong", wrong);
    };
    both_say("whole", &whole().bytes(), &[], "sound", None);
    both_say(
        "whole, heads seen",
        &whole().bytes(),
        &seen(&[0, 1, 20, 40]),
        "sound",
        None,
    );

    case(
        "edited",
        &|e| e.change(18, "capture", "neglect"),
        &[],
        Some(17),
    );
    case(
        "the first edited",
        &|e| e.change(1, "capture", "neglect"),
        &[],
        Some(0),
    );
    case(
        "the last edited",
        &|e| e.change(40, "capture", "neglect"),
        &[],
        Some(39),
    );
    let refitted = |e: &mut Export| {
        e.change(18, "capture", "neglect");
        e.refit(18);
    };
    case("edited, its hash made to fit", &refitted, &[], Some(17));
    let other = leaf_hash(b"other").to_string();
    let hash = |e: &mut Export| {
        let leaf = e.lines[10].split('"').nth(5).unwrap().to_owned();
        e.change(10, &leaf, &other);
    };
    case("a leaf hash changed", &hash, &[], Some(9));
    let signature = |e: &mut Export| {
        let ours = e.lines[10].split('"').nth(9).unwrap().to_owned();
        let theirs = e.lines[11].split('"').nth(9).unwrap().to_owned();
        e.change(10, &ours, &theirs);
    };
    case("a signature exchanged", &signature, &[], Some(9));

    case("deleted", &|e| drop(e.lines.remove(18)), &[], Some(17));
    let deleted = |e: &mut Export| {
        e.lines.remove(18);
        e.renumber();
    };
    case("deleted and renumbered", &deleted, &[], Some(17));
    case("reordered", &|e| e.lines.swap(8, 12), &[], Some(7));
    let reordered = |e: &mut Export| {
        e.lines.swap(8, 12);
        e.renumber();
    };
    case("reordered and renumbered", &reordered, &[], Some(7));
    let replayed = |e: &mut Export| {
        let again = e.lines[18].clone();
        e.lines.insert(19, again);
    };
    case("replayed", &replayed, &[], Some(18));
    let replayed_last = |e: &mut Export| {
        let again = e.lines[18].clone();
        e.lines.insert(41, again);
        e.renumber();
    };
    case("replayed at the end", &replayed_last, &[], Some(40));
    let line = |e: &mut Export| e.lines[18] = e.lines[18].replace("\"leaf\"", "\"Leaf\"");
    case("a line of another form", &line, &[], Some(17));

    case("cut off", &|e| e.lines.truncate(21), &[], Some(20));
    case(
        "cut off before the head",
        &|e| e.lines.truncate(41),
        &[],
        Some(40),
    );
    case(
        "cut off, the rest made to fit, a later head seen",
        &|e| e.end_at(20),
        &[21],
        Some(20),
    );
    case(
        "cut off, two heads seen",
        &|e| e.end_at(20),
        &[5, 33],
        Some(20),
    );
    let mut shorter = whole();
    shorter.end_at(20);
    both_say(
        "cut off, the rest made to fit, nobody saw",
        &shorter.bytes(),
        &[],
        "sound",
        None,
    );

    let forged = SignedHead::sign(&key(), SIZE, leaf_hash(b"other")).note;
    let good = heads[40].clone();
    let root = |note: &str| note.lines().nth(2).unwrap().to_owned();
    let head = |e: &mut Export| e.change(41, &root(&good), &root(&forged));
    case("forged head", &head, &[], None);
    let foreign = SignedHead::sign(&other_key(), SIZE, leaf_hash(b"other")).note;
    let head = |e: &mut Export| {
        e.lines[41] = format!("{{\"head\":{}}}", serde_json::to_string(&foreign).unwrap());
    };
    case("head by another key", &head, &[], None);
    let size = |e: &mut Export| e.change(0, "\"size\":40", "\"size\":41");
    case("a larger size stated", &size, &[], Some(40));
    let form = |e: &mut Export| e.change(0, "export/1", "export/2");
    case("another form stated", &form, &[], None);
    case(
        "something after the head",
        &|e| e.lines.push("more".into()),
        &[],
        Some(40),
    );
    let vkey = key().public_key_text();
    let named = |e: &mut Export| e.change(0, &vkey, &other_key().public_key_text());
    case("another key stated", &named, &[], None);
    let origin = vkey.split('+').next().unwrap();
    case(
        "another name stated",
        &|e| e.change(0, origin, "vouchsafe/other"),
        &[],
        None,
    );

    let bodies = |entries: &[Entry]| -> Vec<Vec<u8>> {
        entries
            .iter()
            .map(|e| serde_json::to_vec(e).unwrap())
            .collect()
    };
    let other = composed(&other_key(), &bodies(&series(0..SIZE)));
    both_say("all by another key", &other, &[], "wrong", Some(0));
    let mut rewritten = series(0..SIZE);
    rewritten[17].actor = "somebody else".into();
    let rewritten = composed(&key(), &bodies(&rewritten));
    both_say(
        "rewritten with the key, nobody saw",
        &rewritten,
        &[],
        "sound",
        None,
    );
    both_say(
        "rewritten with the key",
        &rewritten,
        &seen(&[5, 33]),
        "wrong",
        Some(5),
    );
    both_say(
        "rewritten, seen just before and after",
        &rewritten,
        &seen(&[17, 18]),
        "wrong",
        Some(17),
    );
    both_say(
        "a head that is none",
        &whole().bytes(),
        &["rubbish".into()],
        "wrong",
        None,
    );
    let newer = serde_json::to_string(&numbered(3))
        .unwrap()
        .replace("\"v\":1", "\"v\":2");
    let newer = composed(
        &key(),
        &[bodies(&series(0..3)), vec![newer.into_bytes()]].concat(),
    );
    both_say("an entry of a newer version", &newer, &[], "wrong", Some(3));
    both_say("no entries", &composed(&key(), &[]), &[], "sound", None);
}

#[test]
fn both_verifiers_tell_the_same_gaps() {
    let (kept, missed, gone, late) = (
        obligation(0, 1800),
        obligation(60, 3600),
        obligation(90, 9999),
        obligation(30, 2000),
    );
    let withdrawn = |secs, id| {
        let obligations = vec![id];
        let policy = leaf_hash(b"policy").to_string();
        entry(
            secs,
            Fact::ObligationsWithdrawn {
                obligations,
                policy,
            },
        )
    };
    let broken = Fact::Break {
        reason: "foreign head in `offsite`".into(),
        vault: None,
        tree_size: None,
    };
    let told = |name: &str, entries: &[Entry], until: Option<i64>, gaps: &[&str]| {
        let export = export_of(entries).bytes();
        let until = until.map(at);
        let expected = Expected {
            until,
            ..Expected::default()
        };
        let ours = verify_export_by(export.as_slice(), &expected).unwrap();
        let text = until.map(|time| time.to_string());
        let more: Vec<&str> = text.iter().flat_map(|t| ["--until", t.as_str()]).collect();
        let (theirs, text) = said_by_python(&export, None, &[], &more);
        let word = if gaps.is_empty() { "sound" } else { "gaps" };
        assert_eq!(
            said_by_us(&ours),
            (word.to_owned(), None),
            "{name}: {ours:#?}"
        );
        assert_eq!(theirs, (word.to_owned(), None), "{name}: {text}");
        let told: Vec<&str> = text.lines().filter(|l| l.starts_with('!')).collect();
        assert_eq!(told.len(), gaps.len(), "{name}: {text}");
        let count = ours.silence.len()
            + ours.set_back.len()
            + ours.breaks.len()
            + ours.obligations_without_facts.len();
        assert_eq!(count, gaps.len(), "{name}: {ours:#?}");
        for (line, gap) in told.iter().zip(gaps) {
            assert!(line.contains(gap), "{name}: {text}");
        }
    };
    let all_kept = [
        horizon(0, 9000),
        due(1, &kept),
        due(2, &gone),
        answer(60, &[&kept.id]),
        withdrawn(70, gone.id.clone()),
        numbered(100),
    ];
    told("nothing is lacking", &all_kept, None, &[]);
    told("up to the horizon", &all_kept, Some(9000), &[]);
    told(
        "silence to the present",
        &all_kept,
        Some(9001),
        &["silence from 2026-01-31T06:30:00"],
    );
    told(
        "silence past the horizon",
        &[
            horizon(0, 60),
            numbered(61),
            numbered(99),
            horizon(100, 900),
        ],
        None,
        &["silence"],
    );
    told(
        "silence twice",
        &[horizon(0, 60), numbered(61), horizon(62, 70), numbered(80)],
        None,
        &[
            "silence from 2026-01-31T04:01:00",
            "silence from 2026-01-31T04:01:10",
        ],
    );
    told(
        "an obligation without a fact, one withdrawn too late",
        &[
            horizon(0, 9000),
            due(1, &missed),
            due(1, &late),
            withdrawn(2100, late.id.clone()),
            numbered(8000),
        ],
        None,
        &[late.id.as_str(), missed.id.as_str()],
    );
    told(
        "a break",
        &[numbered(0), entry(1, broken)],
        None,
        &["break at entry 1: foreign head"],
    );
    told(
        "clock set back",
        &[
            numbered(1000),
            numbered(900),
            numbered(910),
            numbered(1001),
            numbered(995),
            numbered(3),
        ],
        None,
        &[
            "clock set back at entry 1: from 2026-01-31T04:16:40",
            "clock set back at entry 5",
        ],
    );
    told(
        "machines whose clocks differ a little",
        &[numbered(100), numbered(41), numbered(99)],
        None,
        &[],
    );
}

/// RFC 8032, section 7.1: signatures that a standard has published, and each of them damaged.
#[test]
fn the_other_verifier_knows_ed25519() {
    let script = "\
import sys; sys.path.insert(0, sys.argv[1]); import verify_ledger as v
items = [tuple(bytes.fromhex(part) for part in line.split(':')) for line in sys.stdin.read().split()]
print(v.all_signed(items), v.first_unsigned(items))
for n in range(len(items)):
    for change in (1, 2):
        item = list(items[n]); item[change] = bytes([(item[change] or b'-')[0] ^ 1]) + item[change][1:]
        print(v.first_unsigned(items[:n] + [tuple(item)] + items[n + 1:]) == n)
";
    let vectors = [
        "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a::e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b",
        "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c:72:92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00",
        "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025:af82:6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a",
    ];
    let tools = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/tools");
    let mut child = std::process::Command::new("python3")
        .args(["-B", "-c", script])
        .arg(tools)
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .expect("python3 is needed: apt-get install python3");
    let mut stdin = child.stdin.take().unwrap();
    std::io::Write::write_all(&mut stdin, vectors.join("\n").as_bytes()).unwrap();
    drop(stdin);
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert_eq!(said, format!("True None\n{}", "True\n".repeat(6)));
}
