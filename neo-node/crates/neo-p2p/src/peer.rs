//! One connection: handshake, liveness, what each side knows already, the filter of a light client, the end.
//! A state machine without sockets. Mirrors `RemoteNode.cs` and `RemoteNode.ProtocolHandler.cs`.

use std::{sync::Arc, time::Duration};

use neo_base::{UInt256, ledger::Transaction};
use shared_vendor::{
    clock::Time,
    limit::TokenBucket,
    machine::{Machine, Tick},
};

use crate::{
    bloom::BloomFilter,
    message::{Message, MessageError},
    payload::{Capability, Hashes, InventoryKind, Ping, Version},
    seen::Seen,
};

/// Time for version and verack of the other side.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// How often we tell our height and ask for theirs.
const PING_EVERY: Duration = Duration::from_secs(30);
/// Quiet time after which a peer is gone.
const SILENCE_LIMIT: Duration = Duration::from_secs(90);
/// More than this is no honest traffic.
const RECEIVED_BURST: u32 = 50_000;
const RECEIVED_PER_SECOND: u32 = 10_000;
/// Hashes that are remembered of a connection.
const REMEMBERED: usize = 20_000;

/// What we say of ourselves.
#[derive(Debug, Clone)]
pub struct Local {
    /// Magic number of the network.
    pub network: u32,
    /// Drawn at start; tells a connection to oneself.
    pub nonce: u32,
    /// Name and version of the program.
    pub user_agent: String,
    /// Port where we take connections; 0 when we take none.
    pub port: u16,
    /// Compressed messages are welcome.
    pub compression: bool,
    /// Seconds since 1970 at time zero.
    pub epoch: u64,
}

/// What the machine is told.
#[derive(Debug)]
pub enum Input {
    /// A deadline has come.
    Tick,
    /// A message arrived.
    Received(Message),
    /// What arrived is no message.
    Malformed(MessageError),
    /// The node wants to send.
    Send(Message),
    /// Tell the peer that we have this, unless it knows.
    Announce(Announcement),
    /// Our chain has grown.
    Height(u32),
    /// The node wants to end the connection.
    Close(End),
}

impl From<Tick> for Input {
    fn from(_: Tick) -> Self {
        Self::Tick
    }
}

/// Something new that we have.
#[derive(Debug, Clone)]
pub enum Announcement {
    /// A transaction; the peer's filter looks at it.
    Transaction(Arc<Transaction>),
    /// A block.
    Block(UInt256),
    /// A message of a service.
    Extensible(UInt256),
}

/// What is to be done.
#[derive(Debug)]
pub enum Effect {
    /// Write a message.
    Send(Message),
    /// The handshake is done.
    Ready(Box<Version>),
    /// A message for the node.
    Deliver(Message),
    /// Close the socket after what was sent before.
    End(End),
}

/// Why a connection ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum End {
    /// The other side closed it.
    Closed,
    /// The socket failed.
    Socket,
    /// No version and verack in time.
    HandshakeTimeout,
    /// Another message where version or verack belongs, or one of these twice.
    Protocol,
    /// A node of another network.
    OtherNetwork,
    /// We have dialled ourselves.
    SameNode,
    /// There is another connection with the same node.
    Duplicate,
    /// Bytes that are no message.
    Malformed,
    /// Nothing came for too long.
    Silence,
    /// Too many messages.
    Flood,
    /// It does not take what we send.
    Slow,
    /// It sent what no honest node sends.
    Misbehaved,
    /// There is no place for it.
    Crowded,
    /// We stop.
    Stopping,
}

impl End {
    /// A word for metrics and logs.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Socket => "socket",
            Self::HandshakeTimeout => "handshake_timeout",
            Self::Protocol => "protocol",
            Self::OtherNetwork => "other_network",
            Self::SameNode => "same_node",
            Self::Duplicate => "duplicate",
            Self::Malformed => "malformed",
            Self::Silence => "silence",
            Self::Flood => "flood",
            Self::Slow => "slow",
            Self::Misbehaved => "misbehaved",
            Self::Crowded => "crowded",
            Self::Stopping => "stopping",
        }
    }

    /// Whether the peer has broken a rule, so that nobody should talk to it for a while.
    #[must_use]
    pub fn is_offence(self) -> bool {
        matches!(self, Self::Protocol | Self::Malformed | Self::Flood | Self::Misbehaved)
    }
}

