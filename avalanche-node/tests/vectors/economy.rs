//! Rewards and fees of the P-chain.

use avalanche_vm::gas;
use platformvm::{reward, validator_fee};
use serde_json::Value;
use shared_vendor::testing::vectors::{Cases, Claim, File};

use crate::Shape;

const NANOS: u64 = 1_000_000_000;

pub(crate) fn claim(_file: &File<'_>, shape: &Shape) -> Option<Claim> {
    if shape.has(&["calculate", "split", "helicon_acp285"]) {
        Some(Claim::Run(rewards))
    } else if shape.has(&["gas_config", "l1_validator_fee"]) {
        Some(Claim::Run(fees))
    } else if shape.has(&["grid", "splits"]) {
        Some(Claim::Run(reward_grid))
    } else {
        None
    }
}

/// A number, bare or as a text.
fn number(value: &Value, key: &str) -> u64 {
    let field = &value[key];
    field.as_u64().or_else(|| field.as_str()?.parse().ok()).unwrap_or_else(|| panic!("{key} of {value}"))
}

fn list<'a>(value: &'a Value, key: &str) -> &'a [Value] {
    value[key].as_array().expect("a list")
}

fn rewards(file: &File<'_>, cases: &mut Cases) {
    let json = file.json();
    let config = config(&json["config"], number(&json["config"], "minting_period_s") * NANOS);
    cases.equal("configuration", &config, &reward::Config::primary_network());
    for case in list(&json, "calculate") {
        let actual = config.calculate(
            number(case, "duration_s") * NANOS,
            number(case, "amount"),
            number(case, "supply"),
        );
        cases.equal(case.to_string(), &actual, &number(case, "reward"));
    }
    for case in list(&json, "helicon_acp285") {
        let helicon = number(case, "helicon_time") * NANOS;
        let config = config.at_stake_start(number(case, "stake_start") * NANOS, Some(helicon));
        let actual = config.calculate(
            number(case, "duration_s") * NANOS,
            number(case, "amount"),
            number(case, "supply"),
        );
        cases.equal(case.to_string(), &actual, &number(case, "reward"));
    }
    for case in list(&json, "split") {
        split(case, "from_shares", "remainder", cases);
    }
}

fn reward_grid(file: &File<'_>, cases: &mut Cases) {
    let json = file.json();
    let config = config(&json["config"], number(&json["config"], "minting_period_ns"));
    for case in list(&json, "grid").iter().chain(list(&json, "worked_examples")) {
        let actual =
            config.calculate(number(case, "duration_ns"), number(case, "stake"), number(case, "supply"));
        cases.equal(case.to_string(), &actual, &number(case, "expected_reward"));
    }
    for case in list(&json, "splits") {
        split(case, "amount_from_shares", "remainder_amount", cases);
    }
}

fn config(json: &Value, minting_period: u64) -> reward::Config {
    reward::Config {
        max_consumption_rate: number(json, "max_consumption_rate"),
        min_consumption_rate: number(json, "min_consumption_rate"),
        minting_period,
        supply_cap: number(json, "supply_cap"),
    }
}

fn split(case: &Value, from_shares: &str, remainder: &str, cases: &mut Cases) {
    let shares = u32::try_from(number(case, "shares")).expect("a share");
    let actual = reward::split(number(case, "total"), shares);
    cases.equal(case.to_string(), &actual, &(number(case, from_shares), number(case, remainder)));
}

fn fees(file: &File<'_>, cases: &mut Cases) {
    let json = file.json();
    let config = &json["gas_config"];
    let weights: Vec<u64> = list(config, "weights").iter().filter_map(Value::as_u64).collect();
    let [bandwidth, db_read, db_write, compute] = weights.try_into().expect("four weights");
    let config = gas::Config {
        weights: gas::Dimensions { bandwidth, db_read, db_write, compute },
        max_capacity: number(config, "max_capacity"),
        max_per_second: number(config, "max_per_second"),
        target_per_second: number(config, "target_per_second"),
        min_price: number(config, "min_price"),
        excess_conversion_constant: number(config, "k"),
    };
    cases.equal("configuration", &config, &gas::Config::p_chain());
    for case in list(&json, "price") {
        let actual = gas::price(number(case, "min_price"), number(case, "excess"), number(case, "k"));
        cases.equal(case.to_string(), &actual, &number(case, "price"));
    }
    for case in list(&json, "state") {
        let state = gas::State { capacity: number(case, "capacity"), excess: number(case, "excess") };
        let after = state.advance_time(&config, number(case, "seconds"));
        let expected =
            gas::State { capacity: number(case, "after_capacity"), excess: number(case, "after_excess") };
        cases.equal(case.to_string(), &after, &expected);
        let consumed = after.consume(number(case, "consume")).ok();
        let expected = case["ok"].as_bool().expect("a verdict").then(|| gas::State {
            capacity: number(case, "consumed_capacity"),
            excess: number(case, "consumed_excess"),
        });
        cases.equal(case.to_string(), &consumed, &expected);
    }
    for case in list(&json, "l1_validator_fee") {
        l1_validator_fee(case, cases);
    }
}

fn l1_validator_fee(case: &Value, cases: &mut Cases) {
    let config = validator_fee::Config {
        capacity: 20_000,
        target: number(case, "target"),
        min_price: number(case, "min_price"),
        excess_conversion_constant: number(case, "k"),
    };
    let state = validator_fee::State { current: number(case, "current"), excess: number(case, "excess") };
    let seconds = number(case, "seconds");
    let after = state.advance_time(config.target, seconds).excess;
    cases.equal(format!("excess {case}"), &after, &number(case, "after_excess"));
    cases.equal(format!("cost {case}"), &state.cost_of(&config, seconds), &number(case, "cost"));
    let remaining = state.seconds_remaining(&config, number(case, "max_seconds"), number(case, "funds"));
    cases.equal(format!("seconds {case}"), &remaining, &number(case, "seconds_remaining"));
}
