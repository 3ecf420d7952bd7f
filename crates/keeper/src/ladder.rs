//! Climbing the ladder: one restore into a place of its own, compared rung by rung with what the ledger claims.

mod equality;
mod erasure;

pub(crate) use equality::{Against, EQUALITY_RUNG, Second};

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use vouchsafe_capture::{
    CaptureContext, FetchedLog, MANIFEST_NAME, PointReader, RestoreRequest, Restored, Source,
    Spared, Until,
};
use vouchsafe_evidence::{ERASURE_RUNG, count, len};
use vouchsafe_format::Id;
use vouchsafe_host::clock::Clock;
use vouchsafe_host::process::Spawn;
use vouchsafe_model::{
    DigestManifest, Equality, Ladder, Phase, ProtectionId, Rung, RungOutcome, Secret, Span,
};
use vouchsafe_sources::LogKind;
use vouchsafe_store::Store;
use vouchsafe_vault::{Point, ReadBack, Repository};

use crate::erasures::Register;
use crate::error::chain;
use crate::events::Reporter;
use crate::keeper::Tools;
use crate::log_reach::{self, ProtectionLog};
use crate::watch::{Watched, read_manifest};

/// What the ledger says of a copy: the restore is held against this, never against what the vault says of itself.
#[derive(Clone, Debug)]
pub(crate) struct Claim {
    pub snapshot: Id,
    pub tree: String,
    pub manifest: Option<String>,
    pub bytes: u64,
}

/// What a climb is to do with the log.
#[derive(Clone, Debug)]
pub(crate) struct Replay {
    pub protection: ProtectionId,
    pub kind: LogKind,
    pub until: Until,
}

/// Where a climb reads, and where it writes.
pub(crate) struct Climb<'a> {
    pub tools: &'a Tools,
    pub source: &'a dyn Source,
    pub store: Arc<dyn Store>,
    pub password: &'a Secret,
    pub claim: &'a Claim,
    /// To which moment the log is to bring it, and whose log.
    pub replay: Option<&'a Replay>,
    /// A directory of its own inside the sandbox.
    pub place: PathBuf,
    /// The sandbox.
    pub spawn: &'a dyn Spawn,
    pub reporter: &'a dyn Reporter,
    /// Who must not be there, if that is looked for, or why it cannot be.
    pub erasing: Option<&'a Result<Register, String>>,
    /// Whether one of them is left in: a negative control.
    pub spare: bool,
    /// What a restored moment is held against, if anything is asked for, or why nothing can be.
    pub equality: Option<&'a Result<Against, String>>,
    /// Whether one row of that is changed before: a negative control.
    pub altered: bool,
}

/// What a climb found.
#[derive(Debug, Default)]
pub(crate) struct Climbed {
    pub ladder: Ladder,
    pub phases: Vec<Phase>,
    pub restored: Option<Restored>,
    pub manifest: Option<DigestManifest>,
    /// Who was left in.
    pub spared: Option<Spared>,
    /// To what it was found equal.
    pub equality: Option<Equality>,
    /// What was changed in that before.
    pub altered: Option<String>,
}

impl Climbed {
    /// From the start until the data was usable: every phase but the comparison.
    pub(crate) fn achieved_rto(&self) -> Span {
        let usable = self
            .phases
            .iter()
            .filter(|p| !["compare", "prove", "equal"].contains(&p.name.as_str()));
        Span::from_micros(usable.map(|p| p.took.micros()).sum())
    }
}

/// The rungs below the source's own, in order.
const RUNGS: [(&str, &str); 9] = [
    ("key", "Does the vault open with the passphrase?"),
    (
        "identity",
        "Does the snapshot hold the tree that the ledger recorded?",
    ),
    (
        "structure",
        "Is every pack that the point needs there, whole?",
    ),
    (
        "sealed",
        "Are stored bytes sealed under the vault's key, and not plaintext?",
    ),
    (
        "manifest",
        "Is the manifest the one whose digest the ledger recorded?",
    ),
    (
        "log",
        "Is the log whole and unharmed from the point up to the moment?",
    ),
    (
        "log-sealed",
        "Are stored bytes of the log sealed under the vault's key, and not plaintext?",
    ),
    ("bytes", "Did every blob read back match its hash?"),
    ("restore", "Was everything written out?"),
];

/// Those of the log, which are only climbed where one is replayed; those of the restore.
const LOG: usize = 5;
const LOG_SEALED: usize = 6;
const BYTES: usize = 7;
const RESTORE: usize = 8;

