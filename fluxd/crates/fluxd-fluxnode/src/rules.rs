//! Tiers, their collateral, and the periods of a node's life, by height.

use fluxd_primitives::{Amount, COIN};

/// Confirmations that a collateral needs.
pub const MIN_CONFIRMATIONS: u32 = 100;
/// Blocks after which a changed address may be confirmed early.
const IP_CHANGE_AFTER: u32 = 5;
/// Blocks after the last transition in which nodes with an outdated collateral are still looked for.
const ENFORCED_AFTER_LAST_TRANSITION: u32 = 10;

/// The three tiers of fluxnodes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Tier {
    /// The smallest collateral.
    Cumulus,
    /// The middle collateral.
    Nimbus,
    /// The largest collateral.
    Stratus,
}

impl Tier {
    /// All tiers, smallest first.
    pub const ALL: [Self; 3] = [Self::Cumulus, Self::Nimbus, Self::Stratus];

    /// The number that benchmarks and RPC replies use: 1 to 3.
    #[must_use]
    pub fn number(self) -> i8 {
        match self {
            Self::Cumulus => 1,
            Self::Nimbus => 2,
            Self::Stratus => 3,
        }
    }

    /// The collateral before and after the tier's transition.
    fn collaterals(self) -> [Amount; 2] {
        let coins: [i64; 2] = match self {
            Self::Cumulus => [10_000, 1_000],
            Self::Nimbus => [25_000, 12_500],
            Self::Stratus => [100_000, 40_000],
        };
        coins.map(|coins| Amount::from_zat(coins * COIN))
    }
}

/// Heights between which both collaterals of a tier are accepted: `[begin, end)`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Transition {
    /// First height of the new collateral.
    pub begin: u32,
    /// First height that no longer accepts the old one.
    pub end: u32,
}

/// What a network says about fluxnodes. Heights are `None` where the network never activates an upgrade.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NodeRules {
    /// First height of the rebrand's periods.
    pub flux: Option<u32>,
    /// First height of the halving's periods.
    pub halving: Option<u32>,
    /// First height of version 6 and its P2SH collateral.
    pub p2sh_nodes: Option<u32>,
    /// First height of proof of node's periods.
    pub pon: Option<u32>,
    /// Collateral changes, smallest tier first.
    pub transitions: [Transition; 3],
}

impl NodeRules {
    /// The tier of a collateral of this value at a height (`GetCoinTierFromAmount`).
    #[must_use]
    pub fn tier_of(&self, height: u32, collateral: Amount) -> Option<Tier> {
        Tier::ALL.into_iter().find(|tier| {
            let [old, new] = tier.collaterals();
            let transition = self.transition(*tier);
            (collateral == old && height < transition.end)
                || (collateral == new && height >= transition.begin)
        })
    }

    /// True from the halving on.
    #[must_use]
    pub fn is_halving_active(&self, height: u32) -> bool {
        at(self.halving, height)
    }

    /// True from version 6 on.
    #[must_use]
    pub fn is_p2sh_nodes_active(&self, height: u32) -> bool {
        at(self.p2sh_nodes, height)
    }

    /// A confirmed node whose last CONFIRM is older than this many blocks expires.
    #[must_use]
    pub fn confirm_expiry(&self, height: u32) -> u32 {
        if at(self.pon, height) {
            640
        } else if at(self.halving, height) {
            160
        } else if at(self.flux, height) {
            80
        } else {
            60
        }
    }

    /// A node may confirm again when its last CONFIRM is more than this many blocks old.
    #[must_use]
    pub fn confirm_distance(&self, height: u32) -> u32 {
        if at(self.pon, height) {
            500
        } else if at(self.halving, height) {
            120
        } else {
            40
        }
    }

    /// A node with a new address may confirm again after this many blocks; never before the rebrand.
    #[must_use]
    pub fn ip_change_distance(&self, height: u32) -> Option<u32> {
        at(self.flux, height).then_some(IP_CHANGE_AFTER)
    }

