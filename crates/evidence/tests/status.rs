//! The status table, the list of points, the agenda and the recovery sheet, as people see them.

#![allow(unreachable_pub)]

use crate::common::{broken, calm, id, silent, t, world};
use unicode_width::UnicodeWidthStr;
use vouchsafe_evidence::{
    Passphrase, SheetInput, SheetVault, TextOptions, agenda_text, copy_counts, points_text,
    recovery_sheet, status_text, status_text_counting,
};
use vouchsafe_model::{AwsKey, Kms, Outcome, Secret, SecretRef, SystemName, Verdict, WrapCommand};

fn opts(width: usize) -> TextOptions {
    TextOptions {
        width,
        colour: false,
        verbose: false,
    }
}

#[test]
fn all_met() {
    insta::assert_snapshot!(status_text(&calm(), opts(100)), @r#"
    ✓ MET: 1 met · 0 not met · 0 unproven · as of 2026-11-22 03:00 UTC
    obligations: 42 on time · 0 late · 0 missed · 2 open

                    covered      fresh       copies  verified  proven                   next due
    ✓ shop-db  met  ✓ 21 points  ✓ 1d1h old  ✓ yes   ✓ yes     ✓ drilled 2d ago 10s/2h  capture in 1h

    Nothing to do. Next: capture of shop-db by 2026-11-22 04:00 UTC (in 1h).
    "#);
}

#[test]
fn everything_at_once() {
    let w = world();
    let copies = copy_counts(&w.policy, &w.facts);
    insta::assert_snapshot!(status_text_counting(&w.assessment, &copies, &Default::default(), opts(120)), @r#"
    ✗ NOT MET: 1 met · 2 not met · 0 unproven · 1 planned · 1 exempt · as of 2026-11-22 03:00 UTC
    obligations: 38 on time · 1 late · 4 missed · 2 open

                              covered      fresh       copies     verified    proven                   next due
    ✗ website        not met  ✓ 17 points  ✗ 3d old    ✗ 1/2      ? unproven  ✗ no                     capture in 1h
        fresh: The newest complete point is 3d 1h old, and the RPO is 24h.
        copies: 1 of 2 vaults holds a copy; offsite has none.
        verified: The newest verification of offsite did not read everything.
        proven: The newest drill was red at rung `content`: table:orders has 48,209 rows, not 48,210.
        overdue: capture was due 23h ago, verify → offsite was due 1d3h ago
        → vouchsafe run website
        → vouchsafe verify --vault offsite
        → vouchsafe drill website
    ✗ code           not met  ✓ 1 point    ✓ 1d1h old  ✗ 0/2      ? unproven  ? unproven
        copies: The copy in local has another tree than the point.
        verified: No copy has been verified yet.
        proven: No restore was ever rehearsed.
        encrypted: No stored bytes were looked at.
        → vouchsafe run code
        → vouchsafe verify
        → vouchsafe drill code
    » moneta-db/rds  planned  » planned    » planned   » planned  » planned   » planned
    ✓ shop-db        met      ✓ 21 points  ✓ 1d1h old  ✓ 2/2      ✓ yes       ✓ drilled 2d ago 10s/2h  capture in 1h
    - scratch exempt: holds nothing that cannot be computed again
    ✗ duty metrics-review: was due 2026-11-15 00:00 UTC (7d ago), and no fact answers it

    Next: capture of shop-db by 2026-11-22 04:00 UTC (in 1h).
    "#);
}

#[test]
fn brief_where_it_does_not_fit() {
    let mut a = world().assessment;
    a.protections.retain(|p| p.verdict != Verdict::Planned);
    insta::assert_snapshot!(status_text(&a, opts(84)), @r#"
    ✗ NOT MET: 1 met · 2 not met · 0 unproven · 1 exempt · as of 2026-11-22 03:00 UTC
    obligations: 38 on time · 1 late · 4 missed · 2 open

                        covered  fresh   copies  verified  proven       next due
    ✗ website  not met  ✓ 17     ✗ 3d    ✗       ?         ✗            capture 1h
        fresh: The newest complete point is 3d 1h old, and the RPO is 24h.
        copies: 1 of 2 vaults holds a copy; offsite has none.
        verified: The newest verification of offsite did not read everything.
        proven: The newest drill was red at rung `content`: table:orders has 48,209
          rows, not 48,210.
        overdue: capture was due 23h ago, verify → offsite was due 1d3h ago
        → vouchsafe run website
        → vouchsafe verify --vault offsite
        → vouchsafe drill website
    ✗ code     not met  ✓ 1      ✓ 1d1h  ✗       ?         ?
        copies: The copy in local has another tree than the point.
        verified: No copy has been verified yet.
        proven: No restore was ever rehearsed.
        encrypted: No stored bytes were looked at.
        → vouchsafe run code
        → vouchsafe verify
        → vouchsafe drill code
    ✓ shop-db  met      ✓ 21     ✓ 1d1h  ✓       ✓         ✓ 2d 10s/2h  capture 1h
    - scratch exempt: holds nothing that cannot be computed again
    ✗ duty metrics-review: was due 2026-11-15 00:00 UTC (7d ago), and no fact answers it

    Next: capture of shop-db by 2026-11-22 04:00 UTC (in 1h).
    "#);
}

#[test]
fn stacked_where_it_is_narrow() {
    let mut a = world().assessment;
    a.protections.truncate(2);
    insta::assert_snapshot!(status_text(&a, opts(44)), @r#"
    ✗ NOT MET: 1 met · 1 not met · 0 unproven ·
      1 exempt · as of 2026-11-22 03:00 UTC
    obligations: 38 on time · 1 late · 4 missed
      · 2 open

    ✗ website  not met
        covered ✓ 17 points · fresh ✗ 3d old ·
        copies ✗ no · verified ? unproven ·
        proven ✗ no · next due capture in 1h
        fresh: The newest complete point is 3d
          1h old, and the RPO is 24h.
        copies: 1 of 2 vaults holds a copy;
          offsite has none.
        verified: The newest verification of
          offsite did not read everything.
        proven: The newest drill was red at rung
          `content`: table:orders has 48,209
          rows, not 48,210.
        overdue: capture was due 23h ago, verify
          → offsite was due 1d3h ago
        → vouchsafe run website
        → vouchsafe verify --vault offsite
        → vouchsafe drill website
    ✓ shop-db  met
        covered ✓ 21 points · fresh ✓ 1d1h old ·
        copies ✓ yes · verified ✓ yes ·
        proven ✓ drilled 2d ago 10s/2h ·
        next due capture in 1h
    - scratch exempt: holds nothing that cannot
        be computed again
    ✗ duty metrics-review: was due 2026-11-15
        00:00 UTC (7d ago), and no fact answers
        it

    Next: capture of shop-db by 2026-11-22 04:00
      UTC (in 1h).
    "#);
}

#[test]
fn unproven_without_any_point_names_one_reason() {
    let mut a = calm();
    a.verdict = Verdict::Unproven;
    for p in &mut a.protections {
        p.verdict = Verdict::Unproven;
        p.points = 0;
        (p.newest_point, p.proven_at) = (None, None);
        for j in &mut p.judgements {
            j.verdict = Verdict::Unproven;
            j.because = "There is no recovery point yet.".into();
        }
    }
    insta::assert_snapshot!(status_text(&a, opts(100)), @r#"
    ? UNPROVEN: 0 met · 0 not met · 1 unproven · as of 2026-11-22 03:00 UTC
    obligations: 42 on time · 0 late · 0 missed · 2 open

                         covered     fresh       copies      verified    proven      next due
    ? shop-db  unproven  ? unproven  ? unproven  ? unproven  ? unproven  ? unproven  capture in 1h
        covered: There is no recovery point yet.
        → vouchsafe run shop-db

    Next: capture of shop-db by 2026-11-22 04:00 UTC (in 1h).
    "#);
}

#[test]
fn silence_and_breaks_are_loud() {
    let mut a = calm();
    silent(&mut a);
    broken(&mut a);
    let text = status_text(&a, opts(80));
    insta::assert_snapshot!(text.split("\n\n").next().unwrap_or_default(), @r#"
    !! THE RECORD IS BROKEN: entry 12: vault offsite holds a head that this ledger
       does not continue. What was before it cannot be continued.
       → vouchsafe ledger verify
    !! SILENCE: the ledger says nothing from 2026-11-16 00:00 UTC to 2026-11-19
       04:00 UTC (3d 4h). Whatever should have happened then may not have.
       → vouchsafe run --due
    ✓ MET: 1 met · 0 not met · 0 unproven · as of 2026-11-22 03:00 UTC
    obligations: 42 on time · 0 late · 0 missed · 2 open
    "#);
    assert!(!text.contains("Nothing to do"), "{text}");
}

#[test]
fn lines_fit_the_width() {
    let w = world();
    for width in [40, 44, 60, 80, 100, 120, 200] {
        let verbose = TextOptions {
            verbose: true,
            ..opts(width)
        };
        let now = w.assessment.at;
        let texts = [
            status_text(&w.assessment, verbose),
            points_text(&w.policy, &w.facts, &[], None, now, verbose),
            agenda_text(&w.assessment.missed, now, verbose),
        ];
        for line in texts.iter().flat_map(|text| text.lines()) {
            let command = line.trim_start().starts_with('→');
            assert!(
                command || line.width() <= width,
                "wider than {width}: {line}"
            );
        }
    }
}

#[test]
fn colours_carry_nothing_that_words_do_not() {
    let w = world();
    let coloured = TextOptions {
        colour: true,
        ..opts(100)
    };
    let text = status_text(&w.assessment, coloured);
    assert!(text.contains("\x1b["));
    let mut plain = String::new();
    let mut rest = text.as_str();
    while let Some((before, after)) = rest.split_once("\x1b[") {
        plain.push_str(before);
        rest = after.split_once('m').map_or("", |(_, tail)| tail);
    }
    plain.push_str(rest);
    assert_eq!(plain, status_text(&w.assessment, opts(100)));
    assert!(!plain.contains('\x1b'));
}

#[test]
fn a_fact_cannot_drive_the_terminal() {
    let mut a = world().assessment;
    a.protections[1].judgements[1].because = "\x1b[2J\u{202e}all is well\r\n✓ met".into();
    let text = status_text(&a, opts(100));
    assert!(!text.contains(['\x1b', '\r', '\u{202e}']), "{text:?}");
}

#[test]
fn points_show_windows_copies_and_what_is_wrong() {
    let w = world();
    let only = |name: &str| {
        let name = SystemName::new(name).unwrap();
        points_text(
            &w.policy,
            &w.facts,
            &[],
            Some(&name),
            w.assessment.at,
            opts(110),
        )
    };
    let shop = only("shop-db");
    assert!(
        shop.contains("offsite  2026-11-07 02:00 UTC  2026-11-21 02:00 UTC"),
        "{shop}"
    );
    assert!(shop.contains("7d"), "the widest gap is not shown: {shop}");
    assert!(!shop.contains("website"));
    let web = only("website");
    assert!(web.contains("incomplete, 3 issues"), "{web}");
    assert!(web.contains("offsite  ✗ nothing"), "{web}");
    insta::assert_snapshot!(only("code"), @r#"
    code capture of git:/srv/code.git
      vault    recoverable from  to  newest  points  widest gap
      local    ✗ nothing
      offsite  ✗ nothing

      point               state of              items  content   outcome  copies in
      p-73b0702a1c6ab607  2026-11-21 02:00 UTC  1,224  1.69 GiB  done     local (ANOTHER TREE)
    "#);
}

#[test]
fn a_copy_with_another_tree_does_not_count() {
    let w = world();
    let counts = copy_counts(&w.policy, &w.facts);
    let of = |name: &str| counts.get(&id(name)).map(|c| (c.have, c.want));
    assert_eq!(of("shop-db/main"), Some((2, 2)));
    assert_eq!(of("website/main"), Some((1, 2)));
    assert_eq!(of("code/main"), Some((0, 2)));
    assert_eq!(of("moneta-db/rds"), None);
}

#[test]
fn a_copy_that_was_not_read_back_does_not_count() {
    let mut w = world();
    for r in &mut w.facts {
        if let vouchsafe_model::Fact::Copy(c) = &mut r.entry.fact {
            c.blobs_read_back = 0;
        }
    }
    let counts = copy_counts(&w.policy, &w.facts);
    assert!(counts.values().all(|c| c.have == 0));
    let text = points_text(&w.policy, &w.facts, &[], None, w.assessment.at, opts(110));
    assert!(text.contains("NOT READ BACK"), "{text}");
}

#[test]
fn an_incomplete_point_opens_no_window() {
    let mut w = world();
    for r in &mut w.facts {
        if let vouchsafe_model::Fact::RecoveryPoint(p) = &mut r.entry.fact {
            p.outcome = Outcome::Incomplete;
        }
    }
    let counts = copy_counts(&w.policy, &w.facts);
    assert!(counts.values().all(|c| c.have == 0));
    let text = points_text(&w.policy, &w.facts, &[], None, w.assessment.at, opts(110));
    assert!(!text.contains("1d1h old"), "{text}");
}

#[test]
fn agenda_puts_the_overdue_first() {
    let mut due = world().assessment.missed;
    let next = world().assessment.protections[0].next.clone();
    due.extend(next);
    insta::assert_snapshot!(agenda_text(&due, t(21, 3, 0), opts(100)), @r#"
    OVERDUE  4 obligations
      capture  website/main            was due 2026-11-06 04:00 UTC  15d ago
      duty     metrics-review          was due 2026-11-15 00:00 UTC  7d ago
      verify   website/main → offsite  was due 2026-11-21 00:00 UTC  1d3h ago
      capture  website/main            was due 2026-11-21 04:00 UTC  23h ago

    Sunday 2026-11-22
      capture  shop-db/main  by 04:00 UTC  open now, 1h left
    "#);
}

#[test]
fn an_empty_agenda_says_so() {
    assert!(agenda_text(&[], t(0, 0, 0), opts(80)).contains("Nothing is due"));
}

fn sheet(passphrase: Passphrase<'_>, url: &str) -> String {
    let vaults = [SheetVault {
        name: "local",
        url,
        repository: "5f2c",
        passphrase,
    }];
    let sheet = recovery_sheet(&SheetInput {
        vaults: &vaults,
        ledger_fingerprint: "3f0c 9a11",
        public_key: "vouchsafe/3f0c9a+ee6dd8a7+AWq0",
        created: t(0, 0, 0),
        tool: "vouchsafe 0.1.0",
    });
    assert_eq!(format!("{sheet:?}"), "<secret>");
    String::from_utf8(sheet.expose().to_vec()).unwrap()
}

#[test]
fn the_sheet_has_all_that_is_needed() {
    let secret = Secret::new(b"fjord-anvil-copper".to_vec());
    insta::assert_snapshot!(sheet(Passphrase::Shown(&secret), "file:///srv/my vaults"), @r#"
    VOUCHSAFE RECOVERY SHEET
    ========================
      made            2026-11-01 00:00 UTC
      by              vouchsafe 0.1.0

    With this sheet and one vault, everything that is in the vault can be restored
    on an empty machine. Without the passphrase nobody can restore it, not even
    its owner.
    WHOEVER HOLDS THIS SHEET CAN READ THE DATA. Print it twice, keep the prints in
    two locked places away from the machine and from the vaults, and then delete
    this file.

    Vault 1: local
    --------------
      address         file:///srv/my vaults
      repository id   5f2c
      passphrase      fjord-anvil-copper

    With Vouchsafe
    --------------
    On an empty machine, in an empty folder, with this sheet as the file SHEET.
    One of the following rebuilds the ledger and the policy from that vault.
    `vouchsafe ledger show` must then print the public key that stands under "The
    ledger".

      vouchsafe recover-state --vault 'file:///srv/my vaults' --sheet SHEET

    Without the file, put the passphrase into one and name it by
    --passphrase-file.

      vouchsafe ledger show
      vouchsafe status
      vouchsafe points
      vouchsafe restore SYSTEM --to ./restored

    Without Vouchsafe
    -----------------
    Each vault holds a plain restic repository of format version 2 in its folder
    `repo`. Any restic from 0.14 on restores it; it asks for the passphrase. List
    the snapshots, take the id of the one that is wanted, and restore it into an
    empty folder.

      # local
      restic -r '/srv/my vaults/repo' snapshots
      restic -r '/srv/my vaults/repo' check --read-data
      restic -r '/srv/my vaults/repo' restore SNAPSHOT --target ./restored

    The repository id that `restic cat config` prints must be the one above.

    The ledger
    ----------
      fingerprint     3f0c 9a11
      public key
        vouchsafe/3f0c9a+ee6dd8a7+AWq0

    An export of the ledger is checked anywhere, without this machine and without
    a network, by the public key alone:

      vouchsafe ledger verify --export FILE --key vouchsafe/3f0c9a+ee6dd8a7+AWq0
    "#);
}

#[test]
fn the_sheet_says_where_a_passphrase_is_kept() {
    let place = SecretRef::Env("VAULT_PASSPHRASE".into());
    let text = sheet(Passphrase::KeptIn(&place), "s3://acme/backup/");
    assert!(
        text.contains("environment variable VAULT_PASSPHRASE"),
        "{text}"
    );
    assert!(!text.contains("WHOEVER HOLDS"), "{text}");
    assert!(
        text.contains("restic -r s3:s3.amazonaws.com/acme/backup/repo snapshots"),
        "{text}"
    );
}

#[test]
fn the_sheet_says_how_a_wrapped_passphrase_is_unwrapped() {
    let object = "custody/passphrase.json";
    let key = "arn:aws:kms:eu-west-2:111122223333:key/1234";
    let aws = Kms::Aws(AwsKey {
        key: key.into(),
        region: "eu-west-2".into(),
        ..AwsKey::default()
    });
    let by = &aws;
    let text = sheet(Passphrase::Wrapped { by, object }, "s3://acme/backup/");
    for said in [
        &format!("wrapped by      AWS KMS key {key}"),
        "wrapped in      custody/passphrase.json",
        "--encryption-context vouchsafe:repository=5f2c,vouchsafe:purpose=vault-passphrase",
        "key add VAULT --generate",
        "recover-state --vault s3://acme/backup/ --sheet SHEET\n",
    ] {
        assert!(text.contains(said), "{said} is not in {text}");
    }
    assert!(!text.contains("WHOEVER HOLDS"), "{text}");
    let command = Kms::Command(WrapCommand {
        key: "safe".into(),
        wrap: vec!["age".into()],
        unwrap: ["age", "-d", "-i", "/my id"].map(String::from).to_vec(),
    });
    let by = &command;
    let text = sheet(Passphrase::Wrapped { by, object }, "/srv/v");
    assert!(
        text.contains("| base64 -d | age -d -i '/my id'\n"),
        "{text}"
    );
    assert!(text.contains("--unwrap age -d -i '/my id'\n"), "{text}");
}
