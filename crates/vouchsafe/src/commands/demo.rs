//! `demo`: the main job on a directory of one's own, embedded, in one command.

use std::path::{Path, PathBuf};

use vouchsafe_evidence::{copy_counts, count, report_html, status_text_counting};
use vouchsafe_host::{files, machine};
use vouchsafe_keeper::drill::DrillOrder;
use vouchsafe_keeper::{Keeper, KeeperError, ReportOptions, RunOrder};
use vouchsafe_model::{DrillResult, Span, human_bytes};

use crate::args::Demo;
use crate::commands::deeds;
use crate::exit::{Exit, Failure};
use crate::reporter::Console;
use crate::session::Session;

/// What is left out of a checkout, because it can be built again.
const LEFT_OUT: [&str; 4] = ["/target", "node_modules/", ".venv/", "/.git"];

/// Protects a directory, its git history and a database; damages twins; judges; reports.
pub(crate) fn demo(session: &Session, args: &Demo) -> Result<Exit, Failure> {
    let dir = args.dir.clone().map_or_else(machine::current_dir, |d| {
        machine::current_dir().map(|c| c.join(d))
    });
    let dir = dir
        .and_then(files::canonicalize)
        .map_err(KeeperError::from)?;
    let workspace = workspace(args)?;
    let say = |text: &str| {
        if session.output.json {
            Ok(())
        } else {
            session.output.text(text)
        }
    };
    say(&format!(
        "Protecting {}\nWorkspace  {}\n",
        dir.display(),
        workspace.display()
    ))?;
    write_policy(&dir, &workspace)?;
    let inner = session.elsewhere(workspace.join("policy.yaml"));

    say("1. init: two vaults, their keys, the ledger")?;
    let made = super::init::make(&inner, false)?;
    say(&format!("   ledger key fingerprint {}\n", made.fingerprint))?;

    say("2. run: capture, encrypt, read back, copy to the second vault")?;
    let keeper = inner.keeper()?;
    let console = Console::new(session.output);
    let done = keeper.run(&RunOrder::default(), &console)?;
    for report in &done.reports {
        say(&format!(
            "   {}: {}, {}; {} stored",
            report.protection,
            count(report.items, "file"),
            human_bytes(report.bytes),
            human_bytes(report.added_bytes)
        ))?;
    }

    say(
        "\n3. drill: restore into a sandbox, compare, time; then damage twins and see each one refused",
    )?;
    let order = DrillOrder {
        negative: true,
        ..DrillOrder::default()
    };
    let drills = keeper.drill(&order, &console.quiet())?;
    for drill in &drills {
        say(&deeds::drill_text(drill))?;
    }

    let console = Console::new(session.output).quiet();
    keeper.verify(None, &vouchsafe_vault::Budget::All, &console)?;
    let judged = keeper.judge(None)?;
    say("\n4. status: what the facts say of the policy\n")?;
    if session.output.json {
        session.output.json(&judged.assessment)?;
    } else {
        let counts = copy_counts(&keeper.policy, &judged.facts);
        session.output.text(&status_text_counting(
            &judged.assessment,
            &counts,
            &std::collections::BTreeMap::new(),
            session.output.text_options(false),
        ))?;
    }
    let report = write_report(&keeper, &workspace)?;
    say(&next_steps(&keeper, &workspace, &report)?)?;

    let complete = deeds::run_exit(&done);
    if complete != Exit::Met {
        return Ok(complete);
    }
    Ok(Exit::judged(
        drills.iter().all(DrillResult::is_green) && judged.assessment.verdict.is_good(),
    ))
}

fn workspace(args: &Demo) -> Result<PathBuf, Failure> {
    match &args.keep {
        None => Ok(files::temp_dir("vouchsafe-demo-")
            .map_err(KeeperError::from)?
            .keep()),
        Some(dir) => {
            if files::exists(dir).map_err(KeeperError::from)? {
                return Err(Failure::Usage(format!(
                    "{} is already there; name a new directory",
                    dir.display()
                )));
            }
            files::create_dir_all(dir, 0o700).map_err(KeeperError::from)?;
            Ok(files::canonicalize(dir).map_err(KeeperError::from)?)
        }
    }
}

