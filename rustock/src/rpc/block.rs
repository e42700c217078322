//! A block as JSON. Members that only a body or a header extension could tell are null when no peer sent it: transactions,
//! uncles, size, the bloom of versions 1 and 2, execution edges and base event. Mirrors
//! `org/ethereum/rpc/dto/BlockResultDTO.java`.

use bytes::Bytes;
use serde_json::{Value, json};

use super::{Block, data, quantity, transaction};
use crate::{
    codec::{
        full::{decode_full, encode_full},
        header::{EMPTY_UNCLES_HASH, hash_for_merged_mining},
        rlp::encode_list,
    },
    params::Params,
    types::{Difficulty, Header},
    verify::Body,
};

/// Members that are null where the body is not known.
pub const UNKNOWN_TO_HEADERS: [&str; 7] =
    ["logsBloom", "size", "transactions", "uncles", "cumulativeDifficulty", "rskPteEdges", "baseEvent"];

/// The object of `eth_getBlockBy*`, with whole transactions or their hashes.
#[must_use]
pub fn to_json(network: &Params, block: &Block, body: Option<&Body>, whole: bool) -> Value {
    let header = &block.header;
    let fields = header.fields();
    let merged_mining = hash_for_merged_mining(network, header);
    let extension = body.and_then(|body| body.extension.as_ref());
    let bloom = header.logs_bloom().or_else(|| extension.map(|extension| extension.logs_bloom.as_slice()));
    let uncle = |raw: &Bytes| decode_full(network, raw).ok().map(|(header, _)| header);
    let uncles: Option<Vec<Header>> = match body {
        Some(body) => body.uncles.iter().map(uncle).collect(),
        None => (header.uncles_hash() == EMPTY_UNCLES_HASH).then(Vec::new),
    };
    let transactions: Option<Vec<Value>> = body.map(|body| {
        let one = |(index, raw): (usize, &Bytes)| {
            if whole { transaction::to_json(Some((header, index)), raw) } else { transaction::hash(raw) }
        };
        body.transactions.iter().enumerate().map(one).collect()
    });
    let work = uncles.as_ref().map(|uncles| {
        let uncles = uncles.iter().map(|uncle| uncle.difficulty().0);
        Difficulty(uncles.fold(fields.difficulty.0, |sum, uncle| sum.saturating_add(uncle)))
    });
    let base_event = extension.map(|extension| &extension.base_event).filter(|event| !event.is_empty());
    json!({
        "number": quantity(fields.number.0),
        "hash": data(header.hash().as_bytes()),
        "parentHash": data(header.parent_hash().as_bytes()),
        "mixHash": data(&[0; 32]),
        "nonce": "0x0000000000000000",
        "sha3Uncles": data(header.uncles_hash()),
        "logsBloom": bloom.map(data),
        "transactionsRoot": data(header.transactions_root()),
        "stateRoot": data(header.state_root()),
        "receiptsRoot": data(header.receipts_root()),
        "miner": data(header.coinbase()),
        "difficulty": quantity(fields.difficulty.0),
        "totalDifficulty": quantity(block.total_difficulty.0),
        "extraData": data(header.extra_data()),
        "size": body.and_then(|body| size(header, body)).map(quantity),
        "gasLimit": quantity(fields.gas_limit),
        "gasUsed": quantity(fields.gas_used),
        "timestamp": quantity(fields.timestamp.0),
        "transactions": transactions,
        "uncles": uncles.map(|uncles| uncles.iter().map(|uncle| data(uncle.hash().as_bytes())).collect::<Vec<_>>()),
        "minimumGasPrice": fields.minimum_gas_price.map(quantity),
        "bitcoinMergedMiningHeader": data(header.bitcoin_header()),
        "bitcoinMergedMiningCoinbaseTransaction": data(header.coinbase_transaction()),
        "bitcoinMergedMiningMerkleProof": data(header.merkle_proof()),
        "hashForMergedMining": merged_mining.map(|hash| data(&hash.0)),
        "paidFees": quantity(fields.paid_fees),
        "cumulativeDifficulty": work.map(|work| quantity(work.0)),
        "rskPteEdges": extension.and_then(|extension| extension.edges.clone()),
        "baseEvent": base_event.map(|event| data(event)),
    })
}

/// Bytes of the encoded block.
fn size(header: &Header, body: &Body) -> Option<usize> {
    let header = encode_full(header, body.extension.as_ref())?;
    let block = encode_list(|list| {
        list.raw(&header);
        for part in [&body.transactions, &body.uncles] {
            list.list(|inner| {
                for item in part {
                    inner.raw(item);
                }
            });
        }
    });
    Some(block.len())
}
