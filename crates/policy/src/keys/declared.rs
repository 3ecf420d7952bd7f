//! The keys of the tables that are declared: documents, people, access, programme.

use super::Form::{
    Any, Date, Digest, Exact, Flag, Known, List, Named, Reference, Schedule, Section as Map, Text,
    Word,
};
use super::alerts::ALERTS;
use super::{Form, Section, TEXTS, key, section};

const ROLES: Form = Known("roles");
pub(super) const PEOPLE: Form = Any(&[ROLES, List(&ROLES)]);
const DOCUMENTS: Form = Any(&[Reference("documents"), List(&Reference("documents"))]);
const SYSTEMS: Form = Any(&[Reference("systems"), List(&Reference("systems"))]);
const GOVERNS: Form = Word(&[
    "systems",
    "frequency",
    "retention",
    "classes",
    "tests",
    "steps",
    "terms",
]);
const KINDS: Form = Word(&[
    "restore",
    "files",
    "configuration",
    "access",
    "disaster",
    "several-systems",
    "continuity",
    "versions",
]);
const RIGHTS: Form = Word(&["view", "back-up", "restore", "delete", "change"]);

/// The tables of the root that nothing of this version acts on yet.
pub(crate) static TABLES: Section = section(
    "declaration",
    &[
        key(
            "documents",
            Named(&DOCUMENT),
            "Other documents that this policy rests on.",
        ),
        key(
            "environments",
            Named(&ENVIRONMENT),
            "Production, staging, development.",
        ),
        key(
            "applications",
            Named(&APPLICATION),
            "Systems that together serve one purpose.",
        ),
        key(
            "locations",
            Named(&PLACE),
            "Places by name, for `location`.",
        ),
        key(
            "roles",
            Named(&ROLE),
            "Who does what: people and their delegates.",
        ),
        key(
            "people",
            Named(&PERSON),
            "Persons, and the public keys by which they sign what they state.",
        ),
        key(
            "providers",
            Named(&PROVIDER),
            "Who is relied on, with agreement and assurance.",
        ),
        key(
            "keys",
            Named(&PROVIDER_KEY),
            "Keys that seal backups at providers, and how they are replaced.",
        ),
        key(
            "encryption",
            Map(&ENCRYPTION),
            "How backups are sealed where they lie and on their way.",
        ),
        key(
            "access",
            Named(&ACCESS),
            "Who may do what with backups, how, and for how long.",
        ),
        key(
            "alerts",
            Map(&ALERTS),
            "Who hears of what, and from when on.",
        ),
        key(
            "programme",
            Named(&TEST),
            "Tests over many systems: any of them each quarter, every application each year.",
        ),
        key(
            "runbooks",
            Named(&RUNBOOK),
            "How several systems are recovered together.",
        ),
        key(
            "flows",
            List(&Map(&FLOW)),
            "Which data goes from where to where.",
        ),
        key(
            "erasure",
            Map(&ERASURE),
            "People whose data was erased, so that no restore brings it back.",
        ),
        key(
            "exemptions",
            Named(&EXEMPTION),
            "Permissions to depart from a rule.",
        ),
        key(
            "holds",
            Map(&HOLDS),
            "Where points under legal hold lie, and how one sees that they are still at hand.",
        ),
        key(
            "changes",
            Map(&CHANGES),
            "Who agrees to a change of this policy that weakens it, and how one knows who it was.",
        ),
    ],
);

/// What the head of the document says beside what the policy itself goes by.
pub(crate) static FRONT_MORE: Section = section(
    "policy",
    &[
        key(
            "status",
            Word(&["draft", "review", "approved", "withdrawn"]),
            "How far the document has come.",
        ),
        key("approved_by", ROLES, "Who approved it."),
        key("approved_date", Date, "The same as `approved`."),
        key(
            "history",
            List(&Map(&CHANGE)),
            "What was changed, by whom and when.",
        ),
        key("scope", Text, "What it applies to."),
        key("purpose", Text, "What it is for."),
        key("users", PEOPLE, "Who has to know it."),
        key("keywords", TEXTS, "Words to find it by."),
        key(
            "triggers_update_to",
            TEXTS,
            "Documents that are read again when this one changes.",
        ),
        key(
            "triggered_by",
            TEXTS,
            "Documents whose change has this one read again.",
        ),
    ],
);

pub(crate) static FRAMEWORK: Section = section(
    "framework",
    &[key("controls", TEXTS, "Its controls: A.8.13, CC9.1.")],
);

