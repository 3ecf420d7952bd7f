//! Logging in by SCRAM-SHA-256 (RFC 5802, RFC 7677).

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bson::spec::BinarySubtype;
use bson::{Binary, Bson, Document, doc};
use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};

use super::{Call, users};
use crate::fault::{AUTHENTICATION_FAILED, Answer, BAD_VALUE, Fault};
use crate::server::{Connection, Server};

/// The one mechanism.
pub(crate) const MECHANISM: &str = "SCRAM-SHA-256";
/// As in the server.
const ITERATIONS: i32 = 15_000;

/// Who has logged in.
#[derive(Debug, Clone)]
pub(crate) struct User {
    pub(crate) name: String,
    pub(crate) database: String,
    pub(crate) roles: Vec<Role>,
}

/// A role, and the database that it is of.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Role {
    pub(crate) name: String,
    pub(crate) database: String,
}

impl Role {
    pub(crate) fn document(&self) -> Document {
        doc! { "role": &self.name, "db": &self.database }
    }
}

/// A login that has begun.
#[derive(Debug, Clone)]
pub(crate) struct Conversation {
    user: User,
    /// What both sides have said so far, without the proof.
    said: String,
    nonce: String,
    stored: Vec<u8>,
    server: Vec<u8>,
    short: bool,
    proven: bool,
}

/// What a server keeps of a password.
pub(crate) fn credentials(password: &str) -> Document {
    let mut salt = [0; 28];
    // Without randomness the salt is the same for all: it protects nothing that is real.
    let _ = getrandom::fill(&mut salt);
    let salted = salted(password, &salt, ITERATIONS);
    let stored = Sha256::digest(mac(&salted, b"Client Key"));
    doc! { MECHANISM: {
        "iterationCount": ITERATIONS,
        "salt": STANDARD.encode(salt),
        "storedKey": STANDARD.encode(stored),
        "serverKey": STANDARD.encode(mac(&salted, b"Server Key")),
    }}
}

fn salted(password: &str, salt: &[u8], iterations: i32) -> Vec<u8> {
    let mut first = salt.to_vec();
    first.extend_from_slice(&[0, 0, 0, 1]);
    let mut last = mac(password.as_bytes(), &first);
    let mut out = last.clone();
    for _ in 1..iterations {
        last = mac(password.as_bytes(), &last);
        out.iter_mut().zip(&last).for_each(|(a, b)| *a ^= b);
    }
    out
}

fn mac(key: &[u8], text: &[u8]) -> Vec<u8> {
    match Hmac::<Sha256>::new_from_slice(key) {
        Ok(mut mac) => {
            mac.update(text);
            mac.finalize().into_bytes().to_vec()
        }
        // A key may have any length.
        Err(_) => Vec::new(),
    }
}

fn failed() -> Fault {
    Fault::new(AUTHENTICATION_FAILED, "Authentication failed.")
}

pub(super) fn start(call: &mut Call<'_>) -> Answer {
    begin(call.server, call.connection, call.body)
}

/// The first step: by a command of its own, or within the greeting.
pub(super) fn begin(server: &Server, connection: &mut Connection, body: &Document) -> Answer {
    if body.get_str("mechanism").ok() != Some(MECHANISM) {
        return Err(Fault::new(
            334,
            "Received authentication for a mechanism which is not enabled",
        ));
    }
    let first = payload(body)?;
    let database = body
        .get_str("db")
        .or_else(|_| body.get_str("$db"))
        .unwrap_or("admin");
    let bare = first
        .strip_prefix("n,,")
        .ok_or_else(|| Fault::new(BAD_VALUE, "no channel binding is spoken here"))?;
    let name = field(bare, "n=")
        .ok_or_else(failed)?
        .replace("=2C", ",")
        .replace("=3D", "=");
    let theirs = field(bare, "r=").ok_or_else(failed)?;
    let document =
        users::find(&server.lock().state, &format!("{database}.{name}")).ok_or_else(failed)?;
    let own = document
        .get_document("credentials")
        .and_then(|all| all.get_document(MECHANISM))
        .map_err(|_| failed())?;
    let decoded = |name: &str| {
        own.get_str(name)
            .ok()
            .and_then(|text| STANDARD.decode(text).ok())
            .ok_or_else(failed)
    };
    let (stored, server_key) = (decoded("storedKey")?, decoded("serverKey")?);
    let mut random = [0; 18];
    getrandom::fill(&mut random).map_err(|_| failed())?;
    let nonce = format!("{theirs}{}", STANDARD.encode(random));
    let salt = own.get_str("salt").map_err(|_| failed())?;
    let iterations = own.get_i32("iterationCount").unwrap_or(ITERATIONS);
    let reply = format!("r={nonce},s={salt},i={iterations}");
    let options = body.get_document("options").cloned().unwrap_or_default();
    connection.conversation = Some(Conversation {
        user: users::user(&document),
        said: format!("{bare},{reply}"),
        nonce,
        stored,
        server: server_key,
        short: options.get_bool("skipEmptyExchange").unwrap_or(false),
        proven: false,
    });
    Ok(said(&reply, false))
}

pub(super) fn go_on(call: &mut Call<'_>) -> Answer {
    let conversation = call.connection.conversation.take().ok_or_else(failed)?;
    if conversation.proven {
        call.connection.user = Some(conversation.user);
        return Ok(said("", true));
    }
    let last = payload(call.body)?;
    let (without, proof) = last.rsplit_once(",p=").ok_or_else(failed)?;
    if field(without, "r=") != Some(conversation.nonce.as_str())
        || field(without, "c=") != Some("biws")
    {
        return Err(failed());
    }
    let said_so_far = format!("{},{without}", conversation.said);
    let signature = mac(&conversation.stored, said_so_far.as_bytes());
    let proof = STANDARD.decode(proof).map_err(|_| failed())?;
    if proof.len() != signature.len() {
        return Err(failed());
    }
    let key: Vec<u8> = proof.iter().zip(&signature).map(|(a, b)| a ^ b).collect();
    if Sha256::digest(&key).as_slice() != conversation.stored.as_slice() {
        return Err(failed());
    }
    let reply = format!(
        "v={}",
        STANDARD.encode(mac(&conversation.server, said_so_far.as_bytes()))
    );
    let done = conversation.short;
    match done {
        true => call.connection.user = Some(conversation.user),
        false => {
            call.connection.conversation = Some(Conversation {
                proven: true,
                ..conversation
            });
        }
    }
    Ok(said(&reply, done))
}

fn payload(body: &Document) -> Result<String, Fault> {
    let bytes = match body.get("payload") {
        Some(Bson::Binary(binary)) => binary.bytes.clone(),
        Some(Bson::String(text)) => STANDARD.decode(text).map_err(|_| failed())?,
        _ => return Err(failed()),
    };
    String::from_utf8(bytes).map_err(|_| failed())
}

fn said(text: &str, done: bool) -> Document {
    let payload = Binary {
        subtype: BinarySubtype::Generic,
        bytes: text.as_bytes().to_vec(),
    };
    doc! { "conversationId": 1, "done": done, "payload": payload }
}

fn field<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    text.split(',').find_map(|part| part.strip_prefix(name))
}
