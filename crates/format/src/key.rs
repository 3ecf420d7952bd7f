//! Key files: the master key, sealed under a key derived from a password.
//!
//! Source of the format: restic `design.rst`, "Keys, Encryption and MAC".

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use scrypt::Params;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use zeroize::{Zeroize, Zeroizing};

use crate::crypto::{self, CryptoError, MasterKey};

/// The cost of deriving a key from a password with scrypt.
///
/// Memory is `128 * n * r` bytes; time grows with `n * r * p`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KdfParams {
    /// Cost: a power of two, at least 2.
    pub n: u32,
    /// Block size.
    pub r: u32,
    /// Parallelism.
    pub p: u32,
}

impl Default for KdfParams {
    fn default() -> KdfParams {
        KdfParams {
            n: 32768,
            r: 8,
            p: 1,
        }
    }
}

/// A key file as it is stored: plain JSON, its keys in this order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyFile {
    /// When it was made, RFC 3339.
    pub created: String,
    /// Who made it.
    pub username: String,
    /// Where it was made.
    pub hostname: String,
    /// The derivation; only `scrypt` is known.
    pub kdf: String,
    /// scrypt's N.
    #[serde(rename = "N")]
    pub n: i64,
    /// scrypt's r.
    pub r: i64,
    /// scrypt's p.
    pub p: i64,
    /// 64 random bytes; base64 in the file.
    #[serde(with = "base64_bytes")]
    pub salt: Vec<u8>,
    /// The sealed master key; base64 in the file.
    #[serde(with = "base64_bytes")]
    pub data: Vec<u8>,
}

/// A key file could not be made or opened.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The password is not the one of this key file (or its data is damaged:
    /// nothing can tell the two apart).
    #[error("wrong password for this key file")]
    WrongPassword,
    /// Not the JSON of a key file.
    #[error("the key file is malformed")]
    Malformed {
        /// What the parser met.
        #[source]
        source: serde_json::Error,
    },
    /// What was sealed inside is not a master key.
    #[error("the key file opens, but holds no master key")]
    NoMasterKey,
    /// A derivation other than scrypt.
    #[error("the key file derives its key with {kdf:?}; only \"scrypt\" is known")]
    UnknownKdf {
        /// The name found.
        kdf: String,
    },
    /// scrypt's parameters are unusable, or would need more than 1 GiB.
    #[error("scrypt parameters N={n}, r={r}, p={p} are invalid or too expensive")]
    Parameters {
        /// scrypt's N.
        n: i64,
        /// scrypt's r.
        r: i64,
        /// scrypt's p.
        p: i64,
    },
    /// The salt has another length than 64 bytes.
    #[error("the salt has {length} bytes instead of 64")]
    Salt {
        /// Bytes found.
        length: usize,
    },
    /// A key or an initialisation vector is unusable.
    #[error("unusable key material")]
    Crypto(#[from] CryptoError),
}

/// The bytes of a new key file that wraps `master` under `password`.
///
/// `created` is RFC 3339. `salt` and `iv` must be random.
///
/// # Errors
/// [`KeyError::Parameters`] beyond 1 GiB of memory, 2^28 steps or `r * p` of 2^16,
/// [`KeyError::Crypto`] for a zero `iv`.
#[allow(clippy::too_many_arguments)]
pub fn create_key_file(
    password: &[u8],
    master: &MasterKey,
    salt: [u8; 64],
    iv: [u8; 16],
    params: KdfParams,
    created: &str,
    username: &str,
    hostname: &str,
) -> Result<Vec<u8>, KeyError> {
    crypto::check_iv(&iv)?;
    let (n, r, p) = (params.n.into(), params.r.into(), params.p.into());
    let user = derive(password, &salt, n, r, p)?;
    let file = KeyFile {
        created: created.to_owned(),
        username: username.to_owned(),
        hostname: hostname.to_owned(),
        kdf: "scrypt".to_owned(),
        n,
        r,
        p,
        salt: salt.to_vec(),
        data: user.seal(iv, &encode_master(master)),
    };
    serde_json::to_vec(&file).map_err(|source| KeyError::Malformed { source })
}

/// The master key in the key file `bytes`.
///
/// # Errors
/// [`KeyError::WrongPassword`] when everything is in order but the password;
/// the other variants when the file cannot be a key file of this format.
pub fn open_key_file(bytes: &[u8], password: &[u8]) -> Result<MasterKey, KeyError> {
    let file = KeyFile::decode(bytes)?;
    let user = derive(password, &file.salt, file.n, file.r, file.p)?;
    match user.open(&file.data) {
        Ok(inner) => decode_master(&Zeroizing::new(inner)),
        Err(CryptoError::Forged) => Err(KeyError::WrongPassword),
        Err(other) => Err(other.into()),
    }
}

