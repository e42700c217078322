//! Constants of one network as a value: identifiers, limits, and the height at which each rule change begins.
//!
//! Passed down, never global. Mirrors `org/ethereum/config/Constants.java` and `config/{main,testnet,...}.conf`.
//! Only rule changes that a header shows are listed; those of the virtual machine are not.

use std::fmt;

use crate::types::{BlockHash, BlockNumber, Difficulty};

/// The networks that are known by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Network {
    /// The Rootstock main network.
    Mainnet,
    /// The public test network.
    Testnet,
    /// A second set of test network rules under another chain id.
    Testnet2,
    /// A private network for tests: no minimum work, no clock rules.
    Regtest,
    /// The development network of the reference implementation. Its genesis state is not published, so nothing here
    /// can start from its genesis.
    Devnet,
}

impl Network {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Mainnet, Self::Testnet, Self::Testnet2, Self::Regtest, Self::Devnet];

    /// The name used on the command line and in the data directory.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Mainnet => "mainnet",
            Self::Testnet => "testnet",
            Self::Testnet2 => "testnet2",
            Self::Regtest => "regtest",
            Self::Devnet => "devnet",
        }
    }

    /// The network of that name; the reference's short form `main` works too.
    #[must_use]
    pub fn by_name(name: &str) -> Option<Self> {
        if name == "main" {
            return Some(Self::Mainnet);
        }
        Self::ALL.into_iter().find(|network| network.name() == name)
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A rule change that a header client must know, by its RSKIP number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Rskip {
    /// Merkle proof and coinbase leave the block hash; the proof becomes a plain list of siblings.
    R92,
    /// No reset to the minimum difficulty after ten minutes without a block.
    R97,
    /// No fallback mining by signature; the Bitcoin header is exactly 80 bytes.
    R98,
    /// Fork-detection data in the hash for merged mining.
    R110,
    /// Unitrie roots.
    R126,
    /// Parallel execution edges in the header.
    R144,
    /// Difficulty moves by 1/400 instead of 1/50.
    R156,
    /// Bitcoin and Rootstock times must be close.
    R179,
    /// Merkle proof of at most 960 bytes.
    R180,
    /// Higher minimum difficulty on test networks.
    R290,
    /// Wider time difference on test networks.
    R297,
    /// Extensible (versioned, compressible) headers.
    R351,
    /// Base event in the header.
    R535,
    /// A root for merged mining of several chains in the header.
    Umm,
}

/// First height of each rule change; `None` is never.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Activations {
    /// RSKIP 92, 97 and 98 come with this upgrade.
    pub orchid: Option<u64>,
    /// Test networks and regtest never switch RSKIP-97 on.
    pub rskip97: Option<u64>,
    /// RSKIP 110 and 126.
    pub wasabi100: Option<u64>,
    /// RSKIP 156.
    pub papyrus200: Option<u64>,
    /// RSKIP-UMM.
    pub umm: Option<u64>,
    /// RSKIP 179 and 180.
    pub iris300: Option<u64>,
    /// RSKIP 297.
    pub hop400: Option<u64>,
    /// RSKIP 290.
    pub rskip290: Option<u64>,
    /// RSKIP 144.
    pub rskip144: Option<u64>,
    /// RSKIP 351.
    pub rskip351: Option<u64>,
    /// RSKIP 535.
    pub rskip535: Option<u64>,
}

/// Constants of one network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Params {
    /// Which network this is.
    pub network: Network,
    /// Chain id of EIP-155; what `net_version` and `eth_chainId` answer.
    pub chain_id: u64,
    /// Identifier in the peer-to-peer handshake and in discovery packets.
    pub network_id: u64,
    /// Default port for peers (TCP) and discovery (UDP).
    pub p2p_port: u16,
    /// `host:port` of the discovery bootstrap nodes.
    pub bootstrap_nodes: &'static [&'static str],
    /// Seconds per block at which the difficulty stays.
    pub block_interval: i32,
    /// Least difficulty before RSKIP-290 (which raises it on test networks only).
    pub minimum_difficulty: Difficulty,
    /// A header below orchid may be signed instead of mined up to this difficulty.
    pub fallback_mining_difficulty: Difficulty,
    /// How far a header may lie in the future, in seconds; `None` switches all rules about time off.
    pub max_future_seconds: Option<u64>,
    /// When rule changes begin.
    pub activations: Activations,
    /// A block that this program was built to trust, for those who do not start at genesis.
    pub checkpoint: Option<Checkpoint>,
    /// The block at height 0; `None` for the development network, whose genesis state root is not published.
    pub genesis: Option<Genesis>,
}

