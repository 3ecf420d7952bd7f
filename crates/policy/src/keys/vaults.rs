//! The keys of a vault: where it is, how it is reached, what opens it.

use super::Form::{Count, Length, List, Rate, Schedule, Section as Map, Text, Word};
use super::{SECRET, Section, key, section};

pub(crate) static VAULT: Section = section(
    "vault",
    &[
        key(
            "url",
            Text,
            "Where it is: file:///srv/vouchsafe or a path from the policy's folder, s3://bucket/prefix, rest:https://host/path, sftp://user@host/path, webdav:https://host/path, azblob://container/prefix, gs://bucket/prefix, gdrive://folder.",
        ),
        key(
            "endpoint",
            Text,
            "The service's address, where the URL does not name it: https://s3.example.com.",
        ),
        key(
            "signing_region",
            Text,
            "S3: the region that requests are signed for; `region` at AWS, us-east-1 elsewhere if not given.",
        ),
        key("user", Text, "Who logs in: a user, an account."),
        key(
            "access_key",
            Map(&SECRET),
            "S3: where the access key's identifier is kept; AWS_ACCESS_KEY_ID if not given.",
        ),
        key(
            "secret_key",
            Map(&SECRET),
            "S3: where the access key's secret is kept; AWS_SECRET_ACCESS_KEY if not given.",
        ),
        key(
            "credential",
            Map(&SECRET),
            "Where the proof for other services is kept: a password, an account key, a service account's JSON.",
        ),
        key("identity", Text, "SFTP: the file of the private key."),
        key("known_hosts", Text, "SFTP: the file of the hosts' keys."),
        key(
            "min_tls",
            Word(&["1.2", "1.3"]),
            "The oldest version of TLS that is spoken; 1.3 if not given.",
        ),
        key("limits", Map(&LIMITS), "How much the store may be used."),
        key("region", Text, "The region it lies in."),
        key("zone", Text, "The zone within the region."),
        key("country", Text, "ISO 3166 two-letter country code."),
        key(
            "retention_lock",
            Length,
            "For how long the store refuses deletion.",
        ),
        key(
            "lock_mode",
            Word(&["compliance", "governance"]),
            "How binding that is: nobody may lift a lock of compliance, who has a special right may lift one of governance; compliance if not given.",
        ),
        key(
            "password",
            Map(&SECRET),
            "Where its passphrase is kept, if not in the state directory.",
        ),
        key(
            "kms",
            Map(&KMS),
            "What wraps its passphrase, which then lies wrapped in the vault itself.",
        ),
        key("keys", Map(&ROTATION), "How its keys are replaced."),
        key(
            "prune",
            Schedule,
            "How often the worker removes what the policy lets go; by hand only (`vouchsafe prune`) if not given.",
        ),
    ],
);

pub(crate) static LIMITS: Section = section(
    "limits",
    &[
        key(
            "upload",
            Rate,
            "Bytes a second that are sent at most: 10MiB/s.",
        ),
        key(
            "download",
            Rate,
            "Bytes a second that are received at most: 10MiB/s.",
        ),
        key(
            "connections",
            Count,
            "Calls at the same time at most; 32 if not given, and no more than pay.",
        ),
    ],
);

pub(crate) static KMS: Section = section(
    "kms",
    &[
        key(
            "aws",
            Text,
            "A symmetric key of AWS KMS: arn:aws:kms:REGION:ACCOUNT:key/ID; or its id, or alias/NAME, with `region`.",
        ),
        key(
            "command",
            Map(&WRAP_COMMAND),
            "Programs that wrap and unwrap, instead of a service.",
        ),
        key(
            "region",
            Text,
            "AWS: the region of the key, where its ARN does not say it.",
        ),
        key(
            "endpoint",
            Text,
            "AWS: the service's address, if it is not https://kms.REGION.amazonaws.com.",
        ),
        key(
            "access_key",
            Map(&SECRET),
            "AWS: where the access key's identifier is kept; AWS_ACCESS_KEY_ID if not given.",
        ),
        key(
            "secret_key",
            Map(&SECRET),
            "AWS: where the access key's secret is kept; AWS_SECRET_ACCESS_KEY if not given.",
        ),
        key(
            "min_tls",
            Word(&["1.2", "1.3"]),
            "AWS: the oldest version of TLS that is spoken; 1.3 if not given.",
        ),
    ],
);

pub(crate) static WRAP_COMMAND: Section = section(
    "kms command",
    &[
        key("key", Text, "What the key is called."),
        key(
            "wrap",
            List(&Text),
            "A program and its arguments: reads a passphrase, writes it wrapped.",
        ),
        key(
            "unwrap",
            List(&Text),
            "A program and its arguments: reads what `wrap` wrote, writes the passphrase.",
        ),
    ],
);

pub(crate) static ROTATION: Section = section(
    "keys",
    &[key(
        "rotate",
        Schedule,
        "How often the passphrase is replaced: every year, every 90 days.",
    )],
);
