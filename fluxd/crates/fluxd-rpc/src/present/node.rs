//! Fluxnodes in JSON, out of a node and what the chain says about it. Mirrors `GetDeterministicListData` and the queries
//! of `src/rpc/fluxnode.cpp`.

use std::net::IpAddr;

use fluxd_consensus::params::Params;
use fluxd_fluxnode::{rules::Tier, state::Node};
use fluxd_p2p::message::address::is_routable;
use fluxd_primitives::{Address, AddressFormat, Amount, OutPoint, transaction::fluxnode::Owner};
use fluxd_script::standard::{Standard, script_id};
use shared_vendor::hex;

use super::{block::full_outpoint, transaction::tier_name};
use crate::json::Json;

/// Times of the blocks in which a node was started and last paid, where the chain is that long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Times {
    /// Of the START.
    pub started: Option<u32>,
    /// Of the last payment; of the genesis block before the first.
    pub paid: Option<u32>,
}

/// Numbers of confirmed nodes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// By tier, the smallest collateral first.
    pub tiers: [usize; 3],
    /// Of all tiers.
    pub total: usize,
    /// With an address of IPv4 that has no port.
    pub ipv4: u32,
    /// With an address of IPv6 that has no port.
    pub ipv6: u32,
    /// With an onion address that has no port.
    pub onion: u32,
}

impl Counts {
    /// Counts the networks of the addresses that nodes gave themselves. Only those without a port are known for what they
    /// are, as in the reference (`CountNetworks`).
    pub fn add_address(&mut self, ip: &str) {
        let counter = match network(ip) {
            "ipv4" => &mut self.ipv4,
            "ipv6" => &mut self.ipv6,
            "onion" => &mut self.onion,
            _ => return,
        };
        *counter = counter.saturating_add(1);
    }
}

/// Name of the network of a host; empty for what is no address that others can reach (`GetNetworkName`).
#[must_use]
pub fn network(host: &str) -> &'static str {
    if host.strip_suffix(".onion").is_some_and(|name| name.len() == 16) {
        return "onion";
    }
    let bare = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(host);
    match bare.parse::<IpAddr>().map(|ip| ip.to_canonical()) {
        Ok(ip) if !is_routable(ip) => "",
        Ok(IpAddr::V4(_)) => "ipv4",
        Ok(IpAddr::V6(_)) => "ipv6",
        Err(_) => "",
    }
}

/// The host of `host`, `host:port`, `[v6]:port` or a bare IPv6 address (`SplitHostPort`).
fn host(ip: &str) -> &str {
    match ip.rsplit_once(':') {
        Some((host, port)) if port.parse::<u16>().is_ok() && (host.ends_with(']') || !host.contains(':')) => {
            host
        }
        _ => ip,
    }
}

/// What a node calls its address; untrusted.
#[must_use]
pub fn ip_text(node: &Node) -> String {
    String::from_utf8_lossy(&node.ip).into_owned()
}