/// The state machine; see the module.
#[derive(Debug)]
pub struct Peer {
    local: Local,
    height: u32,
    phase: Phase,
    version: Option<Box<Version>>,
    full_node: bool,
    heard: Time,
    next_ping: Time,
    received: TokenBucket,
    /// What the peer has, as far as we know.
    known: Seen,
    /// What we have sent on request; each is sent once.
    sent: Seen,
    filter: Option<BloomFilter>,
    asked_addresses: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Version(Time),
    Verack(Time),
    Running,
    Over,
}

impl Peer {
    /// A fresh connection; our version is the first effect.
    #[must_use]
    pub fn start(now: Time, local: Local, height: u32, out: &mut Vec<Effect>) -> Self {
        let mut capabilities = vec![Capability::FullNode(height)];
        if local.port != 0 {
            capabilities.insert(0, Capability::TcpServer(local.port));
        }
        if !local.compression {
            capabilities.push(Capability::DisableCompression);
        }
        capabilities.push(Capability::ArchivalNode);
        let version = Version {
            network: local.network,
            version: 0,
            timestamp: seconds(&local, now),
            nonce: local.nonce,
            user_agent: local.user_agent.clone(),
            capabilities,
        };
        out.push(Effect::Send(Message::Version(Box::new(version))));
        Self {
            local,
            height,
            phase: Phase::Version(now.after(HANDSHAKE_TIMEOUT)),
            version: None,
            full_node: false,
            heard: now,
            next_ping: now.after(PING_EVERY),
            received: TokenBucket::new(RECEIVED_BURST, RECEIVED_PER_SECOND, now.since(Time::ZERO)),
            known: Seen::new(REMEMBERED),
            sent: Seen::new(REMEMBERED),
            filter: None,
            asked_addresses: false,
        }
    }

    /// The handshake is done and the end has not come.
    #[must_use]
    pub fn is_running(&self) -> bool {
        self.phase == Phase::Running
    }

    /// Whether the peer takes compressed messages.
    #[must_use]
    pub fn compresses(&self) -> bool {
        let refused = |capability: &Capability| matches!(capability, Capability::DisableCompression);
        self.version.as_ref().is_some_and(|version| !version.capabilities.iter().any(refused))
    }

    fn on_message(&mut self, now: Time, message: Message, out: &mut Vec<Effect>) {
        self.heard = now;
        if !self.received.take(1, now.since(Time::ZERO)) {
            return self.end(End::Flood, out);
        }
        match (self.phase, message) {
            (Phase::Over, _) => {}
            (Phase::Version(until), Message::Version(version)) => self.on_version(until, version, out),
            (Phase::Verack(_), Message::Verack) => {
                self.phase = Phase::Running;
                if let Some(version) = &self.version {
                    out.push(Effect::Ready(version.clone()));
                }
            }
            (Phase::Version(_) | Phase::Verack(_), _) | (_, Message::Version(_) | Message::Verack) => {
                self.end(End::Protocol, out);
            }
            (Phase::Running, message) => self.on_running(now, message, out),
        }
    }

    fn on_version(&mut self, until: Time, version: Box<Version>, out: &mut Vec<Effect>) {
        if version.network != self.local.network {
            return self.end(End::OtherNetwork, out);
        }
        if version.nonce == self.local.nonce {
            return self.end(End::SameNode, out);
        }
        self.full_node =
            version.capabilities.iter().any(|capability| matches!(capability, Capability::FullNode(_)));
        self.version = Some(version);
        self.phase = Phase::Verack(until);
        out.push(Effect::Send(Message::Verack));
    }

    fn on_running(&mut self, now: Time, message: Message, out: &mut Vec<Effect>) {
        match message {
            Message::Ping(ping) => {
                let pong = Ping { nonce: ping.nonce, ..self.ping(now) };
                out.push(Effect::Send(Message::Pong(Box::new(pong))));
                out.push(Effect::Deliver(Message::Ping(ping)));
            }
            Message::FilterLoad(load) => self.filter = BloomFilter::new(*load),
            Message::FilterAdd(addition) => {
                if let Some(filter) = &mut self.filter {
                    filter.add(&addition.0);
                }
            }
            Message::FilterClear => self.filter = None,
            Message::Addresses(list) => {
                if std::mem::take(&mut self.asked_addresses) {
                    out.push(Effect::Deliver(Message::Addresses(list)));
                }
            }
            Message::GetData(mut wanted) => {
                wanted.hashes.retain(|hash| self.sent.insert(*hash));
                if !wanted.hashes.is_empty() {
                    out.push(Effect::Deliver(Message::GetData(wanted)));
                }
            }
            Message::Inventory(hashes) => {
                for hash in &hashes.hashes {
                    self.known.insert(*hash);
                }
                out.push(Effect::Deliver(Message::Inventory(hashes)));
            }
            Message::Transaction(tx) => {
                self.known.insert(tx.hash());
                out.push(Effect::Deliver(Message::Transaction(tx)));
            }
            Message::Block(block) => {
                self.known.insert(block.header.hash());
                out.push(Effect::Deliver(Message::Block(block)));
            }
            Message::Extensible(payload) => {
                self.known.insert(payload.hash());
                out.push(Effect::Deliver(Message::Extensible(payload)));
            }
            Message::MerkleBlock(_) | Message::Reject | Message::Alert | Message::Unknown(_) => {}
            other => out.push(Effect::Deliver(other)),
        }
    }

