use std::net::Ipv6Addr;

use neo_base::UInt256;
use proptest::prelude::*;

use super::*;
use crate::payload::{Address, Capability, InventoryKind};

fn samples() -> Vec<Message> {
    let version = Version {
        network: 860_833_102,
        version: 0,
        timestamp: 1,
        nonce: 2,
        user_agent: "/x/".into(),
        capabilities: vec![
            Capability::TcpServer(10333),
            Capability::DisableCompression,
            Capability::FullNode(7),
            Capability::ArchivalNode,
            Capability::Unknown(0xf0, vec![1, 2]),
            Capability::Unknown(0xf0, vec![1, 2]),
        ],
    };
    let address =
        Address { timestamp: 9, ip: Ipv6Addr::LOCALHOST, capabilities: vec![Capability::WsServer(1)] };
    let ping = Ping { last_block: 1, timestamp: 2, nonce: 3 };
    let hashes = Hashes { kind: InventoryKind::Block, hashes: vec![UInt256([7; 32]); 500] };
    vec![
        Message::Version(Box::new(version)),
        Message::Verack,
        Message::Addresses(Box::new(AddressList(vec![address; 200]))),
        Message::Ping(Box::new(ping)),
        Message::Pong(Box::new(ping)),
        Message::GetHeaders(Box::new(BlockRequest { start: 5, count: None })),
        Message::GetBlocksByIndex(Box::new(BlockRequest { start: 5, count: Some(2000) })),
        Message::GetBlocks(Box::new(HashRequest { start: UInt256::ZERO, count: Some(1) })),
        Message::Inventory(Box::new(hashes.clone())),
        Message::NotFound(Box::new(hashes)),
        Message::FilterLoad(Box::new(FilterLoad { filter: vec![1; 36_000], functions: 50, tweak: 1 })),
        Message::FilterAdd(Box::new(FilterAddition(vec![1; 520]))),
        Message::FilterClear,
        Message::Unknown(0x99),
    ]
}

#[test]
fn messages_survive_the_wire() {
    for message in samples() {
        for compress in [false, true] {
            let bytes = message.frame(compress).encode();
            let (frame, length) = Frame::decode(&bytes).unwrap().expect("it is complete");
            assert_eq!(length, bytes.len());
            assert_eq!(Message::decode(&frame), Ok(message.clone()));
        }
    }
}

#[test]
fn payloads_out_of_bounds_are_refused() {
    let refused = |command, payload: Vec<u8>| {
        matches!(Message::decode(&Frame::new(command, payload, false)), Err(MessageError::Payload { .. }))
    };
    assert!(refused(0x11, vec![0]), "an empty list of addresses");
    assert!(refused(0x21, vec![0]), "an empty list of headers");
    assert!(refused(0x20, vec![0, 0, 0, 0, 0, 0]), "no headers asked for");
    assert!(refused(0x29, vec![0, 0, 0, 0, 0xd1, 7]), "2001 blocks");
    assert!(refused(0x24, [[0; 32].as_slice(), &[0xfe, 0xff]].concat()), "a negative count");
    assert!(refused(0x27, vec![0x2d, 0]), "an unknown kind of inventory");
    assert!(refused(0x28, [[0x2c, 0xfd, 0xf5, 1].as_slice(), &[0; 501 * 32]].concat()), "501 hashes");
    assert!(refused(0x30, vec![0, 51, 0, 0, 0, 0]), "51 hash functions");
    assert!(refused(0x31, [[0xfd, 9, 2].as_slice(), &[0; 521]].concat()), "521 bytes for the filter");
    let twice = [[0; 16].as_slice(), &[0, 2, 0x10, 0, 0, 0, 0, 0x10, 0, 0, 0, 0]].concat();
    assert!(refused(0x00, twice), "a capability stated twice");
}

#[test]
fn bytes_after_a_payload_are_ignored_as_the_reference_does() {
    let ping = Message::Ping(Box::new(Ping { last_block: 1, timestamp: 2, nonce: 3 }));
    let mut payload = ping.encode_payload();
    payload.push(0xff);
    assert_eq!(Message::decode(&Frame::new(0x18, payload, false)), Ok(ping));
}

proptest! {
    #[test]
    fn no_payload_panics(command: u8, payload in prop::collection::vec(any::<u8>(), 0..200)) {
        let frame = Frame::new(command, payload, false);
        if let Ok(message) = Message::decode(&frame) {
            prop_assert_eq!(message.command(), command);
        }
    }
}
