use fluxd_consensus::params::{Network, Params};
use fluxd_primitives::{Script, TxIn, TxOut, block::Proof, transaction::OutPoint};
use proptest::prelude::*;

use super::{compact::short_id, *};

fn genesis() -> Block {
    Params::of(Network::Main).genesis
}

fn pon_header() -> BlockHeader {
    let mut header = genesis().header;
    header.version = 100;
    header.proof = Proof::Node { collateral: OutPoint::NULL, signature: vec![0x30; 70] };
    header
}

fn again(message: &Message) -> Message {
    Message::decode(message.command(), &message.encode()).unwrap()
}

#[test]
fn every_message_reads_back_as_it_was_written() {
    let block = genesis();
    let hash = block.header.hash();
    let tx = block.transactions[0].clone();
    let address = address::NetAddress::new(1, "10.1.2.3:16125".parse().unwrap());
    let items =
        vec![Inventory::block(hash), Inventory::tx(tx.txid()), Inventory { kind: 4, hash: Hash256([9; 32]) }];
    let locator = Locator { version: 170_021, have: vec![hash], stop: BlockHash::ZERO };
    let version = Version {
        version: 170_021,
        services: 5,
        time: 1_700_000_000,
        receiver: address,
        sender: address::NetAddress::default(),
        nonce: 77,
        user_agent: "/MagicBean:9.0.6/".into(),
        height: 12,
        relay: false,
    };
    let compact_headers = vec![
        CompactHeader::of(block.header.clone(), hash),
        CompactHeader::of(pon_header(), pon_header().hash()),
    ];
    let reject =
        Reject { message: "tx".into(), code: 0x10, reason: "bad".into(), hash: Some(Hash256([3; 32])) };
    let messages = [
        Message::Version(version),
        Message::Verack,
        Message::Addr(vec![TimedAddress { time: 5, address }]),
        Message::GetAddr,
        Message::Inv(items.clone()),
        Message::GetData(items.clone()),
        Message::NotFound(items),
        Message::GetBlocks(locator.clone()),
        Message::GetHeaders(locator),
        Message::Headers(vec![block.header.clone(), pon_header()]),
        Message::CmpHeaders(compact_headers),
        Message::Block(Box::new(block.clone())),
        Message::Tx(Box::new(tx.clone())),
        Message::Mempool,
        Message::Ping(Some(9)),
        Message::Pong(None),
        Message::Reject(reject),
        Message::Alert(vec![1; 10], vec![2; 70]),
        Message::FilterLoad(Filter { bits: vec![1, 2], functions: 3, tweak: 4, flags: 1 }),
        Message::FilterAdd(vec![1; 20]),
        Message::FilterClear,
        Message::MerkleBlock(Box::new(MerkleBlock::new(&block, |_, _| true))),
        Message::SendHeaders,
        Message::SendCmpct(true, 1),
        Message::CmpctBlock(Box::new(CompactBlock::of(&block, 5))),
        Message::GetBlockTxn(BlockTransactionsRequest { block: hash, indexes: vec![1, 300, 65_535] }),
        Message::BlockTxn(BlockTransactions { block: hash, transactions: vec![tx] }),
        Message::FeeFilter(100),
        Message::Unknown("spork".into()),
    ];
    for message in messages {
        assert_eq!(again(&message), message);
    }
}

#[test]
fn a_short_id_takes_ten_bytes_of_which_six_say_something() {
    let mut block = genesis();
    block.header = pon_header();
    let mut second = block.transactions[0].clone();
    second.inputs = vec![TxIn { prevout: OutPoint::NULL, script_sig: Script(vec![1]), sequence: 0 }];
    second.outputs = vec![TxOut { value: fluxd_primitives::Amount::ZERO, script_pubkey: Script(vec![0x51]) }];
    block.transactions.push(second.clone());
    let compact = CompactBlock::of(&block, 0x0102_0304_0506_0708);
    let bytes = compact.to_bytes();
    let header = block.header.to_bytes().len();
    assert_eq!(&bytes[header..header + 9], &[8, 7, 6, 5, 4, 3, 2, 1, 1]);
    let id = &bytes[header + 9..header + 19];
    assert_eq!(&id[4..8], &[0; 4]);
    let expected = short_id(compact.keys(), &second.txid());
    assert_eq!(u64::from_le_bytes([id[0], id[1], id[2], id[3], id[8], id[9], 0, 0]), expected);
}

#[test]
fn counts_above_the_bound_are_refused_before_anything_is_read() {
    for (command, points) in [("inv", 20), ("getdata", 20), ("addr", 20), ("headers", 20), ("cmpheaders", 20)]
    {
        let err = Message::decode(command, &[254, 0, 0, 1, 0]).unwrap_err();
        assert_eq!((err.points(), matches!(err, MessageError::TooMany { .. })), (points, true), "{command}");
    }
    let overwintered = [0x05, 0, 0, 0x80, 1, 2, 3, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    assert_eq!(Message::decode("tx", &overwintered).unwrap_err().points(), 100);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn no_bytes_make_a_decoder_panic(command in 0..24_usize, bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let commands = [
            "version", "addr", "inv", "getdata", "notfound", "getblocks", "getheaders", "headers", "cmpheaders",
            "block", "tx", "ping", "pong", "reject", "alert", "filterload", "filteradd", "merkleblock", "sendcmpct",
            "cmpctblock", "getblocktxn", "blocktxn", "feefilter", "other",
        ];
        if let Ok(Message::MerkleBlock(block)) = Message::decode(commands[command], &bytes) {
            let _ = block.tree.extract();
        }
    }
}
