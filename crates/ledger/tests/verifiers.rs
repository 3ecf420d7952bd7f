//! Two programs examine each damaged export and come to the same: ours, and the one in `docs/tools`.

use crate::common::{
    answer, at, composed, due, entry, exported, horizon, key, numbered, obligation, other_key,
    said_by_python, said_by_us, series, signature_in, sqlite,
};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use curve25519_dalek::constants::{ED25519_BASEPOINT_POINT, EIGHT_TORSION};
use curve25519_dalek::scalar::Scalar;
use sha2::{Digest, Sha512};
use vouchsafe_ledger::verify::{Expected, verify_export_by};
use vouchsafe_ledger::{SignedHead, VerifyingKey, leaf_hash};
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
    let half = |e: &mut Export| e.change(41, "{\"head\":\"", "{\"head\":\"\\ud800");
    case("half a letter in the head", &half, &[], Some(40));
    let bytes = |e: &mut Export| e.change(41, "vouchsafe/", "vouchsafe\\/");
    case("a head written in another way", &bytes, &[], Some(40));
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

/// What the other program says of lines `key:message:signature` in hexadecimal digits, by these lines of Python.
fn python_on(lines: &[&str], script: &str) -> String {
    const READ: &str = "\
import sys; sys.path.insert(0, sys.argv[1]); import verify_ledger as v
items = [tuple(bytes.fromhex(part) for part in line.split(':')) for line in sys.stdin.read().split()]
";
    let tools = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/tools");
    let mut child = std::process::Command::new("python3")
        .args(["-B", "-c", &format!("{READ}{script}")])
        .arg(tools)
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .expect("python3 is needed: apt-get install python3");
    let mut stdin = child.stdin.take().unwrap();
    std::io::Write::write_all(&mut stdin, lines.join("\n").as_bytes()).unwrap();
    drop(stdin);
    let output = child.wait_with_output().unwrap();
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// RFC 8032, section 7.1: signatures that a standard has published, and each of them damaged.
#[test]
fn the_other_verifier_knows_ed25519() {
    let script = "\
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
    let said = python_on(&vectors, script);
    assert_eq!(said, format!("True None\n{}", "True\n".repeat(6)));
}

/// Signatures of which verifiers of Ed25519 judge differently (Chalkias, Garillot and Nikolaenko, “Taming the many
/// EdDSAs”, 2020). Good here are the three whose key and R are not of small order and that fit with the factor 8.
#[test]
fn one_rule_for_signatures_in_both_languages() {
    const CASES: [(&str, bool); 10] = [
        (
            "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa:8c93255d71dcab10e8f379c26200f3c7bd5f09d9bc3068d3ef4edeb4853022b6:c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a0000000000000000000000000000000000000000000000000000000000000000",
            false,
        ),
        (
            "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa:9bd9f44f4dcc75bd531b56b2cd280b0bb38fc1cd6d1230e14861d861de092e79:f7badec5b8abeaf699583992219b7b223f1df3fbbea919844e3f7c554a43dd43a5bb704786be79fc476f91d3f3f89b03984d8068dcf1bb7dfc6637b45450ac04",
            false,
        ),
        (
            "f7badec5b8abeaf699583992219b7b223f1df3fbbea919844e3f7c554a43dd43:aebf3f2601a0c8c5d39cc7d8911642f740b78168218da8471772b35f9d35b9ab:c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa8c4bd45aecaca5b24fb97bc10ac27ac8751a7dfe1baff8b953ec9f5833ca260e",
            false,
        ),
        (
            "cdb267ce40c5cd45306fa5d2f29731459387dbf9eb933b7bd5aed9a765b88d4d:9bd9f44f4dcc75bd531b56b2cd280b0bb38fc1cd6d1230e14861d861de092e79:9046a64750444938de19f227bb80485e92b83fdb4b6506c160484c016cc1852f87909e14428a7a1d62e9f22f3d3ad7802db02eb2e688b6c52fcd6648a98bd009",
            true,
        ),
        (
            "cdb267ce40c5cd45306fa5d2f29731459387dbf9eb933b7bd5aed9a765b88d4d:e47d62c63f830dc7a6851a0b1f33ae4bb2f507fb6cffec4011eaccd55b53f56c:160a1cb0dc9c0258cd0a7d23e94d8fa878bcb1925f2c64246b2dee1796bed5125ec6bc982a269b723e0668e540911a9a6a58921d6925e434ab10aa7940551a09",
            true,
        ),
        (
            "cdb267ce40c5cd45306fa5d2f29731459387dbf9eb933b7bd5aed9a765b88d4d:e47d62c63f830dc7a6851a0b1f33ae4bb2f507fb6cffec4011eaccd55b53f56c:21122a84e0b5fca4052f5b1235c80a537878b38f3142356b2c2384ebad4668b7e40bc836dac0f71076f9abe3a53f9c03c1ceeeddb658d0030494ace586687405",
            true,
        ),
        (
            "442aad9f089ad9e14647b1ef9099a1ff4798d78589e66f28eca69c11f582a623:85e241a07d148b41e47d62c63f830dc7a6851a0b1f33ae4bb2f507fb6cffec40:e96f66be976d82e60150baecff9906684aebb1ef181f67a7189ac78ea23b6c0e547f7690a0e2ddcd04d87dbc3490dc19b3b3052f7ff0538cb68afb369ba3a514",
            false,
        ),
        (
            "442aad9f089ad9e14647b1ef9099a1ff4798d78589e66f28eca69c11f582a623:85e241a07d148b41e47d62c63f830dc7a6851a0b1f33ae4bb2f507fb6cffec40:8ce5b96c8f26d0ab6c47958c9e68b937104cd36e13c33566acd2fe8d38aa19427e71f98a473474f2f13f06f97c20d58cc3f54b8bd0d272f42b695dd7e89a8c22",
            false,
        ),
        (
            "f7badec5b8abeaf699583992219b7b223f1df3fbbea919844e3f7c554a43dd43:fdaebc429f4a735932a160da1301080c13280eea8bc280d1b392c6b9e6ba3a5a:edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f454d370c8d9fc323a41450f8d513eafeb5b0697390c1e505a0d4ddc71f566607",
            false,
        ),
        (
            "f7badec5b8abeaf699583992219b7b223f1df3fbbea919844e3f7c554a43dd43:84b698d39be126ff55fe45079e6c8bf64a0d7db6994560b4e96b7021eb39c1a1:edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f084d5b99c2a9463d9c8bd5026916996984eeec87ddf1d3be329006ace1b37b09",
            false,
        ),
    ];
    let lines = CASES.map(|(line, _)| line);
    let script = "[print(v.all_signed([item]), v.all_signed([item] * 3)) for item in items]";
    let theirs = python_on(&lines, script);
    assert_eq!(theirs.lines().count(), CASES.len(), "{theirs}");
    for ((line, good), theirs) in CASES.iter().zip(theirs.lines()) {
        let parts: Vec<_> = line
            .split(':')
            .map(|part| hex::decode(part).unwrap())
            .collect();
        let typed = [&[1], parts[0].as_slice()].concat();
        let id = signed_note::key_id("any", &typed);
        let vkey = format!("any+{id:08x}+{}", BASE64_STANDARD.encode(typed));
        let ours = VerifyingKey::parse(&vkey).is_ok_and(|key| key.accepts(&parts[1], &parts[2]));
        assert_eq!(ours, *good, "{line}");
        let word = if *good { "True" } else { "False" };
        assert_eq!(theirs, format!("{word} {word}"), "{line}");
    }
}

/// A record whose owner has put a point of small order into its signatures: all of both programs judge it alike,
/// where entries are examined together and where a head is examined by itself.
#[test]
fn a_part_of_small_order_in_a_signature_changes_nothing() {
    let mut export = export_of(&series(0..SIZE));
    let heads = export.heads.clone();
    let secret = ed25519_dalek::SigningKey::from_bytes(&[7; 32]);
    let strange = |note: &str| {
        let text = note.split_once("\n\n").unwrap().0.to_owned() + "\n";
        let r = Scalar::from(1_234_567_u64);
        let point = (r * ED25519_BASEPOINT_POINT + EIGHT_TORSION[1]).compress();
        let digest = Sha512::new_with_prefix(point.as_bytes())
            .chain_update(secret.verifying_key().as_bytes())
            .chain_update(&text)
            .finalize();
        let s = r + Scalar::from_bytes_mod_order_wide(&digest.into()) * secret.to_scalar();
        [*point.as_bytes(), s.to_bytes()].concat()
    };
    let with = |note: &str| {
        let id = hex::decode(key().public().key_id()).unwrap();
        let before = note.rsplit_once(' ').unwrap().0;
        let encoded = BASE64_STANDARD.encode([id, strange(note)].concat());
        format!("{before} {encoded}\n")
    };
    for size in [1, 18, 40] {
        let ours = BASE64_STANDARD.encode(signature_in(&heads[size]));
        let theirs = BASE64_STANDARD.encode(strange(&heads[size]));
        export.change(size, &ours, &theirs);
    }
    let last = SIZE as usize;
    let quoted = |note: &str| serde_json::to_string(note).unwrap();
    export.change(
        last + 1,
        &quoted(&heads[last]),
        &quoted(&with(&heads[last])),
    );
    let seen = [with(&heads[20])];
    both_say("strange", &export.bytes(), &seen, "sound", None);
    // One by one, too: that is how it is examined where something is wrong.
    export.change(40, "capture", "neglect");
    both_say("strange, edited", &export.bytes(), &seen, "wrong", Some(39));
}

/// An auditor reads it whole before they trust it, and needs nothing beside it.
#[test]
fn the_other_verifier_is_short_and_needs_nothing() {
    let tools = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/tools");
    let text = std::fs::read_to_string(tools.join("verify_ledger.py")).unwrap();
    assert!(text.lines().count() < 400, "{}", text.lines().count());
    let imports: Vec<&str> = text.lines().filter(|l| l.contains("import ")).collect();
    let standard = "import argparse, base64, datetime, functools, hashlib, json, re, sys";
    assert_eq!(imports, [standard]);
    let longest = text.lines().map(|l| l.chars().count()).max().unwrap();
    assert!(longest <= 120, "{longest}");
    let is_code = |l: &&str| !l.contains("\"\"\"");
    let squeezed: Vec<&str> = text
        .lines()
        .filter(is_code)
        .filter(|l| l.contains("; ") || l.ends_with(';'))
        .collect();
    assert_eq!(squeezed, Vec::<&str>::new());
}
