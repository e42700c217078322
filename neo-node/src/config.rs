//! Settings of this daemon, beside those that every daemon has. [`native`] reads the files of the C# node and of neo-go.

pub mod native;

use std::{path::PathBuf, time::Duration};

use neo_contract::{Hardforks, ProtocolSettings, hardfork::Hardfork};
use neo_crypto::secp256r1::PublicKey;
use neo_runtime::tokens::Standard;
use shared_vendor::{
    config::{Kind, Setting},
    exit::{self, Report},
    hex,
    log::Secret,
};

shared_vendor::settings! {
    /// The network's constants, peers, consensus, RPC.
    pub struct Config {
        /// Magic number of a private network. Public networks have their own.
        magic: Option<u32> = ["protocol.magic"],
        /// First byte of addresses.
        address_version: Option<u16> = ["protocol.address-version"],
        /// Public keys of the standby committee of a private network; the first ones are its validators.
        committee: Vec<Key> = ["protocol.standby-committee"],
        /// Number of validators of a private network.
        validators: Option<usize> = ["protocol.validators-count"],
        /// Time between blocks.
        block_time: Option<Duration> = ["protocol.block-time"],
        /// Most transactions in one block.
        max_transactions: Option<u32> = ["protocol.max-transactions-per-block"],
        /// How many blocks ahead a transaction may be valid.
        max_valid_until: Option<u32> = ["protocol.max-valid-until-block-increment"],
        /// How many blocks back contracts see.
        max_traceable: Option<u32> = ["protocol.max-traceable-blocks"],
        /// GAS of the first block, in datoshi.
        initial_gas: Option<u64> = ["protocol.initial-gas-distribution"],
        /// Heights of hardforks, as Gorgon=175; none named means all from block 0.
        hardforks: Vec<Fork> = ["protocol.hardforks"],
        /// Most transactions that wait for a block.
        mempool_size: Option<usize> = ["mempool.size"],
        /// Nodes to dial first, NAME:PORT; empty means those of the network.
        seeds: Vec<String> = ["p2p.seeds"],
        /// Peers to have at least; below that the node dials.
        peers_min: usize = ["p2p.min", "10"],
        /// Connections with one address.
        per_address: usize = ["p2p.max-per-address", "3"],
        /// Compress large messages to peers that take them.
        compression: bool = ["p2p.compression", "true"],
        /// NEP-6 wallet with the key of a validator: the node then takes part in consensus.
        wallet: Option<PathBuf> = ["consensus.wallet"],
        /// Password of that wallet.
        password: Option<Secret<String>> = ["consensus.password"],
        /// Largest block to propose or accept, in bytes.
        max_block_size: usize = ["consensus.max-block-size", "2097152"],
        /// Largest sum of system fees of a block, in datoshi.
        max_block_fee: u64 = ["consensus.max-block-system-fee", "150000000000"],
        /// Write change-view messages as nodes before C# 3.10.1 and neo-go 0.121 do.
        old_change_view: bool = ["consensus.old-change-view", "false"],
        /// NEP-6 wallet with the key of a state validator: the node then signs state roots.
        state_wallet: Option<PathBuf> = ["state.wallet"],
        /// Password of that wallet.
        state_password: Option<Secret<String>> = ["state.password"],
        /// Sign state roots with the keys of consensus.wallet when there is no state.wallet.
        state_auto_verify: bool = ["state.auto-verify", "false"],
        /// Most GAS of one invocation over RPC, in datoshi.
        max_gas_invoke: u64 = ["rpc.max-gas-invoke", "2000000000"],
        /// Keep iterators that invocations return, for traverseiterator.
        sessions: bool = ["rpc.sessions", "false"],
        /// How long such a session lives without use.
        session_time: Duration = ["rpc.session-lifetime", "60s"],
        /// Items that one call of traverseiterator returns, and an invocation without sessions.
        max_items: usize = ["rpc.max-iterator-items", "100"],
        /// Entries that findstorage and findstates return.
        page_size: usize = ["rpc.max-find-items", "50"],
        /// Standards whose tokens are indexed, NEP-11 and NEP-17: what accounts hold, and how it came to them.
        trackers: Vec<Tracker> = ["tokens.trackers"],
        /// Index transfers, too.
        token_history: bool = ["tokens.history", "true"],
        /// Most balances, or transfers, of one answer.
        token_results: usize = ["tokens.max-results", "1000"],
        /// Names under which RPC may be asked, beside localhost and addresses.
        rpc_hosts: Vec<String> = ["rpc.allowed-hosts"],
        /// Web pages that may ask RPC, as http://example.org.
        rpc_origins: Vec<String> = ["rpc.allowed-origins"],
    }
}

/// A public key in 66 hexadecimal digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Key(pub PublicKey);

impl Setting for Key {
    const KIND: Kind = Kind::text("a public key in 66 hexadecimal digits");

