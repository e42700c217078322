//! What the HTTP server asks of the node, and how the server is started.

use std::sync::Arc;

use avalanche_api::{Aliases, ChainAtWork, Checks, Enabled, Extras, Facts};
use avalanche_crypto::bls;
use avalanche_db::Database;
use avalanche_ids::{Id, NodeId};
use proposervm::epoch::Epoch;
use serde_json::{Value, json};
use shared_vendor::{
    app::{Context, Daemon},
    clock::Clock,
    exit::Report,
    http::{self, Guard},
    log,
    tasks::Stage,
};
use tokio::net::TcpListener;

use super::{Shared, io_report, listen};
use crate::{config::Config, genesis::EVM_ID};

/// The node as the server sees it.
struct View(Arc<Shared>, Arc<dyn Clock>);

/// What operators may do through the server.
struct Desk<D: Daemon> {
    ctx: Context<D>,
    store: Arc<dyn Database>,
}

impl<D: Daemon<Config = Config>> avalanche_api::Operator for Desk<D> {
    fn level(&self) -> String {
        self.ctx.common.log_level.clone()
    }

    fn set_level(&self, level: &str) -> Result<(), String> {
        self.ctx.log.set_level(level).map_err(|report| report.to_string())
    }

    fn settings(&self) -> Value {
        let config = &self.ctx.config;
        json!({
            "networkID": config.network_id,
            "httpConfig": {
                "apiConfig": {
                    "indexerConfig": {
                        "indexAPIEnabled": config.index_enabled,
                        "indexAllowIncomplete": config.index_allow_incomplete,
                    },
                    "adminAPIEnabled": config.api_admin_enabled,
                    "infoAPIEnabled": config.api_info_enabled,
                    "metricsAPIEnabled": config.api_metrics_enabled,
                    "healthAPIEnabled": config.api_health_enabled,
                },
                "httpHost": config.http_host,
                "httpPort": config.http_port,
                "httpAllowedHosts": config.http_allowed_hosts,
            },
        })
    }

    fn stored(&self, key: &[u8]) -> Result<Option<Vec<u8>>, String> {
        self.store.get(key).map_err(|err| log::Chain(&err).to_string())
    }
}

impl avalanche_api::Node for View {
    fn peers(&self) -> Vec<avalanche_api::Peer> {
        let vitals = self.0.network.peers();
        let chains: Vec<_> = self
            .0
            .chains
            .read()
            .iter()
            .map(|chain| (chain.alias, chain.view.lock().benched.clone()))
            .collect();
        let peers = self.0.peers.read();
        let peer = |(node, peer): (&NodeId, &super::Peer)| {
            let version = peer.info.version;
            let (client, benched) = (
                shared_vendor::exit::escape(&peer.info.client),
                chains
                    .iter()
                    .filter(|(_, benched)| benched.contains(node))
                    .map(|(alias, _)| (*alias).to_owned()),
            );
            avalanche_api::Peer {
                node: *node,
                address: peer.info.ip.address,
                version: format!("{client}/{}.{}.{}", version.major, version.minor, version.patch),
                upgrade_time: peer.info.upgrade_time,
                heard: peer.heard,
                observed_uptime: vitals.get(node).map_or(0, |vitals| vitals.observed_uptime),
                subnets: peer.info.tracked_subnets.iter().copied().collect(),
                benched: benched.collect(),
            }
        };
        peers.iter().map(peer).collect()
    }

    fn is_bootstrapped(&self, chain: Id) -> Option<bool> {
        let chains = self.0.chains.read();
        match chains.iter().find(|handle| handle.id == chain) {
            Some(handle) => Some(handle.view.lock().is_following),
            None => (chain == self.0.avm.config().chain_id).then_some(false),
        }
    }

    fn is_connected(&self, node: NodeId) -> bool {
        node == self.0.facts.me || self.0.peers.read().contains_key(&node)
    }

    fn proposal(&self, chain: Id) -> Result<(u64, Epoch), String> {
        let proposers = self.0.proposers.read();
        let vm = proposers.get(&chain).ok_or("the chain was not started yet")?;
        let now = self.1.wall();
        let failed = |err| log::Chain(&err).to_string();
        Ok((vm.proposed_height(now).map_err(failed)?, vm.current_epoch(now).map_err(failed)?))
    }

