//! New blocks as clients follow them: `eth_subscribe` over a connection that stays, block filters over one that does not.
//! Both tell the blocks between what a client was told last and the best block, so nothing is stored for a client but
//! where it stands. Mirrors `co/rsk/rpc/modules/eth/subscribe` and `org/ethereum/rpc/FilterManager.java`.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use parking_lot::Mutex;
use serde_json::{Value, json};
use shared_vendor::{
    clock::Time,
    rpc::{Error, Feed, Methods, ParamDoc, Params, Session, Spec},
};

use super::{Block, Blocks, Context, data, params, quantity};
use crate::wire::rsk::BlockId;

/// Blocks that one answer or one change of the best block tells; of more, the newest. A quarter of what may wait unsent.
const MOST: usize = 256;
/// A filter that nobody asks for so long is gone.
const FILTER_LIFE: Duration = Duration::from_secs(5 * 60);
const MOST_FILTERS: usize = 1024;

const KIND: ParamDoc = ParamDoc { name: "kind", help: "newHeads or syncing", optional: false };
const ID: ParamDoc =
    ParamDoc { name: "id", help: "What the subscription or filter was named", optional: false };

pub(super) fn add(methods: &mut Methods<Context>) {
    methods.add_session(
        Spec::open(
            "eth_subscribe",
            "Tells new blocks, or the state of synchronisation, as they come",
            &[KIND],
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
        |ctx, _| ctx.filters.begin(ctx.clock.now(), ctx.best.borrow().best).map(|id| json!(id)),
    );
    methods.add_blocking(
        Spec::open("eth_getFilterChanges", "Hashes of the blocks since it was last asked", &[ID]),
        |ctx, given| {
            params::count(given, 1..=1)?;
            let best = ctx.best.borrow().best;
            let last = ctx.filters.advance(ctx.clock.now(), &filter_id(given)?, best)?;
            let blocks = between(&*ctx.blocks, last, best);
            Ok(blocks.iter().map(|block| data(block.header.hash().as_bytes())).collect())
        },
    );
    methods.add(Spec::open("eth_uninstallFilter", "Forgets a filter", &[ID]), |ctx, given| {
        params::count(given, 1..=1)?;
        Ok(json!(ctx.filters.end(&filter_id(given)?)))
    });
}

fn filter_id(given: &Params) -> Result<String, Error> {
    given
        .value(0)
        .and_then(Value::as_str)
        .map(str::to_owned)
        .ok_or_else(|| Error::invalid_params("method parameters invalid"))
}

fn subscribe(ctx: &Arc<Context>, session: &Session, given: &Params) -> Result<Value, Error> {
    let ctx = Arc::clone(ctx);
    let number = match given.value(0).and_then(Value::as_str) {
        Some("newHeads") => session.subscribe(|feed| tell_heads(ctx, feed)),
        Some("syncing") => session.subscribe(|feed| tell_syncing(ctx, feed)),
        Some(kind @ ("logs" | "newPendingTransactions")) => {
            let error = Error::new(-32000, format!("subscription {kind} is not available on a light client"));
            Err(error.with_data(json!({ "hint": "newHeads and syncing are" })))
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
        let blocks = Arc::clone(&ctx.blocks);
        let new = tokio::task::spawn_blocking(move || between(&*blocks, last, now)).await;
        for block in new.unwrap_or_default() {
            if !feed.send(&notification(&feed, &head(&block))) {
                return;
            }
        }
        last = now;
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

/// A block as `newHeads` tells it. What only a header's extension tells is null.
fn head(block: &Block) -> Value {
    let header = &block.header;
    let fields = header.fields();
    json!({
        "difficulty": quantity(fields.difficulty.0),
        "extraData": data(header.extra_data()),
        "gasLimit": quantity(fields.gas_limit),
        "gasUsed": quantity(fields.gas_used),
        "logsBloom": header.logs_bloom().map(data),
        "miner": data(header.coinbase()),
        "number": quantity(fields.number.0),
        "parentHash": data(header.parent_hash().as_bytes()),
        "receiptsRoot": data(header.receipts_root()),
        "sha3Uncles": data(header.uncles_hash()),
        "stateRoot": data(header.state_root()),
        "timestamp": quantity(fields.timestamp.0),
        "transactionsRoot": data(header.transactions_root()),
        "hash": data(header.hash().as_bytes()),
        "baseEvent": null,
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

/// Block filters of clients without a connection that stays.
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
    touched: Time,
}

impl Filters {
    /// None yet. `salt` should differ from run to run.
    #[must_use]
    pub fn new(salt: u64) -> Self {
        Self { salt, state: Mutex::default() }
    }

    fn begin(&self, now: Time, last: BlockId) -> Result<String, Error> {
        let mut state = self.state.lock();
        state.filters.retain(|_, filter| now.since(filter.touched) < FILTER_LIFE);
        if state.filters.len() >= MOST_FILTERS {
            let error = Error::new(-32005, "too many filters");
            return Err(error.with_data(json!({ "limit": MOST_FILTERS })));
        }
        state.given = state.given.wrapping_add(1);
        let id = format!("0x{:016x}{:016x}", self.salt, state.given);
        state.filters.insert(id.clone(), Filter { last, touched: now });
        Ok(id)
    }

    /// Where the client stood; from now on it stands at `best`.
    fn advance(&self, now: Time, id: &str, best: BlockId) -> Result<BlockId, Error> {
        let mut state = self.state.lock();
        let filter = state.filters.get_mut(id).filter(|filter| now.since(filter.touched) < FILTER_LIFE);
        let filter = filter.ok_or_else(|| Error::new(-32000, "filter not found"))?;
        filter.touched = now;
        Ok(std::mem::replace(&mut filter.last, best))
    }

    fn end(&self, id: &str) -> bool {
        self.state.lock().filters.remove(id).is_some()
    }
}
