//! One connection after the encrypted handshake: Hello, chain status, liveness, rate limits, the end.
//! A state machine without sockets. Mirrors `P2pHandler.java`, `RskWireProtocol.java` and `HandshakeHandler.java`.

use std::time::Duration;

use bytes::Bytes;
use shared_vendor::{
    clock::Time,
    limit::TokenBucket,
    machine::{Machine, Tick},
};

use crate::{
    net::score::Event,
    rlpx::{Message as Frame, NodeId, snappy},
    types::BlockHash,
    wire::{
        p2p::{self, Hello, Reason},
        rsk::{self, ChainStatus, Status},
    },
};

/// Time for Hello and chain status after the encrypted handshake.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(20);
/// How often we ask whether the peer is alive, and measure how long it takes to say so.
const PING_EVERY: Duration = Duration::from_secs(20);
/// Quiet time after which it is not.
const SILENCE_LIMIT: Duration = Duration::from_secs(60);
/// rskj drops what comes above 1,000 messages in a clock minute: 100 at once and 13 a second make at most 880.
const SENT_BURST: u32 = 100;
const SENT_PER_SECOND: u32 = 13;
/// More than this is no honest traffic.
const RECEIVED_BURST: u32 = 2_000;
const RECEIVED_PER_SECOND: u32 = 100;
/// Messages that wait for their turn; beyond this they are dropped, as the peer would do.
const SEND_QUEUE: usize = 256;

/// What both ends must agree on, and what we say of ourselves.
#[derive(Debug, Clone)]
pub struct Local {
    /// Our id.
    pub id: NodeId,
    /// Name and version for Hello.
    pub client: String,
    /// Our TCP and UDP port.
    pub port: u16,
    /// The network.
    pub network_id: u64,
    /// Hash of block 0.
    pub genesis: BlockHash,
}

/// What the machine is told.
#[derive(Debug)]
pub enum Input {
    /// A deadline has come.
    Tick,
    /// A whole message arrived.
    Received(Frame),
    /// The node wants to send.
    Send(rsk::Message),
    /// The node wants to end the connection.
    Close(Reason),
}

impl From<Tick> for Input {
    fn from(_: Tick) -> Self {
        Self::Tick
    }
}

/// What is to be done.
#[derive(Debug)]
pub enum Effect {
    /// Write one message.
    Send {
        /// Frame code.
        code: u8,
        /// Encoded body.
        payload: Vec<u8>,
    },
    /// Both handshakes are done; the peer's name for itself and its best block follow.
    Ready {
        /// Name of the program; untrusted text.
        client: String,
        /// Its chain.
        status: ChainStatus,
    },
    /// A message for the node.
    Deliver(rsk::Message),
    /// Remember this of the peer.
    Score(Event),
    /// So long took the answer to a ping.
    Latency(Duration),
    /// Close the socket after what was sent before.
    End(End),
}

/// How a connection ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// We said why.
    Ours(Reason),
    /// The peer said why.
    Theirs(Reason),
}

impl End {
    /// The reason, whoever gave it.
    #[must_use]
    pub fn reason(self) -> Reason {
        match self {
            Self::Ours(reason) | Self::Theirs(reason) => reason,
        }
    }
}

/// The state machine; see the module.
#[derive(Debug)]
pub struct Peer {
    local: Local,
    remote: NodeId,
    /// Our best block when the connection began.
    ours: (ChainStatus, Status),
    phase: Phase,
    heard: Time,
    /// When the last ping went out, and whether it is answered.
    pinged: (Time, bool),
    /// Both ends pack their messages.
    packed: bool,
    sent: TokenBucket,
    received: TokenBucket,
    queue: std::collections::VecDeque<rsk::Message>,
    next_send: Time,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Phase {
    Hello { until: Time, initiator: bool },
    Status { until: Time, client: String },
    Running,
    Over,
}

impl Peer {
    /// A connection whose secrets are agreed. The initiator's Hello is among the first effects.
    #[must_use]
    pub fn start(
        now: Time,
        local: Local,
        remote: NodeId,
        initiator: bool,
        best: Status,
        out: &mut Vec<Effect>,
    ) -> Self {
        let total_difficulty = best.parent.map(|(_, total)| total).unwrap_or_default();
        let status = ChainStatus {
            version: rsk::PROTOCOL_VERSION,
            network_id: local.network_id,
            total_difficulty,
            best: best.best.hash,
            genesis: local.genesis,
        };
        let start = now.since(Time::ZERO);
        let mut peer = Self {
            local,
            remote,
            ours: (status, best),
            phase: Phase::Hello { until: now.after(HANDSHAKE_TIMEOUT), initiator },
            heard: now,
            pinged: (now, true),
            packed: false,
            sent: TokenBucket::new(SENT_BURST, SENT_PER_SECOND, start),
            received: TokenBucket::new(RECEIVED_BURST, RECEIVED_PER_SECOND, start),
            queue: std::collections::VecDeque::new(),
            next_send: Time::ZERO,
        };
        if peer.local.id == remote {
            peer.end(Reason::LOCAL_IDENTITY, out);
        } else if initiator {
            peer.send_hello(out);
        }
        peer
    }

