//! New blocks and their logs as clients follow them: `eth_subscribe` over a connection that stays, filters over one that
//! does not. Both tell what lies between what a client was told last and the best block, so nothing is stored for a client
//! but where it stands. Mirrors `co/rsk/rpc/modules/eth/subscribe` and `org/ethereum/rpc/FilterManager.java`.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
    time::Duration,
};

use parking_lot::Mutex;
use serde_json::{Value, json};
use shared_vendor::{
    clock::Time,
    rpc::{Error, Feed, Methods, ParamDoc, Params, Session, Spec},
};

use super::{
    Block, Blocks, Context, data,
    logs::{self, Filter as LogFilter},
    not_available, params, quantity,
};
use crate::{codec::Extension, wire::rsk::BlockId};

/// Blocks that one answer or one change of the best block tells; of more, the newest. A quarter of what may wait unsent.
const MOST: usize = 256;
/// A filter that nobody asks for so long is gone.
const FILTER_LIFE: Duration = Duration::from_secs(5 * 60);
const MOST_FILTERS: usize = 1024;

/// Of more new blocks than these, the blooms of the older ones are not fetched.
const HEADS_WITH_BLOOM: usize = 4;

const KIND: ParamDoc = ParamDoc { name: "kind", help: "newHeads, logs or syncing", optional: false };
const FILTER: ParamDoc = ParamDoc { name: "filter", help: "address and topics, for logs", optional: true };
const WANTED: ParamDoc =
    ParamDoc { name: "filter", help: "fromBlock, toBlock or blockHash; address; topics", optional: false };
const ID: ParamDoc =
    ParamDoc { name: "id", help: "What the subscription or filter was named", optional: false };

pub(super) fn add(methods: &mut Methods<Context>) {
    methods.add_session(
        Spec::open(
            "eth_subscribe",
            "Tells new blocks, their logs, or the state of synchronisation, as they come",
            &[KIND, FILTER],
        ),
        subscribe,
    );
    methods.add_session(Spec::open("eth_unsubscribe", "Ends a subscription", &[ID]), |_, session, given| {
        params::count(given, 1..=1)?;
        let number = given.value(0).and_then(Value::as_str).and_then(subscription_number);
        Ok(json!(number.is_some_and(|number| session.unsubscribe(number))))
    });
    methods.add_blocking(
        Spec::open("eth_newBlockFilter", "Begins to remember new blocks for eth_getFilterChanges", &[]),
        |ctx, _| ctx.filters.begin(ctx.clock.now(), ctx.best.borrow().best, None).map(|id| json!(id)),
    );
    methods.add_blocking(
        Spec::open("eth_newFilter", "Begins to remember logs for eth_getFilterChanges", &[WANTED]),
        |ctx, given| {
            params::count(given, 1..=1)?;
            let wanted = Arc::new(LogFilter::read(given.value(0))?);
            ctx.filters.begin(ctx.clock.now(), ctx.best.borrow().best, Some(wanted)).map(|id| json!(id))
        },
    );
    methods.add_async(
        Spec::open(
            "eth_getFilterChanges",
            "New blocks' hashes, or their logs, since it was last asked",
            &[ID],
        ),
        changes,
    );
    methods.add_async(
        Spec::open("eth_getFilterLogs", "All logs that a filter of logs takes", &[ID]),
        |ctx, given| async move {
            params::count(&given, 1..=1)?;
            let (_, wanted) = ctx.filters.find(ctx.clock.now(), &filter_id(&given)?)?;
            match wanted {
                Some(wanted) => logs::get(&ctx, &wanted).await,
                None => Ok(json!([])),
            }
        },
    );
    methods.add(Spec::open("eth_uninstallFilter", "Forgets a filter", &[ID]), |ctx, given| {
        params::count(given, 1..=1)?;
        Ok(json!(ctx.filters.end(&filter_id(given)?)))
    });
}

async fn changes(ctx: Arc<Context>, given: Params) -> Result<Value, Error> {
    params::count(&given, 1..=1)?;
    let (id, best) = (filter_id(&given)?, ctx.best.borrow().best);
    let (last, wanted) = ctx.filters.find(ctx.clock.now(), &id)?;
    let blocks = ctx.blocking(move |ctx| between(&*ctx.blocks, last, best)).await?;
    let told = match wanted {
        None => blocks.iter().map(|block| data(block.header.hash().as_bytes())).collect(),
        Some(wanted) => Value::Array(logs::of_blocks(&ctx, &wanted, blocks).await?),
    };
    // Only now: what could not be told is told the next time.
    ctx.filters.advance(&id, best);
    Ok(told)
}

