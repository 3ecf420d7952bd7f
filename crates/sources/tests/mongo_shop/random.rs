//! Writes by a seed: of everything that leaves entries in an oplog.

use mongodb::bson::{Document, doc};

use super::MongoShop;

/// Numbers by a seed.
pub struct Random(pub u64);

impl Random {
    pub fn below(&mut self, below: i32) -> i32 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        i32::try_from((self.0 >> 33) % u64::try_from(below).expect("a bound")).expect("a number")
    }
}

pub fn update(collection: &str, id: i32, change: Document) -> Document {
    doc! { "update": collection, "updates": [{ "q": { "_id": id }, "u": change, "upsert": true }] }
}

pub fn delete(collection: &str, id: i32) -> Document {
    doc! { "delete": collection, "deletes": [{ "q": { "_id": id }, "limit": 1 }] }
}

/// Does something of everything that leaves entries.
pub fn work(shop: &MongoShop, random: &mut Random, round: i32) {
    let id = random.below(40);
    let some = ["a", "b"][usize::try_from(random.below(2)).expect("0 or 1")];
    match random.below(16) {
        0..=3 => drop(shop.command(
            "work",
            update(
                some,
                id,
                doc! { "n": round, "list": [1, { "x": round }], "in": { "a": 1 } },
            ),
        )),
        4 | 5 => drop(shop.command(
            "work",
            update(
                some,
                id,
                doc! { "$set": { "in.b": round, "list.1.x": -1 }, "$unset": { "n": "" } },
            ),
        )),
        6 => drop(shop.command(
            "work",
            update(
                some,
                id,
                doc! { "$push": { "more": round }, "$inc": { "sum": 3 } },
            ),
        )),
        7 | 8 => drop(shop.command("work", delete(some, id))),
        9 => shop.transaction(
            "work",
            &[
                update("a", id, doc! { "$set": { "moved": round } }),
                delete("b", id),
                update("b", 100 + round, doc! { "by": "a transaction" }),
            ],
        ),
        10 => {
            let name = format!("made{round}");
            shop.command(
                "work",
                doc! { "create": name.as_str(), "validator": { "n": { "$exists": true } } },
            );
            shop.command(
                "work",
                doc! { "collMod": name.as_str(), "validationLevel": "moderate" },
            );
            shop.command(
                "work",
                doc! { "insert": name, "documents": [{ "_id": 1, "n": round }] },
            );
        }
        11 => {
            shop.command(
                "work",
                doc! { "insert": "passing", "documents": [{ "_id": round }] },
            );
            shop.command(
                "admin",
                doc! { "renameCollection": "work.passing", "to": "work.b", "dropTarget": true },
            );
        }
        12 => {
            let key = doc! { "n": 1, format!("sum{round}"): -1 };
            let index = doc! { "key": key, "name": format!("by{round}") };
            shop.command("work", doc! { "createIndexes": some, "indexes": [index] });
            if random.below(2) == 0 {
                shop.command(
                    "work",
                    doc! { "dropIndexes": some, "index": format!("by{round}") },
                );
            }
        }
        13 => {
            let view = format!("view{round}");
            let stage = doc! { "$match": { "n": round } };
            shop.command(
                "work",
                doc! { "create": view.as_str(), "viewOn": "a", "pipeline": [stage] },
            );
            if random.below(2) == 0 {
                shop.command("work", doc! { "drop": view });
            }
        }
        14 => {
            shop.command(
                "gone",
                doc! { "insert": "t", "documents": [{ "_id": round }] },
            );
            if random.below(2) == 0 {
                shop.command("gone", doc! { "dropDatabase": 1 });
            }
        }
        _ => {
            shop.command("admin", doc! { "simulate": { "newTerm": true } });
        }
    }
}
