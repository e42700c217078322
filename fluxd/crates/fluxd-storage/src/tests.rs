//! The store as its users see it, and its rows as they lie on disk.

use std::{
    collections::BTreeMap,
    fs::{self, OpenOptions},
    io::{BufRead, BufReader, Write},
    process::{Command, Stdio},
};

use fluxd_fluxnode::{Undo, state::Before};
use fluxd_primitives::{
    Amount, BlockHeader, Codec, CompactTarget, Hash256, OutPoint, Proof, Script, Transaction, TxId, TxIn,
    TxOut, U256,
};
use fluxd_shielded::{SaplingTree, SproutTree};
use proptest::prelude::*;
use shared_vendor::hex;
use tempfile::TempDir;

use super::*;
use crate::nodes::tests::sample;

const MAGIC: [u8; 4] = [0xaa, 0xe8, 0x3f, 0x5f];
const REGTEST: Identity<'_> = Identity { network: "regtest", genesis: BlockHash([0x11; 32]), magic: MAGIC };

/// A block with a proof of node and one coinbase, told apart by its number.
fn block(number: u32) -> Block {
    Block {
        header: BlockHeader {
            version: 100,
            prev: BlockHash([9; 32]),
            merkle_root: Hash256([8; 32]),
            sapling_root: Hash256::ZERO,
            time: 1_700_000_000 + number,
            bits: CompactTarget(0x207f_ffff),
            proof: Proof::Node { collateral: outpoint(7), signature: vec![1, 2, 3] },
        },
        transactions: vec![Transaction {
            version: 1,
            inputs: vec![TxIn {
                prevout: OutPoint::NULL,
                script_sig: Script(vec![81, 81]),
                sequence: u32::MAX,
            }],
            outputs: vec![output(number)],
            ..Transaction::default()
        }],
    }
}

fn outpoint(byte: u8) -> OutPoint {
    OutPoint { txid: TxId([byte; 32]), index: 1 }
}

fn output(number: u32) -> TxOut {
    TxOut { value: Amount::from_zat(i64::from(number) * 1000), script_pubkey: Script(vec![81]) }
}

fn undo(number: u32) -> BlockUndo {
    let origin = Some(Origin { height: 3, coinbase: true, version: 4 });
    BlockUndo {
        transactions: vec![vec![InputUndo { output: output(number), origin }]],
        sprout_root: Hash256([5; 32]),
    }
}

fn row(number: u32, position: Option<Position>) -> BlockRow {
    BlockRow {
        header: block(number).header,
        height: number,
        chain_work: U256::from(number) << 40,
        validity: Validity::Body,
        transactions: 1,
        block: position,
        undo_offset: position.map(|_| 8),
        sprout_value: Amount::from_zat(6),
        sapling_value: Amount::from_zat(-7),
    }
}

fn tip(number: u32) -> Tip {
    Tip {
        hash: block(number).header.hash(),
        height: number,
        sprout_root: SproutTree::default().root(),
        sapling_root: SaplingTree::default().root(),
    }
}

/// Appends block `number` and commits it as the tip.
fn add(store: &mut Store, number: u32) -> Position {
    let block = block(number);
    let position = store.append_block(&block, number).expect("appended");
    let undo_offset = store.append_undo(position.file, &undo(number), &block.header.prev).expect("appended");
    let mut batch = Batch::default();
    let row = BlockRow { undo_offset: Some(undo_offset), ..row(number, Some(position)) };
    batch.put_block(&block.header.hash(), &row);
    batch.set_height(number, Some(&block.header.hash()));
    batch.put_tip(&tip(number));
    store.commit(batch, Durability::Synced).expect("committed");
    position
}

fn dump(view: &View) -> String {
    let mut text = String::new();
    for table in Table::ALL {
        view.for_each_raw(table, |key, row| {
            text.push_str(&format!("{} {} = {}\n", table.name(), hex::encode(key), hex::encode(row)));
            Ok(())
        })
        .expect("readable");
    }
    text
}

