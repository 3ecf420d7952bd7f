//! The policy of the fixture.
#![allow(dead_code, unreachable_pub, clippy::unwrap_used)]

use vouchsafe_model::policy::{
    CopyRule, DrillRule, FrontMatter, Keep, Length, Location, Period, Schedule, ScheduleRule, Tier,
    VerifyRule, Way, Window,
};
use vouchsafe_model::*;

use super::{id, sha, vault};

fn daily() -> Schedule {
    Schedule {
        text: "daily at 02:00 UTC".into(),
        rule: ScheduleRule::Cron {
            expression: "0 2 * * *".into(),
            zone: "UTC".into(),
        },
    }
}

fn every(text: &str, period: Period) -> Schedule {
    Schedule {
        text: text.into(),
        rule: ScheduleRule::Once(period),
    }
}

fn protection(name: &str, way: Way) -> Protection {
    let captured = matches!(way, Way::Capture(_));
    let rule = |vault_name: &str, weekly: bool| CopyRule {
        vault: vault(vault_name),
        every: weekly.then(|| every("every week", Period::Week)),
    };
    Protection {
        erasure: None,
        id: id(name),
        way,
        password: None,
        exclude: Vec::new(),
        digests: Default::default(),
        schedule: Some(daily()),
        window: Window::default(),
        keep: Keep {
            at_least: Some(Length::exact(Span::from_days(35))),
            at_most: Some(Length::exact(Span::from_days(35))),
            grace: Some(Length::exact(Span::from_hours(24))),
            ..Keep::default()
        },
        copies: if captured {
            vec![rule("local", false), rule("offsite", true)]
        } else {
            Vec::new()
        },
        verify: captured.then(|| VerifyRule {
            every: every("every week", Period::Week),
            coverage: Some((1, 4)),
        }),
        drill: captured.then(|| DrillRule {
            every: every("every quarter", Period::Quarter),
            negative_control: Some(every("every year", Period::Year)),
            checks: Vec::new(),
            equality: None,
        }),
        data_directory: None,
        dump_jobs: None,
        log_every: None,
        log_keep: None,
    }
}

fn system(name: &str, owner: &str, tier: Option<Tier>, kept: Vec<(&str, Way)>) -> System {
    let protections = kept.into_iter().map(|(p, way)| {
        let protection = protection(&format!("{name}/{p}"), way);
        (protection.id.protection.clone(), protection)
    });
    System {
        name: SystemName::new(name).unwrap(),
        owner: Some(owner.into()),
        class: None,
        tier,
        location: Location::default(),
        application: None,
        environment: Some("prod".into()),
        exempt: None,
        protections: protections.collect(),
    }
}

pub fn policy() -> Policy {
    let source = |text: &str| SourceUrl::parse(text).unwrap();
    let critical = Tier {
        name: "critical".into(),
        rpo: Some(Span::from_hours(24)),
        rto: Some(Span::from_hours(2)),
        min_copies: Some(2),
        ..Tier::default()
    };
    let place = |name: &str, url: &str, region: &str| vouchsafe_model::Vault {
        name: vault(name),
        url: url.into(),
        location: Location {
            region: Some(region.into()),
            country: Some("GB".into()),
        },
        retention_lock: (name == "offsite").then(|| Length::exact(Span::from_days(30))),
        lock_mode: vouchsafe_model::LockMode::Compliance,
        password: None,
        kms: None,
        rotate: None,
        prune: None,
        access: vouchsafe_model::Access::default(),
    };
    let mut scratch = system("scratch", "ops@example.com", None, vec![]);
    scratch.exempt = Some("holds nothing that cannot be computed again".into());
    let systems = [
        system(
            "shop-db",
            "platform@example.com",
            Some(critical.clone()),
            vec![("main", Way::Capture(source("sqlite:/srv/shop/shop.db")))],
        ),
        system(
            "website",
            "web@example.com",
            Some(critical),
            vec![("main", Way::Capture(source("files:/var/www")))],
        ),
        system(
            "code",
            "dev@example.com",
            None,
            vec![("main", Way::Capture(source("git:/srv/code.git")))],
        ),
        system(
            "moneta-db",
            "it@example.com",
            None,
            vec![("rds", Way::Observe(source("rds:us-east-2/moneta")))],
        ),
        scratch,
    ];
    Policy {
        erasure: None,
        front: FrontMatter {
            id: Some("POL-006".into()),
            title: Some("Backup Policy".into()),
            owner: Some("it-director@example.com".into()),
            version: Some("1.2".into()),
            approved: Some("2026-01-12".into()),
            approved_digest: Some(sha("policy 1.2")),
            next_review: Some("2027-01-12".into()),
            frameworks: vec!["soc2".into(), "iso27001".into()],
        },
        digest: sha("policy 1.2"),
        base: "/srv".into(),
        vaults: [
            place("local", "file:///srv/vouchsafe", "hq"),
            place("offsite", "file:///mnt/offsite/vouchsafe", "eu-west-2"),
        ]
        .into_iter()
        .map(|v| (v.name.clone(), v))
        .collect(),
        systems: systems.into_iter().map(|s| (s.name.clone(), s)).collect(),
        duties: Vec::new(),
        people: Default::default(),
        alerts: Default::default(),
        mail: None,
        timestamps: None,
    }
}