    fn checks(&self) -> Checks {
        let mut checks = Vec::new();
        let mut waiting: Vec<&str> = Vec::new();
        for handle in self.0.chains.read().iter() {
            let view = handle.view.lock().clone();
            let error = (!view.is_following).then(|| "chain is not bootstrapped".to_owned());
            if error.is_some() {
                waiting.push(handle.alias);
            }
            let message = json!({
                "engine": { "consensus": {
                    "lastAcceptedHeight": view.last_accepted.1,
                    "lastAcceptedID": view.last_accepted.0.to_string(),
                    "longestProcessingBlock": "0s",
                    "processingBlocks": view.processing,
                }, "vm": null },
                "networking": { "percentConnected": view.connected_part },
            });
            checks.push((handle.alias, message, error));
        }
        let error = (!waiting.is_empty()).then(|| "subnets not bootstrapped".to_owned());
        checks.push(("bootstrapped", json!(waiting), error));
        let peers = self.0.peers.read().len();
        let alone = peers == 0 && self.0.validators.read().keys().any(|node| *node != self.0.facts.me);
        let error = alone.then(|| "not connected to a minimum of 1 peer(s), only 0".to_owned());
        checks.push(("network", json!({ "connectedPeers": peers }), error));
        checks.push(("database", Value::Null, None));
        Checks(checks)
    }

    fn chains(&self) -> Vec<ChainAtWork> {
        let chains = self.0.chains.read();
        let chain = |handle: &super::chain::Handle| {
            let view = handle.view.lock();
            ChainAtWork {
                alias: handle.alias,
                height: view.last_accepted.1,
                processing: view.processing,
                successful_polls: view.polls.successful,
                failed_polls: view.polls.failed,
                benched: view.benched.clone(),
            }
        };
        chains.iter().map(chain).collect()
    }
}

/// Binds the port of the HTTP server.
///
/// # Errors
/// The address is none, or in use.
pub(super) async fn bind<D: Daemon<Config = Config>>(ctx: &Context<D>) -> Result<TcpListener, Report> {
    let address = listen(ctx.common.rpc_addr, ctx.config.http_host.as_deref(), ctx.config.http_port)?;
    let listener = ctx.bind("rpc.addr", address).await?;
    let bound = listener.local_addr().map_err(|err| io_report("rpc.addr", &err))?;
    ctx.status.update(ctx.clock.now(), |status| {
        status.addresses.insert("rpc", bound.to_string());
    });
    Ok(listener)
}

/// Serves HTTP until the node stops.
pub(super) fn start<D: Daemon<Config = Config>>(
    ctx: &Context<D>,
    shared: &Arc<Shared>,
    store: &Arc<dyn Database>,
    listener: TcpListener,
    signer: &bls::SecretKey,
) {
    let facts = &shared.facts;
    let public_key = signer.public_key().to_bytes();
    let context = avalanche_api::Context {
        facts: Facts {
            network_id: facts.network.id,
            network_name: facts.network.reference_name(),
            hrp: facts.network.hrp(),
            node: facts.me,
            public_key,
            proof_of_possession: signer.sign_possession(&public_key).to_bytes(),
            address: facts.address,
            c_chain: facts.genesis.platform.chain_id(EVM_ID),
            version: D::VERSION,
        },
        platform: shared.platform.clone(),
        avm: shared.avm.clone(),
        node: Arc::new(View(Arc::clone(shared), Arc::clone(&ctx.clock))),
        aliases: Aliases::default(),
        clock: Arc::clone(&ctx.clock),
    };
    let config = &ctx.config;
    let guard = Guard {
        hosts: config.http_allowed_hosts.clone(),
        origins: config.http_allowed_origins.split_whitespace().map(str::to_owned).collect(),
        ..Guard::default()
    };
    let enabled = Enabled {
        info: config.api_info_enabled,
        health: config.api_health_enabled,
        metrics: config.api_metrics_enabled,
    };
    let mut extras = Extras::default();
    if config.api_admin_enabled {
        extras.admin = Some(Arc::new(Desk { ctx: ctx.clone(), store: Arc::clone(store) }));
    }
    for (chain, indexes) in &shared.indexes {
        let is_p = *chain == Id::EMPTY;
        extras.indexes.push((if is_p { "P/block" } else { "X/block" }, Arc::clone(&indexes.blocks)));
        if let Some((txs, vertices)) = &indexes.dag {
            extras.indexes.extend([("X/tx", Arc::clone(txs)), ("X/vtx", Arc::clone(vertices))]);
        }
    }
    let router = avalanche_api::router(Arc::new(context), enabled, extras, guard, &ctx.registry);
    ctx.tasks.spawn_in(Stage::Serve, "http", |stop| async move {
        http::serve(listener, router, http::Limits::default(), stop).await;
        Ok(())
    });
}
