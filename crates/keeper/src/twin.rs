//! Negative controls: damaged twins of a point, which the ladder must refuse at the named rung.
//!
//! A twin is an overlay in memory over the vault's store: what is damaged or added there never reaches the vault.

use std::path::PathBuf;
use std::sync::Arc;

use vouchsafe_capture::{
    CaptureError, MANIFEST_NAME, PointReader, Restored, Source, Spared, Visit,
};
use vouchsafe_evidence::ERASURE_RUNG;
use vouchsafe_format::BlobKind;
use vouchsafe_host::machine;
use vouchsafe_model::policy::Way;
use vouchsafe_model::{Damage, DigestManifest, NegativeControl, Protection, Secret, Span};
use vouchsafe_sources::Settings;
use vouchsafe_store::{Key, Overlay, Store};
use vouchsafe_vault::{BackupOptions, BackupReport, Repository, StoredBlob};

use crate::error::KeeperError;
use crate::error::chain;
use crate::ladder::{Claim, Climb, Climbed, EQUALITY_RUNG, Replay};
use crate::watch::{push_bytes, push_manifest};

mod log;

/// Everything the controls of one drill share.
pub(crate) struct Controls<'a> {
    /// The climb of the undamaged point; its store is the vault's.
    pub climb: &'a Climb<'a>,
    /// What it found.
    pub climbed: &'a Climbed,
    /// What is protected.
    pub protection: &'a Protection,
    /// An empty directory inside the sandbox.
    pub room: PathBuf,
    /// How far the log is replayed over twins, if it is.
    pub replay: Option<Replay>,
}

