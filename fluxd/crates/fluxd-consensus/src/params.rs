//! Constants of the three networks as values. Mirrors `src/chainparams.cpp`; nothing here is global.

mod main;
mod regtest;
mod test;

use fluxd_fluxnode::{NodeRules, Transition};
use fluxd_pon::{PonRules, emergency::EmergencyRules};
use fluxd_pow::{difficulty::PowRules, equihash::Parameters};
use fluxd_primitives::{
    Address, AddressFormat, Amount, Block, BlockHash, BlockHeader, COIN, CompactTarget, Hash256, OutPoint,
    Proof, PublicKey, Script, Transaction, TxId, TxIn, TxOut, U256, block::merkle_root,
    hash::BlockHash as Id,
};
use fluxd_script::instruction::pay_to;
use shared_vendor::hex;

use crate::upgrades::{Activation, Upgrade, Upgrades};

/// The networks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Network {
    /// The main network.
    Main,
    /// The public test network.
    Test,
    /// A private network for regression tests.
    Regtest,
}

impl Network {
    /// The name that RPC replies and data directories use.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Main => "main",
            Self::Test => "test",
            Self::Regtest => "regtest",
        }
    }
}

/// A payment that the coinbase of one height must contain exactly.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Funding {
    /// Heights that must pay.
    pub heights: Vec<u32>,
    /// The value of the output.
    pub amount: Amount,
    /// Who is paid.
    pub address: &'static str,
}

/// A key that is valid from a point in time on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TimedKey {
    /// The key.
    pub key: PublicKey,
    /// Seconds since the epoch.
    pub from: u32,
}

/// How many transactions a network had when its last known block was chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KnownTransactions {
    /// Their number; 0 where it is not known.
    pub count: u64,
    /// Time of the last of them, unix seconds.
    pub until: u32,
    /// How many there are in a day since then.
    pub per_day: u32,
}

/// Everything that distinguishes a network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Params {
    /// Which network.
    pub network: Network,
    /// First bytes of every message and of every record in the block files.
    pub magic: [u8; 4],
    /// Default port of the peer-to-peer network.
    pub port: u16,
    /// Textual forms.
    pub addresses: AddressFormat,
    /// Number of the coin in BIP 44 paths.
    pub bip44_coin: u32,
    /// Heights below are never pruned.
    pub prune_after: u32,
    /// Upgrades.
    pub upgrades: Upgrades,
    /// Proof of work.
    pub pow: PowRules,
    /// Equihash parameters before, between and after the two forks.
    pub equihash: [Parameters; 3],
    /// Blocks after a fork that still accept the earlier parameters.
    pub fade_length: u32,
    /// Proof of node.
    pub pon: PonRules,
    /// Coinbase value may leave the transparent pool only through a shielded one, until the rebrand.
    pub protect_coinbase: bool,
    /// Blocks of the slow start of the subsidy.
    pub slow_start: i64,
    /// Blocks between halvings.
    pub halving_interval: i64,
    /// Whole FLUX of the first PoN subsidy.
    pub pon_subsidy: i64,
    /// Blocks between reductions of the PoN subsidy.
    pub pon_reduction_interval: i64,
    /// Most reductions of the PoN subsidy.
    pub pon_max_reductions: i64,
    /// Payment of the rebrand to the exchange fund.
    pub exchange_fund: Funding,
    /// Payment of the rebrand to the foundation.
    pub foundation_fund: Funding,
    /// Payments of the rebrand to the swap pool.
    pub swap_pool: Funding,
    /// Who is paid the rest of the PoN subsidy.
    pub dev_fund: &'static str,
    /// First height whose payouts to nodes are enforced.
    pub node_payments_from: u32,
    /// Fluxnodes.
    pub nodes: NodeRules,
    /// Keys that sign benchmarks.
    pub benchmark_keys: Vec<TimedKey>,
    /// Keys that could start nodes with P2SH collateral before version 6.
    pub foundation_keys: Vec<TimedKey>,
    /// Key of network alerts; empty where there is none.
    pub alert_key: PublicKey,
    /// Work of a chain that may be trusted to be recent; zero where none is known.
    pub minimum_work: U256,
    /// Known blocks: height and display form of the hash.
    pub checkpoints: &'static [(u32, &'static str)],
    /// Transactions up to the last known block: what progress is measured by.
    pub known_transactions: KnownTransactions,
    /// Names that resolve to peers.
    pub seeds: &'static [&'static str],
    /// The first block.
    pub genesis: Block,
}

