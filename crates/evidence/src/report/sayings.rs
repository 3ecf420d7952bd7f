//! The paragraphs that are the same in every report: what the words mean, and what is not proven.

use super::content::Meaning;

fn meanings(list: &[(&str, &str)]) -> Vec<Meaning> {
    list.iter()
        .map(|(word, text)| Meaning {
            word: (*word).to_owned(),
            text: (*text).to_owned(),
        })
        .collect()
}

pub(super) fn strengths() -> Vec<Meaning> {
    meanings(&[
        (
            "measured",
            "Vouchsafe did it or looked itself: it read bytes back, restored, compared, timed.",
        ),
        (
            "observed",
            "A provider's interface or another tool's log says so; Vouchsafe read that and nothing more.",
        ),
        (
            "stated",
            "A person says so; without a key or a login of their own, who it was is not verified.",
        ),
    ])
}

pub(super) fn verdicts() -> Vec<Meaning> {
    meanings(&[
        ("met", "The facts show that it holds."),
        ("not met", "The facts show that it does not hold."),
        (
            "unproven",
            "No fact shows it either way, or none that is strong or fresh enough. Unproven is never met.",
        ),
        (
            "planned",
            "The policy declares it, and it is still to come.",
        ),
        (
            "exempt",
            "The policy leaves it out, for the reason that is given.",
        ),
    ])
}

pub(super) fn limits(redacted: bool, keyed: bool) -> Vec<Meaning> {
    let mut limits = meanings(&[
        (
            "Places are declared",
            "The region, the country and the retention lock of a vault are what the policy says of it. \
             They are stated, not measured.",
        ),
        (
            "Root can write",
            "Whoever has root on the host, or the ledger's signing key, could write false entries before \
             they are published. After a head has reached a vault that the host cannot rewrite, no entry \
             under it can be changed, removed or reordered without being found.",
        ),
        (
            "Clocks",
            "Times are those of the host's clock; no outside clock has sealed them.",
        ),
        (
            "Copies fade",
            "A copy was whole when it was last read back, and not necessarily since. A drill shows that \
             the point it restored came back, not that every other point would.",
        ),
        (
            "Only what is declared",
            "Systems that the policy does not name are not looked for, and are not in this report.",
        ),
        (
            "What was captured",
            "A restore is compared with digests taken at the capture. Whether the data was right when it \
             was captured is not judged.",
        ),
        (
            "Not an opinion",
            "The verdicts per control say what the facts show about the backup part of a control. They are \
             evidence for an auditor's judgement, and no claim of compliance.",
        ),
    ]);
    if redacted && keyed {
        limits.extend(meanings(&[(
            "Names are digests",
            "Names of files, tables and refs are replaced by the first 12 hex digits of an HMAC-SHA-256 under a \
             key that only the owner of the ledger's key can compute. Texts therefore differ from the ledger's \
             entries; the sequence numbers are the same.",
        )]));
    } else if redacted {
        limits.extend(meanings(&[(
            "Names are digests",
            "Names of files, tables and refs are replaced by the first 12 hex digits of their SHA-256. \
             Who guesses a name can confirm it. Texts therefore differ from the ledger's entries; the \
             sequence numbers are the same.",
        )]));
    }
    limits
}
