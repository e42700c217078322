//! Subscriptions over WebSocket, in neo-go's names and shapes.

use std::sync::Arc;

use neo_base::{UInt160, UInt256, ledger::Transaction};
use neo_contract::engine::Trigger;
use neo_runtime::{Executed, log::LogNotification, mempool::PoolEvent};
use serde_json::{Map, Value, json};
use shared_vendor::rpc::{Error, Feed, Methods, Params, Session, Spec};
use tokio::sync::broadcast::{self, error::RecvError};

use super::{option, param, state};
use crate::{
    context::Context,
    params::{self, wrong},
    render,
};

pub(super) fn add(methods: &mut Methods<Context>) {
    methods.add_session(
        Spec::open(
            "subscribe",
            "Sends events of a kind from now on",
            const { &[param("stream", "Kind of event"), option("filter", "What must match")] },
        ),
        subscribe,
    );
    methods.add_session(
        Spec::open("unsubscribe", "Ends a subscription", const { &[param("id", "Its id")] }),
        |_, session, given| {
            let id = params::text(given, 0, "id")?;
            let number =
                u64::from_str_radix(id.trim_start_matches("0x"), 16).map_err(|_| wrong("not an id"))?;
            if session.unsubscribe(number) { Ok(true.into()) } else { Err(wrong("no such subscription")) }
        },
    );
}

/// What a subscriber wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stream {
    Block,
    Header,
    Transaction,
    Notification,
    Execution,
    Mempool,
}

impl Stream {
    const ALL: [(Self, &'static str); 6] = [
        (Self::Block, "block_added"),
        (Self::Header, "header_of_added_block"),
        (Self::Transaction, "transaction_added"),
        (Self::Notification, "notification_from_execution"),
        (Self::Execution, "transaction_executed"),
        (Self::Mempool, "mempool_event"),
    ];

    fn name(self) -> &'static str {
        Self::ALL.iter().find(|(stream, _)| *stream == self).map_or("", |(_, name)| name)
    }
}

fn subscribe(ctx: &Arc<Context>, session: &Session, given: &Params) -> Result<Value, Error> {
    let name = params::text(given, 0, "stream")?;
    let stream = Stream::ALL.into_iter().find(|(_, known)| *known == name).map(|(stream, _)| stream);
    let stream = stream.ok_or_else(|| wrong("no such kind of event"))?;
    let filter = given.value(1).cloned().unwrap_or_default();
    if !matches!(filter, Value::Null | Value::Object(_)) {
        return Err(wrong("a filter is an object"));
    }
    let version = ctx.version();
    let number = if stream == Stream::Mempool {
        let events = ctx.pool_changes.subscribe();
        session.subscribe(|feed| {
            follow(events, feed, stream, move |event| pool_event(&event, &filter, version))
        })?
    } else {
        let events = ctx.executed.subscribe();
        session.subscribe(|feed| {
            follow(events, feed, stream, move |executed| chain_events(stream, &executed, &filter, version))
        })?
    };
    Ok(format!("{number:x}").into())
}

/// Sends what comes until the client is gone or too slow; what it missed is said once.
async fn follow<T: Clone>(
    mut events: broadcast::Receiver<T>,
    feed: Feed,
    stream: Stream,
    show: impl Fn(T) -> Vec<Value>,
) {
    loop {
        let shown = match events.recv().await {
            Ok(event) => show(event),
            Err(RecvError::Lagged(_)) => {
                let missed = json!({ "jsonrpc": "2.0", "method": "event_missed", "params": [] });
                let _ = feed.send(&missed);
                return;
            }
            Err(RecvError::Closed) => return,
        };
        for params in shown {
            if !feed.send(&json!({ "jsonrpc": "2.0", "method": stream.name(), "params": [params] })) {
                return;
            }
        }
    }
}

