//! Who stamps the record with the time: what is said less of it waits.

use super::*;

const STAMPED: &str = "\
timestamps: { authority: 'https://tsa.example.com', root: tsa.pem, every: 1d }
vaults: { v: { url: /v } }
systems: { web: { source: 'files:/www', copies: v } }
";

#[test]
fn rarer_time_stamps_and_none_wait_and_another_authority_does_not() {
    let (line, _) = STAMPED.split_once('\n').unwrap();
    let none = STAMPED.replace(line, "");
    let rarer = STAMPED.replace("1d", "7d");
    for weaker in [&none, &rarer] {
        let compared = held(STAMPED, weaker);
        assert_eq!(compared.count(Effect::Weakens), 1, "{compared:#?}");
        let old = read(STAMPED).policy.unwrap();
        assert_eq!(compared.in_force.timestamps, old.timestamps);
        assert_eq!(held(weaker, STAMPED).count(Effect::Weakens), 0);
    }
    let other = STAMPED.replace("tsa.example.com", "other.example.com");
    let compared = held(STAMPED, &other);
    assert_eq!(compared.alterations[0].effect, Effect::Neutral);
    let stamps = compared.in_force.timestamps.unwrap();
    assert_eq!(stamps.authority, "https://other.example.com");
}
