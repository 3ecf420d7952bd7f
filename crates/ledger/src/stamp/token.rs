//! A token of an authority: a CMS SignedData (RFC 5652) over a TSTInfo (RFC 3161), taken apart and examined.

use rustls_pki_types::{CertificateDer, SignatureVerificationAlgorithm};
use sha1::Sha1;
use sha2::{Digest, Sha256, Sha384, Sha512};
use vouchsafe_model::Time;
use webpki::ring as algorithms;

use super::StampError;
use super::certificate::{Certificate, Whose};
use super::der::{
    AT_0, AT_1, BOOLEAN, Der, IN_0, IN_1, IN_4, INTEGER, NULL, OCTETS, OID, SEQUENCE, SET, TIME,
};

const SIGNED_DATA: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 7, 2];
const TST_INFO: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 9, 16, 1, 4];
const CONTENT_TYPE: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 9, 3];
const MESSAGE_DIGEST: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 9, 4];
const SIGNING_CERTIFICATE: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 9, 16, 2, 12];
const SIGNING_CERTIFICATE_V2: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 9, 16, 2, 47];
pub(super) const SHA_256: &[u8] = &[0x60, 0x86, 0x48, 1, 0x65, 3, 4, 2, 1];
const SHA_384: &[u8] = &[0x60, 0x86, 0x48, 1, 0x65, 3, 4, 2, 2];
const SHA_512: &[u8] = &[0x60, 0x86, 0x48, 1, 0x65, 3, 4, 2, 3];
const PKCS_1: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1];
const ELLIPTIC_KEY: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 2, 1];
const ELLIPTIC: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3];
const ED25519: &[u8] = &[0x2b, 0x65, 0x70];

/// What an authority says: that it has seen a digest at a time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Info {
    pub(super) policy: String,
    /// SHA-256 of what was stamped.
    pub(super) imprint: [u8; 32],
    pub(super) serial: String,
    pub(super) time: Time,
    /// The second of it: 14 digits.
    pub(super) second: String,
    pub(super) accuracy: Option<u64>,
    pub(super) nonce: Option<Vec<u8>>,
}

/// A token, not examined yet.
pub(super) struct Parts<'a> {
    content: &'a [u8],
    pub(super) certificates: Vec<&'a [u8]>,
    signer: Signer<'a>,
}

struct Signer<'a> {
    whose: Whose<'a>,
    /// Nothing for one that is not known here.
    digest: Option<Hash>,
    /// The signed attributes, without tag and length.
    attributes: &'a [u8],
    /// The same, with tag and length as they stand in the token.
    attributes_whole: &'a [u8],
    algorithm: &'a [u8],
    signature: &'a [u8],
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Hash {
    Sha256,
    Sha384,
    Sha512,
}

impl Hash {
    fn of(oid: &[u8]) -> Option<Hash> {
        match oid {
            SHA_256 => Some(Hash::Sha256),
            SHA_384 => Some(Hash::Sha384),
            SHA_512 => Some(Hash::Sha512),
            _ => None,
        }
    }

    fn digest(self, bytes: &[u8]) -> Vec<u8> {
        match self {
            Hash::Sha256 => Sha256::digest(bytes).to_vec(),
            Hash::Sha384 => Sha384::digest(bytes).to_vec(),
            Hash::Sha512 => Sha512::digest(bytes).to_vec(),
        }
    }
}

