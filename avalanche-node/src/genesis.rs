//! From the JSON description of a network to the bytes of its genesis. Mirrors `genesis/genesis.go` and
//! `genesis/unparsed_config.go`; the chains' own parts are in `platformvm::genesis` and `avm::genesis`.

use std::collections::HashSet;

use avalanche_codec::{CodecError, Text};
use avalanche_crypto::address::{self, AddressError};
use avalanche_ids::{Id, NodeId, ParseIdError, ShortId};
use platformvm::{
    fx::ProofOfPossession,
    genesis::{Allocation, Builder, Chain, Genesis, GenesisError, Staker},
};
use serde::Deserialize;
use shared_vendor::hex::{self, HexError};

const AVM_CHAIN: &str = "X-Chain";
const EVM_CHAIN: &str = "C-Chain";
/// The X-chain's virtual machine.
pub const AVM_ID: Id = Id::from_name("avm");
/// The C-chain's virtual machine.
pub const EVM_ID: Id = Id::from_name("evm");
const FXS: [&str; 3] = ["secp256k1fx", "nftfx", "propertyfx"];

/// Why a description gives no genesis.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// Not JSON of the right shape.
    #[error("malformed genesis JSON")]
    Json(#[from] serde_json::Error),
    /// An address.
    #[error("malformed address")]
    Address(#[from] AddressError),
    /// A node id.
    #[error("malformed node id")]
    NodeId(#[from] ParseIdError),
    /// Hexadecimal text.
    #[error("malformed hexadecimal text")]
    Hex(#[from] HexError),
    /// A text too long for the codec.
    #[error("text too long")]
    Text(#[from] CodecError),
    /// The supply does not fit 64 bits.
    #[error("initial supply overflows")]
    SupplyOverflow,
    /// Staked funds and nobody to stake them.
    #[error("no initial stakers")]
    NoStakers,
    /// A rule of the P-chain.
    #[error("the P-chain's genesis is invalid")]
    Platform(#[from] GenesisError),
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Config {
    #[serde(rename = "networkID")]
    network_id: u32,
    allocations: Vec<ConfigAllocation>,
    start_time: u64,
    initial_stake_duration: u64,
    initial_stake_duration_offset: u64,
    initial_staked_funds: Vec<String>,
    initial_stakers: Vec<ConfigStaker>,
    c_chain_genesis: String,
    message: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct ConfigAllocation {
    eth_addr: String,
    avax_addr: String,
    initial_amount: u64,
    unlock_schedule: Vec<Unlock>,
}

#[derive(Debug, Clone, Copy, Deserialize)]
struct Unlock {
    amount: u64,
    #[serde(default)]
    locktime: u64,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct ConfigStaker {
    #[serde(rename = "nodeID")]
    node_id: String,
    reward_address: String,
    delegation_fee: u32,
    signer: Option<ConfigSigner>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct ConfigSigner {
    public_key: String,
    proof_of_possession: String,
}

/// A network's beginning.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NetworkGenesis {
    /// The network.
    pub network_id: u32,
    /// The P-chain's state, which contains the other chains'.
    pub platform: Genesis,
    /// The asset that pays for everything.
    pub avax_asset_id: Id,
}

impl NetworkGenesis {
    /// Builds the genesis that a JSON description stands for.
    ///
    /// # Errors
    /// As [`ConfigError`] says.
    pub fn from_json(json: &[u8]) -> Result<Self, ConfigError> {
        let config: Config = serde_json::from_slice(json)?;
        let (x_genesis, avax_asset_id) = config.x_chain()?;
        let platform = config.platform(x_genesis, avax_asset_id)?.build()?;
        Ok(Self { network_id: config.network_id, platform, avax_asset_id })
    }

    /// The hash of the P-chain's genesis bytes, by which networks are told apart.
    #[must_use]
    pub fn id(&self) -> Id {
        Id::hash_of(&self.platform.bytes())
    }
}

/// Coins of one owner that may be spent at different times.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Schedule {
    address: ShortId,
    unlocks: Vec<(u64, u64)>,
}

impl Config {
    fn x_chain(&self) -> Result<(Vec<u8>, Id), ConfigError> {
        let mut holders = Vec::new();
        for allocation in self.allocations.iter().filter(|allocation| allocation.initial_amount > 0) {
            let address = owner(&allocation.avax_addr)?;
            holders.push((allocation.initial_amount, address, allocation.eth_address()?));
        }
        holders.sort_by_key(|(amount, address, _)| (*amount, *address));
        let memo = holders.iter().flat_map(|(_, _, eth)| *eth).collect();
        let holders: Vec<_> = holders
            .iter()
            .map(|(amount, address, _)| avm::genesis::Holder { amount: *amount, address: *address })
            .collect();
        let genesis = avm::genesis::Genesis::avax(self.network_id, &holders, memo)?;
        let asset_id = genesis.assets.first().map(avm::genesis::GenesisAsset::id).unwrap_or_default();
        Ok((genesis.bytes(), asset_id))
    }

    fn platform(&self, x_genesis: Vec<u8>, avax_asset_id: Id) -> Result<Builder, ConfigError> {
        let staked_funds: HashSet<_> =
            self.initial_staked_funds.iter().map(|text| owner(text)).collect::<Result<_, _>>()?;
        let (mut allocations, mut staked) = (Vec::new(), Vec::new());
        let mut supply = 0_u64;
        for allocation in &self.allocations {
            let address = owner(&allocation.avax_addr)?;
            let amounts = allocation.unlock_schedule.iter().map(|unlock| unlock.amount);
            supply = amounts
                .chain([allocation.initial_amount])
                .try_fold(supply, u64::checked_add)
                .ok_or(ConfigError::SupplyOverflow)?;
            if staked_funds.contains(&address) {
                let unlocks =
                    allocation.unlock_schedule.iter().map(|unlock| (unlock.amount, unlock.locktime));
                staked.push(Schedule { address, unlocks: unlocks.collect() });
                continue;
            }
            for Unlock { amount, locktime } in
                allocation.unlock_schedule.iter().filter(|unlock| unlock.amount > 0)
            {
                let allocation_of = Allocation { locktime: *locktime, amount: *amount, address };
                allocations.push((allocation_of, allocation.eth_address()?.to_vec()));
            }
        }
        let chain = |name: &str, vm_id, fxs: &[&str], genesis_data| {
            let fx_ids = fxs.iter().map(|fx| Id::from_name(fx)).collect();
            Ok::<_, CodecError>(Chain { name: Text::new(name)?, vm_id, fx_ids, genesis_data })
        };
        Ok(Builder {
            avax_asset_id,
            network_id: self.network_id,
            allocations,
            stakers: self.stakers(&staked)?,
            chains: vec![
                chain(AVM_CHAIN, AVM_ID, &FXS, x_genesis)?,
                chain(EVM_CHAIN, EVM_ID, &[], self.c_chain_genesis.as_bytes().to_vec())?,
            ],
            time: self.start_time,
            initial_supply: supply,
            message: Text::new(self.message.as_str())?,
        })
    }

    fn stakers(&self, staked: &[Schedule]) -> Result<Vec<Staker>, ConfigError> {
        let shares = split(staked, self.initial_stakers.len())?;
        let end = self.start_time.saturating_add(self.initial_stake_duration);
        let mut stakers = Vec::with_capacity(shares.len());
        for ((staker, share), position) in self.initial_stakers.iter().zip(shares).zip(0_u64..) {
            let signer = staker.signer.as_ref().map(ConfigSigner::proof).transpose()?;
            stakers.push(Staker {
                node_id: staker.node_id.parse::<NodeId>()?,
                end_time: end.saturating_sub(self.initial_stake_duration_offset.saturating_mul(position)),
                reward_address: owner(&staker.reward_address)?,
                delegation_fee: staker.delegation_fee,
                staked: share,
                signer,
            });
        }
        Ok(stakers)
    }
}

impl ConfigAllocation {
    fn eth_address(&self) -> Result<[u8; 20], HexError> {
        hex::decode_array(&self.eth_addr)
    }
}

impl ConfigSigner {
    fn proof(&self) -> Result<ProofOfPossession, HexError> {
        Ok(ProofOfPossession {
            public_key: hex::decode_array(&self.public_key)?,
            proof: hex::decode_array(&self.proof_of_possession)?,
        })
    }
}

fn owner(text: &str) -> Result<ShortId, AddressError> {
    address::parse(text).map(|(_, _, owner)| owner)
}

/// Divides what is staked into `parts` of the same amount, in order; the last one takes the rest.
fn split(staked: &[Schedule], parts: usize) -> Result<Vec<Vec<Allocation>>, ConfigError> {
    let amounts = staked.iter().flat_map(|schedule| &schedule.unlocks).map(|(amount, _)| *amount);
    let total = amounts.into_iter().try_fold(0_u64, u64::checked_add).ok_or(ConfigError::SupplyOverflow)?;
    let count = u64::try_from(parts).map_err(|_| ConfigError::NoStakers)?;
    let target = total.checked_div(count).ok_or(ConfigError::NoStakers)?;
    let mut shares = Vec::with_capacity(parts);
    let (mut share, mut held) = (Vec::new(), 0_u64);
    for Schedule { address, unlocks } in staked {
        for (amount, locktime) in unlocks {
            let mut left = *amount;
            while shares.len() + 1 < parts && left > target - held {
                let amount = target - held;
                share.push(Allocation { locktime: *locktime, amount, address: *address });
                shares.push(std::mem::take(&mut share));
                left -= amount;
                held = 0;
            }
            if left > 0 {
                share.push(Allocation { locktime: *locktime, amount: left, address: *address });
                held += left;
            }
        }
    }
    shares.push(share);
    Ok(shares)
}