#[test]
fn rows_have_the_layout_of_this_version() {
    let dir = TempDir::new().expect("a folder");
    let mut store = Store::in_memory(dir.path(), &REGTEST).expect("opened");
    add(&mut store, 1);
    let node = sample(false);
    let mut batch = Batch::default();
    let coins = Coins::of_transaction(&block(2).transactions[0], 2).expect("one output");
    batch.set_coins(&TxId([2; 32]), Some(&coins));
    let mut sprout = SproutTree::default();
    sprout.append(Hash256([3; 32])).expect("room");
    batch.set_sprout_anchor(&Hash256([4; 32]), Some(&sprout));
    batch.set_sapling_anchor(&Hash256([5; 32]), Some(&SaplingTree::default()));
    batch.set_sprout_nullifier(&Hash256([6; 32]), true);
    batch.set_sapling_nullifier(&Hash256([7; 32]), true);
    batch.set_node(NodeList::Confirmed, &outpoint(8), Some(&node));
    batch.set_delegates(&outpoint(9), std::slice::from_ref(&node.node_key));
    let before = Before { delegates: Some(vec![node.node_key.clone()]), ..Before::default() };
    batch.set_node_undo(&BlockHash([10; 32]), Some(&Undo(BTreeMap::from([(outpoint(8), before)]))));
    store.commit(batch, Durability::Synced).expect("committed");
    assert_eq!(dump(&store.view()), include_str!("tests/rows.txt"));
}

#[test]
fn what_was_committed_is_there_after_reopening_and_nothing_else() {
    let dir = TempDir::new().expect("a folder");
    let mut store = Store::open(dir.path(), &REGTEST).expect("opened");
    let first = add(&mut store, 1);
    store.append_block(&block(2), 2).expect("appended");
    let rows = dump(&store.view());
    drop(store);

    let mut store = Store::open(dir.path(), &REGTEST).expect("reopened");
    assert_eq!(dump(&store.view()), rows);
    assert_eq!(store.view().tip().expect("readable"), Some(tip(1)));
    let third = add(&mut store, 3);
    let reader = store.reader();
    assert_eq!(reader.block(first).expect("there"), block(1));
    assert_eq!(reader.block(third).expect("there"), block(3), "the torn tail is overwritten");
    assert_eq!(reader.undo(first, &block(1).header.prev).expect("there"), undo(1));
    let hash = block(3).header.hash();
    let known = reader.view().block(&hash).expect("readable").expect("known");
    assert_eq!(BlockRow { undo_offset: Some(8), ..known }, row(3, Some(third)));
    assert_eq!(reader.view().hash_at(3).expect("readable"), Some(hash));
    let view = reader.view();
    add(&mut store, 4);
    assert_eq!(view.tip().expect("readable"), Some(tip(3)), "a view does not move");
    assert_eq!(view.hash_at(4).expect("readable"), None);
}

/// Names the folder in which [`a_process_that_is_killed`] lets itself be killed.
const KILLED_IN: &str = "FLUXD_STORAGE_KILLED_IN";

/// Commits blocks and says so, until somebody kills it; does nothing when run as a test.
#[test]
fn a_process_that_is_killed() {
    let Ok(dir) = std::env::var(KILLED_IN) else { return };
    let mut store = Store::open(Path::new(&dir), &REGTEST).expect("opened");
    let first = store.view().tip().expect("readable").map_or(1, |tip| tip.height + 1);
    for number in first.. {
        add(&mut store, number);
        println!("committed {number}");
    }
}