impl KeyFile {
    /// Reads a key file without opening it.
    ///
    /// # Errors
    /// [`KeyError::Malformed`], [`KeyError::UnknownKdf`], [`KeyError::Salt`],
    /// [`KeyError::Parameters`].
    pub fn decode(bytes: &[u8]) -> Result<KeyFile, KeyError> {
        let file: KeyFile =
            serde_json::from_slice(bytes).map_err(|source| KeyError::Malformed { source })?;
        if file.kdf != "scrypt" {
            return Err(KeyError::UnknownKdf { kdf: file.kdf });
        }
        if file.salt.len() != 64 {
            return Err(KeyError::Salt {
                length: file.salt.len(),
            });
        }
        checked_params(file.n, file.r, file.p)?;
        Ok(file)
    }
}

const MAX_MEMORY: i64 = 1 << 30;
const MAX_STEPS: i64 = 1 << 28;
/// Keeps the memory for the parallel parts below 8 MiB.
const MAX_PARALLEL: i64 = 1 << 16;

fn checked_params(n: i64, r: i64, p: i64) -> Result<Params, KeyError> {
    let refused = || KeyError::Parameters { n, r, p };
    if n < 2 || r < 1 || p < 1 || n.count_ones() != 1 {
        return Err(refused());
    }
    let blocks = n.checked_mul(r).ok_or_else(refused)?;
    let memory = blocks.checked_mul(128).ok_or_else(refused)?;
    let steps = blocks.checked_mul(p).ok_or_else(refused)?;
    let parallel = r.checked_mul(p).ok_or_else(refused)?;
    if memory > MAX_MEMORY || steps > MAX_STEPS || parallel > MAX_PARALLEL {
        return Err(refused());
    }
    let log_n = u8::try_from(n.trailing_zeros()).map_err(|_| refused())?;
    let r = u32::try_from(r).map_err(|_| refused())?;
    let p = u32::try_from(p).map_err(|_| refused())?;
    Params::new(log_n, r, p).map_err(|_| KeyError::Parameters {
        n,
        r: r.into(),
        p: p.into(),
    })
}

fn derive(password: &[u8], salt: &[u8], n: i64, r: i64, p: i64) -> Result<MasterKey, KeyError> {
    let params = checked_params(n, r, p)?;
    let mut derived = Zeroizing::new([0; 64]);
    scrypt::scrypt(password, salt, &params, derived.as_mut_slice())
        .map_err(|_| KeyError::Parameters { n, r, p })?;
    Ok(MasterKey::from_derived(&derived)?)
}

/// `{"mac":{"k":…,"r":…},"encrypt":…}`, each value base64.
#[derive(Deserialize)]
struct MasterJson {
    mac: MacJson,
    encrypt: String,
}

#[derive(Deserialize)]
struct MacJson {
    k: String,
    r: String,
}

impl Drop for MasterJson {
    fn drop(&mut self) {
        self.mac.k.zeroize();
        self.mac.r.zeroize();
        self.encrypt.zeroize();
    }
}

fn encode_master(master: &MasterKey) -> Zeroizing<Vec<u8>> {
    let (encrypt, k, r) = master.parts();
    let encrypt = Zeroizing::new(STANDARD.encode(encrypt));
    let k = Zeroizing::new(STANDARD.encode(k));
    let r = Zeroizing::new(STANDARD.encode(r));
    // Large enough from the start, so that no copy is left behind by growing.
    let mut out = Zeroizing::new(Vec::with_capacity(256));
    for part in [
        r#"{"mac":{"k":""#,
        &k,
        r#"","r":""#,
        &r,
        r#""},"encrypt":""#,
        &encrypt,
        r#""}"#,
    ] {
        out.extend_from_slice(part.as_bytes());
    }
    out
}

fn decode_master(inner: &[u8]) -> Result<MasterKey, KeyError> {
    // The parser's own error could quote the secret, so it is not kept.
    let json: MasterJson = serde_json::from_slice(inner).map_err(|_| KeyError::NoMasterKey)?;
    let encrypt = Zeroizing::new(secret_bytes::<32>(&json.encrypt)?);
    let k = Zeroizing::new(secret_bytes::<16>(&json.mac.k)?);
    let r = Zeroizing::new(secret_bytes::<16>(&json.mac.r)?);
    Ok(MasterKey::from_parts(*encrypt, *k, *r)?)
}

fn secret_bytes<const N: usize>(text: &str) -> Result<[u8; N], KeyError> {
    let bytes = STANDARD
        .decode(text)
        .map(Zeroizing::new)
        .map_err(|_| KeyError::NoMasterKey)?;
    <[u8; N]>::try_from(bytes.as_slice()).map_err(|_| KeyError::NoMasterKey)
}

mod base64_bytes {
    use super::{Deserialize, Deserializer, Engine, STANDARD, Serializer};

