//! Time stamps of a real authority: OpenSSL makes them, we examine them, and OpenSSL examines what we keep.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use vouchsafe_ledger::verify::{Expected, verify_export_by};
use vouchsafe_ledger::{
    Ledger, ProblemKind, StampError, StampQuery, StampRoots, StampToken, VerifyReport,
};
use vouchsafe_model::{Fact, Timestamping};
use vouchsafe_testkit::authority::{Authority, FIT, Keys};

use crate::common::{composed, entry, exported, key, said_by_python, said_by_us, series, sqlite};

fn roots(authority: &Authority) -> StampRoots {
    StampRoots::parse(&std::fs::read(authority.root()).unwrap()).unwrap()
}

/// A record of ten entries.
fn recorded() -> Ledger {
    let ledger = sqlite().open();
    ledger.append(&series(0..10)).unwrap();
    ledger
}

fn query(note: &str) -> StampQuery {
    StampQuery::new(note, [0xff; 8])
}

/// A token as an answer that grants it.
fn granted(token: &[u8]) -> Vec<u8> {
    let inner = [&[0x30, 3, 2, 1, 0], token].concat();
    let length = u16::try_from(inner.len()).unwrap().to_be_bytes();
    [&[0x30, 0x82], &length[..], &inner].concat()
}

fn replaced(bytes: &[u8], from: &[u8], to: &[u8]) -> Vec<u8> {
    assert_eq!(from.len(), to.len());
    let at = bytes.windows(from.len()).position(|w| w == from).unwrap();
    [&bytes[..at], to, &bytes[at + to.len()..]].concat()
}

fn examined(export: &[u8], roots: Option<&StampRoots>) -> VerifyReport {
    let expected = Expected {
        stamp_roots: roots,
        ..Expected::default()
    };
    verify_export_by(export, &expected).unwrap()
}

#[test]
fn a_stamped_head_says_when_the_record_existed() {
    for keys in [Keys::P256, Keys::P384, Keys::Rsa] {
        let authority = Authority::new(keys);
        let roots = roots(&authority);
        let ledger = recorded();
        let head = ledger.head_at(9).unwrap();
        let query = query(&head.note);
        assert_eq!(StampQuery::from_der(&query.to_der()), Some(query.clone()));
        let answer = authority.answer(&query.to_der());
        let token = query.read_answer(&answer, &roots).unwrap();
        let stamp = token.fact(&head.note).unwrap();
        assert_eq!(stamp.authority, "CN=Test-TSA, O=Test-Time, C=GB");
        assert_eq!((stamp.tree_size, stamp.policy.as_str()), (9, "1.2.3.4.1"));
        assert_eq!(stamp.root, head.root.to_string());
        assert_eq!(stamp.accuracy_micros, Some(1_500_100));
        // What we keep is what OpenSSL accepts for the head, and for nothing else.
        let kept = BASE64_STANDARD.decode(&stamp.token).unwrap();
        assert!(authority.accepts(&kept, head.note.as_bytes()), "{keys:?}");
        assert!(!authority.accepts(&kept, b"another text"));

        ledger
            .append(&[entry(31, Fact::Timestamped(stamp.clone()))])
            .unwrap();
        let export = exported(&ledger);
        for (given, is_trusted) in [
            (None, false),
            (Some(&roots), true),
            (Some(&self::roots(&Authority::new(Keys::P256))), false),
        ] {
            let report = examined(&export, given);
            assert!(report.is_sound(), "{report:#?}");
            let [found] = report.stamps.as_slice() else {
                panic!("{report:#?}");
            };
            assert_eq!((found.size, found.entry, found.at), (9, 10, stamp.seen));
            assert_eq!(found.is_trusted, is_trusted);
        }
        assert_eq!(ledger.verify(&[]).unwrap().stamps.len(), 1);
        let (said, text) = said_by_python(&export, None, &[], &[]);
        assert_eq!(said.0, "sound", "{text}");
        let at = format!("stamped up to 9 entries at {} by CN=Test-TSA", stamp.seen);
        assert!(
            text.contains(&at) && text.contains("if that is genuine"),
            "{text}"
        );
    }
}

