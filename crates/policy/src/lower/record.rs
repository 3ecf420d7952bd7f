//! Who vouches for the record outside of this machine.

use std::path::Path;

use vouchsafe_model::policy::Stamps;
use vouchsafe_model::{Span, Wire};

use crate::keys;
use crate::lower::fields::{Ctx, Fields};
use crate::lower::vaults;
use crate::problem::{Level, Place};
use crate::sources::path_from;

/// Reads who stamps the record with the time.
pub(super) fn timestamps(ctx: &mut Ctx, root: Fields<'_>, base: &Path) -> Option<Stamps> {
    let item = root.get(ctx, "timestamps")?;
    let fields = ctx.fields(&item.node, &keys::record::TIMESTAMPS);
    let authority = match fields.get(ctx, "authority") {
        Some(item) => {
            let text = ctx.text(item);
            text.filter(|text| is_address(ctx, text, item.node.place()))
        }
        None => {
            let message = "`timestamps` names no authority";
            let remedy = "write authority: https://, and its address";
            ctx.error("P196", fields.place, message, remedy);
            None
        }
    };
    let file = match fields.get(ctx, "root") {
        Some(item) => ctx.text(item),
        None => {
            let message = "`timestamps` does not say which root the authority must lead to";
            let remedy = "write root: FILE, a certificate in PEM that the authority publishes";
            ctx.error("P196", fields.place, message, remedy);
            None
        }
    };
    let every = fields.get(ctx, "every").and_then(|item| ctx.span(item));
    let min_tls = vaults::min_tls(ctx, fields);
    Some(Stamps {
        authority: authority?,
        root: path_from(&file?, base),
        every: every.unwrap_or(Span::from_days(1)),
        min_tls,
    })
}

fn is_address(ctx: &mut Ctx, text: &str, place: Place) -> bool {
    let parts = text.split_once("://");
    let is_url = parts.is_some_and(|(scheme, rest)| {
        matches!(scheme, "http" | "https") && !rest.is_empty() && !rest.contains(['@', '#', ' '])
    });
    let wire = Wire::of_address(text);
    if !is_url || wire == Wire::Plain {
        // Not shown: a password may stand in it.
        let message = "this is not the address of an authority that can be asked";
        let remedy = "write https:// and its address, without a user; where there is only http://, carry requests by hand: `vouchsafe ledger timestamp --query FILE`";
        ctx.error("P196", place, message, remedy);
        return false;
    }
    if wire == Wire::PlainLoopback {
        let message = "the authority is spoken to in plain text, on this machine";
        let remedy = "see to it that what listens there protects what it passes on";
        ctx.say(Level::Note, "P033", place, message, remedy);
    }
    true
}

#[cfg(test)]
mod tests {
    use crate::lower::tests::one_error;

    #[test]
    fn an_authority_that_cannot_be_asked_or_believed_is_an_error() {
        one_error("timestamps: { root: r }", "P196", 1, 13, "authority:");
        let no_root = "timestamps: { authority: 'https://tsa.example.com' }";
        one_error(no_root, "P196", 1, 13, "root:");
        for address in [
            "http://tsa.example.com",
            "tsa.example.com",
            "https://me:word@tsa.example.com",
            "ftp://tsa.example.com",
        ] {
            let text = format!("timestamps: {{ root: r, authority: '{address}' }}");
            one_error(&text, "P196", 1, 35, "--query FILE");
        }
    }
}
