//! What platforms can and cannot do, as data, each line with the page that says so.

use vouchsafe_model::Span;

/// A service by the scheme of the URLs that name what it keeps.
pub(crate) struct Service {
    pub(crate) scheme: &'static str,
    pub(crate) name: &'static str,
    pub(crate) traits: &'static [Trait],
    pub(crate) source: &'static str,
}

/// What holds of a service.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Trait {
    /// It gives its transaction log away only so often.
    LogsEvery(Span),
    /// It keeps its own points no longer.
    KeepsAtMost(Span),
    /// It repeats every change, deletions too, where the copy lies.
    Synchronises,
    /// It is the place of the original itself; what it calls a backup lies there as well.
    HoldsTheOriginal(&'static str),
    /// It takes snapshots of volumes under a running machine.
    SnapshotsVolumes,
    /// A person can have an export only so often.
    ExportsEvery(Span, &'static str),
    /// It copies files into what the policy names as destination.
    Tool,
}

use Trait::{
    ExportsEvery, HoldsTheOriginal, KeepsAtMost, LogsEvery, SnapshotsVolumes, Synchronises, Tool,
};

const IN_GIT: &str = "issues, wikis, releases and settings are not in git";
const EXPORTS: &str = "which its own storage keeps for 14 days (30 in a bucket of one's own), and which leaves some kinds of data out";

pub(crate) static SERVICES: [Service; 18] = [
    Service {
        scheme: "rds",
        name: "Amazon RDS",
        traits: &[
            LogsEvery(Span::from_mins(5)),
            KeepsAtMost(Span::from_days(35)),
        ],
        source: "https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/USER_PIT.html",
    },
    Service {
        scheme: "aurora",
        name: "Amazon Aurora",
        traits: &[
            LogsEvery(Span::from_mins(5)),
            KeepsAtMost(Span::from_days(35)),
        ],
        source: "https://docs.aws.amazon.com/AmazonRDS/latest/AuroraUserGuide/Aurora.Managing.Backups.html",
    },
    Service {
        scheme: "dynamodb-pitr",
        name: "DynamoDB point-in-time recovery",
        traits: &[
            LogsEvery(Span::from_mins(5)),
            KeepsAtMost(Span::from_days(35)),
        ],
        source: "https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Point-in-time-recovery.html",
    },
    Service {
        scheme: "cloudsql",
        name: "Cloud SQL",
        traits: &[],
        source: "https://cloud.google.com/sql/docs/postgres/backup-recovery/backup-options",
    },
    Service {
        scheme: "aws-backup",
        name: "AWS Backup",
        traits: &[SnapshotsVolumes],
        source: "https://docs.aws.amazon.com/aws-backup/latest/devguide/whatisbackup.html",
    },
    Service {
        scheme: "ec2-snapshot",
        name: "EC2 snapshots",
        traits: &[SnapshotsVolumes],
        source: "https://docs.aws.amazon.com/ebs/latest/userguide/ebs-create-snapshots.html",
    },
    Service {
        scheme: "ebs-snapshot",
        name: "EBS snapshots",
        traits: &[SnapshotsVolumes],
        source: "https://docs.aws.amazon.com/ebs/latest/userguide/ebs-creating-snapshot.html",
    },
    Service {
        scheme: "gce-snapshot",
        name: "Compute Engine snapshots",
        traits: &[SnapshotsVolumes],
        source: "https://cloud.google.com/compute/docs/disks/snapshot-best-practices",
    },
    Service {
        scheme: "gdrive",
        name: "Google Drive",
        traits: &[Synchronises],
        source: "https://support.google.com/drive/answer/2409045",
    },
    Service {
        scheme: "dropbox",
        name: "Dropbox",
        traits: &[Synchronises],
        source: "https://help.dropbox.com/delete-restore/version-history-overview",
    },
    Service {
        scheme: "onedrive",
        name: "OneDrive",
        traits: &[Synchronises],
        source: "https://support.microsoft.com/office/restore-your-onedrive-fa231298-759d-41cf-bcd0-25ac53eb8a15",
    },
    Service {
        scheme: "github",
        name: "GitHub",
        traits: &[HoldsTheOriginal(IN_GIT)],
        source: "https://docs.github.com/repositories/archiving-a-github-repository/backing-up-a-repository",
    },
    Service {
        scheme: "gitlab",
        name: "GitLab",
        traits: &[HoldsTheOriginal(IN_GIT)],
        source: "https://docs.gitlab.com/user/project/settings/import_export/",
    },
    Service {
        scheme: "bitbucket",
        name: "Bitbucket",
        traits: &[HoldsTheOriginal(IN_GIT)],
        source: "https://support.atlassian.com/bitbucket-cloud/docs/set-up-and-work-on-repositories-in-bitbucket-cloud/",
    },
    Service {
        scheme: "confluence",
        name: "Confluence",
        traits: &[ExportsEvery(Span::from_days(7), EXPORTS)],
        source: "https://support.atlassian.com/organization-administration/docs/backup-and-restore-limitations/",
    },
    Service {
        scheme: "jira",
        name: "Jira",
        traits: &[ExportsEvery(Span::from_days(7), EXPORTS)],
        source: "https://support.atlassian.com/organization-administration/docs/backup-and-restore-limitations/",
    },
    Service {
        scheme: "arq",
        name: "Arq 7",
        traits: &[Tool],
        source: "https://www.arqbackup.com/documentation/arq7/English.lproj/validate.html",
    },
    Service {
        scheme: "rsync",
        name: "rsync",
        traits: &[Synchronises],
        source: "https://download.samba.org/pub/rsync/rsync.1",
    },
];

/// The service of that scheme.
pub(crate) fn service(scheme: &str) -> Option<&'static Service> {
    SERVICES.iter().find(|s| s.scheme == scheme)
}