#[test]
fn an_answer_that_is_not_to_this_request_is_refused() {
    let authority = Authority::new(Keys::P256);
    let roots = roots(&authority);
    let head = recorded().head().unwrap();
    let asked = query(&head.note);
    let good = authority.answer(&asked.to_der());
    assert!(asked.read_answer(&good, &roots).is_ok());
    let read = |answer: &[u8]| asked.read_answer(answer, &roots).unwrap_err();

    let of_other = authority.answer(&query("another text").to_der());
    assert_eq!(read(&of_other), StampError::OtherImprint);
    let other_nonce = StampQuery::new(&head.note, [1; 8]).to_der();
    assert_eq!(
        read(&authority.answer(&other_nonce)),
        StampError::OtherNonce
    );
    let strange = Authority::new(Keys::P256);
    let error = read(&strange.answer(&asked.to_der()));
    assert!(matches!(error, StampError::Untrusted { .. }), "{error}");

    // A policy that it does not have, and a digest that it does not take.
    let no_policy = [
        &[0x30, 48, 2, 1, 1][..],
        &asked.to_der()[5..56],
        &[6, 3, 0x2a, 3, 9],
    ];
    let no_policy = no_policy.concat();
    let no_policy = [
        &[0x30, u8::try_from(no_policy.len() - 2).unwrap()],
        &no_policy[2..],
    ]
    .concat();
    let error = read(&authority.answer(&no_policy));
    assert!(
        matches!(&error, StampError::Rejected { status: 2, said } if said.contains("policy")),
        "{error}"
    );

    // Nothing may follow, and nothing may lack.
    assert!(matches!(
        read(&[&good[..], &[0]].concat()),
        StampError::Malformed { .. }
    ));
    for length in (0..good.len()).step_by(7) {
        read(&good[..length]);
    }
    // What follows the token within the answer is not signed, and not read over.
    let token = authority.token(&good);
    read(&granted(&[&token[..], &[5, 0]].concat()));
    assert!(asked.read_answer(&granted(&token), &roots).is_ok());
}

#[test]
fn no_byte_of_a_token_can_be_changed_unseen() {
    let authority = Authority::new(Keys::P256);
    let head = recorded().head().unwrap();
    let query = query(&head.note);
    let token = authority.token(&authority.answer(&query.to_der()));
    let good = StampToken::read(&token).unwrap();
    let roots = roots(&authority);
    let mut unseen = 0;
    for at in 0..token.len() {
        let mut changed = token.clone();
        changed[at] ^= 1;
        // A digit of the version, or of what repeats the digest's name, says nothing; what is read stays the same.
        if let Ok(read) = StampToken::read(&changed)
            && read.check_roots(&roots).is_ok()
        {
            unseen += 1;
            assert_eq!(read.fact(&head.note).unwrap().seen, good.time());
        }
    }
    assert!(unseen < 40, "{unseen}");
    // The time, a year earlier: what was signed has another digest then.
    let second = good.time().to_string().replace(['-', ':', 'T'], "");
    let (second, _) = second.as_bytes().split_at(14);
    let earlier = replaced(&token, second, &[b"2020", &second[4..]].concat());
    let error = StampToken::read(&earlier).unwrap_err();
    assert!(matches!(error, StampError::Forged { .. }), "{error}");
}

#[test]
fn a_certificate_that_is_not_for_time_stamps_signs_none() {
    let authority = Authority::new(Keys::P256);
    let roots = roots(&authority);
    let head = recorded().head().unwrap();
    let asked = query(&head.note);
    let said = authority.said(&authority.token(&authority.answer(&asked.to_der())));
    let read = |name: &str, said: &[u8]| {
        let token = authority.sign(name, said);
        asked.read_answer(&granted(&token), &roots)
    };
    let now = Some("20000102000000Z 20900101000000Z");
    authority.certify("good", FIT, now);
    read("good", &said).unwrap();
    for (name, extensions) in [
        ("none", "keyUsage=critical,digitalSignature\n"),
        ("other", "extendedKeyUsage=critical,codeSigning\n"),
        (
            "more",
            "extendedKeyUsage=critical,timeStamping,codeSigning\n",
        ),
        ("lax", "extendedKeyUsage=timeStamping\n"),
        (
            "usage",
            "extendedKeyUsage=critical,timeStamping\nkeyUsage=critical,keyEncipherment,digitalSignature\n",
        ),
    ] {
        authority.certify(name, extensions, now);
        let error = read(name, &said).unwrap_err();
        assert!(matches!(error, StampError::Unfit { .. }), "{name}: {error}");
    }
    for (name, valid) in [
        ("expired", "20000102000000Z 20200101000000Z"),
        ("early", "20890101000000Z 20900101000000Z"),
    ] {
        authority.certify(name, FIT, Some(valid));
        let error = read(name, &said).unwrap_err();
        assert!(
            matches!(&error, StampError::Unfit { what, .. } if what.contains("valid from")),
            "{error}"
        );
    }
    // It was valid then, and the root was not.
    let second = said
        .windows(6)
        .position(|w| w[0] == 0x18 && w[2..4] == *b"20");
    let at = second.unwrap() + 2;
    let early = [&said[..at], b"2001", &said[at + 4..]].concat();
    let error = read("good", &early).unwrap_err();
    assert!(
        matches!(&error, StampError::Untrusted { reason, .. } if reason.contains("no root was valid")),
        "{error}"
    );
}

