//! `node_*` and `net_*`: the program, its peers, whether it is in step.

use serde_json::{Value, json};
use shared_vendor::{
    http::Access,
    rpc::{Error, Methods, ParamDoc, Params, Spec},
};

use super::{Context, PeerLine, ask, busy, number};

const PEER: &[ParamDoc] = &[ParamDoc { name: "peer", help: "Id of the peer", optional: false }];
const ADDRESS: &[ParamDoc] =
    &[ParamDoc { name: "address", help: "Multiaddress such as /ip4/127.0.0.1/tcp/9470", optional: false }];

pub(super) fn add(methods: &mut Methods<Context>) {
    methods.add(Spec::open("node_version", "Name and version of the program", &[]), |ctx, _| {
        Ok(json!({ "version": ctx.version, "network": ctx.network }))
    });
    methods
        .add(Spec::open("node_peerId", "Our id on the network", &[]), |ctx, _| Ok(json!(ctx.backend.id())));
    methods.add_async(
        Spec::open("node_syncing", "Whether the node is behind, and how far", &[]),
        |ctx, _| async move {
            let now_ms = ctx.backend.now_ms();
            ask(&ctx, move |view| {
                let config = view.chain.config();
                let genesis_ms = config.genesis_time.saturating_mul(1000);
                let clock = now_ms.saturating_sub(genesis_ms) / config.params.slot_ms;
                let head = view.chain.head_slot();
                Ok(json!({
                    "syncing": view.syncing.is_some(),
                    "headSlot": number(head),
                    "targetSlot": number(view.syncing.unwrap_or(head)),
                    "clockSlot": number(clock),
                    "distance": number(clock.saturating_sub(head)),
                    "peers": number(view.peers),
                }))
            })
            .await
        },
    );
    for (name, help) in [("node_peers", "Connected peers"), ("net_peers", "Connected peers")] {
        methods.add_async(Spec::open(name, help, &[]), |ctx, _| async move {
            let peers = ctx.backend.peers().await.map_err(|_| busy())?;
            let line = |peer: &PeerLine| {
                json!({
                    "id": peer.id,
                    "number": number(peer.number),
                    "address": peer.address,
                    "direction": if peer.inbound { "in" } else { "out" },
                    "agent": peer.agent,
                })
            };
            Ok(peers.iter().map(line).collect::<Value>())
        });
    }
    let full = |name, help, params| Spec { name, help, params, access: Access::Full };
    methods.add(full("net_ban", "End the connection to a peer and refuse it", PEER), |ctx, params| {
        ban(ctx, params, true)
    });
    methods
        .add(full("net_unban", "Let a banned peer come back", PEER), |ctx, params| ban(ctx, params, false));
    methods.add(full("net_connect", "Stay connected to a node", ADDRESS), |ctx, params| {
        let address: String = params.required(0, "address")?;
        ctx.backend.connect(&address).map_err(Error::invalid_params)?;
        Ok(json!(true))
    });
}

fn ban(ctx: &Context, params: &Params, banned: bool) -> Result<Value, Error> {
    let peer: String = params.required(0, "peer")?;
    ctx.backend.ban(&peer, banned).map_err(Error::invalid_params)?;
    Ok(json!(true))
}
