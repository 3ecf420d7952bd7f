//! Time stamps of an authority (RFC 3161): what is asked, what is answered, and what that proves of the record.

mod certificate;
mod der;
mod roots;
mod token;

use base64::prelude::{BASE64_STANDARD, Engine as _};
use sha2::{Digest, Sha256};
use signed_note::Note;
use vouchsafe_model::{Time, Timestamping};

use crate::head::head_in;
use der::{BIT_STRING, BOOLEAN, Der, INTEGER, NULL, OCTETS, OID, SEQUENCE, UTF8, short};
use token::{Info, Parts, SHA_256};

pub use roots::StampRoots;

/// The longest answer or token that is read, in bytes.
pub const LONGEST_STAMP: usize = 256 << 10;

/// A request for a time stamp: a TimeStampReq with a nonce that asks for the authority's certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StampQuery {
    imprint: [u8; 32],
    nonce: [u8; 8],
}

/// A time stamp whose signature is the one of the certificate in it, which is fit for it and was valid then. Whose
/// certificate that is, only [`StampToken::check_roots`] tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StampToken {
    der: Vec<u8>,
    info: Info,
    authority: String,
}

/// Why something is no time stamp of what it is to be one of.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StampError {
    /// Not in the form of RFC 3161.
    #[error("this is not a time stamp as RFC 3161 has it: {what} cannot be read")]
    Malformed {
        /// The part that cannot be read.
        what: &'static str,
    },
    /// The authority did not do it.
    #[error("the authority has not stamped it: it answered with status {status}{said}")]
    Rejected {
        /// The PKIStatus.
        status: u64,
        /// What it said, for people.
        said: String,
    },
    /// Of something else.
    #[error("the time stamp is of something else: its SHA-256 is not the one of the head")]
    OtherImprint,
    /// The answer to another request.
    #[error(
        "the time stamp is the answer to another request: it does not have the nonce of this one"
    )]
    OtherNonce,
    /// The signature does not fit.
    #[error("the time stamp is forged or damaged: {what}")]
    Forged {
        /// What does not fit.
        what: &'static str,
    },
    /// The certificate must not sign time stamps, or not then.
    #[error("the certificate of {authority} may not sign this time stamp: {what}")]
    Unfit {
        /// The authority.
        authority: String,
        /// Why.
        what: String,
    },
    /// Made by means that are not known here.
    #[error("the time stamp has {what}, which this version does not read")]
    Unsupported {
        /// What it has.
        what: &'static str,
    },
    /// Nobody who is trusted vouches for the authority.
    #[error(
        "the certificate of {authority} does not lead to a root that is given: {reason}; give the right one, as the authority publishes it"
    )]
    Untrusted {
        /// The authority.
        authority: String,
        /// Why not.
        reason: String,
    },
    /// Not certificates.
    #[error(
        "these are no certificates that can be trusted: at least one is needed, each in PEM, beginning with -----BEGIN CERTIFICATE-----"
    )]
    Roots,
    /// Not a head.
    #[error("what was stamped is not a signed head")]
    Head,
}

impl StampQuery {
    /// A request for the note of a head. The nonce may be any random bytes.
    pub fn new(note: &str, random: [u8; 8]) -> StampQuery {
        let mut nonce = random;
        if let Some(first) = nonce.first_mut() {
            // A positive number of always the same length.
            *first = *first & 0x3f | 0x40;
        }
        StampQuery {
            imprint: Sha256::digest(note.as_bytes()).into(),
            nonce,
        }
    }

    /// The request as it is sent, in DER.
    pub fn to_der(&self) -> Vec<u8> {
        let algorithm = [short(OID, SHA_256), short(NULL, &[])].concat();
        let imprint = [short(SEQUENCE, &algorithm), short(OCTETS, &self.imprint)].concat();
        let request = [
            short(INTEGER, &[1]),
            short(SEQUENCE, &imprint),
            short(INTEGER, &self.nonce),
            short(BOOLEAN, &[0xff]),
        ];
        short(SEQUENCE, &request.concat())
    }

    /// A request that [`StampQuery::to_der`] has written; nothing for any other.
    pub fn from_der(bytes: &[u8]) -> Option<StampQuery> {
        let mut request = Der::only(bytes, SEQUENCE)?;
        request.take(INTEGER)?;
        let imprint = token::imprint(request.take(SEQUENCE)?)??;
        let nonce = request.take(INTEGER)?.try_into().ok()?;
        let query = StampQuery { imprint, nonce };
        (query.to_der() == bytes).then_some(query)
    }

    /// Whether it asks for a stamp of this note.
    pub fn is_for(&self, note: &str) -> bool {
        self.imprint[..] == Sha256::digest(note.as_bytes())[..]
    }

    /// Reads the answer, a TimeStampResp. The token that comes back is of what was asked for, and leads to these roots.
    ///
    /// # Errors
    /// Any [`StampError`] but [`StampError::Head`].
    pub fn read_answer(&self, answer: &[u8], roots: &StampRoots) -> Result<StampToken, StampError> {
        let token = token_in(answer)?;
        let token = StampToken::read(token)?;
        if token.info.imprint != self.imprint {
            return Err(StampError::OtherImprint);
        }
        if token.info.nonce.as_deref() != Some(&self.nonce[..]) {
            return Err(StampError::OtherNonce);
        }
        token.check_roots(roots)?;
        Ok(token)
    }
}