    fn send_hello(&self, out: &mut Vec<Effect>) {
        let (name, version) = p2p::RSK_CAPABILITY;
        let hello = Hello {
            version: p2p::P2P_VERSION,
            client: self.local.client.clone(),
            capabilities: [(name, version), p2p::PACKED_CAPABILITY]
                .map(|(name, version)| (name.to_owned(), version))
                .to_vec(),
            port: self.local.port.into(),
            id: self.local.id,
        };
        out.push(Effect::Send { code: p2p::code::HELLO, payload: hello.encode() });
    }

    fn on_frame(&mut self, now: Time, frame: &Frame, out: &mut Vec<Effect>) {
        self.heard = now;
        if !self.received.take(1, now.since(Time::ZERO)) {
            self.end(Reason::USELESS_PEER, out);
            return;
        }
        match (frame.code, &self.phase) {
            (_, Phase::Over) => {}
            (p2p::code::DISCONNECT, phase) => {
                if *phase != Phase::Running {
                    out.push(Effect::Score(Event::FailedHandshake));
                }
                self.phase = Phase::Over;
                out.push(Effect::End(End::Theirs(Reason::decode(&frame.payload))));
            }
            (p2p::code::HELLO, Phase::Hello { initiator, .. }) => {
                let initiator = *initiator;
                self.on_hello(now, initiator, &frame.payload, out);
            }
            (_, Phase::Hello { .. }) => {
                out.push(Effect::Score(Event::FailedHandshake));
                self.end(Reason::BAD_PROTOCOL, out);
            }
            (p2p::code::HELLO, _) => self.end(Reason::BAD_PROTOCOL, out),
            (p2p::code::PING, _) => {
                out.push(Effect::Send { code: p2p::code::PONG, payload: p2p::EMPTY_LIST.to_vec() });
            }
            (p2p::code::PONG, Phase::Running) => {
                let (at, answered) = self.pinged;
                if !answered {
                    self.pinged = (at, true);
                    out.push(Effect::Latency(now.since(at)));
                }
            }
            (p2p::code::PONG | p2p::code::GET_PEERS | p2p::code::PEERS, _) => {}
            (rsk::CHAIN_STATUS, Phase::Status { client, .. }) => {
                let client = client.clone();
                self.on_status(client, &frame.payload, out);
            }
            (rsk::RSK_MESSAGE, Phase::Running) => self.on_message(&frame.payload, out),
            _ => self.end(Reason::BAD_PROTOCOL, out),
        }
    }

    fn on_hello(&mut self, now: Time, initiator: bool, payload: &[u8], out: &mut Vec<Effect>) {
        let (hello, refusal) = match Hello::decode(payload) {
            Err(_) => (None, Some(Reason::BAD_PROTOCOL)),
            Ok(hello) if !p2p::ACCEPTED_P2P_VERSIONS.contains(&hello.version) || !hello.speaks_rsk() => {
                (None, Some(Reason::INCOMPATIBLE_PROTOCOL))
            }
            Ok(hello) if hello.id != self.remote => (None, Some(Reason::UNEXPECTED_IDENTITY)),
            Ok(hello) => (Some(hello), None),
        };
        if let Some(reason) = refusal {
            out.push(Effect::Score(Event::FailedHandshake));
            self.end(reason, out);
        }
        let Some(hello) = hello else { return };
        if !initiator {
            self.send_hello(out);
        }
        self.packed = hello.packs();
        out.push(Effect::Score(Event::SuccessfulHandshake));
        let (chain, best) = &self.ours;
        out.push(Effect::Send { code: rsk::CHAIN_STATUS, payload: chain.encode() });
        let best = rsk::Message::Status(*best);
        self.send(&best, out);
        self.phase = Phase::Status { until: now.after(HANDSHAKE_TIMEOUT), client: hello.client };
    }

