use super::*;
use crate::types::{
    block::Body,
    operation::{BlockHeader, SignedHeader},
    primitives::Address,
    transaction::{Action, Auth, TxBody},
};

const NETWORK: Root = Root([7; 32]);

fn open(folder: &tempfile::TempDir, history: History) -> SqliteDatabase {
    SqliteDatabase::open(&folder.path().join("chain.db"), &NETWORK, history).expect("a database")
}

fn stored(slot: Slot, branch: u8) -> (Root, Arc<StoredBlock>) {
    let action = Action::Transfer { to: Address([branch; 32]), amount: slot };
    let body = TxBody { chain_id: 1, nonce: slot, valid_until: 9, gas_limit: 1, max_fee: 1, tip: 0, action };
    let tx = Tx { auth: Auth::Single { pubkey: [branch; 32], signature: [1; 64] }, body };
    let receipt = Receipt {
        tx_id: tx.id(),
        status: 0,
        gas_used: 1,
        fee_paid: 2,
        return_data: List::empty(),
        events: List::empty(),
    };
    let header = BlockHeader { slot, proposer_index: branch.into(), ..BlockHeader::default() };
    let body = Body { tx_ids: List::new(vec![tx.id()]).expect("one"), ..Body::default() };
    let block = SignedBlock { header: SignedHeader { header, ..SignedHeader::default() }, body };
    (block.root(), Arc::new(StoredBlock { block, txs: vec![tx], receipts: vec![receipt] }))
}

fn add(db: &mut SqliteDatabase, slot: Slot, branch: u8, canonical: bool) -> (Root, Arc<StoredBlock>) {
    let block = stored(slot, branch);
    let canonical = if canonical { vec![(slot, Some(block.0))] } else { Vec::new() };
    db.commit(Batch { block: Some(block.clone()), canonical, ..Batch::default() }).expect("written");
    block
}

fn fold(root: Root, key: &[u8], value: Option<&[u8]>) -> Batch {
    let fold = Fold {
        root,
        values: vec![(key.to_vec(), value.map(<[u8]>::to_vec))],
        nodes: vec![(vec![0], value.map(<[u8]>::to_vec))],
        state: vec![(1, 2, value.unwrap_or_default().to_vec())],
    };
    Batch { fold: Some(fold), ..Batch::default() }
}

#[test]
fn blocks_and_transactions_are_found_on_the_heads_chain_only() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut db = open(&folder, History::Slots(10));
    let (first, one) = add(&mut db, 1, 1, true);
    let (other, two) = add(&mut db, 1, 2, false);
    assert_eq!(db.block(&first).expect("works"), Some(one.clone()));
    assert_eq!(db.canonical(1).expect("works"), Some(first));
    let place = |db: &SqliteDatabase, stored: &StoredBlock| place(db, stored, 0);
    assert_eq!(place(&db, &one), Some(TxPlace { block: first, slot: 1, index: 0 }));
    assert_eq!(place(&db, &two), None);
    db.commit(Batch { canonical: vec![(1, None), (1, Some(other))], ..Batch::default() }).expect("written");
    assert_eq!(
        (place(&db, &one), place(&db, &two)),
        (None, Some(TxPlace { block: other, slot: 1, index: 0 }))
    );
    assert_eq!(db.roots_after(0).expect("works"), [first, other]);
    db.commit(Batch { forget: vec![first], ..Batch::default() }).expect("written");
    assert_eq!(db.roots_after(0).expect("works"), [other]);
    assert_eq!(db.block(&first).expect("works"), None);
}

fn place(db: &SqliteDatabase, stored: &StoredBlock, since: Slot) -> Option<TxPlace> {
    db.tx_place(&stored.txs[0].id(), since).expect("works")
}

#[test]
fn transactions_are_found_in_buckets_of_any_age_and_forgotten_with_their_bodies() {
    for history in [History::Slots(100), History::Archive] {
        let folder = tempfile::tempdir().expect("a folder");
        let mut db = open(&folder, history);
        let slots = [3, 31, 32, 95, 96, 20_000];
        let blocks: Vec<_> = slots.iter().map(|slot| (*slot, add(&mut db, *slot, 1, true))).collect();
        for (slot, (root, block)) in &blocks {
            let there = Some(TxPlace { block: *root, slot: *slot, index: 0 });
            assert_eq!((place(&db, block, 0), place(&db, block, *slot)), (there, there));
            assert_eq!(place(&db, block, slot + 1), None, "it is before that slot");
        }
        assert_eq!(place(&db, &stored(40, 1).1, 0), None);
        db.commit(Batch { canonical: vec![(96, None)], ..Batch::default() }).expect("written");
        assert_eq!(place(&db, &blocks[4].1.1, 0), None);
        let (second, last) = (&blocks[1].1, &blocks[5].1);
        db.commit(fold(last.0, b"key", None)).expect("written");
        assert_eq!(place(&db, &second.1, 0).is_some(), history == History::Archive);
        assert!(place(&db, &last.1, 0).is_some());
    }
}

