//! Questions about fluxnodes. Mirrors the queries of `src/rpc/fluxnode.cpp`.

use std::net::IpAddr;

use fluxd_chainstate::ChainState;
use fluxd_fluxnode::{rules::Tier, state::Node};
use fluxd_primitives::{Amount, OutPoint};
use fluxd_script::standard::Standard;
use shared_vendor::hex;

use super::Method;
use crate::{
    context::Context,
    error::{self, RpcError},
    json::Json,
    params::{Args, Result},
    present::{block::full_outpoint, transaction::tier_name},
};

pub(super) const METHODS: fn() -> Vec<Method> = || {
    let method = |name, arguments, about, (least, most), run| Method {
        name,
        group: "fluxnode",
        arguments,
        about,
        least,
        most,
        run,
    };
    let list = "Confirmed nodes in the order of their payments.";
    vec![
        method("getfluxnodecount", "", "Numbers of nodes.", (0, 0), count),
        method("getzelnodecount", "", "As getfluxnodecount.", (0, 0), count),
        method("viewdeterministicfluxnodelist", "( \"filter\" )", list, (0, 1), confirmed),
        method("viewdeterministiczelnodelist", "( \"filter\" )", list, (0, 1), confirmed),
        method("listfluxnodes", "( \"filter\" )", list, (0, 1), confirmed),
        method("listzelnodes", "( \"filter\" )", list, (0, 1), confirmed),
        method("getfluxnodesnapshot", "", "Confirmed nodes with the block they are of.", (0, 0), snapshot),
        method("getstartlist", "", "Nodes that wait to be confirmed.", (0, 0), started),
        method("getdoslist", "", "Nodes that were not confirmed in time.", (0, 0), dos),
        method("fluxnodecurrentwinner", "", "Who is paid next.", (0, 0), winner),
        method("zelnodecurrentwinner", "", "As fluxnodecurrentwinner.", (0, 0), winner),
        method("getmigrationcount", "", "Numbers of old and new collaterals.", (0, 0), migration),
    ]
};

/// Host of `1.2.3.4:16127` or `[2001::1]:16127`.
fn host(ip: &str) -> Option<IpAddr> {
    if let Ok(ip) = ip.parse() {
        return Some(ip);
    }
    let (host, _) = ip.rsplit_once(':')?;
    host.trim_start_matches('[').trim_end_matches(']').parse().ok()
}

fn ip_text(node: &Node) -> String {
    String::from_utf8_lossy(&node.ip).into_owned()
}

fn count(context: &Context, _: &Args) -> Result<Json> {
    let chain = context.chain.read();
    let nodes = chain.nodes();
    let of = |tier: Tier| nodes.queue(tier).count();
    let (mut four, mut six) = (0_u32, 0_u32);
    for node in nodes.confirmed().values() {
        // The reference counts only addresses without a port.
        match ip_text(node).parse::<IpAddr>() {
            Ok(IpAddr::V4(_)) => four = four.saturating_add(1),
            Ok(IpAddr::V6(_)) => six = six.saturating_add(1),
            Err(_) => {}
        }
    }
    let total = nodes.confirmed().len();
    let tiers = Tier::ALL.map(of);
    let mut out = Json::object();
    out.push("total", total).push("stable", total);
    for (name, number) in ["basic", "super", "bamf"].into_iter().zip(tiers) {
        out.push(format!("{name}-enabled"), number);
    }
    for (name, number) in ["cumulus", "nimbus", "stratus"].into_iter().zip(tiers) {
        out.push(format!("{name}-enabled"), number);
    }
    out.push("ipv4", four).push("ipv6", six).push("onion", 0_u32);
    Ok(out)
}

fn address(chain: &ChainState, node: &Node) -> String {
    let paid = Standard::of(node.payee().as_bytes()).and_then(|standard| standard.address());
    paid.map_or_else(String::new, |address| address.encode(&chain.params().addresses))
}

/// An amount with at least two decimals (`FormatMoney`).
fn money(amount: Amount) -> String {
    let zat = amount.zat().unsigned_abs();
    let decimals = format!("{:08}", zat % 100_000_000);
    let (kept, rest) = decimals.split_at(2);
    let rest = rest.trim_end_matches('0');
    let sign = if amount.zat() < 0 { "-" } else { "" };
    format!("{sign}{}.{kept}{rest}", zat / 100_000_000)
}

fn time_at(chain: &ChainState, height: u32) -> Json {
    let index = chain.index();
    match index.at_height(height) {
        Some(id) => Json::from(index.entry(id).time().to_string()),
        None => Json::from(0_u32),
    }
}

