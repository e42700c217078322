//! `eth_*` and `rsk_*`.

use std::sync::Arc;

use serde_json::{Value, json};
use shared_vendor::rpc::{Error, Methods, ParamDoc, Params, Spec};

use super::{Block, Context, block, data, params, quantity, transaction};
use crate::{
    codec::full::{decode_full, encode_raw_header},
    types::Difficulty,
    verify::Body,
    wire::rsk::PROTOCOL_VERSION,
};

const NUMBER: ParamDoc = ParamDoc {
    name: "blockNumber",
    help: "Hexadecimal number, latest, safe, finalized or earliest",
    optional: false,
};
const HASH: ParamDoc = ParamDoc { name: "blockHash", help: "Hash of a block", optional: false };
const WHOLE: ParamDoc =
    ParamDoc { name: "fullTransactions", help: "Whole transactions or their hashes", optional: false };
const INDEX: ParamDoc = ParamDoc { name: "index", help: "Hexadecimal place in the block", optional: false };
const TRANSACTIONS: &str = "How many transactions a block has";
const TRANSACTION: &str = "A transaction by its place in a block";
const UNCLE: &str = "An uncle by its place in a block";
const RAW_HEADER: &str = "Uncompressed header without proof";

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
    about_block(
        methods,
        Spec::open("eth_getBlockByNumber", "A block of the best chain", &[NUMBER, WHOLE]),
        params::block_by_number,
        whole,
    );
    about_block(
        methods,
        Spec::open("eth_getBlockByHash", "A block of any branch", &[HASH, WHOLE]),
        params::block_by_hash,
        whole,
    );
    let name = "eth_getBlockTransactionCountByNumber";
    about_block(
        methods,
        Spec::open(name, TRANSACTIONS, &[NUMBER]),
        params::block_by_number,
        transaction_count,
    );
    let name = "eth_getBlockTransactionCountByHash";
    about_block(methods, Spec::open(name, TRANSACTIONS, &[HASH]), params::block_by_hash, transaction_count);
    let name = "eth_getTransactionByBlockNumberAndIndex";
    about_block(
        methods,
        Spec::open(name, TRANSACTION, &[NUMBER, INDEX]),
        params::block_by_number,
        transaction_at,
    );
    let name = "eth_getTransactionByBlockHashAndIndex";
    about_block(
        methods,
        Spec::open(name, TRANSACTION, &[HASH, INDEX]),
        params::block_by_hash,
        transaction_at,
    );
    let name = "eth_getUncleByBlockNumberAndIndex";
    about_block(methods, Spec::open(name, UNCLE, &[NUMBER, INDEX]), params::block_by_number, uncle_at);
    let name = "eth_getUncleByBlockHashAndIndex";
    about_block(methods, Spec::open(name, UNCLE, &[HASH, INDEX]), params::block_by_hash, uncle_at);
    let name = "rsk_getRawBlockHeaderByNumber";
    about_block(methods, Spec::open(name, RAW_HEADER, &[NUMBER]), params::block_by_number, raw_header);
    let name = "rsk_getRawBlockHeaderByHash";
    about_block(methods, Spec::open(name, RAW_HEADER, &[HASH]), params::block_by_hash, raw_header);
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
}

type Find = fn(&Context, &Params, usize) -> Result<Option<Block>, Error>;

/// Adds a method about the block that its first parameter names.
fn about_block<F>(
    methods: &mut Methods<Context>,
    spec: Spec,
    find: Find,
    answer: fn(Arc<Context>, Params, Block) -> F,
) where
    F: Future<Output = Result<Value, Error>> + Send + 'static,
{
    let expected = spec.params.len();
    methods.add_async(spec, move |ctx, given| async move {
        params::count(&given, expected..=expected)?;
        let (from, named) = (Arc::clone(&ctx), given.clone());
        let found = tokio::task::spawn_blocking(move || find(&from, &named, 0)).await;
        match found.unwrap_or_else(|_| Err(Error::internal("internal error")))? {
            Some(block) => answer(ctx, given, block).await,
            None => Ok(Value::Null),
        }
    });
}

fn version(_: &Context, _: &Params) -> Result<Value, Error> {
    Ok(quantity(PROTOCOL_VERSION))
}

async fn whole(ctx: Arc<Context>, given: Params, found: Block) -> Result<Value, Error> {
    let whole = params::flag(&given, 1)?;
    let body = ctx.body(&found.header).await;
    Ok(block::to_json(&ctx.network, &found, body.as_deref(), whole))
}

async fn transaction_count(ctx: Arc<Context>, _: Params, found: Block) -> Result<Value, Error> {
    let body = ctx.body(&found.header).await.ok_or_else(no_body)?;
    Ok(quantity(body.transactions.len()))
}

async fn transaction_at(ctx: Arc<Context>, given: Params, found: Block) -> Result<Value, Error> {
    let index = params::index(&given, 1)?;
    let body = ctx.body(&found.header).await.ok_or_else(no_body)?;
    let raw = body.transactions.get(index);
    Ok(raw.map_or(Value::Null, |raw| transaction::to_json(Some((&found.header, index)), raw)))
}

/// An uncle as a block of its own, without transactions; its work counts only where it is stored as a branch.
async fn uncle_at(ctx: Arc<Context>, given: Params, found: Block) -> Result<Value, Error> {
    let index = params::index(&given, 1)?;
    let body = ctx.body(&found.header).await.ok_or_else(no_body)?;
    let uncle = body.uncles.get(index).and_then(|raw| decode_full(&ctx.network, raw).ok());
    let Some((header, extension)) = uncle else { return Ok(Value::Null) };
    let hash = header.hash();
    let stored = ctx.blocking(move |ctx| ctx.blocks.by_hash(&hash)).await?;
    let total_difficulty = stored.map_or(Difficulty::ZERO, |stored| stored.total_difficulty);
    let body = Body { transactions: Vec::new(), uncles: Vec::new(), extension };
    Ok(block::to_json(&ctx.network, &Block { header, total_difficulty }, Some(&body), false))
}

pub(super) fn no_body() -> Error {
    let hint = "a light client asks its peers for bodies: none of them sent this one";
    Error::new(-32000, "block body not available").with_data(json!({ "hint": hint }))
}

fn uncles(found: Option<&Block>) -> Value {
    found.map_or(Value::Null, |found| quantity(found.header.fields().uncle_count))
}

/// The uncompressed form holds the extension, which for versions 1 and 2 travels with the body only.
async fn raw_header(ctx: Arc<Context>, _: Params, found: Block) -> Result<Value, Error> {
    let extended = found.header.extension_data().is_some();
    let body = if extended { Some(ctx.body(&found.header).await.ok_or_else(no_body)?) } else { None };
    let extension = body.as_ref().and_then(|body| body.extension.as_ref());
    encode_raw_header(&ctx.network, &found.header, extension).map(|raw| data(&raw)).ok_or_else(no_body)
}