    fn parse(texts: &[String]) -> Result<Self, String> {
        let key = match texts {
            [text] => hex::decode(text).ok().and_then(|bytes| PublicKey::from_bytes(&bytes)),
            _ => None,
        };
        key.map(Self).ok_or_else(|| Self::KIND.name.to_owned())
    }
}

/// A hardfork and its height.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fork(pub Hardfork, pub u32);

impl Setting for Fork {
    const KIND: Kind = Kind::text("a hardfork and its height, such as Gorgon=175");

    fn parse(texts: &[String]) -> Result<Self, String> {
        let fork = match texts {
            [text] => text.split_once('=').and_then(|(name, height)| {
                let name = name.trim();
                let name = name.strip_prefix("HF_").unwrap_or(name);
                let fork = Hardfork::ALL.into_iter().find(|fork| fork.name() == name)?;
                Some(Self(fork, height.trim().parse().ok()?))
            }),
            _ => None,
        };
        fork.ok_or_else(|| Self::KIND.name.to_owned())
    }
}

/// A standard of tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tracker(pub Standard);

impl Setting for Tracker {
    const KIND: Kind = Kind::text("NEP-11 or NEP-17");

    fn parse(texts: &[String]) -> Result<Self, String> {
        match texts.first().map(String::as_str) {
            Some("NEP-11") => Ok(Self(Standard::Nep11)),
            Some("NEP-17") => Ok(Self(Standard::Nep17)),
            _ => Err(Self::KIND.name.to_owned()),
        }
    }
}

impl Config {
    /// Whether a standard is indexed.
    #[must_use]
    pub fn tracks(&self, standard: Standard) -> bool {
        self.trackers.contains(&Tracker(standard))
    }

    /// Whether tokens are indexed, and with transfers.
    #[must_use]
    pub fn token_index(&self) -> Option<bool> {
        (!self.trackers.is_empty()).then_some(self.token_history)
    }

    /// The constants of the network, with what the configuration changes.
    ///
    /// # Errors
    /// A private network without magic number, committee or validators, or heights of hardforks that go down.
    pub fn protocol(&self, network: &str) -> Result<ProtocolSettings, Report> {
        let mut settings = match network {
            "mainnet" => ProtocolSettings::mainnet(),
            "testnet" => ProtocolSettings::testnet(),
            _ => ProtocolSettings::private(self.magic.ok_or_else(|| missing("protocol.magic"))?),
        };
        if network == "privnet" {
            self.describe(&mut settings)?;
        } else if self.magic.is_some_and(|magic| magic != settings.network) || !self.committee.is_empty() {
            let told = "the configuration describes another network than the one that was chosen";
            return Err(Report::new(exit::BAD_VALUE, told)
                .at(format!("network {network}"))
                .advice("use --network privnet for a network of your own"));
        }
        settings.memory_pool_max_transactions =
            self.mempool_size.unwrap_or(settings.memory_pool_max_transactions);
        if !self.seeds.is_empty() {
            settings.seeds.clone_from(&self.seeds);
        }
        Ok(settings)
    }

    /// What a private network has of its own.
    fn describe(&self, settings: &mut ProtocolSettings) -> Result<(), Report> {
        settings.standby_committee = self.committee.iter().map(|key| key.0).collect();
        settings.validators_count = self.validators.unwrap_or(settings.standby_committee.len());
        if settings.standby_committee.is_empty() {
            return Err(missing("protocol.standby-committee"));
        }
        if !(1..=settings.standby_committee.len()).contains(&settings.validators_count) {
            return Err(invalid("protocol.validators-count is not between 1 and the size of the committee"));
        }
        if let Some(time) = self.block_time {
            let millis = u32::try_from(time.as_millis()).ok().filter(|millis| *millis > 0);
            settings.ms_per_block = millis.ok_or_else(|| invalid("protocol.block-time is out of range"))?;
        }
        if let Some(version) = self.address_version {
            settings.address_version =
                u8::try_from(version).map_err(|_| invalid("protocol.address-version is above 255"))?;
        }
        let set = |value: &mut u32, own: Option<u32>| *value = own.unwrap_or(*value);
        set(&mut settings.max_transactions_per_block, self.max_transactions);
        set(&mut settings.max_valid_until_block_increment, self.max_valid_until);
        set(&mut settings.max_traceable_blocks, self.max_traceable);
        settings.initial_gas_distribution = self.initial_gas.unwrap_or(settings.initial_gas_distribution);
        let forks: Vec<_> = self.hardforks.iter().map(|fork| (fork.0, fork.1)).collect();
        settings.forks = Hardforks::new(&forks).map_err(|err| invalid(&err.to_string()))?;
        Ok(())
    }
}

fn missing(key: &str) -> Report {
    invalid(&format!("{key} is not set"))
        .advice("a private network needs its own constants: name its configuration file with --config")
}

fn invalid(what: &str) -> Report {
    Report::new(exit::BAD_VALUE, what)
}

#[cfg(test)]
mod tests;
