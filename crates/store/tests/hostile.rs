//! Servers that answer what they should not: endless bodies, more than was asked for, and noise. Nothing of it takes
//! memory without bound, and nothing of it is handed out.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use crate::common::{access, open_without_waiting};
use proptest::prelude::*;
use vouchsafe_store::{Key, Store, StoreError};

/// How it answers whatever is asked.
#[derive(Clone, Debug)]
enum Answer {
    /// Bytes without an end, in pieces.
    Endless { status: &'static str },
    /// So many bytes are announced, and bytes come without an end.
    Announced { bytes: u64 },
    /// This body, after `HEAD` and `GET` alike.
    Body { status: u16, body: Vec<u8> },
    /// These bytes are all of the answer.
    Raw(Vec<u8>),
}

struct Hostile {
    port: u16,
    sent: Arc<AtomicU64>,
    answer: Arc<Mutex<Answer>>,
}

impl Hostile {
    fn start(answer: Answer) -> Hostile {
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let (sent, answer) = (Arc::new(AtomicU64::new(0)), Arc::new(Mutex::new(answer)));
        let (counted, given) = (Arc::clone(&sent), Arc::clone(&answer));
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (counted, given) = (Arc::clone(&counted), Arc::clone(&given));
                std::thread::spawn(move || serve(stream, &given, &counted));
            }
        });
        Hostile { port, sent, answer }
    }

    /// The same server as a store of each kind that speaks HTTP.
    fn stores(&self) -> [Arc<dyn Store>; 3] {
        let at = format!("http://127.0.0.1:{}", self.port);
        [
            format!("rest:{at}/v"),
            format!("webdav:{at}/v"),
            format!("s3:{at}/bucket/v"),
        ]
        .map(|url| open_without_waiting(&url, &access()))
    }

    fn answers(&self, answer: Answer) {
        *self.answer.lock().unwrap() = answer;
    }
}

/// Answers requests until one of the answers has no end, or the client has heard enough.
fn serve(stream: TcpStream, answer: &Mutex<Answer>, sent: &AtomicU64) {
    let mut asked = BufReader::new(stream.try_clone().expect("a stream"));
    let mut stream = stream;
    loop {
        let (mut head, mut line) = (String::new(), String::new());
        while asked.read_line(&mut line).is_ok_and(|n| n > 0) && line != "\r\n" {
            head.push_str(&line);
            line.clear();
        }
        if head.is_empty() {
            return;
        }
        let answer = answer.lock().unwrap().clone();
        let mut say = |bytes: &[u8]| {
            sent.fetch_add(bytes.len() as u64, Ordering::Relaxed);
            stream.write_all(bytes).is_ok()
        };
        let piece = vec![b'x'; 64 << 10];
        let is_head = head.starts_with("HEAD");
        match answer {
            Answer::Endless { status } => {
                say(format!("HTTP/1.1 {status}\r\nTransfer-Encoding: chunked\r\n\r\n").as_bytes());
                while !is_head && say(b"10000\r\n") && say(&piece) && say(b"\r\n") {}
                return;
            }
            Answer::Announced { bytes } => {
                say(format!("HTTP/1.1 200 OK\r\nContent-Length: {bytes}\r\n\r\n").as_bytes());
                while !is_head && say(&piece) {}
                return;
            }
            Answer::Body { status, body } => {
                let length = body.len();
                say(format!("HTTP/1.1 {status} X\r\nContent-Length: {length}\r\n\r\n").as_bytes());
                if !is_head {
                    say(&body);
                }
            }
            Answer::Raw(bytes) => {
                say(&bytes);
                return;
            }
        }
    }
}

fn pack() -> Key {
    let name = "4a".repeat(32);
    Key::new(format!("repo/data/4a/{name}")).expect("a key")
}

/// What may be on its way when the client stops reading.
const UNDER_WAY: u64 = 64 << 20;

