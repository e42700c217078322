//! The genesis file: a network's identity as JSON, read and written; and genesis of development networks with publicly
//! known keys.

use serde::{Deserialize, Serialize};

use crate::{
    crypto::derive::interop_key,
    state::{
        Registration,
        genesis::{Genesis, GenesisValidator},
    },
    types::{
        address,
        domain::{DomainType, domain, signing_root},
        operation::DepositMessage,
        params::{Config, POS, Params},
        primitives::{Address, ForkVersion, Nano, PublicKey, Root, Signature},
    },
};

/// Most validators of a development network.
pub const MAX_DEVNET_VALIDATORS: u64 = 8192;
/// Most accounts of a development network that hold coins from the start.
pub const MAX_DEVNET_ACCOUNTS: u32 = 65_536;
/// Of those, the first own the validators.
const OWNERS: u32 = 16;

/// Why a genesis file is refused.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// Not JSON, or not a genesis file.
    #[error("not a genesis file")]
    Json(#[from] serde_json::Error),
    /// A preset that does not exist.
    #[error("unknown preset {0}")]
    Preset(String),
    /// Text that is not what it should be.
    #[error("{what} is malformed: {text}")]
    Text {
        /// Name of the member.
        what: &'static str,
        /// What was found.
        text: String,
    },
    /// An override that is out of its range.
    #[error("{0} is out of range")]
    Range(&'static str),
}

/// The file.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    chain_id: u64,
    preset: String,
    #[serde(default)]
    config: Overrides,
    genesis_time: u64,
    fork_version: String,
    accounts: Vec<FileAccount>,
    validators: Vec<FileValidator>,
}