    fn on_status(&mut self, client: String, payload: &[u8], out: &mut Vec<Effect>) {
        let refusal = match ChainStatus::decode(payload) {
            Err(_) => Some((Event::InvalidMessage, Reason::BAD_PROTOCOL)),
            Ok(status) if status.version != rsk::PROTOCOL_VERSION => {
                Some((Event::IncompatibleProtocol, Reason::INCOMPATIBLE_PROTOCOL))
            }
            Ok(status) if status.network_id != self.local.network_id => {
                Some((Event::InvalidNetwork, Reason::NULL_IDENTITY))
            }
            Ok(status) if status.genesis != self.local.genesis => {
                Some((Event::UnexpectedGenesis, Reason::UNEXPECTED_GENESIS))
            }
            Ok(status) => {
                self.phase = Phase::Running;
                out.push(Effect::Ready { client, status });
                None
            }
        };
        if let Some((event, reason)) = refusal {
            out.push(Effect::Score(event));
            self.end(reason, out);
        }
    }

    fn on_message(&mut self, payload: &[u8], out: &mut Vec<Effect>) {
        let payload = if self.packed {
            snappy::decompress(payload).map(Bytes::from).ok()
        } else {
            Some(Bytes::copy_from_slice(payload))
        };
        match payload.and_then(|payload| rsk::Message::decode(&payload).ok()) {
            Some(message) => out.push(Effect::Deliver(message)),
            None => {
                out.push(Effect::Score(Event::InvalidMessage));
                self.end(Reason::BAD_PROTOCOL, out);
            }
        }
    }

    fn send(&self, message: &rsk::Message, out: &mut Vec<Effect>) {
        let payload = message.encode();
        // Nothing we send is near the length that cannot be packed.
        let payload = if self.packed { snappy::compress(&payload).unwrap_or_default() } else { payload };
        out.push(Effect::Send { code: rsk::RSK_MESSAGE, payload });
    }

    /// Sends what waits, as fast as the peer takes it.
    fn flush(&mut self, now: Time, out: &mut Vec<Effect>) {
        if self.phase != Phase::Running {
            return;
        }
        while !self.queue.is_empty() {
            if !self.sent.take(1, now.since(Time::ZERO)) {
                self.next_send = now.after(Duration::from_secs(1) / SENT_PER_SECOND);
                return;
            }
            if let Some(message) = self.queue.pop_front() {
                self.send(&message, out);
            }
        }
        self.next_send = Time::ZERO;
    }

    fn on_tick(&mut self, now: Time, out: &mut Vec<Effect>) {
        match &self.phase {
            Phase::Hello { until, .. } | Phase::Status { until, .. } if *until <= now => {
                out.push(Effect::Score(Event::FailedHandshake));
                self.end(Reason::USELESS_PEER, out);
            }
            Phase::Running if now.since(self.heard) >= SILENCE_LIMIT => self.end(Reason::PING_TIMEOUT, out),
            Phase::Running if now.since(self.pinged.0) >= PING_EVERY => {
                self.pinged = (now, false);
                out.push(Effect::Send { code: p2p::code::PING, payload: p2p::EMPTY_LIST.to_vec() });
            }
            _ => {}
        }
    }

    fn end(&mut self, reason: Reason, out: &mut Vec<Effect>) {
        if self.phase != Phase::Over {
            self.phase = Phase::Over;
            out.push(Effect::Send { code: p2p::code::DISCONNECT, payload: reason.encode() });
            out.push(Effect::End(End::Ours(reason)));
        }
    }
}

impl Machine for Peer {
    type Input = Input;
    type Effect = Effect;

    fn step(&mut self, now: Time, input: Input, out: &mut Vec<Effect>) {
        match input {
            Input::Tick => self.on_tick(now, out),
            Input::Received(frame) => self.on_frame(now, &frame, out),
            Input::Send(message) if self.queue.len() < SEND_QUEUE => self.queue.push_back(message),
            Input::Send(_) => {}
            Input::Close(reason) => self.end(reason, out),
        }
        self.flush(now, out);
    }

