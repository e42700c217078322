//! The main network.

use fluxd_pon::PonRules;
use fluxd_pow::{difficulty::PowRules, equihash::Parameters};
use fluxd_primitives::{AddressFormat, U256};

use crate::{
    params::{
        Funding, KnownTransactions, Network, Params, emergency, fade_end, flux, genesis, heights, key, keys,
        nodes, target, upgrades,
    },
    upgrades::Upgrade,
};

const GENESIS_TIME: u32 = 1_516_980_000;
const GENESIS_SOLUTION: &str = "002794c207f5942df0da515d0f29303a67b87eef343c2df654e3e00a052915289ef3f7842e6da933b2da247cebdee4ea3aabf3bdc33f02c5082633e3bdefc1a9316df787ecaf95a2337c6648e557a73a06fc8dee01479b1b09e350f9c9e2b61bea3736febb24f9f8692552d1a23863f6af2e38926df57e442dbbb69a3719104a70ad2415066ee46355a92a4b980d729e189c1311f4dc99a8cc191f2ae5634f34bfa97a291396d6f001244b9986c92c692986453ea26763767cafbfaeb372aafed3cb5cf5c1ab3f57c4445c85ef68921d568722206b19c1e797d7ce5ba3de50246456ae03fa150b23895e750273ca81cf0754ff4d38546e243bd182f210ae50f627d671b8e46775ed405cb5f2cfa49d5bbc1ed98604c78a5a4b752b72b780434641fbca11cf89183a04a21cc779079ad6f36bae57ca21519672a89e2e335dbc8ce89e85859959f5f4d1bb734abe3aecaa005b0b01020a869d631b01abb168d1b248dfbe3b6d1ad2ffb1fbdc8044e65bf579c3d948c21480dcf3800508ead900065afedae7c072fe5ea5c0a16c7ae78d36ddee0f40b5a6c1c365f66ba0c631ee99e8b9bee301f042f77cd92d6ae3f8937e1a41a38d864fb790121ecaf2d368967a34ca9183f5e7ae193dfb11f11a7931074aefcadac01dcb50b6978dd2cac69df89a656a399bcaade7cfb184b9ca884df3d63a3b8bca1c706602eb8dd2d1432fc79ee7425e35fd8f709d55ef1bab2f2bbe516711cf031ab6f4eee543a67193c81ef2b226d8e6d0d3a222d31811a326954a0a464a2a59ed9751d6f2dcd15da8ffe35fb5b441736c49dd5d75902a067f4c789ecc6e64671da0b67e88cec07f696b1c9828f3859266ca836a76eef5169c351cf1d32d33c918092eeed5f044970171504303629aefc51e63b6d7972b27e7b659e2d7c79f1ff5a6506833e315055f80ed00b42986db8cac0ea48e92ad8d5e3bc555b077f3381bfb53bfa7356195b67baa12cb7f0b0759285f8c9419d98ed33da746c9f6b2d50e0b74ea6311819bc2791bbe3e52ec536b78b80741ec41ae259273b7d3c4050f0bef51330e2ea793210559037ed3a98687ac3c13336f49cdc4a5ea77a40214eb4febbba9fb5e71410715cdb1aa238647a5315d91e97d4bfbc722f69b17332629f7f514cb79369c6132d8aff821e2cad7fd02b002b77eba3fc90f4cf91dd5ef7478acc6f0121966d7139abb672c14313ce69032c897e829417ba8f4c01b0f197144988995fbfb3b63231657798190e57f5a8a0f8643134752c9daf50fd4ab073288817fb1ede7de14007927e61c277b75e2d47294e8e8ae952b9f7a6a3471f4ba859c93852ba3d3e6cb47384d2d613e35641a1ff4d2b916ca8badb0c1c8d8f4629676e23953693b8e9b661b534e2cd34ea832b075c1f21333d1ceda02be8598ac435924d2d2b0d1fd9972f5386d92713e45e00cdc5d321817c7f9d4d966cc1eb5994f7d555107aadbbeb4d2dd24c5965b022dde997f3c5a7f17601b25623dd80836c67c7422e1b2c7a71553fc1d12df0742d986ab085298956c80f75035515922193f5d521db8ae57c05e5b1b801f93e25f5fffad38bb10fd781ab04a6b0a29547db513f3066b55459e061df5279831d9aeaa3b138a03f2a003c92c544e8972969476820419d312028e7c55cfa173fc0bfe414d3cc6ef85dd48c292595920fda320066be5d4eb69e327e37a14d408dddd3d06117abdbcbc36804a3c1fea73a5d4d3dc5c701ed7cf6716179eb94687ec6c73ca0d2c5190a10581566d9d9111152740c46955629a6974de7d0beb05efc3ab91e4fe735081b118cdef4510486e0c370f06ebf6158163d6e1b61280d8f4658618c9e4b9757636c6cc6761a1088f71b57392e9f85e89027a779f6c";

