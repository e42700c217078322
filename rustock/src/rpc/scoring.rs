//! `sco_*`: what peers did and who is banned. Needs the cookie, as everything that changes peers; without it the methods are
//! not available, as in the reference with its default modules. Mirrors the `sco_` methods of `org/ethereum/rpc/Web3Impl.java`
//! and `co/rsk/scoring/{PeerScoringInformation,PeerScoringReputationSummary,InetAddressCidrBlock}.java`.

use std::{net::IpAddr, sync::Arc};

use serde_json::{Map, Value, json};
use shared_vendor::{
    clock::Time,
    http::Access,
    rpc::{Error, Methods, ParamDoc, Params, Spec},
};
use tokio::sync::oneshot;

use super::{Context, Order, params};
use crate::net::score::{Block, Event, Record, Scores};

const ADDRESS: ParamDoc =
    ParamDoc { name: "address", help: "An address, or a block of them as 10.0.0.0/8", optional: false };
const WHO: ParamDoc = ParamDoc { name: "id", help: "An address or the id of a node", optional: false };

pub(super) fn add(methods: &mut Methods<Context>) {
    let spec = |name, help, params| Spec { name, help, params, access: Access::Full };
    methods.add_async(spec("sco_peerList", "What nodes and addresses did", &[]), |ctx, _| async move {
        ctx.scores(peers).await.map(Value::Array)
    });
    methods.add_async(spec("sco_reputationSummary", "The same, summed up", &[]), |ctx, _| async move {
        ctx.scores(peers).await.map(|peers| summary(&peers))
    });
    methods.add_async(
        spec("sco_bannedAddresses", "Addresses that were banned by hand", &[]),
        |ctx, _| async move {
            ctx.scores(|scores, _, _| scores.blocks().map(|block| json!(block.to_string())).collect()).await
        },
    );
    methods.add_async(
        spec("sco_banAddress", "Bans an address until it is unbanned", &[ADDRESS]),
        |ctx, given| async move {
            let block = block(&given)?;
            ctx.scores(move |scores, _, _| scores.ban(block)).await.map(|()| Value::Null)
        },
    );
    methods.add_async(spec("sco_unbanAddress", "Takes a ban back", &[ADDRESS]), |ctx, given| async move {
        let block = block(&given)?;
        ctx.scores(move |scores, _, _| scores.unban(&block)).await.map(|()| Value::Null)
    });
    methods.add_async(
        spec("sco_clearPeerScoring", "Forgets what a node or an address did", &[WHO]),
        |ctx, given| async move {
            params::count(&given, 1..=1)?;
            let who = given.value(0).and_then(Value::as_str).unwrap_or_default().to_owned();
            let cleared = ctx.scores(move |scores, now, wall| {
                match (who.parse::<IpAddr>(), who.parse()) {
                    (Ok(address), _) => scores.clear_address(&address),
                    (_, Ok(node)) => scores.clear_node(&node),
                    _ => {}
                }
                peers(scores, now, wall)
            });
            cleared.await.map(Value::Array)
        },
    );
}

impl Context {
    /// Does something with the records, on the task that keeps them.
    async fn scores<T: Send + 'static>(
        self: Arc<Self>,
        run: impl FnOnce(&mut Scores, Time, u64) -> T + Send + 'static,
    ) -> Result<T, Error> {
        let (reply, done) = oneshot::channel();
        let (now, wall) = (self.clock.now(), self.clock.wall().as_millis());
        let order = Order::Scores(Box::new(move |scores| drop(reply.send(run(scores, now, wall)))));
        let gone = || Error::internal("the node is stopping");
        self.orders.send(order).await.map_err(|_| gone())?;
        done.await.map_err(|_| gone())
    }
}

fn block(given: &Params) -> Result<Block, Error> {
    params::count(given, 1..=1)?;
    let text = given.value(0).and_then(Value::as_str).unwrap_or_default();
    text.parse().map_err(|_| {
        let text: String = text.escape_debug().take(64).collect();
        Error::invalid_params(format!("invalid banned address {text}"))
    })
}

/// Counters in the reference's order and by its names.
const COUNTERS: [(&str, Option<Event>); 12] = [
    ("successfulHandshakes", Some(Event::SuccessfulHandshake)),
    ("failedHandshakes", Some(Event::FailedHandshake)),
    ("invalidNetworks", Some(Event::InvalidNetwork)),
    ("repeatedMessages", None),
    ("validBlocks", Some(Event::ValidBlock)),
    ("validTransactions", None),
    ("invalidBlocks", None),
    ("invalidTransactions", None),
    ("invalidMessages", Some(Event::InvalidMessage)),
    ("timeoutMessages", Some(Event::TimeoutMessage)),
    ("unexpectedMessages", None),
    ("invalidHeader", Some(Event::InvalidHeader)),
];

fn peers(scores: &mut Scores, now: Time, wall: u64) -> Vec<Value> {
    let line = |id: String, kind: &str, record: &Record| {
        let count = |event: Option<Event>| json!(event.map_or(0, |event| record.count(event)));
        let mut line: Map<String, Value> =
            COUNTERS.iter().map(|(name, event)| ((*name).to_owned(), count(*event))).collect();
        let left = record
            .banned_until
            .map_or(0, |until| u64::try_from(until.since(now).as_millis()).unwrap_or(u64::MAX));
        line.insert("score".into(), json!(record.score));
        line.insert("punishments".into(), json!(record.punishments));
        line.insert("goodReputation".into(), json!(left == 0));
        line.insert("punishedUntil".into(), json!(if left == 0 { 0 } else { wall.saturating_add(left) }));
        line.insert("id".into(), json!(id));
        line.insert("type".into(), json!(kind));
        Value::Object(line)
    };
    let nodes = scores.nodes().map(|(id, record)| line(id.to_string(), "node", record));
    let addresses = scores.addresses().map(|(address, record)| line(address.to_string(), "address", record));
    nodes.chain(addresses).collect()
}

fn summary(peers: &[Value]) -> Value {
    let sum = |name: &str| json!(peers.iter().filter_map(|peer| peer[name].as_i64()).sum::<i64>());
    let mut summary = Map::from_iter([("count".to_owned(), json!(peers.len()))]);
    summary.extend(COUNTERS.iter().map(|(name, _)| ((*name).to_owned(), sum(name))));
    let good = peers.iter().filter(|peer| peer["goodReputation"] == true).count();
    summary.extend([
        ("peersTotalScore".to_owned(), sum("score")),
        ("punishments".to_owned(), sum("punishments")),
        ("goodReputationCount".to_owned(), json!(good)),
        ("badReputationCount".to_owned(), json!(peers.len().saturating_sub(good))),
    ]);
    Value::Object(summary)
}
