//! Regression tests: a network of PoN blocks, where no upgrade is ever active but the height tests of proof of node
//! read its missing height as -1.

use fluxd_pon::PonRules;
use fluxd_pow::{difficulty::PowRules, equihash::Parameters};
use fluxd_primitives::{AddressFormat, PublicKey, U256};

use crate::{
    params::{
        Funding, KnownTransactions, Network, Params, bypass, emergency, fade_end, flux, genesis, heights,
        keys, nodes, target, upgrades,
    },
    upgrades::Upgrade,
};

const GENESIS_TIME: u32 = 1_296_688_602;
const GENESIS_SOLUTION: &str = "02853a9dd062e2356909a0d2b9f0e4873dbf092edd3f00eea317e21222d1f2c414b926ee";

const CHECKPOINTS: &[(u32, &str)] = &[];

pub(super) fn params() -> Params {
    let upgrades = upgrades([
        (None, 170002, None),
        (None, 170002, None),
        (None, 170006, None),
        (None, 170012, None),
        (None, 170016, None),
        (None, 170017, None),
        (None, 170018, None),
        (None, 170019, None),
        (None, 170020, None),
    ]);
    let fade_length = 11;
    Params {
        network: Network::Regtest,
        magic: [0xaa, 0xe8, 0x3f, 0x5f],
        port: 26126,
        addresses: AddressFormat::REGTEST,
        bip44_coin: 1,
        prune_after: 1000,
        pow: PowRules {
            limit: target([0x0f, 0x0f, 0x0f, 0x0f]),
            spacing: 120,
            max_adjust_down: 0,
            max_adjust_up: 0,
            min_difficulty_after: Some(0),
            lwma: upgrades.height(Upgrade::Lwma),
            lwma3: upgrades.height(Upgrade::Acadia),
            first_fade_end: fade_end(&upgrades, Upgrade::Equihash144, fade_length),
            second_fade_end: fade_end(&upgrades, Upgrade::Kamiooka, fade_length),
        },
        equihash: [Parameters::EQUIHASH_48_5, Parameters::EQUIHASH_48_5, Parameters::ZELHASH_125_4],
        fade_length,
        pon: PonRules {
            activation: -1,
            limit: target([0x0f, 0x0f, 0x0f, 0x0f]),
            start_limit: target([0x7f, 0xff, 0xff, 0xff]),
            spacing: 30,
            window: 60,
            genesis_time: GENESIS_TIME,
            any_hash: true,
            bypass: Some(bypass()),
            emergency: emergency(
                [
                    "029a1c55fa7e69dd99087f7ca799797052ae21327b94159e60b8cc5704eb188583",
                    "023c806b01f35a18b42b08f23f5c7e8490801a7da8fd6f6e77708d9f26f22c423e",
                    "02615c78e21078c21a63cb21cc4d29eaa148d97c3dcbe7be5d9d4dda4e969bb05a",
                    "033d301dc7ef7ab653da36da1285063ea9be1448d601e3c9f99185476b9d4ae1d1",
                ],
                1,
                true,
            ),
        },
        nodes: nodes(&upgrades, [(0, 1000), (0, 1000), (0, 100)]),
        upgrades,
        protect_coinbase: false,
        slow_start: 0,
        halving_interval: 150,
        pon_subsidy: 14,
        pon_reduction_interval: 100,
        pon_max_reductions: 10,
        exchange_fund: Funding {
            heights: vec![10],
            amount: flux(3_000_000),
            address: "tmRucHD85zgSigtA4sJJBDbPkMUJDcw5XDE",
        },
        foundation_fund: Funding {
            heights: vec![10],
            amount: flux(2_500_000),
            address: "t2DFGpj2tciojsGKKrGVwQ92hUwAxWQQgJ9",
        },
        swap_pool: Funding {
            heights: heights(10, 10, 5),
            amount: flux(2_100_000),
            address: "t2Dsexh4v5g2dpL2LLCsR1p9TshMm63jSBM",
        },
        dev_fund: "t2GoxS2SRmLQDnTyWePHjKD3izvFsKUAjrH",
        node_payments_from: 100,
        benchmark_keys: keys(&[
            (
                "04cf3c34f01486bbb34c1a7ca11c2ddb1b3d98698c3f37d54452ff91a8cd5e92a6910ce5fc2cc7ad63547454a965df53ff5be740d4ef4ac89848c2bafd1e40e6b7",
                0,
            ),
            (
                "045d54130187b4c4bba25004bf615881c2d79b16950a59114df27dc9858d8e531fda4f3a27aa95ceb2bcc87ddd734be40a6808422655e5350fa9417874556b7342",
                1_617_508_800,
            ),
        ]),
        foundation_keys: keys(&[(
            "04276f105ff36a670a56e75c2462cff05a4a7864756e6e1af01022e32752d6fe57b1e13cab4f2dbe3a6a51b4e0de83a5c4627345f5232151867850018c9a3c3a1d",
            0,
        )]),
        alert_key: PublicKey::default(),
        minimum_work: U256::from(0x0_u64),
        checkpoints: CHECKPOINTS,
        known_transactions: KnownTransactions { count: 0, until: 0, per_day: 0 },
        seeds: &[],
        genesis: genesis(GENESIS_TIME, 0x16, GENESIS_SOLUTION, 0x200f0f0f),
    }
}
