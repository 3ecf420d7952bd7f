//! The sheet of paper from which everything can be restored, with Vouchsafe or without it.

use vouchsafe_model::{Kms, Secret, SecretRef, Time};

use crate::layout::{clean, wrapped};

/// What opens a vault, as the sheet is to show it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Passphrase<'a> {
    /// The passphrase itself is printed.
    Shown(&'a Secret),
    /// Only where it is kept is printed.
    KeptIn(&'a SecretRef),
    /// It lies wrapped in the vault itself; what wraps it and where it lies is printed.
    Wrapped {
        /// What wraps it.
        by: &'a Kms,
        /// The object in the vault that holds it, such as `custody/passphrase.json`.
        object: &'a str,
    },
}

/// One vault on the sheet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SheetVault<'a> {
    /// Its name in the policy.
    pub name: &'a str,
    /// Its URL in the policy, such as `file:///srv/vouchsafe`.
    pub url: &'a str,
    /// The repository's id, lower hex.
    pub repository: &'a str,
    /// What opens it.
    pub passphrase: Passphrase<'a>,
}

/// Everything that goes on the sheet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SheetInput<'a> {
    /// Every vault of the policy.
    pub vaults: &'a [SheetVault<'a>],
    /// Fingerprint of the ledger's signing key, as `ledger verify` prints it.
    pub ledger_fingerprint: &'a str,
    /// The ledger's public key as a C2SP verifier key (`name+hash+base64`).
    pub public_key: &'a str,
    /// When the sheet was made.
    pub created: Time,
    /// The tool and its version.
    pub tool: &'a str,
}

/// The sheet as UTF-8 text, in lines of at most 78 columns; addresses, commands, keys and passphrases are never broken.
///
/// It is a [`Secret`] because it may hold passphrases. Programs may read it, too: under a line `Vault N: NAME` stands
/// `passphrase VALUE`, and under the line `public key` the key alone, each after spaces.
pub fn recovery_sheet(input: &SheetInput<'_>) -> Secret {
    let mut sheet = Sheet(Vec::new());
    opening(&mut sheet, input);
    for (n, vault) in input.vaults.iter().enumerate() {
        vault_part(&mut sheet, n + 1, vault);
    }
    with_vouchsafe(&mut sheet, input);
    without_vouchsafe(&mut sheet, input);
    ledger_part(&mut sheet, input);
    sheet.sealed()
}

const COLUMNS: usize = 78;

enum Piece<'a> {
    Text(String),
    Secret(&'a [u8]),
}

/// Pieces, so that passphrases are copied once only, into memory that is wiped.
struct Sheet<'a>(Vec<Piece<'a>>);

impl<'a> Sheet<'a> {
    fn line(&mut self, text: &str) {
        self.0.push(Piece::Text(format!("{text}\n")));
    }
    fn prose(&mut self, text: &str) {
        for line in wrapped(text, COLUMNS, "", "") {
            self.line(&line);
        }
    }
    fn title(&mut self, text: &str) {
        self.line("");
        self.line(text);
        self.line(&"-".repeat(text.len().min(COLUMNS)));
    }
    fn field(&mut self, name: &str, value: &str) {
        self.line(&format!("  {name:<15} {}", clean(value)));
    }
    fn secret_field(&mut self, name: &str, secret: &'a Secret) {
        self.0.push(Piece::Text(format!("  {name:<15} ")));
        self.0.push(Piece::Secret(secret.expose()));
        self.line("");
    }
    fn sealed(self) -> Secret {
        let parts = || {
            self.0.iter().map(|piece| match piece {
                Piece::Text(text) => text.as_bytes(),
                Piece::Secret(bytes) => bytes,
            })
        };
        // One allocation of the right size: growing would leave copies behind that nobody wipes.
        let mut bytes = Vec::with_capacity(parts().map(<[u8]>::len).sum());
        parts().for_each(|part| bytes.extend_from_slice(part));
        Secret::new(bytes)
    }
}

fn opening<'a>(sheet: &mut Sheet<'a>, input: &SheetInput<'a>) {
    sheet.line("VOUCHSAFE RECOVERY SHEET");
    sheet.line("========================");
    sheet.field("made", &input.created.minute());
    sheet.field("by", input.tool);
    sheet.line("");
    let shown = input
        .vaults
        .iter()
        .any(|v| matches!(v.passphrase, Passphrase::Shown(_)));
    sheet.prose(
        "With this sheet and one vault, everything that is in the vault can be restored on an \
         empty machine. Without the passphrase nobody can restore it, not even its owner.",
    );
    sheet.prose(if shown {
        "WHOEVER HOLDS THIS SHEET CAN READ THE DATA. Print it twice, keep the prints in two locked \
         places away from the machine and from the vaults, and then delete this file."
    } else {
        "The passphrases are not on this sheet, only where they are kept. Make sure that those \
         places are still there when this machine is not."
    });
    let wrapped = |v: &SheetVault<'_>| matches!(v.passphrase, Passphrase::Wrapped { .. });
    if input.vaults.iter().any(wrapped) {
        sheet.prose(
            "A passphrase that is wrapped opens its vault for whoever may use the key that wraps \
             it, and for nobody once that key is gone. Keep the passphrase of a second key with \
             this sheet: `vouchsafe key add VAULT --generate` makes one.",
        );
    }
}

fn vault_part<'a>(sheet: &mut Sheet<'a>, number: usize, vault: &SheetVault<'a>) {
    sheet.title(&format!("Vault {number}: {}", clean(vault.name)));
    sheet.field("address", vault.url);
    sheet.field("repository id", vault.repository);
    match &vault.passphrase {
        Passphrase::Shown(secret) => sheet.secret_field("passphrase", secret),
        Passphrase::KeptIn(place) => sheet.field("passphrase in", &place.to_string()),
        Passphrase::Wrapped { by, object } => {
            sheet.field("wrapped by", &by.to_string());
            sheet.field("wrapped in", object);
        }
    }
}