const CHECKPOINTS: &[(u32, &str)] = &[
    (5500, "0000000e7724f8bace09dd762657169c10622af4a6a8e959152cd00b9119848e"),
    (35_000, "000000004646dd797644b9c67aff320961e95c311b4f26985424b720d09fcaa5"),
    (70_000, "00000001edcf7768ed39fac55414e53a78d077b1b41fccdaf9307d7bc219626a"),
    (94_071, "00000005ec83876bc5288badf0971ae83ac7c6a286851f7b22a75a03e73b401a"),
    (277_649, "00000004a53f9271d05071a052b3738b46663f3335d14b6aea965a3cb70c0cc8"),
    (400_000, "000000390342f0e52443ad79b43e5d85b78bf519667aeb3aa980d76caeda0369"),
    (530_000, "0000004b4459ec6904e8116d178c357b0f25a7d45c5c5836ce3714791f1ed124"),
    (600_000, "000000dea4478401e6ab95f6d05ade810115411e95e75fab9fd94a44df4b1e1d"),
    (700_000, "0000000845ef03939225cc592773fd7aef54b5232fc42790c46ef6f11ee3e8d4"),
    (800_000, "000000451b73f495b2f6ad38bd89d15495551fc15c2078ad7af3d54d06422cc6"),
    (900_000, "000001e1ad2bb5e3cabb09559b6e65b871bf1d2a51bcc141ce45fc4cbd1d9cd8"),
    (1_000_000, "0000001a80e7f30d21fb14116cd01d51e1fad8ac84cc960896f4691a57368a47"),
    (1_040_000, "00000007f3b465bd4b0e161e43c05a3d946144330e33ea3a91cb952e6ef86b7d"),
    (1_040_577, "000000071fe89682ac260bc0a49621344eb28ae01659c9e7ce86e3762e45f52d"),
    (1_042_126, "0000000295e4663178fd9e533787e74206645910a2bfb61938db5f67796eaad0"),
    (1_060_000, "0000000fd721d8d381c4b24a4f78fc036955d7a0f98d2765b8c7badad8b66c1b"),
    (1_442_798, "0000000cc561fecb2ecfd22ba7af09450ca8cf270f407ce8b948195ff2aa0d13"),
    (1_518_503, "0000000dba41dc84c52a3933af49d316fff49a76b49d42bd5b6d20c4e451a0ef"),
    (1_791_720, "0000000abc7bd62a213e0dab43c9c01220b031a568fdfb5c2ef89e6b30054bdc"),
    (2_020_500, "af2a1bd59c61f64860b4b45bd65358743fda40d8420564b58c39df45be7da97c"),
    (2_021_000, "d2dcec473e809575e30ec2c0f400758120f5121b8268f90cdb8a7dbefe285b0d"),
    (2_021_500, "fa98471f31ffc1366330bababc090ad5cb6bd23c25bb3b61d1e1ed07a77d6126"),
    (2_022_000, "40a060546a56eb7fab0fd33ab3e6de834ff0d5273847d4f231a9addecfc44f61"),
    (2_029_000, "4856dc788a973db4cc537465c9ef80288e1eb065898993d72371b1ee48c248b4"),
];

