//! What is particular to the logs of either product: how transactions are named, when they were committed, and by which
//! words a server runs them and says that it has.

use vouchsafe_capture::{CaptureError, LoggedId, LoggedTag};
use vouchsafe_model::{Span, Time};
use vouchsafe_translog::binlog::{BinlogMeaning, GtidState, LogGtid};
use vouchsafe_translog::gtid::{Gtid, GtidSet, MariaPosition, Source};

use super::super::programs::Product;
use super::super::session::{Session, literal, unreadable};

/// The transactions that `text` names, as a server of this product writes them.
pub(super) fn read(product: Product, text: &str) -> Option<GtidState> {
    Some(match product {
        Product::MariaDb => GtidState::MariaDb(text.parse().ok()?),
        Product::MySql => GtidState::MySql(text.parse().ok()?),
    })
}

/// What an event adds to the transactions so far. Whether it may follow on them, the reader of the log has seen.
pub(super) fn note(past: &mut GtidState, meaning: &BinlogMeaning) {
    match meaning {
        BinlogMeaning::List(list) => {
            let mut position = MariaPosition::default();
            list.iter().for_each(|gtid| position.set(*gtid));
            *past = GtidState::MariaDb(position);
        }
        BinlogMeaning::Previous(set) => *past = GtidState::MySql(set.clone()),
        BinlogMeaning::End(transaction) => match (&mut *past, &transaction.gtid) {
            (GtidState::MariaDb(position), LogGtid::MariaDb(gtid, _)) => position.set(*gtid),
            (GtidState::MySql(set), LogGtid::MySql(gtid)) => drop(set.add(gtid)),
            (_, LogGtid::MariaDb(gtid, _)) => {
                let mut position = MariaPosition::default();
                position.set(*gtid);
                *past = GtidState::MariaDb(position);
            }
            (_, LogGtid::MySql(gtid)) => {
                let mut set = GtidSet::default();
                set.add(gtid);
                *past = GtidState::MySql(set);
            }
            (_, LogGtid::Anonymous) => {}
        },
        _ => {}
    }
}

/// Transactions for people; empty if there are none.
pub(super) fn shown(past: &GtidState) -> String {
    match past {
        GtidState::Unknown => String::new(),
        GtidState::MariaDb(position) => position.to_string(),
        GtidState::MySql(set) => set.to_string(),
    }
}

/// What a transaction is called.
pub(super) fn id(gtid: &LogGtid) -> LoggedId {
    match gtid {
        LogGtid::MariaDb(gtid, _) => LoggedId::Gtid {
            domain: gtid.domain,
            server: gtid.server,
            sequence: gtid.sequence,
        },
        LogGtid::MySql(Gtid { source, number }) => match LoggedTag::new(source.tag()) {
            Some(tag) => LoggedId::OfServer {
                server: source.uuid(),
                tag,
                number: *number,
            },
            None => LoggedId::Anonymous,
        },
        LogGtid::Anonymous => LoggedId::Anonymous,
    }
}

/// Whether a set has the transaction.
pub(super) fn has(set: &GtidSet, transaction: LoggedId) -> bool {
    let LoggedId::OfServer {
        server,
        tag,
        number,
    } = transaction
    else {
        return false;
    };
    Source::tagged(server, tag.text()).is_some_and(|source| set.contains(&Gtid { source, number }))
}

/// Whether what bears this time was committed by the moment. MariaDB's log knows the second in which a statement began,
/// and the second has to be over; MySQL's knows the microsecond of the commit.
pub(super) fn is_by(past: &GtidState, time: Time, moment: Time) -> bool {
    match past {
        GtidState::MySql(_) => time <= moment,
        GtidState::MariaDb(_) | GtidState::Unknown => time.plus(Span::from_secs(1)) <= moment,
    }
}

