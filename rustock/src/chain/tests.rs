use super::*;
use crate::{params::FORK_DETECTION_WINDOW, store::schema::Table, verify::draft::Draft};

const NOW: Timestamp = Timestamp(2_000_000_000);

fn regtest() -> Chain {
    let params = Params::regtest();
    Chain::open(Store::in_memory(&params).unwrap(), params).unwrap()
}

/// `count` mined headers above `parent`, told apart from other branches by `fees`; `window` ends at the parent.
fn branch(parent: &Header, window: &mut ForkWindow, count: usize, fees: u64) -> Vec<Header> {
    let params = Params::regtest();
    let mut headers: Vec<Header> = Vec::new();
    for _ in 0..count {
        let parent = headers.last().unwrap_or(parent);
        let fork_data = window.expected().unwrap_or_default();
        // the reference does not compare the data of height 449
        let header = Draft { paid_fees: fees, fork_data, ..Draft::child_of(parent) }.mine(&params);
        window.push(Mark::of(&header));
        headers.push(header);
    }
    headers
}

fn window_of(chain: &Chain, header: &Header) -> ForkWindow {
    window_at(&chain.store, &chain.params, header).unwrap()
}

fn grow(chain: &Chain, parent: &Header, count: usize, fees: u64) -> (Vec<Header>, Inserted) {
    let headers = branch(parent, &mut window_of(chain, parent), count, fees);
    let inserted = chain.insert_headers(headers.clone(), NOW).unwrap();
    (headers, inserted)
}

fn header_at(chain: &Chain, number: u64) -> Header {
    chain.header_by_number(BlockNumber(number)).unwrap().unwrap().0
}

#[test]
fn a_new_chain_starts_at_genesis_and_audits_clean() {
    let chain = regtest();
    assert_eq!(Some(chain.tip().hash), chain.params.genesis.as_ref().map(|genesis| genesis.hash));
    assert_eq!(chain.audit(true, |_| {}).unwrap(), Audit { on_chain: 1, stored: 1 });
}

#[test]
fn a_network_without_known_genesis_has_no_chain() {
    let params = Params::devnet();
    let chain = Chain::open(Store::in_memory(&params).unwrap(), params);
    assert!(matches!(chain, Err(OpenError::NoGenesis(_))));
}

#[test]
fn the_branch_with_more_work_becomes_the_chain_and_the_index_follows() {
    let chain = regtest();
    let genesis = header_at(&chain, 0);
    let (first, inserted) = grow(&chain, &genesis, 5, 0);
    assert_eq!((inserted.added, inserted.tip.number, inserted.reorg_depth), (5, BlockNumber(5), 0));

    let (side, inserted) = grow(&chain, &first[1], 2, 1);
    assert_eq!((inserted.added, inserted.tip_changed), (2, false));
    assert!(!chain.is_on_chain(side[1].number(), &side[1].hash()).unwrap());

    let (longer, inserted) = grow(&chain, &side[1], 3, 1);
    assert_eq!((inserted.tip.hash, inserted.reorg_depth), (longer[2].hash(), 3));
    for header in first[..2].iter().chain(&side).chain(&longer) {
        assert!(chain.is_on_chain(header.number(), &header.hash()).unwrap());
    }
    assert_eq!(chain.audit(true, |_| {}).unwrap(), Audit { on_chain: 8, stored: 11 });
    let descending = chain.headers_descending(&longer[2].hash(), 4).unwrap();
    assert_eq!(descending, [&longer[2], &longer[1], &longer[0], &side[1]].map(Clone::clone));
}

#[test]
fn known_headers_are_skipped_and_unknown_parents_refused() {
    let chain = regtest();
    let genesis = header_at(&chain, 0);
    let headers = branch(&genesis, &mut window_of(&chain, &genesis), 4, 0);
    let unknown = chain.insert_headers(headers[2..].to_vec(), NOW);
    assert!(matches!(unknown, Err(InsertError::UnknownParent { parent }) if parent == headers[1].hash()));
    chain.insert_headers(headers[..3].to_vec(), NOW).unwrap();
    let inserted = chain.insert_headers(headers.clone(), NOW).unwrap();
    assert_eq!((inserted.added, inserted.tip.hash), (1, headers[3].hash()));
    let nothing = chain.insert_headers(headers, NOW).unwrap();
    assert_eq!((nothing.added, nothing.tip_changed), (0, false));
}

#[test]
fn headers_before_a_broken_one_are_kept() {
    let chain = regtest();
    let genesis = header_at(&chain, 0);
    let mut headers = branch(&genesis, &mut window_of(&chain, &genesis), 3, 0);
    let hard = Draft { difficulty: 2, ..Draft::child_of(&headers[2]) }.mine(&chain.params);
    headers.push(hard.clone());
    let outcome = chain.insert_headers(headers, NOW);
    assert!(matches!(
        outcome,
        Err(InsertError::Rejected { index: 3, hash, rule: Rule::Difficulty { .. } }) if hash == hard.hash()
    ));
    assert_eq!(chain.tip().number, BlockNumber(3));
}

#[test]
fn equal_work_is_decided_by_fees_and_then_by_the_hash() {
    let genesis = crate::codec::genesis(&Params::regtest()).unwrap();
    let of = |fees| Draft { paid_fees: fees, ..Draft::child_of(&genesis) }.mine(&Params::regtest());
    let wins = |new: &Header, current: &Header| {
        let tip = |header: &Header| Tip {
            hash: header.hash(),
            number: header.number(),
            total_difficulty: Difficulty::from_u64(2),
        };
        is_better((&tip(new), new), (&tip(current), current))
    };
    let (poor, rich) = (of(10), of(21));
    assert!(wins(&rich, &poor), "more than twice the fees");
    assert!(!wins(&poor, &rich));
    let (a, b) = (of(12), of(20));
    assert_eq!(wins(&a, &b), a.hash() < b.hash(), "more than half of the fees: the smaller hash");
    assert_eq!(wins(&b, &a), b.hash() < a.hash());
    let (c, d) = (of(10), of(20));
    assert!(!wins(&c, &d), "exactly half is not more than half");
}

