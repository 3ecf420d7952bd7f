//! The projections made anew from the entries are those that grew with them.

use crate::common::{due, entry, horizon, numbered, obligation, sqlite};
use proptest::prelude::*;
use vouchsafe_ledger::leaf_hash;
use vouchsafe_model::{Entry, Fact};

fn entries() -> impl Strategy<Value = Vec<Vec<Entry>>> {
    // Few different obligations, so that they are written, withdrawn and written again.
    let one = prop_oneof![
        4 => (0i64..12).prop_map(|n| due(n, &obligation(n * 60, n * 60 + 600))),
        2 => prop::collection::vec(0i64..12, 0..4).prop_map(|gone| {
            let ids = gone.iter().map(|n| obligation(n * 60, n * 60 + 600).id);
            let obligations = ids.collect();
            let policy = leaf_hash(b"policy").to_string();
            entry(5, Fact::ObligationsWithdrawn { obligations, policy })
        }),
        1 => (0i64..9000).prop_map(|until| horizon(1, until)),
        3 => (0u64..99).prop_map(numbered),
    ];
    prop::collection::vec(prop::collection::vec(one, 1..40), 1..6)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn made_anew_they_are_as_they_grew(batches in entries()) {
        let place = sqlite();
        let ledger = place.open();
        for batch in &batches {
            ledger.append(batch).unwrap();
        }
        let grown = (ledger.known_obligation_ids().unwrap(), ledger.horizon().unwrap());
        // Which also holds the places of the obligations against the entries.
        ledger.verify(&[]).unwrap();
        place.tamper("DELETE FROM ledger_obligation WHERE seq >= 0");
        place.tamper("UPDATE ledger_state SET horizon = 1");
        ledger.rebuild_projections().unwrap();
        let anew = (ledger.known_obligation_ids().unwrap(), ledger.horizon().unwrap());
        prop_assert_eq!(anew, grown);
        ledger.verify(&[]).unwrap();
    }
}

#[test]
fn more_than_one_statement_and_one_page_of_them() {
    let place = sqlite();
    let ledger = place.open();
    let many: Vec<Entry> = (0..7003)
        .map(|n| due(n, &obligation(n * 60, n * 60 + 600)))
        .collect();
    ledger.append(&many).unwrap();
    ledger.append(&[horizon(7003, 9000)]).unwrap();
    let grown = ledger.known_obligation_ids().unwrap();
    assert_eq!(grown.len(), 7003);
    ledger.rebuild_projections().unwrap();
    assert_eq!(ledger.known_obligation_ids().unwrap(), grown);
    ledger.verify(&[]).unwrap();
}