/// A block that is trusted to be on the chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Checkpoint {
    /// Its height.
    pub number: BlockNumber,
    /// Its hash.
    pub hash: BlockHash,
    /// Difficulties of all blocks up to it, uncles included: `totalDifficulty` in an answer of a full node.
    pub total_difficulty: Difficulty,
}

impl fmt::Display for Checkpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.number, self.hash, self.total_difficulty)
    }
}

impl std::str::FromStr for Checkpoint {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let form = "it is not of the form NUMBER:HASH:TOTAL-DIFFICULTY";
        let [number, hash, total] = text.split(':').collect::<Vec<_>>()[..] else {
            return Err(form.to_owned());
        };
        let total = total.parse().map_err(|_| format!("`{total}` is not a sum of difficulties"))?;
        let number = number.parse().map_err(|_| format!("`{number}` is not a height"))?;
        if number == 0 {
            return Err("genesis needs no checkpoint".to_owned());
        }
        Ok(Self {
            number: BlockNumber(number),
            hash: hash.parse().map_err(|_| format!("`{hash}` is not a hash"))?,
            total_difficulty: Difficulty(total),
        })
    }
}

/// What is particular to the genesis header of a network. Its other fields are the same in all of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Genesis {
    /// Hash that everybody knows.
    pub hash: BlockHash,
    /// Root of the state trie. Stated by the genesis files or seen in a running node, never computed here.
    pub state_root: [u8; 32],
    /// Difficulty as encoded: kept with the leading zeros of the genesis file.
    pub difficulty: &'static [u8],
    /// Gas limit as encoded, without leading zeros.
    pub gas_limit: &'static [u8],
    /// Time of the block.
    pub timestamp: u64,
    /// Free bytes.
    pub extra_data: &'static [u8],
    /// Lowest gas price as encoded.
    pub minimum_gas_price: &'static [u8],
}

/// Least gas limit of a block.
pub const MINIMUM_GAS_LIMIT: u64 = 3_000_000;
/// The gas limit moves by at most one part in this many per block.
pub const GAS_LIMIT_BOUND_DIVISOR: u64 = 1024;
/// Longest extra data of a header, in bytes.
pub const MAXIMUM_EXTRA_DATA_LEN: usize = 32;
/// Longest Merkle proof from RSKIP-180 on, in bytes.
pub const MAXIMUM_MERKLE_PROOF_LEN: usize = 960;
/// Headers below this height have no fork-detection data; it is also how many ancestors its check looks at.
pub const FORK_DETECTION_WINDOW: u64 = 449;
/// Test network headers below this height may lack the base event.
pub const BASE_EVENT_RECOVERY_END: u64 = 7_800_000;

const FALLBACK_MINING_DIFFICULTY: u64 = 14_000_000_000_000_000;
const TESTNET_MINIMUM_DIFFICULTY: u64 = 131_072;
const TESTNET_MINIMUM_DIFFICULTY_RSKIP290: u64 = 550_000_000;

impl Params {
    /// Constants of the named network.
    #[must_use]
    pub fn of(network: Network) -> Self {
        match network {
            Network::Mainnet => Self::mainnet(),
            Network::Testnet => Self::testnet(),
            Network::Testnet2 => Self::testnet2(),
            Network::Regtest => Self::regtest(),
            Network::Devnet => Self::devnet(),
        }
    }

    /// The main network.
    #[must_use]
    pub fn mainnet() -> Self {
        Self {
            network: Network::Mainnet,
            chain_id: 30,
            network_id: 775,
            p2p_port: 5050,
            bootstrap_nodes: MAINNET_BOOTSTRAP,
            block_interval: 14,
            minimum_difficulty: Difficulty::from_u64(FALLBACK_MINING_DIFFICULTY / 2),
            fallback_mining_difficulty: Difficulty::from_u64(FALLBACK_MINING_DIFFICULTY),
            max_future_seconds: Some(60),
            activations: Activations {
                orchid: Some(729_000),
                rskip97: Some(729_000),
                wasabi100: Some(1_591_000),
                papyrus200: Some(2_392_700),
                umm: Some(2_392_700),
                iris300: Some(3_614_800),
                hop400: Some(4_598_500),
                rskip290: Some(4_598_500),
                rskip144: None,
                rskip351: None,
                rskip535: None,
            },
            checkpoint: Some(MAINNET_CHECKPOINT),
            genesis: Some(MAINNET_GENESIS),
        }
    }