#[test]
fn the_fork_detection_window_survives_restarts_and_reorganisations() {
    let params = Params::regtest();
    let store = Store::in_memory(&params).unwrap();
    let chain = Chain::open(store, params.clone()).unwrap();
    let genesis = header_at(&chain, 0);
    let above = usize::try_from(FORK_DETECTION_WINDOW).unwrap() + 20;
    grow(&chain, &genesis, above, 0);

    let Chain { store, .. } = chain;
    let chain = Chain::open(store, params.clone()).unwrap();
    let tip = header_at(&chain, chain.tip().number.0);
    let (more, _) = grow(&chain, &tip, 5, 0);

    let fork_point = header_at(&chain, tip.number().0 - 10);
    let (side, inserted) = grow(&chain, &fork_point, 20, 1);
    assert_eq!((inserted.tip.hash, inserted.reorg_depth), (side[19].hash(), 15));

    let wrong = Draft { fork_data: [1; 12], ..Draft::child_of(&side[19]) }.mine(&params);
    let outcome = chain.insert_headers(vec![wrong], NOW);
    assert!(matches!(outcome, Err(InsertError::Rejected { rule: Rule::ForkDetectionData { .. }, .. })));
    grow(&chain, &side[19], 1, 1);
    grow(&chain, &more[4], 40, 0);
    chain.audit(true, |_| {}).unwrap();
}

#[test]
fn an_audit_finds_what_is_wrong() {
    let damaged = |damage: fn(&mut Batch, &Header, &Tip)| {
        let chain = regtest();
        let (headers, _) = grow(&chain, &header_at(&chain, 0), 4, 0);
        let mut batch = Batch::default();
        damage(&mut batch, &headers[1], &chain.tip());
        chain.store.commit(batch).unwrap();
        chain.audit(false, |_| {}).unwrap_err()
    };
    let hole = damaged(|batch, header, _| batch.delete_number(header.number()));
    assert!(matches!(hole, AuditError::Index { number: BlockNumber(2) }));
    let above = damaged(|batch, header, _| batch.put_number(BlockNumber(5), &header.hash()));
    assert!(matches!(above, AuditError::Index { number: BlockNumber(5) }));
    let other = damaged(|batch, header, _| batch.put_number(BlockNumber(3), &header.hash()));
    assert!(matches!(other, AuditError::Header { number: BlockNumber(3) }));
    let sum = damaged(|batch, header, _| {
        let total_difficulty = Difficulty::from_u64(99);
        batch.put_header(&header.hash(), &StoredHeader { wire: header.wire().clone(), total_difficulty });
    });
    assert!(matches!(sum, AuditError::TotalDifficulty { number: BlockNumber(2) }));
    let bytes = damaged(|batch, header, _| {
        let wire = bytes::Bytes::from_static(b"\xc0");
        batch.put_header(&header.hash(), &StoredHeader { wire, total_difficulty: Difficulty::ZERO });
    });
    assert!(matches!(bytes, AuditError::Header { number: BlockNumber(2) }));
}

/// Rows as they lie on disk, so that a changed layout cannot pass unnoticed.
#[test]
fn raw_rows_have_their_layout() {
    let chain = regtest();
    let hash = chain.tip().hash;
    let rows = |table| {
        let mut rows = Vec::new();
        let hex = |bytes: &[u8]| shared_vendor::hex::encode(bytes);
        chain
            .store
            .for_each(table, |key, value| {
                rows.push((hex(key), hex(value)));
                Ok(())
            })
            .unwrap();
        rows
    };
    let number = "0".repeat(16);
    let difficulty = format!("{}01", "0".repeat(62));
    let text = |text: &str| shared_vendor::hex::encode(text);
    assert_eq!(rows(Table::Numbers), [(number.clone(), hash.to_string())]);
    assert_eq!(
        rows(Table::Meta),
        [
            (text("identity"), text(&format!("regtest {hash}"))),
            (text("tip"), format!("{hash}{number}{difficulty}")),
            (text("version"), "00000001".to_owned()),
        ]
    );
    let wire = crate::codec::genesis(&chain.params).unwrap().wire().clone();
    assert_eq!(
        rows(Table::Headers),
        [(hash.to_string(), format!("{difficulty}{}", shared_vendor::hex::encode(wire)))]
    );
}

#[test]
fn a_store_on_disk_reopens_where_it_was_and_refuses_another_network() {
    let folder = tempfile::tempdir().unwrap();
    let params = Params::regtest();
    let open = || Chain::open(Store::open(folder.path(), &params).unwrap(), params.clone()).unwrap();
    let chain = open();
    let (headers, inserted) = grow(&chain, &header_at(&chain, 0), 30, 0);
    grow(&chain, &headers[10], 5, 1);
    drop(chain);
    let chain = open();
    assert_eq!(chain.tip(), inserted.tip);
    assert_eq!(chain.audit(true, |_| {}).unwrap(), Audit { on_chain: 31, stored: 36 });
    drop(chain);
    let other = Store::open(folder.path(), &Params::testnet()).unwrap_err();
    assert!(matches!(other, StoreError::OtherNetwork { found } if found.starts_with("regtest ")));
}