    fn send(&mut self, message: Message, out: &mut Vec<Effect>) {
        if self.phase != Phase::Running {
            return;
        }
        let message = match (message, &self.filter) {
            (Message::Block(block), Some(filter)) => Message::MerkleBlock(Box::new(filter.view(&block))),
            (Message::GetAddresses, _) => {
                self.asked_addresses = true;
                Message::GetAddresses
            }
            (message, _) => message,
        };
        match &message {
            Message::Transaction(tx) => {
                self.known.insert(tx.hash());
            }
            Message::Extensible(payload) => {
                self.known.insert(payload.hash());
            }
            _ => {}
        }
        out.push(Effect::Send(message));
    }

    fn announce(&mut self, announcement: &Announcement, out: &mut Vec<Effect>) {
        let (kind, hash) = match announcement {
            Announcement::Transaction(tx) => (InventoryKind::Transaction, tx.hash()),
            Announcement::Block(hash) => (InventoryKind::Block, *hash),
            Announcement::Extensible(hash) => (InventoryKind::Extensible, *hash),
        };
        if self.phase != Phase::Running || !self.full_node {
            return;
        }
        if let (Announcement::Transaction(tx), Some(filter)) = (announcement, &self.filter)
            && !filter.wants(tx)
        {
            return;
        }
        if self.known.insert(hash) {
            out.push(Effect::Send(Message::Inventory(Box::new(Hashes { kind, hashes: vec![hash] }))));
        }
    }

    fn ping(&self, now: Time) -> Ping {
        let nonce = u32::try_from(now.as_nanos() & 0xffff_ffff).unwrap_or_default();
        Ping { last_block: self.height, timestamp: seconds(&self.local, now), nonce }
    }

    fn on_tick(&mut self, now: Time, out: &mut Vec<Effect>) {
        match self.phase {
            Phase::Version(until) | Phase::Verack(until) if until <= now => {
                self.end(End::HandshakeTimeout, out);
            }
            Phase::Running if now.since(self.heard) >= SILENCE_LIMIT => self.end(End::Silence, out),
            Phase::Running if self.next_ping <= now => {
                self.next_ping = now.after(PING_EVERY);
                out.push(Effect::Send(Message::Ping(Box::new(self.ping(now)))));
            }
            _ => {}
        }
    }

    fn end(&mut self, end: End, out: &mut Vec<Effect>) {
        if self.phase != Phase::Over {
            self.phase = Phase::Over;
            out.push(Effect::End(end));
        }
    }
}

impl Machine for Peer {
    type Input = Input;
    type Effect = Effect;

    fn step(&mut self, now: Time, input: Input, out: &mut Vec<Effect>) {
        match input {
            Input::Tick => self.on_tick(now, out),
            Input::Received(message) => self.on_message(now, message, out),
            Input::Malformed(_) => self.end(End::Malformed, out),
            Input::Send(message) => self.send(message, out),
            Input::Announce(announcement) => self.announce(&announcement, out),
            Input::Height(height) => self.height = height,
            Input::Close(end) => self.end(end, out),
        }
    }

    fn deadline(&self) -> Option<Time> {
        match self.phase {
            Phase::Version(until) | Phase::Verack(until) => Some(until),
            Phase::Running => Some(self.next_ping.min(self.heard.after(SILENCE_LIMIT))),
            Phase::Over => None,
        }
    }
}

fn seconds(local: &Local, now: Time) -> u32 {
    let seconds = local.epoch.saturating_add(now.as_nanos() / 1_000_000_000);
    u32::try_from(seconds).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests;