impl Climb<'_> {
    /// Climbs until the first red rung; what lies above it is skipped. Errors become red rungs.
    pub(crate) fn climb(&self) -> Climbed {
        let mut climbed = Climbed::default();
        let result = self.all_rungs(&mut climbed);
        if result.is_err() {
            skip_the_rest(&mut climbed.ladder, self.replay.is_some());
        }
        self.equality_or_skipped(&mut climbed);
        self.erasure_or_skipped(&mut climbed);
        climbed
    }

    fn all_rungs(&self, climbed: &mut Climbed) -> Result<(), Stop> {
        let repo = self.timed("open", climbed, |c| self.open(c))?;
        let point = self.timed("open", climbed, |c| self.identity(c, &repo))?;
        self.timed("prove", climbed, |c| self.stored(c, &repo))?;
        let manifest = self.timed("open", climbed, |c| self.manifest(c, &point))?;
        climbed.manifest.clone_from(&manifest);
        let fetched = match self.replay {
            Some(replay) => {
                let fetched = self.timed("log", climbed, |c| self.log(c, &repo, &point, replay))?;
                self.timed("prove", climbed, |c| {
                    self.log_sealed(c, &repo, replay, &fetched)
                })?;
                Some(fetched)
            }
            None => None,
        };
        let restored = self.timed("restore", climbed, |c| self.restore(c, &point, fetched))?;
        climbed.restored = Some(restored.clone());
        self.timed("compare", climbed, |c| {
            self.compare(c, &restored, manifest.as_ref(), &point)
        })?;
        if let Some(against) = self.equality {
            self.timed("equal", climbed, |c| self.equal(c, against, &restored))?;
        }
        match self.erasing {
            Some(register) => self.timed("erase", climbed, |c| {
                self.erase(c, register, &restored, &point)
            }),
            None => Ok(()),
        }
    }

    fn open(&self, climbed: &mut Climbed) -> Result<Repository, Stop> {
        let store = crate::vaults::repo_store(&self.store);
        let opened = store.map_err(|e| chain(&e)).and_then(|store| {
            Repository::open(store, &self.tools.env(), self.password).map_err(|e| chain(&e))
        });
        match opened {
            Ok(repo) => {
                push(
                    climbed,
                    0,
                    "it opens",
                    format!("opened {}", repo.id().short()),
                    true,
                )?;
                Ok(repo)
            }
            Err(error) => Err(red(climbed, 0, "it opens", error)),
        }
    }

    fn identity(&self, climbed: &mut Climbed, repo: &Repository) -> Result<Point, Stop> {
        let expected = format!("tree {}", short(&self.claim.tree));
        match repo.reader(&self.claim.snapshot) {
            Ok(point) => {
                let tree = point.tree().to_hex();
                push(
                    climbed,
                    1,
                    &expected,
                    format!("tree {}", short(&tree)),
                    tree == self.claim.tree,
                )?;
                Ok(point)
            }
            Err(error) => Err(red(climbed, 1, &expected, chain(&error))),
        }
    }

    fn stored(&self, climbed: &mut Climbed, repo: &Repository) -> Result<(), Stop> {
        let expected = "every pack and blob is there";
        match repo.read_back(&self.claim.snapshot, ReadBack::Added(Vec::new())) {
            Ok(back) => {
                let actual = match back.problems.first() {
                    None => "all are there".to_owned(),
                    Some(p) => format!(
                        "{}, first: {}: {}",
                        count(len(back.problems.len()), "problem"),
                        p.place,
                        p.message
                    ),
                };
                push(climbed, 2, expected, actual, back.problems.is_empty())?;
            }
            Err(error) => return Err(red(climbed, 2, expected, chain(&error))),
        }
        let expected = "opens under the key, is not the plaintext, refuses a changed byte";
        match repo.probe(&self.claim.snapshot) {
            Ok(probe) => {
                let actual = if probe.sealed {
                    format!(
                        "{} under key {}, pack {}",
                        probe.cipher,
                        short(&probe.key),
                        probe.pack.short()
                    )
                } else {
                    format!("pack {} is not sealed", probe.pack.short())
                };
                push(climbed, 3, expected, actual, probe.sealed)
            }
            Err(error) => Err(red(climbed, 3, expected, chain(&error))),
        }
    }

    fn manifest(
        &self,
        climbed: &mut Climbed,
        point: &Point,
    ) -> Result<Option<DigestManifest>, Stop> {
        let Some(claimed) = &self.claim.manifest else {
            // Files: the tree itself is the manifest, and `identity` has bound it.
            return Ok(None);
        };
        let expected = format!("digest {}", short(claimed));
        match read_manifest(point, MANIFEST_NAME) {
            Ok(Some(manifest)) => {
                let digest = manifest.digest();
                push(
                    climbed,
                    4,
                    &expected,
                    format!("digest {}", short(&digest)),
                    digest == *claimed,
                )?;
                Ok(Some(manifest))
            }
            Ok(None) => Err(red(
                climbed,
                4,
                &expected,
                "the point has no manifest".to_owned(),
            )),
            Err(error) => Err(red(climbed, 4, &expected, chain(&error))),
        }
    }

    /// Fetches the log up to the moment, and verifies all of it.
    fn log(
        &self,
        climbed: &mut Climbed,
        repo: &Repository,
        point: &Point,
        replay: &Replay,
    ) -> Result<FetchedLog, Stop> {
        let expected = format!("whole and verified from the point up to {}", replay.until);
        let log = ProtectionLog::of(
            &repo.logs(Arc::clone(&self.store)),
            (&replay.protection, replay.kind),
        );
        let fetched = log.map_err(|error| chain(&error)).and_then(|log| {
            let fetched = self.in_sandbox(|ctx| {
                let (log, until) = (log.log(), replay.until);
                self.source.fetch_log(ctx, point, &log, until, &self.place)
            });
            fetched.map_err(|error| chain(&error))
        });
        match fetched {
            Ok(fetched) => {
                let actual = format!(
                    "{} with {}, every record verified, up to {}",
                    vouchsafe_model::human_bytes(fetched.bytes),
                    count(fetched.target.commits, "transaction"),
                    fetched.target.shown
                );
                push(climbed, LOG, &expected, actual, true)?;
                Ok(fetched)
            }
            Err(error) => Err(red(climbed, LOG, &expected, error)),
        }
    }

    /// Looks at the stored bytes of the object that holds the last of what is replayed.
    fn log_sealed(
        &self,
        climbed: &mut Climbed,
        repo: &Repository,
        replay: &Replay,
        fetched: &FetchedLog,
    ) -> Result<(), Stop> {
        let expected = "opens under the key, is not the plaintext, refuses a changed byte";
        let logs = repo.logs(Arc::clone(&self.store));
        let probe = log_reach::last_object(&logs, replay, fetched)
            .and_then(|(stream, part)| stream.probe(part).map_err(|e| chain(&e)));
        match probe {
            Ok(probe) => {
                let actual = if probe.sealed {
                    format!(
                        "{} under key {}, {}",
                        probe.cipher,
                        short(&probe.key),
                        probe.object
                    )
                } else {
                    format!("{} is not sealed", probe.object)
                };
                push(climbed, LOG_SEALED, expected, actual, probe.sealed)
            }
            Err(error) => Err(red(climbed, LOG_SEALED, expected, error)),
        }
    }

    fn request(&self, point: &Point) -> RestoreRequest {
        // `force`, because the sandbox may lie below a system's folder; the place itself is new and ours.
        RestoreRequest {
            to: self.place.clone(),
            include: None,
            force: true,
            compare: Default::default(),
            form: self.in_sandbox(|ctx| self.source.drills_as(ctx, point)),
        }
    }

    fn restore(
        &self,
        climbed: &mut Climbed,
        point: &Point,
        fetched: Option<FetchedLog>,
    ) -> Result<Restored, Stop> {
        self.reporter
            .progress()
            .phase("restore into the sandbox", None, Some(self.claim.bytes));
        let watched = Watched::new(point);
        let request = self.request(point);
        let result = self.in_sandbox(|ctx| match fetched {
            Some(fetched) => {
                let replayed = self.source.replay(ctx, &watched, &request, fetched, true);
                replayed.map_err(|error| chain(&error))
            }
            None => {
                let restored = self.source.restore(ctx, &watched, &request);
                restored.map_err(|error| chain(&error))
            }
        });
        let failures = watched.failures();
        let actual = match failures.first() {
            None => format!(
                "{} read, every blob matched",
                vouchsafe_model::human_bytes(watched.bytes())
            ),
            Some(f) => format!(
                "{}, first: {}: {}",
                count(len(failures.len()), "failure"),
                f.place,
                f.message
            ),
        };
        push(
            climbed,
            BYTES,
            "every blob matches",
            actual,
            failures.is_empty(),
        )?;
        match result {
            Ok(restored) => {
                let actual = match restored.issues.first() {
                    None => format!("{} written", count(restored.items, "item")),
                    Some(i) => format!(
                        "{}, first: {}: {}",
                        count(len(restored.issues.len()), "issue"),
                        i.place,
                        i.message
                    ),
                };
                push(
                    climbed,
                    RESTORE,
                    "everything is written",
                    actual,
                    restored.issues.is_empty(),
                )?;
                Ok(restored)
            }
            Err(error) => Err(red(climbed, RESTORE, "everything is written", error)),
        }
    }

    fn compare(
        &self,
        climbed: &mut Climbed,
        restored: &Restored,
        manifest: Option<&DigestManifest>,
        point: &Point,
    ) -> Result<(), Stop> {
        self.reporter
            .progress()
            .phase("compare", None, Some(self.claim.bytes));
        let rungs = self.in_sandbox(|ctx| self.source.compare(ctx, restored, manifest, point));
        match rungs {
            Ok(rungs) if rungs.is_empty() => {
                let nothing = "the source compared nothing".to_owned();
                Err(named(
                    climbed,
                    "compare",
                    "Does the restored data match?",
                    "at least one comparison",
                    nothing,
                ))
            }
            Ok(rungs) => {
                climbed.ladder.rungs.extend(rungs);
                Ok(())
            }
            Err(error) => Err(named(
                climbed,
                "compare",
                "Does the restored data match?",
                "it can be compared",
                chain(&error),
            )),
        }
    }

    /// Calls `work` with what a source may use inside the sandbox.
    pub(crate) fn in_sandbox<T>(&self, work: impl FnOnce(&CaptureContext<'_>) -> T) -> T {
        let work_dir = work_dir(&self.place);
        work(&CaptureContext {
            spawn: self.spawn,
            clock: self.tools.clock.as_ref(),
            work_dir: &work_dir,
            interrupt: &self.tools.interrupt,
            progress: self.reporter.progress(),
            own_places: &[],
        })
    }

    fn timed<T>(
        &self,
        phase: &str,
        climbed: &mut Climbed,
        work: impl FnOnce(&mut Climbed) -> Result<T, Stop>,
    ) -> Result<T, Stop> {
        let before = self.tools.clock.monotonic();
        let result = work(climbed);
        let took = Span::from_duration(since(self.tools.clock.as_ref(), before));
        match climbed.phases.iter_mut().find(|p| p.name == phase) {
            Some(known) => known.took = Span::from_micros(known.took.micros() + took.micros()),
            None => climbed.phases.push(Phase {
                name: phase.to_owned(),
                took,
            }),
        }
        result
    }
}

