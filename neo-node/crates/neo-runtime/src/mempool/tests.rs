use neo_base::ledger::{Scopes, Signer, TransactionBody, Witness};
use proptest::prelude::*;

use super::*;

fn tx(nonce: u32, sender: u8, network_fee: i64, attributes: Vec<Attribute>) -> Arc<Transaction> {
    let body = TransactionBody {
        nonce,
        system_fee: 0,
        network_fee,
        valid_until_block: 100,
        signers: vec![Signer::new(UInt160([sender; 20]), Scopes::NONE)],
        attributes,
        script: vec![0x11],
    };
    Arc::new(Transaction::new(body, vec![Witness::default()]))
}

fn yes(_: &Arc<Transaction>, _: Others) -> Result<(), ()> {
    Ok(())
}

fn add(pool: &mut Mempool, tx: &Arc<Transaction>) -> (Result<(), PoolError<()>>, Vec<PoolEvent>) {
    let mut events = Vec::new();
    (pool.add(Arc::clone(tx), yes, &mut events), events)
}

fn removed(events: &[PoolEvent]) -> Vec<(UInt256, Removal)> {
    let removed = |event: &PoolEvent| match event {
        PoolEvent::Removed(tx, why) => Some((tx.hash(), *why)),
        _ => None,
    };
    events.iter().filter_map(removed).collect()
}

#[test]
fn the_dearest_come_first_and_a_full_pool_drops_the_cheapest() {
    let mut pool = Mempool::new(3, 0);
    let [cheap, middle, dear, more] =
        [1_000, 2_000, 3_000, 4_000].map(|fee| tx(u32::try_from(fee).unwrap(), 1, fee, Vec::new()));
    for tx in [&middle, &cheap, &dear] {
        assert_eq!(add(&mut pool, tx).0, Ok(()));
    }
    assert_eq!(add(&mut pool, &dear).0, Err(PoolError::AlreadyInPool));
    let (result, events) = add(&mut pool, &more);
    assert_eq!((result, removed(&events)), (Ok(()), vec![(cheap.hash(), Removal::CapacityExceeded)]));
    assert_eq!(add(&mut pool, &cheap).0, Err(PoolError::CapacityReached));
    let best: Vec<_> = pool.best(2).iter().map(|tx| tx.hash()).collect();
    assert_eq!(best, [more.hash(), dear.hash()]);
    let first = tx(9, 1, 1, vec![Attribute::HighPriority]);
    assert_eq!(add(&mut pool, &first).0, Ok(()));
    assert_eq!(pool.best(1)[0].hash(), first.hash());
}

#[test]
fn a_conflict_is_won_by_the_higher_fee_of_a_common_signer() {
    let mut pool = Mempool::new(10, 0);
    let old = tx(1, 1, 1_000, Vec::new());
    assert_eq!(add(&mut pool, &old).0, Ok(()));
    let conflicts = |fee, sender| tx(2, sender, fee, vec![Attribute::Conflicts(old.hash())]);
    assert_eq!(add(&mut pool, &conflicts(1_000, 1)).0, Err(PoolError::Conflict), "it must pay more");
    assert_eq!(add(&mut pool, &conflicts(9_000, 2)).0, Err(PoolError::Conflict), "a stranger");
    let new = conflicts(1_001, 1);
    let (result, events) = add(&mut pool, &new);
    assert_eq!((result, removed(&events)), (Ok(()), vec![(old.hash(), Removal::Conflict)]));
    assert_eq!(add(&mut pool, &old).0, Err(PoolError::Conflict), "the excluded one pays less");
    let mut seen = Others::default();
    let look = |_: &Arc<Transaction>, others: Others| {
        seen = others;
        Err(())
    };
    let third = tx(3, 1, 5, Vec::new());
    assert_eq!(pool.add(third, look, &mut Vec::new()), Err(PoolError::Invalid(())));
    assert_eq!(seen.sender_fees, 1_001, "what was driven out no longer counts");
}

