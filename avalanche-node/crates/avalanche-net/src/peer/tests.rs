use std::net::{Ipv4Addr, SocketAddr};

use avalanche_crypto::staking::{PrivateKey, self_signed};
use prost::Message as _;
use ring::rand::SystemRandom;

use super::*;
use crate::{
    handshake::Announcement,
    signed_ip::{SignedIp, UnsignedIp},
};

const WALL: u64 = 1_800_000_000;
const SETTINGS: Settings = Settings { network_id: 12345, upgrade_time: WALL - 100 };

/// The other side: its certificate, its BLS key and the handshake it would send.
struct Remote {
    certificate: Certificate,
    bls: bls::SecretKey,
    hello: p2p::Handshake,
}

impl Remote {
    fn new() -> Self {
        let random = SystemRandom::new();
        let (certificate, key) = self_signed(2126, &random).unwrap();
        let certificate = Certificate::parse(&certificate).unwrap();
        let tls = PrivateKey::from_der(&key, &random).unwrap();
        let bls = bls::SecretKey::from_bytes(&[7; 32]).unwrap();
        let ip = UnsignedIp { address: SocketAddr::from((Ipv4Addr::LOCALHOST, 9651)), timestamp: WALL };
        let announcement = Announcement {
            network_id: SETTINGS.network_id,
            upgrade_time: SETTINGS.upgrade_time,
            signed_ip: SignedIp::sign(ip, &tls, &bls, &random).unwrap(),
            tracked_subnets: Vec::new(),
            all_subnets: false,
        };
        let known = p2p::BloomFilter { filter: vec![1, 0, 0, 0, 0, 0, 0, 0, 0, 0], salt: vec![] };
        let hello = announcement.message(WALL, known);
        Self { certificate, bls, hello }
    }

    fn handshake(&self) -> Body {
        Body::Handshake(self.hello.clone())
    }

    /// Our side of a connection to it, with the first step done.
    fn meet(&self) -> Peer {
        let mut peer = Peer::new(SETTINGS, self.certificate.clone(), None, self.hello.clone(), Time::ZERO);
        let effects = step(&mut peer, 0, Input::Tick);
        assert!(
            matches!(effects.as_slice(), [Effect::Send(Body::Handshake(_))]),
            "the handshake comes first"
        );
        peer
    }

    /// A connection with its handshake over.
    fn connect(&self) -> Peer {
        let mut peer = self.meet();
        hear(&mut peer, 0, self.handshake());
        let answer = step(&mut peer, 0, Input::Peers(vec![]));
        assert!(matches!(answer.as_slice(), [Effect::Send(Body::PeerList(_))]), "sent even when empty");
        let effects = hear(&mut peer, 0, Body::PeerList(p2p::PeerList::default()));
        assert!(matches!(effects.as_slice(), [Effect::Connected(_), Effect::Discovered(_)]));
        peer
    }
}

fn step(peer: &mut Peer, millis: u64, input: Input) -> Vec<Effect> {
    let mut effects = Vec::new();
    peer.step(Time::from_millis(millis), input, &mut effects);
    effects
}

fn hear(peer: &mut Peer, millis: u64, body: Body) -> Vec<Effect> {
    step(peer, millis, Input::Received(message::encode(body), WALL))
}

#[track_caller]
fn assert_ends(effects: &[Effect], expected: &str) {
    let [Effect::Disconnect(reason)] = effects else { panic!("not ended: {effects:?}") };
    assert!(format!("{reason:?}").starts_with(expected), "{reason:?}");
}

fn get_peers(filter: Vec<u8>) -> Body {
    Body::GetPeerList(p2p::GetPeerList {
        known_peers: Some(p2p::BloomFilter { filter, salt: vec![] }),
        all_subnets: true,
    })
}

#[test]
fn a_peer_is_connected_after_its_handshake_and_then_its_list() {
    let remote = Remote::new();
    let mut peer = remote.meet();
    let early = hear(&mut peer, 0, Body::PeerList(p2p::PeerList::default()));
    assert!(early.is_empty(), "a list before the handshake is ignored");
    let effects = hear(&mut peer, 0, remote.handshake());
    assert!(matches!(effects.as_slice(), [Effect::TellPeers(Wanted { known: Some(_), .. })]));
    assert!(hear(&mut peer, 0, get_peers(vec![])).is_empty(), "an early question is ignored");
    let put = Body::Put(p2p::Put::default());
    assert!(hear(&mut peer, 0, put.clone()).is_empty(), "messages of chains are dropped until connected");
    assert!(step(&mut peer, 0, Input::Send(put.clone())).is_empty());

    let mut peer = remote.connect();
    assert!(matches!(hear(&mut peer, 0, put.clone()).as_slice(), [Effect::Deliver(Body::Put(_))]));
    assert!(matches!(step(&mut peer, 0, Input::Send(put)).as_slice(), [Effect::Send(Body::Put(_))]));
    assert_eq!(peer.info().unwrap().client, handshake::CLIENT);
}