/// Whom the payments of a node go to.
#[must_use]
pub fn payment_address(node: &Node, format: &AddressFormat) -> String {
    let paid = Standard::of(node.payee().as_bytes()).and_then(|standard| standard.address());
    paid.map_or_else(String::new, |address| address.encode(format))
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

fn push_amount(out: &mut Json, node: &Node) {
    if node.collateral > Amount::ZERO {
        out.push("amount", money(node.collateral));
    }
}

fn push_heights(out: &mut Json, node: &Node) {
    out.push("added_height", node.added);
    out.push("confirmed_height", node.confirmed);
    out.push("last_confirmed_height", node.last_confirmed);
    out.push("last_paid_height", node.last_paid);
}

fn push_all(out: &mut Json, (outpoint, node): (&OutPoint, &Node), network: &str, paid: String, times: Times) {
    let time =
        |time: Option<u32>| time.map_or_else(|| Json::from(0_u32), |time| Json::from(time.to_string()));
    out.push("collateral", full_outpoint(outpoint));
    out.push("txhash", outpoint.txid.to_string());
    out.push("outidx", outpoint.index.to_string());
    out.push("ip", ip_text(node));
    out.push("network", network);
    push_heights(out, node);
    out.push("tier", tier_name(node.tier.number()));
    out.push("payment_address", paid);
    out.push("pubkey", hex::encode(node.node_key.as_bytes()));
    out.push("activesince", time(times.started));
    out.push("lastpaid", time(times.paid));
    push_amount(out, node);
}

/// An entry of the list of confirmed nodes; `rank` is its place in the queue of its tier.
#[must_use]
pub fn listed(node: (&OutPoint, &Node), times: Times, rank: u32, format: &AddressFormat) -> Json {
    let mut out = Json::object();
    push_all(&mut out, node, network(host(&ip_text(node.1))), payment_address(node.1, format), times);
    out.push("rank", rank);
    out
}

/// Whom an operator is told that a node belongs to; unlike [`payment_address`], the key that signs for a P2SH
/// collateral of the foundation.
#[must_use]
pub fn owner_address(node: &Node) -> Address {
    match &node.owner {
        Owner::Key(key) => Address::PubkeyHash(key.id()),
        Owner::RedeemScript(script) => Address::ScriptHash(script_id(&script.0)),
    }
}

/// How the node of an operator stands; `place` is the name of the list that it is on. Unlike the list, this takes an
/// address with a port for unknown.
#[must_use]
pub fn status(
    place: &str,
    node: (&OutPoint, &Node),
    owner: &Address,
    times: Times,
    format: &AddressFormat,
) -> Json {
    let mut out = Json::object();
    out.push("status", place);
    push_all(&mut out, node, network(&ip_text(node.1)), owner.encode(format), times);
    out
}

/// The next to be paid of a tier.
#[must_use]
pub fn winner((outpoint, node): (&OutPoint, &Node), format: &AddressFormat) -> Json {
    let mut out = Json::object();
    out.push("collateral", full_outpoint(outpoint));
    out.push("ip", ip_text(node));
    push_heights(&mut out, node);
    out.push("tier", tier_name(node.tier.number()));
    out.push("payment_address", payment_address(node, format));
    out
}

/// Blocks that a started node may wait to be confirmed, under a tip of this height.
#[must_use]
pub fn start_span(params: &Params, height: u32) -> u32 {
    if params.pon.is_active(height) { 240 } else { 60 }
}

/// Blocks that a node stays on the DoS list, counted from its START, under a tip of this height.
#[must_use]
pub fn dos_span(params: &Params, height: u32) -> u32 {
    if params.pon.is_active(height) { 720 } else { 180 }
}

/// An entry of a list that counts down from `span` blocks, and what is left of them; `name` says what comes then.
#[must_use]
pub fn counting_down(
    (outpoint, node): (&OutPoint, &Node),
    name: &str,
    span: u32,
    height: u32,
    format: &AddressFormat,
) -> (i64, Json) {
    let left = i64::from(span).saturating_sub(i64::from(height).saturating_sub(i64::from(node.added)));
    let mut out = Json::object();
    out.push("collateral", full_outpoint(outpoint));
    out.push("added_height", node.added);
    out.push("payment_address", payment_address(node, format));
    out.push(name, left);
    push_amount(&mut out, node);
    (left, out)
}

/// `getfluxnodecount`.
#[must_use]
pub fn counts(counts: &Counts) -> Json {
    let mut out = Json::object();
    out.push("total", counts.total).push("stable", counts.total);
    for (name, number) in ["basic", "super", "bamf"].into_iter().zip(counts.tiers) {
        out.push(format!("{name}-enabled"), number);
    }
    for (tier, number) in Tier::ALL.into_iter().zip(counts.tiers) {
        out.push(format!("{}-enabled", tier_name(tier.number()).to_lowercase()), number);
    }
    out.push("ipv4", counts.ipv4).push("ipv6", counts.ipv6).push("onion", counts.onion);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_addresses_that_others_reach_have_a_network() {
        for (text, in_list, alone) in [
            ("94.130.137.2", "ipv4", "ipv4"),
            ("65.109.63.147:16147", "ipv4", ""),
            ("[2a01:4f8::1]:16127", "ipv6", ""),
            ("2a01:4f8::1", "ipv6", "ipv6"),
            ("expyuzz4wqqyqhjn.onion:16127", "onion", ""),
            ("192.168.1.1:16127", "", ""),
            ("192.0.2.1:1", "", ""),
            ("host.example:1", "", ""),
            ("", "", ""),
        ] {
            assert_eq!((network(host(text)), network(text)), (in_list, alone), "{text}");
        }
    }
}