fn write_policy(dir: &Path, workspace: &Path) -> Result<(), Failure> {
    let utf8 = |path: &Path| {
        path.to_str()
            .map(str::to_owned)
            .ok_or_else(|| Failure::Usage(format!("{} is not UTF-8", path.display())))
    };
    let database = workspace.join("shop.db");
    vouchsafe_sources::write_sample_database(&database).map_err(KeeperError::from)?;
    let quoted = |text: String| serde_json::Value::String(text).to_string();
    let excludes: Vec<String> = LEFT_OUT.iter().map(|p| quoted((*p).to_owned())).collect();
    let mut text = POLICY
        .replace("@FILES@", &quoted(format!("files:{}", utf8(dir)?)))
        .replace("@EXCLUDE@", &excludes.join(", "))
        .replace(
            "@DATABASE@",
            &quoted(format!("sqlite:{}", utf8(&database)?)),
        );
    if files::exists(dir.join(".git")).map_err(KeeperError::from)? {
        text.push_str(&GIT.replace("@GIT@", &quoted(format!("git:{}", utf8(dir)?))));
    }
    let path = workspace.join("policy.yaml");
    files::write_atomic(path, text.as_bytes(), 0o644).map_err(KeeperError::from)?;
    Ok(())
}

const POLICY: &str = r#"# What the demo protects, and what it promises of it.
policy:
  id: DEMO-001
  title: Backup policy of the demo
  owner: you@example.com
  version: "1"
  next_review: 2027-12-31
  frameworks: [soc2, iso27001]
vaults:
  local:   { url: ./vaults/local, region: here, country: GB }
  offsite: { url: ./vaults/offsite, region: there, country: GB }
tiers:
  standard: { rpo: 24h, rto: 1h, copies: { min: 2 } }
plans:
  nightly:
    schedule: "daily at 02:00 UTC"
    keep: { at_least: 35 days }
    copies: [ local, offsite ]
    verify: { every: week }
    drill: { every: month, negative_control: every year }
systems:
  checkout:
    source: @FILES@
    exclude: [ @EXCLUDE@ ]
    tier: standard
    plan: nightly
    owner: you@example.com
    location: { region: desk, country: GB }
  shop-db:
    source: @DATABASE@
    tier: standard
    plan: nightly
    owner: you@example.com
    location: { region: desk, country: GB }
"#;

const GIT: &str = r"  history:
    source: @GIT@
    tier: standard
    plan: nightly
    owner: you@example.com
    location: { region: desk, country: GB }
";

fn write_report(keeper: &Keeper, workspace: &Path) -> Result<PathBuf, Failure> {
    let now = keeper.tools.clock.now();
    let html = keeper.report(
        now.minus(Span::from_days(90)),
        now.plus(Span::from_secs(1)),
        &ReportOptions::default(),
        report_html,
    )?;
    let path = workspace.join("report.html");
    files::write_atomic(&path, html.as_bytes(), 0o644).map_err(KeeperError::from)?;
    Ok(path)
}

fn next_steps(keeper: &Keeper, workspace: &Path, report: &Path) -> Result<String, Failure> {
    let program = machine::current_program().map_err(KeeperError::from)?;
    let facts = keeper.facts()?;
    let catalogue = vouchsafe_keeper::catalogue::Catalogue::of(&facts);
    let local = keeper.policy.vaults.values().next();
    let newest = keeper
        .policy
        .protections()
        .find_map(|(_, p)| catalogue.newest(&p.id, true));
    let mut text = format!(
        "\nWhat to do next\n  the report for an auditor     {}\n  every fact in the ledger      cd {} && {} ledger show\n  check the record offline      {} ledger export -o ledger.jsonl && {} ledger verify --export ledger.jsonl\n  restore with us               {} restore checkout --to ./restored\n",
        report.display(),
        workspace.display(),
        program.display(),
        program.display(),
        program.display(),
        program.display(),
    );
    if let (Some(vault), Some(point)) = (local, newest)
        && let Some(copy) = point.copy_in(&vault.name)
    {
        text.push_str(&format!(
            "  restore without us            restic -r {}/vaults/{}/repo --password-file {} restore {} --target ./restored-by-restic\n",
            workspace.display(),
            vault.name,
            keeper.state.passphrase_path(&vault.name).display(),
            copy.snapshot.get(..8).unwrap_or(&copy.snapshot),
        ));
    }
    text.push_str(&format!(
        "  remove everything again       rm -r {}\n",
        workspace.display()
    ));
    Ok(text)
}