pub(super) fn params() -> Params {
    let upgrades = upgrades([
        (Some(125_000), 170002, None),
        (Some(125_100), 170002, None),
        (Some(250_000), 170007, Some("0000001d65fa78f2f6c172a51b5aca59ee1927e51f728647fca21b180becfe59")),
        (Some(372_500), 170012, Some("00000052e2ac144c2872ff641c646e41dac166ac577bc9b0837f501aba19de4a")),
        (Some(558_000), 170016, Some("000000a33d38f37f586b843a9c8cf6d1ff1269e6114b34604cabcd14c44268d4")),
        (Some(835_554), 170017, Some("000000ce99aa6765bdaae673cdf41f661ff20a116eb6f2fe0843488d8061f193")),
        (Some(1_076_532), 170018, Some("000000111f8643ce24d9753dbc324220877299075a8a6102da61ef4460296325")),
        (Some(1_549_500), 170019, Some("00000009f9178347f3dea495a089400050c3388e07f9c871fb1ebddcab1f8044")),
        (Some(2_020_000), 170020, Some("d09e1b336b3c5988ec984e39b81036f00d5468946cfa3f0bb1af8afe6d2defbb")),
    ]);
    let fade_length = 11;
    Params {
        network: Network::Main,
        magic: [0x24, 0xe9, 0x27, 0x64],
        port: 16125,
        addresses: AddressFormat::MAIN,
        bip44_coin: 19167,
        prune_after: 100_000,
        pow: PowRules {
            limit: target([0x00, 0x07, 0xff, 0xff]),
            spacing: 120,
            max_adjust_down: 32,
            max_adjust_up: 16,
            min_difficulty_after: None,
            lwma: upgrades.height(Upgrade::Lwma),
            lwma3: upgrades.height(Upgrade::Acadia),
            first_fade_end: fade_end(&upgrades, Upgrade::Equihash144, fade_length),
            second_fade_end: fade_end(&upgrades, Upgrade::Kamiooka, fade_length),
        },
        equihash: [Parameters::EQUIHASH_200_9, Parameters::EQUIHASH_144_5, Parameters::ZELHASH_125_4],
        fade_length,
        pon: PonRules {
            activation: 2_020_000,
            limit: target([0x0f, 0xff, 0xff, 0xff]),
            start_limit: target([0x00, 0x0b, 0xff, 0xff]),
            spacing: 30,
            window: 30,
            genesis_time: GENESIS_TIME,
            any_hash: false,
            bypass: None,
            emergency: emergency(
                [
                    "025ee73f72d6996f94fe6ec9fac3f9ba6dcb947ed46dfbda530fc73ff99c667a4e",
                    "026f4281124d10eb90589831bac405d715ad79051ac5243d21c322d2abf2fd81e2",
                    "03083d65c2f57cfe4d1c34eb575bd9d836f5111dd0de86405d48211bf42ea30403",
                    "03674c29f348124e998fd838228a3ff050ca26fe0c13ad98698585cbbf796b461e",
                ],
                2,
                false,
            ),
        },
        nodes: nodes(&upgrades, [(1_076_532, 1_086_612), (1_081_572, 1_092_372), (1_087_332, 1_097_412)]),
        upgrades,
        protect_coinbase: true,
        slow_start: 5000,
        halving_interval: 655_350,
        pon_subsidy: 14,
        pon_reduction_interval: 1_051_200,
        pon_max_reductions: 20,
        exchange_fund: Funding {
            heights: vec![836_274],
            amount: flux(7_500_000),
            address: "t3PMbbA5YBMrjSD3dD16SSdXKuKovwmj6tS",
        },
        foundation_fund: Funding {
            heights: vec![836_994],
            amount: flux(2_500_000),
            address: "t3XjYMBvwxnXVv9jqg4CgokZ3f7kAoXPQL8",
        },
        swap_pool: Funding {
            heights: heights(837_714, 21_600, 10),
            amount: flux(22_000_000),
            address: "t3ThbWogDoAjGuS6DEnmN1GWJBRbVjSUK4T",
        },
        dev_fund: "t3hPu1YDeGUCp8m7BQCnnNUmRMJBa5RadyA",
        node_payments_from: 560_000,
        benchmark_keys: keys(&[
            (
                "042e79d7dd1483996157df6b16c831be2b14b31c69944ea2a585c63b5101af1f9517ba392cee5b1f45a62e9d936488429374535a2f76870bfa8eea6667b13eb39e",
                0,
            ),
            (
                "04517413e51fa9b2e94f200b254cca69beb86f2d74bf66ca53854ba66bc376dde9b52e9b4403731d9a4f3e8edd9687f1e1824b688fe26454bd9fb823a3307b4682",
                1_618_113_600,
            ),
            (
                "0480dff65aa9d4b4c4234e4723a5e7c5bf527ca683b53aa26a7225cc5eb16e6e79f9629eb5f96c12b173de7a20e9823b2d36575759f3490864922f7ed04e171fad",
                1_647_262_800,
            ),
            (
                "0437d58236a849ebe0e6558c1517e1f5c56749e04a2f7a7daedd4ef7c9fb6a773f32a33fe5ddad88b9af3ff496ee5ce79ce245c258bafa4e8d287baa3d54c6c65f",
                1_706_209_200,
            ),
            (
                "04e54965119e89861f80135b13f56c3b5cc55ad2b916d9705052fc91d2894f9cb19151a8d61c6e9ea4812075dd32f06fde5965589ffa1517ab1bd2ddbc66a39f42",
                1_743_534_000,
            ),
        ]),
        foundation_keys: keys(&[(
            "04ab11edbb8a15f7cc2628a4a2c18cea095d250f8c9a2924cbd581b8d8fb3a8b91e39e5febddb7ffc60f20dfd352a40aa4f061aa60a9ace26d43e1b7a18aea4162",
            0,
        )]),
        alert_key: key(
            "04025b2cf3a116782a69bb68cb4ae5ba3b7f05069f7139b75573dd28e48f8992d95c118122b618d4943456ad64e7356b0b45b2ef179cbe3d9767a2426662d13d32",
        ),
        minimum_work: U256::from(0x21f5d5da5d73_u64),
        checkpoints: CHECKPOINTS,
        known_transactions: KnownTransactions { count: 118_366_352, until: 1_761_701_944, per_day: 38_658 },
        seeds: &["dnsseed.asoftwaresolution.com", "dnsseed.zel.network", "dnsseed.runonflux.io"],
        genesis: genesis(GENESIS_TIME, 0x1a8c, GENESIS_SOLUTION, 0x1f07ffff),
    }
}
