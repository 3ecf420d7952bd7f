//! Whether a recovered server has what was committed by a moment, and nothing that was committed later: by what the
//! server itself says of single transactions.

use vouchsafe_capture::{CaptureError, FetchedLog, LoggedCommit, LoggedId};
use vouchsafe_model::{Rung, RungOutcome};

use crate::postgres::session::Session;
use crate::rung::{Findings, number};

const NAME: &str = "moment";
pub(in crate::postgres) const QUESTION: &str =
    "Is what the log has committed by then committed there, and nothing that it committed later?";

/// Asks for the state of the transactions around the target.
pub(in crate::postgres) fn moment(
    session: &mut Session,
    fetched: &FetchedLog,
) -> Result<Rung, CaptureError> {
    let next = session.text("SELECT pg_snapshot_xmax(pg_current_snapshot())::text")?;
    let next: u64 = next.parse().unwrap_or_default();
    let around = &fetched.around;
    let mut found = Findings::default();
    let (mut known, mut forgotten) = (0, 0);
    for (commit, status) in statuses(session, &around.before, next)? {
        match status.as_deref() {
            Some("committed") => known += 1,
            // So long ago that the server has forgotten how it ended.
            None => forgotten += 1,
            Some(other) => found.add(format!(
                "transaction {} of {} is {other}",
                commit.transaction, commit.time
            )),
        }
    }
    let asked = known + forgotten + found.count();
    let missing = (around.before.len() as u64).saturating_sub(asked);
    if missing > 0 {
        found.add(format!(
            "transactions that should be committed and have not begun: {}",
            number(missing)
        ));
    }
    for (commit, status) in statuses(session, &around.after, next)? {
        if status.as_deref() == Some("committed") {
            found.add(format!(
                "transaction {} of {} is there, which was committed later",
                commit.transaction, commit.time
            ));
        }
    }
    if known == 0 && around.after.is_empty() && found.is_empty() {
        return Ok(Rung {
            name: NAME.to_owned(),
            question: QUESTION.to_owned(),
            expected: "a transaction that was committed since the base".to_owned(),
            actual: "there is none, so nothing was compared".to_owned(),
            outcome: RungOutcome::Skipped,
        });
    }
    let newest = fetched
        .target
        .newest
        .map_or(String::new(), |t| format!(", the newest of {t}"));
    Ok(found.rung(
        NAME,
        QUESTION,
        format!(
            "the last {} before are there{newest}; the first {} after are not",
            number(known),
            number(around.after.len() as u64)
        ),
    ))
}

/// What the server says of transactions, of those that can have been.
fn statuses(
    session: &mut Session,
    commits: &[LoggedCommit],
    next: u64,
) -> Result<Vec<(LoggedCommit, Option<String>)>, CaptureError> {
    let mut asked = Vec::new();
    for commit in commits {
        let LoggedId::Number(number) = commit.transaction else {
            continue;
        };
        if let Some(transaction) = whole(number, next) {
            asked.push((*commit, transaction));
        }
    }
    if asked.is_empty() {
        return Ok(Vec::new());
    }
    let numbers: Vec<String> = asked.iter().map(|(_, t)| t.to_string()).collect();
    let rows = session.rows(&format!(
        "SELECT pg_xact_status(n::text::xid8) FROM unnest(ARRAY[{}]::bigint[]) WITH ORDINALITY a(n, i) ORDER BY i",
        numbers.join(",")
    ))?;
    let statuses = rows.into_iter().map(|row| row.into_iter().next().flatten());
    Ok(asked
        .into_iter()
        .map(|(commit, _)| commit)
        .zip(statuses)
        .collect())
}

/// A transaction's number with its epoch, if it is one that was handed out before `next`: the newest with these 32 bits.
fn whole(transaction: u32, next: u64) -> Option<u64> {
    let epoch = next & !0xFFFF_FFFF;
    let here = epoch | u64::from(transaction);
    if here < next {
        // Whether it is of this epoch or of one to come the bits do not tell; half of all numbers lie ahead.
        return (next - here < 1 << 31).then_some(here);
    }
    let before = here.checked_sub(1 << 32)?;
    (next - before < 1 << 31).then_some(before)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_get_the_epoch_in_which_they_were_handed_out() {
        assert_eq!(whole(700, 800), Some(700));
        assert_eq!(whole(800, 800), None);
        assert_eq!(whole(900, 800), None);
        let next = (3 << 32) | 5;
        assert_eq!(whole(3, next), Some((3 << 32) | 3));
        assert_eq!(
            whole(u32::MAX - 2, next),
            Some((2 << 32) | u64::from(u32::MAX - 2))
        );
        assert_eq!(whole(7, next), None);
        assert_eq!(whole(1 << 31, next), None);
    }
}
