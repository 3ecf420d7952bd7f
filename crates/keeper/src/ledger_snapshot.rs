//! The ledger as a tagged snapshot, for vaults whose store holds a repository and nothing beside it.

use std::collections::BTreeMap;
use std::sync::Arc;

use vouchsafe_capture::{CaptureError, NoProgress, Sink};
use vouchsafe_format::{Id, Node, NodeKind};
use vouchsafe_host::machine;
use vouchsafe_ledger::{LedgerError, PublishedObject};
use vouchsafe_model::fact::{Fact, Recorded};
use vouchsafe_vault::{BackupError, BackupOptions, Forget, ReadBack, RepoError};

use crate::copies::shared_lock;
use crate::error::{KeeperError, chain};
use crate::events::{Event, Reporter};
use crate::keeper::Keeper;
use crate::vault_record::{
    LEDGER, POLICY, TAG, VaultRecord, is_ledger_snapshot, ledgers, seed_name, tag_of,
};
use crate::vaults::VaultHandle;
use crate::watch::push_bytes;

/// Entries of one file. A file that is full never changes, so that its chunks are stored once.
const FILE_ENTRIES: u64 = 512;

/// How many of the newest are kept: one to recover from, and one in case that one is damaged.
const KEPT: usize = 2;

/// The ledger snapshots in a vault.
#[derive(Debug, Default)]
pub(crate) struct LedgerSnapshots {
    /// Those that stay, other ledgers' among them.
    pub stay: Vec<Id>,
    /// Our own that newer ones have replaced.
    pub superseded: Vec<Forget>,
}

impl Keeper {
    /// Stores the ledger up to `to`, its head and the policy in force as a snapshot, and reads that back.
    pub(crate) fn publish_within(
        &self,
        vault: &VaultHandle,
        to: u64,
        reporter: &dyn Reporter,
    ) -> Result<Id, KeeperError> {
        self.no_other_writer_within(vault, reporter)?;
        let lock = shared_lock(vault)?;
        let id = self.ledger.public_key().ledger_id();
        let sealed_seed = vault.repo.seal(&self.state.read_seed()?);
        let paths = vec![format!("/{LEDGER}"), format!("/{POLICY}")];
        let now = self.tools.clock.now();
        let options = BackupOptions {
            tags: vec![TAG.to_owned(), tag_of(id)],
            ..BackupOptions::new(paths, machine::hostname(), now)
        };
        let stored = vault.repo.backup(&options, &NoProgress, |sink| {
            self.fill_snapshot(sink, to, sealed_seed)
        });
        let (_, backup) = stored.map_err(|error| match error {
            BackupError::Interrupted | BackupError::Capture(CaptureError::Interrupted) => {
                KeeperError::Interrupted
            }
            error => KeeperError::Damaged {
                place: format!("vault `{}`", vault.name()),
                message: format!("the ledger snapshot: {}", chain(&error)),
            },
        })?;
        let scope = ReadBack::Added(backup.added_packs);
        let back = vault.repo.read_back(&backup.snapshot, scope);
        let back = back.map_err(|source| in_vault(vault, source))?;
        drop(lock);
        match back.problems.first() {
            None => Ok(backup.snapshot),
            Some(problem) => Err(KeeperError::Damaged {
                place: format!("vault `{}`, {}", vault.name(), problem.place),
                message: format!(
                    "the ledger snapshot does not read back ({}); it is not claimed",
                    problem.message
                ),
            }),
        }
    }

    fn fill_snapshot(
        &self,
        sink: &mut dyn Sink,
        to: u64,
        sealed_seed: Vec<u8>,
    ) -> Result<(), CaptureError> {
        let put = |sink: &mut dyn Sink, object: PublishedObject| {
            let name = object.name.rsplit('/').next().unwrap_or_default();
            push_bytes(sink, name, object.bytes)
        };
        let ledger = |error: LedgerError| CaptureError::vault(error);
        sink.enter(folder(LEDGER))?;
        sink.enter(folder(self.ledger.public_key().ledger_id()))?;
        put(sink, self.ledger.published_key())?;
        push_bytes(sink, &seed_name(self.ledger.keys()), sealed_seed)?;
        sink.enter(folder("heads"))?;
        put(sink, self.ledger.published_head(to).map_err(ledger)?)?;
        sink.leave()?;
        sink.enter(folder("segments"))?;
        let mut from = 0;
        while from < to {
            let end = (from + FILE_ENTRIES).min(to);
            // The repository seals what lies in it.
            let segments = self.ledger.segments(from, end, &<[u8]>::to_vec);
            for segment in segments.map_err(ledger)? {
                put(sink, segment)?;
            }
            from = end;
        }
        sink.leave()?;
        sink.leave()?;
        sink.leave()?;
        sink.enter(folder(POLICY))?;
        let older = self.bound.older.iter();
        let mut texts: Vec<(&String, &Vec<u8>)> =
            older.map(|o| (&o.policy.digest, &o.text)).collect();
        texts.push((&self.policy.digest, &self.policy_text));
        // A tree names what is in it in order.
        texts.sort();
        for (digest, text) in texts {
            push_bytes(sink, &format!("{digest}.yaml"), text.clone())?;
        }
        sink.leave()
    }

