//! A chain of five hundred blocks with fluxnodes; a second chain state that copies it, leaves it, and comes back.

use std::collections::BTreeSet;

use fluxd_chainstate::{ChainState, IndexKind, Options};
use fluxd_fluxnode::Tier;
use fluxd_miner::testing::{Key, Lab, collateral, confirm, outpoint, outputs, start};
use fluxd_primitives::{Amount, COIN, OutPoint, Transaction};
use tempfile::TempDir;

/// Blocks of the chain.
const HEIGHT: u32 = 500;
/// Nodes of each tier.
const NODES: u32 = 6;

fn options() -> Options {
    Options { indexes: BTreeSet::from(IndexKind::ALL), ..Options::default() }
}

/// A node that the laboratory runs.
struct TestNode {
    collateral: OutPoint,
    owner: Key,
    key: Key,
}

/// Mines a chain in which nodes of all tiers start, confirm, move, and one loses its collateral.
fn grow(lab: &mut Lab) {
    lab.mine_to(1);
    let premine = coinbase(lab, 1);
    lab.mine_to(101);
    let owners: Vec<Key> = (0..3 * NODES).map(|number| Key::number(100 + number)).collect();
    let payments: Vec<(Amount, &Key)> = owners
        .iter()
        .enumerate()
        .map(|(number, owner)| (collateral(Tier::ALL[number % 3]), owner))
        .collect();
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
    let confirms = confirming.iter().map(|node| confirm(node.collateral, &node.key, false, "192.0.2.1:1", now));
    let confirms: Vec<Transaction> = confirms.collect();
    lab.mine(confirms);
    let mut change = outpoint(txid, 0);
    while lab.chain.index().height() < HEIGHT {
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
fn copy(from: &ChainState, to: &mut Lab) {
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

fn from_now(chain: &ChainState) -> i64 {
    i64::from(chain.index().entry(chain.index().tip()).time()) + 30
}

fn digests(chain: &ChainState) -> Vec<(String, String)> {
    chain.digests().expect("a store").into_iter().map(|(name, digest)| (name.to_owned(), digest.to_string())).collect()
}

#[test]
fn a_second_chain_state_copies_five_hundred_blocks_leaves_for_forty_and_comes_back() {
    let dirs = [TempDir::new().expect("a folder"), TempDir::new().expect("a folder")];
    let mut first = Lab::in_memory(dirs[0].path(), options());
    grow(&mut first);
    assert!(first.chain.nodes().confirmed().len() > 10, "fluxnodes run");
    let mut second = Lab::in_memory(dirs[1].path(), options());
    copy(&first.chain, &mut second);
    assert_eq!(second.chain.tip(), first.chain.tip());
    assert_eq!(second.chain.nodes(), first.chain.nodes());
    assert_eq!(digests(&second.chain), digests(&first.chain));

    // Both go on alone; the second makes one block more.
    let fork = first.chain.index().height();
    let before = digests(&second.chain);
    second.now += 5;
    first.mine_to(fork + 39);
    second.mine_to(fork + 39);
    assert_ne!(second.chain.tip().hash, first.chain.tip().hash);
    second.mine(Vec::new());
    for height in fork + 1..=second.chain.index().height() {
        let id = second.chain.index().at_height(height).expect("active");
        let body = second.chain.body(id).expect("stored");
        first.chain.accept_block(&body, true, second.now).expect("accepted");
    }
    first.now = second.now;
    let events = first.activate();
    assert_eq!(events.len(), 39 + 40, "thirty-nine blocks are taken back for forty");
    assert_eq!(first.chain.tip(), second.chain.tip());
    assert_eq!(first.chain.nodes(), second.chain.nodes());
    assert_eq!(digests(&first.chain), digests(&second.chain));

    // And back to where they parted.
    let id = second.chain.index().at_height(fork + 1).expect("active");
    let hash = second.chain.index().entry(id).hash();
    let now = second.now;
    second.chain.invalidate(&hash, now).expect("taken back");
    assert_eq!(second.chain.index().height(), fork);
    assert_eq!(digests(&second.chain), before);
    second.chain.reconsider(&hash).expect("known");
    second.activate();
    assert_eq!(digests(&second.chain), digests(&first.chain));
}
