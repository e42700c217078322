//! The discovery state machine: who has answered, whom to ask, what to answer. Mirrors `PeerExplorer.java`,
//! `NodeChallengeManager.java` and `PeerExplorerCleaner.java` of rskj.

use std::{
    collections::BTreeMap,
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use rand::{Rng, RngExt, SeedableRng, rngs::StdRng};
use shared_vendor::{
    clock::Time,
    machine::{Machine, Tick},
};

use super::{
    packet::{self, Body, MAX_NEIGHBORS, MessageId, Neighbor},
    table::Table,
};
use crate::rlpx::{NodeId, NodeKey};

const MESSAGE_TIMEOUT: Duration = Duration::from_millis(14_999);
const CLEAN_EVERY: Duration = Duration::from_secs(15);
const REFRESH_EVERY: Duration = Duration::from_secs(60);
/// While nobody answers, the first nodes are asked again this often.
const RETRY_EVERY: Duration = Duration::from_secs(3);
const PING_ATTEMPTS: u8 = 3;
const NODES_ASKED: (usize, usize) = (24, 5);
const NODES_CHECKED: (usize, usize) = (16, 10);
const NODES_SENT: (usize, usize) = (MAX_NEIGHBORS, 5);
/// Questions under way; beyond this no new ones are asked.
const MAX_PENDING: usize = 512;

/// A node that has answered us.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Known {
    /// Its id.
    pub id: NodeId,
    /// Where it answers over UDP, and listens over TCP.
    pub address: SocketAddr,
}

/// What the machine is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Input {
    /// A deadline has come.
    Tick,
    /// Nodes to begin with; names are resolved already.
    Boot(Vec<SocketAddr>),
    /// A datagram came.
    Datagram(SocketAddr, Vec<u8>),
}

impl From<Tick> for Input {
    fn from(_: Tick) -> Self {
        Self::Tick
    }
}

/// What is to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// Send a datagram.
    Send(SocketAddr, Vec<u8>),
    /// This node has answered and may be dialled.
    Found(Known),
    /// This node has stopped answering.
    Lost(NodeId),
}

/// The state machine; see the module.
#[derive(Debug)]
pub struct Explorer {
    key: NodeKey,
    host: String,
    port: u16,
    network_id: u64,
    random: StdRng,
    table: Table,
    established: BTreeMap<NodeId, SocketAddr>,
    boot: Vec<SocketAddr>,
    pings: BTreeMap<MessageId, Ping>,
    finds: BTreeMap<MessageId, (SocketAddr, Time)>,
    next_clean: Time,
    next_refresh: Time,
}

#[derive(Debug)]
struct Ping {
    to: SocketAddr,
    attempt: u8,
    /// The established node whose pulse this checks.
    node: Option<NodeId>,
    /// Who takes its place if it does not answer.
    challenger: Option<Known>,
    until: Time,
}

impl Explorer {
    /// A machine that says of itself that it is at `own`; its UDP and TCP ports are one, because the reference dials TCP
    /// on the port it hears from. `seed` feeds message ids and random choices.
    #[must_use]
    pub fn new(key: NodeKey, own: SocketAddr, network_id: u64, seed: u64) -> Self {
        Self {
            table: Table::new(key.id()),
            key,
            host: packet::host_of(own),
            port: own.port(),
            network_id,
            random: StdRng::seed_from_u64(seed),
            established: BTreeMap::new(),
            boot: Vec::new(),
            pings: BTreeMap::new(),
            finds: BTreeMap::new(),
            next_clean: Time::ZERO,
            next_refresh: Time::ZERO,
        }
    }

    /// Nodes that answer.
    #[must_use]
    pub fn known(&self) -> Vec<Known> {
        self.established.iter().map(|(id, address)| Known { id: *id, address: *address }).collect()
    }

