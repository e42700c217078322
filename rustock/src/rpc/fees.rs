//! Prices as headers tell them. A block of the network states the least gas price it takes; there is no base fee that is
//! burnt. Mirrors the header half of `org/ethereum/listener/GasPriceTracker.java`; `eth_feeHistory` is not the reference's.

use ruint::aliases::U256;
use serde_json::{Value, json};
use shared_vendor::rpc::{Error, Methods, ParamDoc, Params, Spec};

use super::{Context, params, quantity};
use crate::types::BlockNumber;

/// Blocks that one call tells.
const MOST: u64 = 1_024;

const COUNT: ParamDoc =
    ParamDoc { name: "blockCount", help: "How many blocks, at most 1024", optional: false };
const NEWEST: ParamDoc = ParamDoc { name: "newestBlock", help: "The last of them", optional: false };
const PERCENTILES: ParamDoc =
    ParamDoc { name: "rewardPercentiles", help: "None: rewards are not in headers", optional: true };

pub(super) fn add(methods: &mut Methods<Context>) {
    let help = "A tenth more than the least gas price of the best block";
    methods.add_blocking(Spec::open("eth_gasPrice", help, &[]), |ctx, _| {
        let best = ctx.blocks.best().ok_or_else(|| Error::internal("the chain has no best block"))?;
        let least = best.header.fields().minimum_gas_price.unwrap_or_default();
        Ok(quantity(least.saturating_add(least / U256::from(10))))
    });
    let help = "Least gas prices and use of gas of a run of blocks";
    methods.add_blocking(Spec::open("eth_feeHistory", help, &[COUNT, NEWEST, PERCENTILES]), history);
}

fn history(ctx: &Context, given: &Params) -> Result<Value, Error> {
    params::count(given, 2..=3)?;
    if given.value(2).is_some_and(|list| list.as_array().is_none_or(|list| !list.is_empty())) {
        let hint = "headers do not tell what single transactions paid";
        let error = Error::invalid_params("reward percentiles are not available");
        return Err(error.with_data(json!({ "hint": hint })));
    }
    let count = match given.value(0) {
        Some(Value::Number(count)) => count.as_u64().unwrap_or_default(),
        _ => u64::try_from(params::index(given, 0)?).unwrap_or(u64::MAX),
    };
    if !(1..=MOST).contains(&count) {
        return Err(Error::invalid_params(format!("block count must be from 1 to {MOST}")));
    }
    let Some(newest) = params::block_by_number(ctx, given, 1)? else { return Ok(Value::Null) };
    let newest = newest.header.number();
    let oldest = BlockNumber(newest.0.saturating_sub(count.saturating_sub(1)));
    let blocks: Vec<_> =
        (oldest.0..=newest.0).filter_map(|number| ctx.blocks.by_number(BlockNumber(number))).collect();
    let least = |block: &super::Block| block.header.fields().minimum_gas_price.unwrap_or_default();
    let mut prices: Vec<Value> = blocks.iter().map(|block| quantity(least(block))).collect();
    // The price of the block after the newest is not known; it differs from this one by a hundredth at most.
    prices.extend(prices.last().cloned());
    let ratio = |block: &super::Block| {
        let fields = block.header.fields();
        let (used, limit) = (f64::from(U256::from(fields.gas_used)), f64::from(U256::from(fields.gas_limit)));
        json!(if limit > 0.0 { used / limit } else { 0.0 })
    };
    Ok(json!({
        "oldestBlock": quantity(oldest.0),
        "baseFeePerGas": prices,
        "gasUsedRatio": blocks.iter().map(ratio).collect::<Vec<_>>(),
    }))
}
