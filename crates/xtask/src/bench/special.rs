//! Two rows of their own kind: beside an index of millions of blobs, and the whole product with policy and ledger.

use std::fs;
use std::path::Path;

use super::contest::{Bench, Entry, Last, Steps};
use super::data::at;
use super::measure::Job;
use super::rows::{LARGE_INDEX_MEMORY, Row};
use super::tools::{Kind, Tool};
use super::tree::{self, Remembered};

/// Blobs in the made-up index, at full scale.
const BLOBS: f64 = 50e6;

impl Row {
    /// Ours within the limit, and restic without one, into the same repository: once with nothing cached, and once more.
    pub(crate) fn many_blobs(&self, bench: &Bench<'_>) -> Result<Vec<Entry>, String> {
        bench.needs("many-blobs")?;
        let tools: Vec<Tool> = bench
            .tools
            .all
            .iter()
            .filter(|tool| tool.kind.is_needed())
            .cloned()
            .collect();
        let ours = tools.first().ok_or("there is no engine")?;
        let lane = bench.area.lane(ours, "many-blobs");
        bench.start(ours, &lane)?;
        let blobs = (BLOBS * bench.options.scale) as u64;
        bench.prepare([ours.many_blobs(&lane, blobs)])?;
        let source = bench.area.data(self.set, &bench.size)?;
        let expected = tree::count(&source)?;
        let repository = lane.repository();
        let before = Remembered::of(&repository)?;
        let entries = bench.contest_of(
            2,
            self.name,
            &tools,
            &Steps {
                reset: &|_| before.reset(&repository),
                warm: &|_| vec![source.clone(), repository.join("index")],
                job: &|tool| {
                    let job = tool.backup(&lane, &source, "first")?;
                    Some(match tool.kind {
                        Kind::Vouchsafe => job.limit(LARGE_INDEX_MEMORY),
                        _ => job,
                    })
                },
                after: &|tool, _| {
                    bench.judge_size(tool, &lane, expected)?;
                    Ok(None)
                },
            },
        );
        tree::remove(lane.root())?;
        entries
    }

    /// `vouchsafe run` of one system into one vault: obligations, locks, reading back, facts, publication.
    pub(crate) fn whole_run(&self, bench: &Bench<'_>) -> Result<Vec<Entry>, String> {
        let source = bench.area.data(self.set, &bench.size)?;
        let expected = tree::count(&source)?;
        let project = bench.area.folder("project");
        let program = &bench.tools.vouchsafe;
        let tool = Tool {
            kind: Kind::Vouchsafe,
            program: program.clone(),
            version: String::new(),
        };
        let call = |verb: &str| {
            Job::new(program)
                .env("HOME", &project)
                .current_dir(&project)
                .arg(verb)
        };
        let entries = bench.contest(
            self.name,
            &[tool],
            &Steps {
                reset: &|_| {
                    tree::remove(&project)?;
                    fs::create_dir_all(&project).map_err(at(&project))?;
                    let policy = project.join("policy.yaml");
                    fs::write(&policy, policy_for(&source)).map_err(at(&policy))?;
                    bench.prepare([call("init")])
                },
                warm: &|_| vec![source.clone()],
                job: &|_| Some(call("run")),
                after: &|_, last| {
                    if last == Last::Yes {
                        let restored = project.join("restored");
                        bench.prepare([call("restore").args(["tree", "--to"]).arg(&restored)])?;
                        let found = tree::count(&restored)?;
                        if found != expected {
                            return Err(format!("{found:?} came back of {expected:?}"));
                        }
                        tree::remove(&restored)?;
                    }
                    tree::count(&project.join("vault")).map(Some)
                },
            },
        );
        tree::remove(&project)?;
        entries
    }
}

fn policy_for(source: &Path) -> String {
    POLICY.replace("@SOURCE@", &format!("files:{}", source.display()))
}

const POLICY: &str = r#"policy:
  id: BENCH-001
  title: What the benchmark protects
  owner: bench@example.com
  version: "1"
  next_review: 2099-12-31
vaults:
  local: { url: ./vault, region: here, country: GB }
tiers:
  standard: { rpo: 24h, rto: 1h, copies: { min: 1 } }
plans:
  nightly:
    schedule: "daily at 02:00 UTC"
    keep: { at_least: 35 days }
    copies: [ local ]
systems:
  tree:
    source: "@SOURCE@"
    tier: standard
    plan: nightly
    owner: bench@example.com
    location: { region: desk, country: GB }
"#;