#[test]
fn after_a_block_everything_is_verified_again() {
    let mut pool = Mempool::new(100, 0);
    let all: Vec<_> = (0..5).map(|nonce| tx(nonce, 1, 1_000 + i64::from(nonce), Vec::new())).collect();
    for tx in &all {
        assert_eq!(add(&mut pool, tx).0, Ok(()));
    }
    let excluding = tx(50, 1, 1, vec![Attribute::Conflicts(all[1].hash())]);
    let mut events = Vec::new();
    pool.on_block(1, &[Transaction::clone(&all[0]), Transaction::clone(&excluding)], &mut events);
    assert_eq!(removed(&events), [(all[1].hash(), Removal::Conflict)]);
    assert_eq!(pool.best(10).len(), 0);
    assert_eq!(pool.hashes().1.len(), 3);
    let mut events = Vec::new();
    let verify = |tx: &Arc<Transaction>, _: Others| if tx.body().nonce == 3 { Err(()) } else { Ok(()) };
    assert_eq!(pool.reverify(2, verify, || true, &mut events), 1);
    assert_eq!(removed(&events), [(all[3].hash(), Removal::NoLongerValid)]);
    assert_eq!(pool.reverify(2, yes, || true, &mut events), 0);
    assert_eq!(pool.best(10).len(), 2);
}

#[test]
fn a_transaction_that_waits_long_is_announced_again() {
    let mut pool = Mempool::new(100, 0);
    assert_eq!(add(&mut pool, &tx(1, 1, 1_000, Vec::new())).0, Ok(()));
    let mut heights = Vec::new();
    for height in 1..=25 {
        let mut events = Vec::new();
        pool.on_block(height, &[], &mut events);
        pool.reverify(10, yes, || true, &mut events);
        if events.iter().any(|event| matches!(event, PoolEvent::Rebroadcast(_))) {
            heights.push(height);
        }
    }
    assert_eq!(heights, [10, 20]);
}

#[test]
fn an_oracle_request_is_answered_once() {
    let mut pool = Mempool::new(100, 0);
    let answer = |nonce| {
        let code = neo_base::ledger::OracleCode::Success;
        tx(nonce, 1, 1_000, vec![Attribute::OracleResponse { id: 7, code, result: Vec::new() }])
    };
    let once = |_: &Arc<Transaction>, others: Others| if others.oracle_answered { Err(()) } else { Ok(()) };
    assert_eq!(pool.add(answer(1), once, &mut Vec::new()), Ok(()));
    assert_eq!(pool.add(answer(2), once, &mut Vec::new()), Err(PoolError::Invalid(())));
}

proptest! {
    /// Sums, indexes and order are those of a pool that is counted from nothing.
    #[test]
    fn the_books_are_always_right(steps in prop::collection::vec((0_u8..4, 0_u32..12, 1_u8..3, 1_i64..6, 0_u32..12), 1..80)) {
        let plain = |nonce: u32| tx(nonce, 1, 500, Vec::new()).hash();
        let mut pool = Mempool::new(6, 0);
        for (height, (kind, nonce, sender, fee, other)) in steps.into_iter().enumerate() {
            let mut events = Vec::new();
            let attributes = if other < 6 { vec![Attribute::Conflicts(plain(other))] } else { Vec::new() };
            let fee = if attributes.is_empty() { 500 } else { fee * 300 };
            match kind {
                0 | 1 => drop(pool.add(tx(nonce, sender, fee, attributes), yes, &mut events)),
                2 => {
                    let block: Vec<_> = pool.best(1).iter().map(|tx| Transaction::clone(tx)).collect();
                    pool.on_block(u32::try_from(height).unwrap(), &block, &mut events);
                }
                _ => drop(pool.reverify(3, |tx, _| if tx.body().nonce % 5 == 0 { Err(()) } else { Ok(()) }, || true, &mut events)),
            }
            prop_assert!(pool.len() <= 6);
            let mut sums: HashMap<UInt160, i64> = HashMap::new();
            let mut excluded: BTreeMap<UInt256, HashSet<UInt256>> = BTreeMap::new();
            for tx in pool.best(100) {
                *sums.entry(tx.body().sender()).or_default() += fees(&tx);
                for hash in conflicts_of(&tx) {
                    prop_assert!(!pool.is_verified(&hash), "a transaction and one that excludes it");
                    excluded.entry(hash).or_default().insert(tx.hash());
                }
            }
            prop_assert_eq!(&sums, &pool.sender_fees);
            prop_assert_eq!(&excluded, &pool.excluded);
        }
    }
}
