//! Network upgrades: which rules hold at a height. Mirrors `src/consensus/upgrades.cpp`.

/// Branch id of everything before Acadia, and of every network that never activates it.
pub const BASE_BRANCH: u32 = 0;
/// Branch id of every upgrade of the chain; Sapling's in Zcash.
pub const FLUX_BRANCH: u32 = 0x76b8_09bb;

/// The upgrades in the order of their activation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Upgrade {
    /// LWMA difficulty.
    Lwma,
    /// Equihash 144,5.
    Equihash144,
    /// Sapling transactions, LWMA3 difficulty.
    Acadia,
    /// ZelHash.
    Kamiooka,
    /// Deterministic fluxnodes.
    Kamata,
    /// Funding of the rebrand, doubled node share, no more shielding.
    Flux,
    /// New collaterals and node periods.
    Halving,
    /// Version 6 transactions.
    P2shNodes,
    /// Proof of node.
    Pon,
}

impl Upgrade {
    /// All upgrades, earliest first.
    pub const ALL: [Self; 9] = [
        Self::Lwma,
        Self::Equihash144,
        Self::Acadia,
        Self::Kamiooka,
        Self::Kamata,
        Self::Flux,
        Self::Halving,
        Self::P2shNodes,
        Self::Pon,
    ];
}

/// When an upgrade takes hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Activation {
    /// The upgrade.
    pub upgrade: Upgrade,
    /// First height of its rules; `None` on a network that never activates it.
    pub height: Option<u32>,
    /// Protocol version that peers must speak from then on.
    pub protocol: u32,
    /// The block at that height in display form, where it is known.
    pub block: Option<&'static str>,
}

/// The upgrades of a network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Upgrades(pub [Activation; 9]);

impl Upgrades {
    /// The first height of an upgrade's rules.
    #[must_use]
    pub fn height(&self, upgrade: Upgrade) -> Option<u32> {
        self.0
            .iter()
            .find(|activation| activation.upgrade == upgrade)
            .and_then(|activation| activation.height)
    }

    /// True when an upgrade's rules hold at a height (`NetworkUpgradeActive`).
    #[must_use]
    pub fn is_active(&self, upgrade: Upgrade, height: u32) -> bool {
        self.height(upgrade).is_some_and(|start| height >= start)
    }

    /// The branch id that signatures at a height commit to.
    #[must_use]
    pub fn branch_id(&self, height: u32) -> u32 {
        if Upgrade::ALL.iter().any(|upgrade| self.is_active(*upgrade, height)) {
            FLUX_BRANCH
        } else {
            BASE_BRANCH
        }
    }

    /// The lowest protocol version of a peer at a height; `base` holds before the first upgrade.
    #[must_use]
    pub fn peer_protocol(&self, height: u32, base: u32) -> u32 {
        self.0
            .iter()
            .rev()
            .find(|activation| activation.height.is_some_and(|start| height >= start))
            .map_or(base, |activation| activation.protocol)
    }
}