#[test]
fn a_store_whose_process_is_killed_reopens_between_two_commits() {
    let dir = TempDir::new().expect("a folder");
    let mut reached = 0;
    for commits in [1, 2, 5, 3, 8, 1, 4, 2] {
        let mut child = Command::new(std::env::current_exe().expect("this test"))
            .args(["--exact", "tests::a_process_that_is_killed", "--nocapture"])
            .env(KILLED_IN, dir.path())
            .stdout(Stdio::piped())
            .spawn()
            .expect("started");
        let lines =
            BufReader::new(child.stdout.take().expect("piped")).lines().map_while(std::result::Result::ok);
        let committed = lines.filter_map(|line| line.rsplit_once("committed ")?.1.parse::<u32>().ok());
        let said = committed.take(commits).last().expect("it commits");
        child.kill().expect("killed");
        child.wait().expect("gone");

        let store = Store::open(dir.path(), &REGTEST).expect("reopened");
        let (view, reader) = (store.view(), store.reader());
        let height = view.tip().expect("readable").expect("a tip").height;
        assert!(height >= said && said > reached, "{said} was committed, {height} is there");
        for number in 1..=height {
            let hash = view.hash_at(number).expect("readable").expect("on the chain");
            let known = view.block(&hash).expect("readable").expect("known");
            let position = known.block.expect("it has a body");
            let found = reader.block(position).expect("there");
            assert_eq!(found, block(number));
            let undo_position = Position { offset: known.undo_offset.expect("it was connected"), ..position };
            assert_eq!(reader.undo(undo_position, &found.header.prev).expect("there"), undo(number));
        }
        assert_eq!(view.hash_at(height + 1).expect("readable"), None);
        reached = height;
    }
}

#[test]
fn torn_bytes_behind_the_last_record_do_no_harm() {
    let dir = TempDir::new().expect("a folder");
    let mut store = Store::open(dir.path(), &REGTEST).expect("opened");
    let first = add(&mut store, 1);
    drop(store);
    for name in ["blk00000.dat", "rev00000.dat"] {
        let path = dir.path().join(FILES).join(name);
        let mut file = OpenOptions::new().append(true).open(path).expect("there");
        let torn = [&MAGIC[..], &block(2).to_bytes()[..100]].concat();
        file.write_all(&torn).expect("written");
    }
    let mut store = Store::open(dir.path(), &REGTEST).expect("reopened");
    let second = add(&mut store, 2);
    let reader = store.reader();
    let found: Vec<_> = reader.scan(0).expect("there").collect::<Result<_>>().expect("readable");
    assert_eq!(found, [(first, block(1)), (second, block(2))]);
    let undo_position = Position { file: 0, offset: first.offset };
    assert_eq!(reader.undo(undo_position, &block(1).header.prev).expect("there"), undo(1));
}

#[test]
fn a_file_that_lost_its_end_is_noticed_when_the_store_opens() {
    let dir = TempDir::new().expect("a folder");
    let mut store = Store::open(dir.path(), &REGTEST).expect("opened");
    add(&mut store, 1);
    drop(store);
    let path = dir.path().join(FILES).join("rev00000.dat");
    let file = OpenOptions::new().write(true).open(path).expect("there");
    file.set_len(file.metadata().expect("there").len() - 1).expect("cut");
    assert!(matches!(Store::open(dir.path(), &REGTEST), Err(StoreError::FileTooShort { .. })));
}

#[test]
fn records_are_those_of_the_reference() {
    let dir = TempDir::new().expect("a folder");
    let mut store = Store::in_memory(dir.path(), &REGTEST).expect("opened");
    let (one, two) = (add(&mut store, 1), add(&mut store, 2));
    let bytes = block(1).to_bytes();
    let size = u32::try_from(bytes.len()).expect("small");
    assert_eq!((one.offset, two.offset), (8, 8 + size + 8));
    let blocks = fs::read(dir.path().join(FILES).join("blk00000.dat")).expect("there");
    let record = |payload: &[u8]| {
        [&MAGIC[..], &u32::try_from(payload.len()).expect("small").to_le_bytes(), payload].concat()
    };
    assert_eq!(blocks, [record(&bytes), record(&block(2).to_bytes())].concat());
    let undos = fs::read(dir.path().join(FILES).join("rev00000.dat")).expect("there");
    let payload = undo(1).to_bytes();
    let sum = fluxd_primitives::sha256d(&[&[9; 32][..], &payload].concat());
    assert!(undos.starts_with(&[record(&payload), sum.to_vec()].concat()));
}

