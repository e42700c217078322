use std::net::Ipv4Addr;

use avalanche_crypto::staking::{PrivateKey, self_signed};
use ring::rand::SystemRandom;

use super::*;

/// A node that signs addresses.
struct Node {
    certificate: Certificate,
    key: PrivateKey,
}

impl Node {
    fn new() -> Self {
        let random = SystemRandom::new();
        let (certificate, key) = self_signed(2126, &random).unwrap();
        let certificate = Certificate::parse(&certificate).unwrap();
        Self { certificate, key: PrivateKey::from_der(&key, &random).unwrap() }
    }

    fn id(&self) -> NodeId {
        self.certificate.node_id()
    }

    fn claim(&self, port: u16, timestamp: u64) -> ClaimedIp {
        let ip = UnsignedIp { address: SocketAddr::from((Ipv4Addr::LOCALHOST, port)), timestamp };
        let signature = self.key.sign(&ip.preimage(), &SystemRandom::new()).unwrap();
        ClaimedIp::new(self.certificate.clone(), ip, signature)
    }
}

fn tracker() -> Tracker {
    Tracker::new(BTreeSet::new(), false, [7; 32])
}

fn primary() -> BTreeSet<Id> {
    BTreeSet::from([Id::EMPTY])
}

fn everything() -> Wanted {
    Wanted { subnets: primary(), all_subnets: false, known: None }
}

#[test]
fn a_claim_survives_the_message() {
    let claim = Node::new().claim(9651, 5);
    let message = claim.to_message();
    assert_eq!(message.tx_id, [0; 32]);
    assert_eq!(ClaimedIp::from_message(&message), Ok(claim));
    let without_port = p2p::ClaimedIpPort { ip_port: 1 << 16, ..message.clone() };
    assert!(matches!(ClaimedIp::from_message(&without_port), Err(ClaimError::Address(_))));
    let without_key = p2p::ClaimedIpPort { x509_certificate: vec![0x30], ..message };
    assert!(matches!(ClaimedIp::from_message(&without_key), Err(ClaimError::Certificate(_))));
}

#[test]
fn only_news_of_nodes_of_interest_are_checked_and_dialled() {
    let (node, stranger) = (Node::new(), Node::new());
    let mut tracker = tracker();
    tracker.validator_added(Id::EMPTY, node.id());
    let claims = vec![stranger.claim(1, 5), node.claim(2, 5)];
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, 2));
    assert_eq!(tracker.receive(claims, 10), Ok(vec![(node.id(), address)]));
    assert_eq!(tracker.receive(vec![node.claim(3, 5), node.claim(4, 4)], 10), Ok(vec![]));
    assert_eq!(tracker.address(node.id()), Some(address));

    let mut forged = node.claim(5, 6);
    forged.ip.address.set_port(6);
    assert!(matches!(
        tracker.receive(vec![forged.clone()], 10),
        Err(ClaimError::SignedIp(SignedIpError::Signature(_)))
    ));
    let future = node.claim(5, 11);
    assert_eq!(tracker.receive(vec![future], 10), Err(ClaimError::SignedIp(SignedIpError::Future(11))));
    forged.node = stranger.id();
    assert_eq!(tracker.receive(vec![forged], 10), Ok(vec![]), "a stranger's claim costs no signature check");
}

#[test]
fn only_connected_validators_are_passed_on_and_not_to_those_who_know_them() {
    let nodes: Vec<Node> = (0..3).map(|_| Node::new()).collect();
    let [validator, follower, asker] = nodes.as_slice() else { unreachable!() };
    let mut tracker = tracker();
    tracker.validator_added(Id::EMPTY, validator.id());
    tracker.track_by_hand(follower.id());
    tracker.receive(vec![validator.claim(1, 5)], 10).unwrap();
    assert!(tracker.answer(asker.id(), &everything()).is_empty(), "not connected yet");

    tracker.connected(validator.claim(1, 5), primary());
    tracker.connected(follower.claim(2, 5), primary());
    let told = tracker.answer(asker.id(), &everything());
    assert_eq!(
        told,
        [validator.claim(1, 5).to_message()].map(|mut own| {
            own.signature.clone_from(&told[0].signature);
            own
        })
    );
    assert!(tracker.answer(validator.id(), &everything()).is_empty(), "never its own address");

    let other_subnet = Wanted { subnets: BTreeSet::from([Id([1; 32])]), ..everything() };
    assert!(tracker.answer(asker.id(), &other_subnet).is_empty());

    let p2p::BloomFilter { filter, salt } = tracker.known_peers();
    let known = Some((Filter::parse(&filter).unwrap(), salt));
    assert!(tracker.answer(asker.id(), &Wanted { known, ..everything() }).is_empty());

    tracker.disconnected(validator.id());
    assert!(tracker.answer(asker.id(), &everything()).is_empty());
}

#[test]
fn a_node_enters_the_filter_twice_at_most_until_it_is_reset() {
    let node = Node::new();
    let mut tracker = tracker();
    tracker.track_by_hand(node.id());
    for timestamp in 1..5 {
        tracker.receive(vec![node.claim(1, timestamp)], 10).unwrap();
    }
    assert_eq!(tracker.ours.count, 2);
    let before = tracker.known_peers();
    tracker.reset_filter();
    assert_eq!(tracker.ours.count, 1);
    let after = tracker.known_peers();
    assert_ne!(before.salt, after.salt);
    let filter = Filter::parse(&after.filter).unwrap();
    assert!(filter.contains(bloom::hash(gossip_id(node.id(), 4).as_bytes(), &after.salt)));
}

#[test]
fn at_most_fifteen_addresses_are_told_and_validators_that_left_are_not() {
    let mut tracker = tracker();
    let nodes: Vec<Node> = (0..17).map(|_| Node::new()).collect();
    for node in &nodes {
        tracker.validator_added(Id::EMPTY, node.id());
        tracker.connected(node.claim(1, 5), primary());
    }
    assert_eq!(tracker.answer(NodeId::EMPTY, &everything()).len(), MAX_ADDRESSES);
    for node in &nodes[1..] {
        tracker.validator_removed(Id::EMPTY, node.id());
        assert!(!tracker.wants(node.id()));
    }
    assert_eq!(tracker.answer(NodeId::EMPTY, &everything()).len(), 1);
}
