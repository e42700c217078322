//! `eth_*` and `rsk_*`.

use serde_json::{Value, json};
use shared_vendor::rpc::{Error, Methods, ParamDoc, Params, Spec};

use super::{Block, Context, block, data, params, quantity};
use crate::{codec::full::encode_raw_header, wire::rsk::PROTOCOL_VERSION};

const NUMBER: ParamDoc =
    ParamDoc { name: "blockNumber", help: "Hexadecimal number, latest or earliest", optional: false };
const HASH: ParamDoc = ParamDoc { name: "blockHash", help: "Hash of a block", optional: false };
const WHOLE: ParamDoc =
    ParamDoc { name: "fullTransactions", help: "Whole transactions or their hashes", optional: false };

pub(super) fn add(methods: &mut Methods<Context>) {
    methods.add(Spec::open("eth_protocolVersion", "Version of the protocol between nodes", &[]), version);
    methods.add(Spec::open("rsk_protocolVersion", "Version of the protocol between nodes", &[]), version);
    methods.add(Spec::open("eth_chainId", "Id that transactions are signed for", &[]), |ctx, _| {
        Ok(quantity(ctx.network.chain_id))
    });
    methods.add(Spec::open("eth_mining", "Whether the node mines: never", &[]), |_, _| Ok(json!(false)));
    methods.add(Spec::open("eth_hashrate", "Work of the node's miner: none", &[]), |_, _| Ok(quantity(0_u8)));
    methods.add_blocking(Spec::open("eth_syncing", "False, or how far synchronisation is", &[]), |ctx, _| {
        let mut sync = *ctx.sync.borrow();
        // The sample is up to a second old; the tip is not.
        sync.current = ctx.blocks.best().map_or(sync.current, |best| best.header.number());
        Ok(if sync.is_syncing() {
            json!({
                "startingBlock": quantity(sync.starting.0),
                "currentBlock": quantity(sync.current.0),
                "highestBlock": quantity(sync.highest.0),
            })
        } else {
            json!(false)
        })
    });
    methods.add_blocking(Spec::open("eth_blockNumber", "Height of the best block", &[]), |ctx, _| {
        let best = ctx.blocks.best().ok_or_else(|| Error::internal("the chain has no best block"))?;
        Ok(quantity(best.header.number().0))
    });
    methods.add_blocking(
        Spec::open("eth_getBlockByNumber", "A block of the best chain", &[NUMBER, WHOLE]),
        |ctx, given| {
            params::count(given, 2..=2)?;
            params::flag(given, 1)?;
            Ok(whole(ctx, params::block_by_number(ctx, given, 0)?.as_ref()))
        },
    );
    methods.add_blocking(
        Spec::open("eth_getBlockByHash", "A block of any branch", &[HASH, WHOLE]),
        |ctx, given| {
            params::count(given, 2..=2)?;
            params::flag(given, 1)?;
            Ok(whole(ctx, params::block_by_hash(ctx, given, 0)?.as_ref()))
        },
    );
    methods.add_blocking(
        Spec::open("eth_getUncleCountByBlockNumber", "Uncles that a block names", &[NUMBER]),
        |ctx, given| {
            params::count(given, 1..=1)?;
            Ok(uncles(params::block_by_number(ctx, given, 0)?.as_ref()))
        },
    );
    methods.add_blocking(
        Spec::open("eth_getUncleCountByBlockHash", "Uncles that a block names", &[HASH]),
        |ctx, given| {
            params::count(given, 1..=1)?;
            Ok(uncles(params::block_by_hash(ctx, given, 0)?.as_ref()))
        },
    );
    methods.add_blocking(
        Spec::open("rsk_getRawBlockHeaderByNumber", "Uncompressed header without proof", &[NUMBER]),
        |ctx, given| {
            params::count(given, 1..=1)?;
            raw_header(ctx, params::block_by_number(ctx, given, 0)?.as_ref())
        },
    );
    methods.add_blocking(
        Spec::open("rsk_getRawBlockHeaderByHash", "Uncompressed header without proof", &[HASH]),
        |ctx, given| {
            params::count(given, 1..=1)?;
            raw_header(ctx, params::block_by_hash(ctx, given, 0)?.as_ref())
        },
    );
}

fn version(_: &Context, _: &Params) -> Result<Value, Error> {
    Ok(quantity(PROTOCOL_VERSION))
}

fn whole(ctx: &Context, found: Option<&Block>) -> Value {
    found.map_or(Value::Null, |found| block::to_json(&ctx.network, found))
}

fn uncles(found: Option<&Block>) -> Value {
    found.map_or(Value::Null, |found| quantity(found.header.fields().uncle_count))
}

/// The uncompressed form holds the extension, which for versions 1 and 2 travels with the body only.
fn raw_header(ctx: &Context, found: Option<&Block>) -> Result<Value, Error> {
    let Some(found) = found else { return Ok(Value::Null) };
    encode_raw_header(&ctx.network, &found.header, None).map(|raw| data(&raw)).ok_or_else(|| {
        let version = found.header.fields().version;
        Error::new(-32000, "header extension not available")
            .with_data(json!({ "hint": format!("a header of version {version} needs its block's body") }))
    })
}