impl Params {
    /// The parameters of a network.
    #[must_use]
    pub fn of(network: Network) -> Self {
        match network {
            Network::Main => main::params(),
            Network::Test => test::params(),
            Network::Regtest => regtest::params(),
        }
    }

    /// The same network with an upgrade at another height, for private networks: every rule that looks at the height
    /// moves with it.
    #[must_use]
    pub fn with_activation(mut self, upgrade: Upgrade, height: u32) -> Self {
        for activation in &mut self.upgrades.0 {
            if activation.upgrade == upgrade {
                activation.height = Some(height);
                activation.block = None;
            }
        }
        match upgrade {
            Upgrade::Lwma => self.pow.lwma = Some(height),
            Upgrade::Equihash144 => {
                self.pow.first_fade_end = fade_end(&self.upgrades, upgrade, self.fade_length);
            }
            Upgrade::Acadia => self.pow.lwma3 = Some(height),
            Upgrade::Kamiooka => {
                self.pow.second_fade_end = fade_end(&self.upgrades, upgrade, self.fade_length);
            }
            Upgrade::Kamata => {}
            Upgrade::Flux => self.nodes.flux = Some(height),
            Upgrade::Halving => self.nodes.halving = Some(height),
            Upgrade::P2shNodes => self.nodes.p2sh_nodes = Some(height),
            Upgrade::Pon => {
                self.nodes.pon = Some(height);
                self.pon.activation = i64::from(height);
            }
        }
        self
    }

    /// The known block at a height, if there is one. The genesis block is one on every network.
    #[must_use]
    pub fn checkpoint(&self, height: u32) -> Option<BlockHash> {
        if height == 0 {
            return Some(self.genesis.header.hash());
        }
        let (_, hash) = self.checkpoints.iter().find(|(known, _)| *known == height)?;
        hash.parse().ok()
    }

    /// The Equihash parameters that a height accepts, preferred first (`validEHparameterList`).
    #[must_use]
    pub fn equihash_at(&self, height: u32) -> Vec<Parameters> {
        let [first, second, third] = self.equihash;
        let faded = height.saturating_sub(self.fade_length);
        let active = |upgrade, height| self.upgrades.is_active(upgrade, height);
        if active(Upgrade::Kamiooka, faded) {
            vec![third]
        } else if active(Upgrade::Kamiooka, height) {
            vec![third, second]
        } else if active(Upgrade::Equihash144, faded) {
            vec![second]
        } else if active(Upgrade::Equihash144, height) {
            vec![second, first]
        } else {
            vec![first]
        }
    }

    /// The benchmark key at a time: the last whose start is not later.
    #[must_use]
    pub fn benchmark_key(&self, time: u32) -> Option<&PublicKey> {
        key_at(&self.benchmark_keys, time)
    }

    /// The foundation key at a time.
    #[must_use]
    pub fn foundation_key(&self, time: u32) -> Option<&PublicKey> {
        key_at(&self.foundation_keys, time)
    }

    /// The script that a funding output pays to; empty for text that is no address, which no constant is.
    #[must_use]
    pub fn funding_script(&self, address: &str) -> Script {
        Address::decode(address, &self.addresses).map(|address| pay_to(&address)).unwrap_or_default()
    }

    /// The deepest reorganization that a chain of this height accepts, in blocks.
    #[must_use]
    pub fn max_reorg_depth(&self, tip_height: u32) -> u32 {
        if self.network == Network::Main && (RECOVERY_FROM..=RECOVERY_TO).contains(&tip_height) {
            RECOVERY_REORG_DEPTH
        } else {
            MAX_REORG_DEPTH
        }
    }
}

/// Deepest reorganization.
const MAX_REORG_DEPTH: u32 = 40;
/// Heights of the recovery after the first PoN blocks, where deeper reorganizations were allowed.
const RECOVERY_FROM: u32 = 2_020_000;
const RECOVERY_TO: u32 = 2_025_000;
const RECOVERY_REORG_DEPTH: u32 = 5000;

/// What the coinbase of every genesis block says.
const GENESIS_TEXT: &[u8] = b"Zelcash06f40b01ab1f135bd96c5d72f8e37c7906dc216dcaaa36fcd00ebf9b8e109567";
/// The key that it pays nothing to.
const GENESIS_KEY: &str = "04678afdb0fe5548271967f1a67130b7105cd6a828e03909a67962e0ea1f61deb649f6bc3f4cef38c4f35504e51ec112de5c384df7ba0b8d578a4c702b6bf11d5f";

fn key_at(keys: &[TimedKey], time: u32) -> Option<&PublicKey> {
    keys.iter().rev().find(|key| key.from <= time).map(|key| &key.key)
}