impl<'a> Parts<'a> {
    pub(super) fn parse(token: &'a [u8]) -> Result<Parts<'a>, StampError> {
        Parts::taken_apart(token).ok_or(StampError::Malformed { what: "its token" })
    }

    fn taken_apart(token: &'a [u8]) -> Option<Parts<'a>> {
        let mut outer = Der::only(token, SEQUENCE)?;
        (outer.take(OID)? == SIGNED_DATA).then_some(())?;
        let explicit = outer.take(IN_0)?;
        outer.end()?;
        let mut signed = Der::only(explicit, SEQUENCE)?;
        signed.take(INTEGER)?;
        signed.take(SET)?;
        let mut content = signed.within(SEQUENCE)?;
        (content.take(OID)? == TST_INFO).then_some(())?;
        let explicit = content.take(IN_0)?;
        content.end()?;
        let mut explicit = Der::of(explicit);
        let content = explicit.take(OCTETS)?;
        explicit.end()?;
        let mut certificates = Vec::new();
        let mut all = Der::of(signed.perhaps(IN_0)?.unwrap_or_default());
        while !all.is_empty() {
            // What is no certificate of X.509 signs no time stamps.
            let item = all.item()?;
            certificates.extend((item.tag == SEQUENCE).then_some(item.whole));
        }
        signed.perhaps(IN_1)?;
        let mut signers = signed.within(SET)?;
        signed.end()?;
        let mut one = signers.within(SEQUENCE)?;
        // The authority's signature is the only one.
        signers.end()?;
        one.take(INTEGER)?;
        let whose = Whose::read(one.item()?)?;
        let digest = Hash::of(one.within(SEQUENCE)?.take(OID)?);
        let attributes = one.item().filter(|item| item.tag == IN_0)?;
        let algorithm = one.within(SEQUENCE)?.take(OID)?;
        let signature = one.take(OCTETS)?;
        one.perhaps(IN_1)?;
        one.end()?;
        Some(Parts {
            content,
            certificates,
            signer: Signer {
                whose,
                digest,
                attributes: attributes.value,
                attributes_whole: attributes.whole,
                algorithm,
                signature,
            },
        })
    }

    /// The certificate that the signature names.
    pub(super) fn signer(&self) -> Result<Certificate<'a>, StampError> {
        let parsed = self.certificates.iter().copied();
        parsed
            .filter_map(Certificate::parse)
            .find(|certificate| self.signer.whose.is(certificate))
            .ok_or(StampError::Malformed {
                what: "the authority's certificate",
            })
    }

    /// What is said, if it is signed with this certificate as RFC 3161 demands. Whether the certificate may sign is
    /// another question.
    pub(super) fn signed_by(&self, certificate: &Certificate<'_>) -> Result<Info, StampError> {
        let attributes = self.attributes().ok_or(StampError::Malformed {
            what: "its signed attributes",
        })?;
        if attributes.content_type != TST_INFO {
            return Err(StampError::Malformed {
                what: "the kind of what was signed",
            });
        }
        let hash = self.signer.digest.ok_or(StampError::Unsupported {
            what: "another digest than SHA-256, SHA-384 and SHA-512",
        })?;
        if attributes.digest != hash.digest(self.content) {
            return Err(StampError::Forged {
                what: "what was signed has another digest",
            });
        }
        if !attributes.names(certificate) {
            return Err(StampError::Forged {
                what: "it was signed for another certificate than the one beside it",
            });
        }
        // What is signed is the set itself, without the tag that it has here (RFC 5652, section 5.4).
        let mut message = self.signer.attributes_whole.to_vec();
        if let Some(tag) = message.first_mut() {
            *tag = SET;
        }
        self.check_signature(certificate, hash, &message)?;
        Info::parse(self.content)
    }

    fn check_signature(
        &self,
        certificate: &Certificate<'_>,
        hash: Hash,
        message: &[u8],
    ) -> Result<(), StampError> {
        let unsupported = StampError::Unsupported {
            what: "another signature than RSA of 2048 to 8192 bits, ECDSA by P-256 or P-384 with SHA-256 or SHA-384, and Ed25519",
        };
        let der = CertificateDer::from(certificate.whole);
        let key = webpki::EndEntityCert::try_from(&der).map_err(|_| StampError::Malformed {
            what: "the authority's certificate",
        })?;
        let mut result = Err(unsupported);
        for algorithm in candidates(self.signer.algorithm, hash) {
            use webpki::Error::UnsupportedSignatureAlgorithmForPublicKeyContext as OtherKey;
            match key.verify_signature(algorithm, message, self.signer.signature) {
                Ok(()) => return Ok(()),
                Err(OtherKey(_)) => {}
                Err(_) => {
                    result = Err(StampError::Forged {
                        what: "the signature is not the one of the certificate's key",
                    });
                }
            }
        }
        result
    }

    fn attributes(&self) -> Option<Attributes<'a>> {
        let (mut content_type, mut digest, mut ids) = (None, None, Vec::new());
        let mut all = Der::of(self.signer.attributes);
        while !all.is_empty() {
            let mut one = all.within(SEQUENCE)?;
            let kind = one.take(OID)?;
            let mut values = one.within(SET)?;
            one.end()?;
            let slot = match kind {
                CONTENT_TYPE => &mut content_type,
                MESSAGE_DIGEST => &mut digest,
                SIGNING_CERTIFICATE => {
                    ids.push(CertificateId::parse(values.take(SEQUENCE)?, false)?);
                    values.end()?;
                    continue;
                }
                SIGNING_CERTIFICATE_V2 => {
                    ids.push(CertificateId::parse(values.take(SEQUENCE)?, true)?);
                    values.end()?;
                    continue;
                }
                _ => continue,
            };
            let tag = if kind == CONTENT_TYPE { OID } else { OCTETS };
            let value = values.take(tag)?;
            values.end()?;
            slot.replace(value).is_none().then_some(())?;
        }
        Some(Attributes {
            content_type: content_type?,
            digest: digest?,
            ids,
        })
    }
}