#[test]
fn folding_overwrites_one_state_and_an_archive_remembers_the_others() {
    for history in [History::Slots(1), History::Archive] {
        let folder = tempfile::tempdir().expect("a folder");
        let mut db = open(&folder, history);
        let blocks: Vec<_> = (1..=3).map(|slot| add(&mut db, slot, 1, true)).collect();
        let values: [Option<&[u8]>; 3] = [Some(b"a"), Some(b"b"), None];
        for ((root, _), value) in blocks.iter().zip(values) {
            db.commit(fold(*root, b"key", value)).expect("written");
            assert_eq!(db.value(b"key").as_deref(), value);
            assert_eq!(db.node(&[0]).as_deref(), value);
            assert_eq!(db.folded().expect("works"), Some(*root));
        }
        assert_eq!(db.state_rows().expect("works"), []);
        let bodies: Vec<bool> =
            blocks.iter().map(|(root, _)| !db.block(root).unwrap().unwrap().txs.is_empty()).collect();
        if history == History::Archive {
            assert_eq!(bodies, [true; 3]);
            for (slot, value) in [None].into_iter().chain(values).enumerate() {
                let slot = u64::try_from(slot).expect("small");
                assert_eq!(db.value_at(b"key", slot).expect("an archive").as_deref(), value);
            }
        } else {
            assert_eq!(bodies, [false, true, true], "old bodies are pruned");
            assert!(matches!(db.value_at(b"key", 1), Err(StoreError::OtherMode)));
        }
        assert_eq!(db.health().map_err(|error| error.to_string()), Ok(()));
        db.check_file().expect("sound");
    }
}

#[test]
fn certificates_are_kept_with_their_signers_and_pruned_by_age() {
    let row = |epoch: u64, signers: u8| CertificateRow {
        epoch,
        slot: epoch * 8,
        certificate: vec![1, u8::try_from(epoch).expect("small")],
        signers_root: Root([signers; 32]),
        signers: vec![signers],
    };
    for history in [History::Slots(20), History::Archive] {
        let folder = tempfile::tempdir().expect("a folder");
        let mut db = open(&folder, history);
        let rows = [row(1, 7), row(2, 7), row(3, 8)];
        db.commit(Batch { certificates: rows.to_vec(), ..Batch::default() }).expect("written");
        assert_eq!(db.certificates(0, 9).expect("works"), rows);
        assert_eq!(db.certificates(2, 1).expect("works"), rows[1..2]);
        let (root, _) = add(&mut db, 37, 1, true);
        db.commit(fold(root, b"key", Some(b"value"))).expect("written");
        let sets: i64 =
            db.connection.query_row("SELECT count(*) FROM signers", [], |row| row.get(0)).expect("a count");
        let kept = db.certificates(0, 9).expect("works");
        if history == History::Archive {
            assert_eq!((kept.as_slice(), sets), (rows.as_slice(), 2));
        } else {
            assert_eq!((kept.as_slice(), sets), (&rows[2..], 1), "slot 16 is older than 20 slots");
        }
    }
}

#[test]
fn a_database_of_the_first_version_is_brought_up_with_all_it_holds() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("chain.db");
    let old = super::super::schema::open(&path, CHAIN_APPLICATION_ID, &CHAIN_STEPS[..1], Durability::Ordered);
    let (root, block) = stored(3, 1);
    let old = old.expect("a database");
    let insert = "INSERT INTO block (root, slot, bytes) VALUES (?1, ?2, ?3)";
    old.execute(insert, params![root.0, number(3), encode(&block.block)]).expect("written");
    old.execute("INSERT INTO canonical (slot, root) VALUES (?1, ?2)", params![number(3), root.0])
        .expect("written");
    let insert = "INSERT INTO tx_place (id8, slot, position) VALUES (?1, ?2, 0)";
    old.execute(insert, params![id8(&block.txs[0].id()), number(3)]).expect("written");
    drop(old);
    let mut db = open(&folder, History::Slots(10));
    assert_eq!(place(&db, &block, 0), Some(TxPlace { block: root, slot: 3, index: 0 }));
    assert_eq!(db.block(&root).expect("works").map(|found| found.block.clone()), Some(block.block.clone()));
    let row = CertificateRow { epoch: 1, ..CertificateRow::default() };
    db.commit(Batch { certificates: vec![row.clone()], ..Batch::default() }).expect("written");
    assert_eq!(db.certificates(0, 9).expect("works"), [row]);
    let tables: i64 = db
        .connection
        .query_row("SELECT count(*) FROM sqlite_schema WHERE type = 'table'", [], |row| row.get(0))
        .expect("a count");
    let rows = db.rows().expect("works");
    assert_eq!(usize::try_from(tables), Ok(rows.len()), "every table is counted");
    assert!(rows.contains(&("block", 1)) && rows.contains(&("certificate", 1)));
    db.compact().expect("works");
    drop(db);
    let version: i64 = Connection::open(&path)
        .and_then(|db| db.pragma_query_value(None, "user_version", |row| row.get(0)))
        .expect("a number");
    assert_eq!(usize::try_from(version), Ok(CHAIN_STEPS.len()));
}