impl StampToken {
    /// Reads a token, a ContentInfo in DER, and examines everything that can be examined with nothing but itself.
    ///
    /// # Errors
    /// [`StampError::Malformed`], [`StampError::Forged`], [`StampError::Unfit`], [`StampError::Unsupported`].
    pub fn read(token: &[u8]) -> Result<StampToken, StampError> {
        if token.len() > LONGEST_STAMP {
            return Err(StampError::Malformed {
                what: "so long a token",
            });
        }
        let parts = Parts::parse(token)?;
        let signer = parts.signer()?;
        let info = parts.signed_by(&signer)?;
        let authority = certificate::name_text(signer.subject).ok_or(StampError::Malformed {
            what: "the name of the authority",
        })?;
        let unfit = signer.unfit().map(str::to_owned).or_else(|| {
            let valid = signer.is_valid_at(&info.second);
            (!valid).then(|| format!("it is valid from {} only", signer.validity()))
        });
        match unfit {
            Some(what) => Err(StampError::Unfit { authority, what }),
            None => Ok(StampToken {
                der: token.to_vec(),
                info,
                authority,
            }),
        }
    }

    /// Reads a token in base64, as entries have it.
    ///
    /// # Errors
    /// As [`StampToken::read`].
    pub fn from_base64(text: &str) -> Result<StampToken, StampError> {
        let token = BASE64_STANDARD.decode(text);
        StampToken::read(&token.map_err(|_| StampError::Malformed { what: "its base64" })?)
    }

    /// Whether the authority's certificate leads to one of these roots, all on the way being valid when the time stamp
    /// was made. Whether one of them was revoked is not asked.
    ///
    /// # Errors
    /// [`StampError::Untrusted`].
    pub fn check_roots(&self, roots: &StampRoots) -> Result<(), StampError> {
        let parts = Parts::parse(&self.der)?;
        let signer = parts.signer()?;
        roots
            .lead(&parts, &signer, &self.info)
            .map_err(|reason| StampError::Untrusted {
                authority: self.authority.clone(),
                reason,
            })
    }

    /// When, by the authority's clock, rounded down to microseconds.
    pub fn time(&self) -> Time {
        self.info.time
    }

    /// The fact that says so of a head, which must be what was stamped. Who has signed the head is not looked at.
    ///
    /// # Errors
    /// [`StampError::OtherImprint`], [`StampError::Head`].
    pub fn fact(&self, note: &str) -> Result<Timestamping, StampError> {
        if self.info.imprint[..] != Sha256::digest(note.as_bytes())[..] {
            return Err(StampError::OtherImprint);
        }
        let parsed = Note::from_bytes(note.as_bytes()).map_err(|_| StampError::Head)?;
        let (_, size, root) = head_in(&parsed).ok_or(StampError::Head)?;
        Ok(Timestamping {
            authority: self.authority.clone(),
            tree_size: size,
            root: root.to_string(),
            seen: self.info.time,
            accuracy_micros: self.info.accuracy,
            policy: self.info.policy.clone(),
            serial: self.info.serial.clone(),
            note: note.to_owned(),
            token: BASE64_STANDARD.encode(&self.der),
        })
    }
}

/// The token in an answer that grants one.
fn token_in(answer: &[u8]) -> Result<&[u8], StampError> {
    let malformed = StampError::Malformed {
        what: "the authority's answer",
    };
    answer_parts(answer).unwrap_or(Err(malformed))
}

fn answer_parts(answer: &[u8]) -> Option<Result<&[u8], StampError>> {
    let mut outer = Der::only(answer, SEQUENCE)?;
    let mut status = outer.within(SEQUENCE)?;
    let code = Der::number(status.take(INTEGER)?)?;
    let texts = status.perhaps(SEQUENCE)?;
    let failures = status.perhaps(BIT_STRING)?;
    status.end()?;
    // Granted, or granted with modifications, which are examined like all else.
    if code > 1 {
        let text = texts.and_then(|texts| Der::of(texts).take(UTF8));
        let text = text.map(String::from_utf8_lossy);
        let text = text.map(|text| format!(": {}", certificate::plain(&text)));
        let said = format!(
            "{}{}",
            failures.map_or("", failure),
            text.unwrap_or_default()
        );
        return Some(Err(StampError::Rejected { status: code, said }));
    }
    let token = outer.whole(SEQUENCE)?;
    outer.end()?;
    Some(Ok(token))
}

/// What a PKIFailureInfo says, as far as RFC 3161 lists it.
fn failure(bits: &[u8]) -> &'static str {
    let is_set = |bit: usize| {
        let byte = bits.get(1 + bit / 8);
        byte.is_some_and(|byte| byte & (0x80 >> (bit % 8)) != 0)
    };
    let known = [
        (0, " (the digest is not accepted)"),
        (2, " (such a request is not permitted)"),
        (5, " (the request has not the right form)"),
        (14, " (the authority's clock is not available)"),
        (15, " (the policy is not accepted)"),
        (16, " (an extension is not accepted)"),
        (17, " (something that was asked for is not available)"),
        (25, " (its system has failed)"),
    ];
    let found = known.iter().find(|(bit, _)| is_set(*bit));
    found.map_or("", |(_, text)| text)
}
