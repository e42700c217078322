//! Wiring: opens the ledger, binds the sockets, starts the tasks, and carries values between the state machines, the
//! sockets, the ledger and RPC. No rules and no parsing.
//!
//! Five tasks and one that gathers announcements: `chain` adds blocks, one after the other; `network` talks with peers; `consensus` runs when the node has a
//! validator's key; `state roots` keeps signed roots and signs them with a state validator's key; `rpc` serves. They hear of each other through channels only.

mod chain;
mod consensus;
mod keys;
mod network;
mod news;
mod report;
mod serve;
mod state;

use std::{net::SocketAddr, sync::Arc};

use neo_p2p::{peer::Local, transport};
use neo_rpc::{Context as RpcContext, Network, Options, Tokens, sessions::Sessions};
use neo_runtime::{Admission, Ledger, mempool::PoolEvent, tokens::Standard};
use shared_vendor::{
    app::{Context, Daemon},
    exit::{self, Report},
    http::{self, Guard},
    rpc::{Limits as RpcLimits, Server, Service},
    tasks::Stage,
};
use tokio::sync::{broadcast, mpsc, watch};

use crate::config::Config;

/// Events of connections that wait.
const EVENT_QUEUE: usize = 4_096;
/// Blocks that wait to be added.
const BLOCK_QUEUE: usize = 64;
/// News that wait for a task.
const NEWS_QUEUE: usize = 4_096;
/// Events that a slow subscriber may be behind.
const SUBSCRIBER_QUEUE: usize = 1_024;

/// Binds the sockets and starts the tasks over an open ledger; returns when the node serves.
///
/// # Errors
/// A port cannot be had, or the wallet of a validator cannot be used.
pub async fn start<D: Daemon<Config = Config>>(ctx: Context<D>, ledger: Arc<Ledger>) -> Result<(), Report> {
    let address_version = ledger.settings().address_version;
    let keys = keys::of_consensus(&ctx.config, address_version)?;
    let state_keys = keys::of_state(&ctx.config, keys.as_ref(), address_version)?;
    let listener = ctx.bind("p2p.addr", ctx.common.p2p_addr).await?;
    let p2p = listener.local_addr().map_err(|err| address_error("p2p.addr", &err))?;
    let rpc_listener = ctx.bind("rpc.addr", ctx.common.rpc_addr).await?;
    let rpc = rpc_listener.local_addr().map_err(|err| address_error("rpc.addr", &err))?;
    ctx.status.update(ctx.clock.now(), |status| {
        status.addresses.insert("p2p", p2p.to_string());
        status.addresses.insert("rpc", rpc.to_string());
    });

    let (pool_events, _) = broadcast::channel(SUBSCRIBER_QUEUE);
    let (executed, _) = broadcast::channel(SUBSCRIBER_QUEUE);
    let (orders_sender, orders) = mpsc::channel(NEWS_QUEUE);
    let news = Arc::new(news::News::default());
    let admission = admission(&ledger, pool_events.clone(), Arc::clone(&news));
    news::spawn(&ctx, news, orders_sender.clone());
    let (blocks_sender, blocks) = mpsc::channel(BLOCK_QUEUE);
    let (network_view, network_shown) = watch::channel(Network::default());
    let user_agent = format!("/neo-node:{}/", D::VERSION);
    let nonce = random_u32(&ctx)?;

    let (events_sender, events) = mpsc::channel(EVENT_QUEUE);
    let local = Local {
        network: ledger.settings().network,
        nonce,
        user_agent: user_agent.clone(),
        port: p2p.port(),
        compression: ctx.config.compression,
        epoch: ctx.clock.wall().as_secs().saturating_sub(ctx.clock.now().as_nanos() / 1_000_000_000),
    };
    let limits = transport::Limits { total: ctx.common.peers_max, per_address: ctx.config.per_address };
    let hub = transport::Hub::new(local, limits, events_sender, Arc::clone(&ctx.clock), ctx.tasks.clone());
    hub.set_height(ledger.height());

    let listening = Arc::clone(&hub);
    ctx.tasks.spawn_in(Stage::Serve, "peers", |stop| async move {
        listening.listen(listener, stop).await;
        Ok(())
    });
    let consensus_inbox = keys.map(|keys| {
        consensus::spawn(
            &ctx,
            Arc::clone(&ledger),
            Arc::clone(&admission),
            keys,
            consensus::Wires {
                orders: orders_sender.clone(),
                blocks: blocks_sender.clone(),
                executed: executed.subscribe(),
                pool: pool_events.subscribe(),
            },
        )
    });
    let consensus_inbox = consensus_inbox.transpose()?;
    let (state_orders, state_news) = (orders_sender.clone(), executed.subscribe());
    let state = state::spawn(&ctx, Arc::clone(&ledger), state_keys, state_orders, state_news);
    let wires = network::Wires {
        events,
        orders,
        own_orders: orders_sender,
        blocks: blocks_sender.clone(),
        executed: executed.subscribe(),
        consensus: consensus_inbox,
        shown: network_view,
        state,
    };
    let seeds = resolve(&ledger.settings().seeds, p2p).await;
    network::spawn(&ctx, Arc::clone(&ledger), Arc::clone(&admission), Arc::clone(&hub), &seeds, wires);
    chain::spawn(&ctx, Arc::clone(&ledger), Arc::clone(&admission), blocks, executed.clone());

    let (submit_sender, submitted) = mpsc::channel(BLOCK_QUEUE);
    chain::take_submitted(&ctx, submitted, blocks_sender);
    let context = RpcContext {
        ledger: Arc::clone(&ledger),
        admission,
        network: network_shown,
        blocks: submit_sender,
        executed,
        pool_changes: pool_events,
        sessions: Sessions::new(ctx.config.session_time, seed(&ctx)?),
        clock: Arc::clone(&ctx.clock),
        options: Options {
            tcp_port: p2p.port(),
            nonce,
            user_agent,
            max_gas: ctx.config.max_gas_invoke,
            sessions: ctx.config.sessions,
            session_time: ctx.config.session_time,
            max_items: ctx.config.max_items,
            page_size: ctx.config.page_size,
            tokens: Tokens {
                nep11: ctx.config.tracks(Standard::Nep11),
                nep17: ctx.config.tracks(Standard::Nep17),
                history: ctx.config.token_history,
                max_results: ctx.config.token_results,
            },
        },
    };
    serve_rpc(&ctx, rpc_listener, context);
    ctx.announce(&format!("{nonce:08x}"), "none needed: no method spends or stops", ledger.height().into());
    Ok(())
}