/// How a wrapped passphrase is unwrapped with the tools of the key service alone.
fn unwrapping(sheet: &mut Sheet<'_>, vault: &SheetVault<'_>, by: &Kms, object: &str) {
    let blob = format!("jq -r .wrapped {object} | base64 -d");
    sheet.line(&format!(
        "  # its passphrase, with a copy of {object} of the vault"
    ));
    match by {
        Kms::Aws(aws) => {
            sheet.line(&format!("  {blob} > wrapped"));
            sheet.line("  aws kms decrypt --ciphertext-blob fileb://wrapped \\");
            sheet.line(&format!("    --key-id {} \\", quoted(&aws.key)));
            sheet.line(&format!("    --region {} \\", quoted(&aws.region)));
            let context = format!(
                "vouchsafe:repository={},vouchsafe:purpose=vault-passphrase",
                vault.repository
            );
            sheet.line(&format!("    --encryption-context {} \\", quoted(&context)));
            sheet.line("    --query Plaintext --output text | base64 -d");
        }
        Kms::Command(command) => {
            sheet.line(&format!("  {blob} | {}", words(&command.unwrap)));
        }
    }
}

fn words(words: &[String]) -> String {
    let words: Vec<String> = words.iter().map(|w| quoted(w)).collect();
    words.join(" ")
}

fn with_vouchsafe<'a>(sheet: &mut Sheet<'a>, input: &SheetInput<'a>) {
    sheet.title("With Vouchsafe");
    sheet.prose(
        "On an empty machine, in an empty folder, with this sheet as the file SHEET. One of the \
         following rebuilds the ledger and the policy from that vault. `vouchsafe ledger show` must \
         then print the public key that stands under \"The ledger\".",
    );
    sheet.line("");
    for vault in input.vaults {
        let url = quoted(vault.url);
        let unwrap = match &vault.passphrase {
            Passphrase::Wrapped {
                by: Kms::Command(command),
                ..
            } => format!(" --unwrap {}", words(&command.unwrap)),
            _ => String::new(),
        };
        sheet.line(&format!(
            "  vouchsafe recover-state --vault {url} --sheet SHEET{unwrap}"
        ));
    }
    sheet.line("");
    sheet.prose("Without the file, put the passphrase into one and name it by --passphrase-file.");
    sheet.line("");
    sheet.line("  vouchsafe ledger show");
    sheet.line("  vouchsafe status");
    sheet.line("  vouchsafe points");
    sheet.line("  vouchsafe restore SYSTEM --to ./restored");
}

fn without_vouchsafe<'a>(sheet: &mut Sheet<'a>, input: &SheetInput<'a>) {
    sheet.title("Without Vouchsafe");
    sheet.prose(
        "Each vault holds a plain restic repository of format version 2 in its folder `repo`. Any \
         restic from 0.14 on restores it; it asks for the passphrase. List the snapshots, take the \
         id of the one that is wanted, and restore it into an empty folder.",
    );
    for vault in input.vaults {
        let (repository, known) = restic_repository(vault.url);
        sheet.line("");
        sheet.line(&format!("  # {}", clean(vault.name)));
        if let Passphrase::Wrapped { by, object } = &vault.passphrase {
            unwrapping(sheet, vault, by, object);
        }
        if !known {
            sheet.line("  # write this address as restic does; the repository is its folder repo");
        }
        let repository = quoted(&repository);
        sheet.line(&format!("  restic -r {repository} snapshots"));
        sheet.line(&format!("  restic -r {repository} check --read-data"));
        sheet.line(&format!(
            "  restic -r {repository} restore SNAPSHOT --target ./restored"
        ));
    }
    sheet.line("");
    sheet.prose("The repository id that `restic cat config` prints must be the one above.");
}

fn ledger_part<'a>(sheet: &mut Sheet<'a>, input: &SheetInput<'a>) {
    sheet.title("The ledger");
    sheet.field("fingerprint", input.ledger_fingerprint);
    sheet.line("  public key");
    sheet.line(&format!("    {}", clean(input.public_key)));
    sheet.line("");
    sheet.prose(
        "An export of the ledger is checked anywhere, without this machine and without a network, \
         by the public key alone:",
    );
    sheet.line("");
    sheet.line(&format!(
        "  vouchsafe ledger verify --export FILE --key {}",
        quoted(&clean(input.public_key))
    ));
}

/// The address in restic's own way of writing, and whether the scheme is one whose way we know.
fn restic_repository(url: &str) -> (String, bool) {
    let url = url.trim_end_matches('/');
    if let Some(path) = url.strip_prefix("file://").or(url.strip_prefix("file:")) {
        return (format!("{path}/repo"), true);
    }
    if let Some(place) = url.strip_prefix("s3://") {
        return (format!("s3:s3.amazonaws.com/{place}/repo"), true);
    }
    if let Some(place) = url.strip_prefix("rest+").or(url.strip_prefix("rest:")) {
        return (format!("rest:{place}/repo/"), true);
    }
    (format!("{url}/repo"), url.starts_with('/'))
}

/// As one word for a shell.
pub(crate) fn quoted(text: &str) -> String {
    let text = clean(text);
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:+=@,%".contains(c);
    if !text.is_empty() && text.chars().all(plain) {
        text
    } else {
        format!("'{}'", text.replace('\'', r"'\''"))
    }
}
