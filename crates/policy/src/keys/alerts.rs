//! The keys of who hears of what, and of the server by which people are told.

use super::Form::{Exact, Length, Section as Map, Share, Text, Word};
use super::declared::PEOPLE;
use super::{SECRET, Section, key, section};

/// What the root says of telling people.
pub(crate) static TOLD: Section = section(
    "telling",
    &[key(
        "mail",
        Map(&MAIL),
        "The server by which people are told of alerts and of what they owe.",
    )],
);

pub(crate) static MAIL: Section = section(
    "mail",
    &[
        key(
            "server",
            Text,
            "The server that takes mail: smtps://mail.example.com speaks TLS from the first byte, smtp://mail.example.com after STARTTLS; on this machine, smtp://127.0.0.1:25, nothing protects it.",
        ),
        key("from", Text, "The address from which mail comes."),
        key("user", Text, "Who logs in; nobody if not given."),
        key(
            "password",
            Map(&SECRET),
            "Where that one's password is kept.",
        ),
        key(
            "min_tls",
            Word(&["1.2", "1.3"]),
            "The oldest version of TLS that is spoken; 1.3 if not given.",
        ),
    ],
);

pub(crate) static ALERTS: Section = section(
    "alerts",
    &[
        key(
            "failure",
            Map(&ALERT),
            "A run that failed or could not do everything.",
        ),
        key("missing", Map(&ALERT), "A run that did not come."),
        key(
            "storage",
            Map(&ALERT),
            "A vault's store that fills; by `above`, the share that is taken. Directories of this machine say it, other stores do not.",
        ),
        key(
            "lag",
            Map(&ALERT),
            "A replica or log that lags; by `longer_than`.",
        ),
        key(
            "size",
            Map(&ALERT),
            "A point much larger or smaller than the last; by `above`.",
        ),
        key(
            "duration",
            Map(&ALERT),
            "A run that takes long; by `longer_than`.",
        ),
        key("keys", Map(&ALERT), "A key that ends; by `before`."),
    ],
);

static ALERT: Section = section(
    "alert",
    &[
        key("to", PEOPLE, "Who hears of it."),
        key("within", Exact, "How soon."),
        key("above", Share, "From which share on: 80%."),
        key("longer_than", Exact, "From which length on."),
        key("before", Length, "How long ahead."),
    ],
);
