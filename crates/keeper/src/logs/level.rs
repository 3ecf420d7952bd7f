//! Opening the streams of all vaults so that they stand at the same place of the same chain.

use vouchsafe_vault::logs::copy_log;

use super::destination::Destination;
use super::{TIMELINES, kind_of, stream_name};
use crate::error::{KeeperError, chain};
use crate::keeper::Keeper;
use crate::logs::destination::Streams;
use vouchsafe_model::Protection;

impl Keeper {
    /// Opens what can be opened. A vault that cannot be has a problem, and is tried again.
    pub(super) fn open_logs(&self, protection: &Protection, all: &mut [Destination]) {
        for one in all.iter_mut().filter(|one| one.streams.is_none()) {
            match self.open_streams(protection, one) {
                Ok(streams) => one.streams = Some(streams),
                Err(error) => one.problem = Some(chain(&error)),
            }
        }
        // Those at work are not disturbed until somebody can be brought to where they are.
        let mut is_back = false;
        for one in all.iter_mut().filter(|one| one.writers.is_none()) {
            match one.take_over() {
                Ok(()) => is_back |= one.writers.is_some(),
                Err(error) => one.problem = Some(chain(&error)),
            }
        }
        if is_back {
            level(all);
        }
    }

    fn open_streams(
        &self,
        protection: &Protection,
        one: &Destination,
    ) -> Result<Streams, KeeperError> {
        let handle = self.vault(&one.vault)?;
        let logs = handle.repo.logs(std::sync::Arc::clone(&handle.root));
        Ok(Streams {
            log: logs.stream(stream_name(&protection.id, kind_of(protection).stream())?),
            timelines: logs.stream(stream_name(&protection.id, TIMELINES)?),
        })
    }
}

/// Brings every vault that lags to where the one stands that goes farthest, and opens all writers anew: then they have
/// the same number and give every fragment the same digest. A vault whose chain has parted from the others' goes on with
/// its own.
fn level(all: &mut [Destination]) {
    for one in all.iter_mut() {
        one.writers = None;
        if let Err(error) = one.take_over() {
            one.problem = Some(chain(&error));
        }
    }
    let mut tips: Vec<(usize, u64, String)> = Vec::new();
    for (at, one) in all.iter_mut().enumerate() {
        let Some(writers) = &mut one.writers else {
            continue;
        };
        match (writers.log.tip(), writers.timelines.tip()) {
            (Ok(log), Ok(_)) => tips.push((at, log.sequence, log.digest.to_hex())),
            (Err(error), _) | (_, Err(error)) => {
                one.writers = None;
                one.problem = Some(chain(&error));
            }
        }
    }
    let Some((leader, sequence, digest)) = tips.iter().max_by_key(|tip| tip.1).cloned() else {
        return;
    };
    let leading = all.get(leader).and_then(|one| one.streams.clone());
    let mut copied = false;
    for (at, own, own_digest) in tips {
        if (own, &own_digest) == (sequence, &digest) {
            continue;
        }
        let (Some(one), Some(leading)) = (all.get_mut(at), &leading) else {
            continue;
        };
        let Some(streams) = &one.streams else {
            continue;
        };
        let done = copy_log(&leading.timelines, &streams.timelines, None)
            .and_then(|_| copy_log(&leading.log, &streams.log, None));
        match done {
            Ok(_) => copied = true,
            Err(error) => {
                one.is_apart = true;
                one.problem = Some(chain(&error));
            }
        }
    }
    for one in all.iter_mut() {
        if copied && one.writers.is_some() {
            one.writers = None;
            if let Err(error) = one.take_over() {
                one.problem = Some(chain(&error));
            }
        }
        if one.writers.is_some() {
            match one.look() {
                Ok(()) if !one.is_apart => one.problem = None,
                Ok(()) => {}
                Err(error) => one.problem = Some(chain(&error)),
            }
        }
    }
}