fn chain_events(stream: Stream, executed: &Executed, filter: &Value, version: u8) -> Vec<Value> {
    let header = &executed.block.header;
    match stream {
        Stream::Block | Stream::Header => {
            let body = header.body();
            let wanted = is(filter, "primary", body.primary)
                && filter["since"].as_u64().is_none_or(|since| u64::from(body.index) >= since)
                && filter["till"].as_u64().is_none_or(|till| u64::from(body.index) <= till);
            let shown = if stream == Stream::Block {
                render::block(&executed.block, version)
            } else {
                render::header(header, version)
            };
            wanted.then_some(Value::Object(shown)).into_iter().collect()
        }
        Stream::Transaction => executed
            .block
            .transactions
            .iter()
            .filter(|tx| wants_transaction(filter, tx))
            .map(|tx| Value::Object(render::transaction(tx, version)))
            .collect(),
        Stream::Notification => notifications(executed, filter),
        Stream::Execution => executions(executed, filter),
        Stream::Mempool => Vec::new(),
    }
}

/// Events in the order of execution; those of native contracts belong to the block.
fn notifications(executed: &Executed, filter: &Value) -> Vec<Value> {
    let block = executed.block.header.hash();
    let of_block = |trigger: Trigger| {
        let executions = executed.log.executions.iter().filter(move |execution| execution.trigger == trigger);
        executions.flat_map(|execution| &execution.notifications).map(move |sent| (block, sent))
    };
    let of_transactions = executed
        .transactions
        .iter()
        .filter(|(_, execution)| execution.halted)
        .flat_map(|(hash, execution)| execution.notifications.iter().map(move |sent| (*hash, sent)));
    let wanted = |(_, sent): &(UInt256, &LogNotification)| {
        is(filter, "contract", sent.contract.to_string()) && is(filter, "name", sent.name.clone())
    };
    of_block(Trigger::OnPersist)
        .chain(of_transactions)
        .chain(of_block(Trigger::PostPersist))
        .filter(wanted)
        .map(|(container, sent)| {
            let mut shown = state::notification(sent);
            shown.insert("container".to_owned(), container.to_string().into());
            Value::Object(shown)
        })
        .collect()
}

fn executions(executed: &Executed, filter: &Value) -> Vec<Value> {
    let block = executed.block.header.hash();
    let of_block = executed.log.executions.iter().map(|execution| (block, execution));
    let of_transactions = executed.transactions.iter().map(|(hash, execution)| (*hash, execution));
    let mut all: Vec<_> = of_block.collect();
    let after = all.len().min(1);
    all.splice(after..after, of_transactions);
    let show = |(container, execution): (UInt256, &neo_runtime::log::Execution)| {
        let mut shown = Map::new();
        shown.insert("container".to_owned(), container.to_string().into());
        shown.extend(render::object(state::execution(execution)));
        let wanted =
            is(filter, "state", shown["vmstate"].clone()) && is(filter, "container", container.to_string());
        wanted.then_some(Value::Object(shown))
    };
    all.into_iter().filter_map(show).collect()
}

fn pool_event(event: &PoolEvent, filter: &Value, version: u8) -> Vec<Value> {
    let (kind, tx) = match event {
        PoolEvent::Added(tx) => ("added", tx),
        PoolEvent::Removed(tx, _) => ("removed", tx),
        PoolEvent::Rebroadcast(_) => return Vec::new(),
    };
    if !wants_transaction(filter, tx) || !is(filter, "type", kind) {
        return Vec::new();
    }
    vec![json!({ "type": kind, "transaction": render::transaction(tx, version) })]
}

fn wants_transaction(filter: &Value, tx: &Transaction) -> bool {
    let hash = |name: &str| filter[name].as_str().and_then(|text| text.parse::<UInt160>().ok());
    let signs = |account: UInt160| tx.body().signers.iter().any(|signer| signer.account == account);
    hash("sender").is_none_or(|sender| sender == tx.body().sender()) && hash("signer").is_none_or(signs)
}

/// A filter that does not name a member takes everything.
fn is(filter: &Value, name: &str, value: impl Into<Value>) -> bool {
    filter[name].is_null() || filter[name] == value.into()
}
