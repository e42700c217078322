//! Logs by address and topics: the bloom filters that headers commit to say which blocks can hold one, the receipts of
//! those blocks are proven whole, so no log can be withheld or made up. Mirrors `org/ethereum/rpc/{LogFilter,
//! AddressesTopicsFilter}.java`.

use std::sync::Arc;

use serde_json::{Value, json};
use shared_vendor::{
    hex,
    rpc::{Error, Methods, ParamDoc, Spec},
};
use tokio::task::JoinSet;

use super::{Block, Context, no_body, params, receipt::log_json};
use crate::{
    codec::{
        header::EMPTY_TRIE_ROOT,
        receipt::{Log, bloom_may_hold},
    },
    types::{BlockHash, BlockNumber},
};

/// The reference's limits, by default.
const MOST_BLOCKS: u64 = 5_000;
const MOST_LOGS: usize = 20_000;
/// Where the bloom filter travels with the body, which peers are asked for: a peer answers a thousand messages a minute.
const MOST_BODIES: u64 = 256;
/// Blocks that are looked at side by side.
const AT_ONCE: usize = 16;
const MOST_TOPICS: usize = 4;
/// Alternatives for an address or a topic.
const MOST_ALTERNATIVES: usize = 256;

const METHOD: &str = "eth_getLogs";
const FILTER: ParamDoc =
    ParamDoc { name: "filter", help: "fromBlock, toBlock or blockHash; address; topics", optional: false };

pub(super) fn add(methods: &mut Methods<Context>) {
    let help =
        "Logs of a range of blocks, proven complete; needs an upstream node where a bloom filter matches";
    methods.add_async(Spec::open(METHOD, help, &[FILTER]), |ctx, given| async move {
        params::count(&given, 1..=1)?;
        get(&ctx, &Filter::read(given.value(0))?).await
    });
}

/// What logs a client wants.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Filter {
    range: Range,
    /// Any of these; empty for all.
    addresses: Vec<Vec<u8>>,
    /// For each place any of these; empty for all.
    topics: Vec<Vec<[u8; 32]>>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Range {
    /// Names of the first and the last block.
    Numbers(String, String),
    Block(BlockHash),
}

impl Default for Range {
    fn default() -> Self {
        Self::Numbers("latest".into(), "latest".into())
    }
}

fn invalid() -> Error {
    Error::invalid_params("method parameters invalid")
}

impl Filter {
    /// Reads the reference's filter object.
    pub(super) fn read(value: Option<&Value>) -> Result<Self, Error> {
        let Some(Value::Object(object)) = value else { return Err(invalid()) };
        let of = |name: &str| object.get(name).filter(|value| !value.is_null());
        let block = |name: &str| match of(name) {
            None => Ok("latest".to_owned()),
            Some(Value::String(text)) => Ok(text.clone()),
            Some(_) => Err(invalid()),
        };
        let range = match of("blockHash") {
            Some(_) if of("fromBlock").or(of("toBlock")).is_some() => {
                return Err(Error::invalid_params("Cannot specify both blockHash and fromBlock/toBlock"));
            }
            Some(hash) => {
                Range::Block(BlockHash(params::hash(hash.as_str().ok_or_else(invalid)?, "block hash")?))
            }
            None => Range::Numbers(block("fromBlock")?, block("toBlock")?),
        };
        let addresses = alternatives::<20>(of("address"))?.iter().map(|address| address.to_vec()).collect();
        let topics = match of("topics") {
            None => Vec::new(),
            Some(Value::Array(places)) if places.len() <= MOST_TOPICS => {
                let place = |place: &Value| alternatives(Some(place).filter(|place| !place.is_null()));
                places.iter().map(place).collect::<Result<_, _>>()?
            }
            Some(_) => return Err(invalid()),
        };
        Ok(Self { range, addresses, topics })
    }

    fn may_be_in(&self, bloom: &[u8]) -> bool {
        let any = |values: &mut dyn Iterator<Item = &[u8]>| {
            let mut values = values.peekable();
            values.peek().is_none() || values.any(|value| bloom_may_hold(bloom, value))
        };
        any(&mut self.addresses.iter().map(Vec::as_slice))
            && self.topics.iter().all(|place| any(&mut place.iter().map(<[u8; 32]>::as_slice)))
    }

    fn takes(&self, log: &Log) -> bool {
        let at = |(place, wanted): (usize, &Vec<[u8; 32]>)| {
            wanted.is_empty() || log.topics.get(place).is_some_and(|topic| wanted.contains(topic))
        };
        (self.addresses.is_empty() || self.addresses.contains(&log.address))
            && self.topics.iter().enumerate().all(at)
    }
}

/// One value or a list of them.
fn alternatives<const N: usize>(value: Option<&Value>) -> Result<Vec<[u8; N]>, Error> {
    let one = |value: &Value| {
        let text = value.as_str().and_then(|text| text.strip_prefix("0x")).ok_or_else(invalid)?;
        hex::decode_array(text).map_err(|_| invalid())
    };
    match value {
        None => Ok(Vec::new()),
        Some(Value::Array(values)) if values.len() <= MOST_ALTERNATIVES => values.iter().map(one).collect(),
        Some(Value::Array(_)) => Err(invalid()),
        Some(value) => Ok(vec![one(value)?]),
    }
}