#[test]
fn each_rule_of_the_handshake_ends_the_connection() {
    let remote = Remote::new();
    type Spoil = fn(&mut p2p::Handshake);
    let rules: [(Spoil, &str); 13] = [
        (|hello| hello.network_id = 1, "Handshake(Network(1))"),
        (|hello| hello.my_time += 61, "Handshake(Clock"),
        (|hello| hello.tracked_subnets = vec![vec![0; 32]; 17], "Handshake(TooManySubnets(17))"),
        (|hello| hello.tracked_subnets = vec![vec![0; 31]], "Handshake(SubnetId)"),
        (|hello| hello.known_peers = Some(p2p::BloomFilter::default()), "Handshake(KnownPeers"),
        (|hello| hello.known_peers.as_mut().unwrap().salt = vec![0; 33], "Handshake(Salt(33))"),
        (|hello| hello.ip_signing_time += 61, "Handshake(SignedIp(Future"),
        (|hello| hello.ip_port = 0, "Handshake(Port)"),
        (|hello| hello.ip_addr = vec![0; 5], "Handshake(Address(5))"),
        (|hello| hello.ip_port = 1 << 16, "Handshake(Port)"),
        (|hello| hello.ip_port = 9652, "Handshake(SignedIp"),
        (|hello| hello.ip_bls_sig = vec![0; 96], "Handshake(BlsSignature)"),
        (|hello| hello.client = None, "Handshake(Version"),
    ];
    for (spoil, expected) in rules {
        let mut hello = remote.hello.clone();
        spoil(&mut hello);
        assert_ends(&hear(&mut remote.meet(), 0, Body::Handshake(hello)), expected);
    }
    let mut peer = remote.connect();
    assert_ends(&hear(&mut peer, 0, remote.handshake()), "SecondHandshake");
    assert!(hear(&mut peer, 0, remote.handshake()).is_empty(), "nothing follows the end");
    assert_eq!(peer.deadline(), None);
}

#[test]
fn a_validator_signs_its_address_with_its_registered_key() {
    let remote = Remote::new();
    let other = bls::SecretKey::from_bytes(&[8; 32]).unwrap().public_key();
    let mut peer = remote.connect();
    assert!(step(&mut peer, 0, Input::ValidatorKey(Some(remote.bls.public_key()))).is_empty());
    let due = 22_500;
    assert!(matches!(step(&mut peer, due, Input::Tick).as_slice(), [Effect::Send(Body::Ping(_))]));
    hear(&mut peer, due, Body::Pong(p2p::Pong {}));
    step(&mut peer, due, Input::ValidatorKey(Some(other)));
    assert_ends(&step(&mut peer, due * 2, Input::Tick), "Handshake(BlsKey)");
}

#[test]
fn pings_are_sent_on_time_and_answered_and_each_pong_answers_one() {
    let mut peer = Remote::new().connect();
    step(&mut peer, 0, Input::Uptime(250));
    assert_eq!(peer.deadline(), Some(Time::from_millis(22_500)));
    let effects = step(&mut peer, 22_500, Input::Tick);
    assert!(matches!(effects.as_slice(), [Effect::Send(Body::Ping(p2p::Ping { uptime: 100 }))]));
    assert!(hear(&mut peer, 22_530, Body::Pong(p2p::Pong {})).is_empty());
    assert_eq!(peer.round_trip(), Some(Duration::from_millis(30)));
    let effects = hear(&mut peer, 22_540, Body::Ping(p2p::Ping { uptime: 99 }));
    assert!(matches!(effects.as_slice(), [Effect::Send(Body::Pong(_))]));
    assert_eq!((peer.observed_uptime(), peer.pongs()), (99, 1));
    assert_ends(&hear(&mut peer, 22_550, Body::Pong(p2p::Pong {})), "UnexpectedPong");
    let mut peer = Remote::new().connect();
    assert_ends(&hear(&mut peer, 0, Body::Ping(p2p::Ping { uptime: 101 })), "Uptime(101)");
}

#[test]
fn a_silent_peer_is_left_and_garbage_does_not_count_as_a_sign_of_life() {
    let mut peer = Remote::new().connect();
    step(&mut peer, 22_500, Input::Tick);
    let first = step(&mut peer, 25_000, Input::Received(vec![0xff], WALL));
    assert!(matches!(first.as_slice(), [Effect::Malformed(_)]), "told once");
    assert!(
        step(&mut peer, 26_000, Input::Received(p2p::Envelope { body: None }.encode_to_vec(), WALL))
            .is_empty()
    );
    assert_eq!(peer.malformed(), 2);
    assert_eq!(peer.deadline(), Some(Time::from_millis(30_000)));
    assert!(step(&mut peer, 29_999, Input::Tick).is_empty());
    assert_ends(&step(&mut peer, 30_000, Input::Tick), "Silent");
}

#[test]
fn questions_for_peers_are_answered_when_there_is_something_to_tell() {
    let remote = Remote::new();
    let mut peer = remote.connect();
    let effects = hear(&mut peer, 0, get_peers(vec![1, 0, 0, 0, 0, 0, 0, 0, 0, 0]));
    assert!(matches!(effects.as_slice(), [Effect::TellPeers(Wanted { all_subnets: true, .. })]));
    assert!(step(&mut peer, 0, Input::Peers(vec![])).is_empty(), "nothing to tell, no answer");
    let told = step(&mut peer, 0, Input::Peers(vec![p2p::ClaimedIpPort::default()]));
    assert!(matches!(told.as_slice(), [Effect::Send(Body::PeerList(_))]));
    assert_ends(&hear(&mut peer, 0, get_peers(vec![])), "Handshake(KnownPeers");
}

#[test]
fn a_malformed_address_in_a_list_ends_the_connection() {
    let mut peer = Remote::new().connect();
    let list = p2p::PeerList { claimed_ip_ports: vec![p2p::ClaimedIpPort::default()] };
    assert_ends(&hear(&mut peer, 0, Body::PeerList(list)), "PeerList(Certificate");
}

#[test]
fn we_ask_for_peers_once_connected() {
    let remote = Remote::new();
    let question = || Input::AskPeers(p2p::BloomFilter::default(), false);
    assert!(step(&mut remote.meet(), 0, question()).is_empty());
    let asked = step(&mut remote.connect(), 0, question());
    assert!(matches!(asked.as_slice(), [Effect::Send(Body::GetPeerList(_))]));
}