static CHANGE: Section = section(
    "change",
    &[
        key("version", Text, "The version that came of it, in quotes."),
        key("date", Date, "The day."),
        key("editor", Text, "Who."),
        key("change", Text, "What was changed."),
    ],
);

static DOCUMENT: Section = section(
    "document",
    &[
        key("title", Text, "Its title."),
        key("url", Text, "Where it is."),
        key("digest", Digest, "SHA-256 of its bytes as they were read."),
        key("version", Text, "Its version, in quotes."),
        key(
            "governs",
            Any(&[GOVERNS, List(&GOVERNS)]),
            "What of this policy is laid down there and not here.",
        ),
        key("owner", ROLES, "Who answers for it."),
        key("next_review", Date, "The day by which it is read again."),
    ],
);

static ENVIRONMENT: Section = section(
    "environment",
    &[
        key("description", Text, "What it is for."),
        key("account", Text, "The provider's account that it lies in."),
    ],
);

static APPLICATION: Section = section(
    "application",
    &[
        key("description", Text, "What it is for."),
        key("owner", ROLES, "Who answers for it."),
        key("critical", Flag, "Whether the business stops without it."),
    ],
);

static PLACE: Section = section(
    "place",
    &[
        key("region", Text, "The region."),
        key("zone", Text, "The zone within the region."),
        key("country", Text, "ISO 3166 two-letter country code."),
        key("provider", Known("providers"), "Whose it is."),
        key("description", Text, "What is there."),
    ],
);

static ROLE: Section = section(
    "role",
    &[
        key("people", TEXTS, "Who has it, by address."),
        key("delegate", ROLES, "Who stands in: a role or a person."),
        key("description", Text, "What it answers for."),
        key(
            "duties",
            TEXTS,
            "What it does that has no rhythm, in words.",
        ),
    ],
);

static PERSON: Section = section(
    "person",
    &[
        key(
            "address",
            Text,
            "The address by which roles name the person, if the name here is another one.",
        ),
        key(
            "key",
            TEXTS,
            "Ed25519 public keys in OpenSSH's form, by which the person signs: ssh-ed25519 AAAA…",
        ),
    ],
);

static PROVIDER: Section = section(
    "provider",
    &[
        key("services", TEXTS, "What is used of it."),
        key("sla", Map(&SLA), "What it promises."),
        key(
            "assurance",
            Named(&ASSURANCE),
            "What others attest of it: SOC 2 reports, certificates.",
        ),
    ],
);

static SLA: Section = section(
    "sla",
    &[
        key("document", Text, "Where it is written."),
        key("digest", Digest, "SHA-256 of the text that was read."),
        key("availability", Text, "As promised: 99.9%."),
        key(
            "durability",
            Text,
            "As promised; a design goal is not a check.",
        ),
        key("read_by", ROLES, "Who read it and understood what follows."),
        key("read", Date, "When."),
        key("next_reading", Date, "When it is read again."),
    ],
);

static ASSURANCE: Section = section(
    "assurance",
    &[
        key("document", Text, "What it is, and where."),
        key("digest", Digest, "SHA-256 of the document."),
        key("covers", TEXTS, "What it is about."),
        key("every", Schedule, "How often a new one comes."),
        key("read_by", ROLES, "Who reads it."),
        key(
            "expires",
            Date,
            "The day from which on it says nothing more.",
        ),
    ],
);

static PROVIDER_KEY: Section = section(
    "provider key",
    &[
        key("service", Text, "Whose key service: aws-kms, gcp-kms."),
        key(
            "managed_by",
            Word(&["provider", "customer"]),
            "Who decides over it.",
        ),
        key("rotate", Schedule, "How often it is replaced."),
        key("expires", Date, "The day on which it ends."),
        key("escrow", Text, "Where a second copy is kept, and by whom."),
        key("protects", TEXTS, "What it seals."),
        key("administrators", PEOPLE, "Who may manage it."),
    ],
);

static ENCRYPTION: Section = section(
    "encryption",
    &[
        key("at_rest", Text, "The cipher: AES-256."),
        key("in_transit", Text, "The oldest protocol: TLS 1.3."),
        key(
            "parity",
            Flag,
            "Whether each copy is sealed as what it is a copy of.",
        ),
    ],
);

static ACCESS: Section = section(
    "access",
    &[
        key("role", PEOPLE, "Who."),
        key("may", Any(&[RIGHTS, List(&RIGHTS)]), "What they may do."),
        key(
            "on",
            TEXTS,
            "With which systems or vaults; all if not given.",
        ),
        key("mfa", Flag, "Whether a second factor is asked for."),
        key("approvers", PEOPLE, "Who has to agree first."),
        key("at_most", Exact, "For how long at a time."),
        key("reason", Flag, "Whether a reason has to be given."),
        key("review", Schedule, "How often it is looked at again."),
        key("logged", Flag, "Whether each use is recorded."),
    ],
);