fn filter_id(given: &Params) -> Result<String, Error> {
    given
        .value(0)
        .and_then(Value::as_str)
        .map(str::to_owned)
        .ok_or_else(|| Error::invalid_params("method parameters invalid"))
}

fn subscribe(ctx: &Arc<Context>, session: &Session, given: &Params) -> Result<Value, Error> {
    params::count(given, 1..=2)?;
    let ctx = Arc::clone(ctx);
    let number = match given.value(0).and_then(Value::as_str) {
        Some("newHeads") => session.subscribe(|feed| tell_heads(ctx, feed)),
        Some("syncing") => session.subscribe(|feed| tell_syncing(ctx, feed)),
        Some("logs") if ctx.prover.is_some() => {
            let wanted = LogFilter::read(Some(given.value(1).unwrap_or(&json!({}))))?;
            session.subscribe(|feed| tell_logs(ctx, wanted, feed))
        }
        Some("logs") => {
            return Err(not_available(
                "eth_subscribe logs",
                "a light client proves what a full node tells it: name one with rpc.upstream",
            ));
        }
        Some(kind @ "newPendingTransactions") => {
            let error = Error::new(-32000, format!("subscription {kind} is not available on a light client"));
            Err(error.with_data(json!({ "hint": "newHeads, logs and syncing are" })))
        }
        _ => Err(Error::invalid_params("method parameters invalid")),
    }?;
    Ok(subscription_id(number))
}

/// Sixteen bytes in hexadecimal, as the reference names subscriptions.
fn subscription_id(number: u64) -> Value {
    json!(format!("{number:#034x}"))
}

fn subscription_number(id: &str) -> Option<u64> {
    u64::from_str_radix(id.strip_prefix("0x")?, 16).ok()
}

fn notification(feed: &Feed, result: &Value) -> Value {
    let params = json!({ "subscription": subscription_id(feed.number()), "result": result });
    json!({ "jsonrpc": "2.0", "method": "eth_subscription", "params": params })
}

async fn tell_heads(ctx: Arc<Context>, feed: Feed) {
    let mut best = ctx.best.clone();
    let mut last = best.borrow_and_update().best;
    while best.changed().await.is_ok() {
        let now = best.borrow_and_update().best;
        let new = ctx.blocking(move |ctx| between(&*ctx.blocks, last, now)).await.unwrap_or_default();
        let with_bloom = new.len() <= HEADS_WITH_BLOOM;
        for block in new {
            let body = match block.header.extension_data() {
                Some(_) if with_bloom => ctx.body(&block.header).await,
                _ => None,
            };
            let extension = body.as_ref().and_then(|body| body.extension.as_ref());
            if !feed.send(&notification(&feed, &head(&block, extension))) {
                return;
            }
        }
        last = now;
    }
}

/// Tells the logs of new blocks, and once more as removed those of blocks that have left the chain. A block whose logs
/// cannot be proven now is tried again with the next one.
async fn tell_logs(ctx: Arc<Context>, wanted: LogFilter, feed: Feed) {
    let mut best = ctx.best.clone();
    let mut last = best.borrow_and_update().best;
    let mut told: VecDeque<(BlockId, Vec<Value>)> = VecDeque::new();
    while best.changed().await.is_ok() {
        let now = best.borrow_and_update().best;
        let new = ctx.blocking(move |ctx| between(&*ctx.blocks, last, now)).await.unwrap_or_default();
        let Some(first) = new.first().map(|block| block.header.number()) else { continue };
        while let Some((_, logs)) = told.pop_back_if(|(block, _)| block.number >= first) {
            for mut log in logs {
                log["removed"] = json!(true);
                if !feed.send(&notification(&feed, &log)) {
                    return;
                }
            }
        }
        for block in new {
            let id = BlockId { hash: block.header.hash(), number: block.header.number() };
            let Ok(mut logs) = logs::of_blocks(&ctx, &wanted, vec![block]).await else { break };
            for log in &mut logs {
                log["removed"] = json!(false);
                if !feed.send(&notification(&feed, log)) {
                    return;
                }
            }
            if told.len() >= MOST {
                told.pop_front();
            }
            told.push_back((id, logs));
            last = id;
        }
    }
}