/// A genesis block, whose transaction is the same on every network.
fn genesis(time: u32, nonce: u16, solution: &str, bits: u32) -> Block {
    let text_length = u8::try_from(GENESIS_TEXT.len()).unwrap_or_default();
    let script_sig = [&[4, 0xff, 0xff, 0x07, 0x1f, 1, 4, text_length][..], GENESIS_TEXT].concat();
    let coinbase = Transaction {
        version: 1,
        inputs: vec![TxIn { prevout: OutPoint::NULL, script_sig: Script(script_sig), sequence: u32::MAX }],
        outputs: vec![TxOut {
            value: Amount::ZERO,
            script_pubkey: Script(
                [&[65][..], &constant(GENESIS_KEY), &[fluxd_script::opcode::CHECKSIG]].concat(),
            ),
        }],
        ..Transaction::default()
    };
    let mut nonce_bytes = [0; 32];
    for (to, from) in nonce_bytes.iter_mut().zip(nonce.to_le_bytes()) {
        *to = from;
    }
    Block {
        header: BlockHeader {
            version: 4,
            prev: Id::ZERO,
            merkle_root: merkle_root(&[coinbase.txid()]).root,
            sapling_root: Hash256::ZERO,
            time,
            bits: CompactTarget(bits),
            proof: Proof::Work { nonce: Hash256(nonce_bytes), solution: constant(solution) },
        },
        transactions: vec![coinbase],
    }
}

/// A target whose leading bytes are given and whose other bytes repeat the last of them.
fn target(leading: [u8; 4]) -> U256 {
    let mut bytes = [leading[3]; 32];
    for (to, from) in bytes.iter_mut().zip(leading) {
        *to = from;
    }
    U256::from_be_bytes(bytes)
}

fn constant(text: &str) -> Vec<u8> {
    hex::decode(text).expect("a constant of this crate is hexadecimal text")
}

fn key(text: &str) -> PublicKey {
    PublicKey::from_serialized(&constant(text))
}

fn keys(list: &[(&str, u32)]) -> Vec<TimedKey> {
    list.iter().map(|(text, from)| TimedKey { key: key(text), from: *from }).collect()
}

fn flux(coins: i64) -> Amount {
    Amount::from_zat(coins * COIN)
}

fn emergency(key_texts: [&str; 4], required: usize, any_signature: bool) -> EmergencyRules {
    EmergencyRules {
        collateral: OutPoint { txid: TxId([0x11; 32]), index: 0 },
        keys: key_texts.iter().map(|text| key(text)).collect(),
        required,
        any_signature,
    }
}

/// The collateral of test networks that needs no signature: "TESTPON" without its vowel, in display order.
fn bypass() -> OutPoint {
    let mut bytes = [0; 32];
    for (to, from) in bytes.iter_mut().rev().zip([0x54, 0x45, 0x53, 0x54, 0x4e, 0x4f, 0x44]) {
        *to = from;
    }
    OutPoint { txid: TxId(bytes), index: 0 }
}

/// One row per upgrade: height, protocol, known block.
fn upgrades(rows: [(Option<u32>, u32, Option<&'static str>); 9]) -> Upgrades {
    let mut activations =
        Upgrade::ALL.map(|upgrade| Activation { upgrade, height: None, protocol: 0, block: None });
    for (activation, (height, protocol, block)) in activations.iter_mut().zip(rows) {
        *activation = Activation { upgrade: activation.upgrade, height, protocol, block };
    }
    Upgrades(activations)
}

/// The last height at which the parameters before an upgrade are accepted, as the difficulty rules use it.
fn fade_end(upgrades: &Upgrades, upgrade: Upgrade, fade_length: u32) -> Option<u32> {
    upgrades.height(upgrade).map(|height| height + fade_length - 1)
}

/// The periods of fluxnodes, with the collateral changes of the three tiers as `begin, end`.
fn nodes(upgrades: &Upgrades, transitions: [(u32, u32); 3]) -> NodeRules {
    NodeRules {
        flux: upgrades.height(Upgrade::Flux),
        halving: upgrades.height(Upgrade::Halving),
        p2sh_nodes: upgrades.height(Upgrade::P2shNodes),
        pon: upgrades.height(Upgrade::Pon),
        transitions: transitions.map(|(begin, end)| Transition { begin, end }),
    }
}

/// Heights that begin at `start` and repeat.
fn heights(start: u32, interval: u32, times: u32) -> Vec<u32> {
    (0..times).map(|time| start + time * interval).collect()
}
