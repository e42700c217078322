//! A peer that breaks the protocol in each way: the node parts from it with a reason, and goes on.

use std::{
    io::{Read, Write},
    net::TcpStream,
};

use rand::{SeedableRng, rngs::StdRng};
use rustock::{
    rlpx::{Entropy, FrameCodec, Initiator, NodeId, NodeKey},
    types::BlockHash,
    wire::{
        p2p::{self, Hello, Reason},
        rsk::{self, ChainStatus},
    },
};
use serde_json::json;
use shared_vendor::testing::node::{PATIENCE, TempDir, TestNode, wait};

use crate::nodes::{logged, rpc, start};

/// A raw peer that has passed the encrypted handshake.
struct Peer {
    stream: TcpStream,
    codec: FrameCodec,
    id: NodeId,
}

impl Peer {
    fn connect(enode: &str, seed: u8) -> Self {
        let (id, address) = enode.trim_start_matches("enode://").split_once('@').unwrap();
        let key = NodeKey::from_bytes([seed; 32]).unwrap();
        let own = key.id();
        let entropy = Entropy::draw(&mut StdRng::seed_from_u64(seed.into()));
        let (mut machine, auth) = Initiator::new(key, id.parse().unwrap(), entropy).unwrap();
        let mut stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.write_all(&auth).unwrap();
        loop {
            let mut bytes = vec![0; machine.needed()];
            stream.read_exact(&mut bytes).unwrap();
            if let Some(outcome) = machine.advance(&bytes).unwrap() {
                return Self { stream, codec: FrameCodec::new(outcome.secrets), id: own };
            }
        }
    }

    fn send(&mut self, code: u8, payload: &[u8]) {
        let wire = self.codec.seal(code, payload).unwrap();
        let _ = self.stream.write_all(&wire);
    }

    fn hello(&mut self) {
        let capabilities = vec![("rsk".to_owned(), 62)];
        let hello = Hello { version: 4, client: "hostile".into(), capabilities, port: 1, id: self.id };
        self.send(p2p::code::HELLO, &hello.encode());
    }

    fn status(&mut self, network_id: u64) {
        let genesis = rustock::params::Params::regtest().genesis.map(|genesis| genesis.hash).unwrap();
        let total_difficulty = rustock::types::Difficulty::from_u64(1);
        let best = BlockHash([1; 32]);
        let status = ChainStatus { version: 62, network_id, total_difficulty, best, genesis };
        self.send(rsk::CHAIN_STATUS, &status.encode());
    }

    /// Reads until the node closes; the reason it gave, if it gave one.
    fn reason(&mut self) -> Option<Reason> {
        loop {
            let mut bytes = vec![0; self.codec.needed()];
            self.stream.read_exact(&mut bytes).ok()?;
            let Some(frame) = self.codec.advance(&bytes).unwrap() else { continue };
            if frame.code == p2p::code::DISCONNECT {
                return Some(Reason::decode(&frame.payload));
            }
        }
    }
}

fn node(dir: &TempDir) -> (TestNode, String) {
    let mut node = start(dir.path(), &["--no-p2p-discovery"]);
    let enode = logged(&mut node, "p2p");
    (node, enode)
}

#[test]
fn each_broken_message_ends_the_connection_and_the_node_goes_on() {
    let dir = TempDir::new();
    let (mut node, enode) = node(&dir);
    let full = |seed| {
        let mut peer = Peer::connect(&enode, seed);
        peer.hello();
        peer.status(7771);
        peer
    };

    let mut wrong_network = Peer::connect(&enode, 1);
    wrong_network.hello();
    wrong_network.status(775);
    assert_eq!(wrong_network.reason(), Some(Reason::NULL_IDENTITY));

    let truncated = [0xc7, 0xc6, 0x10, 0x84, 0xc3];
    let wrongly_nested = [0xc7, 0xc6, 0x10, 0xc4, 0xc3, 0x01, 0xc1, 0x01];
    let unknown_type = [0xc3, 0xc2, 0x13, 0xc0];
    let bomb: Vec<u8> = [vec![0xf9, 0xff, 0xff], vec![0xc1; 1000]].concat();
    for (seed, payload) in (2..).zip([&truncated[..], &wrongly_nested, &unknown_type, &bomb, &[]]) {
        let mut peer = full(seed);
        peer.send(rsk::RSK_MESSAGE, payload);
        assert_eq!(peer.reason(), Some(Reason::BAD_PROTOCOL), "{payload:02x?}");
    }

    let mut reserved_code = full(20);
    reserved_code.send(0x11, &[0xc0]);
    assert_eq!(reserved_code.reason(), Some(Reason::BAD_PROTOCOL));

    let mut wrong_mac = full(21);
    let mut wire = wrong_mac.codec.seal(p2p::code::PING, &p2p::EMPTY_LIST).unwrap();
    *wire.last_mut().unwrap() ^= 1;
    wrong_mac.stream.write_all(&wire).unwrap();
    assert_eq!(wrong_mac.reason(), Some(Reason::BAD_PROTOCOL));

    let mut oversized = Peer::connect(&enode, 22);
    oversized.send(p2p::code::HELLO, &vec![0; 70_000]);
    assert_eq!(oversized.reason(), Some(Reason::BAD_PROTOCOL));

    let mut banned = full(2);
    assert_eq!(banned.reason(), Some(Reason::USELESS_PEER));

    let address = logged(&mut node, "rpc");
    wait("no peers", || (rpc(&address, "net_peerCount", &json!([])) == Some(json!("0x0"))).then_some(()));
    assert_eq!(node.signal("TERM").exit_code(), 0);

    // A restart forgets no punishment.
    let (mut node, enode) = self::node(&dir);
    let mut banned = Peer::connect(&enode, 2);
    banned.hello();
    banned.status(7771);
    assert_eq!(banned.reason(), Some(Reason::USELESS_PEER));
    assert_eq!(node.signal("TERM").exit_code(), 0);
}

#[test]
fn garbage_instead_of_a_handshake_is_closed() {
    let dir = TempDir::new();
    let (mut node, enode) = node(&dir);
    let address = enode.rsplit_once('@').unwrap().1;
    for garbage in [vec![0; 400], vec![0xff; 400], b"GET / HTTP/1.1\r\n\r\n".repeat(30)] {
        let mut stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.write_all(&garbage).unwrap();
        let mut rest = Vec::new();
        let _ = stream.read_to_end(&mut rest);
        assert!(rest.is_empty());
    }
    assert_eq!(node.signal("TERM").exit_code(), 0);
}