    fn on_datagram(&mut self, now: Time, from: SocketAddr, bytes: &[u8], out: &mut Vec<Effect>) {
        let Ok(packet) = packet::open(bytes) else { return };
        let foreign = packet.network_id.is_some_and(|id| id != self.network_id);
        if foreign || packet.sender == self.key.id() {
            return;
        }
        match packet.body {
            Body::Ping(..) => {
                let answer = Body::Pong(self.host.clone(), self.port);
                self.send(from, &packet.message, &answer, out);
                if self.established.contains_key(&packet.sender) {
                    self.table.touch(now, &packet.sender);
                } else {
                    self.ping(now, from, 1, None, None, out);
                }
            }
            Body::Pong(..) => self.on_pong(now, from, packet.sender, &packet.message, out),
            Body::FindNode(_) => self.on_find_node(now, packet.sender, &packet.message, out),
            Body::Neighbors(nodes) => {
                self.on_neighbors(now, from, packet.sender, &packet.message, &nodes, out);
            }
        }
    }

    fn on_pong(
        &mut self,
        now: Time,
        from: SocketAddr,
        id: NodeId,
        message: &MessageId,
        out: &mut Vec<Effect>,
    ) {
        if self.pings.get(message).is_none_or(|ping| ping.to != from || ping.until < now) {
            return;
        }
        let Some(ping) = self.pings.remove(message) else { return };
        if ping.challenger.is_none() {
            self.establish(now, Known { id, address: from }, out);
        }
    }

    fn establish(&mut self, now: Time, node: Known, out: &mut Vec<Effect>) {
        let moved_in =
            self.established.iter().find(|(id, address)| **address == node.address && **id != node.id);
        if let Some(gone) = moved_in.map(|(id, _)| *id) {
            self.forget(gone, out);
        }
        match self.table.add(now, node.id, node.address) {
            Ok(()) => {
                if self.established.insert(node.id, node.address) != Some(node.address) {
                    out.push(Effect::Found(node));
                    // Ask the new node at once instead of at the next refresh.
                    self.find(now, node.address, out);
                }
            }
            Err(full) => self.ping(now, full.address, 1, Some(full.oldest), Some(node), out),
        }
    }

    fn on_find_node(&mut self, now: Time, sender: NodeId, message: &MessageId, out: &mut Vec<Effect>) {
        let Some(to) = self.established.get(&sender).copied() else { return };
        let nearest = self.table.closest(&sender);
        let nodes = self.some_of(nearest, NODES_SENT);
        let nodes = nodes
            .into_iter()
            .map(|(id, address)| Neighbor { host: packet::host_of(address), port: address.port(), id })
            .collect();
        self.send(to, message, &Body::Neighbors(nodes), out);
        self.table.touch(now, &sender);
    }

    fn on_neighbors(
        &mut self,
        now: Time,
        from: SocketAddr,
        sender: NodeId,
        message: &MessageId,
        nodes: &[Neighbor],
        out: &mut Vec<Effect>,
    ) {
        if !self.established.contains_key(&sender) {
            return;
        }
        self.table.touch(now, &sender);
        match self.finds.remove(message) {
            Some((asked, until)) if asked == from && now <= until => {}
            _ => return,
        }
        for node in nodes {
            // Names are not resolved: whoever answers from elsewhere would not be believed anyway.
            let address = match node.host.as_str() {
                "localhost" => Some(IpAddr::from([127, 0, 0, 1])),
                host => host.parse().ok(),
            };
            let Some(address) = address.map(|ip| SocketAddr::new(ip, node.port)) else { continue };
            if node.id != self.key.id() && self.established.get(&node.id) != Some(&address) && node.port != 0
            {
                self.ping(now, address, 1, None, None, out);
            }
        }
    }

    fn ping(
        &mut self,
        now: Time,
        to: SocketAddr,
        attempt: u8,
        node: Option<NodeId>,
        challenger: Option<Known>,
        out: &mut Vec<Effect>,
    ) {
        if self.pings.len() >= MAX_PENDING || self.pings.values().any(|ping| ping.to == to) {
            return;
        }
        self.send_ping(Ping { to, attempt, node, challenger, until: now.after(MESSAGE_TIMEOUT) }, out);
    }

    fn send_ping(&mut self, ping: Ping, out: &mut Vec<Effect>) {
        let message = self.message_id();
        let body = Body::Ping(self.host.clone(), self.port);
        self.send(ping.to, &message, &body, out);
        self.pings.insert(message, ping);
    }