    /// A START that is not confirmed moves to the DoS list this many blocks later.
    #[must_use]
    pub fn start_expiry(&self, height: u32) -> u32 {
        if at(self.pon, height) { 240 } else { 60 }
    }

    /// True when an entry of the DoS list, added at a height, ends in a block of another. Before proof of node only the
    /// exact height counts; after it also what the longer period left behind.
    #[must_use]
    pub fn leaves_dos_list(&self, height: u32, added: u32) -> bool {
        if at(self.pon, height) {
            height.checked_sub(720).is_some_and(|limit| added <= limit)
        } else {
            height.checked_sub(180) == Some(added)
        }
    }

    /// True at heights at which nodes with an outdated collateral are looked for.
    #[must_use]
    pub fn has_outdated(&self, height: u32) -> bool {
        let [first, _, last] = self.transitions;
        (first.begin..last.end.saturating_add(ENFORCED_AFTER_LAST_TRANSITION)).contains(&height)
    }

    /// True when a node of this tier and collateral must end because its tier's transition is over.
    #[must_use]
    pub fn is_outdated(&self, height: u32, tier: Tier, collateral: Amount) -> bool {
        self.has_outdated(height)
            && height >= self.transition(tier).end
            && self.tier_of(height, collateral).is_none()
    }

    fn transition(&self, tier: Tier) -> Transition {
        let [cumulus, nimbus, stratus] = self.transitions;
        match tier {
            Tier::Cumulus => cumulus,
            Tier::Nimbus => nimbus,
            Tier::Stratus => stratus,
        }
    }
}

fn at(start: Option<u32>, height: u32) -> bool {
    start.is_some_and(|start| height >= start)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// The periods of the main network.
    pub(crate) const MAIN: NodeRules = NodeRules {
        flux: Some(835_554),
        halving: Some(1_076_532),
        p2sh_nodes: Some(1_549_500),
        pon: Some(2_020_000),
        transitions: [
            Transition { begin: 1_076_532, end: 1_086_612 },
            Transition { begin: 1_081_572, end: 1_092_372 },
            Transition { begin: 1_087_332, end: 1_097_412 },
        ],
    };

    fn flux(coins: i64) -> Amount {
        Amount::from_zat(coins * COIN)
    }

    #[test]
    fn both_collaterals_are_accepted_during_a_transition_only() {
        for (height, old, new) in [
            (1_076_531, Some(Tier::Cumulus), None),
            (1_076_532, Some(Tier::Cumulus), Some(Tier::Cumulus)),
            (1_086_611, Some(Tier::Cumulus), Some(Tier::Cumulus)),
            (1_086_612, None, Some(Tier::Cumulus)),
        ] {
            assert_eq!(MAIN.tier_of(height, flux(10_000)), old, "{height}");
            assert_eq!(MAIN.tier_of(height, flux(1_000)), new, "{height}");
        }
        assert_eq!(MAIN.tier_of(2_000_000, Amount::from_zat(flux(40_000).zat() + 1)), None);
    }

    #[test]
    fn outdated_nodes_end_with_their_tier_until_shortly_after_the_last_transition() {
        assert!(!MAIN.is_outdated(1_086_611, Tier::Cumulus, flux(10_000)));
        assert!(MAIN.is_outdated(1_086_612, Tier::Cumulus, flux(10_000)));
        assert!(!MAIN.is_outdated(1_086_612, Tier::Cumulus, flux(1_000)));
        assert!(!MAIN.is_outdated(1_086_612, Tier::Nimbus, flux(25_000)));
        assert!(MAIN.is_outdated(1_097_421, Tier::Stratus, flux(100_000)));
        assert!(!MAIN.is_outdated(1_097_422, Tier::Stratus, flux(100_000)));
    }

    #[test]
    fn the_dos_list_catches_leftovers_only_with_proof_of_node() {
        assert!(MAIN.leaves_dos_list(1_000_180, 1_000_000));
        assert!(!MAIN.leaves_dos_list(1_000_181, 1_000_000));
        assert!(MAIN.leaves_dos_list(2_020_721, 2_020_000));
        assert!(!MAIN.leaves_dos_list(2_020_719, 2_020_000));
    }
}
