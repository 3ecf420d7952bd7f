//! The data of the servers, and how it changes: all of it follows from a seed.

use std::path::Path;
use std::process::Command;

use super::server::Server;
use crate::bench::data::at;
use crate::program;

/// Bytes at scale 1.
const BYTES: f64 = 4.0 * (1u64 << 30) as f64;
/// What a row of `orders` takes on disk, with its entry in the index and the room that is left in its page.
const ROW: f64 = 345.0;
/// What a step of pgbench's scale takes on disk, with room left in each page.
const STEP: f64 = 17.0e6;

/// How much there is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Amount {
    /// Rows of `orders`: three quarters of the bytes.
    pub(crate) orders: u64,
    /// Pgbench's scale: the rest.
    pub(crate) steps: u64,
}

impl Amount {
    /// At this scale.
    pub(crate) fn scaled(scale: f64) -> Self {
        Self {
            orders: ((BYTES * scale * 0.75 / ROW) as u64).max(1000),
            steps: ((BYTES * scale * 0.25 / STEP) as u64).max(1),
        }
    }
}

/// Rows of orders: numbers, a time, words, and 64 random bytes in hexadecimal. zstd makes about a quarter of it. One
/// tenth of each page is left free, so that a changed row stays in its page.
const ORDERS: &str = "\
CREATE TABLE orders (id bigint, placed timestamptz, customer int, state smallint, amount numeric(10,2), note text)
    WITH (fillfactor = 90);
INSERT INTO orders SELECT id,
    timestamptz '2024-01-01 00:00:00+00' + id * interval '3.7 seconds',
    abs(hashint8extended(id, @SEED)) % 400000, abs(hashint8extended(id, @SEED + 1)) % 7,
    (abs(hashint8extended(id, @SEED + 2)) % 900000) / 100.0,
    md5('@SEED-a-' || id) || ' ' || md5('@SEED-b-' || id) || (ARRAY[
        ' to be delivered to the back door, after five in the afternoon, by the usual carrier',
        ' two parcels, the heavier one first; ask for a signature and leave nothing with neighbours',
        ' paid in advance by transfer, invoice in two copies, one of them to the head office please',
        ' returned once because the address was incomplete; the customer has confirmed the new one',
        ' gift wrapping, a card without a price, and a note that the colour may differ a little'])
        [1 + abs(hashint8extended(id, @SEED + 3)) % 5] || md5('@SEED-c-' || id) || md5('@SEED-d-' || id)
    FROM generate_series(1, @ROWS) id;
ALTER TABLE orders ADD PRIMARY KEY (id);";

/// Makes all tables, with every hint set, so that reading them later changes nothing.
pub(crate) fn fill(server: &Server, amount: Amount, seed: u64) -> Result<(), String> {
    let orders = ORDERS
        .replace("@SEED", &seed.to_string())
        .replace("@ROWS", &amount.orders.to_string());
    server.sql("ALTER SYSTEM SET synchronous_commit = off")?;
    server.sql("SELECT pg_reload_conf()")?;
    server.sql(&orders)?;
    let mut pgbench = server.client("pgbench");
    pgbench
        .args(["-i", "-q", "-F", "90", "-s", &amount.steps.to_string()])
        .arg("postgres");
    quietly(&mut pgbench)?;
    server.sql("ALTER SYSTEM RESET synchronous_commit")?;
    server.sql("SELECT pg_reload_conf()")?;
    server.sql("VACUUM (FREEZE, ANALYZE)")?;
    server.sql("CHECKPOINT").map(drop)
}

/// One row of each page that a seed chooses: one page in a hundred of the large tables. Those pages change, and no
/// others, since the changed rows have room in them.
const CHANGE: &str = "\
UPDATE @TABLE SET @COLUMN = @COLUMN + 1 WHERE ctid = ANY (ARRAY(
    SELECT format('(%s,%s)', page, @LINE)::tid FROM generate_series(0, pg_relation_size('@TABLE') / 8192 - 1) page
    WHERE abs(hashint8extended(page, @SEED)) % 100 = 0))";

