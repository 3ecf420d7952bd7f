//! The keys that systems, protections, plans and duties have beside the rules that are acted on.

use super::Form::{
    Any, Exact, Flag, Known, Length, List, Reference, Schedule, Section as Map, Text, Word,
};
use super::{COPIES, Form, Section, TEXTS, key, section};

const ROLES: Form = Known("roles");
const DOCUMENTS: Form = Any(&[Reference("documents"), List(&Reference("documents"))]);
const SYSTEMS: Form = Any(&[Reference("systems"), List(&Reference("systems"))]);

/// What a system says beside what the policy itself goes by.
pub(crate) static SYSTEM_MORE: Section = section(
    "system",
    &[
        key("description", Text, "What it is."),
        key(
            "depends_on",
            SYSTEMS,
            "Systems that have to be back before it.",
        ),
        key(
            "engine",
            Text,
            "The database that runs in it by one's own hands: mongodb, postgres, mysql.",
        ),
        key(
            "contains",
            Any(&[KIND_OF_OBJECT, List(&KIND_OF_OBJECT)]),
            "What is in it: information, software, system images, configuration, secrets.",
        ),
        key(
            "instances",
            Map(&INSTANCES),
            "One declaration for many: each of them is a system like this one.",
        ),
        key("provider", Known("providers"), "Whose service it is."),
        key(
            "network",
            Text,
            "The network that backups of it go through.",
        ),
    ],
);

const KIND_OF_OBJECT: Form = Word(&[
    "information",
    "software",
    "images",
    "configuration",
    "secrets",
    "logs",
]);

static INSTANCES: Section = section(
    "instances",
    &[
        key(
            "list",
            Any(&[Text, List(&Text), Form::Named(&super::SYSTEM)]),
            "Their names; where the system's name holds {}, each makes a system of its own, with what it says for itself.",
        ),
        key("file", Text, "A file with one name a line."),
        key(
            "tag",
            Text,
            "What is tagged so at its provider: backup=daily.",
        ),
        key(
            "of",
            Text,
            "All that an account or organisation has, as a URL: github:acme, aws:123456789012.",
        ),
        key("folders", TEXTS, "Which folders of each of them."),
    ],
);

/// What a plan says beside the rules that its systems follow.
pub(crate) static PLAN_MORE: Section = section(
    "plan",
    &[key(
        "full",
        Schedule,
        "Within which time each component is captured in full.",
    )],
);

pub(crate) static LOGS: Section = section(
    "logs",
    &[
        key("every", Exact, "How often a piece of the log is shipped."),
        key("keep", Length, "How long the log is kept."),
    ],
);

/// How a subject of the register of erasures is erased from what a protection brings back.
pub(crate) static ERASING: Section = section(
    "erasing",
    &[
        key(
            "database",
            Text,
            "The database that the statements are for, where a whole server is restored.",
        ),
        key(
            "find",
            Text,
            "A query that gives one value: true, or a number other than 0, if `:subject` is there.",
        ),
        key(
            "erase",
            TEXTS,
            "Statements that erase `:subject`, in their order.",
        ),
        key(
            "someone",
            Text,
            "A query that gives the identifier of anyone who is there; a drill's test looks for them as for the erased.",
        ),
        key(
            "paths",
            TEXTS,
            "Of files: places below the folder that are removed, such as home/{subject}.",
        ),
    ],
);

/// What a protection says of how another tool or a provider keeps it.
pub(crate) static PROTECTION_MORE: Section = section(
    "source",
    &[
        key(
            "log",
            Any(&[Text, Map(&LOG)]),
            "Where the log of the tool is that makes the copies, or why there is none.",
        ),
        key(
            "monitor",
            Text,
            "What watches that copies come: cloudwatch, aws-backup-events, cloud-monitoring, vouchsafe.",
        ),
        key(
            "destination",
            Text,
            "Where another tool puts its copies, as a URL; `itself` if on the protected machine.",
        ),
        key(
            "check",
            Map(&CHECK),
            "How copies that another tool or a provider makes are looked at.",
        ),
        key(
            "versions",
            Any(&[Word(&["all"]), Map(&VERSIONS)]),
            "How many earlier versions are kept of what changes or is deleted.",
        ),
        key("mode", Text, "The provider's mode, where it has several."),
        key(
            "features",
            Any(&[FEATURE, List(&FEATURE)]),
            "What is asked of the provider.",
        ),
        key(
            "consistency",
            Word(&["one-volume", "locked", "stopped", "application"]),
            "Why a snapshot of volumes is whole: data and journal on one volume, writes locked, the engine stopped, or the application's own agent.",
        ),
        key(
            "runs_in",
            Known("environments"),
            "The environment in which the program runs that makes the copies.",
        ),
        key(
            "trigger",
            Word(&["before-deployment", "on-demand", "on-change"]),
            "What sets it off beside or instead of a schedule.",
        ),
        key(
            "full",
            Schedule,
            "Within which time each component is captured in full.",
        ),
        key(
            "key",
            Known("keys"),
            "The key that seals it at the provider.",
        ),
        key("tags", TEXTS, "What each point is tagged with."),
    ],
);

const FEATURE: Form = Word(&["cross-region", "customer-key", "locked-retention"]);

static LOG: Section = section(
    "log",
    &[
        key("at", Text, "Where it is."),
        key("none", Text, "Why there is none."),
    ],
);

static CHECK: Section = section(
    "check",
    &[
        key(
            "by",
            Word(&["validate", "manifest", "restore", "query"]),
            "The tool's own validation, a manifest of ours, a test restore, or what the provider's interface says.",
        ),
        key("every", Schedule, "How often."),
    ],
);

static VERSIONS: Section = section(
    "versions",
    &[
        key("count", Form::Count, "How many."),
        key("keep", Length, "For how long."),
    ],
);

/// What a duty says beside its rhythm and its role.
pub(crate) static DUTY_MORE: Section = section(
    "duty",
    &[
        key("text", Text, "What is to be done."),
        key("after", Text, "The event it follows, if it has no rhythm."),
        key(
            "each",
            Text,
            "For each of what: service, person, system, feature.",
        ),
        key("document", DOCUMENTS, "What is read or signed."),
        key("delegate", ROLES, "Who does it instead."),
        key(
            "acknowledge",
            Flag,
            "Whether each person says so for themselves.",
        ),
        key("systems", SYSTEMS, "Which systems it is about."),
    ],
);

/// What a person backs up and hands in.
pub(crate) static MANUAL: Section = section(
    "manual",
    &[
        key(
            "from",
            Text,
            "What the person backs up, as a URL: confluence:site, firewall:name.",
        ),
        key("every", Schedule, "How often."),
        key(
            "accept",
            Text,
            "Pattern of the file names that are accepted.",
        ),
        key("instructions", Text, "What the person has to do."),
        key("copies", COPIES, "The vaults that receive it."),
        key(
            "grace",
            Length,
            "How long after the end of its period it still counts as on time.",
        ),
        key(
            "format",
            Word(&["archive", "xml", "json", "yaml", "text", "any"]),
            "As what the file has to open; by its name if not given.",
        ),
    ],
);
