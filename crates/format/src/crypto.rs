//! Sealing and opening: AES-256-CTR with a Poly1305-AES code over the ciphertext.
//!
//! Source of the format: restic `design.rst`, "Keys, Encryption and MAC".

use std::fmt;

use aes::cipher::{BlockCipherEncrypt, InnerIvInit, KeyInit, StreamCipher};
use aes::{Aes128, Aes256, Block};
use ctr::CtrCore;
use ctr::cipher::StreamCipherCoreWrapper;
use ctr::flavors::Ctr128BE;
use poly1305::Poly1305;
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

/// Bytes that sealing adds: 16 of initialisation vector, 16 of authentication code.
pub const OVERHEAD: usize = IV_LENGTH + MAC_LENGTH;

pub(crate) const IV_LENGTH: usize = 16;
const MAC_LENGTH: usize = 16;

/// The keys that seal everything in a repository.
///
/// Cleared from memory when dropped; its `Debug` shows nothing of them.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct MasterKey {
    encrypt: [u8; 32],
    mac_k: [u8; 16],
    mac_r: [u8; 16],
    #[zeroize(skip)] // clears itself when dropped
    stream: Aes256,
    #[zeroize(skip)] // clears itself when dropped
    mac: Aes128,
}

/// Something could not be sealed or opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CryptoError {
    /// Fewer bytes than the overhead alone.
    #[error("sealed data has at least {OVERHEAD} bytes, this has {length}")]
    Truncated {
        /// Bytes that are there.
        length: usize,
    },
    /// The authentication code does not fit: damaged, forged, or another key.
    #[error("the authentication code does not match: the data is damaged or the key is another")]
    Forged,
    /// The initialisation vector is all zero, which no writer makes.
    #[error("the initialisation vector is all zero")]
    ZeroIv,
    /// A part of the key is all zero, which no writer makes.
    #[error("a part of the key is all zero")]
    ZeroKey,
}

impl MasterKey {
    /// The key made of 64 random bytes: 32 of AES-256, 16 of MAC k, 16 of MAC r.
    ///
    /// # Errors
    /// [`CryptoError::ZeroKey`] when one of the three parts is all zero.
    pub fn from_random(bytes: [u8; 64]) -> Result<MasterKey, CryptoError> {
        let bytes = Zeroizing::new(bytes);
        let (encrypt, k, mut r) = split_key(&bytes);
        // Poly1305 ignores these bits; cleared so that the stored key has one spelling.
        for i in [3, 7, 11, 15] {
            r[i] &= 0x0f;
        }
        for i in [4, 8, 12] {
            r[i] &= 0xfc;
        }
        MasterKey::from_parts(encrypt, k, r)
    }

    /// Seals `plaintext`: IV, ciphertext, code.
    ///
    /// `iv` must be random, never used before with this key and not all zero
    /// (what is sealed under a zero IV is refused by [`open`](Self::open);
    /// see [`check_iv`]).
    pub fn seal(&self, iv: [u8; 16], plaintext: &[u8]) -> Vec<u8> {
        let mut out = Vec::with_capacity(plaintext.len() + OVERHEAD);
        self.seal_append(iv, plaintext, &mut out);
        out
    }

    /// As [`seal`](Self::seal), with the plaintext in `buf` replaced by what was sealed.
    pub fn seal_in_place(&self, iv: [u8; 16], buf: &mut Vec<u8>) {
        buf.reserve(OVERHEAD);
        buf.splice(..0, iv);
        self.finish_seal(&iv, buf, 0);
    }

    /// As [`seal`](Self::seal), appended to `out`; what was there stays.
    pub fn seal_append(&self, iv: [u8; 16], plaintext: &[u8], out: &mut Vec<u8>) {
        let start = out.len();
        out.reserve(plaintext.len() + OVERHEAD);
        out.extend_from_slice(&iv);
        out.extend_from_slice(plaintext);
        self.finish_seal(&iv, out, start);
    }

    /// The plaintext of `sealed`. The code is compared first, in constant time.
    ///
    /// # Errors
    /// [`CryptoError::Truncated`], [`CryptoError::ZeroIv`] or [`CryptoError::Forged`].
    pub fn open(&self, sealed: &[u8]) -> Result<Vec<u8>, CryptoError> {
        let (iv, ciphertext) = self.authenticate(sealed)?;
        let mut plaintext = ciphertext.to_vec();
        self.apply(&iv, &mut plaintext);
        Ok(plaintext)
    }