/// The pool, whose changes go to subscribers and to the network.
fn admission(
    ledger: &Arc<Ledger>,
    subscribers: broadcast::Sender<PoolEvent>,
    news: Arc<news::News>,
) -> Arc<Admission> {
    let listener = move |event: &PoolEvent| {
        if let PoolEvent::Added(tx) | PoolEvent::Rebroadcast(tx) = event {
            news.add(Arc::clone(tx));
        }
        let _ = subscribers.send(event.clone());
    };
    Arc::new(Admission::new(Arc::clone(ledger), Box::new(listener)))
}

fn serve_rpc<D: Daemon<Config = Config>>(
    ctx: &Context<D>,
    listener: tokio::net::TcpListener,
    context: RpcContext,
) {
    let (methods, dialect) = (neo_rpc::methods(), neo_rpc::error::dialect());
    let service = Service::new(methods, Arc::new(context), dialect, RpcLimits::default(), &ctx.registry);
    let guard = Guard {
        hosts: ctx.config.rpc_hosts.clone(),
        origins: ctx.config.rpc_origins.clone(),
        ..Guard::default()
    };
    ctx.tasks.spawn_in(Stage::Serve, "rpc", |stop| async move {
        let server = Server { service, guard, http: http::Limits::default() };
        let router = server.router_with_sockets(&["/"], &["/ws"], stop.clone());
        http::serve(listener, router, http::Limits::default(), stop).await;
        Ok(())
    });
}

/// Addresses of nodes to dial first; this node's own is left out.
async fn resolve(names: &[String], own: SocketAddr) -> Vec<SocketAddr> {
    let mut addresses = Vec::new();
    for name in names {
        match tokio::net::lookup_host(name).await {
            Ok(found) => addresses.extend(found.filter(|address| *address != own)),
            Err(err) => tracing::warn!(target: "net", name, error = %err, "a seed has no address"),
        }
    }
    addresses
}

fn address_error(key: &str, err: &std::io::Error) -> Report {
    Report::new(exit::IO_ERROR, format!("the address of {key} cannot be read")).because(err)
}

/// Random bytes, different in each run: the frame's cookie is drawn from the operating system.
fn seed<D: Daemon<Config = Config>>(ctx: &Context<D>) -> Result<[u8; 32], Report> {
    let cookie = ctx.cookie()?;
    Ok(neo_crypto::hash::sha256(format!("{cookie:?}{}", ctx.clock.wall().as_nanos()).as_bytes()))
}

fn random_u32<D: Daemon<Config = Config>>(ctx: &Context<D>) -> Result<u32, Report> {
    let [a, b, c, d, ..] = seed(ctx)?;
    Ok(u32::from_le_bytes([a, b, c, d]))
}