#[test]
fn a_body_without_an_end_is_not_read_to_its_end() {
    let endless = Answer::Endless { status: "200 OK" };
    for answer in [endless, Answer::Announced { bytes: 1 << 50 }] {
        let server = Hostile::start(answer.clone());
        for store in server.stores() {
            let mut into = Vec::new();
            let got = store.get_into(&pack(), 1000, &mut into);
            assert!(got.is_err(), "{} {answer:?}", store.describe());
            assert!(into.capacity() < 64 << 20, "{}", into.capacity());
        }
        let sent = server.sent.load(Ordering::Relaxed);
        assert!(sent < UNDER_WAY, "{sent} bytes");
        let rest = &server.stores()[0];
        let got = rest.get_into(&pack(), 1000, &mut Vec::new());
        assert!(
            matches!(got, Err(StoreError::TooLong { most: 1000, .. })),
            "{got:?}"
        );
    }
}

#[test]
fn a_range_that_is_longer_than_was_asked_for_is_no_range() {
    let server = Hostile::start(Answer::Endless {
        status: "206 Partial Content",
    });
    for store in server.stores() {
        let got = store.get_range(&pack(), 10, 1000);
        assert!(got.is_err(), "{}", store.describe());
    }
    let sent = server.sent.load(Ordering::Relaxed);
    assert!(sent < UNDER_WAY, "{sent} bytes");
}

#[test]
fn a_refusal_without_an_end_is_not_read_to_its_end() {
    let server = Hostile::start(Answer::Endless {
        status: "404 Not Found",
    });
    let rest = &server.stores()[0];
    let got = rest.get(&pack());
    assert!(got.is_err_and(|e| e.is_not_found()));
    let sent = server.sent.load(Ordering::Relaxed);
    assert!(sent < UNDER_WAY, "{sent} bytes");
}

#[test]
fn a_listing_leads_to_no_key_that_is_not_below_the_prefix() {
    let server = Hostile::start(Answer::Raw(Vec::new()));
    let good = "4a".repeat(32);
    let names = [
        "..",
        "../../keys/x",
        "/etc/passwd",
        "",
        "a/b",
        ".",
        "x\\u0000y",
        &good,
    ];
    let listed: Vec<String> = names
        .iter()
        .map(|name| format!("{{\"name\":\"{name}\",\"size\":18446744073709551615}}"))
        .collect();
    let body = format!("[{}]", listed.join(","));
    server.answers(Answer::Body {
        status: 200,
        body: body.into_bytes(),
    });
    let rest = &server.stores()[0];
    for prefix in ["repo/data/", "repo/keys/", "repo/"] {
        let listed = rest.list(prefix, &mut |key, _| {
            assert!(key.as_str().starts_with(prefix), "{key}");
            let mut parts = key.as_str().split('/');
            assert!(parts.all(|part| !matches!(part, "" | "." | "..")), "{key}");
            ControlFlow::Continue(())
        });
        listed.expect("lists");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    #[test]
    fn no_answer_makes_a_store_panic_or_believe(
        status in prop::sample::select(vec![200_u16, 201, 206, 301, 400, 403, 404, 409, 412, 416, 500, 503]),
        body in prop_oneof![
            prop::collection::vec(any::<u8>(), 0..300),
            "[\\[\\]{}\":,a-z0-9. -]{0,120}".prop_map(String::into_bytes),
            "(<[/]?(Error|Code|Version|Key|D:multistatus|D:response|D:href|ListBucketResult|Contents|Size)>|[a-z/.0-9]{0,6}){0,20}".prop_map(String::into_bytes),
        ],
        raw in any::<bool>(),
    ) {
        let answer = if raw { Answer::Raw(body.clone()) } else { Answer::Body { status, body: body.clone() } };
        let server = Hostile::start(answer);
        for store in server.stores() {
            let _ = store.head(&pack());
            let got = store.get_into(&pack(), 1000, &mut Vec::new());
            if raw {
                prop_assert!(got.is_err());
            }
            // A range is exact, or it is an error.
            if let Ok(range) = store.get_range(&pack(), 3, 5) {
                prop_assert_eq!(range.len(), 5);
            }
            let _ = store.list("repo/keys/", &mut |key, _| {
                assert!(key.as_str().starts_with("repo/keys/"), "{key}");
                ControlFlow::Continue(())
            });
            let _ = store.retention(&pack());
            let _ = store.legal_hold(&pack());
        }
    }
}