fn push_tier(list: &mut Vec<Json>, chain: &ChainState, tier: Tier, filter: &str) {
    for (rank, (outpoint, node)) in (0_u32..).zip(chain.nodes().queue(tier)) {
        let (txid, ip, paid) = (outpoint.txid.to_string(), ip_text(node), address(chain, node));
        let key = hex::encode(node.node_key.as_bytes());
        if !filter.is_empty() && ![&txid, &key, &ip, &paid].iter().any(|text| text.contains(filter)) {
            continue;
        }
        let network = match host(&ip) {
            Some(IpAddr::V4(_)) => "ipv4",
            Some(IpAddr::V6(_)) => "ipv6",
            None => "",
        };
        let mut out = Json::object();
        out.push("collateral", full_outpoint(outpoint));
        out.push("txhash", txid);
        out.push("outidx", outpoint.index.to_string());
        out.push("ip", ip);
        out.push("network", network);
        out.push("added_height", node.added);
        out.push("confirmed_height", node.confirmed);
        out.push("last_confirmed_height", node.last_confirmed);
        out.push("last_paid_height", node.last_paid);
        out.push("tier", tier_name(node.tier.number()));
        out.push("payment_address", paid);
        out.push("pubkey", key);
        out.push("activesince", time_at(chain, node.added));
        out.push("lastpaid", time_at(chain, node.last_paid));
        if node.collateral > Amount::ZERO {
            out.push("amount", money(node.collateral));
        }
        out.push("rank", rank);
        list.push(out);
    }
}

fn require_synced(context: &Context) -> Result<()> {
    if context.is_syncing() {
        return Err(RpcError::new(error::INITIAL_DOWNLOAD, "Wait until chain is synced closer to tip"));
    }
    Ok(())
}

fn confirmed(context: &Context, args: &Args) -> Result<Json> {
    require_synced(context)?;
    let filter = if args.has(0) { args.text(0)? } else { "" };
    let chain = context.chain.read();
    let mut list = Vec::new();
    for tier in Tier::ALL {
        push_tier(&mut list, &chain, tier, filter);
    }
    Ok(Json::List(list))
}

fn snapshot(context: &Context, _: &Args) -> Result<Json> {
    require_synced(context)?;
    let chain = context.chain.read();
    let mut list = Vec::new();
    for tier in Tier::ALL {
        push_tier(&mut list, &chain, tier, "");
    }
    Ok(Json::object()
        .with("height", chain.index().height())
        .with("blockhash", chain.tip().hash.to_string())
        .with("nodes", list))
}

/// Entries that count down, those with the least left first.
fn countdown<'a>(
    chain: &ChainState,
    nodes: impl Iterator<Item = (&'a OutPoint, &'a Node)>,
    name: &str,
    span: u32,
) -> Json {
    let height = i64::from(chain.index().height());
    let mut list: Vec<(i64, Json)> = nodes
        .map(|(outpoint, node)| {
            let left = i64::from(span).saturating_sub(height.saturating_sub(i64::from(node.added)));
            let mut out = Json::object();
            out.push("collateral", full_outpoint(outpoint));
            out.push("added_height", node.added);
            out.push("payment_address", address(chain, node));
            out.push(name, left);
            if node.collateral > Amount::ZERO {
                out.push("amount", money(node.collateral));
            }
            (left, out)
        })
        .filter(|(left, _)| (0..=i64::from(span)).contains(left))
        .collect();
    list.sort_by_key(|(left, _)| *left);
    Json::List(list.into_iter().map(|(_, out)| out).collect())
}

fn started(context: &Context, _: &Args) -> Result<Json> {
    let chain = context.chain.read();
    let span = if chain.params().pon.is_active(chain.index().height()) { 240 } else { 60 };
    Ok(countdown(&chain, chain.nodes().started().iter(), "expires_in", span))
}

fn dos(context: &Context, _: &Args) -> Result<Json> {
    let chain = context.chain.read();
    let span = if chain.params().pon.is_active(chain.index().height()) { 720 } else { 180 };
    Ok(countdown(&chain, chain.nodes().dos_list().iter(), "eligible_in", span))
}

fn winner(context: &Context, _: &Args) -> Result<Json> {
    require_synced(context)?;
    let chain = context.chain.read();
    let mut out = Json::object();
    for tier in Tier::ALL {
        let Some((outpoint, node)) = chain.nodes().next_payee(tier) else { continue };
        let name = tier_name(tier.number());
        let mut one = Json::object();
        one.push("collateral", full_outpoint(outpoint));
        one.push("ip", ip_text(node));
        one.push("added_height", node.added);
        one.push("confirmed_height", node.confirmed);
        one.push("last_confirmed_height", node.last_confirmed);
        one.push("last_paid_height", node.last_paid);
        one.push("tier", name.as_str());
        one.push("payment_address", address(&chain, node));
        out.push(format!("{name} Winner"), one);
    }
    Ok(out)
}

/// Collaterals of the second generation.
const NEW_COLLATERALS: [i64; 3] = [1_000, 12_500, 40_000];

fn migration(context: &Context, _: &Args) -> Result<Json> {
    let chain = context.chain.read();
    let numbers = |new: bool| {
        Tier::ALL.map(|tier| {
            let is_new = |node: &Node| {
                NEW_COLLATERALS
                    .iter()
                    .any(|coins| Amount::from_zat(coins * fluxd_primitives::COIN) == node.collateral)
            };
            chain.nodes().queue(tier).filter(|(_, node)| is_new(node) == new).count()
        })
    };
    let describe = |suffix: &str, numbers: [usize; 3]| {
        let mut out = Json::object();
        out.push(format!("total-{suffix}"), numbers.iter().sum::<usize>());
        for (name, number) in ["cumulus", "nimbus", "stratus"].into_iter().zip(numbers) {
            out.push(format!("{name}-enabled-{suffix}"), number);
        }
        out
    };
    Ok(Json::List(vec![describe("old", numbers(false)), describe("new", numbers(true))]))
}
