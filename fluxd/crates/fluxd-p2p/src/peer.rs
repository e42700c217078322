//! The state machine of one connection: version handshake, liveness, the score of offences, the budget of addresses.
//! Knows no sockets, and nothing of blocks and transactions: messages about them are handed on. Mirrors the handshake,
//! `ping`, `addr` and `Misbehaving` of `src/main.cpp`.

use std::{net::SocketAddr, time::Duration};

use rand::{RngExt, rngs::StdRng, seq::SliceRandom};
use shared_vendor::{
    clock::Time,
    machine::{Machine, Tick},
};

use crate::{
    frame::Frame,
    message::{
        Message, MessageError, REJECT_DUPLICATE, REJECT_MALFORMED, REJECT_OBSOLETE, Reject,
        address::NetAddress,
        version::{COMPACT_VERSION, NODE_NETWORK, PROTOCOL_VERSION, Version, sanitize},
    },
};

/// Points that ban (`-banscore`).
pub const BAN_SCORE: u32 = 100;
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(60);
const PING_EVERY: Duration = Duration::from_secs(120);
/// Without a byte, or without an answer to a ping, for so long: the peer is gone.
const SILENCE: Duration = Duration::from_secs(360);
/// Addresses that are taken at once, and more in answer to `getaddr`.
const ADDRESS_BURST: f64 = 1000.0;
const ADDRESSES_PER_SECOND: f64 = 0.1;

/// What we say of ourselves, and what we ask of others.
#[derive(Debug, Clone)]
pub struct Local {
    /// Services.
    pub services: u64,
    /// Name and version of the program.
    pub user_agent: String,
    /// Height of our best chain.
    pub height: i32,
    /// Random; the same for all connections of a process.
    pub nonce: u64,
    /// Oldest protocol version that is served.
    pub least_version: i32,
    /// Our clock, Unix seconds.
    pub time: i64,
    /// Our address as others know it.
    pub address: NetAddress,
    /// False: we want no transactions.
    pub relay: bool,
}

/// Who is at the other end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remote {
    /// Protocol version.
    pub version: i32,
    /// Services.
    pub services: u64,
    /// Name of the program, cleaned of what a terminal should not see.
    pub user_agent: String,
    /// Height that it claimed.
    pub height: i32,
    /// It takes transactions.
    pub relay: bool,
    /// Our address as it sees it.
    pub seen_us_at: SocketAddr,
    /// Its clock minus ours, in seconds.
    pub time_offset: i64,
}

/// Why a connection ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// The peer, or the network between, closed it.
    Closed,
    /// The handshake took too long.
    Handshake,
    /// The peer's protocol is too old.
    Obsolete,
    /// We dialled ourselves.
    Ourselves,
    /// Nothing was heard for too long.
    Silent,
    /// Too many offences.
    Misbehaved,
    /// Bytes that are no message.
    Protocol,
    /// The peer does not take what we send.
    Slow,
    /// It did not deliver blocks that others wait for.
    Stalling,
    /// The node asked for it: a limit, a ban, an operator.
    Asked,
    /// A trial connection has served its purpose.
    Feeler,
    /// The process stops.
    Stopping,
}

impl End {
    /// Name for logs and metrics.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Handshake => "handshake",
            Self::Obsolete => "obsolete",
            Self::Ourselves => "ourselves",
            Self::Silent => "silent",
            Self::Misbehaved => "misbehaved",
            Self::Protocol => "protocol",
            Self::Slow => "slow",
            Self::Stalling => "stalling",
            Self::Asked => "asked",
            Self::Feeler => "feeler",
            Self::Stopping => "stopping",
        }
    }
}

