//! The public test network.

use fluxd_pon::PonRules;
use fluxd_pow::{difficulty::PowRules, equihash::Parameters};
use fluxd_primitives::{AddressFormat, U256};

use crate::{
    params::{
        Funding, KnownTransactions, Network, Params, bypass, emergency, fade_end, flux, genesis, heights,
        key, keys, nodes, target, upgrades,
    },
    upgrades::Upgrade,
};

const GENESIS_TIME: u32 = 1_582_228_940;
const GENESIS_SOLUTION: &str = "00069ae382cf568d3f3ba00d15f9d09c8977cd37d90d2c4d612e053e4cdfd4d226db220e51495bfb00d1019180b34c25091fbee2a08e4f08c974a4356760690b00d8da0c8baa3b6902130202e60391a16a5fa1ea08d6d0b63a60ec91dd0790cb432261483fe7fbe9d80d6a07af5599cc6d0b717780184fc0523e5ada8c07134262b9676c0269709501d4403c621cb9a15f55602b400e3fc093034f84ec583f25e6f16a111372ab4f031d6d12270259d7066520f71e63893e8dcedd8db2255272add167e4cd4a0045a6815a16818f9efb075106090b8e47d089dd7d50c838ea4b22caca1fdb866e485f0248c763faada47f8555b8cdb1222e45f2f0a10e3f3dffcb9733090bf2e58eb8f11399ffd7fc58302db98d5d978dac49b88f849ad4af4972b37d3cf2ca1797c28af99b3addc356c460ba6eb161d3304eeef863237c61006b486df070bb29026895172ae79bd9f3018637fe01dbc18d3829a2ed211a7218fcd8f4def308c3a8bd60cb999565f253435f1af115d1d473750c0233fda7aaeff783b8265083a9c0369852a459fe2c093dec6929cfc31cea57a3579fed30add42cfc02260700796ea2d3054dc04020a50c5a8079863b15f68c0e0354bb0aa8f1dd48fec84923d02f1a300d3ec598071a9f0584d918e36ec892450abdfe7d41acfe870624de69f988db06f7790897459c7d9899f290b60f2102a1df05bca84a7f54e746d274625f3322ae5a3eaa02b4565a125c948cf8682396e72494995793bf9379196014fec46c4c3769861808ed6b3fd2b4e57cadb92a7c81fc7fd630c4bae2549aa6efdc02df0f5e1ff20a834d35372301334b214229e872f8ac9415d57d1a325ac539a4a62eb1c685c6478867cf3ea0f999768a0d66fc9e36a35a2f1f768481613da1a99a17739fab0dd2ffe73f58f95ef1a6c2495167b485207dabe48001a200b4a371cf1df817f0b1fb6208d0d77b38d5cf170d83a6b7633a4fb605f44665a314ab5de8dc0ace1091611148705b3fe81e945857291daeb3657c98602cda23a350ed209ba19b6312fdefe765f3de7a16031580eba06145f64bfdf284dca4713335e9735031c71cf36da5f1145c8ed6e69352a7d763be253bd5fc7e1e45660e8d4f2beb98377268bc6303f5de2dd6ce1a35652b7090a8be51d43ef5c779376de1cbabf4758b064259d545524781801e18d005dd2a1ea4d27e1eaf27578c6a5acdf4a27d226293ae7c49d645c07adc8b0dfb0c35e519a6d95e9bb3f4a8bbbc72551e5ab9191d552104620b954523376637077c2e32aa42dec58b07ad0d91e4b93651d74b220070d22171e1b116dda1428082cb54122c27276f283260e1249ed483f97d053a0ad3abc6a032d7b8a5672ad7ec2232010655136e6e1507cbd9fa4a27ec674724a8cf4bdae91e3e34080291899bbb53c209bb3936a9c2d9194de89179396803cdf6bcb5cf9bbaf95b56c613d161c21ff1defe0f056f27e953891fd310aa6760d6f5a5edef8011d8780de5c681261331aed69ee2eccd3bb413cdf55f2e500686b231cbaf451fecdc1327e14bde0973fb4cbd8835b7c31a1a1aaf47eecbb57849ad3eb960cdbd5cdb0e4c53a8d7f10459cbc572faab1ffbd8ca9d0919e0113099339910e897e21fd390f450c3b13b5d198d7306927f258a0297c50daa10a4f29aed6a184df29c0a32a666744bef2c358401350cfb54797a02a35afeba0bfefa865890dded2694d88ad86a5b327662bd7b932c6ce97a7f300bfd8b544316696a4f2e6c197ddf9d0e9b008e3f85427fd6b661970e4177c947fbb6d43324a4f47c26983b55ea90d3bffcbc87c15cab5ba2751314819e7eb21a29b9b915cce6f7cf01ff05936317161b9dae29637d89cb88b55ac74348878b017e7942";

const CHECKPOINTS: &[(u32, &str)] =
    &[(320, "0237bf16aba912b0c68933809a7e7fe9553ddff1bc0782d2463fc5d161af1c46")];