async fn tell_syncing(ctx: Arc<Context>, feed: Feed) {
    let mut sync = ctx.sync.clone();
    let mut was = sync.borrow_and_update().is_syncing();
    while sync.changed().await.is_ok() {
        let now = *sync.borrow_and_update();
        if now.is_syncing() == was {
            continue;
        }
        was = now.is_syncing();
        let status = json!({
            "startingBlock": now.starting.0,
            "currentBlock": now.current.0,
            "highestBlock": now.highest.0,
        });
        let result = if was { json!({ "syncing": true, "status": status }) } else { json!(false) };
        if !feed.send(&notification(&feed, &result)) {
            return;
        }
    }
}

/// A block as `newHeads` tells it. What only the extension tells is null where no peer sent it.
fn head(block: &Block, extension: Option<&Extension>) -> Value {
    let header = &block.header;
    let fields = header.fields();
    let bloom = header.logs_bloom().or_else(|| extension.map(|extension| extension.logs_bloom.as_slice()));
    let base_event = extension.map(|extension| &extension.base_event).filter(|event| !event.is_empty());
    json!({
        "difficulty": quantity(fields.difficulty.0),
        "extraData": data(header.extra_data()),
        "gasLimit": quantity(fields.gas_limit),
        "gasUsed": quantity(fields.gas_used),
        "logsBloom": bloom.map(data),
        "miner": data(header.coinbase()),
        "number": quantity(fields.number.0),
        "parentHash": data(header.parent_hash().as_bytes()),
        "receiptsRoot": data(header.receipts_root()),
        "sha3Uncles": data(header.uncles_hash()),
        "stateRoot": data(header.state_root()),
        "timestamp": quantity(fields.timestamp.0),
        "transactionsRoot": data(header.transactions_root()),
        "hash": data(header.hash().as_bytes()),
        "baseEvent": base_event.map(|event| data(event)),
    })
}

/// The blocks of the chain that ends in `new`, ascending, without those that the chain that ends in `old` has as well.
fn between(blocks: &dyn Blocks, old: BlockId, new: BlockId) -> Vec<Block> {
    let (mut old, mut old_number) = (old.hash, old.number.0);
    let mut hash = new.hash;
    let mut found = Vec::new();
    while hash != old && found.len() < MOST {
        let Some(block) = blocks.by_hash(&hash) else { break };
        let number = block.header.number().0;
        let above = old_number > number;
        if old_number >= number {
            let Some(block) = blocks.by_hash(&old) else { break };
            old = block.header.parent_hash();
            old_number = old_number.saturating_sub(1);
        }
        if !above {
            hash = block.header.parent_hash();
            found.push(block);
        }
    }
    found.reverse();
    found
}

/// Filters of clients without a connection that stays.
pub struct Filters {
    /// Makes ids that another run of the node did not give out.
    salt: u64,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    given: u64,
    filters: BTreeMap<String, Filter>,
}

struct Filter {
    last: BlockId,
    /// `None` for blocks.
    logs: Option<Arc<LogFilter>>,
    touched: Time,
}

impl Filters {
    /// None yet. `salt` should differ from run to run.
    #[must_use]
    pub fn new(salt: u64) -> Self {
        Self { salt, state: Mutex::default() }
    }

    fn begin(&self, now: Time, last: BlockId, logs: Option<Arc<LogFilter>>) -> Result<String, Error> {
        let mut state = self.state.lock();
        state.filters.retain(|_, filter| now.since(filter.touched) < FILTER_LIFE);
        if state.filters.len() >= MOST_FILTERS {
            let error = Error::new(-32005, "too many filters");
            return Err(error.with_data(json!({ "limit": MOST_FILTERS })));
        }
        state.given = state.given.wrapping_add(1);
        let id = format!("0x{:016x}{:016x}", self.salt, state.given);
        state.filters.insert(id.clone(), Filter { last, logs, touched: now });
        Ok(id)
    }

    /// Where a client stands, and what it wants.
    fn find(&self, now: Time, id: &str) -> Result<(BlockId, Option<Arc<LogFilter>>), Error> {
        let mut state = self.state.lock();
        let filter = state.filters.get_mut(id).filter(|filter| now.since(filter.touched) < FILTER_LIFE);
        let filter = filter.ok_or_else(|| Error::new(-32000, "filter not found"))?;
        filter.touched = now;
        Ok((filter.last, filter.logs.clone()))
    }

    /// The client was told everything up to `best`.
    fn advance(&self, id: &str, best: BlockId) {
        if let Some(filter) = self.state.lock().filters.get_mut(id) {
            filter.last = best;
        }
    }

    fn end(&self, id: &str) -> bool {
        self.state.lock().filters.remove(id).is_some()
    }
}
