//! What each code means, why it matters, and what to do.

/// Every code with its explanation, in order.
pub const CODES: [(&str, &str); 67] = [
    (
        "P001",
        "The file is not YAML from this place on. What comes after it could not be read, so only this is reported. Look for a missing quote, bracket, colon or wrong indentation at or before the place.",
    ),
    (
        "P002",
        "The file is larger, deeper or has more keys than any policy needs. Limits keep a broken or hostile file from using up the machine.",
    ),
    (
        "P003",
        "Something is given twice. Which of the two was meant cannot be known, so neither is guessed.",
    ),
    (
        "P004",
        "Anchors, aliases, tags and merge keys make a file say things where nobody reads them. Put what is shared into a plan, a tier or `defaults`.",
    ),
    (
        "P005",
        "A policy file is one document. A second one, after a line `---`, would be overlooked.",
    ),
    (
        "P006",
        "YAML indents with spaces. A tab looks the same and means something else.",
    ),
    (
        "P010",
        "The key is not known at this place. An ignored key would be a promise that nobody keeps, so it is an error. The nearest known key is named if there is one.",
    ),
    (
        "P011",
        "A single value, a list and a mapping are different things; another one was expected here.",
    ),
    (
        "P012",
        "Names appear in paths and on screens: 1 to 64 letters, digits, dots, underscores and hyphens, beginning with a letter or digit.",
    ),
    (
        "P013",
        "A length of time is a number with a unit: 30m, 24h, 35 days, 1 month, 7 years, or ISO 8601 like P35D. Where it must be exact, months and years are refused, because they differ in length.",
    ),
    (
        "P014",
        "A schedule is written in plain words (`daily at 02:00 UTC`, `every 6 hours`, `2 per day`, `weekly on sunday at 03:00 Europe/London`, `every month`) or as five cron fields and a time zone. `daily`, `every week` and the like mean once in each calendar period, at any time within it.",
    ),
    (
        "P015",
        "A share is a fraction or percentage above nothing and up to all of it; a number of copies is a whole number from 1; a rate is a number of bytes with `/s`, like 10MiB/s.",
    ),
    (
        "P016",
        "A time of day is hours and minutes with a time zone, UTC if none is named. Zones are UTC or IANA names.",
    ),
    (
        "P017",
        "A day is written year-month-day, like 2026-01-31, and must exist.",
    ),
    (
        "P018",
        "Only certain words may stand here; the message names them.",
    ),
    (
        "P019",
        "Something without which nothing can be done is missing: a vault's place, a copy's vault, a protection's way.",
    ),
    (
        "P020",
        "The name refers to something that the file does not declare.",
    ),
    (
        "P021",
        "A class of data names the tier that it needs at least. A system may name a stricter one, never a laxer one.",
    ),
    (
        "P022",
        "The key makes no sense for this way of protection or this kind of vault: nothing would ever come of it.",
    ),
    ("P023", "Two things are given where only one can hold."),
    (
        "P024",
        "A system is written either in short, with one source, or with several `protections`. Rules beside `protections` hold for all of them; a source does not.",
    ),
    (
        "P026",
        "A password stands in the policy. Policies are read by many and copied into every vault. Take it out, change it, and refer to where it is kept.",
    ),
    (
        "P027",
        "A password is referred to by exactly one of `env`, `file`, `command`.",
    ),
    (
        "P028",
        "The policy may declare what this version cannot do yet. It is judged as unproven, never as met, until it can.",
    ),
    (
        "P029",
        "A source is a scheme, a colon and a place: files:/var/www. A vault is a path from the policy's folder or a URL: file:///srv/v, s3://bucket/prefix, rest:https://host/path, sftp://user@host/path, webdav:https://host/path, azblob://container/prefix, gs://bucket/prefix, gdrive://folder.",
    ),
    (
        "P031",
        "A rule that does not say how often asks for nothing.",
    ),
    (
        "P032",
        "Plain http shows credentials and what is stored to everybody on the way, and lets them change it. Use https. Only an address of this very machine (127.0.0.1, [::1]) may be spoken to in plain text; a name like localhost may lead elsewhere.",
    ),
    (
        "P033",
        "The vault is spoken to in plain text. Nobody can listen, because the address is that of this machine; but what listens there must itself protect what it passes on.",
    ),
    (
        "P034",
        "TLS 1.3 is required unless the policy lowers it. TLS 1.2 is not broken, and it allows what is weaker. Take the line out once the server speaks 1.3.",
    ),
    (
        "P035",
        "A REST server holds the parts of a repository and nothing else: ledger and policy cannot lie beside it. They are stored as a snapshot within it, tagged vouchsafe-ledger, after each run, and the state comes back from that; stock restic shows it among the others. A prune drops those that newer ones have replaced.",
    ),
    (
        "P036",
        "A retention lock is kept by the store itself. Of the kinds of store that are spoken to here, only S3 with object lock does that.",
    ),
    (
        "P037",
        "What wraps a passphrase must be named completely: a key of AWS KMS with its region, or two programs, one that wraps and one that unwraps. Both read standard input and write standard output; the passphrase is never an argument.",
    ),
    (
        "P038",
        "A passphrase is kept in one place: wrapped in the vault by `kms`, where `password` says, or in the state directory. A REST server holds nothing but the parts of a repository, so nothing wrapped can lie there.",
    ),
    (
        "P039",
        "Only a passphrase that is kept in the state directory or wrapped by a key service is replaced by `key rotate`. Another one you replace yourself: `key add`, change what is kept, `key remove`.",
    ),
    (
        "P040",
        "A lock in governance mode is lifted by whoever has a special right (at AWS: s3:BypassGovernanceRetention). It protects from mistakes and from stolen logins without that right, not from a stolen administrator.",
    ),
    ("P101", "A policy without systems protects nothing."),
    (
        "P102",
        "The system is named and nothing is done for it. It is judged as not met.",
    ),
    (
        "P103",
        "When something fails at night, someone has to be called. Name who answers for the system.",
    ),
    (
        "P104",
        "Without a schedule nothing is ever due, so nothing can be missed, and only what is run by hand is there.",
    ),
    (
        "P105",
        "Without a rule on keeping, nothing is ever deleted and nobody can say how far back one can go.",
    ),
    (
        "P106",
        "Without a vault there is no copy; the original is none.",
    ),
    (
        "P107",
        "A single vault, or several in one region, are lost together: by fire, theft, a wrong command, a closed account.",
    ),
    (
        "P108",
        "Stored bytes rot, and nobody notices until they are needed. Reading them back in time shows it.",
    ),
    (
        "P109",
        "That a backup exists does not show that it can be restored. Only a drill does, and only a drill measures the time it takes.",
    ),
    (
        "P110",
        "Between two captures lies more time than may be lost. If both are the same, every capture that takes a while breaks the RPO for as long as it runs.",
    ),
    (
        "P111",
        "The transaction log is shipped less often than its RPO allows, or not at all.",
    ),
    (
        "P112",
        "Points are deleted before the next drill. A fault that only a drill shows outlives every good point.",
    ),
    ("P113", "No point can be kept at least longer than at most."),
    (
        "P114",
        "A vault in the place of its source is lost with it; a source inside a vault would capture the vault into itself. Vaults inside a source are left out of its captures.",
    ),
    (
        "P115",
        "A policy that is not reviewed describes a company that no longer exists. Auditors ask for the date.",
    ),
    ("P116", "Auditors ask who approved the policy, and when."),
    (
        "P117",
        "Nothing refers to it. Either something was forgotten, or it can go.",
    ),
    (
        "P118",
        "The URL names a user, and no password is referred to. It may work, if the server trusts the user or a client file holds the password.",
    ),
    (
        "P119",
        "The tier asks for more copies than there are vaults in the rule.",
    ),
    (
        "P120",
        "The tier asks for a copy in another region or the same country, and no vault of the rule is declared to lie there, or the system's own location is not declared.",
    ),
    (
        "P121",
        "Points must be kept until the very moment at which they must be gone. Give the deletion some grace.",
    ),
    (
        "P122",
        "A duty without a rhythm is never due, so nobody can see that it was not done.",
    ),
    (
        "P123",
        "A heading without content promises nothing; a planned clause promises nothing yet. Both are shown as what they are, never as met.",
    ),
    (
        "P124",
        "The locks of what is needed are extended, so when a point must go, its bytes may still be locked for the whole length. They are hidden, and stay; a `grace` says how long that may be.",
    ),
    (
        "P125",
        "A drill that has never seen damage may be blind. A negative control shows that it would notice.",
    ),
    (
        "P126",
        "No controls are known for this framework, so the report shows none for it.",
    ),
    (
        "P127",
        "Without a tier there is neither RPO nor RTO to judge by.",
    ),
    (
        "P128",
        "A replica follows every deletion and every corruption at once. It keeps a service running; it never counts as a backup.",
    ),
    (
        "P129",
        "Without declared regions nobody can say whether one fire takes all copies.",
    ),
    (
        "P130",
        "A key service that rotates its own key, as AWS does every year, changes only what wraps the passphrase. The passphrase stays the same, and whoever has seen it still opens the vault. `keys: { rotate: every year }` replaces the passphrase itself. The master key of a repository changes only by `key rekey`.",
    ),
    (
        "P131",
        "Rows are compared by digests that are taken in the dump's own snapshot. Without them a drill shows that the database opens and that everything is declared in it as it was, and nothing about what is in its tables. `digests: sample` counts every table and compares a share of the rows, for less.",
    ),
    (
        "P132",
        "A log tells of pages of a whole server. A dump is made of statements, and no log can be replayed on top of it. Capture the server itself beside the dump, by a URL without a database, and give that protection the `logs`.",
    ),
];