    /// The public test network.
    #[must_use]
    pub fn testnet() -> Self {
        Self {
            network: Network::Testnet,
            chain_id: 31,
            network_id: 8100,
            p2p_port: 50505,
            bootstrap_nodes: TESTNET_BOOTSTRAP,
            block_interval: 14,
            minimum_difficulty: Difficulty::from_u64(TESTNET_MINIMUM_DIFFICULTY),
            fallback_mining_difficulty: Difficulty::from_u64(FALLBACK_MINING_DIFFICULTY),
            max_future_seconds: Some(540),
            activations: Activations {
                orchid: Some(0),
                rskip97: None,
                wasabi100: Some(0),
                papyrus200: Some(863_000),
                umm: Some(863_000),
                iris300: Some(2_060_500),
                hop400: Some(3_103_000),
                rskip290: Some(2_581_800),
                rskip144: Some(7_139_600),
                rskip351: Some(7_139_600),
                rskip535: Some(7_604_200),
            },
            checkpoint: Some(TESTNET_CHECKPOINT),
            genesis: Some(TESTNET_GENESIS),
        }
    }

    /// The second test network: the first one's rules up to arrowhead. Its nodes do not use discovery.
    #[must_use]
    pub fn testnet2() -> Self {
        let testnet = Self::testnet();
        Self {
            network: Network::Testnet2,
            chain_id: 34,
            bootstrap_nodes: &[],
            checkpoint: None,
            activations: Activations {
                rskip144: None,
                rskip351: None,
                rskip535: None,
                ..testnet.activations
            },
            ..testnet
        }
    }

    /// A private network for tests.
    #[must_use]
    pub fn regtest() -> Self {
        Self {
            network: Network::Regtest,
            chain_id: 33,
            network_id: 7771,
            p2p_port: 50501,
            bootstrap_nodes: &[],
            block_interval: 10,
            minimum_difficulty: Difficulty::from_u64(1),
            fallback_mining_difficulty: Difficulty::ZERO,
            max_future_seconds: None,
            activations: Activations {
                orchid: Some(0),
                rskip97: None,
                wasabi100: Some(0),
                papyrus200: Some(0),
                umm: Some(1),
                iris300: Some(0),
                hop400: Some(0),
                rskip290: Some(0),
                rskip144: Some(1),
                rskip351: Some(1),
                rskip535: Some(1),
            },
            checkpoint: None,
            genesis: Some(REGTEST_GENESIS),
        }
    }

    /// The development network of the reference implementation.
    #[must_use]
    pub fn devnet() -> Self {
        let testnet = Self::testnet();
        Self {
            network: Network::Devnet,
            chain_id: 32,
            network_id: 44_444_444,
            bootstrap_nodes: &[],
            activations: Activations {
                papyrus200: Some(0),
                umm: Some(1),
                iris300: Some(0),
                hop400: Some(0),
                rskip290: Some(0),
                rskip144: None,
                rskip351: None,
                rskip535: None,
                ..testnet.activations
            },
            checkpoint: None,
            genesis: None,
            ..testnet
        }
    }

    /// Is the rule change in force at this height?
    #[must_use]
    pub fn is_active(&self, rskip: Rskip, number: BlockNumber) -> bool {
        let from = &self.activations;
        let first = match rskip {
            Rskip::R92 | Rskip::R98 => from.orchid,
            Rskip::R97 => from.rskip97,
            Rskip::R110 | Rskip::R126 => from.wasabi100,
            Rskip::R144 => from.rskip144,
            Rskip::R156 => from.papyrus200,
            Rskip::R179 | Rskip::R180 => from.iris300,
            Rskip::R290 => from.rskip290,
            Rskip::R297 => from.hop400,
            Rskip::R351 => from.rskip351,
            Rskip::R535 => from.rskip535,
            Rskip::Umm => from.umm,
        };
        first.is_some_and(|first| first <= number.0)
    }

    /// Least difficulty at this height.
    #[must_use]
    pub fn minimum_difficulty_at(&self, number: BlockNumber) -> Difficulty {
        if self.is_public_testnet() && self.is_active(Rskip::R290, number) {
            Difficulty::from_u64(TESTNET_MINIMUM_DIFFICULTY_RSKIP290)
        } else {
            self.minimum_difficulty
        }
    }

    /// One part in how many the difficulty moves per block at this height.
    #[must_use]
    pub fn difficulty_divisor_at(&self, number: BlockNumber) -> u64 {
        match self.network {
            Network::Regtest => 2048,
            _ if self.is_active(Rskip::R156, number) => 400,
            _ => 50,
        }
    }

    /// The difference of Bitcoin's and Rootstock's time must stay below this many seconds.
    #[must_use]
    pub fn max_bitcoin_time_difference_at(&self, number: BlockNumber) -> u64 {
        if self.is_public_testnet() && self.is_active(Rskip::R297, number) { 7200 } else { 300 }
    }

    /// Does a header of this height commit to fork-detection data?
    #[must_use]
    pub fn has_fork_detection_data(&self, number: BlockNumber) -> bool {
        number.0 >= FORK_DETECTION_WINDOW && self.is_active(Rskip::R110, number)
    }

