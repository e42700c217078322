//! Transactions that clients hand in: checked as far as their bytes and signature go, relayed to peers, and remembered for
//! a while. Nonces and balances are state, which peers check. Mirrors `eth_sendRawTransaction` of
//! `co/rsk/rpc/modules/eth/EthModuleTransactionBase.java` and `co/rsk/rpc/modules/txpool/TxPoolModuleImpl.java`.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use bytes::Bytes;
use parking_lot::Mutex;
use serde_json::{Map, Value, json};
use shared_vendor::{
    clock::Time,
    rpc::{Error, Methods, ParamDoc, Params, Spec},
};
use tokio::sync::oneshot;

use super::{Context, Order, data, params, transaction};
use crate::{codec::keccak::keccak256, types::Hash32};

/// As long as the reference keeps a transaction that no block takes.
const LIFE: Duration = Duration::from_secs(650);
const MOST: usize = 1_024;
/// The reference takes longer ones from nobody.
const MOST_BYTES: usize = 128 << 10;

const RAW: ParamDoc = ParamDoc { name: "data", help: "A signed transaction in hexadecimal", optional: false };

pub(super) fn add(methods: &mut Methods<Context>) {
    let help = "Relays a signed transaction to the peers";
    methods.add_async(Spec::open("eth_sendRawTransaction", help, &[RAW]), send);
    let help = "How many transactions that were relayed here still wait";
    methods.add(Spec::open("txpool_status", help, &[]), |ctx, _| {
        Ok(json!({ "pending": ctx.relayed.all(ctx.clock.now()).len(), "queued": 0 }))
    });
    let help = "The relayed transactions by sender and nonce";
    methods.add(Spec::open("txpool_content", help, &[]), |ctx, _| Ok(by_sender(ctx, transaction::pooled)));
    let help = "The same, a line each";
    methods.add(Spec::open("txpool_inspect", help, &[]), |ctx, _| Ok(by_sender(ctx, transaction::summary)));
    methods.add(Spec::open("eth_pendingTransactions", "The relayed transactions", &[]), |ctx, _| {
        let all = ctx.relayed.all(ctx.clock.now());
        Ok(all.iter().map(|raw| transaction::to_json(None, raw)).collect())
    });
}

/// What was relayed and is not old yet.
#[derive(Debug, Default)]
pub struct Relayed(Mutex<BTreeMap<Hash32, (Time, Bytes)>>);

impl Relayed {
    fn add(&self, now: Time, hash: Hash32, raw: Bytes) {
        let mut all = self.0.lock();
        all.retain(|_, (since, _)| now.since(*since) < LIFE);
        if all.len() >= MOST
            && let Some(oldest) = all.iter().min_by_key(|(_, (since, _))| *since).map(|(hash, _)| *hash)
        {
            all.remove(&oldest);
        }
        all.insert(hash, (now, raw));
    }

    pub(super) fn get(&self, now: Time, hash: &Hash32) -> Option<Bytes> {
        let all = self.0.lock();
        all.get(hash).filter(|(since, _)| now.since(*since) < LIFE).map(|(_, raw)| raw.clone())
    }

    fn all(&self, now: Time) -> Vec<Bytes> {
        let all = self.0.lock();
        all.values().filter(|(since, _)| now.since(*since) < LIFE).map(|(_, raw)| raw.clone()).collect()
    }
}

async fn send(ctx: Arc<Context>, given: Params) -> Result<Value, Error> {
    params::count(&given, 1..=1)?;
    let raw = params::prefixed_bytes(&given, 0)?;
    // The reference's own reader fails on other bytes, and says no more than this.
    let unreadable = |hint: &str| Error::internal("Internal server error").with_data(json!({ "hint": hint }));
    if raw.len() > MOST_BYTES {
        return Err(Error::new(-32010, "transaction is too large"));
    }
    let signed =
        transaction::Signed::read(&raw).ok_or_else(|| unreadable("these bytes are no signed transaction"))?;
    if signed.chain_id.is_some_and(|id| u64::from(id) != ctx.network.chain_id) {
        let id = signed.chain_id.unwrap_or_default();
        return Err(Error::invalid_params(format!("Invalid chainId: {id}")));
    }
    let hash = Hash32(keccak256(&[&raw]));
    let raw = Bytes::from(raw);
    let (reply, told) = oneshot::channel();
    let order = Order::Relay(raw.clone(), reply);
    ctx.orders.send(order).await.map_err(|_| Error::internal("the node is stopping"))?;
    match told.await {
        Ok(1..) => {
            ctx.relayed.add(ctx.clock.now(), hash, raw);
            Ok(data(&hash.0))
        }
        _ => Err(Error::new(-32010, "no peer to relay the transaction to")),
    }
}

fn by_sender(ctx: &Context, show: fn(&transaction::Signed, &[u8]) -> Value) -> Value {
    let mut senders: BTreeMap<String, BTreeMap<String, Vec<Value>>> = BTreeMap::new();
    for raw in ctx.relayed.all(ctx.clock.now()) {
        let Some(signed) = transaction::Signed::read(&raw) else { continue };
        let sender = shared_vendor::hex::encode(signed.sender);
        let nonce = signed.nonce.to_string();
        senders.entry(sender).or_default().entry(nonce).or_default().push(show(&signed, &raw));
    }
    let pending: Map<String, Value> = senders.into_iter().map(|(sender, of)| (sender, json!(of))).collect();
    json!({ "pending": pending, "queued": {} })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn transactions_are_forgotten_after_their_time_and_the_oldest_make_room() {
        let relayed = Relayed::default();
        let at = |seconds: u64| Time::from_millis(seconds * 1000);
        let hash = |number: usize| Hash32(keccak256(&[&number.to_be_bytes()]));
        for number in 0..=MOST {
            relayed.add(at(number as u64 / 100), hash(number), Bytes::new());
        }
        assert_eq!(relayed.all(at(11)).len(), MOST);
        assert_eq!(relayed.get(at(11), &hash(MOST)), Some(Bytes::new()));
        assert_eq!(relayed.get(at(700), &hash(MOST)), None);
        assert!(relayed.all(at(700)).is_empty());
    }
}