#[test]
fn undo_data_is_bound_to_its_block_and_damage_is_noticed() {
    let dir = TempDir::new().expect("a folder");
    let mut store = Store::in_memory(dir.path(), &REGTEST).expect("opened");
    let position = add(&mut store, 1);
    let reader = store.reader();
    let source = |result: Result<BlockUndo>| match result {
        Err(StoreError::Record { source, .. }) => Some(source),
        _ => None,
    };
    let parent = block(1).header.prev;
    assert_eq!(source(reader.undo(position, &BlockHash([1; 32]))), Some(RecordError::Checksum));
    let elsewhere = Position { offset: position.offset + 1, ..position };
    assert_eq!(source(reader.undo(elsewhere, &parent)), Some(RecordError::Magic));
    let path = dir.path().join(FILES).join("rev00000.dat");
    let mut bytes = fs::read(&path).expect("there");
    bytes[20] ^= 1;
    fs::write(&path, &bytes).expect("written");
    assert_eq!(source(reader.undo(position, &parent)), Some(RecordError::Checksum));
    fs::write(&path, &bytes[..30]).expect("written");
    assert_eq!(source(reader.undo(position, &parent)), Some(RecordError::Short));
}

#[test]
fn a_scan_finds_every_block_between_other_bytes_and_the_store_takes_them_over() {
    let dir = TempDir::new().expect("a folder");
    let folder = dir.path().join(FILES);
    fs::create_dir_all(&folder).expect("created");
    let record = |number: u32| {
        let bytes = block(number).to_bytes();
        [&MAGIC[..], &u32::try_from(bytes.len()).expect("small").to_le_bytes(), &bytes].concat()
    };
    let broken = {
        let mut record = record(9);
        record[8 + 144] = 0xfd;
        record
    };
    let bytes = [
        &[0; 40][..],
        &record(1),
        &[0; 5000],
        &MAGIC[..3],
        &record(2),
        &broken,
        &record(3),
        &record(4)[..60],
    ]
    .concat();
    fs::write(folder.join("blk00000.dat"), &bytes).expect("written");

    let mut store = Store::open(dir.path(), &REGTEST).expect("opened");
    let reader = store.reader();
    assert_eq!(reader.block_files().expect("readable"), [0]);
    let found: Vec<_> = reader.scan(0).expect("there").collect::<Result<_>>().expect("readable");
    assert_eq!(
        found.iter().map(|(_, block)| block.clone()).collect::<Vec<_>>(),
        [block(1), block(2), block(3)]
    );

    assert_eq!(add(&mut store, 5).file, 1, "a file that the tables do not name is not touched");
    assert_eq!(fs::read(folder.join("blk00000.dat")).expect("there"), bytes);

    for (height, (position, block)) in (1..).zip(&found) {
        store.adopt_block(*position, block, height);
        assert_eq!(reader.block(*position).expect("there"), *block);
    }
    store.commit(Batch::default(), Durability::Synced).expect("committed");
    let (number, info) = store.view().files().expect("readable")[0];
    assert_eq!((number, info.blocks, info.height_first, info.height_last), (0, 3, 1, 3));
}

#[test]
fn a_full_file_is_followed_by_the_next() {
    let dir = TempDir::new().expect("a folder");
    let mut store = Store::in_memory(dir.path(), &REGTEST).expect("opened");
    let length = u32::try_from(block(1).to_bytes().len()).expect("small");
    store.adopt_block(Position { file: 0, offset: (128 << 20) - 1 - length }, &block(1), 1);
    assert_eq!(store.append_block(&block(2), 2).expect("appended"), Position { file: 1, offset: 8 });
    assert!(matches!(store.append_undo(5, &undo(2), &block(2).header.prev), Err(StoreError::UnknownFile(5))));
    assert!(store.append_block(&block(3), 3).is_ok(), "a wrong question does not poison");
}

