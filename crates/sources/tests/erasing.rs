//! Erasing subjects in databases of servers that run: what names somebody, and what does not.

use std::collections::BTreeSet;
use std::path::Path;

use crate::common::shop::Shop;
use crate::common::{World, all_to, open};
use vouchsafe_capture::{CaptureError, Erased, Erasing, Restored, Source};
use vouchsafe_model::{ErasedSubject, ErasureRule, SubjectId, Time};
use vouchsafe_testkit::mariadb::MariaDb;

fn text(text: &str) -> SubjectId {
    SubjectId::Text(text.to_owned())
}

/// Erases one subject in the database at `url`.
fn erase(
    source: &dyn Source,
    url: &str,
    id: SubjectId,
    (find, erase): (&str, &str),
) -> Result<Erased, CaptureError> {
    let world = World::new();
    let subjects = [ErasedSubject {
        id,
        line: 7,
        erased: Time::from_secs(0),
        systems: BTreeSet::new(),
    }];
    let rule = ErasureRule::Statements {
        database: None,
        find: find.to_owned(),
        erase: vec![erase.to_owned()],
        someone: None,
    };
    let erasing = Erasing {
        rule: &rule,
        subjects: &subjects,
        spare: false,
    };
    let request = all_to(Path::new(url));
    assert!(source.erases(&request));
    source.erase(&world.ctx(), &Restored::default(), &request, &erasing)
}

fn of_column(column: &str, place: &str) -> (String, String) {
    (
        format!("SELECT count(*) FROM ids WHERE {column} = {place};"),
        format!("DELETE FROM ids WHERE {column} = {place}"),
    )
}

#[test]
fn postgresql_says_what_it_wants_an_identifier_as() {
    let shop = Shop::new();
    let source = open(&shop.url);
    let make = "DROP TABLE IF EXISTS ids; CREATE TABLE ids (a int2, b int4, c int8, d text, e varchar(20), f char(4), \
        g uuid, h numeric, i name); INSERT INTO ids VALUES (17, 17, 17, '17', '17', '17', \
        '6ba7b810-9dad-11d1-80b4-00c04fd430c8', 17, '17'), (18, 18, 18, '18', '18', '18', gen_random_uuid(), 18, '18')";
    let uuid = "6ba7b810-9dad-11d1-80b4-00c04fd430c8";
    let number = || SubjectId::Number(17);
    let good = [
        ("a", ":subject", number()),
        ("b", ":subject", text("17")),
        ("c", ":subject", number()),
        ("d", ":subject", number()),
        ("e", ":subject", text("17")),
        ("f", ":subject", text("17")),
        ("g", ":subject", text(uuid)),
        ("h", ":subject::text::numeric", number()),
        ("i", ":subject", text("17")),
    ];
    for (column, place, id) in good {
        shop.server.sql_in(&shop.name, make);
        let (find, delete) = of_column(column, place);
        let erased = erase(source.as_ref(), &shop.url, id, (&find, &delete)).unwrap();
        assert_eq!((erased.found, erased.remaining()), (1, 0), "{column}");
        let left = shop.server.sql_in(&shop.name, "SELECT a FROM ids");
        assert_eq!(left, "18", "{column}");
    }
    shop.server.sql_in(&shop.name, make);
    let bad = [
        ("a", ":subject", text("17 OR 1=1"), "line 7"),
        ("a", ":subject", SubjectId::Number(1 << 20), "too large"),
        ("g", ":subject", text("17"), "UUID"),
        ("h", ":subject", number(), ":subject::text::numeric"),
        ("nothing", ":subject", number(), "nothing"),
        ("d", "':subject'", number(), "within quotes"),
    ];
    for (column, place, id, why) in bad {
        let (find, delete) = of_column(column, place);
        let said = erase(source.as_ref(), &shop.url, id, (&find, &delete)).unwrap_err();
        assert!(said.to_string().contains(why), "{column}: {said}");
        let left = shop.server.sql_in(&shop.name, "SELECT count(*) FROM ids");
        assert_eq!(left, "2", "{column}");
    }
    // A text that would be more than a value is none.
    let (find, delete) = of_column("d", ":subject");
    let evil = text("17' OR '1'='1");
    let erased = erase(source.as_ref(), &shop.url, evil, (&find, &delete)).unwrap();
    assert_eq!(erased.found, 0);
    assert_eq!(
        shop.server.sql_in(&shop.name, "SELECT count(*) FROM ids"),
        "2"
    );
}

#[test]
fn mariadb_takes_no_text_for_the_number_it_begins_with() {
    let server = MariaDb::start(&[]);
    server.sql("CREATE DATABASE shop");
    let source = open(&server.url("root", "other"));
    let make = "DROP TABLE IF EXISTS ids; CREATE TABLE ids (a int, b bigint, d varchar(20), PRIMARY KEY (a)); \
        INSERT INTO ids VALUES (17, 9007199254740993, '17'), (18, 9007199254740992, '18th')";
    let url = server.url("root", "shop");
    let good = [
        ("a", SubjectId::Number(17)),
        ("a", text("17")),
        ("b", SubjectId::Number(9_007_199_254_740_993)),
        ("d", text("17")),
    ];
    for (column, id) in good {
        server.sql_in("shop", make);
        let (find, delete) = of_column(column, ":subject");
        let erased = erase(source.as_ref(), &url, id, (&find, &delete)).unwrap();
        assert_eq!((erased.found, erased.remaining()), (1, 0), "{column}");
        assert_eq!(server.sql_in("shop", "SELECT a FROM ids"), "18", "{column}");
    }
    server.sql_in("shop", make);
    let bad = [
        ("a", text("17 OR 1=1")),
        ("a", text("anna")),
        ("d", SubjectId::Number(18)),
    ];
    for (column, id) in bad {
        let (find, delete) = of_column(column, ":subject");
        // Some comparisons the server settles without looking: then nobody is found, which is right.
        match erase(source.as_ref(), &url, id, (&find, &delete)) {
            Ok(erased) => assert_eq!((erased.found, column), (0, "a")),
            Err(said) => {
                let said = said.to_string();
                assert!(said.contains("line 7") && !said.contains("anna"), "{said}");
            }
        }
        assert_eq!(server.sql_in("shop", "SELECT count(*) FROM ids"), "2");
    }
}
