//! A block as JSON. Members that only a body or a header extension could tell are null: transactions, uncles, size, the
//! bloom of versions 1 and 2, execution edges and base event. Mirrors `org/ethereum/rpc/dto/BlockResultDTO.java`.

use serde_json::{Value, json};

use super::{Block, data, quantity};
use crate::{
    codec::header::{EMPTY_TRIE_ROOT, EMPTY_UNCLES_HASH, hash_for_merged_mining},
    params::Params,
};

/// Members that are null because a header does not tell them.
pub const UNKNOWN_TO_HEADERS: [&str; 7] =
    ["logsBloom", "size", "transactions", "uncles", "cumulativeDifficulty", "rskPteEdges", "baseEvent"];

/// The object of `eth_getBlockBy*`.
#[must_use]
pub fn to_json(network: &Params, block: &Block) -> Value {
    let header = &block.header;
    let fields = header.fields();
    let no_uncles = header.uncles_hash() == EMPTY_UNCLES_HASH;
    let empty = |known: bool| if known { json!([]) } else { Value::Null };
    let merged_mining = hash_for_merged_mining(network, header);
    json!({
        "number": quantity(fields.number.0),
        "hash": data(header.hash().as_bytes()),
        "parentHash": data(header.parent_hash().as_bytes()),
        "mixHash": data(&[0; 32]),
        "nonce": "0x0000000000000000",
        "sha3Uncles": data(header.uncles_hash()),
        "logsBloom": header.logs_bloom().map(data),
        "transactionsRoot": data(header.transactions_root()),
        "stateRoot": data(header.state_root()),
        "receiptsRoot": data(header.receipts_root()),
        "miner": data(header.coinbase()),
        "difficulty": quantity(fields.difficulty.0),
        "totalDifficulty": quantity(block.total_difficulty.0),
        "extraData": data(header.extra_data()),
        "size": null,
        "gasLimit": quantity(fields.gas_limit),
        "gasUsed": quantity(fields.gas_used),
        "timestamp": quantity(fields.timestamp.0),
        "transactions": empty(header.transactions_root() == EMPTY_TRIE_ROOT),
        "uncles": empty(no_uncles),
        "minimumGasPrice": fields.minimum_gas_price.map(quantity),
        "bitcoinMergedMiningHeader": data(header.bitcoin_header()),
        "bitcoinMergedMiningCoinbaseTransaction": data(header.coinbase_transaction()),
        "bitcoinMergedMiningMerkleProof": data(header.merkle_proof()),
        "hashForMergedMining": merged_mining.map(|hash| data(&hash.0)),
        "paidFees": quantity(fields.paid_fees),
        "cumulativeDifficulty": no_uncles.then(|| quantity(fields.difficulty.0)),
        "rskPteEdges": null,
        "baseEvent": null,
    })
}
