//! The export: the whole record in one file that can be checked with the public key alone.

use std::io::{BufWriter, Write};

use serde::{Deserialize, Serialize};

use crate::error::LedgerError;
use crate::head::SignedHead;
use crate::keys::Keys;
use crate::ledger::Ledger;
use crate::line::write_line;

/// The name of the export's form; `docs/ledger-format.md` describes it.
pub const FORMAT: &str = "vouchsafe-ledger-export/1";

/// The form of an export of a ledger whose signing key was changed, which earlier versions cannot follow.
pub const FORMAT_OF_SEVERAL_KEYS: &str = "vouchsafe-ledger-export/2";

/// The form that a ledger with these keys has.
pub(crate) fn form_for(keys: &Keys) -> &'static str {
    match keys.are_several() {
        true => FORMAT_OF_SEVERAL_KEYS,
        false => FORMAT,
    }
}

/// The first line of an export.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Header {
    pub(crate) format: String,
    pub(crate) origin: String,
    pub(crate) public_key: String,
    pub(crate) size: u64,
}

/// The last line of an export.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Footer {
    pub(crate) head: String,
}

impl Ledger {
    /// Writes the record as it is now; returns the head that the export ends with.
    ///
    /// The same ledger at the same size always gives the same bytes.
    pub fn export(&self, writer: impl Write) -> Result<SignedHead, LedgerError> {
        let mut out = BufWriter::new(writer);
        let head = self.head()?;
        let header = Header {
            format: form_for(&self.keys).to_owned(),
            origin: self.origin().to_owned(),
            public_key: self.keys.first().to_string(),
            size: head.size,
        };
        write_json(&mut out, &header)?;
        self.each_row(0..head.size, |row| {
            write_line(&mut out, row.seq, row.leaf, &row.signature, &row.body)
                .map_err(LedgerError::Write)
        })?;
        let footer = Footer {
            head: head.note.clone(),
        };
        write_json(&mut out, &footer)?;
        out.flush().map_err(LedgerError::Write)?;
        Ok(head)
    }
}

fn write_json(out: &mut dyn Write, value: &impl Serialize) -> Result<(), LedgerError> {
    let line = serde_json::to_vec(value).map_err(|e| LedgerError::Write(e.into()))?;
    out.write_all(&line)
        .and_then(|()| out.write_all(b"\n"))
        .map_err(LedgerError::Write)
}
