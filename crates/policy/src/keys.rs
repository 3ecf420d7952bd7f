//! Every key that a policy file may hold: read by the lowering, written out by the schema.

mod alerts;
pub(crate) mod declared;
pub(crate) mod more;
pub(crate) mod record;
mod vaults;

pub(crate) use alerts::{ALERTS, MAIL};
use declared::{FRONT_MORE, REQUIREMENT, TABLES};
use more::{DUTY_MORE, PLAN_MORE, PROTECTION_MORE, SYSTEM_MORE};
pub(crate) use more::{LOGS, MANUAL};
pub(crate) use vaults::{KMS, LIMITS, ROTATION, VAULT, WRAP_COMMAND};

/// What stands behind a key.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Form {
    /// Any single value.
    Text,
    /// Text, or nothing.
    Prose,
    /// `true` or `false`.
    Flag,
    /// A whole number from 1.
    Count,
    /// A length of time, calendar months included.
    Length,
    /// An exact length of time.
    Exact,
    /// When something happens.
    Schedule,
    /// A fraction or percentage.
    Share,
    /// Bytes a second.
    Rate,
    /// Time of day and zone.
    WallTime,
    /// `YYYY-MM-DD`.
    Date,
    /// 64 hexadecimal digits.
    Digest,
    /// One of these words.
    Word(&'static [&'static str]),
    /// The name of something declared elsewhere in the file.
    Reference(&'static str),
    /// The same, if the file declares any of that kind; an address is always good.
    Known(&'static str),
    /// A mapping with these keys.
    Section(&'static Section),
    /// A mapping from names of one's own to sections.
    Named(&'static Section),
    /// A mapping from names of one's own to any of these.
    NamedAny(&'static [Form]),
    /// Any of these.
    Any(&'static [Form]),
    /// A list of these.
    List(&'static Form),
}

/// One key.
#[derive(Debug)]
pub(crate) struct Key {
    pub(crate) name: &'static str,
    pub(crate) form: Form,
    pub(crate) about: &'static str,
}

/// The keys of one kind of mapping, own ones and shared ones.
#[derive(Debug)]
pub(crate) struct Section {
    pub(crate) name: &'static str,
    pub(crate) own: &'static [Key],
    pub(crate) shared: &'static [&'static Section],
}

impl Section {
    /// Every key, own ones first.
    pub(crate) fn keys(&self) -> impl Iterator<Item = &'static Key> {
        let shared = self.shared.iter().flat_map(|s| s.own.iter());
        self.own.iter().chain(shared)
    }

    /// Whether a key of that name may stand here.
    pub(crate) fn knows(&self, name: &str) -> bool {
        self.keys().any(|k| k.name == name)
    }
}

const fn key(name: &'static str, form: Form, about: &'static str) -> Key {
    Key { name, form, about }
}

const fn section(name: &'static str, own: &'static [Key]) -> Section {
    Section {
        name,
        own,
        shared: &[],
    }
}

use Form::{
    Any, Count, Date, Digest, Exact, Flag, Known, Length, List, Named, NamedAny, Prose, Reference,
    Schedule, Section as Map, Share, Text, WallTime, Word,
};

const TEXTS: Form = Any(&[Text, List(&Text)]);
const PLACED: Form = Any(&[Map(&LOCATION), Known("locations")]);
const COPIES: Form = Any(&[Text, List(&Any(&[Text, Map(&COPY)]))]);

pub(crate) static ROOT: Section = Section {
    name: "policy file",
    own: &[
        key(
            "include",
            TEXTS,
            "Further files of this policy, relative to this one's folder and below it: systems/*.yaml.",
        ),
        key(
            "policy",
            Map(&FRONT),
            "The head of the document: id, owner, version, approval, review.",
        ),
        key("vaults", Named(&VAULT), "The places that hold copies."),
        key("tiers", Named(&TIER), "How precious something can be."),
        key(
            "classes",
            Named(&CLASS),
            "Kinds of data, each naming its tier.",
        ),
        key(
            "plans",
            Named(&PLAN),
            "Reusable bundles of schedule, retention, copies, verification and drills.",
        ),
        key(
            "defaults",
            Map(&DEFAULTS),
            "What holds for every system that does not say otherwise.",
        ),
        key("systems", Named(&SYSTEM), "What is protected."),
        key(
            "duties",
            Named(&DUTY),
            "What people have to do, and how often.",
        ),
        key(
            "clauses",
            Any(&[NamedAny(&[Prose, Map(&CLAUSE)]), List(&Text)]),
            "Sentences that are still prose, empty or planned.",
        ),
        key(
            "requirements",
            NamedAny(&[Text, List(&Text), Map(&REQUIREMENT)]),
            "What others ask for, by their own numbers, and the keys of this file that fulfil it.",
        ),
    ],
    shared: &[&TABLES, &alerts::TOLD, &record::RECORD],
};

pub(crate) static FRONT: Section = Section {
    name: "policy",
    own: &[
        key("id", Text, "The document's id."),
        key("title", Text, "The document's title."),
        key("owner", Text, "Who answers for the policy."),
        key("version", Text, "The version, in quotes: \"1.2\"."),
        key("approved", Date, "The day of approval."),
        key(
            "approved_digest",
            Digest,
            "SHA-256 of the approved text without this line.",
        ),
        key("next_review", Date, "The day by which it is reviewed."),
        key(
            "frameworks",
            Any(&[Text, List(&Text), Named(&declared::FRAMEWORK)]),
            "Frameworks whose controls are reported: soc2, iso27001.",
        ),
    ],
    shared: &[&FRONT_MORE],
};

pub(crate) static TIER: Section = section(
    "tier",
    &[
        key("rpo", Exact, "At most this much is lost."),
        key(
            "log_rpo",
            Exact,
            "At most this much of the transaction log is lost.",
        ),
        key("rto", Exact, "Back in service within this time."),
        key(
            "copies",
            Map(&TIER_COPIES),
            "How many copies there must be, and where.",
        ),
        key(
            "layers",
            Any(&[LAYER, List(&LAYER)]),
            "Which kinds of protection a system of it must have: replica, snapshots, archive.",
        ),
    ],
);

const LAYER: Form = Word(&["replica", "snapshots", "archive"]);

pub(crate) static TIER_COPIES: Section = section(
    "copies of a tier",
    &[
        key(
            "min",
            Count,
            "How many copies there must be; the original is none.",
        ),
        key(
            "one",
            Map(&TIER_ONE),
            "What must hold of one of the copies.",
        ),
    ],
);

pub(crate) static TIER_ONE: Section = section(
    "one copy of a tier",
    &[
        key(
            "region",
            Word(&["differs-from-system"]),
            "It lies in another region than the system.",
        ),
        key(
            "country",
            Word(&["same"]),
            "It lies in the system's country.",
        ),
    ],
);

pub(crate) static CLASS: Section = section(
    "class",
    &[
        key(
            "tier",
            Reference("tiers"),
            "The tier that such data needs at least.",
        ),
        key("personal", Flag, "Whether it is about people."),
        key("description", Text, "What belongs to it."),
    ],
);

pub(crate) static PLAN: Section = Section {
    name: "plan",
    own: &[],
    shared: &[&RULES, &PLAN_MORE],
};

/// What a plan holds, and a system or a protection may override.
pub(crate) static RULES: Section = section(
    "rules",
    &[
        key("schedule", Schedule, "When it runs."),
        key("window", Map(&WINDOW), "When a run may start and must end."),
        key(
            "keep",
            Map(&KEEP),
            "How long points are kept, counted from completion.",
        ),
        key(
            "copies",
            COPIES,
            "The vaults; the first receives the capture, the others copies of it.",
        ),
        key(
            "verify",
            Any(&[Schedule, Map(&VERIFY)]),
            "How often copies are read back.",
        ),
        key(
            "drill",
            Any(&[Schedule, Map(&DRILL)]),
            "How often a restore is rehearsed.",
        ),
        key(
            "logs",
            Map(&LOGS),
            "How often the transaction log is shipped.",
        ),
    ],
);

pub(crate) static WINDOW: Section = section(
    "window",
    &[
        key(
            "start_within",
            Exact,
            "A run starts at most this long after its scheduled time.",
        ),
        key("finish_by", WallTime, "A run ends by this time of day."),
        key(
            "blackout",
            Map(&BLACKOUT),
            "A time of day in which nothing runs.",
        ),
    ],
);

pub(crate) static BLACKOUT: Section = section(
    "blackout",
    &[
        key("from", WallTime, "It begins."),
        key(
            "to",
            WallTime,
            "It ends, on the next day if that is earlier.",
        ),
    ],
);

pub(crate) static KEEP: Section = section(
    "keep",
    &[
        key("at_least", Length, "Never deleted before this age."),
        key("at_most", Length, "Gone by this age, plus grace."),
        key(
            "grace",
            Length,
            "How long after `at_most` the deletion may take.",
        ),
        key("last", Count, "So many of the newest points are kept."),
        key(
            "hourly",
            Count,
            "Of so many hours that have a point, counted from the newest, the newest point is kept.",
        ),
        key(
            "daily",
            Count,
            "The same for days, in the schedule's time zone.",
        ),
        key("weekly", Count, "The same for weeks, from Monday."),
        key("monthly", Count, "The same for calendar months."),
        key("yearly", Count, "The same for calendar years."),
    ],
);

pub(crate) static COPY: Section = section(
    "copy",
    &[
        key(
            "vault",
            Reference("vaults"),
            "The vault that receives the copy.",
        ),
        key(
            "every",
            Schedule,
            "How often a point is copied; every point if not given.",
        ),
    ],
);

pub(crate) static VERIFY: Section = section(
    "verify",
    &[
        key("every", Schedule, "How often."),
        key(
            "coverage",
            Share,
            "Which share of the stored bytes each time; all if not given.",
        ),
    ],
);

pub(crate) static DRILL: Section = section(
    "drill",
    &[
        key("every", Schedule, "How often."),
        key(
            "negative_control",
            Schedule,
            "How often the drill itself is tested on damaged twins.",
        ),
        key(
            "checks",
            TEXTS,
            "Queries that must give one true value each in the restored database.",
        ),
        key(
            "equality",
            Any(&[Text, Map(&EQUALITY)]),
            "To what else a restored moment must be equal, table by table: copies (the same moment restored from another vault), or a standby.",
        ),
    ],
);

pub(crate) static EQUALITY: Section = section(
    "equality",
    &[key(
        "standby",
        Text,
        "A standby of the PostgreSQL server, as a URL; its replay is paused for a moment.",
    )],
);

pub(crate) static SYSTEM: Section = Section {
    name: "system",
    own: &[
        key("owner", Known("roles"), "Who answers for it."),
        key("class", Reference("classes"), "What kind of data it holds."),
        key(
            "tier",
            Reference("tiers"),
            "How precious it is; never laxer than its class says.",
        ),
        key("location", PLACED, "Where it lies."),
        key(
            "application",
            Known("applications"),
            "The application it belongs to.",
        ),
        key("environment", Known("environments"), "prod, stg, dev …"),
        key("exempt", Text, "Why it is left out."),
        key("plan", Reference("plans"), "The plan it follows."),
        key(
            "protections",
            Named(&PROTECTION),
            "Several protections, each judged by itself.",
        ),
    ],
    shared: &[&READS, &PROTECTION_MORE, &SYSTEM_MORE, &RULES],
};

pub(crate) static PROTECTION: Section = Section {
    name: "protection",
    own: &[key("plan", Reference("plans"), "The plan it follows.")],
    shared: &[&READS, &PROTECTION_MORE, &RULES],
};

/// What a protection reads, and how.
pub(crate) static READS: Section = section(
    "source",
    &[
        key(
            "source",
            Text,
            "What we capture, as a URL: files:/var/www, sqlite:/var/lib/app.db, git:/srv/code.git, postgres://user@host/shop, mysql://user@host/shop, mongodb://user@host/shop.",
        ),
        key("capture", Text, "The same as `source`."),
        key(
            "orchestrate",
            Text,
            "What a provider is asked to back up, as a URL.",
        ),
        key(
            "observe",
            Text,
            "What another tool backs up and we check, as a URL.",
        ),
        key(
            "manual",
            Map(&MANUAL),
            "What a person backs up and hands in.",
        ),
        key("replica", Text, "A live copy, as a URL; never a backup."),
        key(
            "password",
            Map(&SECRET),
            "Where the source's password is kept.",
        ),
        key(
            "exclude",
            TEXTS,
            "Patterns that are left out, in the manner of .gitignore.",
        ),
        key(
            "digests",
            Text,
            "How much of a database's rows is digested at capture and compared by drills: full, sample or none.",
        ),
        key(
            "data_directory",
            Text,
            "The data directory of a PostgreSQL server on this host: a base is read from its files, which is faster than asking the server for them.",
        ),
        key(
            "dump_jobs",
            Count,
            "How many processes dump a PostgreSQL database at once, 1 if nothing is said. With more, the dump goes through the state directory, which needs room for it.",
        ),
        key(
            "erasure",
            Map(&more::ERASING),
            "How a subject of the register of erasures is erased from what a restore brings back.",
        ),
    ],
);

pub(crate) static LOCATION: Section = section(
    "location",
    &[
        key("region", Text, "The region."),
        key("zone", Text, "The zone within the region."),
        key("country", Text, "ISO 3166 two-letter country code."),
    ],
);

pub(crate) static SECRET: Section = section(
    "password",
    &[
        key("env", Text, "The name of an environment variable."),
        key("file", Text, "A file that only its owner can read."),
        key(
            "command",
            TEXTS,
            "A program and its arguments that print it.",
        ),
    ],
);

pub(crate) static DEFAULTS: Section = Section {
    name: "defaults",
    own: &[
        key(
            "environments",
            Named(&DEFAULTS_OF),
            "What holds for the systems of an environment, before what holds for all.",
        ),
        key(
            "applications",
            Named(&DEFAULTS_OF),
            "What holds for the systems of an application, before what holds for their environment.",
        ),
        key(
            "application",
            Known("applications"),
            "The application it belongs to.",
        ),
        key("environment", Known("environments"), "prod, stg, dev …"),
    ],
    shared: &[&DEFAULTS_OF],
};

/// What may hold for some systems that do not say otherwise.
pub(crate) static DEFAULTS_OF: Section = section(
    "defaults of a group",
    &[
        key("owner", Known("roles"), "Who answers for it."),
        key("class", Reference("classes"), "What kind of data it holds."),
        key("tier", Reference("tiers"), "How precious it is."),
        key("location", PLACED, "Where it lies."),
        key("plan", Reference("plans"), "The plan it follows."),
    ],
);

pub(crate) static DUTY: Section = Section {
    name: "duty",
    own: &[
        key("every", Schedule, "How often."),
        key("role", Known("roles"), "Who."),
        key("input", Text, "What the person needs for it."),
        key(
            "escalate",
            Map(&ESCALATE),
            "Who hears of it when it is late.",
        ),
    ],
    shared: &[&DUTY_MORE],
};

pub(crate) static ESCALATE: Section = section(
    "escalate",
    &[
        key("after", Length, "How long after it was due."),
        key("to", Known("roles"), "Who."),
    ],
);

pub(crate) static CLAUSE: Section = section(
    "clause",
    &[
        key("text", Prose, "What it says."),
        key("planned", Flag, "Whether it is still to come."),
        key(
            "document",
            Reference("documents"),
            "The document in which more of it is written.",
        ),
    ],
);