/// What a connection is told.
#[derive(Debug)]
pub enum Input {
    /// A message has come.
    Frame(Frame),
    /// Send a message, once the handshake is done.
    Send(Message),
    /// Send bytes that are already encoded.
    SendRaw(&'static str, Vec<u8>),
    /// Something the peer sent was found to be wrong.
    Misbehave(u32, &'static str),
    /// Ask for a sign of life now.
    Ping,
    /// From now on only peers of this version are served.
    Require(i32),
    /// Time has passed.
    Tick,
    /// End the connection.
    Close(End),
}

impl From<Tick> for Input {
    fn from(_: Tick) -> Self {
        Self::Tick
    }
}

/// What is to be done.
#[derive(Debug, PartialEq)]
pub enum Effect {
    /// Write a message.
    Send(String, Vec<u8>),
    /// The handshake is done.
    Ready(Remote),
    /// A message for the node.
    Deliver(Message),
    /// An offence; the total so far.
    Offence(u32, &'static str),
    /// Close.
    End(End),
}

/// Numbers that operators see (`getpeerinfo`).
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Numbers {
    /// Points of offences.
    pub score: u32,
    /// Time of the last ping's way and back.
    pub ping: Option<Duration>,
    /// Since when an answer to a ping is awaited.
    pub ping_sent: Option<Time>,
    /// Addresses taken.
    pub addresses: u64,
    /// Addresses dropped for being too many.
    pub addresses_dropped: u64,
}

/// One connection.
#[derive(Debug)]
pub struct Peer {
    local: Local,
    inbound: bool,
    random: StdRng,
    started: Time,
    heard: Time,
    remote: Option<Remote>,
    ready: bool,
    ended: bool,
    ping: Option<(u64, Time)>,
    next_ping: Time,
    tokens: f64,
    tokens_at: Time,
    numbers: Numbers,
    /// An operator trusts it: it is neither punished nor limited (`-whitelist`).
    trusted: bool,
}

impl Peer {
    /// A new connection; one that we opened begins with our version.
    #[must_use]
    pub fn start(
        now: Time,
        local: Local,
        inbound: bool,
        address: SocketAddr,
        random: StdRng,
        out: &mut Vec<Effect>,
    ) -> Self {
        let mut peer = Self {
            local,
            inbound,
            random,
            started: now,
            heard: now,
            remote: None,
            ready: false,
            ended: false,
            ping: None,
            next_ping: now.after(PING_EVERY),
            tokens: 1.0,
            tokens_at: now,
            numbers: Numbers::default(),
            trusted: false,
        };
        if !inbound {
            peer.send_version(address, out);
        }
        peer.local.address = NetAddress::new(NODE_NETWORK, address); // where the peer is, for our own version
        peer
    }

    /// From now on it is neither punished nor limited.
    pub fn trust(&mut self) {
        self.trusted = true;
    }

    /// Who is there, when the handshake came so far.
    #[must_use]
    pub fn remote(&self) -> Option<&Remote> {
        self.remote.as_ref()
    }

    /// What operators see.
    #[must_use]
    pub fn numbers(&self) -> Numbers {
        Numbers { ping_sent: self.ping.map(|(_, sent)| sent), ..self.numbers }
    }

    fn send_version(&mut self, receiver: SocketAddr, out: &mut Vec<Effect>) {
        let local = &self.local;
        let version = Message::Version(Version {
            version: PROTOCOL_VERSION,
            services: local.services,
            time: local.time,
            receiver: NetAddress::new(NODE_NETWORK, receiver),
            sender: local.address,
            nonce: local.nonce,
            user_agent: local.user_agent.clone(),
            height: local.height,
            relay: local.relay,
        });
        send(&version, out);
    }

    fn receive(&mut self, now: Time, frame: &Frame, out: &mut Vec<Effect>) {
        self.heard = now;
        let message = match Message::decode(&frame.command, &frame.payload) {
            Ok(message) => message,
            Err(err) => return self.malformed(&frame.command, &err, out),
        };
        match message {
            Message::Version(version) => self.version(now, &version, out),
            _ if self.remote.is_none() => self.offence(1, "message before version", out),
            Message::Verack => self.verack(out),
            _ if !self.ready => self.offence(1, "message before verack", out),
            Message::Ping(None) => {}
            Message::Pong(nonce) => self.pong(now, nonce),
            Message::Addr(mut addresses) => {
                addresses.shuffle(&mut self.random);
                let count = addresses.len();
                if !self.trusted {
                    addresses.truncate(self.take_tokens(now, count));
                }
                let dropped = count.saturating_sub(addresses.len());
                self.numbers.addresses = self.numbers.addresses.saturating_add(wide(addresses.len()));
                self.numbers.addresses_dropped = self.numbers.addresses_dropped.saturating_add(wide(dropped));
                out.push(Effect::Deliver(Message::Addr(addresses)));
            }
            Message::Reject(reject) => {
                tracing::debug!(
                    message = sanitize(&reject.message),
                    code = reject.code,
                    reason = sanitize(&reject.reason),
                    hash = ?reject.hash,
                    "a peer refused what we sent"
                );
            }
            Message::Unknown(_) => {}
            other => out.push(Effect::Deliver(other)),
        }
    }

    fn malformed(&mut self, command: &str, err: &MessageError, out: &mut Vec<Effect>) {
        tracing::debug!(command = sanitize(command), %err, "malformed message");
        if command != "reject" && self.remote.is_some() {
            self.reject(command, REJECT_MALFORMED, "error parsing message", out);
        }
        self.offence(err.points(), "malformed message", out);
    }

    fn version(&mut self, now: Time, version: &Version, out: &mut Vec<Effect>) {
        if self.remote.is_some() {
            self.reject("version", REJECT_DUPLICATE, "Duplicate version message", out);
            return self.offence(1, "second version message", out);
        }
        if version.version < self.local.least_version {
            let reason = format!("Version must be {} or greater", self.local.least_version);
            self.reject("version", REJECT_OBSOLETE, &reason, out);
            return self.end(End::Obsolete, out);
        }
        if version.nonce == self.local.nonce && version.nonce > 1 {
            return self.end(End::Ourselves, out);
        }
        if self.inbound {
            self.send_version(self.local.address.socket, out);
        }
        send(&Message::Verack, out);
        let waited = i64::try_from(now.since(self.started).as_secs()).unwrap_or_default();
        self.remote = Some(Remote {
            version: version.version,
            services: version.services,
            user_agent: sanitize(&version.user_agent),
            height: version.height,
            relay: version.relay,
            seen_us_at: version.receiver.socket,
            time_offset: version.time.saturating_sub(self.local.time.saturating_add(waited)),
        });
        if !self.inbound {
            send(&Message::GetAddr, out);
            self.tokens += ADDRESS_BURST;
        }
    }

    fn verack(&mut self, out: &mut Vec<Effect>) {
        let Some(remote) = self.remote.clone().filter(|_| !self.ready) else { return };
        self.ready = true;
        if remote.version >= COMPACT_VERSION {
            send(&Message::SendHeaders, out);
            send(&Message::SendCmpct(false, 1), out);
        }
        out.push(Effect::Ready(remote));
    }

    fn pong(&mut self, now: Time, nonce: Option<u64>) {
        let Some((awaited, sent)) = self.ping else { return };
        match nonce {
            Some(nonce) if nonce == awaited => {
                self.numbers.ping = Some(now.since(sent));
                self.ping = None;
            }
            Some(0) | None => self.ping = None, // another implementation's mistake: do not wait on
            Some(_) => {}
        }
    }

    fn ping(&mut self, now: Time, out: &mut Vec<Effect>) {
        let nonce = self.random.random_range(1..=u64::MAX);
        self.ping = Some((nonce, now));
        self.next_ping = now.after(PING_EVERY);
        send(&Message::Ping(Some(nonce)), out);
    }

    /// So many of `wanted` addresses may be looked at.
    fn take_tokens(&mut self, now: Time, wanted: usize) -> usize {
        if self.tokens < ADDRESS_BURST {
            let gained = now.since(self.tokens_at).as_secs_f64() * ADDRESSES_PER_SECOND;
            self.tokens = (self.tokens + gained).min(ADDRESS_BURST);
        }
        self.tokens_at = now;
        let mut taken = 0;
        while taken < wanted && self.tokens >= 1.0 {
            self.tokens -= 1.0;
            taken = taken.saturating_add(1);
        }
        taken
    }

    fn reject(&self, command: &str, code: u8, reason: &str, out: &mut Vec<Effect>) {
        let reject = Reject { message: command.to_owned(), code, reason: reason.to_owned(), hash: None };
        send(&Message::Reject(reject), out);
    }

    fn offence(&mut self, points: u32, reason: &'static str, out: &mut Vec<Effect>) {
        if points == 0 || self.ended {
            return;
        }
        self.numbers.score = self.numbers.score.saturating_add(points);
        out.push(Effect::Offence(self.numbers.score, reason));
        if self.numbers.score >= BAN_SCORE && !self.trusted {
            self.end(End::Misbehaved, out);
        }
    }

    fn end(&mut self, end: End, out: &mut Vec<Effect>) {
        if !self.ended {
            self.ended = true;
            out.push(Effect::End(end));
        }
    }

    fn tick(&mut self, now: Time, out: &mut Vec<Effect>) {
        if !self.ready {
            if now.since(self.started) >= HANDSHAKE_TIMEOUT {
                self.end(End::Handshake, out);
            }
            return;
        }
        let unanswered = self.ping.is_some_and(|(_, sent)| now.since(sent) >= SILENCE);
        if unanswered || now.since(self.heard) >= SILENCE {
            return self.end(End::Silent, out);
        }
        if now >= self.next_ping {
            if self.ping.is_none() {
                self.ping(now, out);
            } else {
                self.next_ping = now.after(PING_EVERY);
            }
        }
    }
}

impl Machine for Peer {
    type Input = Input;
    type Effect = Effect;

    fn step(&mut self, now: Time, input: Input, out: &mut Vec<Effect>) {
        if self.ended {
            return;
        }
        match input {
            Input::Frame(frame) => self.receive(now, &frame, out),
            Input::Send(message) if self.ready => send(&message, out),
            Input::SendRaw(command, payload) if self.ready => {
                out.push(Effect::Send(command.to_owned(), payload))
            }
            Input::Send(_) | Input::SendRaw(..) => {}
            Input::Misbehave(points, reason) => self.offence(points, reason, out),
            Input::Ping if self.ready => self.ping(now, out),
            Input::Ping => {}
            Input::Require(version) => {
                self.local.least_version = version;
                if self.remote.as_ref().is_some_and(|remote| remote.version < version) {
                    self.end(End::Obsolete, out);
                }
            }
            Input::Tick => self.tick(now, out),
            Input::Close(end) => self.end(end, out),
        }
    }

    fn deadline(&self) -> Option<Time> {
        if self.ended {
            return None;
        }
        if !self.ready {
            return Some(self.started.after(HANDSHAKE_TIMEOUT));
        }
        let answer = self.ping.map(|(_, sent)| sent.after(SILENCE));
        [Some(self.next_ping), Some(self.heard.after(SILENCE)), answer].into_iter().flatten().min()
    }
}

fn send(message: &Message, out: &mut Vec<Effect>) {
    out.push(Effect::Send(message.command().to_owned(), message.encode()));
}

fn wide(count: usize) -> u64 {
    u64::try_from(count).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