    fn is_public_testnet(&self) -> bool {
        matches!(self.network, Network::Testnet | Network::Testnet2)
    }
}

const MAINNET_BOOTSTRAP: &[&str] = &[
    "bootstrap01.rsk.co:5050",
    "bootstrap02.rsk.co:5050",
    "bootstrap03.rsk.co:5050",
    "bootstrap04.rsk.co:5050",
    "bootstrap05.rsk.co:5050",
    "bootstrap06.rsk.co:5050",
    "bootstrap07.rsk.co:5050",
    "bootstrap08.rsk.co:5050",
    "bootstrap09.rsk.co:5050",
    "bootstrap10.rsk.co:5050",
    "bootstrap11.rsk.co:5050",
    "bootstrap12.rsk.co:5050",
    "bootstrap13.rsk.co:5050",
    "bootstrap14.rsk.co:5050",
    "bootstrap15.rsk.co:5050",
    "bootstrap16.rsk.co:5050",
];

const TESTNET_BOOTSTRAP: &[&str] = &[
    "bootstrap01.testnet.rsk.co:50505",
    "bootstrap02.testnet.rsk.co:50505",
    "bootstrap03.testnet.rsk.co:50505",
    "bootstrap04.testnet.rsk.co:50505",
    "bootstrap05.testnet.rsk.co:50505",
    "bootstrap06.testnet.rsk.co:50505",
    "bootstrap07.testnet.rsk.co:50505",
    "bootstrap08.testnet.rsk.co:50505",
];

/// Parses a hash constant; a wrong constant does not compile.
const fn hash(text: &str) -> [u8; 32] {
    let digits = text.as_bytes();
    let mut out = [0; 32];
    let mut i = 0;
    while i < 32 {
        out[i] = digit(digits[2 * i]) << 4 | digit(digits[2 * i + 1]);
        i += 1;
    }
    out
}

const fn digit(character: u8) -> u8 {
    match character {
        b'0'..=b'9' => character - b'0',
        _ => character - b'a' + 10,
    }
}

const MAINNET_CHECKPOINT: Checkpoint = Checkpoint {
    number: BlockNumber(9_000_000),
    hash: BlockHash(hash("8504f9b1d5adb7dbd560165fdabc089c9f680831b68175ef300292559fe9c9cb")),
    total_difficulty: Difficulty(ruint::uint!(0xb96d_8d42_7b3a_1861_8a1b_8f75_U256)),
};

const TESTNET_CHECKPOINT: Checkpoint = Checkpoint {
    number: BlockNumber(1_068_051),
    hash: BlockHash(hash("18b22e46ae153fd7bde0828db09d2dd7158f82d649f9c85ababa9ea1ca6e6f68")),
    total_difficulty: Difficulty(ruint::uint!(0x2_c19d_70a7_f1e2_84bb_U256)),
};

const MAINNET_GENESIS: Genesis = Genesis {
    hash: BlockHash(hash("f88529d4ab262c0f4d042e9d8d3f2472848eaafe1a9b7213f57617eb40a9f9e0")),
    state_root: hash("9fa70f12726ac738640a86754741bb3f5680520ccc7e6ae9d95ace566a67fe01"),
    difficulty: &[0, 0, 0x10, 0, 0],
    gas_limit: &[0x67, 0xc2, 0x80],
    timestamp: 0x5a4a_f5b0,
    extra_data: b"Happy Bitcoin Day! 03/Jan/2018 - RSK technology at the service of society",
    minimum_gas_price: &[0x0a, 0xe8, 0x5b, 0xc0],
};

const TESTNET_GENESIS: Genesis = Genesis {
    hash: BlockHash(hash("cabb7fbe88cd6d922042a32ffc08ce8b1fbb37d650b9d4e7dbfe2a7469adfa42")),
    state_root: hash("45bce5168430c42b3d568331753f900a32457b4f3748697cbd8375ff4da72641"),
    difficulty: &[0, 0, 0x10, 0, 0],
    gas_limit: &[0x4c, 0x4b, 0x40],
    timestamp: 0,
    extra_data: b"CM'(A",
    minimum_gas_price: &[0],
};

const REGTEST_GENESIS: Genesis = Genesis {
    hash: BlockHash(hash("8ea789fabef0dd4946ed53f001e7b6f8a8d0c22a612a6099fc7f93c990af68fe")),
    state_root: hash("9c13f6bf26a9d1b13b708b5da083cb8f4e948bb7f903174081ad95810d52723f"),
    difficulty: &[0, 0, 0, 0, 1],
    gas_limit: &[0x98, 0x96, 0x80],
    timestamp: 0,
    extra_data: b"horse",
    minimum_gas_price: &[0],
};
