//! Whether what a policy lets go is removed as soon as it says.

use vouchsafe_model::{Protection, Span, Vault, VaultPlace};

use crate::lint::Lint;
use crate::problem::Level::{Note, Warning};
use crate::schedule::longest_gap;

impl Lint<'_> {
    /// Where `at_most` is promised, somebody has to remove what is over, and before the grace has passed.
    pub(super) fn removal(&mut self) {
        let policy = self.policy;
        for vault in policy.vaults.values() {
            if VaultPlace::parse(&vault.url).is_err() {
                continue;
            }
            let promises = policy.protections();
            let promises = promises.filter(|(system, p)| {
                system.exempt.is_none() && p.way.is_connected() && goes_there(p, vault)
            });
            let strictest = promises
                .filter(|(_, p)| p.keep.at_most.is_some() && !is_to_the_moment(p))
                .map(|(_, p)| (grace(p), p))
                .min_by_key(|(grace, _)| *grace);
            let Some((grace, strictest)) = strictest else {
                continue;
            };
            let (name, id) = (&vault.name, &strictest.id);
            let most = strictest.keep.at_most;
            let most = most.map_or_else(String::new, |most| most.to_string());
            let Some(rule) = &vault.prune else {
                let message = format!(
                    "what {id} lets go after {most} is removed from vault {name} only when somebody does it"
                );
                let remedy =
                    "write prune: daily in the vault, or let something run `vouchsafe prune --yes`";
                self.say(Note, "P198", &format!("vaults/{name}"), message, remedy);
                continue;
            };
            if longest_gap(&rule.rule) > grace {
                let and = match strictest.keep.grace {
                    Some(grace) => format!("a grace of {grace}"),
                    None => "no grace".to_owned(),
                };
                let message = format!(
                    "vault {name} is pruned `{}`, and {id} keeps points at most {most} with {and}",
                    rule.text
                );
                let remedy = "prune more often, or write a grace as long as the time between two";
                let path = format!("vaults/{name}/prune");
                self.say(Warning, "P197", &path, message, remedy);
            }
        }
    }
}

fn goes_there(protection: &Protection, vault: &Vault) -> bool {
    let mut copies = protection.copies.iter();
    copies.any(|rule| rule.vault == vault.name)
}

/// No rhythm can keep that, and it is said by itself.
fn is_to_the_moment(protection: &Protection) -> bool {
    let keep = &protection.keep;
    keep.at_least == keep.at_most && keep.grace.is_none()
}

fn grace(protection: &Protection) -> Span {
    let grace = protection.keep.grace;
    grace.map_or(Span::from_micros(0), |grace| grace.roughly())
}
