use fluxd_primitives::{COIN, TxId};
use proptest::prelude::*;

use super::*;
use crate::rules::tests::MAIN;

const START: u32 = 1_500_000;

fn outpoint(number: u8) -> OutPoint {
    OutPoint { txid: TxId([number; 32]), index: 0 }
}

fn node(tier: Tier) -> Node {
    let coins = [1_000, 12_500, 40_000][usize::try_from(tier.number()).expect("small") - 1];
    Node {
        owner: Owner::Key(PublicKey::default()),
        collateral_script: None,
        node_key: PublicKey::default(),
        tier,
        collateral: Amount::from_zat(coins * COIN),
        added: 0,
        confirmed: 0,
        last_confirmed: 0,
        last_paid: 0,
        ip: Vec::new(),
    }
}

fn start(number: u8) -> BlockChanges {
    BlockChanges { starts: vec![(outpoint(number), node(Tier::Cumulus))], ..BlockChanges::default() }
}

fn confirm(number: u8) -> BlockChanges {
    BlockChanges { confirms: vec![(outpoint(number), b"1.2.3.4".to_vec())], ..BlockChanges::default() }
}

fn paid(number: u8) -> BlockChanges {
    BlockChanges { paid: vec![outpoint(number)], ..BlockChanges::default() }
}

fn order(state: &NodeState) -> Vec<OutPoint> {
    state.queue(Tier::Cumulus).map(|(outpoint, _)| *outpoint).collect()
}

#[test]
fn of_two_nodes_with_the_same_height_the_one_never_paid_is_first() {
    let mut state = NodeState::default();
    state.apply(&MAIN, START, start(1));
    state.apply(&MAIN, START, start(2));
    state.apply(&MAIN, START + 1, confirm(1));
    let mut both = confirm(2);
    both.paid = vec![outpoint(1)];
    state.apply(&MAIN, START + 2, both);
    assert_eq!(order(&state), [outpoint(2), outpoint(1)]);
    state.apply(&MAIN, START + 3, paid(2));
    assert_eq!(order(&state), [outpoint(1), outpoint(2)]);
}

#[test]
fn a_start_that_is_not_confirmed_waits_on_the_dos_list() {
    let mut state = NodeState::default();
    state.apply(&MAIN, START, start(1));
    assert_eq!(state.check_start(&outpoint(1), START), Ok(()), "a competing block of the same height");
    assert_eq!(state.check_start(&outpoint(1), START + 1), Err(NodeError::AlreadyStarted));
    state.apply(&MAIN, START + 60, BlockChanges::default());
    assert!(state.started().is_empty());
    assert_eq!(state.check_start(&outpoint(1), START + 61), Err(NodeError::AlreadyStarted));
    assert_eq!(state.check_confirm(&outpoint(1), 3), Err(NodeError::NotStarted));
    state.apply(&MAIN, START + 180, BlockChanges::default());
    assert_eq!(state.check_start(&outpoint(1), START + 181), Ok(()));
}

#[test]
fn a_start_confirmed_in_its_last_block_is_confirmed() {
    let mut state = NodeState::default();
    state.apply(&MAIN, START, start(1));
    state.apply(&MAIN, START + 60, confirm(1));
    assert!(state.confirmed().contains_key(&outpoint(1)));
    assert!(state.dos_list().is_empty());
}

#[test]
fn a_node_expires_unless_it_is_updated_and_ends_with_its_collateral() {
    let mut state = NodeState::default();
    state.apply(&MAIN, START, start(1));
    state.apply(&MAIN, START, confirm(1));
    let update = |ip: &[u8], height| state.check_update(&MAIN, &outpoint(1), ip, 1, height).map(|_| ());
    assert_eq!(update(b"1.2.3.4", START + 120), Err(NodeError::TooSoon));
    assert_eq!(update(b"1.2.3.4", START + 121), Ok(()));
    assert_eq!(update(b"5.6.7.8", START + 4), Err(NodeError::TooSoon));
    assert_eq!(update(b"5.6.7.8", START + 5), Ok(()));
    let mut expiring = state.clone();
    expiring.apply(&MAIN, START + 160, BlockChanges::default());
    assert!(expiring.confirmed().contains_key(&outpoint(1)));
    let undo = expiring.apply(&MAIN, START + 161, paid(1));
    assert!(expiring.confirmed().is_empty(), "a node that expires in the block that pays it is gone");
    expiring.revert(undo);
    assert_eq!(expiring, state);
    let spent = BlockChanges { spent: [outpoint(1)].into(), ..BlockChanges::default() };
    state.apply(&MAIN, START + 2, spent);
    assert_eq!(state.next_payee(Tier::Cumulus), None);
}

#[test]
fn a_benchmark_must_reach_the_tier() {
    let mut state = NodeState::default();
    let stratus = vec![(outpoint(1), node(Tier::Stratus))];
    state.apply(&MAIN, START, BlockChanges { starts: stratus, ..BlockChanges::default() });
    assert_eq!(state.check_confirm(&outpoint(1), 2).map(|_| ()), Err(NodeError::BenchmarkTierTooLow));
    assert_eq!(state.check_confirm(&outpoint(1), 3).map(|_| ()), Ok(()));
}

proptest! {
    #[test]
    fn taking_blocks_back_restores_every_earlier_state(
        steps in proptest::collection::vec((0_u8..6, 0_u8..8, 1_u32..90), 1..60),
    ) {
        let mut state = NodeState::default();
        let mut history = Vec::new();
        let mut height = START;
        for (kind, number, blocks) in steps {
            height += blocks;
            let out = outpoint(number);
            let changes = match kind {
                0 if state.check_start(&out, height).is_ok() => start(number),
                1 if state.check_confirm(&out, 3).is_ok() => confirm(number),
                2 if state.check_update(&MAIN, &out, b"x", 3, height).is_ok() =>
                    BlockChanges { updates: vec![(out, b"x".to_vec())], ..BlockChanges::default() },
                3 => BlockChanges {
                    paid: state.next_payee(Tier::Cumulus).map(|(out, _)| *out).into_iter().collect(),
                    ..BlockChanges::default()
                },
                4 => BlockChanges { spent: [out].into(), ..BlockChanges::default() },
                _ => BlockChanges {
                    delegates: vec![(out, vec![PublicKey::default(); usize::from(number % 2)])],
                    ..BlockChanges::default()
                },
            };
            let before = state.clone();
            let undo = state.apply(&MAIN, height, changes);
            let queued: usize = state.queues.iter().map(BTreeSet::len).sum();
            prop_assert_eq!(queued, state.confirmed.len());
            prop_assert_eq!(order(&state).len(), state.confirmed.len());
            history.push((before, undo));
        }
        while let Some((before, undo)) = history.pop() {
            state.revert(undo);
            prop_assert_eq!(&state, &before);
        }
    }
}