impl Service {
    /// The first of its traits for which `pick` gives something.
    pub(crate) fn find<T>(&self, pick: impl Fn(&Trait) -> Option<T>) -> Option<T> {
        self.traits.iter().find_map(pick)
    }

    pub(crate) fn has(&self, one: Trait) -> bool {
        self.traits.contains(&one)
    }
}

/// A mode of a service that knows several, of which one holds at a time.
pub(crate) struct Mode {
    pub(crate) scheme: &'static str,
    pub(crate) mode: &'static str,
    pub(crate) has: &'static [&'static str],
    pub(crate) source: &'static str,
}

pub(crate) static MODES: [Mode; 2] = [
    Mode {
        scheme: "cloudsql",
        mode: "standard",
        has: &["cross-region", "customer-key"],
        source: "https://cloud.google.com/sql/docs/postgres/backup-recovery/backup-options",
    },
    Mode {
        scheme: "cloudsql",
        mode: "enhanced",
        has: &["locked-retention"],
        source: "https://cloud.google.com/sql/docs/postgres/backup-recovery/backup-options",
    },
];

/// Where the validation that a tool itself offers works.
pub(crate) struct Validation {
    pub(crate) scheme: &'static str,
    pub(crate) name: &'static str,
    /// Schemes of destinations.
    pub(crate) of: &'static [&'static str],
    pub(crate) source: &'static str,
}

pub(crate) static VALIDATIONS: [Validation; 1] = [Validation {
    scheme: "arq",
    name: "Arq 7",
    of: &["files", "file", "nas", "smb", "nfs", "sftp", "itself"],
    source: "https://www.arqbackup.com/documentation/arq7/English.lproj/validate.html",
}];

/// What a service that watches can see.
pub(crate) struct Monitor {
    pub(crate) words: &'static [&'static str],
    pub(crate) name: &'static str,
    /// Whether it notices that something did not happen.
    pub(crate) sees_absence: bool,
    pub(crate) source: &'static str,
}

pub(crate) static MONITORS: [Monitor; 6] = [
    Monitor {
        words: &["cloudtrail", "aws-cloudtrail"],
        name: "CloudTrail",
        sees_absence: false,
        source: "https://docs.aws.amazon.com/awscloudtrail/latest/userguide/how-cloudtrail-works.html",
    },
    Monitor {
        words: &["cloud-audit-logs", "gcp-audit-logs"],
        name: "Cloud Audit Logs",
        sees_absence: false,
        source: "https://cloud.google.com/logging/docs/audit",
    },
    Monitor {
        words: &["azure-activity-log", "activity-log"],
        name: "Azure Activity Log",
        sees_absence: false,
        source: "https://learn.microsoft.com/azure/azure-monitor/platform/activity-log",
    },
    Monitor {
        words: &["cloudwatch", "aws-cloudwatch"],
        name: "CloudWatch",
        sees_absence: true,
        source: "https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/alarms-and-missing-data.html",
    },
    Monitor {
        words: &["cloud-monitoring", "cloud-sql"],
        name: "Cloud Monitoring",
        sees_absence: true,
        source: "https://cloud.google.com/monitoring/alerts/types-of-conditions",
    },
    Monitor {
        words: &["vouchsafe"],
        name: "Vouchsafe",
        sees_absence: true,
        source: "docs/glossary.md",
    },
];