/// The scratch directory beside a climb's place.
pub(crate) fn work_dir(place: &Path) -> PathBuf {
    let mut name = place.file_name().map(ToOwned::to_owned).unwrap_or_default();
    name.push(".work");
    place.with_file_name(name)
}

fn since(clock: &dyn Clock, before: Duration) -> Duration {
    clock.monotonic().saturating_sub(before)
}

/// A red rung ends the climb.
struct Stop;

fn push(
    climbed: &mut Climbed,
    rung: usize,
    expected: &str,
    actual: String,
    green: bool,
) -> Result<(), Stop> {
    let (name, question) = RUNGS[rung];
    climbed.ladder.rungs.push(Rung {
        name: name.to_owned(),
        question: question.to_owned(),
        expected: expected.to_owned(),
        actual,
        outcome: if green {
            RungOutcome::Green
        } else {
            RungOutcome::Red
        },
    });
    if green { Ok(()) } else { Err(Stop) }
}

fn red(climbed: &mut Climbed, rung: usize, expected: &str, actual: String) -> Stop {
    let (name, question) = RUNGS[rung];
    named(climbed, name, question, expected, actual)
}

fn named(
    climbed: &mut Climbed,
    name: &str,
    question: &str,
    expected: &str,
    actual: String,
) -> Stop {
    climbed.ladder.rungs.push(Rung {
        name: name.to_owned(),
        question: question.to_owned(),
        expected: expected.to_owned(),
        actual,
        outcome: RungOutcome::Red,
    });
    Stop
}

fn skip_the_rest(ladder: &mut Ladder, replays: bool) {
    let Some(last) = ladder.rungs.last().map(|r| r.name.clone()) else {
        return;
    };
    if last == ERASURE_RUNG || last == EQUALITY_RUNG {
        return;
    }
    let from = RUNGS
        .iter()
        .position(|(name, _)| *name == last)
        .map_or(RUNGS.len(), |n| n + 1);
    let compare = ("compare", "Does the restored data match?");
    let rest = RUNGS[from..]
        .iter()
        .filter(|(name, _)| replays || !name.starts_with("log"))
        .chain((last != "compare").then_some(&compare));
    for (name, question) in rest {
        ladder.rungs.push(Rung {
            name: (*name).to_owned(),
            question: (*question).to_owned(),
            expected: String::new(),
            actual: "not climbed".to_owned(),
            outcome: RungOutcome::Skipped,
        });
    }
}

fn short(hex: &str) -> &str {
    hex.get(..12).unwrap_or(hex)
}