static TEST: Section = section(
    "test",
    &[
        key(
            "kind",
            Any(&[KINDS, List(&KINDS)]),
            "What is tried: restore, files, configuration, access, disaster, several-systems, continuity, versions.",
        ),
        key("every", Schedule, "How often."),
        key(
            "of",
            Word(&["any", "each-system", "each-application", "all", "sample"]),
            "Of what: any system in turn, each system, each application, all together, or a sample.",
        ),
        key("systems", SYSTEMS, "Which systems, if not all."),
        key("by", PEOPLE, "Who runs it."),
        key("judged_by", PEOPLE, "Who says whether it was good."),
        key("authorised_by", PEOPLE, "Who allows it."),
        key("participants", PEOPLE, "Who takes part."),
        key(
            "into",
            Text,
            "Where it is restored to: an isolated environment.",
        ),
        key("runbook", Reference("runbooks"), "By which order."),
        key(
            "plan",
            DOCUMENTS,
            "The document that names steps or devices.",
        ),
        key("checks", TEXTS, "What must hold afterwards."),
        key("records", Text, "Where results are kept."),
        key("fields", TEXTS, "What is recorded of each test."),
        key("follow_up", TEXTS, "What comes after it."),
    ],
);

static RUNBOOK: Section = section(
    "runbook",
    &[
        key("systems", SYSTEMS, "In the order of their recovery."),
        key("checks", TEXTS, "What must hold before one goes on."),
        key("rto", Exact, "Within which time all are back."),
        key("by", PEOPLE, "Who does it."),
        key("approved_by", PEOPLE, "Who allows it."),
        key("steps", TEXTS, "What is done, in words."),
        key("document", DOCUMENTS, "Where more of it is written."),
        key("next_review", Date, "The day by which it is read again."),
    ],
);

static FLOW: Section = section(
    "flow",
    &[
        key("from", Text, "A system, or where data comes from."),
        key("to", Text, "A system, or where data goes."),
        key(
            "data",
            Any(&[Reference("classes"), List(&Reference("classes"))]),
            "What kind of data.",
        ),
        key("by", Text, "By what means."),
    ],
);

static ERASURE: Section = section(
    "erasure",
    &[
        key(
            "register",
            Text,
            "Where it is kept who was erased, and when.",
        ),
        key(
            "file",
            Text,
            "The register as a file that is replayed: one JSON object a line, with `subject`, `erased` and, if it is not every one, `systems`.",
        ),
        key(
            "replay",
            Word(&["after-restore"]),
            "When the register is applied to restored data.",
        ),
        key(
            "drill",
            Flag,
            "Whether drills look for erased people in what they restore.",
        ),
        key("by", ROLES, "Who answers for it."),
    ],
);

static EXEMPTION: Section = section(
    "exemption",
    &[
        key("from", Text, "The rule that is departed from."),
        key("systems", SYSTEMS, "For which systems."),
        key("reason", Text, "Why."),
        key("approved_by", ROLES, "Who allowed it."),
        key("until", Date, "Until when."),
    ],
);

static HOLDS: Section = section(
    "holds",
    &[
        key(
            "vault",
            Reference("vaults"),
            "The vault that held points lie in.",
        ),
        key("ordered_by", PEOPLE, "Whose order it takes."),
        key("reasons", TEXTS, "For what."),
        key(
            "retrieve",
            Schedule,
            "How often one is brought back to see that it is at hand.",
        ),
    ],
);

static CHANGES: Section = section(
    "changes",
    &[
        key(
            "approved_by",
            PEOPLE,
            "Who may agree to what weakens the policy; anyone if not given.",
        ),
        key(
            "four_eyes",
            Flag,
            "Whether it takes somebody else than the author.",
        ),
        key(
            "signed",
            Flag,
            "Whether it takes a signed commit or tag that holds the policy.",
        ),
        key(
            "allowed_signers",
            Text,
            "The file of allowed signers (ssh-keygen(1)) by which signatures are verified.",
        ),
    ],
);

/// Which requirement of the outside world is fulfilled by which key of the file.
pub(crate) static REQUIREMENT: Section = section(
    "requirement",
    &[
        key("text", Form::Prose, "What is asked for."),
        key(
            "at",
            TEXTS,
            "The key that fulfils it, as a path: systems/shop/keep.",
        ),
        key("source", Text, "Where it is asked for."),
    ],
);
