//! A chain of five hundred blocks with fluxnodes; a second chain state that copies it, leaves it, and comes back.

use fluxd_miner::testing::Lab;
use tempfile::TempDir;

use crate::common::{copy, digests, grow, options};

/// Blocks of the chain.
const HEIGHT: u32 = 500;

#[test]
fn a_second_chain_state_copies_five_hundred_blocks_leaves_for_forty_and_comes_back() {
    let dirs = [TempDir::new().expect("a folder"), TempDir::new().expect("a folder")];
    let mut first = Lab::in_memory(dirs[0].path(), options());
    grow(&mut first, HEIGHT);
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
