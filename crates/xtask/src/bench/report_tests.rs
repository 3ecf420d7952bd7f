//! The table and the record, over made-up runs.

use super::super::outcome::tests::{outcome, run};
use super::*;

fn facts() -> Facts {
    Facts {
        date: "2026-01-02T030405Z".to_owned(),
        processor: "A Fine CPU".to_owned(),
        cores: 2,
        memory_gib: 24,
        kernel: "6.1".to_owned(),
        filesystem: "ext2/ext3".to_owned(),
        load: 0.1,
        versions: vec!["restic 0.18.0".to_owned()],
        absent: Vec::new(),
    }
}

#[test]
fn figures_and_ratios_stand_in_the_table() {
    let good = outcome(vec![run(4000, 9000, 100), run(8000, 9000, 120)], 1_999_999);
    let options = Options::parse(&[]).unwrap();
    let text = markdown(&facts(), &options, &[good]);
    assert!(
        text.contains("| vouchsafe | 6.00 (4.00–8.00) | 9.00 | 120 | 2.0 (3) |"),
        "{text}"
    );
    assert!(text.contains("| restic | 15.00 (10.00–20.00) | 21.00 (20.00–22.00) | 160 | 2.0 (3) |  | 0.40 | 0.43 (0.41–0.45) |"), "{text}");
    assert!(
        text.contains(
            "wall ≤ 0.45, CPU ≤ 0.5, no peer faster, no larger than restic's, memory ≤ 192 MiB and ≤ restic's | yes |"
        ),
        "{text}"
    );
    assert!(!text.contains("busy"), "{text}");
}

#[test]
fn what_was_not_measured_and_a_busy_machine_are_said() {
    let failed = Outcome {
        entries: Vec::new(),
        failure: Some("the engine has no verb".to_owned()),
        ..outcome(Vec::new(), 0)
    };
    let busy = Facts {
        load: 3.0,
        absent: vec!["borg is not installed".to_owned()],
        ..facts()
    };
    let options = Options::parse(&[]).unwrap();
    let text = markdown(&busy, &options, std::slice::from_ref(&failed));
    for expected in [
        "no result",
        "Not measured: borg",
        "**not measured**: the engine",
        "| not measured |",
    ] {
        assert!(text.contains(expected), "{expected}: {text}");
    }
    let record = record(&busy, &options, &[failed]);
    assert_eq!(record["rows"][0]["failure"], "the engine has no verb");
    assert_eq!(record["machine"]["load_before"], 3.0);
}

#[test]
fn the_record_holds_every_run() {
    let options = Options::parse(&[]).unwrap();
    let runs = vec![run(4000, 9000, 100), run(8000, 9500, 120)];
    let record = record(&facts(), &options, &[outcome(runs, 5)]);
    let ours = &record["rows"][0]["tools"][0];
    assert_eq!(ours["wall_seconds"], json!([4.0, 8.0]));
    assert_eq!(ours["cpu_seconds"], json!([9.0, 9.5]));
    assert_eq!(ours["peak_bytes"], json!([100 << 20, 120 << 20]));
    assert_eq!(ours["repository_bytes"], 5);
}
