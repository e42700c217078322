//! Questions about fluxnodes. Mirrors the queries of `src/rpc/fluxnode.cpp`.

use fluxd_chainstate::ChainState;
use fluxd_fluxnode::{rules::Tier, state::Node};
use fluxd_primitives::{Amount, OutPoint};
use shared_vendor::hex;

use super::Method;
use crate::{
    context::Context,
    error::{self, RpcError},
    json::Json,
    params::{Args, Result},
    present::{
        block::full_outpoint,
        node::{self, Counts, Times},
        transaction::tier_name,
    },
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
        method("getfluxnodestatus", "", "How the node of this process stands.", (0, 0), status),
        method("getzelnodestatus", "", "As getfluxnodestatus.", (0, 0), status),
        method("getmigrationcount", "", "Numbers of old and new collaterals.", (0, 0), migration),
    ]
};

fn count(context: &Context, _: &Args) -> Result<Json> {
    let chain = context.chain.read();
    let nodes = chain.nodes();
    let mut counts = Counts {
        tiers: Tier::ALL.map(|tier| nodes.queue(tier).count()),
        total: nodes.confirmed().len(),
        ..Counts::default()
    };
    for entry in nodes.confirmed().values() {
        counts.add_address(&node::ip_text(entry));
    }
    Ok(node::counts(&counts))
}

fn times(chain: &ChainState, node: &Node) -> Times {
    let index = chain.index();
    let time = |height: u32| index.at_height(height).map(|id| index.entry(id).time());
    Times { started: time(node.added), paid: time(node.last_paid) }
}

fn push_tier(list: &mut Vec<Json>, chain: &ChainState, tier: Tier, filter: &str) {
    let format = &chain.params().addresses;
    for (rank, (outpoint, entry)) in (0_u32..).zip(chain.nodes().queue(tier)) {
        let searched = || {
            let (txid, key) = (outpoint.txid.to_string(), hex::encode(entry.node_key.as_bytes()));
            [txid, key, node::ip_text(entry), node::payment_address(entry, format)]
        };
        if filter.is_empty() || searched().iter().any(|text| text.contains(filter)) {
            list.push(node::listed((outpoint, entry), times(chain, entry), rank, format));
        }
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
    let (height, format) = (chain.index().height(), &chain.params().addresses);
    let mut list: Vec<(i64, Json)> = nodes
        .map(|entry| node::counting_down(entry, name, span, height, format))
        .filter(|(left, _)| (0..=i64::from(span)).contains(left))
        .collect();
    list.sort_by_key(|(left, _)| *left);
    Json::List(list.into_iter().map(|(_, out)| out).collect())
}

fn started(context: &Context, _: &Args) -> Result<Json> {
    let chain = context.chain.read();
    let span = node::start_span(chain.params(), chain.index().height());
    Ok(countdown(&chain, chain.nodes().started().iter(), "expires_in", span))
}

fn dos(context: &Context, _: &Args) -> Result<Json> {
    let chain = context.chain.read();
    let span = node::dos_span(chain.params(), chain.index().height());
    Ok(countdown(&chain, chain.nodes().dos_list().iter(), "eligible_in", span))
}

fn winner(context: &Context, _: &Args) -> Result<Json> {
    let chain = context.chain.read();
    let mut out = Json::object();
    for tier in Tier::ALL {
        if let Some(next) = chain.nodes().next_payee(tier) {
            let name = format!("{} Winner", tier_name(tier.number()));
            out.push(name, node::winner(next, &chain.params().addresses));
        }
    }
    Ok(out)
}

/// The node that this process was told to belong to.
fn status(context: &Context, _: &Args) -> Result<Json> {
    let outpoint = context.fluxnode.ok_or_else(|| RpcError::new(error::MISC, "This is not a Flux Node"))?;
    let chain = context.chain.read();
    let nodes = chain.nodes();
    let places = [("STARTED", nodes.started()), ("DOS", nodes.dos_list()), ("CONFIRMED", nodes.confirmed())];
    let found = places.into_iter().find_map(|(place, list)| Some((place, list.get(&outpoint)?)));
    Ok(match found {
        Some((place, entry)) => node::status(
            place,
            (&outpoint, entry),
            &node::owner_address(entry),
            times(&chain, entry),
            &chain.params().addresses,
        ),
        None => Json::object().with("status", "expired").with("collateral", full_outpoint(&outpoint)),
    })
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