/// With which options a server keeps a log of its own, named `name`, of what it is given to run.
pub(super) fn options(product: Product, name: &str) -> Vec<String> {
    let of_its_own: &[&str] = match product {
        Product::MariaDb => &["--binlog-format=MIXED", "--gtid-strict-mode=OFF"],
        Product::MySql => &[
            "--server-id=1",
            "--gtid-mode=ON",
            "--enforce-gtid-consistency=ON",
        ],
    };
    let mut options = vec![
        format!("--log-bin={name}"),
        "--sync-binlog=0".to_owned(),
        "--log-bin-trust-function-creators=ON".to_owned(),
    ];
    options.extend(of_its_own.iter().map(|option| (*option).to_owned()));
    options
}

/// Has the server forget what was done to let us in, and begin its log with the transactions that it holds.
pub(super) fn begin_at(session: &mut Session, past: &GtidState) -> Result<(), CaptureError> {
    let state = literal(&shown(past));
    match past {
        GtidState::MySql(_) => {
            // Versions have different words for it.
            session
                .execute("RESET BINARY LOGS AND GTIDS")
                .or_else(|_| session.execute("RESET MASTER"))?;
            session.execute(&format!("SET GLOBAL gtid_purged = {state}"))
        }
        GtidState::MariaDb(_) | GtidState::Unknown => {
            session.execute("RESET MASTER")?;
            session.execute(&format!("SET GLOBAL gtid_binlog_state = {state}"))
        }
    }
}

/// What a server that keeps a log of its own says of the transactions that it holds.
pub(super) fn stands_at(
    session: &mut Session,
    product: Product,
) -> Result<GtidState, CaptureError> {
    let said = session.text(match product {
        Product::MariaDb => "SELECT @@GLOBAL.gtid_binlog_pos",
        Product::MySql => "SELECT @@GLOBAL.gtid_executed",
    })?;
    read(product, &said).ok_or_else(|| {
        let message = format!("where it stands cannot be read: {said}");
        unreadable("the restored server", message, "restore another point")
    })
}

/// What a server says of it also when it keeps no log; nothing of MariaDB, which knows it by its log only.
pub(super) fn stands_without_a_log(
    session: &mut Session,
    past: &GtidState,
) -> Result<Option<GtidState>, CaptureError> {
    match past {
        GtidState::MySql(_) => stands_at(session, Product::MySql).map(Some),
        GtidState::MariaDb(_) | GtidState::Unknown => Ok(None),
    }
}

/// What the program that makes statements of a log must be told.
pub(super) fn reader_options(product: Product) -> &'static [&'static str] {
    match product {
        // Whether all is there was seen before.
        Product::MariaDb => &["--loose-skip-gtid-strict-mode"],
        Product::MySql => &[],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_a_microsecond_for_mysql_and_a_whole_second_for_mariadb() {
        let maria = read(Product::MariaDb, "0-1-2").unwrap();
        let mysql = read(Product::MySql, "").unwrap();
        let at = Time::from_micros;
        assert!(is_by(&mysql, at(5_000_000), at(5_000_000)));
        assert!(!is_by(&mysql, at(5_000_001), at(5_000_000)));
        assert!(!is_by(&maria, at(5_000_000), at(5_999_999)));
        assert!(is_by(&maria, at(5_000_000), at(6_000_000)));
    }

    #[test]
    fn what_a_set_has_is_told_by_server_tag_and_number() {
        let uuid = "3e11fa47-71ca-11e1-9e33-c80aa9429562";
        let set: GtidSet = format!("{uuid}:1-5:nightly:7").parse().unwrap();
        let id = |text: &str| LoggedId::parse(&format!("{uuid}{text}")).unwrap();
        assert!(has(&set, id(":5")) && has(&set, id(":nightly:7")));
        assert!(!has(&set, id(":6")) && !has(&set, id(":7")) && !has(&set, id(":nightly:5")));
        assert!(!has(&set, LoggedId::parse("0-1-5").unwrap()));
        let gtid: Gtid = format!("{uuid}:nightly:7").parse().unwrap();
        assert_eq!(super::id(&LogGtid::MySql(gtid)), id(":nightly:7"));
    }
}
