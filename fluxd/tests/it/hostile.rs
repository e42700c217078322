//! Peers that lie: every one speaks the protocol well enough to be let in, and is thrown out for what it sends then.

use std::{
    io::{ErrorKind, Read, Write},
    net::{Shutdown, TcpStream},
};

use fluxd_p2p::{
    Message,
    frame::{self, Next},
    message::{
        address::NetAddress,
        version::{NODE_NETWORK, PROTOCOL_VERSION, Version},
    },
};
use fluxd_primitives::{
    Block, BlockHash, BlockHeader, CompactTarget, Hash256, OutPoint, Proof, Script, Transaction, TxIn,
};
use serde_json::{Value, json};
use shared_vendor::testing::node::{PATIENCE, TempDir};

use crate::nodes::{logged, ok, start, wait};

const MAGIC: [u8; 4] = [0xaa, 0xe8, 0x3f, 0x5f];
const NONE: Value = Value::Array(Vec::new());
/// Resident memory that the node may grow by, in KiB, whatever it is sent.
const GROWTH: u64 = 64 * 1024;

struct Liar(TcpStream);

/// What a liar sends.
type Lie = Box<dyn Fn(&mut Liar)>;

impl Liar {
    /// Connects and shakes hands.
    fn new(address: &str) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut liar = Self(stream);
        liar.send(&Message::Version(Version {
            version: PROTOCOL_VERSION,
            services: NODE_NETWORK,
            time: 1_900_000_000,
            receiver: NetAddress::default(),
            sender: NetAddress::default(),
            nonce: 77,
            user_agent: "/Liar:1/".to_owned(),
            height: 1_000_000,
            relay: true,
        }));
        liar.send(&Message::Verack);
        liar
    }

    fn send(&mut self, message: &Message) {
        self.raw(message.command(), &message.encode());
    }

    /// A message, whatever its bytes mean. That the other side has hung up is what we want.
    fn raw(&mut self, command: &str, payload: &[u8]) {
        let _ = self.0.write_all(&frame::encode(MAGIC, command, payload));
    }

    /// Reads until the node ends the connection.
    fn wait_for_the_end(mut self) {
        let mut received = Vec::new();
        let mut part = [0; 4096];
        loop {
            match self.0.read(&mut part) {
                Ok(0) => break,
                Ok(count) => received.extend_from_slice(&part[..count]),
                Err(err) if err.kind() == ErrorKind::WouldBlock => panic!("still connected"),
                Err(err) if err.kind() == ErrorKind::Interrupted => {}
                Err(_) => break,
            }
            while let Ok(Next::Frame(_, taken) | Next::Dropped(taken)) = frame::next(MAGIC, &received) {
                received.drain(..taken);
            }
        }
        let _ = self.0.shutdown(Shutdown::Both);
    }
}

/// A header of the right form on a parent.
fn header(prev: BlockHash, number: u8) -> BlockHeader {
    BlockHeader {
        version: 100,
        prev,
        merkle_root: Hash256([number; 32]),
        sapling_root: Hash256::ZERO,
        time: 1_700_000_000 + u32::from(number),
        bits: CompactTarget(0x207f_ffff),
        proof: Proof::Node { collateral: OutPoint::NULL, signature: vec![0; 64] },
    }
}

fn genesis(rpc: &str) -> BlockHash {
    let text = ok(rpc, "getblockhash", &json!([0]));
    let mut bytes: [u8; 32] = shared_vendor::hex::decode_array(text.as_str().unwrap()).unwrap();
    bytes.reverse();
    BlockHash(bytes)
}

/// Resident memory of a process, KiB.
fn memory(pid: u32) -> u64 {
    let text = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = text.lines().find(|line| line.starts_with("VmRSS")).unwrap_or_default();
    line.split_whitespace().nth(1).and_then(|kib| kib.parse().ok()).unwrap_or_default()
}

