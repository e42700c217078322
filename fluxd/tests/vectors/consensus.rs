//! Networks, upgrades, known blocks, subsidies and difficulty.

use fluxd_consensus::{
    Network, Params,
    params::{Funding, TimedKey},
    subsidy::{block_subsidy, dev_fund_minimum, fundings, node_share},
};
use fluxd_fluxnode::Tier;
use fluxd_pon::PonBlock;
use fluxd_pow::difficulty::{BlockFacts, HISTORY, Recent};
use fluxd_primitives::{COIN, CompactTarget, OutPoint, PublicKey, U256};
use serde_json::{Value, json};
use shared_vendor::{
    hex,
    testing::vectors::{Cases, File},
};

use crate::common::{number, rows, text};

/// Rows of height and hash: checkpoints and activations of upgrades.
pub(crate) fn known_blocks(file: &File<'_>, cases: &mut Cases) {
    let params = Params::of(Network::Main);
    for row in rows(file) {
        let height = u32::try_from(number(&row, "height")).expect("a height");
        let hash = row["hash"].as_str();
        if let Some(name) = row["name"].as_str() {
            let activation = params.upgrades.0.iter().find(|activation| activation.height == Some(height));
            let known = activation.and_then(|activation| activation.block);
            cases.equal(name, &known, &hash);
        } else {
            let checkpoint = params.checkpoint(height).map(|hash| hash.to_string());
            cases.equal(format!("checkpoint {height}"), &checkpoint.as_deref(), &hash);
        }
    }
}

/// The money that heights create and distribute.
pub(crate) fn subsidies(file: &File<'_>, cases: &mut Cases) {
    let params = Params::of(Network::Main);
    for row in rows(file) {
        let height = u32::try_from(number(&row, "height")).expect("a height");
        let mut check = |field: &str, zat: i64| {
            cases.equal(format!("{height} {field}"), &Some(zat), &row[field].as_i64());
        };
        check("subsidy", block_subsidy(&params, height).zat());
        for (field, tier) in ["cumulus", "nimbus", "stratus"].into_iter().zip(Tier::ALL) {
            check(field, node_share(&params, height, tier).zat());
        }
        let dev_fund = if params.pon.is_active(height) { dev_fund_minimum(&params, height).zat() } else { 0 };
        check("dev_fund_min", dev_fund);
        for (field, funding) in [
            ("exchange_fund", &params.exchange_fund),
            ("foundation_fund", &params.foundation_fund),
            ("swap_pool", &params.swap_pool),
        ] {
            let due = fundings(&params, height).find(|due| *due == funding);
            check(field, due.map_or(0, |due| due.amount.zat()));
        }
    }
}

/// Targets that the functions of the C++ node computed for made-up chains.
pub(crate) fn difficulty(file: &File<'_>, cases: &mut Cases) {
    let params = Params::of(Network::Main);
    for row in rows(file) {
        let height = u32::try_from(number(&row, "prev_height")).expect("a height");
        let blocks: Vec<BlockFacts> = row["times"]
            .as_array()
            .expect("times")
            .iter()
            .zip(row["bits"].as_array().expect("bits"))
            .map(|(time, bits)| BlockFacts {
                time: u32::try_from(time.as_u64().expect("a time")).expect("32 bits"),
                bits: CompactTarget(u32::from_str_radix(bits.as_str().expect("bits"), 16).expect("32 bits")),
            })
            .collect();
        let seen = if text(&row, "case") == "pon" {
            let blocks: Vec<PonBlock> =
                blocks.iter().map(|block| PonBlock { time: block.time, bits: block.bits }).collect();
            params.pon.next_bits(height, &blocks)
        } else {
            let recent = &blocks[blocks.len().saturating_sub(HISTORY)..];
            params.pow.next_bits(Some(Recent { height, blocks: recent }), u32::MAX)
        };
        let name = format!("{} after {height}", text(&row, "case"));
        cases.equal(name, &seen.to_string(), &text(&row, "expected_bits").to_owned());
    }
}

/// Every constant of the three networks.
pub(crate) fn networks(file: &File<'_>, cases: &mut Cases) {
    let expected = file.json();
    for network in [Network::Main, Network::Test, Network::Regtest] {
        let seen = describe(&Params::of(network));
        for (field, value) in expected[network.name()].as_object().expect("a network") {
            match seen.get(field) {
                Some(seen) => cases.equal(format!("{} {field}", network.name()), seen, &normal(field, value)),
                None => cases.skip(format!("{field}: part of no rule that is still in force")),
            }
        }
    }
}

