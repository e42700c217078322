use std::net::Ipv4Addr;

use avalanche_proto::p2p;
use tokio_rustls::client::TlsStream;

use super::*;

const NETWORK_ID: u32 = 54321;
const PATIENCE: Duration = Duration::from_secs(60);

struct Node {
    network: Network,
    events: mpsc::Receiver<Event>,
    id: NodeId,
    address: SocketAddr,
}

fn identity() -> Identity {
    Identity::generate(2126, &SystemRandom::new()).unwrap()
}

impl Node {
    async fn start(network_id: u32) -> Self {
        let identity = identity();
        let id = identity.certificate().node_id();
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let config = Config {
            identity,
            bls: bls::SecretKey::from_bytes(&[5; 32]).unwrap(),
            public_address: address,
            settings: Settings { network_id, upgrade_time: 0 },
            subnets: Vec::new(),
            all_subnets: false,
            max_connections: 8,
        };
        let tasks = Tasks::new(tokio::runtime::Handle::current());
        let (sender, events) = mpsc::channel(64);
        Self { network: Network::start(config, listener, sender, tasks).unwrap(), events, id, address }
    }

    async fn event(&mut self) -> Event {
        timeout(PATIENCE, self.events.recv()).await.unwrap().unwrap()
    }

    async fn meets(&mut self) -> NodeId {
        match self.event().await {
            Event::Connected(node, _) => node,
            other => panic!("{other:?}"),
        }
    }

    /// A TLS connection to it with an identity of its own, below the protocol.
    async fn dial(&self) -> TlsStream<TcpStream> {
        let stream = TcpStream::connect(self.address).await.unwrap();
        let name = ServerName::from(IpAddr::from(Ipv4Addr::LOCALHOST));
        TlsConnector::from(identity().client()).connect(name, stream).await.unwrap()
    }
}

/// Reads until the other side closes; what came is not looked at.
async fn until_closed(mut stream: impl AsyncRead + Unpin) {
    let mut buffer = [0; 4096];
    let closed = async { while stream.read(&mut buffer).await.is_ok_and(|len| len > 0) {} };
    timeout(PATIENCE, closed).await.expect("the connection is closed");
}

#[tokio::test]
async fn two_nodes_meet_once_exchange_a_message_and_notice_the_end() {
    let (mut first, mut second) = (Node::start(NETWORK_ID).await, Node::start(NETWORK_ID).await);
    first.network.track(second.id, second.address);
    second.network.track(first.id, first.address);
    assert_eq!(first.meets().await, second.id);
    assert_eq!(second.meets().await, first.id);
    let sent = Body::Get(p2p::Get { chain_id: vec![1; 32], request_id: 7, ..p2p::Get::default() });
    assert!(first.network.send(second.id, sent.clone()));
    assert!(!first.network.send(NodeId::EMPTY, sent.clone()));
    match second.event().await {
        Event::Message(from, body) => assert_eq!((from, *body), (first.id, sent)),
        other => panic!("{other:?}"),
    }
    assert_eq!(second.network.peers().len(), 1);
    let gone = first.id;
    drop(first);
    assert!(matches!(second.event().await, Event::Disconnected(node, _) if node == gone));
}

#[tokio::test]
async fn a_validator_is_found_by_gossip() {
    let mut nodes =
        [Node::start(NETWORK_ID).await, Node::start(NETWORK_ID).await, Node::start(NETWORK_ID).await];
    let ids = nodes.each_ref().map(|node| node.id);
    for node in &nodes {
        for id in ids {
            node.network.validator_added(Id::EMPTY, id, None);
        }
    }
    let hub = nodes[0].address;
    nodes[1].network.track(ids[0], hub);
    nodes[2].network.track(ids[0], hub);
    for node in &mut nodes {
        let mut met = [node.meets().await, node.meets().await];
        let mut others: Vec<_> = ids.into_iter().filter(|id| *id != node.id).collect();
        met.sort();
        others.sort();
        assert_eq!(met.as_slice(), others);
    }
}

#[tokio::test]
async fn a_length_above_the_limit_and_a_broken_handshake_end_the_connection() {
    let node = Node::start(NETWORK_ID).await;
    let mut stream = node.dial().await;
    stream.write_all(&[0xff; 4]).await.unwrap();
    until_closed(stream).await;

    let mut stream = node.dial().await;
    let hello = message::encode(Body::Handshake(p2p::Handshake::default()));
    stream.write_all(&frame::encode(&hello).unwrap()).await.unwrap();
    until_closed(stream).await;
}

#[tokio::test]
async fn what_is_not_tls_is_closed() {
    let node = Node::start(NETWORK_ID).await;
    let mut stream = TcpStream::connect(node.address).await.unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
    until_closed(stream).await;
}
