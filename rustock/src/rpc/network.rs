//! `net_*`, `web3_*` and `rpc_modules`.

use serde_json::json;
use sha3::{Digest, Keccak256};
use shared_vendor::rpc::{Methods, ParamDoc, Spec};

use super::{Context, data, params, quantity};

const BYTES: ParamDoc = ParamDoc { name: "data", help: "Bytes in hexadecimal with 0x", optional: false };

pub(super) fn add(methods: &mut Methods<Context>) {
    methods.add(Spec::open("net_version", "Chain id in decimal", &[]), |ctx, _| {
        Ok(json!(ctx.network.chain_id.to_string()))
    });
    methods.add(Spec::open("net_listening", "Whether peers can connect", &[]), |_, _| Ok(json!(true)));
    methods.add(Spec::open("net_peerCount", "Connected peers", &[]), |ctx, _| {
        Ok(quantity(ctx.peers.borrow().len()))
    });
    methods.add(Spec::open("net_peerList", "Connected peers, id and address", &[]), |ctx, _| {
        let peers = ctx.peers.borrow();
        Ok(peers.iter().map(|peer| json!(format!("{} | /{}", peer.id, peer.address))).collect())
    });
    methods.add(Spec::open("web3_clientVersion", "Name and version of the program", &[]), |ctx, _| {
        Ok(json!(ctx.client_version))
    });
    methods.add(Spec::open("web3_sha3", "Keccak-256 of bytes", &[BYTES]), |_, given| {
        params::count(given, 1..=1)?;
        Ok(data(&Keccak256::digest(params::prefixed_bytes(given, 0)?)))
    });
    methods.add(Spec::open("rpc_modules", "Groups of methods and their versions", &[]), |_, _| {
        Ok(json!({ "eth": "1.0", "net": "1.0", "rpc": "1.0", "rsk": "1.0", "txpool": "1.0", "web3": "1.0" }))
    });
}
