//! The chain that all tests grow, and how one chain state is copied to another.

use std::collections::BTreeSet;

use fluxd_chainstate::{ChainState, IndexKind, Options};
use fluxd_fluxnode::Tier;
use fluxd_miner::testing::{Key, Lab, collateral, confirm, outpoint, outputs, start};
use fluxd_primitives::{Amount, COIN, OutPoint, Transaction};

/// Nodes of each tier.
const NODES: u32 = 6;

pub(crate) fn options() -> Options {
    Options { indexes: BTreeSet::from(IndexKind::ALL), ..Options::default() }
}

/// A node that the laboratory runs.
struct TestNode {
    collateral: OutPoint,
    owner: Key,
    key: Key,
}

/// Mines a chain in which nodes of all tiers start, confirm, move, and one loses its collateral.
pub(crate) fn grow(lab: &mut Lab, until: u32) {
    lab.mine_to(1);
    let premine = coinbase(lab, 1);
    lab.mine_to(101);
    let owners: Vec<Key> = (0..3 * NODES).map(|number| Key::number(100 + number)).collect();
    let payments: Vec<(Amount, &Key)> =
        owners.iter().enumerate().map(|(number, owner)| (collateral(Tier::ALL[number % 3]), owner)).collect();
    let split = lab.pay(premine, outputs(&payments));
    let txid = split.txid();
    lab.mine(vec![split]);
    lab.mine_to(210);
    let nodes: Vec<TestNode> = (1..)
        .zip(owners)
        .map(|(index, owner)| TestNode {
            collateral: outpoint(txid, index),
            key: Key::number(1000 + index),
            owner,
        })
        .collect();
    let time = |lab: &Lab| u32::try_from(lab.now).expect("this century");
    let now = time(lab);
    let starts: Vec<Transaction> =
        nodes.iter().map(|node| start(node.collateral, &node.owner, &node.key, now)).collect();
    lab.mine(starts);
    // The last one never confirms.
    let (_, confirming) = nodes.split_last().expect("nodes");
    let confirms =
        confirming.iter().map(|node| confirm(node.collateral, &node.key, false, "192.0.2.1:1", now));
    let confirms: Vec<Transaction> = confirms.collect();
    lab.mine(confirms);
    let mut change = outpoint(txid, 0);
    while lab.chain.index().height() < until {
        let height = lab.chain.index().height();
        let now = time(lab);
        let mut transactions = Vec::new();
        if height.is_multiple_of(7) {
            let ip = format!("198.51.100.{}:16127", height % 250);
            let movers = confirming.iter().skip(usize::try_from(height % 5).expect("few")).step_by(3);
            transactions.extend(movers.map(|node| confirm(node.collateral, &node.key, true, &ip, now)));
        }
        if height.is_multiple_of(3) {
            let payment = lab.pay(change, outputs(&[(Amount::from_zat(COIN), &Key::number(height))]));
            change = outpoint(payment.txid(), 0);
            transactions.push(payment);
        }
        lab.mine(transactions);
    }
}

fn coinbase(lab: &Lab, height: u32) -> OutPoint {
    let id = lab.chain.index().at_height(height).expect("mined");
    outpoint(lab.chain.body(id).expect("stored").txids()[0], 0)
}

/// Gives all blocks above the genesis block to another chain state, as a peer would.
pub(crate) fn copy(from: &ChainState, to: &mut Lab) {
    to.now = from_now(from);
    let headers: Vec<_> = (1..=from.index().height())
        .map(|height| from.row(from.index().at_height(height).expect("active")).expect("a row").header)
        .collect();
    let (accepted, error) = to.chain.accept_headers(&headers, from_now(from));
    assert_eq!((accepted, error), (headers.len(), None));
    for height in 1..=from.index().height() {
        let body = from.body(from.index().at_height(height).expect("active")).expect("stored");
        to.chain.accept_block(&body, true, from_now(from)).expect("accepted");
        if height % 50 == 0 {
            to.activate();
        }
    }
    to.activate();
}

pub(crate) fn from_now(chain: &ChainState) -> i64 {
    i64::from(chain.index().entry(chain.index().tip()).time()) + 30
}

pub(crate) fn digests(chain: &ChainState) -> Vec<(String, String)> {
    let digests = chain.digests().expect("a store");
    digests.into_iter().map(|(name, digest)| (name.to_owned(), digest.to_string())).collect()
}
