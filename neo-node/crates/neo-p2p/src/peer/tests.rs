use super::*;
use crate::payload::{Address, AddressList};

fn local(nonce: u32, network: u32) -> Local {
    Local {
        network,
        nonce,
        user_agent: "/test/".to_owned(),
        port: 1,
        compression: true,
        epoch: 1_700_000_000,
    }
}

/// Two ends; what either sends arrives at once.
struct Pair {
    ends: [Peer; 2],
    seen: [Vec<Effect>; 2],
}

impl Pair {
    fn new(a: Local, b: Local) -> Self {
        let now = Time::from_millis(1);
        let (mut first, mut second) = (Vec::new(), Vec::new());
        let ends = [Peer::start(now, a, 7, &mut first), Peer::start(now, b, 9, &mut second)];
        let mut pair = Self { ends, seen: [vec![], vec![]] };
        let first = first.into_iter().map(|effect| (0, effect));
        pair.carry(now, first.chain(second.into_iter().map(|effect| (1, effect))).collect());
        pair
    }

    fn carry(&mut self, now: Time, mut effects: std::collections::VecDeque<(usize, Effect)>) {
        while let Some((from, effect)) = effects.pop_front() {
            if let Effect::Send(message) = effect {
                let mut out = Vec::new();
                self.ends[1 - from].step(now, Input::Received(message), &mut out);
                effects.extend(out.into_iter().map(|effect| (1 - from, effect)));
            } else {
                self.seen[from].push(effect);
            }
        }
    }

    fn step(&mut self, now: Time, end: usize, input: Input) {
        let mut out = Vec::new();
        self.ends[end].step(now, input, &mut out);
        self.carry(now, out.into_iter().map(|effect| (end, effect)).collect());
    }

    fn ended(&self, end: usize) -> Option<End> {
        self.seen[end].iter().find_map(|effect| match effect {
            Effect::End(why) => Some(*why),
            _ => None,
        })
    }
}

#[test]
fn two_nodes_of_one_network_become_ready_and_answer_pings_with_their_height() {
    let mut pair = Pair::new(local(1, 5), local(2, 5));
    assert!(pair.ends.iter().all(Peer::is_running));
    assert!(pair.seen.iter().all(|seen| matches!(&seen[..], [Effect::Ready(_)])));
    pair.step(Time::from_millis(2), 1, Input::Height(10));
    let later = pair.ends[0].deadline().unwrap();
    pair.step(later, 0, Input::Tick);
    assert!(
        matches!(&pair.seen[1].last(), Some(Effect::Deliver(Message::Ping(ping))) if ping.last_block == 7)
    );
    assert!(
        matches!(&pair.seen[0].last(), Some(Effect::Deliver(Message::Pong(ping))) if ping.last_block == 10)
    );
}

#[test]
fn another_network_or_oneself_ends_the_connection() {
    assert_eq!(Pair::new(local(1, 5), local(2, 6)).ended(1), Some(End::OtherNetwork));
    assert_eq!(Pair::new(local(1, 5), local(1, 5)).ended(1), Some(End::SameNode));
}

#[test]
fn nothing_but_version_and_verack_opens_a_connection() {
    let mut out = Vec::new();
    let mut peer = Peer::start(Time::ZERO, local(1, 5), 0, &mut out);
    peer.step(Time::ZERO, Input::Received(Message::Verack), &mut out);
    assert!(matches!(out.last(), Some(Effect::End(End::Protocol))));
    let mut peer = Peer::start(Time::ZERO, local(1, 5), 0, &mut out);
    peer.step(peer.deadline().unwrap(), Input::Tick, &mut out);
    assert!(matches!(out.last(), Some(Effect::End(End::HandshakeTimeout))));
    let mut pair = Pair::new(local(1, 5), local(2, 5));
    pair.step(Time::from_millis(3), 0, Input::Send(Message::Verack));
    assert_eq!(pair.ended(1), Some(End::Protocol));
}

#[test]
fn a_silent_peer_is_dropped() {
    let mut pair = Pair::new(local(1, 5), local(2, 5));
    let mut out = Vec::new();
    let peer = &mut pair.ends[0];
    while peer.is_running() {
        let now = peer.deadline().unwrap();
        peer.step(now, Input::Tick, &mut out);
        assert!(now <= Time::from_millis(91_000));
    }
    assert!(matches!(out.last(), Some(Effect::End(End::Silence))));
    assert_eq!(peer.deadline(), None);
}

#[test]
fn what_the_peer_has_is_not_announced_to_it_and_each_hash_is_served_once() {
    let mut pair = Pair::new(local(1, 5), local(2, 5));
    let (now, hash) = (Time::from_millis(5), UInt256([3; 32]));
    let count = |pair: &Pair| {
        pair.seen[1].iter().filter(|effect| matches!(effect, Effect::Deliver(Message::Inventory(_)))).count()
    };
    pair.step(now, 0, Input::Announce(Announcement::Block(hash)));
    pair.step(now, 0, Input::Announce(Announcement::Block(hash)));
    assert_eq!(count(&pair), 1);
    pair.step(now, 1, Input::Announce(Announcement::Block(hash)));
    assert!(!pair.seen[0].iter().any(|effect| matches!(effect, Effect::Deliver(_))), "it told us itself");
    let ask = || {
        let hashes = Hashes { kind: InventoryKind::Block, hashes: vec![hash] };
        Input::Send(Message::GetData(Box::new(hashes)))
    };
    pair.step(now, 1, ask());
    pair.step(now, 1, ask());
    let asked = pair.seen[0].iter().filter(|effect| matches!(effect, Effect::Deliver(Message::GetData(_))));
    assert_eq!(asked.count(), 1);
}

#[test]
fn addresses_that_nobody_asked_for_are_ignored() {
    let mut pair = Pair::new(local(1, 5), local(2, 5));
    let address = Address { timestamp: 1, ip: std::net::Ipv6Addr::LOCALHOST, capabilities: Vec::new() };
    let list = || Input::Send(Message::Addresses(Box::new(AddressList(vec![address.clone()]))));
    let now = Time::from_millis(5);
    let got = |pair: &Pair| {
        pair.seen[0].iter().filter(|effect| matches!(effect, Effect::Deliver(Message::Addresses(_)))).count()
    };
    pair.step(now, 1, list());
    assert_eq!(got(&pair), 0);
    pair.step(now, 0, Input::Send(Message::GetAddresses));
    pair.step(now, 1, list());
    pair.step(now, 1, list());
    assert_eq!(got(&pair), 1);
}
