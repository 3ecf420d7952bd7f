//! Writes a rich sample report to standard output, to be looked at; with `pdf`, `status`, `points`, `agenda` or
//! `sheet`, that.
#![allow(clippy::print_stdout, clippy::unwrap_used)]

#[path = "../tests/common/mod.rs"]
mod common;

use std::io::Write;

use vouchsafe_evidence::pdf::report_pdf;
use vouchsafe_evidence::{
    Passphrase, SheetInput, SheetVault, TextOptions, agenda_text, copy_counts, points_text,
    recovery_sheet, report_html, status_text_counting,
};
use vouchsafe_model::{Fact, Obligation, Secret};

fn main() {
    let mut world = common::world();
    let opts = TextOptions {
        width: 110,
        colour: true,
        verbose: false,
    };
    let what = std::env::args().nth(1).unwrap_or_default();
    if what == "alarms" {
        common::silent(&mut world.assessment);
        common::broken(&mut world.assessment);
    }
    if what == "pdf" {
        let pdf = report_pdf(&world.input());
        std::io::stdout().write_all(&pdf).unwrap();
        return;
    }
    let now = world.assessment.at;
    let text = match what.as_str() {
        "status" => {
            let copies = copy_counts(&world.policy, &world.facts);
            status_text_counting(&world.assessment, &copies, &Default::default(), opts)
        }
        "points" => points_text(&world.policy, &world.facts, &[], None, now, opts),
        "agenda" => {
            let due: Vec<Obligation> = world
                .facts
                .iter()
                .filter_map(|r| match &r.entry.fact {
                    Fact::ObligationDue(o) if o.due > common::t(19, 0, 0) => Some(o.clone()),
                    _ => None,
                })
                .collect();
            agenda_text(&due, now, opts)
        }
        "sheet" => sheet(),
        _ => report_html(&world.input()),
    };
    print!("{text}");
}

fn sheet() -> String {
    let secret = Secret::new(b"fjord-anvil-copper-lentil-9".to_vec());
    let vaults = [SheetVault {
        name: "local",
        url: "file:///srv/vouchsafe",
        repository: "5f2c",
        passphrase: Passphrase::Shown(&secret),
    }];
    let sheet = recovery_sheet(&SheetInput {
        vaults: &vaults,
        ledger_fingerprint: "3f0c 9a11",
        public_key: "vouchsafe/3f0c9a+ee6dd8a7+AWq0",
        created: common::t(0, 0, 0),
        tool: "vouchsafe 0.1.0",
    });
    String::from_utf8_lossy(sheet.expose()).into_owned()
}