    fn deadline(&self) -> Option<Time> {
        match &self.phase {
            Phase::Hello { until, .. } | Phase::Status { until, .. } => Some(*until),
            Phase::Running => {
                let due = self.heard.after(SILENCE_LIMIT).min(self.pinged.0.after(PING_EVERY));
                Some(if self.queue.is_empty() { due } else { due.min(self.next_send) })
            }
            Phase::Over => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{rlpx::NodeKey, types::BlockNumber, wire::rsk::BlockId};

    fn local(byte: u8, network_id: u64) -> Local {
        let id = NodeKey::from_bytes([byte; 32]).unwrap().id();
        Local { id, client: format!("node{byte}"), port: 50_501, network_id, genesis: BlockHash([9; 32]) }
    }

    fn best() -> Status {
        Status { best: BlockId { hash: BlockHash([1; 32]), number: BlockNumber(7) }, parent: None }
    }

    /// Two ends, and everything that either end does, sends delivered at once.
    struct Pair {
        ends: [Peer; 2],
        seen: [Vec<Effect>; 2],
    }

    impl Pair {
        fn new(a: Local, b: Local) -> Self {
            let (ids, now) = ([a.id, b.id], Time::from_millis(1));
            let (mut first, mut second) = (Vec::new(), Vec::new());
            let ends = [
                Peer::start(now, a, ids[1], true, best(), &mut first),
                Peer::start(now, b, ids[0], false, best(), &mut second),
            ];
            let mut pair = Self { ends, seen: [vec![], vec![]] };
            pair.carry(now, 0, first);
            pair
        }

        fn carry(&mut self, now: Time, from: usize, effects: Vec<Effect>) {
            for effect in effects {
                if let Effect::Send { code, payload } = effect {
                    let mut out = Vec::new();
                    self.ends[1 - from].step(now, Input::Received(Frame { code, payload }), &mut out);
                    self.carry(now, 1 - from, out);
                } else {
                    self.seen[from].push(effect);
                }
            }
        }

        fn step(&mut self, now: Time, end: usize, input: Input) {
            let mut out = Vec::new();
            self.ends[end].step(now, input, &mut out);
            self.carry(now, end, out);
        }

        fn ended(&self, end: usize) -> Option<End> {
            self.seen[end].iter().find_map(|effect| match effect {
                Effect::End(how) => Some(*how),
                _ => None,
            })
        }
    }

    #[test]
    fn two_nodes_of_one_network_become_ready_and_talk() {
        let mut pair = Pair::new(local(1, 7771), local(2, 7771));
        assert!(
            pair.seen.iter().all(|seen| seen.iter().any(|effect| matches!(effect, Effect::Ready { .. })))
        );
        pair.step(Time::from_millis(2), 0, Input::Send(rsk::Message::SkeletonRequest { id: 1, start: 0 }));
        assert!(matches!(
            pair.seen[1].last(),
            Some(Effect::Deliver(rsk::Message::SkeletonRequest { id: 1, start: 0 }))
        ));
    }

    #[test]
    fn another_network_or_genesis_or_key_ends_the_connection() {
        let pair = Pair::new(local(1, 7771), local(2, 775));
        assert_eq!(pair.ended(1), Some(End::Ours(Reason::NULL_IDENTITY)));
        let mut other = local(2, 7771);
        other.genesis = BlockHash([8; 32]);
        let pair = Pair::new(local(1, 7771), other);
        assert_eq!(pair.ended(1), Some(End::Ours(Reason::UNEXPECTED_GENESIS)));
        let mut out = Vec::new();
        let _ = Peer::start(Time::ZERO, local(1, 1), local(1, 1).id, true, best(), &mut out);
        assert!(matches!(out.last(), Some(Effect::End(End::Ours(Reason::LOCAL_IDENTITY)))));
    }

    #[test]
    fn a_silent_peer_is_pinged_then_dropped() {
        let mut out = Vec::new();
        let mut pair = Pair::new(local(1, 7771), local(2, 7771));
        let peer = &mut pair.ends[0];
        let ping = peer.deadline().unwrap();
        peer.step(ping, Input::Tick, &mut out);
        assert!(matches!(out.pop(), Some(Effect::Send { code: p2p::code::PING, .. })));
        while !matches!(out.last(), Some(Effect::End(_))) {
            peer.step(peer.deadline().unwrap(), Input::Tick, &mut out);
        }
        assert!(matches!(out.pop(), Some(Effect::End(End::Ours(Reason::PING_TIMEOUT)))));
        assert_eq!(peer.deadline(), None);
    }

    #[test]
    fn the_way_of_a_ping_is_measured() {
        let mut pair = Pair::new(local(1, 7771), local(2, 7771));
        let ping = pair.ends[0].deadline().unwrap();
        let mut out = Vec::new();
        pair.ends[0].step(ping, Input::Tick, &mut out);
        let pong = Frame { code: p2p::code::PONG, payload: p2p::EMPTY_LIST.to_vec() };
        for _ in 0..2 {
            let now = ping.after(Duration::from_millis(70));
            pair.ends[0].step(now, Input::Received(pong.clone()), &mut out);
        }
        let measured = out.iter().filter_map(|effect| match effect {
            Effect::Latency(latency) => Some(latency.as_millis()),
            _ => None,
        });
        assert_eq!(measured.collect::<Vec<_>>(), [70]);
    }

    #[test]
    fn messages_are_packed_only_where_both_ends_say_that_they_can() {
        let header = crate::codec::rlp::encode_list(|list| {
            list.string(&[0; 10_000]);
        });
        let zeros = rsk::Message::HeadersResponse { id: 1, headers: vec![header.into()] };
        let mut pair = Pair::new(local(1, 7771), local(2, 7771));
        pair.step(Time::from_millis(2), 0, Input::Send(zeros.clone()));
        assert!(matches!(pair.seen[1].last(), Some(Effect::Deliver(message)) if *message == zeros));
        let mut out = Vec::new();
        pair.ends[0].step(Time::from_millis(3), Input::Send(zeros.clone()), &mut out);
        let Some(Effect::Send { payload, .. }) = out.pop() else { panic!("nothing is sent") };
        assert!(payload.len() < 1000, "{}", payload.len());

        // A reference node says nothing of packing, and gets what it can read.
        let (ours, theirs) = (local(1, 7771), local(2, 7771));
        let mut peer = Peer::start(Time::ZERO, ours, theirs.id, false, best(), &mut out);
        let capabilities = vec![("rsk".to_owned(), 62), ("snap".to_owned(), 1)];
        let hello = Hello { version: 4, client: "rskj".into(), capabilities, port: 1, id: theirs.id };
        let status = ChainStatus {
            version: 62,
            network_id: 7771,
            total_difficulty: crate::types::Difficulty::from_u64(1),
            best: BlockHash([1; 32]),
            genesis: theirs.genesis,
        };
        for (code, payload) in [
            (p2p::code::HELLO, hello.encode()),
            (rsk::CHAIN_STATUS, status.encode()),
            (rsk::RSK_MESSAGE, zeros.encode()),
        ] {
            peer.step(Time::from_millis(1), Input::Received(Frame { code, payload }), &mut out);
        }
        assert!(matches!(out.last(), Some(Effect::Deliver(message)) if *message == zeros));
        peer.step(Time::from_millis(3), Input::Send(zeros.clone()), &mut out);
        assert!(matches!(out.pop(), Some(Effect::Send { payload, .. }) if payload == zeros.encode()));
    }

    #[test]
    fn what_does_not_unpack_is_an_offence() {
        // The first says that it unpacks to 4 GiB.
        for payload in [vec![0xff, 0xff, 0xff, 0xff, 0x0f, 0], vec![9, 0, 0], vec![]] {
            let mut pair = Pair::new(local(1, 7771), local(2, 7771));
            let mut out = Vec::new();
            let frame = Frame { code: rsk::RSK_MESSAGE, payload };
            pair.ends[0].step(Time::from_millis(5), Input::Received(frame), &mut out);
            assert!(matches!(out.first(), Some(Effect::Score(Event::InvalidMessage))));
            assert!(matches!(out.last(), Some(Effect::End(End::Ours(Reason::BAD_PROTOCOL)))));
        }
    }

    #[test]
    fn never_more_than_a_thousand_messages_leave_in_a_minute() {
        let mut pair = Pair::new(local(1, 7771), local(2, 7771));
        let (mut out, mut sent) = (Vec::new(), 0);
        for millis in (0..60_000).step_by(10) {
            let message = rsk::Message::SkeletonRequest { id: millis, start: 0 };
            pair.ends[0].step(Time::from_millis(millis + 1), Input::Send(message), &mut out);
            sent += out.drain(..).filter(|effect| matches!(effect, Effect::Send { code: 0x18, .. })).count();
        }
        assert!((800..=1000).contains(&sent), "{sent}");
    }

    #[test]
    fn an_undecodable_message_is_an_offence() {
        let mut pair = Pair::new(local(1, 7771), local(2, 7771));
        let mut out = Vec::new();
        let frame = Frame { code: rsk::RSK_MESSAGE, payload: vec![0xc1, 0xc1, 0xc1] };
        pair.ends[0].step(Time::from_millis(5), Input::Received(frame), &mut out);
        assert!(matches!(out.first(), Some(Effect::Score(Event::InvalidMessage))));
        assert!(matches!(out.last(), Some(Effect::End(End::Ours(Reason::BAD_PROTOCOL)))));
    }
}