#[test]
fn a_snapshot_stays_as_it_is_while_commits_go_on() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut db = open(&folder, History::Slots(10));
    let (first, _) = add(&mut db, 1, 1, true);
    let (second, _) = add(&mut db, 2, 1, true);
    db.commit(fold(first, b"key", Some(b"old"))).expect("written");
    let snapshot = db.snapshot().expect("a snapshot");
    db.commit(fold(second, b"key", Some(b"new"))).expect("written");
    let entries = |state: &dyn FoldedState| state.entries_from(&[0; 32], 10).expect("works");
    assert_eq!(entries(&snapshot), [(b"key".to_vec(), b"old".to_vec())]);
    assert_eq!(
        (snapshot.folded().expect("works"), snapshot.node(&[0])),
        (Some(first), Some(b"old".to_vec()))
    );
    assert_eq!(entries(&db), [(b"key".to_vec(), b"new".to_vec())]);
}

#[test]
fn files_of_others_are_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("chain.db");
    drop(open(&folder, History::Archive));
    let refused = |network: &Root, history| SqliteDatabase::open(&path, network, history).map(|_| ());
    assert!(matches!(refused(&Root::ZERO, History::Archive), Err(StoreError::OtherChain)));
    assert!(matches!(refused(&NETWORK, History::Slots(1)), Err(StoreError::OtherMode)));
    let set = |pragma: &str, value: i32| {
        Connection::open(&path).expect("opens").pragma_update(None, pragma, value).expect("set");
    };
    set("user_version", 99);
    assert!(matches!(refused(&NETWORK, History::Archive), Err(StoreError::Newer { found: 99, .. })));
    set("application_id", 1);
    assert!(matches!(refused(&NETWORK, History::Archive), Err(StoreError::OtherFile(1))));
}

#[test]
fn the_first_rows_keep_their_layout() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut db = open(&folder, History::Archive);
    let (root, _) = add(&mut db, 258, 3, true);
    db.commit(fold(root, &[0, 0xaa], Some(&[0xbb]))).expect("written");
    let dump = |sql: &str| -> Vec<String> {
        let mut statement = db.connection.prepare(sql).expect("a statement");
        let rows = statement.query_map([], |row| row.get(0)).expect("rows");
        rows.collect::<Result<_, _>>().expect("text")
    };
    assert_eq!(
        dump("SELECT hex(slot) || hex(root) FROM canonical"),
        [format!("0000000000000102{}", hex(&root))]
    );
    assert_eq!(
        dump("SELECT hex(hash) || ' ' || hex(key) || ' ' || hex(value) FROM kv"),
        [format!("{} 00AA BB", hex(&Root(sha256(&[0, 0xaa]))))]
    );
    assert_eq!(dump("SELECT hex(path) || ' ' || hex(bytes) FROM node"), ["00 BB"]);
    assert_eq!(dump("SELECT part || ' ' || piece || ' ' || hex(bytes) FROM state"), ["1 2 BB"]);
    assert_eq!(
        dump("SELECT hex(key) || ' ' || hex(slot) || coalesce(hex(value), '') FROM history"),
        ["00AA 0000000000000102"]
    );
    assert_eq!(
        dump("SELECT key || ' ' || hex(value) FROM meta ORDER BY key"),
        [
            format!("folded {}", hex(&root)),
            "mode 61726368697665".to_owned(),
            format!("network {}", hex(&NETWORK)),
        ]
    );
}

fn hex(root: &Root) -> String {
    shared_vendor::hex::encode(root.0).to_uppercase()
}
