//! Methods about peers and bans. Mirrors `src/rpc/net.cpp`.

use fluxd_p2p::{bans::Subnet, message::version::PROTOCOL_VERSION};

use super::{Method, control::time_offset};
use crate::{
    context::Context,
    error::{self, RpcError},
    json::Json,
    params::{Args, Result},
};

pub(super) const METHODS: fn() -> Vec<Method> = || {
    let method = |name, arguments, about, (least, most), run| Method {
        name,
        group: "network",
        arguments,
        about,
        least,
        most,
        run,
    };
    vec![
        method("getconnectioncount", "", "Number of connections.", (0, 0), count),
        method("ping", "", "Asks all peers for a sign of life.", (0, 0), ping),
        method("getpeerinfo", "", "What is known of each peer.", (0, 0), peers),
        method(
            "addnode",
            "\"node\" \"add|remove|onetry\"",
            "Changes the list of nodes to stay connected to.",
            (2, 2),
            add,
        ),
        method("disconnectnode", "\"node\"", "Closes a connection.", (1, 1), disconnect),
        method(
            "getaddednodeinfo",
            "dns ( \"node\" )",
            "The list of nodes to stay connected to.",
            (1, 2),
            added,
        ),
        method("getnettotals", "", "Bytes exchanged.", (0, 0), totals),
        method("getdeprecationinfo", "", "When this version ends.", (0, 0), deprecation),
        method("getnetworkinfo", "", "The state of the network.", (0, 0), info),
        method(
            "setban",
            "\"ip(/netmask)\" \"add|remove\" ( bantime absolute )",
            "Bans or unbans.",
            (2, 4),
            ban,
        ),
        method("listbanned", "", "All bans.", (0, 0), banned),
        method("clearbanned", "", "Ends all bans.", (0, 0), clear),
    ]
};

fn count(context: &Context, _: &Args) -> Result<Json> {
    Ok(Json::from(context.network.peers().len()))
}

fn ping(context: &Context, _: &Args) -> Result<Json> {
    context.network.ping();
    Ok(Json::Null)
}

fn peers(context: &Context, _: &Args) -> Result<Json> {
    let list = context.network.peers().into_iter().map(|peer| {
        let mut out = Json::object();
        out.push("id", peer.id);
        out.push("addr", peer.address.to_string());
        if !peer.local.ip().is_unspecified() {
            out.push("addrlocal", peer.local.to_string());
        }
        out.push("services", format!("{:016x}", peer.services));
        out.push("addr_processed", peer.addresses).push("addr_rate_limited", peer.addresses_dropped);
        out.push("whitelisted", peer.trusted);
        out.push("lastsend", peer.last_send).push("lastrecv", peer.last_receive);
        out.push("bytessent", peer.sent).push("bytesrecv", peer.received);
        out.push("conntime", peer.since);
        out.push("timeoffset", peer.time_offset);
        out.push("pingtime", Json::real(peer.ping));
        if peer.ping_wait > 0.0 {
            out.push("pingwait", Json::real(peer.ping_wait));
        }
        out.push("version", peer.version);
        out.push("subver", peer.user_agent);
        out.push("inbound", peer.inbound);
        out.push("startingheight", peer.starting_height);
        out.push("banscore", peer.score);
        out.push("synced_headers", peer.synced_headers).push("synced_blocks", peer.synced_blocks);
        out.push("inflight", peer.in_flight.into_iter().map(Json::from).collect::<Vec<_>>());
        out.push("whitelisted", peer.trusted);
        out
    });
    Ok(Json::List(list.collect()))
}

fn add(context: &Context, args: &Args) -> Result<Json> {
    let (node, command) = (args.text(0)?, args.text(1)?);
    match command {
        "onetry" => context.network.try_once(node),
        "add" if !context.network.add(node) => {
            return Err(RpcError::new(error::NODE_ALREADY_ADDED, "Error: Node already added"));
        }
        "remove" if !context.network.remove(node) => {
            return Err(RpcError::new(error::NODE_NOT_ADDED, "Error: Node has not been added."));
        }
        "add" | "remove" => {}
        _ => return Err(RpcError::new(error::MISC, "addnode \"node\" \"add|remove|onetry\"\n")),
    }
    Ok(Json::Null)
}

fn disconnect(context: &Context, args: &Args) -> Result<Json> {
    if !context.network.disconnect(args.text(0)?) {
        return Err(RpcError::new(error::NODE_NOT_CONNECTED, "Node not found in connected nodes"));
    }
    Ok(Json::Null)
}

