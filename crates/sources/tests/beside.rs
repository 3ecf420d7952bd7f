//! Tables brought back beside live data: what differs from the digests of the capture is told.

use std::sync::Arc;

use crate::common::shop::Shop;
use crate::common::{Point, World, open};
use rusqlite::Connection;
use vouchsafe_capture::{Beside, BesideRequest, Equal, Source};
use vouchsafe_model::DigestManifest;
use vouchsafe_testkit::postgres::Postgres;

fn bring(
    world: &World,
    source: &dyn Source,
    (point, manifest): (&Point, &DigestManifest),
    request: &BesideRequest,
) -> Beside {
    let scratch = world.path(&format!("scratch-{}", request.into));
    let brought =
        source.restore_beside(&world.ctx(), point, request, Some(manifest), None, &scratch);
    brought.expect("brings back")
}

/// As the capture wrote it, and with another digest for the rows of `part`.
fn altered(manifest: &DigestManifest, part: &str) -> DigestManifest {
    let mut out = manifest.clone();
    let entry = out.entries.get_mut(part).expect("it was digested");
    entry.digest = format!("0{}", &entry.digest[1..]);
    if entry == manifest.entries.get(part).expect("the same") {
        entry.digest = format!("1{}", &entry.digest[1..]);
    }
    out
}

fn assert_told(beside: &Beside, name: &str) {
    for table in &beside.tables {
        assert_eq!(table.equal.holds(), table.name != name, "{table:?}");
    }
    assert_eq!(beside.issues.len(), 1, "{:?}", beside.issues);
    assert!(
        beside.issues[0].message.contains(name),
        "{:?}",
        beside.issues
    );
}

#[test]
fn a_recorded_digest_that_differs_is_told_by_postgres() {
    let world = World::new();
    let shop = Shop::new();
    let source = open(&shop.url);
    let (captured, point) = world.capture(source.as_ref());
    let manifest = captured.manifest.expect("a manifest");
    let into = |into: &str| BesideRequest {
        to: shop.url.clone().into(),
        only: vec![
            "orders".to_owned(),
            "stock.moves".to_owned(),
            "customers".to_owned(),
        ],
        into: into.to_owned(),
    };
    let good = bring(&world, source.as_ref(), (&point, &manifest), &into("good"));
    assert_eq!(good.issues, []);
    assert_eq!(good.tables.len(), 4);
    assert!(
        good.tables
            .iter()
            .all(|table| table.equal == Equal::ToCaptured),
        "{good:?}"
    );
    assert!(
        good.stays.iter().any(|each| each.contains("policy own")),
        "{good:?}"
    );
    let wrong = altered(&manifest, "rows:public.orders");
    let bad = bring(&world, source.as_ref(), (&point, &wrong), &into("bad"));
    assert_told(&bad, "public.orders");

    // Without digests of rows it is said what they were compared with.
    let mut none = manifest.clone();
    none.entries.retain(|key, _| !key.starts_with("rows:"));
    let bare = bring(&world, source.as_ref(), (&point, &none), &into("bare"));
    assert!(
        bare.tables.iter().all(|table| table.equal == Equal::ToCopy),
        "{bare:?}"
    );
    let server: &Arc<Postgres> = &shop.server;
    assert_eq!(
        server.sql_in(&shop.name, "SELECT count(*) FROM bare.orders"),
        "2000"
    );
}

#[test]
fn a_recorded_digest_that_differs_is_told_by_sqlite() {
    let world = World::new();
    std::fs::create_dir(world.state()).expect("a state directory");
    let path = world.path("shop.db");
    let live = Connection::open(&path).expect("opens");
    live.execute_batch(
        "CREATE TABLE a (id INTEGER PRIMARY KEY, x); CREATE TABLE \"b \"\"c\" (y REFERENCES a(id)); \
         INSERT INTO a VALUES (1, 'one'), (2, NULL); INSERT INTO \"b \"\"c\" VALUES (1), (2)",
    )
    .expect("fills");
    let source = open(&format!("sqlite:{}", path.display()));
    let (captured, point) = world.capture(source.as_ref());
    let manifest = captured.manifest.expect("a manifest");
    let into = |into: &str| BesideRequest {
        to: path.clone(),
        only: vec!["a".to_owned(), "b \"c".to_owned()],
        into: into.to_owned(),
    };
    let good = bring(&world, source.as_ref(), (&point, &manifest), &into("good"));
    assert_eq!(good.issues, []);
    let bad = bring(
        &world,
        source.as_ref(),
        (&point, &altered(&manifest, "table:b \"c")),
        &into("bad"),
    );
    assert_told(&bad, "b \"c");
    let count: i64 = live
        .query_row("SELECT count(*) FROM \"good_b \"\"c\"", [], |row| {
            row.get(0)
        })
        .expect("counts");
    assert_eq!(count, 2);
}