    /// As [`open`](Self::open), decrypting where the bytes are.
    ///
    /// # Errors
    /// As [`open`](Self::open); `sealed` is then unchanged.
    pub fn open_in_place<'a>(&self, sealed: &'a mut [u8]) -> Result<&'a mut [u8], CryptoError> {
        let (iv, _) = self.authenticate(sealed)?;
        let end = sealed.len() - MAC_LENGTH;
        let plaintext = sealed.get_mut(IV_LENGTH..end).unwrap_or_default();
        self.apply(&iv, plaintext);
        Ok(plaintext)
    }

    /// The key with these parts, as a key file stores them.
    pub(crate) fn from_parts(
        encrypt: [u8; 32],
        mac_k: [u8; 16],
        mac_r: [u8; 16],
    ) -> Result<MasterKey, CryptoError> {
        let zero = |part: &[u8]| part.iter().all(|b| *b == 0);
        let refused = zero(&encrypt) || zero(&mac_k) || zero(&mac_r);
        let key = MasterKey {
            stream: Aes256::new(&encrypt.into()),
            mac: Aes128::new(&mac_k.into()),
            encrypt,
            mac_k,
            mac_r,
        };
        if refused {
            Err(CryptoError::ZeroKey)
        } else {
            Ok(key)
        }
    }

    /// The key that a password's derivation yields: bits are taken as they are.
    pub(crate) fn from_derived(bytes: &[u8; 64]) -> Result<MasterKey, CryptoError> {
        let (encrypt, k, r) = split_key(bytes);
        MasterKey::from_parts(encrypt, k, r)
    }

    /// Encryption key, MAC k, MAC r.
    pub(crate) fn parts(&self) -> (&[u8; 32], &[u8; 16], &[u8; 16]) {
        (&self.encrypt, &self.mac_k, &self.mac_r)
    }

    /// Encrypts `out[start + 16..]`, before which the IV stands, and appends the code.
    pub(crate) fn finish_seal(&self, iv: &[u8; 16], out: &mut Vec<u8>, start: usize) {
        let body = out.get_mut(start + IV_LENGTH..).unwrap_or_default();
        self.apply(iv, body);
        let code = self.code(iv, body);
        out.extend_from_slice(&code);
    }

    /// The IV and the ciphertext, if the code fits.
    pub(crate) fn authenticate<'a>(
        &self,
        sealed: &'a [u8],
    ) -> Result<([u8; 16], &'a [u8]), CryptoError> {
        let truncated = CryptoError::Truncated {
            length: sealed.len(),
        };
        let (iv, rest) = sealed.split_first_chunk::<IV_LENGTH>().ok_or(truncated)?;
        let (ciphertext, code) = rest.split_last_chunk::<MAC_LENGTH>().ok_or(truncated)?;
        check_iv(iv)?;
        if !equal_in_constant_time(&self.code(iv, ciphertext), code) {
            return Err(CryptoError::Forged);
        }
        Ok((*iv, ciphertext))
    }

    fn code(&self, iv: &[u8; 16], ciphertext: &[u8]) -> [u8; 16] {
        let mut s = Block::from(*iv);
        self.mac.encrypt_block(&mut s);
        let mut key = Zeroizing::new([0; 32]);
        let (first, second) = key.split_at_mut(16);
        first.copy_from_slice(&self.mac_r);
        second.copy_from_slice(&s);
        s.zeroize();
        Poly1305::new(&(*key).into())
            .compute_unpadded(ciphertext)
            .into()
    }

    /// What encrypts and decrypts one part of a message after the other.
    pub(crate) fn stream(&self, iv: &[u8; 16]) -> impl FnMut(&mut [u8]) {
        let core = CtrCore::<&Aes256, Ctr128BE>::inner_iv_init(&self.stream, &(*iv).into());
        let mut stream = StreamCipherCoreWrapper::from_core(core);
        move |data| stream.apply_keystream(data)
    }

    fn apply(&self, iv: &[u8; 16], data: &mut [u8]) {
        self.stream(iv)(data);
    }
}

impl fmt::Debug for MasterKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MasterKey(..)")
    }
}

/// Refuses an initialisation vector that [`MasterKey::open`] would refuse.
///
/// # Errors
/// [`CryptoError::ZeroIv`] when all 16 bytes are zero.
pub fn check_iv(iv: &[u8; 16]) -> Result<(), CryptoError> {
    if *iv == [0; 16] {
        Err(CryptoError::ZeroIv)
    } else {
        Ok(())
    }
}