    fn find(&mut self, now: Time, to: SocketAddr, out: &mut Vec<Effect>) {
        if self.finds.len() < MAX_PENDING {
            let message = self.message_id();
            self.send(to, &message, &Body::FindNode(self.key.id()), out);
            self.finds.insert(message, (to, now.after(MESSAGE_TIMEOUT)));
        }
    }

    fn clean(&mut self, now: Time, out: &mut Vec<Effect>) {
        self.finds.retain(|_, (_, until)| *until >= now);
        let expired: Vec<_> =
            self.pings.iter().filter(|(_, ping)| ping.until < now).map(|(id, _)| id.clone()).collect();
        for message in expired {
            let Some(ping) = self.pings.remove(&message) else { continue };
            if ping.attempt < PING_ATTEMPTS {
                self.ping(now, ping.to, ping.attempt.saturating_add(1), ping.node, ping.challenger, out);
            } else if let Some(node) = ping.node {
                self.forget(node, out);
                if let Some(challenger) = ping.challenger {
                    self.establish(now, challenger, out);
                }
            }
        }
    }

    fn refresh(&mut self, now: Time, out: &mut Vec<Effect>) {
        let nearest = self.table.closest(&self.key.id());
        for (_, address) in self.some_of(nearest.clone(), NODES_ASKED) {
            self.find(now, address, out);
        }
        for (id, address) in self.some_of(nearest, NODES_CHECKED) {
            self.ping(now, address, 1, Some(id), None, out);
        }
    }

    fn forget(&mut self, id: NodeId, out: &mut Vec<Effect>) {
        self.table.remove(&id);
        if self.established.remove(&id).is_some() {
            out.push(Effect::Lost(id));
        }
    }

    fn ask_first_nodes(&mut self, now: Time, out: &mut Vec<Effect>) {
        // A datagram may be lost, or come before the other side listens: an unanswered ping does not hold up the next.
        for to in self.boot.clone() {
            if self.pings.len() < MAX_PENDING {
                let until = now.after(MESSAGE_TIMEOUT);
                self.send_ping(Ping { to, attempt: PING_ATTEMPTS, node: None, challenger: None, until }, out);
            }
        }
    }

    /// All when they are few; otherwise the nearest ones and some of the others, as the reference chooses.
    fn some_of<T: Clone>(&mut self, all: Vec<T>, (most, random): (usize, usize)) -> Vec<T> {
        if all.len() <= most {
            return all;
        }
        let nearest = most.saturating_sub(random);
        let mut far = all.get(nearest..).unwrap_or_default().to_vec();
        let mut chosen = all.get(..nearest.saturating_sub(1)).unwrap_or_default().to_vec();
        for _ in 0..random.min(far.len()) {
            chosen.push(far.swap_remove(self.random.random_range(0..far.len())));
        }
        chosen
    }

    fn message_id(&mut self) -> MessageId {
        let mut bytes = [0; 16];
        self.random.fill_bytes(&mut bytes);
        MessageId::new(bytes)
    }

    fn send(&self, to: SocketAddr, message: &MessageId, body: &Body, out: &mut Vec<Effect>) {
        out.push(Effect::Send(to, packet::seal(&self.key, message, self.network_id, body)));
    }
}

impl Machine for Explorer {
    type Input = Input;
    type Effect = Effect;

    fn step(&mut self, now: Time, input: Input, out: &mut Vec<Effect>) {
        match input {
            Input::Tick => {}
            Input::Boot(addresses) => {
                self.boot = addresses;
                self.ask_first_nodes(now, out);
                self.next_clean = now.after(CLEAN_EVERY);
                self.next_refresh = now.after(RETRY_EVERY);
            }
            Input::Datagram(from, bytes) => self.on_datagram(now, from, &bytes, out),
        }
        if now >= self.next_clean {
            self.next_clean = now.after(CLEAN_EVERY);
            self.clean(now, out);
        }
        if now >= self.next_refresh {
            if self.established.is_empty() {
                self.next_refresh = now.after(RETRY_EVERY);
                self.ask_first_nodes(now, out);
            } else {
                self.next_refresh = now.after(REFRESH_EVERY);
                self.refresh(now, out);
            }
        }
    }