/// The parameters under the names of the C++ source.
fn describe(params: &Params) -> Value {
    let [cumulus, nimbus, stratus] = params.nodes.transitions;
    let (format, pon, pow) = (&params.addresses, &params.pon, &params.pow);
    let upgrade_names =
        ["LWMA", "EQUI144_5", "ACADIA", "KAMIOOKA", "KAMATA", "FLUX", "HALVING", "P2SHNODES", "PON"];
    let upgrades = |value: fn(&fluxd_consensus::upgrades::Activation) -> Value| -> Value {
        upgrade_names
            .iter()
            .zip(&params.upgrades.0)
            .map(|(name, activation)| (format!("UPGRADE_{name}"), value(activation)))
            .collect::<serde_json::Map<_, _>>()
            .into()
    };
    let mut checkpoints: Vec<Value> =
        params.checkpoints.iter().map(|(height, hash)| json!([height, hash])).collect();
    if params.network == Network::Regtest {
        checkpoints.push(json!([0, params.checkpoint(0).expect("genesis").to_string()]));
    }
    let mut all = json!({
        "benchmark_keys": timed(&params.benchmark_keys),
        "foundation_p2sh_keys": params.foundation_keys.iter().map(|key| key_text(&key.key)).collect::<Vec<_>>(),
        "emergency_keys": pon.emergency.keys.iter().map(key_text).collect::<Vec<_>>(),
        "emergency_min_signatures": pon.emergency.required,
        "emergency_collateral": match pon.emergency.collateral {
            OutPoint { txid, index: 0 } => txid.to_string(),
            other => format!("{other:?}"),
        },
        "alert_pubkey": if params.alert_key.is_valid() { json!(key_text(&params.alert_key)) } else { Value::Null },
        "DevFundAddress": params.dev_fund,
        "nBeginCumulusTransition": cumulus.begin, "nEndCumulusTransition": cumulus.end,
        "nBeginNimbusTransition": nimbus.begin, "nEndNimbusTransition": nimbus.end,
        "nBeginStratusTransition": stratus.begin, "nEndStratusTransition": stratus.end,
        "nStartFluxnodePaymentsHeight": params.node_payments_from,
        "nDefaultPort": params.port, "nPruneAfterHeight": params.prune_after,
        "nSubsidySlowStartInterval": params.slow_start, "nSubsidyHalvingInterval": params.halving_interval,
        "nPONInitialSubsidy": params.pon_subsidy, "nPONSubsidyReductionInterval": params.pon_reduction_interval,
        "nPONMaxReductions": params.pon_max_reductions,
        "nPonDifficultyWindow": pon.window, "nPonTargetSpacing": pon.spacing,
        "eh_epoch_fade_length": params.fade_length,
        "nDigishieldMaxAdjustDown": pow.max_adjust_down, "nDigishieldMaxAdjustUp": pow.max_adjust_up,
        "powLimit": word(pow.limit), "ponLimit": word(pon.limit), "ponStartLimit": word(pon.start_limit),
        "nMinimumChainWork": word(params.minimum_work),
        "magic": hex::encode(params.magic),
        "base58": {
            "PUBKEY_ADDRESS": hex::encode(format.pubkey_hash), "SCRIPT_ADDRESS": hex::encode(format.script_hash),
            "SECRET_KEY": hex::encode([format.secret_key]),
            "EXT_PUBLIC_KEY": hex::encode(format.ext_public), "EXT_SECRET_KEY": hex::encode(format.ext_secret),
            "ZCPAYMENT_ADDRRESS": hex::encode(format.sprout_address),
            "ZCVIEWING_KEY": hex::encode(format.sprout_viewing_key),
            "ZCSPENDING_KEY": hex::encode(format.sprout_spending_key),
        },
        "bech32_hrp": {
            "SAPLING_PAYMENT_ADDRESS": format.sapling_address,
            "SAPLING_FULL_VIEWING_KEY": format.sapling_full_viewing_key,
            "SAPLING_INCOMING_VIEWING_KEY": format.sapling_incoming_viewing_key,
            "SAPLING_EXTENDED_SPEND_KEY": format.sapling_spending_key,
        },
        "upgrades": upgrades(|activation| json!(activation.height)),
        "upgrade_protocol": upgrades(|activation| json!(activation.protocol)),
        "checkpoints": checkpoints,
    });
    let object = all.as_object_mut().expect("an object");
    for (name, funding) in [
        ("Exchange", &params.exchange_fund),
        ("Foundation", &params.foundation_fund),
        ("SwapPool", &params.swap_pool),
    ] {
        describe_funding(object, name, funding);
    }
    all
}

fn describe_funding(object: &mut serde_json::Map<String, Value>, name: &str, funding: &Funding) {
    let mut put = |field: String, value: Value| object.insert(field, value);
    let coins = json!(funding.amount.zat() / COIN);
    if let [first, second, ..] = funding.heights.as_slice() {
        put("SwapPoolAddress".into(), json!(funding.address));
        put("nSwapPoolAmount_flux".into(), coins);
        put("nSwapPoolStartHeight".into(), json!(first));
        put("nSwapPoolInterval".into(), json!(second - first));
        put("nSwapPoolMaxTimes".into(), json!(funding.heights.len()));
    } else {
        put(format!("{name}FundingAddress"), json!(funding.address));
        put(format!("n{name}FundingAmount_flux"), coins);
        put(format!("n{name}FundingHeight"), json!(funding.heights[0]));
    }
}

/// The expected value in the form of [`describe`].
fn normal(field: &str, value: &Value) -> Value {
    match field {
        "upgrades" | "upgrade_protocol" => value
            .as_object()
            .expect("upgrades")
            .iter()
            .filter(|(name, _)| !["BASE_SPROUT", "UPGRADE_TESTDUMMY"].contains(&name.as_str()))
            .map(|(name, value)| (name.clone(), if value.is_string() { Value::Null } else { value.clone() }))
            .collect::<serde_json::Map<_, _>>()
            .into(),
        "nMinimumChainWork" => {
            let digits = value.as_str().unwrap_or("0");
            json!(word(U256::from_str_radix(digits, 16).expect("a number")))
        }
        _ => value.clone(),
    }
}

fn timed(keys: &[TimedKey]) -> Value {
    keys.iter().map(|key| json!({"pubkey": key_text(&key.key), "active_from_time": key.from})).collect()
}

fn key_text(key: &PublicKey) -> String {
    hex::encode(key.as_bytes())
}

fn word(value: U256) -> String {
    hex::encode(value.to_be_bytes::<32>())
}