fn split_key(bytes: &[u8; 64]) -> ([u8; 32], [u8; 16], [u8; 16]) {
    let (mut encrypt, mut k, mut r) = ([0; 32], [0; 16], [0; 16]);
    let (first, rest) = bytes.split_at(32);
    let (second, third) = rest.split_at(16);
    encrypt.copy_from_slice(first);
    k.copy_from_slice(second);
    r.copy_from_slice(third);
    (encrypt, k, r)
}

fn equal_in_constant_time(a: &[u8; 16], b: &[u8; 16]) -> bool {
    let difference = a.iter().zip(b).fold(0, |sum, (x, y)| sum | (x ^ y));
    std::hint::black_box(difference) == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key() -> MasterKey {
        let mut bytes = [0; 64];
        bytes.iter_mut().zip(7..).for_each(|(byte, i)| *byte = i);
        MasterKey::from_random(bytes).unwrap()
    }

    #[test]
    fn the_three_ways_to_seal_agree() {
        let sealed = key().seal([3; 16], b"plaintext");
        assert_eq!(sealed.len(), 9 + OVERHEAD);
        assert_eq!(&sealed[..16], &[3; 16]);
        let mut in_place = b"plaintext".to_vec();
        key().seal_in_place([3; 16], &mut in_place);
        assert_eq!(in_place, sealed);
        let mut appended = b"before".to_vec();
        key().seal_append([3; 16], b"plaintext", &mut appended);
        assert_eq!(&appended[..6], b"before");
        assert_eq!(&appended[6..], sealed);
        assert_eq!(key().open(&sealed).unwrap(), b"plaintext");
        assert_eq!(key().open_in_place(&mut in_place).unwrap(), b"plaintext");
    }

    #[test]
    fn nothing_can_be_sealed_too() {
        let sealed = key().seal([1; 16], b"");
        assert_eq!(sealed.len(), OVERHEAD);
        assert_eq!(key().open(&sealed).unwrap(), b"");
    }

    #[test]
    fn each_refusal_has_its_reason() {
        let mut sealed = key().seal([1; 16], b"some text");
        assert_eq!(
            key().open(&sealed[..31]),
            Err(CryptoError::Truncated { length: 31 })
        );
        assert_eq!(key().open(&sealed[..32]), Err(CryptoError::Forged));
        assert_eq!(
            key().open(&key().seal([0; 16], b"x")),
            Err(CryptoError::ZeroIv)
        );
        let other = MasterKey::from_random([9; 64]).unwrap();
        assert_eq!(other.open(&sealed), Err(CryptoError::Forged));
        sealed[20] ^= 1;
        let before = sealed.clone();
        assert_eq!(key().open_in_place(&mut sealed), Err(CryptoError::Forged));
        assert_eq!(sealed, before);
    }

    #[test]
    fn a_counter_at_its_end_wraps_around() {
        let text = [0; 100];
        let sealed = key().seal([0xff; 16], &text);
        assert_eq!(key().open(&sealed).unwrap(), text);
        let mut block = Block::from([0; 16]);
        key().stream.encrypt_block(&mut block);
        assert_eq!(
            &sealed[32..48],
            block.as_slice(),
            "the second block's counter is 0"
        );
    }

    #[test]
    fn zero_parts_of_a_key_are_refused() {
        for zeroed in [0..32, 32..48, 48..64] {
            let mut bytes = [1; 64];
            bytes[zeroed].fill(0);
            assert_eq!(
                MasterKey::from_random(bytes).unwrap_err(),
                CryptoError::ZeroKey
            );
        }
    }

    #[test]
    fn debug_shows_no_secret() {
        assert_eq!(format!("{:?}", key()), "MasterKey(..)");
    }

    /// The example of RFC 8439, section 2.5.2, with AES standing where `s` comes from.
    #[test]
    fn the_code_is_poly1305_with_r_from_the_key() {
        let r: [u8; 16] = hex::decode("85d6be7857556d337f4452fe42d506a8")
            .unwrap()
            .try_into()
            .unwrap();
        let s: [u8; 16] = hex::decode("0103808afb0db2fd4abff6af4149f51b")
            .unwrap()
            .try_into()
            .unwrap();
        use aes::cipher::BlockCipherDecrypt;
        let k = [4; 16];
        let mut iv = Block::from(s);
        Aes128::new(&k.into()).decrypt_block(&mut iv);
        let key = MasterKey::from_parts([1; 32], k, r).unwrap();
        let code = key.code(&iv.into(), b"Cryptographic Forum Research Group");
        assert_eq!(hex::encode(code), "a8061dc1305136c6c22b8baf0c0127a9");
    }
}