#[test]
fn an_entry_that_states_what_was_not_stamped_is_wrong_for_both_examiners() {
    let authority = Authority::new(Keys::P256);
    let ledger = recorded();
    let stamped = |note: &str| {
        let query = query(note);
        let answer = authority.answer(&query.to_der());
        let token = query.read_answer(&answer, &roots(&authority)).unwrap();
        token.fact(note).unwrap()
    };
    let good = stamped(&ledger.head_at(9).unwrap().note);
    let of = |stamp: Timestamping| {
        let mut entries = series(0..10);
        entries.push(entry(31, Fact::Timestamped(stamp)));
        let bodies: Vec<_> = entries
            .iter()
            .map(|e| serde_json::to_vec(e).unwrap())
            .collect();
        composed(&key(), &bodies)
    };
    let wrong = |name: &str, stamp: Timestamping, both: bool| {
        let export = of(stamp);
        let report = examined(&export, None);
        assert_eq!(report.first_wrong(), Some(10), "{name}");
        assert_eq!(
            report.problems[0].kind,
            ProblemKind::Stamp,
            "{name}: {report:#?}"
        );
        let (said, text) = said_by_python(&export, None, &[], &[]);
        assert_eq!(said == said_by_us(&report), both, "{name}: {text}");
    };
    assert!(examined(&of(good.clone()), None).is_sound());

    let other = sqlite().open();
    other.append(&series(1..11)).unwrap();
    let eighth = ledger.head_at(8).unwrap();
    let another = stamped(&other.head_at(9).unwrap().note);
    wrong("another record", another.clone(), true);
    wrong(
        "a token for another head",
        Timestamping {
            token: stamped(&eighth.note).token,
            ..good.clone()
        },
        true,
    );
    wrong(
        "another size",
        Timestamping {
            tree_size: 8,
            ..good.clone()
        },
        true,
    );
    wrong(
        "another root",
        Timestamping {
            root: eighth.root.to_string(),
            ..good.clone()
        },
        true,
    );
    wrong(
        "another time",
        Timestamping {
            seen: crate::common::at(0),
            ..good.clone()
        },
        true,
    );
    wrong(
        "no token",
        Timestamping {
            token: BASE64_STANDARD.encode("no token"),
            ..good.clone()
        },
        true,
    );
    let unsigned = "vouchsafe/0123456789abcdef\n9\n47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\n";
    wrong(
        "a text that nobody has signed",
        Timestamping {
            note: unsigned.to_owned(),
            token: {
                let query = query(unsigned);
                let answer = authority.answer(&query.to_der());
                BASE64_STANDARD.encode(authority.token(&answer))
            },
            ..good.clone()
        },
        true,
    );
    // These need the signature of the authority, which the other examiner leaves to OpenSSL.
    wrong(
        "another authority",
        Timestamping {
            authority: "CN=Somebody better".to_owned(),
            ..good.clone()
        },
        false,
    );
    let token = BASE64_STANDARD.decode(&good.token).unwrap();
    let mut forged = token.clone();
    *forged.last_mut().unwrap() ^= 1;
    wrong(
        "a forged signature",
        Timestamping {
            token: BASE64_STANDARD.encode(&forged),
            ..good
        },
        false,
    );
    assert!(!authority.accepts(&forged, ledger.head_at(9).unwrap().note.as_bytes()));
}

#[test]
fn what_are_no_roots_is_refused() {
    for text in [
        "",
        "no certificate",
        "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
        "-----BEGIN CERTIFICATE-----\nMIIB",
    ] {
        let error = StampRoots::parse(text.as_bytes()).unwrap_err();
        assert_eq!(error, StampError::Roots, "{text}");
    }
}

mod arbitrary {
    use super::*;
    use proptest::prelude::*;
    use std::sync::OnceLock;

    fn answer() -> &'static [u8] {
        static ANSWER: OnceLock<Vec<u8>> = OnceLock::new();
        ANSWER.get_or_init(|| Authority::new(Keys::P256).answer(&query("text").to_der()))
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_are_survived(
            bytes in proptest::collection::vec(any::<u8>(), 0..64),
            at in any::<proptest::sample::Index>(),
        ) {
            let _ = StampToken::read(&bytes);
            let _ = StampQuery::from_der(&bytes);
            let good = answer();
            let at = at.index(good.len());
            let damaged = [&good[..at], &bytes, &good[(at + bytes.len()).min(good.len())..]].concat();
            let head = damaged.windows(9).position(|w| w == [6, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 13, 1]);
            let token = damaged.get(head.unwrap_or(4).saturating_sub(4)..).unwrap_or_default();
            let _ = StampToken::read(token);
        }
    }
}