/// Changes 1 % of all pages of the tables, and brings them to disk; how many rows that were.
pub(crate) fn change(server: &Server, seed: u64, round: u64) -> Result<u64, String> {
    let mut changed = 0;
    for (table, column) in [("orders", "amount"), ("pgbench_accounts", "abalance")] {
        let statement = CHANGE
            .replace("@TABLE", table)
            .replace("@COLUMN", column)
            // A row that was changed before has left its line.
            .replace("@LINE", &(round + 1).to_string())
            .replace("@SEED", &(seed * 1000 + round).to_string());
        let counted = format!("WITH done AS ({statement} RETURNING 1) SELECT count(*) FROM done");
        changed += server.number(&counted)?;
    }
    server.sql("CHECKPOINT")?;
    Ok(changed)
}

/// Pgbench's own transaction, but some accounts are asked for far more often than others.
const SKEWED: &str = "\
\\set aid random_zipfian(1, 100000 * :scale, 1.05)
\\set bid random(1, 1 * :scale)
\\set tid random(1, 10 * :scale)
\\set delta random(-5000, 5000)
BEGIN;
UPDATE pgbench_accounts SET abalance = abalance + :delta WHERE aid = :aid;
UPDATE pgbench_tellers SET tbalance = tbalance + :delta WHERE tid = :tid;
UPDATE pgbench_branches SET bbalance = bbalance + :delta WHERE bid = :bid;
INSERT INTO pgbench_history (tid, bid, aid, delta, mtime) VALUES (:tid, :bid, :aid, :delta, CURRENT_TIMESTAMP);
END;
";

/// So many skewed transactions, brought to disk.
pub(crate) fn skewed(server: &Server, dir: &Path, count: u64, seed: u64) -> Result<(), String> {
    let script = dir.join("skewed.sql");
    std::fs::write(&script, SKEWED).map_err(at(&script))?;
    // Of a script of one's own pgbench does not ask the tables.
    let scale = server.number("SELECT count(*) FROM pgbench_branches")?;
    let mut pgbench = server.client("pgbench");
    pgbench
        .env("PGOPTIONS", "-c synchronous_commit=off")
        .args(["-n", "-c", "2", "-j", "2", "-t", &(count / 2).to_string()])
        .args(["-s", &scale.to_string()])
        .args(["--random-seed", &seed.to_string(), "-f"])
        .arg(script)
        .arg("postgres");
    quietly(&mut pgbench)?;
    server.sql("CHECKPOINT").map(drop)
}

/// What all rows add up to: equal for equal content, whatever its order.
pub(crate) fn digest(server: &Server) -> Result<String, String> {
    let tables = [
        "orders",
        "pgbench_accounts",
        "pgbench_branches",
        "pgbench_tellers",
        "pgbench_history",
    ];
    let sums = tables.map(|table| {
        format!("(SELECT count(*) || ':' || coalesce(sum(hashtextextended(t::text, 0)), 0) FROM {table} t)")
    });
    server.sql(&format!("SELECT {}", sums.join(" || ' ' || ")))
}

/// Runs pgbench, of which nothing is shown unless it fails.
pub(crate) fn quietly(command: &mut Command) -> Result<(), String> {
    let output = command
        .stdin(std::process::Stdio::null())
        .output()
        .map_err(|error| format!("pgbench: {error}"))?;
    match output.status.success() {
        true => Ok(()),
        false => Err(format!(
            "pgbench failed: {}",
            String::from_utf8_lossy(&output.stderr)
        )),
    }
}

/// Fails unless what was brought back is what there was.
pub(crate) fn same(name: &str, expected: &str, found: &str) -> Result<(), String> {
    match expected == found {
        true => Ok(()),
        false => Err(format!("{name} restores {found} instead of {expected}")),
    }
}

/// Whether a program is there, for the version of the peers in the table.
pub(crate) fn version(command: &mut Command) -> Result<String, String> {
    let said = program::read(command)?;
    Ok(said.lines().next().unwrap_or_default().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_scale_is_that_of_the_bytes() {
        let (whole, tenth) = (Amount::scaled(1.0), Amount::scaled(0.1));
        assert!(whole.orders / tenth.orders == 10 && whole.steps / tenth.steps == 10);
        assert_eq!(Amount::scaled(1e-9).steps, 1);
    }

    #[test]
    fn another_content_is_seen() {
        assert!(same("x", "1:2", "1:2").is_ok());
        assert!(same("x", "1:2", "1:3").is_err());
    }
}