/// What each liar sends after the handshake.
fn lies(genesis: BlockHash) -> Vec<(&'static str, Lie)> {
    let huge = |command: &'static str, count: u32| -> Lie {
        Box::new(move |liar: &mut Liar| {
            let mut payload = vec![0xfe];
            payload.extend(count.to_le_bytes());
            payload.extend([0; 64]);
            for _ in 0..10 {
                liar.raw(command, &payload);
            }
        })
    };
    vec![
        (
            "headers without parents",
            Box::new(|liar| {
                for number in 0..10 {
                    liar.send(&Message::Headers(vec![header(BlockHash([number + 1; 32]), number)]));
                }
            }),
        ),
        (
            "headers that name an unknown maker",
            Box::new(move |liar| {
                let mut wrong = header(genesis, 1);
                wrong.bits = CompactTarget(0x1d00_ffff);
                liar.send(&Message::Headers(vec![wrong]));
            }),
        ),
        (
            "headers in a line that is none",
            Box::new(move |liar| {
                let (one, other) = (header(genesis, 1), header(genesis, 2));
                for _ in 0..20 {
                    liar.send(&Message::Headers(vec![one.clone(), other.clone()]));
                }
            }),
        ),
        (
            "a block whose coinbase makes money",
            Box::new(move |liar| {
                let coinbase = Transaction {
                    version: 1,
                    inputs: vec![TxIn {
                        prevout: OutPoint::NULL,
                        script_sig: Script(vec![0x51, 0]),
                        sequence: u32::MAX,
                    }],
                    ..Transaction::default()
                };
                let mut block = Block { header: header(genesis, 3), transactions: vec![coinbase] };
                block.header.merkle_root = Hash256([9; 32]);
                for _ in 0..20 {
                    liar.send(&Message::Block(Box::new(block.clone())));
                }
            }),
        ),
        ("more headers than a message has", huge("headers", 200_000)),
        ("more names than a message has", huge("inv", 4_000_000_000)),
        ("more requests than a message has", huge("getdata", 60_000)),
        ("more addresses than a message has", huge("addr", 2_000)),
        ("more transactions than bytes", huge("block", 4_000_000_000)),
        (
            "compact blocks of nothing",
            Box::new(|liar| {
                for _ in 0..20 {
                    liar.raw("cmpctblock", &[0xff; 40]);
                }
            }),
        ),
        (
            "a message longer than any",
            Box::new(|liar| {
                let mut bytes = frame::encode(MAGIC, "block", &[]);
                bytes[16..20].copy_from_slice(&u32::MAX.to_le_bytes());
                let _ = liar.0.write_all(&bytes);
            }),
        ),
        (
            "another network",
            Box::new(|liar| {
                let _ = liar.0.write_all(&[0; 64]);
            }),
        ),
        (
            "a filter without bounds",
            Box::new(|liar| {
                for _ in 0..20 {
                    liar.raw("filterload", &[0xfe, 0, 0, 0, 1]);
                }
            }),
        ),
    ]
}

#[test]
fn liars_are_thrown_out_and_cost_little() {
    let dir = TempDir::new();
    let mut node = start(dir.path(), &[]);
    let (rpc, p2p) = (logged(&mut node, "rpc"), logged(&mut node, "p2p"));
    let genesis = genesis(&rpc);
    let before = memory(node.pid());
    for (what, lie) in lies(genesis) {
        let mut liar = Liar::new(&p2p);
        lie(&mut liar);
        println!("{what}");
        liar.wait_for_the_end();
        wait("the liar gone", || ok(&rpc, "getpeerinfo", &NONE).as_array()?.is_empty().then_some(()));
        ok(&rpc, "clearbanned", &NONE);
    }
    assert!(memory(node.pid()) < before + GROWTH, "{} KiB after {before}", memory(node.pid()));
    assert_eq!(ok(&rpc, "getblockcount", &NONE), json!(0));
    assert_eq!(ok(&rpc, "generate", &json!([1])).as_array().unwrap().len(), 1, "it goes on");
    assert_eq!(node.signal("TERM").exit_code(), 0);
}