    pub(super) fn serialize<S: Serializer>(bytes: &[u8], to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&STANDARD.encode(bytes))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<u8>, D::Error> {
        let text = String::deserialize(from)?;
        STANDARD
            .decode(text)
            .map_err(|_| serde::de::Error::custom("not base64"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CHEAP: KdfParams = KdfParams { n: 16, r: 2, p: 1 };

    fn master() -> MasterKey {
        let mut bytes = [0; 64];
        bytes.iter_mut().zip(1..).for_each(|(byte, i)| *byte = i);
        MasterKey::from_random(bytes).unwrap()
    }

    fn made(params: KdfParams) -> Result<Vec<u8>, KeyError> {
        create_key_file(
            b"secret",
            &master(),
            [5; 64],
            [6; 16],
            params,
            "2024-01-02T03:04:05Z",
            "u",
            "h",
        )
    }

    /// The key file with one field replaced.
    fn altered(field: &str, value: serde_json::Value) -> Vec<u8> {
        let mut json: serde_json::Value = serde_json::from_slice(&made(CHEAP).unwrap()).unwrap();
        json[field] = value;
        serde_json::to_vec(&json).unwrap()
    }

    #[test]
    fn a_key_file_opens_with_its_password_only() {
        let file = made(CHEAP).unwrap();
        let opened = open_key_file(&file, b"secret").unwrap();
        assert_eq!(opened.parts(), master().parts());
        for wrong in [b"Secret".as_slice(), b"", b"secret "] {
            assert!(matches!(
                open_key_file(&file, wrong),
                Err(KeyError::WrongPassword)
            ));
        }
    }

    #[test]
    fn fields_stand_in_restics_order() {
        let text = String::from_utf8(made(CHEAP).unwrap()).unwrap();
        let start = r#"{"created":"2024-01-02T03:04:05Z","username":"u","hostname":"h","kdf":"scrypt","N":16,"r":2,"p":1,"salt":"BQUF"#;
        assert!(text.starts_with(start), "{text}");
    }

    #[test]
    fn damage_is_told_from_a_wrong_password() {
        let of = |bytes: Vec<u8>| open_key_file(&bytes, b"secret").unwrap_err();
        assert!(matches!(of(b"{".to_vec()), KeyError::Malformed { .. }));
        assert!(matches!(
            of(altered("salt", "!".into())),
            KeyError::Malformed { .. }
        ));
        assert!(matches!(
            of(altered("N", (-16).into())),
            KeyError::Parameters { n: -16, .. }
        ));
        assert!(matches!(
            of(altered("kdf", "argon2id".into())),
            KeyError::UnknownKdf { .. }
        ));
        assert!(matches!(
            of(altered("salt", "BQUF".into())),
            KeyError::Salt { length: 3 }
        ));
        assert!(matches!(
            of(altered("data", "BQUF".into())),
            KeyError::Crypto(_)
        ));
        let data = STANDARD.encode([9; 120]);
        assert!(matches!(
            of(altered("data", data.into())),
            KeyError::WrongPassword
        ));
    }

    #[test]
    fn a_sealed_inside_that_is_no_key_is_said_to_be_none() {
        let user = derive(b"secret", &[5; 64], 16, 2, 1).unwrap();
        for inside in [
            "",
            "{}",
            r#"{"mac":{"k":"AA==","r":"AA=="},"encrypt":"AA=="}"#,
        ] {
            let data = STANDARD.encode(user.seal([6; 16], inside.as_bytes()));
            let error = open_key_file(&altered("data", data.into()), b"secret").unwrap_err();
            assert!(matches!(error, KeyError::NoMasterKey), "{inside}");
        }
        let zero = STANDARD.encode([0; 32]);
        let half = STANDARD.encode([0; 16]);
        let inside = format!(r#"{{"mac":{{"k":"{half}","r":"{half}"}},"encrypt":"{zero}"}}"#);
        let data = STANDARD.encode(user.seal([6; 16], inside.as_bytes()));
        let error = open_key_file(&altered("data", data.into()), b"secret").unwrap_err();
        assert!(matches!(error, KeyError::Crypto(CryptoError::ZeroKey)));
    }

    #[test]
    fn absurd_parameters_are_refused_before_any_work() {
        for (n, r, p) in [
            (0, 8, 1),
            (1, 8, 1),
            (3, 8, 1),
            (16, 0, 1),
            (16, 8, 0),
            (1 << 21, 8, 1),
            (1 << 31, 8, 1),
            (2, 1, 1 << 27),
            (1 << 20, 8, 64),
            (2, u32::MAX, u32::MAX),
        ] {
            let refused = made(KdfParams { n, r, p });
            assert!(
                matches!(refused, Err(KeyError::Parameters { .. })),
                "{n} {r} {p}"
            );
        }
        for (n, r, p) in [(128, 8, 1), (32768, 8, 1), (1 << 20, 8, 1), (65536, 8, 64)] {
            assert!(checked_params(n, r, p).is_ok(), "{n} {r} {p}");
        }
        assert!(checked_params(i64::MAX, i64::MAX, i64::MAX).is_err());
        assert!(checked_params(1 << 62, 1 << 62, 1).is_err());
    }

    #[test]
    fn a_zero_iv_makes_no_key_file() {
        let made = create_key_file(b"x", &master(), [5; 64], [0; 16], CHEAP, "", "", "");
        assert!(matches!(made, Err(KeyError::Crypto(CryptoError::ZeroIv))));
    }
}
