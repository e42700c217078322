//! What differs between networks: upgrades, staking and fees. Mirrors `genesis/genesis_*.go` and
//! `vms/platformvm/config/internal.go`.

use avalanche_ids::Id;
use avalanche_utils::upgrade::{Fork, Upgrades};
use avalanche_vm::gas;

use crate::{reward, validator_fee};

const AVAX: u64 = 1_000_000_000;
const HOUR: u64 = 3600;
const DAY: u64 = 24 * HOUR;
/// Part of the time online that is asked of validators that start since Helicon (ACP-267).
const HELICON_UPTIME: f64 = 0.9;

/// Rules of staking on the primary network.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Staking {
    /// Smallest stake of a validator, in nAVAX.
    pub min_validator_stake: u64,
    /// Largest weight of a validator with its delegators, in nAVAX.
    pub max_validator_stake: u64,
    /// Smallest stake of a delegator, in nAVAX.
    pub min_delegator_stake: u64,
    /// Smallest share of delegators' rewards, in millionths.
    pub min_delegation_fee: u32,
    /// Shortest stake, in seconds; since Helicon only of delegators and subnet validators.
    pub min_stake_duration: u64,
    /// Longest stake, in seconds.
    pub max_stake_duration: u64,
    /// Shortest stake of a validator since Helicon, in seconds.
    pub helicon_min_stake_duration: u64,
    /// Part of the time that must have been spent online to be preferred for a reward; before Helicon.
    pub uptime_requirement: f64,
    /// How rewards are computed.
    pub rewards: reward::Config,
}

/// Parameters of a network's P-chain.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Config {
    /// The network.
    pub network_id: u32,
    /// The asset that pays for everything.
    pub avax_asset_id: Id,
    /// When upgrades activate.
    pub upgrades: Upgrades,
    /// Rules of staking.
    pub staking: Staking,
    /// The market of gas.
    pub gas: gas::Config,
    /// The fee of L1 validators.
    pub validator_fee: validator_fee::Config,
    /// A chain of the same subnet that this node does not run, so that it cannot see what is exported there. Imports from it
    /// are believed in blocks, as the reference does with `partial-sync-primary-network`, and not taken into the mempool.
    pub unseen: Option<Id>,
}

impl Config {
    /// The network of this id.
    #[must_use]
    pub const fn of_network(network_id: u32, avax_asset_id: Id) -> Self {
        let (min_validator_stake, min_delegator_stake, min_stake_duration, helicon_min_stake_duration) =
            match network_id {
                1 => (2_000 * AVAX, 25 * AVAX, 14 * DAY, 48 * HOUR),
                5 => (AVAX, AVAX, DAY, 12 * HOUR),
                _ => (2_000 * AVAX, 25 * AVAX, DAY, HOUR),
            };
        let (min_price, excess_conversion_constant) = match network_id {
            1 => (512, 1_246_488_515),
            5 => (512, 51_937_021),
            _ => (1, 865_617),
        };
        Self {
            network_id,
            avax_asset_id,
            upgrades: Upgrades::of_network(network_id),
            staking: Staking {
                min_validator_stake,
                max_validator_stake: 3_000_000 * AVAX,
                min_delegator_stake,
                min_delegation_fee: 20_000,
                min_stake_duration,
                max_stake_duration: 365 * DAY,
                helicon_min_stake_duration,
                uptime_requirement: 0.8,
                rewards: reward::Config::primary_network(),
            },
            gas: gas::Config::p_chain(),
            validator_fee: validator_fee::Config {
                capacity: 20_000,
                target: 10_000,
                min_price,
                excess_conversion_constant,
            },
            unseen: None,
        }
    }

    /// Part of the time online that a validator of the primary network is asked for that started then (Unix seconds).
    #[must_use]
    pub fn uptime_requirement(&self, start: u64) -> f64 {
        if self.is_active(Fork::Helicon, start) { HELICON_UPTIME } else { self.staking.uptime_requirement }
    }

    /// True when an upgrade is active at a chain time (Unix seconds).
    #[must_use]
    pub fn is_active(&self, fork: Fork, time: u64) -> bool {
        self.upgrades.is_active(fork, i64::try_from(time).unwrap_or(i64::MAX))
    }
}
