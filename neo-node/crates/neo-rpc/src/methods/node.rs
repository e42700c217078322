//! The node and its network. Mirrors `RpcServer.Node.cs`.

use std::sync::Arc;

use neo_base::{
    codec::Wire,
    ledger::{Block, Transaction},
};
use neo_contract::native::policy;
use serde_json::{Value, json};
use shared_vendor::{
    hex,
    rpc::{Error, Methods, Params, Spec},
};
use tokio::sync::oneshot;

use super::param;
use crate::{
    context::{Context, engine},
    error::{self, internal},
    params::{self, wrong},
};

pub(super) fn add(methods: &mut Methods<Context>) {
    methods.add(Spec::open("getconnectioncount", "Number of connected peers", &[]), |ctx, _| {
        Ok(ctx.network.borrow().connected.len().into())
    });
    methods.add(Spec::open("getpeers", "Connected and known peers", &[]), peers);
    methods.add_blocking(Spec::open("getversion", "The node and the constants of its network", &[]), version);
    methods.add_async(
        Spec::open("sendrawtransaction", "Takes a transaction", const { &[param("transaction", "Base64")] }),
        |ctx, given| async move { send_transaction(&ctx, &given).await },
    );
    methods.add_async(
        Spec::open("submitblock", "Takes a block", const { &[param("block", "Base64")] }),
        |ctx, given| async move { submit_block(&ctx, &given).await },
    );
}

fn peers(ctx: &Context, _: &Params) -> Result<Value, Error> {
    let network = ctx.network.borrow();
    let connected = network.connected.iter().map(|peer| {
        let mut shown = address(&peer.address);
        shown["useragent"] = peer.user_agent.clone().into();
        shown["lastknownheight"] = peer.height.into();
        shown
    });
    Ok(json!({
        "unconnected": network.unconnected.iter().map(address).collect::<Vec<_>>(),
        "bad": [],
        "connected": connected.collect::<Vec<_>>(),
    }))
}

fn address(address: &std::net::SocketAddr) -> Value {
    json!({ "address": address.ip().to_canonical().to_string(), "port": address.port() })
}

fn version(ctx: &Context, _: &Params) -> Result<Value, Error> {
    let (settings, view) = (ctx.settings(), ctx.view()?);
    let forks =
        settings.forks.iter().map(|(fork, height)| json!({ "name": fork.name(), "blockheight": height }));
    let committee = settings.standby_committee.iter().map(|key| hex::encode(key.to_bytes()));
    Ok(json!({
        "tcpport": ctx.options.tcp_port,
        "nonce": ctx.options.nonce,
        "useragent": ctx.options.user_agent,
        "rpc": {
            "maxiteratorresultitems": ctx.options.max_items,
            "sessionenabled": ctx.options.sessions,
        },
        "protocol": {
            "addressversion": settings.address_version,
            "network": settings.network,
            "validatorscount": settings.validators_count,
            "msperblock": policy::ms_per_block(&view, settings).map_err(engine)?,
            "maxtraceableblocks": policy::max_traceable_blocks(&view, settings).map_err(engine)?,
            "maxvaliduntilblockincrement": policy::max_valid_until_increment(&view, settings).map_err(engine)?,
            "maxtransactionsperblock": settings.max_transactions_per_block,
            "memorypoolmaxtransactions": settings.memory_pool_max_transactions,
            "initialgasdistribution": settings.initial_gas_distribution,
            "hardforks": forks.collect::<Vec<_>>(),
            "standbycommittee": committee.collect::<Vec<_>>(),
            "seedlist": settings.seeds,
        },
    }))
}

async fn send_transaction(ctx: &Context, given: &Params) -> Result<Value, Error> {
    let bytes = params::bytes(given, 0, "transaction")?;
    let tx = Transaction::from_bytes(&bytes).map_err(|err| wrong(format!("no transaction: {err}")))?;
    let hash = tx.hash();
    let tx = Arc::new(tx);
    // to change the thread takes longer than to check a signature
    let result = match ctx.admission.submit_at_once(&tx) {
        Some(result) => result,
        None => {
            let admission = Arc::clone(&ctx.admission);
            tokio::task::spawn_blocking(move || admission.submit(tx)).await.map_err(|_| internal())?
        }
    };
    result.map_err(|err| error::refused(&err))?;
    Ok(json!({ "hash": hash.to_string() }))
}

async fn submit_block(ctx: &Context, given: &Params) -> Result<Value, Error> {
    let bytes = params::bytes(given, 0, "block")?;
    let block = Block::from_bytes(&bytes).map_err(|err| wrong(format!("no block: {err}")))?;
    let (reply, answer) = oneshot::channel();
    ctx.blocks.send((block, reply)).await.map_err(|_| internal())?;
    let hash = answer.await.map_err(|_| internal())??;
    Ok(json!({ "hash": hash.to_string() }))
}
