//! What each code means, why it matters, and what to do.

/// Every code with its explanation, in order.
pub const CODES: &[(&str, &str)] = &[
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
    (
        "P050",
        "`requirements` says which key of this file fulfils what somebody asks for. The path it names must lead to a key of the file; if the rule is taken out, this is the place where it shows.",
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
        "Between two captures lies more time than may be lost. If both are the same, every capture that takes a while breaks the RPO for as long as it runs. Where a log is shipped, the log decides; where a system has several protections, the best of them.",
    ),
    (
        "P111",
        "The transaction log is shipped less often than its RPO, or that of its system, allows, or not at all.",
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
        "A log tells of a whole server. PostgreSQL's, MariaDB's and MySQL's is replayed over the files of one, and a dump is made of statements; MongoDB's oplog tells of all databases together, of which a point of one holds no more than that. Capture the whole server beside it, by a URL without a database, and give that protection the `logs`.",
    ),
    (
        "P136",
        "A URL without a database means the whole server. A MariaDB server is copied by a program that reads its files, so it must run on the server's own machine. A MySQL server sends a clone of itself to wherever it is asked for. Which of the two it is, the URL does not tell.",
    ),
    (
        "P137",
        "Without `sslmode` or `ssl-mode` in the URL, the certificate of a database on another machine is verified: that an authority which is trusted has signed it, and that it names the host. Anything less lets somebody on the way read the data, or hand in data of his own.",
    ),
    (
        "P140",
        "Providers divide a region into zones. Zones are buildings that share a region's control, staff and weather: a second zone survives the loss of a building, not that of the region. A zone is therefore never counted as another region. Write the region, and the zone beside it if it matters.",
    ),
    (
        "P141",
        "An audit trail records what was called. A backup that did not happen is no call, and a bad one is a call like any other, so neither is seen there. Absence is noticed by what knows that something was due: an alarm on missing data, or Vouchsafe's own obligations.",
    ),
    (
        "P142",
        "File synchronisation repeats every change within seconds: a deletion, and what malware has encrypted. It becomes a backup only by earlier versions that are kept for a stated time, and by a test that brings some of them back.",
    ),
    (
        "P143",
        "An alert without a number never sounds, or always. Say from which share, length or lead time on.",
    ),
    (
        "P144",
        "A test without a rhythm is never due, so nobody can see that it was not done.",
    ),
    (
        "P145",
        "Key services replace keys in periods of their own. AWS replaces the keys that it manages every year, and nobody can change that; a customer's key is replaced every 90 to 2560 days if a period is set, and every 365 days if not. A shorter promise needs a customer's key with its period.",
    ),
    (
        "P146",
        "If the log is shipped exactly as often as may be lost, each second that it is on its way breaks the RPO.",
    ),
    (
        "P147",
        "Some platforms give their transaction log away only in intervals; Amazon RDS and Aurora about every five minutes. Less than that cannot be promised by their own recovery to a point in time, and exactly that only if nothing takes time. A log that is captured by ourselves is not bound to it.",
    ),
    (
        "P148",
        "Two tests of one kind have different rhythms, and one of them does not say of what. Read literally they contradict each other. Mostly it is meant as a programme: any system each quarter, every application each year.",
    ),
    (
        "P149",
        "The platform deletes its own points after a time that cannot be raised: automated backups of Amazon RDS after 35 days. What is to live longer must be copied elsewhere.",
    ),
    (
        "P150",
        "Cloud SQL has two kinds of backup, one at a time for an instance: standard backups may lie in another region and be sealed by a customer's key; enhanced ones may be locked against deletion. What needs both needs a second way.",
    ),
    (
        "P151",
        "Another document lays down what is promised here. As long as it is not in this file and its bytes are not fixed by a digest, nobody can say whether the promise is kept, nor see that it has changed.",
    ),
    (
        "P152",
        "Arq offers to validate what it has stored only where the destination is a folder, a share or an SFTP server. At other destinations only another check shows that the copies are whole: a test restore, or a manifest.",
    ),
    (
        "P153",
        "Where another tool or a provider makes the copies, its log is the first thing that anyone asks for. Say where it is, or why there is none.",
    ),
    (
        "P154",
        "The log that is named belongs to another service than the one that makes the copies, so nothing of them is in it.",
    ),
    (
        "P155",
        "An export from Atlassian's own storage can be made once in seven days, is kept for 14 days, and leaves some kinds of data out. Say how often it is fetched, and not more often than that.",
    ),
    (
        "P156",
        "A snapshot of volumes is what a power failure would leave. A database comes back from it if data and journal are on one volume, so that both are of one moment. Otherwise writes have to be locked or the engine stopped while the snapshot is taken.",
    ),
    (
        "P157",
        "Copies of one environment are made in another one. Its data comes to where fewer rules hold, and when that machine is lost or rebuilt the backups end without anybody noticing in production.",
    ),
    (
        "P158",
        "What a code host keeps of its own repositories goes with the account, by a wrong command, or by the host's own fault. And only what is in git is in a clone: issues, wikis, releases and settings are not.",
    ),
    (
        "P159",
        "A fault that is noticed late outlives every good point if points live shorter than it takes to notice. Compare how often somebody looks (drills, checks, tests) with how long the oldest points live.",
    ),
    (
        "P160",
        "Points come and go between two readings of the vault, so most of them are never shown to be whole. Read everything at least once within the life of a point.",
    ),
    (
        "P161",
        "All versions cannot be kept and deleted after a time. Say for how long versions are kept, or let nothing be deleted.",
    ),
    (
        "P162",
        "Who runs a test wants it to succeed. Somebody else says whether it did.",
    ),
    (
        "P163",
        "A system is not back before those that it depends on are back. Its RTO cannot be shorter than theirs.",
    ),
    (
        "P164",
        "A copy on the machine that it protects is lost with that machine. It is useful for a quick return; one more has to lie elsewhere.",
    ),
    (
        "P165",
        "One stolen login then ends all backups. A second person who has to agree prevents it.",
    ),
    (
        "P166",
        "Passwords are stolen. The rights to restore, delete and change backups are those that matter most after a break-in.",
    ),
    (
        "P167",
        "A departure from a rule is somebody's decision for a time. Without who, why and until when it is a rule that nobody keeps.",
    ),
    ("P168", "The permission has run out; the rule holds again."),
    (
        "P169",
        "The day has passed by which a paper is read again or says nothing more.",
    ),
    (
        "P170",
        "A right that is always there is used when nobody expects it. Rights that are given for some hours, for a reason, are seen.",
    ),
    (
        "P171",
        "The tier asks for several kinds of protection together, and the system lacks one of them.",
    ),
    (
        "P172",
        "What was written after the approval is not approved.",
    ),
    (
        "P173",
        "A provider's promise counts only for what somebody has read and understood in it. Name who does.",
    ),
    (
        "P174",
        "The requirement is written down, and no key of the file is named that fulfils it. It is shown as not traced.",
    ),
    (
        "P175",
        "A person signs with a key of their own, and the policy says which it is: the public half of an Ed25519 key, as `ssh-keygen -t ed25519` writes it into a file that ends in `.pub`. Other kinds of keys are not taken.",
    ),
    (
        "P176",
        "When something is late, somebody else has to hear of it: `escalate` says how long after it was due, and who. With only one of the two, nobody is ever told.",
    ),
    (
        "P177",
        "What happens is recorded, and the worker says it; who does not look hears nothing. With `mail` the server is named that brings alerts, reminders and escalations to people.",
    ),
    (
        "P178",
        "Mail needs a server that can be reached with TLS, an address from which it comes, and of a login both parts or neither. The password itself never stands in the policy.",
    ),
    (
        "P179",
        "An alert is for people, and mail goes to addresses. A role without people, or people without addresses, hear of nothing.",
    ),
    (
        "P180",
        "The alert on storage is there so that somebody makes room while there is some. At 100% there is none: the next backup has failed already. Stores that do not say how full they are are named in a note, and count as unproven.",
    ),
    (
        "P181",
        "Whose data was erased must not come back with a restore of an older point (GDPR, articles 5 and 17). The policy names a register of erasures, and this protection holds personal data without saying how a subject of the register is found and erased: its restores are not cleaned. `erasure: { find: QUERY, erase: [ STATEMENT ] }` says it for a database, `erasure: { paths: [ \"home/{subject}\" ] }` for files.",
    ),
    (
        "P182",
        "How a subject is erased must be about that subject and nobody else. Statements say `:subject` where the identifier belongs, and it is handed to the database as a value, never as a part of the text. Paths say `{subject}`, stay below the folder that is captured, and have no `*` beside it. A database needs `find`, so that it can be seen that nobody is left.",
    ),
    (
        "P183",
        "A drill that looks for erased subjects is green when it finds none, and so it is when `find` never finds anybody: a wrong table is enough. The drill's own test leaves one subject in and wants to see it found; where nobody of the register is in the restored point, `someone` names one who is.",
    ),
    (
        "P184",
        "How subjects are erased is said, and whose data was erased is not: `erasure: { file: PATH }` at the root of the policy names the register that is replayed, a file with one JSON object a line. Where that file has a fault, its line is told, and nothing that it concerns is restored or drilled until it is right.",
    ),
    (
        "P185",
        "This place promises less than the policy that was agreed to: a shorter retention, a system, vault or copy less, a weaker lock, a longer RPO or RTO, rarer drills, more that is left out. Until somebody agrees, what was promised before stays in force, and points are kept as long as either of the two says. `vouchsafe approve` agrees, `vouchsafe deny` refuses; or take it back in the file. What promises more is in force at once.",
    ),
    (
        "P186",
        "The policy includes something that is not there or cannot be read. What would be in it is missing from the policy, so it cannot be used: a system that is not declared would not be protected.",
    ),
    (
        "P187",
        "Files are included from below the folder of the file that names them, and from nowhere else: no absolute path, no `..`, no link that leads out. So the folder is the whole policy, and who may change it is known.",
    ),
    (
        "P188",
        "A file includes itself, by itself or by way of others. Include it from one place only.",
    ),
    (
        "P189",
        "More files, bytes or levels are included than any policy needs. Limits keep a broken or hostile folder from using up the machine.",
    ),
    (
        "P190",
        "The files of a policy are hashed, approved and published as one text, in which a line that begins with `#!file` or `#!vouchsafe-policy` marks where files begin. So no file may hold such a line, nor have a name that leads elsewhere.",
    ),
    (
        "P191",
        "This is said once for the whole policy, and two of its files say it. Tables of names, such as systems and plans, may stand in several files; what has no names, such as `policy` and `defaults`, stands in one.",
    ),
    (
        "P192",
        "A system with `{}` in its name stands for many: `instances: { list: [ANNA, BEN] }` makes a system of each name. Without a list there is nothing to put into the name, and two systems of one name would be one.",
    ),
    (
        "P193",
        "`equality: copies` means: the same moment is restored from a second vault, by that one's own base and log, and every table of both is compared. With one vault that holds the log there is no second one. Vaults behind a REST server of restic's hold no logs.",
    ),
    (
        "P194",
        "A restored moment can be held against another copy where there are moments and tables: for whole servers of PostgreSQL, MariaDB and MySQL whose log is shipped. Elsewhere the drill is what it was, and shows no equality; where no log is shipped it is red.",
    ),
    (
        "P195",
        "`equality: { standby: URL }` names a server that follows the protected one by PostgreSQL's own replication. A drill pauses its replay for as long as it takes to look, and restores to exactly the place of the log where it stood. It is no standby of itself, and of MariaDB there is none that could be paused so.",
    ),
    (
        "P196",
        "An authority of time stamps (RFC 3161) needs an address that can be reached with TLS, and a root: the certificate, learnt from the authority itself, that its own must lead to. Without a root anybody could answer in its place.",
    ),
    (
        "P197",
        "`at_most` is kept if points are gone by that age and the grace after it. What is over is removed when the vault is pruned, so between two prunes it stays: a vault that is pruned every week needs a week of grace. Prune more often, or promise what is done.",
    ),
    (
        "P198",
        "Deciding that a point goes does not remove it. `prune: daily` in a vault lets the worker do it; `vouchsafe prune` shows what goes and asks, `vouchsafe prune --due --yes` does it from a timer. Until somebody does, `status` counts what stays too long.",
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
            include_str!("change/mod.rs"),
            include_str!("files_fault.rs"),
            include_str!("lower/instances.rs"),
            include_str!("lower/merge.rs"),
            include_str!("located.rs"),
            include_str!("sources.rs"),
            include_str!("lint.rs"),
            include_str!("lint/detection.rs"),
            include_str!("lint/equality.rs"),
            include_str!("lint/erasures.rs"),
            include_str!("lint/platform.rs"),
            include_str!("lint/tables.rs"),
            include_str!("lower/alerts.rs"),
            include_str!("lower/declared.rs"),
            include_str!("lower/erasure.rs"),
            include_str!("lint/protections.rs"),
            include_str!("lint/removal.rs"),
            include_str!("lower/custody.rs"),
            include_str!("lower/fields.rs"),
            include_str!("lower/parts.rs"),
            include_str!("lower/people.rs"),
            include_str!("lower/record.rs"),
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