pub(super) fn params() -> Params {
    let upgrades = upgrades([
        (Some(70), 170002, None),
        (Some(140), 170002, None),
        (Some(210), 170007, None),
        (Some(280), 170012, None),
        (Some(350), 170016, None),
        (Some(420), 170017, None),
        (Some(520), 170018, None),
        (Some(600), 170019, None),
        (Some(800), 170020, None),
    ]);
    let fade_length = 10;
    Params {
        network: Network::Test,
        magic: [0xfa, 0x1a, 0xf9, 0xbf],
        port: 26125,
        addresses: AddressFormat::TEST,
        bip44_coin: 1,
        prune_after: 1000,
        pow: PowRules {
            limit: target([0x0e, 0xff, 0xff, 0xff]),
            spacing: 60,
            max_adjust_down: 32,
            max_adjust_up: 16,
            min_difficulty_after: Some(0),
            lwma: upgrades.height(Upgrade::Lwma),
            lwma3: upgrades.height(Upgrade::Acadia),
            first_fade_end: fade_end(&upgrades, Upgrade::Equihash144, fade_length),
            second_fade_end: fade_end(&upgrades, Upgrade::Kamiooka, fade_length),
        },
        equihash: [Parameters::EQUIHASH_48_5; 3],
        fade_length,
        pon: PonRules {
            activation: 800,
            limit: target([0x0f, 0xff, 0xff, 0xff]),
            start_limit: target([0x7f, 0xff, 0xff, 0xff]),
            spacing: 30,
            window: 60,
            genesis_time: GENESIS_TIME,
            any_hash: false,
            bypass: Some(bypass()),
            emergency: emergency(
                [
                    "029a1c55fa7e69dd99087f7ca799797052ae21327b94159e60b8cc5704eb188583",
                    "023c806b01f35a18b42b08f23f5c7e8490801a7da8fd6f6e77708d9f26f22c423e",
                    "02615c78e21078c21a63cb21cc4d29eaa148d97c3dcbe7be5d9d4dda4e969bb05a",
                    "033d301dc7ef7ab653da36da1285063ea9be1448d601e3c9f99185476b9d4ae1d1",
                ],
                2,
                false,
            ),
        },
        nodes: nodes(&upgrades, [(420, 520), (420, 520), (420, 520)]),
        upgrades,
        protect_coinbase: true,
        slow_start: 1,
        halving_interval: 655_350,
        pon_subsidy: 14,
        pon_reduction_interval: 525_600,
        pon_max_reductions: 20,
        exchange_fund: Funding {
            heights: vec![4100],
            amount: flux(7_500_000),
            address: "tmRucHD85zgSigtA4sJJBDbPkMUJDcw5XDE",
        },
        foundation_fund: Funding {
            heights: vec![4200],
            amount: flux(2_500_000),
            address: "tmRucHD85zgSigtA4sJJBDbPkMUJDcw5XDE",
        },
        swap_pool: Funding {
            heights: heights(4300, 100, 10),
            amount: flux(2_200_000),
            address: "tmRucHD85zgSigtA4sJJBDbPkMUJDcw5XDE",
        },
        dev_fund: "t2GoxS2SRmLQDnTyWePHjKD3izvFsKUAjrH",
        node_payments_from: 350,
        benchmark_keys: keys(&[
            (
                "04d422e01f5acff68504b92df96a9004cf61be432a20efe83fe8a94c1aa730fe7dece5d2e8298f2d5672d4e569c55d9f0a73268ef7b92990d8c014e828a7cc48dd",
                0,
            ),
            (
                "042023568fbcc4715c34d8596feaabf0683b3dfa7280b2f4df0436311a31086a73fdf507d63c3ec89455037ba738375d17b309c2cd226f173a5ef7841400cd09ec",
                1_617_508_800,
            ),
        ]),
        foundation_keys: keys(&[(
            "04276f105ff36a670a56e75c2462cff05a4a7864756e6e1af01022e32752d6fe57b1e13cab4f2dbe3a6a51b4e0de83a5c4627345f5232151867850018c9a3c3a1d",
            0,
        )]),
        alert_key: key(
            "044b5cb8fd1db34e2d89a93e7becf3fb35dd08a81bb3080484365e567136403fd4a6682a43d8819522ae35394704afa83de1ef069a3104763fd0ebdbdd505a1386",
        ),
        minimum_work: U256::from(0x0_u64),
        checkpoints: CHECKPOINTS,
        known_transactions: KnownTransactions { count: 0, until: 1_693_928_849, per_day: 750 },
        seeds: &[
            "flux-testnet-seed.asoftwaresolution.com",
            "test.dnsseed.zel.network",
            "test.dnsseed.runonflux.io",
        ],
        genesis: genesis(GENESIS_TIME, 0x21c, GENESIS_SOLUTION, 0x2007ffff),
    }
}