struct Attributes<'a> {
    content_type: &'a [u8],
    digest: &'a [u8],
    /// The signer's certificate, by the old and by the new attribute.
    ids: Vec<CertificateId<'a>>,
}

impl Attributes<'_> {
    /// Whether the certificate is the one for which the signature was made.
    fn names(&self, certificate: &Certificate<'_>) -> bool {
        !self.ids.is_empty() && self.ids.iter().all(|id| id.is(certificate))
    }
}

/// A certificate as RFC 5035 names it, the first of a list: the one of the signer.
struct CertificateId<'a> {
    /// Nothing for SHA-1, which the older attribute has.
    hash: Option<Hash>,
    digest: &'a [u8],
    issued: Option<(&'a [u8], &'a [u8])>,
}

impl<'a> CertificateId<'a> {
    fn parse(value: &'a [u8], newer: bool) -> Option<CertificateId<'a>> {
        let mut id = Der::of(value).within(SEQUENCE)?.within(SEQUENCE)?;
        let hash = match newer {
            false => None,
            true => Some(match id.perhaps(SEQUENCE)? {
                Some(algorithm) => Hash::of(Der::of(algorithm).take(OID)?)?,
                None => Hash::Sha256,
            }),
        };
        let digest = id.take(OCTETS)?;
        let issued = match id.perhaps(SEQUENCE)? {
            None => None,
            Some(issued) => {
                let mut issued = Der::of(issued);
                let mut names = issued.within(SEQUENCE)?;
                let name = names.take(IN_4)?;
                names.end()?;
                let serial = issued.take(INTEGER)?;
                issued.end()?;
                Some((name, serial))
            }
        };
        id.end()?;
        Some(CertificateId {
            hash,
            digest,
            issued,
        })
    }

    fn is(&self, certificate: &Certificate<'_>) -> bool {
        let digest = match self.hash {
            Some(hash) => hash.digest(certificate.whole),
            None => Sha1::digest(certificate.whole).to_vec(),
        };
        let issued = self.issued.is_none_or(|(issuer, serial)| {
            issuer == certificate.issuer && serial == certificate.serial
        });
        digest == self.digest && issued
    }
}

impl Info {
    fn parse(content: &[u8]) -> Result<Info, StampError> {
        Info::taken_apart(content).unwrap_or(Err(StampError::Malformed {
            what: "what it says",
        }))
    }

