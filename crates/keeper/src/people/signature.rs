//! Signatures of people: OpenSSH's, by the Ed25519 keys that the policy gives them.

use std::path::Path;

use ssh_key::{HashAlg, LineEnding, PrivateKey, PublicKey, SshSig};
use vouchsafe_host::secret;
use vouchsafe_model::{Identity, SecretRef};

/// What keeps a signature over a statement from being taken for one over something else.
pub(super) const NAMESPACE: &str = "vouchsafe";

/// Signs `text` with the private key in a file, which must be that of one of the public keys `declared`.
///
/// # Errors
/// A sentence that says what is wrong and what to do.
pub(super) fn sign(file: &Path, text: &str, declared: &[&str]) -> Result<Identity, String> {
    let place = file.display();
    let bytes = secret::resolve(&SecretRef::File(file.to_path_buf())).map_err(|e| e.to_string())?;
    let key = PrivateKey::from_openssh(bytes.expose())
        .map_err(|e| format!("{place} is no private key of OpenSSH's: {e}"))?;
    if key.is_encrypted() {
        return Err(format!(
            "the key in {place} is sealed with a passphrase: write the statement with --statement FILE, sign it with \
             `ssh-keygen -Y sign -n {NAMESPACE} -f {place} FILE`, and give the same command again"
        ));
    }
    let public = known(key.public_key(), declared)?;
    let signature = key
        .sign(NAMESPACE, HashAlg::Sha512, text.as_bytes())
        .and_then(|s| s.to_pem(LineEnding::LF))
        .map_err(|e| format!("the key in {place} does not sign: {e}"))?;
    verify(&signature, text, &[public.as_str()])
}

/// Checks an armored signature over `text` by one of the public keys `declared`.
///
/// # Errors
/// A sentence that says what is wrong and what to do.
pub(super) fn verify(armored: &str, text: &str, declared: &[&str]) -> Result<Identity, String> {
    let signature = SshSig::from_pem(armored).map_err(|e| {
        format!("this is no signature of OpenSSH's ({e}); make it with `ssh-keygen -Y sign -n {NAMESPACE}`")
    })?;
    let key = PublicKey::from(signature.public_key().clone());
    let public_key = known(&key, declared)?;
    key.verify(NAMESPACE, text.as_bytes(), &signature)
        .map_err(|_| {
            format!(
                "the signature is not one over this statement in the namespace {NAMESPACE}; sign the file as it is"
            )
        })?;
    Ok(Identity::Key {
        fingerprint: key.fingerprint(HashAlg::Sha256).to_string(),
        public_key,
        signature: armored.trim_end().to_owned(),
    })
}

/// The key in the policy's form, if the policy gives it to the person.
fn known(key: &PublicKey, declared: &[&str]) -> Result<String, String> {
    let mut bare = key.clone();
    bare.set_comment("");
    let text = bare.to_openssh().map_err(|e| e.to_string())?;
    let text = text.trim_end().to_owned();
    let fingerprint = key.fingerprint(HashAlg::Sha256);
    if declared.contains(&text.as_str()) {
        return Ok(text);
    }
    Err(match declared.len() {
        0 => "the policy gives this person no key; write it under `people`, or leave --key out"
            .to_owned(),
        _ => format!("the policy gives this person another key than {fingerprint}"),
    })
}