/// All logs that a filter takes.
pub(super) async fn get(ctx: &Arc<Context>, filter: &Filter) -> Result<Value, Error> {
    let wanted = filter.clone();
    let blocks = ctx.blocking(move |ctx| blocks(ctx, &wanted.range)).await??;
    of_blocks(ctx, filter, blocks).await.map(Value::Array)
}

/// The logs of these blocks that a filter takes, in order.
pub(super) async fn of_blocks(
    ctx: &Arc<Context>,
    filter: &Filter,
    blocks: Vec<Block>,
) -> Result<Vec<Value>, Error> {
    let filter = Arc::new(filter.clone());
    let mut found: Vec<Vec<Value>> = vec![Vec::new(); blocks.len()];
    let mut running = JoinSet::new();
    let mut blocks = blocks.into_iter().enumerate();
    loop {
        while running.len() < AT_ONCE
            && let Some((place, block)) = blocks.next()
        {
            let (ctx, filter) = (Arc::clone(ctx), Arc::clone(&filter));
            running.spawn(async move { (place, of_block(&ctx, &filter, &block).await) });
        }
        let Some(done) = running.join_next().await else { break };
        let (place, logs) = done.map_err(|_| Error::internal("internal error"))?;
        if let Some(at) = found.get_mut(place) {
            *at = logs?;
        }
        if found.iter().map(Vec::len).sum::<usize>() > MOST_LOGS {
            return Err(Error::new(-32012, format!("Filter returned more than {MOST_LOGS} logs.")));
        }
    }
    Ok(found.into_iter().flatten().collect())
}

async fn of_block(ctx: &Arc<Context>, filter: &Filter, block: &Block) -> Result<Vec<Value>, Error> {
    let header = &block.header;
    if header.receipts_root() == EMPTY_TRIE_ROOT
        || header.logs_bloom().is_some_and(|bloom| !filter.may_be_in(bloom))
    {
        return Ok(Vec::new());
    }
    let body = ctx.body(header).await.ok_or_else(no_body)?;
    if body.extension.as_ref().is_some_and(|extension| !filter.may_be_in(&extension.logs_bloom)) {
        return Ok(Vec::new());
    }
    let receipts = ctx.receipts(METHOD, header, &body).await?;
    let (mut number, mut logs) = (0_usize, Vec::new());
    for (index, (receipt, raw)) in receipts.iter().zip(&body.transactions).enumerate() {
        for log in &receipt.logs {
            if filter.takes(log) {
                logs.push(log_json(header, raw, index, log, number));
            }
            number = number.saturating_add(1);
        }
    }
    Ok(logs)
}

fn blocks(ctx: &Context, range: &Range) -> Result<Vec<Block>, Error> {
    let (from, to) = match range {
        Range::Block(hash) => return Ok(ctx.blocks.by_hash(hash).into_iter().collect()),
        Range::Numbers(from, to) => (from, to),
    };
    let best = ctx.height();
    let number = |name: &str| match params::named_block(ctx, name)? {
        Some(block) => Ok(block.header.number()),
        None => Ok(BlockNumber(best.0.saturating_add(1))),
    };
    let (from, to) = (number(from)?, number(to)?.min(best));
    let span = to.0.saturating_sub(from.0);
    let newest_has_body_bloom =
        ctx.blocks.by_number(to).is_some_and(|block| block.header.extension_data().is_some());
    let most = if newest_has_body_bloom { MOST_BODIES } else { MOST_BLOCKS };
    if span > most {
        let error = Error::new(-32012, format!("Cannot query more than {most} blocks at once"));
        return Err(error.with_data(json!({ "limit": most })));
    }
    Ok((from.0..=to.0).filter_map(|number| ctx.blocks.by_number(BlockNumber(number))).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn log(address: u8, topics: &[u8]) -> Log {
        Log {
            address: vec![address; 20],
            topics: topics.iter().map(|topic| [*topic; 32]).collect(),
            data: vec![],
        }
    }

    fn hex_of(byte: u8, length: usize) -> String {
        format!("0x{}", hex::encode(vec![byte; length]))
    }

    #[test]
    fn addresses_and_topics_have_alternatives_and_null_is_anything() {
        let filter = json!({
            "address": [hex_of(1, 20), hex_of(2, 20)],
            "topics": [null, [hex_of(5, 32), hex_of(6, 32)]],
        });
        let filter = Filter::read(Some(&filter)).unwrap();
        assert!(filter.takes(&log(1, &[9, 5])) && filter.takes(&log(2, &[9, 6, 7])));
        assert!(
            !filter.takes(&log(3, &[9, 5]))
                && !filter.takes(&log(1, &[5, 9]))
                && !filter.takes(&log(1, &[9]))
        );
        assert!(Filter::read(Some(&json!({}))).unwrap().takes(&log(3, &[])));
        assert!(Filter::default().may_be_in(&[0; 256]) && !filter.may_be_in(&[0; 256]));
    }

    #[test]
    fn a_filter_of_a_block_has_no_range_and_wrong_lengths_are_refused() {
        let both = json!({ "blockHash": hex_of(1, 32), "fromBlock": "0x1" });
        let error = Filter::read(Some(&both)).unwrap_err();
        assert_eq!(error.message, "Cannot specify both blockHash and fromBlock/toBlock");
        for wrong in [
            json!({ "address": "0x01" }),
            json!({ "topics": [["0x01"]] }),
            json!({ "topics": "0x01" }),
            json!([]),
        ] {
            assert_eq!(Filter::read(Some(&wrong)).unwrap_err().code, -32602, "{wrong}");
        }
    }
}