/// What the code means, why it matters, and what to do; nothing if there is no such code.
pub fn explain(code: &str) -> Option<&'static str> {
    let mut known = CODES.iter();
    known
        .find(|(known, _)| known.eq_ignore_ascii_case(code))
        .map(|(_, text)| *text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_in_order_and_explained() {
        assert!(CODES.windows(2).all(|w| w[0].0 < w[1].0));
        assert!(CODES.iter().all(|(_, text)| text.len() > 40));
        assert!(explain("p010").unwrap().contains("not known at this place"));
        assert_eq!(explain("P999"), None);
    }

    #[test]
    fn every_code_that_is_said_is_explained() {
        let sources = [
            include_str!("located.rs"),
            include_str!("sources.rs"),
            include_str!("lint.rs"),
            include_str!("lint/protections.rs"),
            include_str!("lower/custody.rs"),
            include_str!("lower/fields.rs"),
            include_str!("lower/parts.rs"),
            include_str!("lower/systems.rs"),
            include_str!("lower/tables.rs"),
            include_str!("lower/vaults.rs"),
        ];
        let mut said = std::collections::BTreeSet::new();
        for source in sources {
            for (at, _) in source.match_indices("\"P") {
                let code = source.get(at + 1..at + 5).unwrap_or_default();
                if code.bytes().skip(1).all(|b| b.is_ascii_digit())
                    && source.get(at + 5..at + 6) == Some("\"")
                {
                    said.insert(code);
                }
            }
        }
        let explained: std::collections::BTreeSet<_> =
            CODES.iter().map(|(code, _)| *code).collect();
        assert_eq!(said, explained);
    }
}