/// How often keys of a service are replaced, by who manages them.
pub(crate) struct Rotation {
    pub(crate) service: &'static str,
    pub(crate) name: &'static str,
    /// Days between two rotations of what the provider manages; nobody else can set it.
    pub(crate) of_provider: u64,
    /// The shortest and longest that a customer can set, and what holds if nothing is set; days.
    pub(crate) of_customer: (u64, u64, Option<u64>),
    pub(crate) source: &'static str,
}

pub(crate) static ROTATIONS: [Rotation; 1] = [Rotation {
    service: "aws-kms",
    name: "AWS KMS",
    of_provider: 365,
    of_customer: (90, 2560, Some(365)),
    source: "https://docs.aws.amazon.com/kms/latest/developerguide/rotate-keys.html",
}];

/// Words that name the log of a service, and the schemes of what is in that log.
pub(crate) struct LogOf {
    pub(crate) words: &'static [&'static str],
    pub(crate) name: &'static str,
    pub(crate) schemes: &'static [&'static str],
}

pub(crate) static LOGS: [LogOf; 4] = [
    LogOf {
        words: &["rds"],
        name: "RDS",
        schemes: &["rds", "aurora"],
    },
    LogOf {
        words: &["aws backup", "aws-backup"],
        name: "AWS Backup",
        schemes: &[
            "aws-backup",
            "rds",
            "aurora",
            "ec2-snapshot",
            "ebs-snapshot",
        ],
    },
    LogOf {
        words: &["arq"],
        name: "Arq",
        schemes: &["arq"],
    },
    LogOf {
        words: &["google drive", "drive app"],
        name: "Google Drive",
        schemes: &["gdrive"],
    },
];

/// Databases that keep a journal which a snapshot has to catch together with the data.
pub(crate) static JOURNALED: [&str; 6] = [
    "mongodb",
    "mongo",
    "postgres",
    "postgresql",
    "mysql",
    "mariadb",
];

/// The region in which a zone lies, by the names that providers give to zones; nothing if it is no zone.
///
/// AWS adds a letter to the region (`eu-west-2a`), Google a hyphen and a letter (`us-east1-b`).
/// Sources: <https://docs.aws.amazon.com/global-infrastructure/latest/regions/aws-availability-zones.html>,
/// <https://cloud.google.com/compute/docs/regions-zones>.
pub(crate) fn region_of_zone(name: &str) -> Option<&str> {
    let (rest, letter) = (
        name.get(..name.len().checked_sub(1)?)?,
        name.bytes().last()?,
    );
    if !letter.is_ascii_lowercase() {
        return None;
    }
    let parts: Vec<&str> = rest.split('-').collect();
    let word = |w: &&str| !w.is_empty() && w.bytes().all(|b| b.is_ascii_lowercase());
    let number = |w: &&str| w.len() == 1 && w.bytes().all(|b| b.is_ascii_digit());
    match parts.as_slice() {
        // eu-west-2, us-gov-west-1
        [area, inner @ .., n]
            if area.len() == 2
                && word(area)
                && (1..=2).contains(&inner.len())
                && inner.iter().all(word)
                && number(n) =>
        {
            Some(rest)
        }
        // us-east1-, europe-west2-
        [area, place, ""]
            if word(area)
                && place.ends_with(|c: char| c.is_ascii_digit())
                && place.len() > 2
                && place
                    .trim_end_matches(|c: char| c.is_ascii_digit())
                    .bytes()
                    .all(|b| b.is_ascii_lowercase()) =>
        {
            rest.strip_suffix('-')
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zones_are_told_from_regions() {
        for (zone, region) in [
            ("eu-west-2a", "eu-west-2"),
            ("us-gov-west-1b", "us-gov-west-1"),
            ("us-east1-b", "us-east1"),
            ("europe-west2-c", "europe-west2"),
        ] {
            assert_eq!(region_of_zone(zone), Some(region), "{zone}");
        }
        for other in [
            "eu-west-2",
            "us-east1",
            "hq",
            "",
            "a",
            "r1",
            "here",
            "elsewhere",
            "rack-7b",
            "é",
            "eu-west-2A",
            "north-europe",
        ] {
            assert_eq!(region_of_zone(other), None, "{other}");
        }
    }

    #[test]
    fn every_limit_has_its_source() {
        let sources = SERVICES
            .iter()
            .map(|s| s.source)
            .chain(MODES.iter().map(|m| m.source))
            .chain(VALIDATIONS.iter().map(|v| v.source))
            .chain(ROTATIONS.iter().map(|r| r.source))
            .chain(
                MONITORS
                    .iter()
                    .filter(|m| m.name != "Vouchsafe")
                    .map(|m| m.source),
            );
        for source in sources {
            assert!(source.starts_with("https://"), "{source}");
        }
    }
}