    fn taken_apart(content: &[u8]) -> Option<Result<Info, StampError>> {
        let mut info = Der::only(content, SEQUENCE)?;
        (info.take(INTEGER)? == [1]).then_some(())?;
        let policy = Der::dotted(info.take(OID)?)?;
        let Some(imprint) = imprint(info.take(SEQUENCE)?)? else {
            return Some(Err(StampError::Unsupported {
                what: "another digest of what is stamped than SHA-256",
            }));
        };
        let serial = match info.take(INTEGER)? {
            [0, rest @ ..] if !rest.is_empty() => hex::encode(rest),
            all => hex::encode(all),
        };
        let (time, second) = moment(info.take(TIME)?)?;
        let accuracy = match info.perhaps(SEQUENCE)? {
            Some(accuracy) => Some(micros(accuracy)?),
            None => None,
        };
        info.perhaps(BOOLEAN)?;
        let nonce = info.perhaps(INTEGER)?.map(<[u8]>::to_vec);
        info.perhaps(IN_0)?;
        let mut extensions = Der::of(info.perhaps(IN_1)?.unwrap_or_default());
        info.end()?;
        while !extensions.is_empty() {
            let mut one = extensions.within(SEQUENCE)?;
            one.take(OID)?;
            if one.perhaps(BOOLEAN)?.is_some_and(|flag| flag != [0]) {
                return Some(Err(StampError::Unsupported {
                    what: "an extension that must be understood",
                }));
            }
        }
        Some(Ok(Info {
            policy,
            imprint,
            serial,
            time,
            second,
            accuracy,
            nonce,
        }))
    }
}

/// The SHA-256 of a MessageImprint; nothing within if it is another digest.
pub(super) fn imprint(value: &[u8]) -> Option<Option<[u8; 32]>> {
    let mut imprint = Der::of(value);
    let mut algorithm = imprint.within(SEQUENCE)?;
    let oid = algorithm.take(OID)?;
    let parameters = algorithm.perhaps(NULL)?;
    let digest = imprint.take(OCTETS)?;
    imprint.end()?;
    if oid != SHA_256 {
        return Some(None);
    }
    algorithm.end()?;
    parameters.is_none_or(<[u8]>::is_empty).then_some(())?;
    digest.try_into().ok().map(Some)
}

/// A GeneralizedTime, in microseconds and as the 14 digits of its second.
fn moment(value: &[u8]) -> Option<(Time, String)> {
    let text = std::str::from_utf8(value).ok()?.strip_suffix('Z')?;
    let (second, fraction) = match text.split_once('.') {
        // What is zero is not written.
        Some((_, fraction)) if fraction.is_empty() || fraction.ends_with('0') => return None,
        Some((second, fraction)) => (second, fraction),
        None => (text, ""),
    };
    let is_number = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
    if second.len() != 14 || !is_number(second) || !is_number(fraction) {
        return None;
    }
    let part = |from: usize, to: usize| second.get(from..to).unwrap_or_default();
    let written = format!(
        "{}-{}-{}T{}:{}:{}.{:0<6.6}Z",
        part(0, 4),
        part(4, 6),
        part(6, 8),
        part(8, 10),
        part(10, 12),
        part(12, 14),
        fraction
    );
    let time: Time = written.parse().ok()?;
    // Days and hours that there are not, and times that an entry cannot have, come out as others.
    (time.to_string() == written && time.micros() >= 0).then(|| (time, second.to_owned()))
}

/// An Accuracy in microseconds.
fn micros(value: &[u8]) -> Option<u64> {
    let mut accuracy = Der::of(value);
    let number = |bytes: Option<&[u8]>| bytes.map_or(Some(0), Der::number);
    let seconds = number(accuracy.perhaps(INTEGER)?)?;
    let millis = number(accuracy.perhaps(AT_0)?)?;
    let micros = number(accuracy.perhaps(AT_1)?)?;
    accuracy.end()?;
    let whole = seconds.checked_mul(1_000_000)?;
    whole
        .checked_add(millis.checked_mul(1000)?)?
        .checked_add(micros)
}

/// The algorithms that a signature may be of. What it says of its digest must be what it says beside it.
fn candidates(algorithm: &[u8], hash: Hash) -> Vec<&'static dyn SignatureVerificationAlgorithm> {
    let (of_rsa, of_elliptic) = match hash {
        Hash::Sha256 => (11, 2),
        Hash::Sha384 => (12, 3),
        Hash::Sha512 => (13, 4),
    };
    match (
        algorithm.strip_prefix(PKCS_1),
        algorithm.strip_prefix(ELLIPTIC),
    ) {
        (Some([1]), _) => vec![pkcs_1(hash)],
        (Some([10]), _) => vec![pss(hash)],
        (Some([said]), _) if *said == of_rsa => vec![pkcs_1(hash)],
        (_, Some([said])) if *said == of_elliptic => elliptic(hash),
        _ if algorithm == ELLIPTIC_KEY => elliptic(hash),
        _ if algorithm == ED25519 && hash == Hash::Sha512 => vec![algorithms::ED25519],
        _ => Vec::new(),
    }
}

fn pkcs_1(hash: Hash) -> &'static dyn SignatureVerificationAlgorithm {
    match hash {
        Hash::Sha256 => algorithms::RSA_PKCS1_2048_8192_SHA256,
        Hash::Sha384 => algorithms::RSA_PKCS1_2048_8192_SHA384,
        Hash::Sha512 => algorithms::RSA_PKCS1_2048_8192_SHA512,
    }
}

fn pss(hash: Hash) -> &'static dyn SignatureVerificationAlgorithm {
    match hash {
        Hash::Sha256 => algorithms::RSA_PSS_2048_8192_SHA256_LEGACY_KEY,
        Hash::Sha384 => algorithms::RSA_PSS_2048_8192_SHA384_LEGACY_KEY,
        Hash::Sha512 => algorithms::RSA_PSS_2048_8192_SHA512_LEGACY_KEY,
    }
}

fn elliptic(hash: Hash) -> Vec<&'static dyn SignatureVerificationAlgorithm> {
    match hash {
        Hash::Sha256 => vec![algorithms::ECDSA_P256_SHA256, algorithms::ECDSA_P384_SHA256],
        Hash::Sha384 => vec![algorithms::ECDSA_P256_SHA384, algorithms::ECDSA_P384_SHA384],
        Hash::Sha512 => Vec::new(),
    }
}