impl Controls<'_> {
    /// Runs every control that fits the source. The undamaged pair is climbed once, through an overlay like the twins.
    pub(crate) fn run(&self) -> Result<Vec<NegativeControl>, KeeperError> {
        let pair = Arc::new(Overlay::new(Arc::clone(&self.climb.store)));
        let pair_green = self.climb_and_remove(&Climb {
            equality: self.climb.equality,
            ..self.climb_of("pair", pair, self.climb.password, self.climb.claim)
        });
        let pair_green = pair_green.ladder.is_green();
        let mut out = vec![
            self.wrong_key(pair_green),
            self.missing_pack(pair_green)?,
            self.flipped_byte(pair_green)?,
        ];
        out.push(self.swapped_snapshot(pair_green)?);
        let fetched = self
            .climbed
            .restored
            .as_ref()
            .and_then(|r| r.replayed.as_ref());
        if let Some(fetched) = fetched {
            out.extend(log::controls(self, pair_green, fetched)?);
        }
        if self.climb.equality.is_some() {
            out.push(self.unequal_copy(pair_green));
        }
        if self.climb.erasing.is_some() {
            out.push(self.left_in(pair_green));
        }
        // What is captured anew must lie where the point lay in the log, and hold whom it held: nothing may have been
        // replayed over it.
        let is_as_it_was = fetched.is_none() && self.climb.erasing.is_none();
        let alone = (!is_as_it_was).then(|| self.climb_alone());
        let climbed = alone.as_ref().unwrap_or(self.climbed);
        if let Some(restored) = &climbed.restored {
            if let Some(manifest) = &self.climbed.manifest {
                out.push(self.stale_manifest(pair_green, restored, manifest)?);
                if fetched.is_some() {
                    out.push(log::other_server(self, pair_green, restored, manifest)?);
                }
            }
            // Last, because it damages the restored data itself.
            out.push(self.wrong_content(pair_green, restored)?);
        }
        Ok(out)
    }

    /// The undamaged point without the log and the register of erasures.
    fn climb_alone(&self) -> Climbed {
        let climb = self.climb_of(
            "alone",
            self.overlay(),
            self.climb.password,
            self.climb.claim,
        );
        let climb = Climb {
            replay: None,
            erasing: None,
            ..climb
        };
        let made =
            vouchsafe_host::files::create_dir_all(crate::ladder::work_dir(&climb.place), 0o700);
        match made {
            Ok(()) => climb.climb(),
            Err(_) => Climbed::default(),
        }
    }

    fn wrong_key(&self, pair_green: bool) -> NegativeControl {
        let twin = self.overlay();
        let wrong = Secret::new(
            format!("not the passphrase {}", self.climb.tools.random.u64()).into_bytes(),
        );
        let climbed = self.climb_twin("wrong-key", twin, &wrong, self.climb.claim);
        control(
            "wrong-key",
            "the vault is opened with another passphrase".to_owned(),
            "key",
            &climbed,
            pair_green,
        )
    }

    fn missing_pack(&self, pair_green: bool) -> Result<NegativeControl, KeeperError> {
        let twin = self.overlay();
        let blob = self.target(&twin)?;
        let key = pack_key(&blob)?;
        twin.damage(&key, vouchsafe_store::Damage::Missing)?;
        let climbed = self.climb_twin("missing-pack", twin, self.climb.password, self.climb.claim);
        let detail = format!("pack {} is gone", blob.pack.short());
        Ok(control(
            "missing-pack",
            detail,
            "structure",
            &climbed,
            pair_green,
        ))
    }

    fn flipped_byte(&self, pair_green: bool) -> Result<NegativeControl, KeeperError> {
        let twin = self.overlay();
        let blob = self.target(&twin)?;
        let key = pack_key(&blob)?;
        let offset = u64::from(blob.offset) + u64::from(blob.length) / 2;
        twin.damage(&key, vouchsafe_store::Damage::FlipByte { offset })?;
        let climbed = self.climb_twin("flipped-byte", twin, self.climb.password, self.climb.claim);
        let detail = format!("byte {offset} of pack {} is flipped", blob.pack.short());
        let rung = if blob.kind == BlobKind::Tree {
            "structure"
        } else {
            "bytes"
        };
        Ok(control("flipped-byte", detail, rung, &climbed, pair_green))
    }

    fn swapped_snapshot(&self, pair_green: bool) -> Result<NegativeControl, KeeperError> {
        let twin = self.overlay();
        let other = self.capture_into(&twin, |sink| {
            push_bytes(sink, "swapped", b"another snapshot".to_vec())
        })?;
        let claim = Claim {
            snapshot: other.snapshot,
            ..self.climb.claim.clone()
        };
        let climbed = self.climb_twin("swapped-snapshot", twin, self.climb.password, &claim);
        let detail = format!(
            "snapshot {} of other data stands in its place, validly sealed",
            other.snapshot.short()
        );
        Ok(control(
            "swapped-snapshot",
            detail,
            "identity",
            &climbed,
            pair_green,
        ))
    }

    fn stale_manifest(
        &self,
        pair_green: bool,
        restored: &Restored,
        manifest: &DigestManifest,
    ) -> Result<NegativeControl, KeeperError> {
        let twin = self.overlay();
        let mut stale = manifest.clone();
        stale.taken_at = stale.taken_at.minus(Span::from_days(1));
        let made = self.capture_restored(&twin, restored, Some(&stale))?;
        let claim = Claim {
            snapshot: made.snapshot,
            tree: made.tree.to_hex(),
            ..self.climb.claim.clone()
        };
        let climbed = self.climb_twin("stale-manifest", twin, self.climb.password, &claim);
        let detail = "the same data with a manifest of the day before, validly sealed".to_owned();
        Ok(control(
            "stale-manifest",
            detail,
            "manifest",
            &climbed,
            pair_green,
        ))
    }

    fn wrong_content(
        &self,
        pair_green: bool,
        restored: &Restored,
    ) -> Result<NegativeControl, KeeperError> {
        let spoiled = self
            .climb
            .in_sandbox(|ctx| self.climb.source.spoil(ctx, restored))?;
        let twin = self.overlay();
        let manifest = self.climbed.manifest.as_ref();
        let made = self.capture_restored(&twin, restored, manifest)?;
        // Where the tree is the manifest, the ledger's tree stays and must catch it; else only the digests can.
        let spoilt = &spoiled.damage;
        let (tree, name, rung) = match manifest {
            Some(_) => (
                made.tree.to_hex(),
                spoilt.name.as_str(),
                spoilt.must_redden.as_str(),
            ),
            None => (self.climb.claim.tree.clone(), "wrong-content", "identity"),
        };
        let claim = Claim {
            snapshot: made.snapshot,
            tree,
            ..self.climb.claim.clone()
        };
        let climb = Climb {
            replay: None,
            ..self.climb_of("wrong-content", twin, self.climb.password, &claim)
        };
        let climbed = self.climb_and_remove(&climb);
        let detail = format!("{}; validly sealed", spoilt.detail);
        Ok(control(name, detail, rung, &climbed, pair_green))
    }

    /// One row of either is changed, and must be seen.
    fn unequal_copy(&self, pair_green: bool) -> NegativeControl {
        let (password, claim) = (self.climb.password, self.climb.claim);
        let climb = Climb {
            equality: self.climb.equality,
            altered: true,
            ..self.climb_of("unequal-copy", self.overlay(), password, claim)
        };
        let climbed = self.climb_and_remove(&climb);
        let detail = match &climbed.altered {
            Some(what) => format!("{what}, in one of the two"),
            None => "nothing could be changed in either".to_owned(),
        };
        control("unequal-copy", detail, EQUALITY_RUNG, &climbed, pair_green)
    }

    /// One who should be gone is left in, and must be found.
    fn left_in(&self, pair_green: bool) -> NegativeControl {
        let (password, claim) = (self.climb.password, self.climb.claim);
        let climb = Climb {
            spare: true,
            ..self.climb_of("left-in", self.overlay(), password, claim)
        };
        let climbed = self.climb_and_remove(&climb);
        let detail = match climbed.spared {
            Some(Spared::OfTheRegister) => "one subject of the register is not erased",
            Some(Spared::Somebody { .. }) => {
                "somebody who is there is looked for as if they were erased"
            }
            None => {
                "nobody of the register is there to be left in, and nobody else was named; say by `someone` under `erasure` who is there"
            }
        };
        control(
            "left-in",
            detail.to_owned(),
            ERASURE_RUNG,
            &climbed,
            pair_green,
        )
    }

    fn overlay(&self) -> Arc<Overlay> {
        Arc::new(Overlay::new(Arc::clone(&self.climb.store)))
    }

    fn climb_twin(
        &self,
        name: &str,
        twin: Arc<Overlay>,
        password: &Secret,
        claim: &Claim,
    ) -> Climbed {
        let climb = self.climb_of(name, twin, password, claim);
        self.climb_and_remove(&climb)
    }

    /// Where the twin is to be climbed. A log is replayed to the very position that was reached undamaged: the end of a
    /// shorter log would be another one.
    fn climb_of<'c>(
        &'c self,
        name: &str,
        twin: Arc<Overlay>,
        password: &'c Secret,
        claim: &'c Claim,
    ) -> Climb<'c> {
        Climb {
            tools: self.climb.tools,
            source: self.climb.source,
            store: twin,
            password,
            claim,
            replay: self.replay.as_ref(),
            place: self.room.join(name),
            spawn: self.climb.spawn,
            reporter: self.climb.reporter,
            erasing: self.climb.erasing,
            spare: false,
            equality: None,
            altered: false,
        }
    }

    fn climb_and_remove(&self, climb: &Climb<'_>) -> Climbed {
        let made =
            vouchsafe_host::files::create_dir_all(crate::ladder::work_dir(&climb.place), 0o700);
        let climbed = climb.climb();
        // The next twin needs the room; a failure shows when the sandbox is destroyed.
        let _ = made.and_then(|()| vouchsafe_host::files::remove_tree(&climb.place));
        climbed
    }

    fn open_twin(&self, twin: &Arc<Overlay>) -> Result<Repository, KeeperError> {
        let root: Arc<dyn Store> = Arc::clone(twin) as Arc<dyn Store>;
        let store = crate::vaults::repo_store(&root)?;
        Repository::open(store, &self.climb.tools.env(), self.climb.password).map_err(|source| {
            KeeperError::Open {
                vault: "twin".to_owned(),
                source,
            }
        })
    }

    /// A blob of the point that no second copy could stand in for; none of the manifest's if there are others, for that
    /// is read before everything else is.
    fn target(&self, twin: &Arc<Overlay>) -> Result<StoredBlob, KeeperError> {
        let repo = self.open_twin(twin)?;
        let snapshot = &self.climb.claim.snapshot;
        let failed = |source| KeeperError::Repository {
            vault: "twin".to_owned(),
            source: Box::new(source),
        };
        let mut manifest = Vec::new();
        repo.reader(snapshot)
            .map_err(failed)?
            .walk(&mut |_, node| {
                if node.name == MANIFEST_NAME.as_bytes() {
                    manifest.extend(node.content.iter().flatten().copied());
                }
                Ok(Visit::Over)
            })?;
        let blob = repo.sole_blob(snapshot, &manifest).map_err(failed)?;
        blob.ok_or_else(|| KeeperError::Damaged {
            place: "negative control".to_owned(),
            message: "every blob of the point is stored twice, so no single damage can hurt it"
                .to_owned(),
        })
    }

    fn capture_into(
        &self,
        twin: &Arc<Overlay>,
        fill: impl FnOnce(&mut dyn vouchsafe_capture::Sink) -> Result<(), CaptureError>,
    ) -> Result<BackupReport, KeeperError> {
        let repo = self.open_twin(twin)?;
        let options = BackupOptions {
            parent: None,
            paths: vec!["/twin".to_owned()],
            tags: vec!["negative-control".to_owned()],
            excludes: Vec::new(),
            time: self.climb.tools.clock.now(),
            hostname: machine::hostname(),
        };
        let made = repo.backup(&options, self.climb.reporter.progress(), |sink| fill(sink));
        match made {
            Ok(((), report)) => Ok(report),
            Err(source) => Err(KeeperError::Backup {
                protection: self.protection.id.clone(),
                source: Box::new(source),
            }),
        }
    }

    fn capture_restored(
        &self,
        twin: &Arc<Overlay>,
        restored: &Restored,
        manifest: Option<&DigestManifest>,
    ) -> Result<BackupReport, KeeperError> {
        let source = self.source_of(restored)?;
        self.capture_into(twin, |sink| {
            self.climb.in_sandbox(|ctx| source.capture(ctx, sink))?;
            match manifest {
                Some(manifest) => push_manifest(sink, MANIFEST_NAME, manifest),
                None => Ok(()),
            }
        })
    }

    /// The same kind of source, over the restored copy.
    fn source_of(&self, restored: &Restored) -> Result<Box<dyn Source>, KeeperError> {
        let url = match &self.protection.way {
            Way::Capture(url) => url,
            Way::Manual { .. } => {
                let copy = vouchsafe_sources::HandedSource::open(&restored.place)?;
                return Ok(Box::new(copy));
            }
            _ => return Err(crate::run::not_connected(self.protection)),
        };
        Ok(vouchsafe_sources::open_copy(
            url,
            &Settings::below(&self.room),
            &restored.place,
        )?)
    }
}

fn pack_key(blob: &StoredBlob) -> Result<Key, KeeperError> {
    let hex = blob.pack.to_hex();
    let text = format!("repo/data/{}/{hex}", &hex[..2]);
    Key::new(text).map_err(|e| KeeperError::Damaged {
        place: "negative control".to_owned(),
        message: chain(&e),
    })
}

fn control(
    name: &str,
    detail: String,
    rung: &str,
    climbed: &Climbed,
    pair_green: bool,
) -> NegativeControl {
    let first = climbed.ladder.first_red();
    NegativeControl {
        damage: Damage {
            name: name.to_owned(),
            detail,
            must_redden: rung.to_owned(),
        },
        first_red: first.map(|r| r.name.clone()),
        actual: first.map_or_else(|| "nothing went red".to_owned(), |r| r.actual.clone()),
        pair_green,
    }
}
