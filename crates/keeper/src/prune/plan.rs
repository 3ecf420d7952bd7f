//! The worklist of a prune: what goes from one vault, and what that means for its snapshots and packs.

use vouchsafe_model::fact::{ExpiredCopy, Recorded};
use vouchsafe_model::{HiddenObject, ObligationId, ObligationKind, Span, VaultName};
use vouchsafe_vault::{Forget, KnownPoints, PruneMode, PruneOptions, PruneWorklist};

use super::decide::HeldPoint;
use super::{PruneOrder, prune_error, writes_once};
use crate::error::KeeperError;
use crate::events::Reporter;
use crate::hidden::hidden;
use crate::keeper::Keeper;
use crate::vault_record::is_ledger_snapshot;
use crate::vaults::VaultHandle;

/// What would be removed from one vault.
#[derive(Clone, Debug)]
pub struct PrunePlan {
    /// Which.
    pub vault: VaultName,
    /// What is owed by the policy and answered by pruning it now.
    pub answers: Vec<ObligationId>,
    /// `locked` or `write-once`.
    pub mode: &'static str,
    /// Copies that are to be let go, each with its reason.
    pub expires: Vec<ExpiredCopy>,
    /// Copies that were let go before and may still be there.
    pub unfinished: Vec<ExpiredCopy>,
    /// Points that would go but for a legal hold, each with what keeps it.
    pub held: Vec<HeldPoint>,
    /// Ledger snapshots that newer ones have replaced.
    pub superseded: Vec<Forget>,
    /// What that means for snapshots, packs and index files.
    pub worklist: PruneWorklist,
    /// What earlier prunes have hidden, and whose locks have ended by now.
    pub unlocked: Vec<HiddenObject>,
    /// What earlier prunes have hidden, and locks still keep.
    pub locked: Vec<HiddenObject>,
}

impl PrunePlan {
    /// Whether there is nothing to do.
    pub fn is_empty(&self) -> bool {
        self.expires.is_empty()
            && self.unfinished.is_empty()
            && self.superseded.is_empty()
            && self.worklist.is_empty()
            && self.unlocked.is_empty()
    }
}

impl Keeper {
    /// What would be removed, by looking alone: nothing is locked, recorded or removed.
    ///
    /// # Errors
    /// [`KeeperError`] for the first vault that cannot be planned.
    pub fn plan_prune(
        &self,
        order: &PruneOrder,
        reporter: &dyn Reporter,
    ) -> Result<Vec<PrunePlan>, KeeperError> {
        self.whole_record()?;
        let facts = self.facts()?;
        let mut out = Vec::new();
        for name in self.vaults_to_prune(order, &facts)? {
            self.stop_if_asked()?;
            let vault = self.vault(&name)?;
            out.push(self.plan_vault(&vault, &facts, order, reporter)?);
        }
        Ok(out)
    }

    pub(super) fn plan_vault(
        &self,
        vault: &VaultHandle,
        facts: &[Recorded],
        order: &PruneOrder,
        reporter: &dyn Reporter,
    ) -> Result<PrunePlan, KeeperError> {
        let decided = self.decide(vault.name(), facts, order.agreed.as_ref());
        let once = writes_once(vault, order);
        let options = PruneOptions {
            mode: match once {
                true => PruneMode::WriteOnce {
                    pending: decided.pending,
                    grace: GRACE,
                },
                false => PruneMode::Locked,
            },
            ..PruneOptions::default()
        };
        let forget = decided.expires.iter().chain(&decided.unfinished);
        let mut forget: Vec<Forget> = forget.filter_map(to_forget).collect();
        if decided.protect.is_empty() && forget.is_empty() {
            self.refuse_unless_empty(vault)?;
        }
        let now = self.tools.clock.now();
        // Without an end it is held by somebody, who may have let go.
        let over = |object: &HiddenObject| object.until.is_none_or(|until| until <= now);
        let (unlocked, locked) = hidden(facts, vault.name()).into_iter().partition(over);
        let mut ledgers = self.ledger_snapshots(vault, facts)?;
        if let Some(agreed) = &order.agreed {
            let goes = |f: &Forget| agreed.contains(&f.snapshot.to_hex());
            let (go, stay): (Vec<Forget>, _) = ledgers.superseded.into_iter().partition(goes);
            ledgers.superseded = go;
            ledgers.stay.extend(stay.iter().map(|f| f.snapshot));
        }
        forget.extend(ledgers.superseded.iter().cloned());
        let protect = decided.protect.into_iter().chain(ledgers.stay);
        let known = KnownPoints::new(protect, forget);
        let worklist = vault
            .repo
            .plan_prune(&known, &options, reporter.progress())
            .map_err(|source| prune_error(vault, source))?;
        Ok(PrunePlan {
            vault: vault.name().clone(),
            answers: self.answers(facts, ObligationKind::Prune, None, Some(vault.name())),
            mode: if once { "write-once" } else { "locked" },
            expires: decided.expires,
            unfinished: decided.unfinished,
            held: decided.held,
            superseded: ledgers.superseded,
            worklist,
            unlocked,
            locked,
        })
    }

    /// A record that knows nothing of a vault with snapshots in it is not its record.
    fn refuse_unless_empty(&self, vault: &VaultHandle) -> Result<(), KeeperError> {
        let (there, _) =
            vault
                .repo
                .readable_snapshots()
                .map_err(|source| KeeperError::Repository {
                    vault: vault.name().to_string(),
                    source: Box::new(source),
                })?;
        let points = there.iter().filter(|(_, s)| !is_ledger_snapshot(s)).count();
        if points == 0 {
            return Ok(());
        }
        Err(KeeperError::NothingKnown {
            vault: vault.name().clone(),
            snapshots: points,
        })
    }
}

/// How long a pack waits in write-once mode; longer than any backup should take.
const GRACE: Span = Span::from_hours(48);

fn to_forget(copy: &ExpiredCopy) -> Option<Forget> {
    Some(Forget {
        snapshot: copy.snapshot.parse().ok()?,
        tree: copy.tree.parse().ok(),
        reason: copy.reason.clone(),
        erase: copy.erase,
    })
}
