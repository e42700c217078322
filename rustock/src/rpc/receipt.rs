//! A receipt as JSON, and the methods that serve one. Mirrors `org/ethereum/rpc/dto/TransactionReceiptDTO.java` and
//! `org/ethereum/rpc/LogFilterElement.java`.

use std::sync::Arc;

use serde_json::{Value, json};
use shared_vendor::rpc::{Error, Methods, ParamDoc, Params, Spec};

use super::{Context, data, params, proven::Located, quantity, quantity_of, transaction};
use crate::{
    codec::{
        keccak::keccak256,
        receipt::{Log, Receipt},
    },
    types::Header,
};

const TRANSACTION: ParamDoc =
    ParamDoc { name: "transactionHash", help: "Hash of a transaction", optional: false };
const BLOCK: ParamDoc = ParamDoc { name: "blockHash", help: "Hash of its block", optional: false };

const BY_HASH: &str = "eth_getTransactionByHash";
const RECEIPT: &str = "eth_getTransactionReceipt";
const RAW: &str = "rsk_getRawTransactionReceiptByHash";
const NODES: &str = "rsk_getTransactionReceiptNodesByHash";

pub(super) fn add(methods: &mut Methods<Context>) {
    let help = "A transaction of the best chain, or one that was relayed; needs an upstream node";
    methods.add_async(Spec::open(BY_HASH, help, &[TRANSACTION]), transaction_by_hash);
    let help = "A receipt, proven against its block's header; needs an upstream node";
    methods.add_async(Spec::open(RECEIPT, help, &[TRANSACTION]), receipt);
    let help = "A receipt as it is encoded, proven likewise";
    methods.add_async(Spec::open(RAW, help, &[TRANSACTION]), raw_receipt);
    let help = "The trie nodes that prove a receipt, leaf first";
    methods.add_async(Spec::open(NODES, help, &[BLOCK, TRANSACTION]), nodes);
}

async fn transaction_by_hash(ctx: Arc<Context>, given: Params) -> Result<Value, Error> {
    params::count(&given, 1..=1)?;
    let hash = params::transaction_hash(&given, 0)?;
    let located = match ctx.locate(BY_HASH, hash).await {
        Err(_) | Ok(None) if ctx.relayed.get(ctx.clock.now(), &hash).is_some() => None,
        located => located?,
    };
    Ok(match located {
        Some(at) => transaction::to_json(Some((&at.block.header, at.index)), at.raw()),
        None => {
            let waiting = ctx.relayed.get(ctx.clock.now(), &hash);
            waiting.map_or(Value::Null, |raw| transaction::to_json(None, &raw))
        }
    })
}

async fn receipt(ctx: Arc<Context>, given: Params) -> Result<Value, Error> {
    params::count(&given, 1..=1)?;
    let Some(at) = ctx.locate(RECEIPT, params::transaction_hash(&given, 0)?).await? else {
        return Ok(Value::Null);
    };
    let proof = ctx.proof(RECEIPT, &at).await?;
    let receipt =
        Receipt::decode(&proof.raw).map_err(|_| Error::internal("a proven receipt cannot be read"))?;
    // Logs are numbered through the block, so those before them must be proven too.
    let first_log = if receipt.logs.is_empty() || at.index == 0 {
        0
    } else {
        let all = ctx.receipts(RECEIPT, &at.block.header, &at.body).await?;
        all.iter().take(at.index).map(|before| before.logs.len()).sum()
    };
    Ok(to_json(&at, &receipt, first_log))
}

async fn raw_receipt(ctx: Arc<Context>, given: Params) -> Result<Value, Error> {
    params::count(&given, 1..=1)?;
    let at = ctx.locate(RAW, params::transaction_hash(&given, 0)?).await?;
    Ok(match at {
        Some(at) => data(&ctx.proof(RAW, &at).await?.raw),
        None => Value::Null,
    })
}

async fn nodes(ctx: Arc<Context>, given: Params) -> Result<Value, Error> {
    params::count(&given, 2..=2)?;
    let block = params::block_hash(&given, 0)?;
    let at = ctx.locate(NODES, params::transaction_hash(&given, 1)?).await?;
    Ok(match at.filter(|at| at.block.header.hash() == block) {
        Some(at) => ctx.proof(NODES, &at).await?.nodes.iter().map(|node| data(node)).collect(),
        None => Value::Null,
    })
}

fn to_json(at: &Located, receipt: &Receipt, first_log: usize) -> Value {
    let (header, raw) = (&at.block.header, at.raw());
    let transaction = transaction::to_json(Some((header, at.index)), raw);
    let logs = receipt
        .logs
        .iter()
        .zip(first_log..)
        .map(|(log, number)| log_json(header, raw, at.index, log, number));
    json!({
        "transactionHash": transaction["hash"],
        "transactionIndex": quantity(at.index),
        "blockHash": data(header.hash().as_bytes()),
        "blockNumber": quantity(header.number().0),
        "cumulativeGasUsed": quantity_of(&receipt.cumulative_gas),
        "gasUsed": quantity_of(&receipt.gas_used),
        "contractAddress": transaction::created(raw).map(|address| data(&address)),
        "logs": logs.collect::<Vec<_>>(),
        "from": transaction["from"],
        "to": transaction["to"],
        "status": quantity_of(&receipt.status),
        "logsBloom": data(&receipt.logs_bloom),
        "type": "0x0",
        "effectiveGasPrice": transaction["gasPrice"],
    })
}

/// A log as `eth_getLogs` and receipts tell it.
pub(super) fn log_json(header: &Header, raw: &[u8], index: usize, log: &Log, number: usize) -> Value {
    json!({
        "logIndex": quantity(number),
        "blockNumber": quantity(header.number().0),
        "blockHash": data(header.hash().as_bytes()),
        "transactionHash": data(&keccak256(&[raw])),
        "transactionIndex": quantity(index),
        "address": data(&log.address),
        "data": data(&log.data),
        "topics": log.topics.iter().map(|topic| data(topic)).collect::<Vec<_>>(),
    })
}
