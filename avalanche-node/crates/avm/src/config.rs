//! What differs between networks. Mirrors `vms/avm/config` and `genesis/genesis_*.go`.

use avalanche_ids::Id;
use avalanche_utils::upgrade::Upgrades;

const MILLI_AVAX: u64 = 1_000_000;

/// Parameters of a chain that runs this machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Config {
    /// The network.
    pub network_id: u32,
    /// The chain.
    pub chain_id: Id,
    /// The subnet that validates it.
    pub subnet_id: Id,
    /// The asset that fees are paid in.
    pub fee_asset_id: Id,
    /// When upgrades activate.
    pub upgrades: Upgrades,
    /// Fee of a transaction in nAVAX.
    pub tx_fee: u64,
    /// Fee of a transaction that makes an asset, in nAVAX.
    pub create_asset_fee: u64,
    /// A chain of the same subnet that this node does not run, so that it cannot see what is exported there. Imports from it
    /// are believed in blocks, as the reference does with `partial-sync-primary-network`, and not taken into the mempool.
    pub unseen: Option<Id>,
}

impl Config {
    /// The X-chain of a network.
    #[must_use]
    pub const fn of_network(network_id: u32, chain_id: Id, fee_asset_id: Id) -> Self {
        let create_asset_fee = if matches!(network_id, 1 | 5) { 10 * MILLI_AVAX } else { MILLI_AVAX };
        let upgrades = Upgrades::of_network(network_id);
        let subnet_id = Id::EMPTY;
        Self {
            network_id,
            chain_id,
            subnet_id,
            fee_asset_id,
            upgrades,
            tx_fee: MILLI_AVAX,
            create_asset_fee,
            unseen: None,
        }
    }
}
