//! What was signed with the key and is nevertheless not in its form: two programs say the same of it, and neither fails.

use crate::common::{
    self, answer, composed, due, entry, exported, horizon, key, numbered, obligation, other_key,
    said_by_python, said_by_us, series, sqlite,
};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use ed25519_dalek::Signer;
use serde_json::{Value, json};
use vouchsafe_ledger::verify::{Expected, verify_export_by};
use vouchsafe_model::{Entry, Fact};

/// Both say of an export what is expected, `refused` included.
fn both_say(
    name: &str,
    export: &[u8],
    vkey: Option<&str>,
    heads: &[String],
    expected: Expectation,
) {
    let by = Expected {
        vkey,
        heads,
        ..Expected::default()
    };
    let ours = verify_export_by(export, &by);
    let said = ours
        .as_ref()
        .map_or(("refused".to_owned(), None), said_by_us);
    let (theirs, text) = said_by_python(export, vkey, heads, &[]);
    let expected = (expected.0.to_owned(), expected.1);
    assert_eq!(said, expected, "ours, {name}: {ours:#?}");
    assert_eq!(theirs, expected, "the other, {name}: {text}");
}

type Expectation = (&'static str, Option<u64>);

fn body(entry: &Entry) -> Vec<u8> {
    serde_json::to_vec(entry).unwrap()
}

/// Three whole entries, this one, and one more, all of them signed with the key.
fn around(body_of_third: Vec<u8>) -> Vec<u8> {
    let mut bodies: Vec<Vec<u8>> = series(0..3).iter().map(body).collect();
    bodies.push(body_of_third);
    bodies.push(body(&numbered(4)));
    composed(&key(), &bodies)
}

/// The entry with another value for a key, which may lie deeper (`a/b`); without it if there is none.
fn with(entry: &Entry, path: &str, value: Option<Value>) -> Vec<u8> {
    let mut json = serde_json::to_value(entry).unwrap();
    let (above, name) = path.rsplit_once('/').unwrap_or(("", path));
    let above = if above.is_empty() {
        String::new()
    } else {
        format!("/{above}")
    };
    let object = json.pointer_mut(&above).unwrap().as_object_mut().unwrap();
    assert!(object.contains_key(name), "{path}");
    match value {
        Some(value) => object.insert(name.to_owned(), value),
        None => object.remove(name),
    };
    serde_json::to_vec(&json).unwrap()
}

fn edited(entry: &Entry, from: &str, to: &str) -> Vec<u8> {
    let text = String::from_utf8(body(entry)).unwrap();
    assert!(text.contains(from), "{text}");
    text.replacen(from, to, 1).into_bytes()
}

fn wrong(name: &str, body: Vec<u8>) {
    both_say(name, &around(body), None, &[], ("wrong", Some(3)));
}

#[test]
fn entries_that_are_none() {
    both_say(
        "whole",
        &around(body(&numbered(3))),
        None,
        &[],
        ("sound", None),
    );
    for text in [
        "",
        "{",
        "{}",
        "[]",
        "7",
        "null",
        "\"text\"",
        "\u{feff}{}",
        "{\"v\":1}",
    ] {
        wrong(text, text.into());
    }
    wrong("half a letter", b"{\"v\":1,\"at\":\"\xff\"}".to_vec());
    let plain = numbered(3);
    let deep = "[".repeat(100_000) + &"]".repeat(100_000);
    for (name, from, to) in [
        ("a version with a point", "\"v\":1", "\"v\":1.0"),
        ("a version that is true", "\"v\":1", "\"v\":true"),
        ("a version as text", "\"v\":1", "\"v\":\"1\""),
        ("a version twice", "\"v\":1", "\"v\":1,\"v\":1"),
        ("a kind twice", "\"fact\":", "\"fact\":\"break\",\"fact\":"),
        ("half a pair", "vouchsafe@host", "\\ud800"),
        ("no number", "\"v\":1", "\"v\":1,\"x\":NaN"),
        ("no end", "\"v\":1", "\"v\":1,\"x\":1e999"),
        ("something after it", "\"v\":1", "\"v\":1}{\"v\":1"),
    ] {
        wrong(name, edited(&plain, from, to));
    }
    let nested = format!("\"v\":1,\"x\":{deep}");
    wrong("too deep", edited(&plain, "\"v\":1", &nested));
    for name in ["v", "at", "actor", "tool", "fact"] {
        wrong(name, with(&plain, name, None));
        for value in [json!(null), json!(7.5)] {
            wrong(name, with(&plain, name, Some(value)));
        }
    }
}

#[test]
fn times_in_another_form() {
    let other_forms = [
        "",
        "yesterday",
        "2026-01-31T04:00:00Z",
        "2026-01-31T04:00:00.0000000Z",
        "2026-01-31T04:00:00.000000+00:00",
        "2026-01-31t04:00:00.000000z",
        "2026-01-31 04:00:00.000000Z",
        "2026-02-30T04:00:00.000000Z",
        "2026-01-31T04:00:60.000000Z",
        "9999-12-31T00:00:00.000000Z",
    ];
    for text in other_forms {
        wrong(text, with(&numbered(3), "at", Some(text.into())));
    }
    let owed = obligation(0, 1800);
    for (entry, name) in [(horizon(3, 9000), "until"), (due(3, &owed), "due")] {
        for text in [other_forms[1], other_forms[2], other_forms[9]] {
            wrong(text, with(&entry, name, Some(text.into())));
        }
        wrong("none", with(&entry, name, None));
        wrong("a number", with(&entry, name, Some(json!(7))));
    }
}

#[test]
fn what_the_kinds_need() {
    let owed = obligation(0, 1800);
    let withdrawn = entry(
        3,
        Fact::ObligationsWithdrawn {
            obligations: vec![owed.id.clone()],
            policy: "00".into(),
        },
    );
    let broken = Fact::Break {
        reason: "foreign head".into(),
        vault: None,
        tree_size: None,
    };
    for (entry, path) in [
        (due(3, &owed), "id"),
        (withdrawn, "obligations"),
        (entry(3, broken), "reason"),
        (answered_by_a_person(3, &owed.id, "done"), "deed"),
        (answered_by_a_person(3, &owed.id, "done"), "statement"),
        (
            answered_by_a_person(3, &owed.id, "done"),
            "statement/outcome",
        ),
        (
            answered_by_a_person(3, &owed.id, "done"),
            "statement/obligations",
        ),
    ] {
        wrong(path, with(&entry, path, None));
        for value in [json!(7), json!([["x"]])] {
            wrong(path, with(&entry, path, Some(value)));
        }
    }
    let answer = answer(3, &[&owed.id]);
    for value in [json!(7), json!("x"), json!([7]), json!({}), json!(null)] {
        wrong("answer", with(&answer, "obligations", Some(value)));
    }
}

fn answered_by_a_person(secs: i64, id: &vouchsafe_model::ObligationId, outcome: &str) -> Entry {
    let fact = json!({
        "fact": "people",
        "deed": "attested",
        "statement": {
            "duty": "metrics",
            "obligations": [id],
            "outcome": outcome,
            "reason": "nothing unusual",
            "by": "ann@example.com",
            "at": common::at(secs),
            "policy": "00",
        },
        "capacity": "role",
        "identity": { "by": "unverified" },
    });
    entry(secs, serde_json::from_value(fact).unwrap())
}

/// Who declines answers nothing.
#[test]
fn what_people_state_answers_what_they_owe() {
    let owed = obligation(0, 1800);
    let told = |outcome: &str| {
        let entries = [
            due(0, &owed),
            answered_by_a_person(60, &owed.id, outcome),
            numbered(8000),
        ];
        composed(&key(), &entries.each_ref().map(body))
    };
    for outcome in ["done", "problems"] {
        both_say(outcome, &told(outcome), None, &[], ("sound", None));
    }
    both_say("declined", &told("declined"), None, &[], ("gaps", None));
}

#[test]
fn changes_of_the_key_and_witnesses_in_another_form() {
    let place = sqlite();
    let mut ledger = place.open();
    ledger.append(&series(0..3)).unwrap();
    ledger
        .rotate_key(other_key(), |fact| entry(3, fact))
        .unwrap();
    let change = ledger.read(3..4).unwrap().remove(0).entry;
    let small = vkey(1, "vouchsafe/fe812c12f3ab4ce6", &[0; 32]);
    for name in ["from", "to", "note"] {
        wrong(name, with(&change, name, None));
        for value in [json!([]), json!(small)] {
            wrong(name, with(&change, name, Some(value)));
        }
    }
    let auditor =
        vouchsafe_ledger::WitnessSigner::from_seed("example.com/auditor", [21; 32]).unwrap();
    let note = auditor.cosign(&ledger.head_at(2).unwrap(), common::at(2));
    let seen = auditor.public().fact(&note).unwrap();
    let seen = entry(3, Fact::Witnessed(seen));
    both_say("seen", &around(body(&seen)), None, &[], ("sound", None));
    let small = vkey(4, "example.com/auditor", &[0; 32]);
    for name in ["witness", "tree_size", "root", "seen", "note"] {
        wrong(name, with(&seen, name, None));
        for value in [json!(true), json!(2.0), json!("x"), json!(small)] {
            wrong(name, with(&seen, name, Some(value)));
        }
    }
    wrong(
        "in short",
        edited(&seen, ":02.000000Z\",\"note", ":02Z\",\"note"),
    );
    // Times that nobody can write.
    let text = note.split_once("\n\n").unwrap().0.to_owned() + "\n";
    for time in [253_402_207_201, i64::MAX as u64, u64::MAX] {
        let message = format!("cosignature/v1\ntime {time}\n{text}");
        let secret = ed25519_dalek::SigningKey::from_bytes(&[21; 32]);
        let signature = secret.sign(message.as_bytes()).to_bytes();
        let public = auditor.public().to_string();
        let signed = [time.to_be_bytes().as_slice(), &signature].concat();
        let note = format!("{text}\n{}", line(&public, &signed));
        let mut json = serde_json::to_value(&seen).unwrap();
        json["note"] = note.into();
        json["seen"] = "9999-12-30T22:00:00.000000Z".into();
        wrong("a time", serde_json::to_vec(&json).unwrap());
    }
}

/// A C2SP vkey of these bytes, with the id that belongs to it.
fn vkey(kind: u8, name: &str, bytes: &[u8]) -> String {
    let typed = [&[kind], bytes].concat();
    let id = signed_note::key_id(name, &typed);
    format!("{name}+{id:08x}+{}", BASE64_STANDARD.encode(typed))
}

/// The line of a note with this signature of the owner of a vkey.
fn line(vkey: &str, signature: &[u8]) -> String {
    let parts: Vec<&str> = vkey.split('+').collect();
    let id = hex::decode(parts[1]).unwrap();
    let encoded = BASE64_STANDARD.encode([&id, signature].concat());
    format!("\u{2014} {} {encoded}\n", parts[0])
}

/// A note with this text, signed with the key.
fn note(text: &str) -> String {
    let secret = ed25519_dalek::SigningKey::from_bytes(&[7; 32]);
    let signature = secret.sign(text.as_bytes()).to_bytes();
    format!("{text}\n{}", line(&key().public_key_text(), &signature))
}

#[test]
fn heads_are_read_in_one_way() {
    let place = sqlite();
    let ledger = place.open();
    ledger.append(&series(0..4)).unwrap();
    let export = exported(&ledger);
    let good = ledger.head_at(3).unwrap().note;
    let text = good.split_once("\n\n").unwrap().0.to_owned() + "\n";
    assert_eq!(note(&text), good);
    let signature = good.lines().last().unwrap();
    let forged = line(&key().public_key_text(), &[0; 64]);
    let foreign = line(&other_key().public_key_text(), &[0; 64]);
    let said =
        |name: &str, head: String, expected| both_say(name, &export, None, &[head], expected);
    said("good", good.clone(), ("sound", None));
    said(
        "more lines",
        note(&format!("{text}more\n")),
        ("sound", None),
    );
    said(
        "others' signatures",
        good.clone() + &foreign,
        ("sound", None),
    );
    said("twice", format!("{good}{signature}\n"), ("sound", None));
    said(
        "a bad one after it",
        good.clone() + &forged,
        ("sound", None),
    );
    let before = good.replacen(signature, &(forged.clone() + signature), 1);
    let bad = [
        ("nothing", String::new()),
        ("a bad one before it", before),
        ("no last newline", good.trim_end().to_owned()),
        ("a newline more", format!("{good}\n")),
        ("a space at the end", good.trim_end().to_owned() + " \n"),
        ("carriage returns", good.replace('\n', "\r\n")),
        ("a hyphen", good.replace('\u{2014}', "-")),
        ("two spaces", good.replace("\u{2014} ", "\u{2014}  ")),
        ("no signature", format!("{text}\n")),
        ("a tab", note(&format!("{text}\t\n"))),
        ("an empty line", note(&format!("{text}\nmore\n"))),
        (
            "no root",
            note(
                text.rsplit_once("\n")
                    .unwrap()
                    .0
                    .rsplit_once('\n')
                    .unwrap()
                    .0,
            ),
        ),
        ("too many signatures", good.clone() + &foreign.repeat(100)),
        (
            "a zero before the size",
            note(&text.replacen("\n3\n", "\n03\n", 1)),
        ),
        (
            "a plus before the size",
            note(&text.replacen("\n3\n", "\n+3\n", 1)),
        ),
        (
            "another digit",
            note(&text.replacen("\n3\n", "\n\u{663}\n", 1)),
        ),
        (
            "too large a size",
            note(&text.replacen("\n3\n", "\n99999999999999999999\n", 1)),
        ),
        (
            "another ledger",
            note(&text.replacen("vouchsafe/", "vouchsafe/x", 1)),
        ),
        (
            "another key",
            good.replacen(signature, foreign.trim_end(), 1),
        ),
        ("a second way to write it", second_way(&good)),
    ];
    for (name, head) in bad {
        said(name, head, ("wrong", None));
    }
}

/// It is not told before the entry that is wrong.
#[test]
fn a_head_that_is_none_hides_no_damage() {
    let place = sqlite();
    let ledger = place.open();
    ledger.append(&series(0..4)).unwrap();
    let text = String::from_utf8(exported(&ledger)).unwrap();
    let edited = text.replacen("r-3", "r-9", 1);
    let cut: Vec<&str> = text.lines().take(3).collect();
    for head in [String::new(), forged_head(3), forged_head(9)] {
        both_say(
            "edited",
            edited.as_bytes(),
            None,
            std::slice::from_ref(&head),
            ("wrong", Some(3)),
        );
        both_say(
            "cut",
            cut.join("\n").as_bytes(),
            None,
            &[head],
            ("wrong", Some(2)),
        );
    }
}

/// The last digit of the base64 with a bit that stands for nothing.
fn second_way(note: &str) -> String {
    let at = note
        .find("==\n")
        .unwrap_or_else(|| note.rfind("=\n").unwrap())
        - 1;
    let mut bytes = note.as_bytes().to_vec();
    bytes[at] += 1;
    String::from_utf8(bytes).unwrap()
}

fn forged_head(size: u64) -> String {
    let other = other_key().of_ledger(key().public().origin());
    vouchsafe_ledger::SignedHead::sign(&other, size, vouchsafe_ledger::leaf_hash(b"x")).note
}

#[test]
fn first_lines_and_keys_that_are_none() {
    let whole = String::from_utf8(around(body(&numbered(3)))).unwrap();
    let vkey_text = key().public_key_text();
    let said = |name: &str, from: &str, to: &str, expected| {
        let (first, rest) = whole.split_once('\n').unwrap();
        assert!(first.contains(from), "{first}");
        let export = format!("{}\n{rest}", first.replacen(from, to, 1));
        both_say(name, export.as_bytes(), None, &[], expected);
    };
    let refused = ("refused", None);
    said("no object", "{", "[", refused);
    said("one more", "\"size\"", "\"more\":1,\"size\"", refused);
    said("one less", ",\"size\":5", "", refused);
    said("twice", "\"size\"", "\"size\":5,\"size\"", refused);
    said("a form of later", "export/1", "export/3", refused);
    said("no form", "\"vouchsafe-ledger-export/1\"", "1", refused);
    for size in ["-1", "5.0", "true", "\"5\"", "18446744073709551616", "[]"] {
        said(size, "\"size\":5", &format!("\"size\":{size}"), refused);
    }
    said(
        "a size of later",
        "\"size\":5",
        "\"size\":6",
        ("wrong", Some(5)),
    );
    said("no key", &vkey_text, "key", refused);
    let name = vkey_text.split('+').next().unwrap();
    let mut second = [0xff; 32];
    // 2^255 - 16 is a second way to write 3, which is a point and not of small order.
    (second[0], second[31]) = (0xf0, 0x7f);
    let (mut none, mut small) = ([0; 32], [0; 32]);
    (none[0], small[0]) = (2, 1);
    for bytes in [second, none, small, [0; 32]] {
        let strange = vkey(1, name, &bytes);
        said("a strange key", &vkey_text, &strange, refused);
        both_say("given", whole.as_bytes(), Some(&strange), &[], refused);
    }
    let (first, rest) = whole.split_once('\n').unwrap();
    let export = format!("{}\n{rest}", first.replacen(&vkey_text, "key", 1));
    both_say(
        "named",
        export.as_bytes(),
        Some(&vkey_text),
        &[],
        ("wrong", None),
    );
    for text in ["", "x", "{\"seq\":0", "null\n"] {
        both_say(text, text.as_bytes(), None, &[], refused);
    }
}