    /// As for ledgers beside the repository: the newest head in the vault must be one of ours. One that cannot be read
    /// is told and replaced by what is published next.
    fn no_other_writer_within(
        &self,
        vault: &VaultHandle,
        reporter: &dyn Reporter,
    ) -> Result<(), KeeperError> {
        let id = self.ledger.public_key().ledger_id();
        let held = ledgers(&vault.spec, &vault.root, &vault.repo)?;
        let Some(held) = held.into_iter().find(|held| held.id == id) else {
            return Ok(());
        };
        let mut passed_over = Vec::new();
        let newest = held.first(&vault.root, &vault.repo, &mut passed_over, |record| {
            let note = record.newest_note(id)?;
            let note = note.ok_or_else(|| KeeperError::Damaged {
                place: record.describe(),
                message: format!("it holds no head of the ledger {id}"),
            })?;
            Ok((note, record.describe()))
        });
        for issue in passed_over {
            reporter.event(&Event::Issue {
                protection: None,
                issue,
            });
        }
        let (note, place) = match newest {
            Ok(found) => found,
            Err(KeeperError::Damaged { .. }) => return Ok(()),
            Err(error) => return Err(error),
        };
        match self.is_continued_by_us(&note, &place) {
            Err(KeeperError::Ledger(LedgerError::Head(error))) => Err(KeeperError::Damaged {
                message: format!(
                    "{}: this snapshot is not of this ledger, whatever its tags say; see who made it, and remove it with `restic forget` before anything more is published here",
                    chain(&error)
                ),
                place,
            }),
            Err(KeeperError::Damaged { place, message }) => Err(KeeperError::Damaged {
                place,
                message: format!(
                    "{message}; if it was given up as damaged, remove the snapshot with `restic forget`"
                ),
            }),
            other => other,
        }
    }

    /// The ledger snapshots in a vault. Only what is proven to be ours and older than another one may go: by this
    /// ledger's own account, or because its head is signed by us and we have gone on from there.
    pub(crate) fn ledger_snapshots(
        &self,
        vault: &VaultHandle,
        facts: &[Recorded],
    ) -> Result<LedgerSnapshots, KeeperError> {
        let (there, _) = vault
            .repo
            .readable_snapshots()
            .map_err(|source| in_vault(vault, source))?;
        let recorded: BTreeMap<Id, u64> = facts
            .iter()
            .filter_map(|r| recorded_in(&r.entry.fact, vault))
            .collect();
        let our_tag = tag_of(self.ledger.public_key().ledger_id());
        let mut out = LedgerSnapshots::default();
        let mut ours: Vec<(u64, Id, Id)> = Vec::new();
        let mut contents = None;
        for (id, snapshot) in there.iter().filter(|(_, s)| is_ledger_snapshot(s)) {
            let size = match recorded.get(id) {
                Some(size) => Some(*size),
                None if !snapshot.tags.contains(&our_tag) => None,
                None => {
                    if contents.is_none() {
                        let made = vault.repo.contents();
                        contents = Some(Arc::new(made.map_err(|e| in_vault(vault, e))?));
                    }
                    contents.as_ref().and_then(|contents| {
                        self.proven_size(VaultRecord::within(&vault.repo, contents, id))
                    })
                }
            };
            match size {
                Some(size) => ours.push((size, *id, snapshot.tree)),
                None => out.stay.push(*id),
            }
        }
        ours.sort_unstable();
        // What was read back outlives what merely lies there.
        let read_back = ours
            .iter()
            .rev()
            .find(|(_, id, _)| recorded.contains_key(id));
        let read_back = read_back.map(|(_, id, _)| *id);
        for (at, (size, id, tree)) in ours.iter().rev().enumerate() {
            if at < KEPT || Some(*id) == read_back {
                out.stay.push(*id);
                continue;
            }
            out.superseded.push(Forget {
                snapshot: *id,
                tree: Some(*tree),
                reason: format!(
                    "the ledger up to entry {size}; newer ledger snapshots hold it too"
                ),
                erase: false,
            });
        }
        Ok(out)
    }

    fn proven_size(&self, found: Result<VaultRecord, KeeperError>) -> Option<u64> {
        let mut record = found.ok()?;
        let id = self.ledger.public_key().ledger_id();
        if record.ledgers().ok()? != [id.to_owned()] {
            return None;
        }
        let size = record.newest_head(id).ok()??;
        let note = record.newest_note(id).ok()??;
        self.is_continued_by_us(&note, "").ok().map(|()| size)
    }
}

fn recorded_in(fact: &Fact, vault: &VaultHandle) -> Option<(Id, u64)> {
    match fact {
        Fact::Published {
            vault: name,
            tree_size,
            snapshot: Some(snapshot),
            ..
        } if name == vault.name() => Some((snapshot.parse().ok()?, *tree_size)),
        _ => None,
    }
}

fn in_vault(vault: &VaultHandle, source: RepoError) -> KeeperError {
    KeeperError::Repository {
        vault: vault.name().to_string(),
        source: Box::new(source),
    }
}

fn folder(name: &str) -> Node {
    Node {
        name: name.as_bytes().to_vec(),
        kind: NodeKind::Dir,
        mode: vouchsafe_format::go_mode_from_unix(0o040_700),
        ..Node::default()
    }
}