    fn deadline(&self) -> Option<Time> {
        Some(self.next_clean.min(self.next_refresh))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(port: u16) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], port))
    }

    /// Nodes at ports 1.. of one machine; datagrams arrive at once.
    struct Net {
        nodes: Vec<Explorer>,
        now: Time,
        silent: Option<usize>,
    }

    impl Net {
        fn new(count: u16) -> Self {
            let node = |port: u16| {
                let key = NodeKey::from_bytes([u8::try_from(port).unwrap(); 32]).unwrap();
                Explorer::new(key, address(port), 33, port.into())
            };
            Self { nodes: (1..=count).map(node).collect(), now: Time::from_millis(1), silent: None }
        }

        fn step(&mut self, index: usize, input: Input) -> Vec<Effect> {
            let mut out = Vec::new();
            self.nodes[index].step(self.now, input, &mut out);
            let (sent, mut seen): (Vec<_>, Vec<_>) =
                out.into_iter().partition(|effect| matches!(effect, Effect::Send(..)));
            for effect in sent {
                let Effect::Send(to, bytes) = effect else { continue };
                let target = usize::from(to.port()) - 1;
                if target < self.nodes.len() && self.silent != Some(target) {
                    let from = address(u16::try_from(index + 1).unwrap());
                    seen.extend(self.step(target, Input::Datagram(from, bytes)));
                }
            }
            seen
        }

        fn tick_all(&mut self, seconds: u64) -> Vec<Effect> {
            self.now = self.now.after(Duration::from_secs(seconds));
            (0..self.nodes.len()).flat_map(|index| self.step(index, Input::Tick)).collect()
        }
    }

    #[test]
    fn a_first_node_that_comes_up_late_is_found_within_seconds() {
        let mut net = Net::new(2);
        net.silent = Some(0);
        assert!(net.step(1, Input::Boot(vec![address(1)])).is_empty());
        net.silent = None;
        let found = net.tick_all(3);
        assert!(
            found.iter().any(|effect| matches!(effect, Effect::Found(node) if node.address == address(1)))
        );
    }

    #[test]
    fn all_nodes_find_each_other_through_one() {
        let mut net = Net::new(6);
        for index in 0..6 {
            net.step(index, Input::Boot(if index == 0 { vec![] } else { vec![address(1)] }));
        }
        for _ in 0..10 {
            net.tick_all(61);
        }
        for node in &net.nodes {
            assert_eq!(node.known().len(), 5);
        }
    }

    #[test]
    fn a_node_that_stops_answering_is_forgotten_after_three_attempts() {
        let mut net = Net::new(2);
        net.step(1, Input::Boot(vec![address(1)]));
        assert_eq!(net.nodes[1].known().len(), 1);
        net.silent = Some(0);
        let lost: Vec<_> = (0..12).flat_map(|_| net.tick_all(16)).collect();
        assert!(lost.contains(&Effect::Lost(net.nodes[0].key.id())), "{lost:?}");
    }

    #[test]
    fn another_network_and_answers_from_elsewhere_are_ignored() {
        let mut net = Net::new(2);
        net.nodes[0].network_id = 31;
        net.step(1, Input::Boot(vec![address(1)]));
        assert_eq!(net.nodes[1].known(), []);
        let mut out = Vec::new();
        let mut asking = Net::new(1).nodes.remove(0);
        asking.step(net.now, Input::Boot(vec![address(9)]), &mut out);
        let Some(Effect::Send(_, ping)) = out.pop() else { panic!("no ping") };
        let ping = packet::open(&ping).unwrap();
        let other = NodeKey::from_bytes([9; 32]).unwrap();
        let pong = packet::seal(&other, &ping.message, 33, &Body::Pong("127.0.0.1".into(), 8));
        asking.step(net.now, Input::Datagram(address(8), pong.clone()), &mut out);
        assert_eq!(asking.known(), []);
        asking.step(net.now, Input::Datagram(address(9), pong), &mut out);
        assert_eq!(asking.known().len(), 1);
    }
}
