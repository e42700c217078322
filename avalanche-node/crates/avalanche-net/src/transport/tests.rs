use std::net::Ipv4Addr;

use avalanche_proto::p2p;
use tokio_rustls::client::TlsStream;

use super::*;
use crate::frame::MAX_MESSAGE_LEN;

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
        Self::limited(network_id, Limits::default()).await
    }

    async fn limited(network_id: u32, limits: Limits) -> Self {
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
            limits,
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
        self.dial_as(&identity()).await
    }

    async fn dial_as(&self, identity: &Identity) -> TlsStream<TcpStream> {
        let stream = TcpStream::connect(self.address).await.unwrap();
        let name = ServerName::from(IpAddr::from(Ipv4Addr::LOCALHOST));
        TlsConnector::from(identity.client()).connect(name, stream).await.unwrap()
    }

    /// A connection that is through with the handshake, and from there on sends what it likes.
    async fn befriend(&mut self) -> TlsStream<TcpStream> {
        let identity = identity();
        let mut stream = self.dial_as(&identity).await;
        let ip = UnsignedIp { address: self.address, timestamp: SystemClock::default().wall().as_secs() };
        let bls = bls::SecretKey::from_bytes(&[6; 32]).unwrap();
        let announcement = Announcement {
            network_id: NETWORK_ID,
            upgrade_time: 0,
            signed_ip: SignedIp::sign(ip, identity.key(), &bls, &SystemRandom::new()).unwrap(),
            tracked_subnets: Vec::new(),
            all_subnets: false,
        };
        let known = p2p::BloomFilter { filter: vec![1, 0, 0, 0, 0, 0, 0, 0, 0, 0], salt: Vec::new() };
        for body in [
            Body::Handshake(announcement.message(ip.timestamp, known)),
            Body::PeerList(p2p::PeerList::default()),
        ] {
            stream.write_all(&frame::encode(&message::encode(body)).unwrap()).await.unwrap();
        }
        assert_eq!(self.meets().await, identity.certificate().node_id());
        stream
    }

    /// The next failure, as all its causes.
    async fn failure(&mut self) -> String {
        match self.event().await {
            Event::Failed(_, error) => shared_vendor::log::Chain(&error).to_string(),
            other => panic!("{other:?}"),
        }
    }
}

fn get(request_id: u32) -> Body {
    Body::Get(p2p::Get { chain_id: vec![1; 32], request_id, ..p2p::Get::default() })
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
        Event::Message(from, body, _) => assert_eq!((from, *body), (first.id, sent)),
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

#[tokio::test]
async fn a_node_of_another_network_is_told_of_once_and_never_becomes_a_peer() {
    let (ours, mut other) = (Node::start(NETWORK_ID).await, Node::start(NETWORK_ID + 1).await);
    ours.network.track(other.id, other.address);
    let failure = other.failure().await;
    assert!(failure.contains("network 54321"), "{failure}");
    assert!(ours.network.peers().is_empty() && other.network.peers().is_empty());
}

/// Shows this certificate, whatever it is.
#[derive(Debug)]
struct Shows(Arc<rustls::sign::CertifiedKey>);

impl rustls::client::ResolvesClientCert for Shows {
    fn resolve(&self, _: &[&[u8]], _: &[rustls::SignatureScheme]) -> Option<Arc<rustls::sign::CertifiedKey>> {
        Some(Arc::clone(&self.0))
    }

    fn has_certs(&self) -> bool {
        true
    }
}

#[tokio::test]
async fn bad_certificates_are_refused_in_the_upgrade() {
    let mut node = Node::start(NETWORK_ID).await;
    let random = SystemRandom::new();
    let (own, key) = avalanche_crypto::staking::self_signed(2126, &random).unwrap();
    let (anothers, _) = avalanche_crypto::staking::self_signed(2126, &random).unwrap();
    let long = [own.as_slice(), &[0; 4096]].concat();
    for (shown, case) in [(vec![0x30, 0x00], "garbage"), (anothers, "another's"), (long, "too long")] {
        let der = rustls::pki_types::PrivateKeyDer::try_from(key.clone()).unwrap();
        let signer = rustls::crypto::ring::sign::any_supported_type(&der).unwrap();
        let chain = vec![rustls::pki_types::CertificateDer::from(shown)];
        let shows = Shows(Arc::new(rustls::sign::CertifiedKey::new(chain, signer)));
        let mut client = (*identity().client()).clone();
        client.client_auth_cert_resolver = Arc::new(shows);
        let stream = TcpStream::connect(node.address).await.unwrap();
        let name = ServerName::from(IpAddr::from(Ipv4Addr::LOCALHOST));
        if let Ok(stream) = TlsConnector::from(Arc::new(client)).connect(name, stream).await {
            until_closed(stream).await;
        }
        let failure = node.failure().await;
        assert!(failure.contains("invalid peer certificate"), "{case}: {failure}");
    }
    assert!(node.network.peers().is_empty());
}

#[tokio::test]
async fn bombs_are_dropped_and_told_of_once_and_what_is_sound_still_passes() {
    let mut node = Node::start(NETWORK_ID).await;
    let mut peer = node.befriend().await;
    let bomb = zstd::bulk::compress(&vec![0; 8 * MAX_MESSAGE_LEN], 1).unwrap();
    let bomb = prost::Message::encode_to_vec(&p2p::Envelope { body: Some(Body::CompressedZstd(bomb)) });
    for bytes in [bomb.as_slice(), &[0xff; 100], &bomb, &message::encode(get(7))] {
        peer.write_all(&frame::encode(bytes).unwrap()).await.unwrap();
    }
    assert!(matches!(node.event().await, Event::Malformed(_, MessageError::TooLarge)));
    match node.event().await {
        Event::Message(_, body, _) => assert_eq!(*body, get(7)),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn of_a_flood_no_more_is_read_than_there_is_room_for() {
    let limits = Limits { node_bytes: 4 * crate::throttle::LEAST_MESSAGE_BYTES, ..Limits::default() };
    let mut node = Node::limited(NETWORK_ID, limits).await;
    let mut peer = node.befriend().await;
    for number in 0..20 {
        peer.write_all(&frame::encode(&message::encode(get(number))).unwrap()).await.unwrap();
    }
    let mut held = Vec::new();
    for _ in 0..4 {
        held.push(node.event().await);
    }
    let more = timeout(Duration::from_millis(300), node.events.recv()).await;
    assert!(more.is_err(), "what is held and not dropped takes all the room: {more:?}");
    held.clear();
    for number in 4..20 {
        match node.event().await {
            Event::Message(_, body, _) => assert_eq!(*body, get(number), "in order, none lost"),
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn connections_beyond_the_limit_are_closed_and_cost_nothing_more() {
    let mut node = Node::start(NETWORK_ID).await;
    let mut friends = Vec::new();
    for _ in 0..8 {
        friends.push(node.befriend().await);
    }
    until_closed(node.dial().await).await;
    assert_eq!(node.network.peers().len(), 8);
    drop(friends.pop());
    assert!(matches!(node.event().await, Event::Disconnected(..)));
    node.befriend().await;
}