#[test]
fn a_store_of_another_network_or_format_is_refused() {
    let dir = TempDir::new().expect("a folder");
    drop(Store::open(dir.path(), &REGTEST).expect("opened"));
    let other = Identity { network: "main", ..REGTEST };
    assert!(matches!(Store::open(dir.path(), &other), Err(StoreError::OtherNetwork { .. })));
    let mut store = Store::open(dir.path(), &REGTEST).expect("opened");
    let mut batch = Batch::default();
    batch.put(Table::Meta, schema::VERSION, (SCHEMA_VERSION + 1).to_be_bytes().to_vec());
    store.commit(batch, Durability::Synced).expect("committed");
    drop(store);
    let refused = Store::open(dir.path(), &REGTEST);
    assert!(matches!(refused, Err(StoreError::OtherFormat { found: 2, known: 1 })));
}

#[test]
fn after_a_failed_write_every_later_one_is_refused() {
    let dir = TempDir::new().expect("a folder");
    let mut store = Store::in_memory(dir.path(), &REGTEST).expect("opened");
    fs::remove_dir_all(dir.path().join(FILES)).expect("removed");
    assert!(matches!(store.append_block(&block(1), 1), Err(StoreError::File { .. })));
    assert!(matches!(store.commit(Batch::default(), Durability::Synced), Err(StoreError::Poisoned)));
}

#[test]
fn a_damaged_row_is_an_error_of_its_table() {
    let dir = TempDir::new().expect("a folder");
    let mut store = Store::in_memory(dir.path(), &REGTEST).expect("opened");
    let mut batch = Batch::default();
    for table in Table::ALL {
        batch.put(table, &[1; 32], vec![0xff; 3]);
    }
    store.commit(batch, Durability::Buffered).expect("committed");
    let view = store.view();
    let key = [1; 32];
    let failures = [
        view.block(&BlockHash(key)).map(drop),
        view.coins(&TxId(key)).map(drop),
        view.sprout_anchor(&Hash256(key)).map(drop),
        view.sapling_anchor(&Hash256(key)).map(drop),
        view.nodes().map(drop),
        view.delegates().map(drop),
        view.node_undo(&BlockHash(key)).map(drop),
        view.files().map(drop),
        view.for_each_block(|_, _| Ok(())),
        view.for_each_coins(|_, _| Ok(())),
    ];
    for failure in failures {
        assert!(matches!(failure, Err(StoreError::Row { .. })), "{failure:?}");
    }
    assert!(view.has_sprout_nullifier(&Hash256(key)).expect("readable"));
}

/// Tables that are not read when a store opens, first, last, and in the middle.
const TABLES_OF_BYTES: [Table; 3] = [Table::Blocks, Table::Coins, Table::NodeUndo];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    #[test]
    fn both_engines_hold_the_same_rows(
        batches in proptest::collection::vec(
            proptest::collection::vec((0_usize..3, 0_u8..6, proptest::option::of(0_u8..4)), 0..12),
            0..6,
        ),
    ) {
        let (on_disk, in_memory) = (TempDir::new().expect("a folder"), TempDir::new().expect("a folder"));
        let mut disk = Store::open(on_disk.path(), &REGTEST).expect("opened");
        let mut memory = Store::in_memory(in_memory.path(), &REGTEST).expect("opened");
        for changes in batches {
            for store in [&mut disk, &mut memory] {
                let mut batch = Batch::default();
                for (table, key, value) in &changes {
                    batch.set(TABLES_OF_BYTES[*table], &[*key], value.map(|value| vec![value]));
                }
                store.commit(batch, Durability::Buffered).expect("committed");
            }
            prop_assert_eq!(dump(&disk.view()), dump(&memory.view()));
        }
        let rows = dump(&disk.view());
        drop(disk);
        prop_assert_eq!(dump(&Store::open(on_disk.path(), &REGTEST).expect("reopened").view()), rows);
    }
}