/// Constants that a genesis may change.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Overrides {
    #[serde(skip_serializing_if = "Option::is_none")]
    slot_ms: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    block_gas_limit: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    min_base_fee: Option<u64>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct FileAccount {
    address: String,
    balance: u64,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct FileValidator {
    pubkey: String,
    proof: String,
    owner: String,
    amount: u64,
    commission_bps: u16,
    max_commission_bps: u16,
    effective_cap: u64,
    fee_recipient: String,
}

/// Reads a genesis file.
///
/// # Errors
/// What is wrong with it. Whether the genesis itself is valid says [`Genesis::build`].
pub fn parse(text: &str) -> Result<Genesis, FileError> {
    let file: File = serde_json::from_str(text)?;
    let mut params = match file.preset.as_str() {
        "mainnet" => Params::mainnet(),
        "minimal" => Params::minimal(),
        other => return Err(FileError::Preset(other.to_owned())),
    };
    if let Some(slot_ms) = file.config.slot_ms {
        if !(1000..=60_000).contains(&slot_ms) {
            return Err(FileError::Range("slot_ms"));
        }
        params.slot_ms = slot_ms;
        // a full block takes a third of a slot
        params.block_gas_limit = slot_ms.saturating_mul(1_000_000_000) / 3000;
    }
    if let Some(limit) = file.config.block_gas_limit {
        if !(100_000_000..=20_000_000_000).contains(&limit) {
            return Err(FileError::Range("block_gas_limit"));
        }
        params.block_gas_limit = limit;
    }
    if let Some(fee) = file.config.min_base_fee {
        if !(1..=1_000_000_000).contains(&fee) {
            return Err(FileError::Range("min_base_fee"));
        }
        params.min_base_fee = fee;
        params.initial_base_fee = params.initial_base_fee.max(fee);
    }
    let genesis_fork_version: ForkVersion = shared_vendor::hex::decode_array(&file.fork_version)
        .map_err(|_| FileError::Text { what: "fork_version", text: file.fork_version.clone() })?;
    let config =
        Config { params, chain_id: file.chain_id, genesis_fork_version, genesis_time: file.genesis_time };
    let account = |entry: &FileAccount| Ok((address_of("address", &entry.address)?, entry.balance));
    let accounts = file.accounts.iter().map(account).collect::<Result<_, FileError>>()?;
    let validators = file.validators.iter().map(validator).collect::<Result<_, FileError>>()?;
    Ok(Genesis { config, accounts, validators })
}

fn validator(entry: &FileValidator) -> Result<GenesisValidator, FileError> {
    let text = |what, text: &str| FileError::Text { what, text: text.to_owned() };
    let pubkey: PublicKey = entry.pubkey.parse().map_err(|_| text("pubkey", &entry.pubkey))?;
    let proof: Signature = entry.proof.parse().map_err(|_| text("proof", &entry.proof))?;
    let registration = Registration {
        owner: address_of("owner", &entry.owner)?,
        commission_bps: entry.commission_bps,
        max_commission_bps: entry.max_commission_bps,
        effective_cap: entry.effective_cap,
        fee_recipient: address_of("fee_recipient", &entry.fee_recipient)?,
    };
    Ok(GenesisValidator { pubkey, proof, amount: entry.amount, registration })
}

/// An address as text with prefix or as 64 hexadecimal digits.
fn address_of(what: &'static str, text: &str) -> Result<Address, FileError> {
    let malformed = || FileError::Text { what, text: text.to_owned() };
    let prefixed = |prefix| address::from_text(text, prefix).ok();
    text.parse()
        .ok()
        .or_else(|| prefixed(address::MAINNET_PREFIX))
        .or_else(|| prefixed(address::TESTNET_PREFIX))
        .ok_or_else(malformed)
}

/// Plan of a development network.
#[derive(Debug, Clone, Copy)]
pub struct Devnet {
    /// Validators, with the interop keys from 0 on.
    pub validators: u64,
    /// Length of a slot.
    pub slot_ms: u64,
    /// Start of slot 0 in Unix seconds.
    pub genesis_time: u64,
    /// Number of the chain.
    pub chain_id: u64,
    /// Accounts that hold coins, those that own the validators included.
    pub accounts: u32,
}

/// Secret seed of the account number `index` of development networks.
#[must_use]
pub fn devnet_account(index: u32) -> [u8; 32] {
    let mut seed = *b"pos-node development account####";
    if let Some(last) = seed.last_chunk_mut() {
        *last = index.to_be_bytes();
    }
    seed
}

/// Address of the account number `index` of development networks.
#[must_use]
pub fn devnet_address(index: u32) -> Address {
    address::single(&crate::crypto::ed25519::public_key(&devnet_account(index)))
}

/// The text of the genesis file of a development network.
///
/// # Errors
/// Never for keys that exist.
pub fn devnet(plan: Devnet) -> Result<String, FileError> {
    let params = Params::minimal();
    let version = [0, 0, 0, 1];
    let amount: Nano = 32 * POS;
    let owner_of = |index: u64| devnet_address(u32::try_from(index % u64::from(OWNERS)).unwrap_or(0));
    let entry = |index: u64| {
        let key = interop_key(index).map_err(|_| FileError::Range("validators"))?;
        let owner = owner_of(index);
        let message = DepositMessage { pubkey: key.public_key(), owner: Root(owner.0), amount };
        let domain = domain(DomainType::Deposit.bytes(), version, Root::ZERO);
        Ok(FileValidator {
            pubkey: key.public_key().to_string(),
            proof: key.sign(&signing_root(&message, domain)).to_string(),
            owner: owner.to_string(),
            amount,
            commission_bps: 500,
            max_commission_bps: 2000,
            effective_cap: params.max_effective_balance,
            fee_recipient: owner.to_string(),
        })
    };
    let account =
        |index: u32| FileAccount { address: devnet_address(index).to_string(), balance: 10_000 * POS };
    let file = File {
        chain_id: plan.chain_id,
        preset: "minimal".to_owned(),
        config: Overrides { slot_ms: Some(plan.slot_ms), ..Overrides::default() },
        genesis_time: plan.genesis_time,
        fork_version: format!("0x{}", shared_vendor::hex::encode(version)),
        accounts: (0..plan.accounts).map(account).collect(),
        validators: (0..plan.validators).map(entry).collect::<Result<_, FileError>>()?,
    };
    Ok(serde_json::to_string_pretty(&file)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_genesis_of_a_development_network_is_valid_and_reads_back() {
        let plan =
            Devnet { validators: 3, slot_ms: 1000, genesis_time: 1_800_000_000, chain_id: 9, accounts: 20 };
        let text = devnet(plan).unwrap();
        let genesis = parse(&text).unwrap();
        assert_eq!((genesis.validators.len(), genesis.config.params.slot_ms), (3, 1000));
        let start = genesis.build().unwrap();
        assert_eq!(start.state.validators.len(), 3);
        let other = parse(&text.replace("\"chain_id\": 9", "\"chain_id\": 8")).unwrap();
        assert_ne!(other.build().unwrap().block.root(), start.block.root(), "the chain id is part of it");
    }

    #[test]
    fn what_does_not_belong_into_a_genesis_file_is_refused() {
        let plan = Devnet { validators: 1, slot_ms: 1000, genesis_time: 0, chain_id: 9, accounts: 16 };
        let text = devnet(plan).unwrap();
        for (from, to) in [
            ("\"chain_id\"", "\"chainid\""),
            ("\"minimal\"", "\"maximal\""),
            ("\"slot_ms\": 1000", "\"slot_ms\": 999"),
            ("\"owner\": \"0x", "\"owner\": \"0xzz"),
        ] {
            assert!(parse(&text.replace(from, to)).is_err(), "{from}");
        }
    }
}