fn added(context: &Context, args: &Args) -> Result<Json> {
    let dns = args.flag(0)?;
    let mut nodes = context.network.added();
    if args.has(1) {
        let wanted = args.text(1)?;
        nodes.retain(|node| node == wanted);
        if nodes.is_empty() {
            return Err(RpcError::new(error::NODE_NOT_ADDED, "Error: Node has not been added."));
        }
    }
    let peers = context.network.peers();
    let list = nodes.into_iter().map(|node| {
        let mut out = Json::object();
        out.push("addednode", node.as_str());
        if !dns {
            return out;
        }
        let found: Vec<_> = context
            .network
            .resolve(&node)
            .into_iter()
            .map(|address| (address, peers.iter().find(|peer| peer.address == address)))
            .collect();
        out.push("connected", found.iter().any(|(_, peer)| peer.is_some()));
        let addresses: Vec<Json> = found
            .into_iter()
            .map(|(address, peer)| {
                let state = peer.map_or("false", |peer| if peer.inbound { "inbound" } else { "outbound" });
                Json::object().with("address", address.to_string()).with("connected", state)
            })
            .collect();
        out.push("addresses", addresses);
        out
    });
    Ok(Json::List(list.collect()))
}

fn totals(context: &Context, _: &Args) -> Result<Json> {
    let (received, sent) = context.network.totals();
    Ok(Json::object()
        .with("totalbytesrecv", received)
        .with("totalbytessent", sent)
        .with("timemillis", context.clock.wall().as_millis()))
}

fn deprecation(_: &Context, _: &Args) -> Result<Json> {
    Err(RpcError::new(
        error::MISC,
        "getdeprecationinfo\n\nThis version does not shut itself down at any height.\n",
    ))
}

fn info(context: &Context, _: &Args) -> Result<Json> {
    let peers = context.network.peers();
    let network = |name: &str, usable: bool| {
        Json::object()
            .with("name", name)
            .with("limited", !usable)
            .with("reachable", usable)
            .with("proxy", "")
            .with("proxy_randomize_credentials", false)
    };
    let local = context.network.local_addresses();
    let local: Vec<Json> = local
        .into_iter()
        .map(|address| {
            Json::object()
                .with("address", address.ip().to_string())
                .with("port", address.port())
                .with("score", 1_u32)
        })
        .collect();
    let mut out = Json::object();
    out.push("version", context.version);
    out.push("subversion", context.user_agent.as_str());
    out.push("protocolversion", PROTOCOL_VERSION);
    out.push("localservices", format!("{:016x}", context.services));
    out.push("timeoffset", time_offset(&peers.iter().map(|peer| peer.time_offset).collect::<Vec<_>>()));
    out.push("connections", peers.len());
    out.push("networks", vec![network("ipv4", true), network("ipv6", true), network("onion", false)]);
    out.push("relayfee", Json::zat(context.relay_fee));
    out.push("localaddresses", local);
    out.push("warnings", context.warnings().status);
    Ok(out)
}

fn ban(context: &Context, args: &Args) -> Result<Json> {
    let (text, command) = (args.text(0)?, args.text(1)?);
    let subnet = text.parse::<Subnet>();
    let mut bans = context.bans.lock();
    match (command, subnet) {
        ("add" | "remove", Err(_)) => {
            return Err(RpcError::new(error::NODE_ALREADY_ADDED, "Error: Invalid IP/Subnet"));
        }
        ("add", Ok(subnet)) => {
            // One address is banned also by a network that holds it.
            let single = text.parse::<std::net::IpAddr>().ok();
            if single.map_or_else(|| bans.has(&subnet), |ip| bans.is_banned(ip, context.now())) {
                return Err(RpcError::new(error::NODE_ALREADY_ADDED, "Error: IP/Subnet already banned"));
            }
            let length = if args.has(2) { args.int64(2)? } else { 0 };
            let absolute = args.has(3) && args.flag(3)?;
            let until = match length {
                length if length <= 0 => context.now().saturating_add(context.ban_seconds),
                length if absolute => length,
                length => context.now().saturating_add(length),
            };
            bans.ban(subnet, until);
            drop(bans);
            context.network.enforce_bans();
        }
        ("remove", Ok(subnet)) if !bans.unban(&subnet) => {
            return Err(RpcError::new(error::MISC, "Error: Unban failed"));
        }
        ("remove", Ok(_)) => {}
        _ => {
            let help = "setban \"ip(/netmask)\" \"add|remove\" ( bantime absolute )\n";
            return Err(RpcError::new(error::MISC, help));
        }
    }
    Ok(Json::Null)
}

fn banned(context: &Context, _: &Args) -> Result<Json> {
    let list = context.bans.lock().list(context.now());
    let list = list.into_iter().map(|(subnet, until)| {
        Json::object().with("address", subnet.to_string()).with("banned_until", until)
    });
    Ok(Json::List(list.collect()))
}

fn clear(context: &Context, _: &Args) -> Result<Json> {
    context.bans.lock().clear();
    Ok(Json::Null)
}
