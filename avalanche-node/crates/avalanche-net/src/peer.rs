//! One connection to a peer as a state machine: handshake, list of peers, pings, and what is dropped or ends it. Frames
//! come in decrypted and throttled, effects go out; sockets are elsewhere. Mirrors `network/peer/peer.go`.

use std::time::Duration;

use avalanche_crypto::{bls, staking::Certificate};
use avalanche_proto::p2p::{self, Body};
use shared_vendor::{
    clock::Time,
    machine::{Machine, Tick},
};

use crate::{
    frame::FrameTooLong,
    gossip::{ClaimError, ClaimedIp, Wanted},
    handshake::{self, Context, HandshakeError, PeerInfo},
    message, version,
};

/// Time between pings.
pub const PING_PERIOD: Duration = Duration::from_millis(22_500);
/// Longest silence of a peer.
pub const MAX_SILENCE: Duration = Duration::from_secs(30);
/// Highest uptime, in percent.
pub const MAX_UPTIME: u32 = 100;

/// Why a connection ends.
#[derive(Debug, thiserror::Error)]
pub enum Reason {
    /// The handshake breaks a rule.
    #[error("handshake")]
    Handshake(#[from] HandshakeError),
    /// A second handshake.
    #[error("second handshake")]
    SecondHandshake,
    /// A pong that answers no ping.
    #[error("pong without ping")]
    UnexpectedPong,
    /// A ping with an uptime above [`MAX_UPTIME`].
    #[error("uptime of {0} percent")]
    Uptime(u32),
    /// A list of peers with a malformed or unsigned address.
    #[error("list of peers")]
    PeerList(#[from] ClaimError),
    /// Nothing came for [`MAX_SILENCE`].
    #[error("silent for {MAX_SILENCE:?}")]
    Silent,
    /// A message too long to be read.
    #[error("frame")]
    Frame(#[from] FrameTooLong),
    /// The connection broke or was closed.
    #[error("connection")]
    Io(#[from] std::io::Error),
    /// We stop, or want the peer no longer.
    #[error("closed by us")]
    Closed,
}

/// What the rules depend on.
#[derive(Debug, Clone, Copy)]
pub struct Settings {
    /// Our network.
    pub network_id: u32,
    /// Granite's time, Unix seconds.
    pub upgrade_time: u64,
}

/// What happens to a connection.
#[derive(Debug)]
pub enum Input {
    /// The content of a frame came, at this Unix second.
    Received(Vec<u8>, u64),
    /// Answer to [`Effect::TellPeers`].
    Peers(Vec<p2p::ClaimedIpPort>),
    /// The peer is to be asked for addresses, sending this filter of known ones and whether of all subnets.
    AskPeers(p2p::BloomFilter, bool),
    /// The peer's uptime as we see it, in percent.
    Uptime(u32),
    /// The key that the peer registered as a validator changed.
    ValidatorKey(Option<bls::PublicKey>),
    /// A message of a chain is to be sent.
    Send(Body),
    /// Time has passed.
    Tick,
}

impl From<Tick> for Input {
    fn from(_: Tick) -> Self {
        Self::Tick
    }
}

/// What is to be done.
#[derive(Debug)]
pub enum Effect {
    /// Send a message.
    Send(Body),
    /// Choose addresses for the peer and give them to [`Input::Peers`].
    TellPeers(Wanted),
    /// The handshake is over in both directions.
    Connected(Box<PeerInfo>),
    /// Addresses the peer told us, signatures not checked.
    Discovered(Vec<ClaimedIp>),
    /// A message for a chain.
    Deliver(Body),
    /// The first message of this connection that cannot be read; it and all like it are dropped.
    Malformed(message::MessageError),
    /// End the connection. Nothing follows.
    Disconnect(Reason),
}

/// The state of one connection.
#[derive(Debug)]
pub struct Peer {
    settings: Settings,
    certificate: Certificate,
    validator_key: Option<bls::PublicKey>,
    hello: Option<p2p::Handshake>,
    info: Option<Box<PeerInfo>>,
    stage: Stage,
    /// The answer to the handshake is owed even when it is empty.
    owes_list: bool,
    uptime: u32,
    observed_uptime: u32,
    ping_sent: Option<Time>,
    round_trip: Option<Duration>,
    pongs: u64,
    next_ping: Time,
    heard: Time,
    /// Unix seconds of the last message.
    wall: u64,
    malformed: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Strange,
    Introduced,
    Connected,
    Closed,
}

impl Peer {
    /// A connection to the owner of this certificate. The first step, with any input, sends `hello`.
    #[must_use]
    pub const fn new(
        settings: Settings,
        certificate: Certificate,
        validator_key: Option<bls::PublicKey>,
        hello: p2p::Handshake,
        now: Time,
    ) -> Self {
        Self {
            settings,
            certificate,
            validator_key,
            hello: Some(hello),
            info: None,
            stage: Stage::Strange,
            owes_list: false,
            uptime: 0,
            observed_uptime: 0,
            ping_sent: None,
            round_trip: None,
            pongs: 0,
            next_ping: now,
            heard: now,
            wall: 0,
            malformed: 0,
        }
    }

    /// What the peer said about itself, once it did.
    #[must_use]
    pub fn info(&self) -> Option<&PeerInfo> {
        self.info.as_deref()
    }

    /// Our uptime as the peer sees it, in percent.
    #[must_use]
    pub const fn observed_uptime(&self) -> u32 {
        self.observed_uptime
    }

    /// Between the last answered ping and its pong.
    #[must_use]
    pub const fn round_trip(&self) -> Option<Duration> {
        self.round_trip
    }

    /// Pings that were answered.
    #[must_use]
    pub const fn pongs(&self) -> u64 {
        self.pongs
    }

    /// Messages that could not be read.
    #[must_use]
    pub const fn malformed(&self) -> u64 {
        self.malformed
    }

    fn received(&mut self, now: Time, bytes: &[u8], out: &mut Vec<Effect>) -> Result<(), Reason> {
        let body = match message::decode(bytes) {
            Ok(body) => body,
            Err(error) => {
                if self.malformed == 0 {
                    out.push(Effect::Malformed(error));
                }
                self.malformed = self.malformed.saturating_add(1);
                return Ok(());
            }
        };
        self.heard = now;
        match body {
            Body::Ping(ping) => {
                if ping.uptime > MAX_UPTIME {
                    return Err(Reason::Uptime(ping.uptime));
                }
                self.observed_uptime = ping.uptime;
                out.push(Effect::Send(Body::Pong(p2p::Pong {})));
            }
            Body::Pong(_) => {
                let sent = self.ping_sent.take().ok_or(Reason::UnexpectedPong)?;
                self.round_trip = Some(now.since(sent));
                self.pongs = self.pongs.saturating_add(1);
            }
            Body::Handshake(handshake) => out.push(Effect::TellPeers(self.introduce(&handshake)?)),
            Body::GetPeerList(question) => {
                let Some(info) = self.info.as_ref().filter(|_| self.stage == Stage::Connected) else {
                    return Ok(());
                };
                let known = handshake::known_peers(&question.known_peers.unwrap_or_default())?;
                out.push(Effect::TellPeers(Wanted {
                    subnets: info.tracked_subnets.clone(),
                    all_subnets: question.all_subnets,
                    known: Some(known),
                }));
            }
            Body::PeerList(list) => self.listed(&list, out)?,
            other if self.stage == Stage::Connected => out.push(Effect::Deliver(other)),
            _ => {}
        }
        Ok(())
    }

    fn introduce(&mut self, handshake: &p2p::Handshake) -> Result<Wanted, Reason> {
        if self.stage != Stage::Strange {
            return Err(Reason::SecondHandshake);
        }
        let context = Context {
            network_id: self.settings.network_id,
            now: self.wall,
            upgrade_time: self.settings.upgrade_time,
            certificate: &self.certificate,
            validator_key: self.validator_key.as_ref(),
        };
        let info = handshake::verify(handshake, &context)?;
        let wanted = Wanted {
            subnets: info.tracked_subnets.clone(),
            all_subnets: info.all_subnets,
            known: info.known_peers.clone(),
        };
        self.info = Some(Box::new(info));
        self.stage = Stage::Introduced;
        self.owes_list = true;
        Ok(wanted)
    }

    fn listed(&mut self, list: &p2p::PeerList, out: &mut Vec<Effect>) -> Result<(), Reason> {
        if self.stage == Stage::Strange {
            return Ok(());
        }
        if let Some(info) = self.info.as_ref().filter(|_| self.stage == Stage::Introduced) {
            out.push(Effect::Connected(info.clone()));
            self.stage = Stage::Connected;
        }
        let claims: Result<Vec<_>, _> = list.claimed_ip_ports.iter().map(ClaimedIp::from_message).collect();
        out.push(Effect::Discovered(claims?));
        Ok(())
    }

    fn tick(&mut self, now: Time, out: &mut Vec<Effect>) -> Result<(), Reason> {
        if now >= self.heard.after(MAX_SILENCE) {
            return Err(Reason::Silent);
        }
        if now >= self.next_ping {
            self.check_standing()?;
            self.ping_sent = Some(now);
            self.next_ping = now.after(PING_PERIOD);
            out.push(Effect::Send(Body::Ping(p2p::Ping { uptime: self.uptime })));
        }
        Ok(())
    }

    /// The rules that may break while a peer is connected: an upgrade came, or it became a validator.
    fn check_standing(&self) -> Result<(), HandshakeError> {
        let Some(info) = self.info.as_ref().filter(|_| self.stage == Stage::Connected) else { return Ok(()) };
        if !version::is_compatible(info.version, self.wall, self.settings.upgrade_time) {
            return Err(HandshakeError::Version(info.version));
        }
        if self.validator_key.as_ref().is_some_and(|key| !info.ip.verify_bls(key, &info.bls_signature)) {
            return Err(HandshakeError::BlsKey);
        }
        Ok(())
    }
}

impl Machine for Peer {
    type Input = Input;
    type Effect = Effect;

    fn step(&mut self, now: Time, input: Input, out: &mut Vec<Effect>) {
        if self.stage == Stage::Closed {
            return;
        }
        if let Some(hello) = self.hello.take() {
            self.next_ping = now.after(PING_PERIOD);
            out.push(Effect::Send(Body::Handshake(hello)));
        }
        let done = match input {
            Input::Received(bytes, wall) => {
                self.wall = wall;
                self.received(now, &bytes, out)
            }
            Input::Peers(claims) => {
                if self.owes_list || !claims.is_empty() {
                    self.owes_list = false;
                    out.push(Effect::Send(Body::PeerList(p2p::PeerList { claimed_ip_ports: claims })));
                }
                Ok(())
            }
            Input::AskPeers(known, all_subnets) => {
                if self.stage == Stage::Connected {
                    let question = p2p::GetPeerList { known_peers: Some(known), all_subnets };
                    out.push(Effect::Send(Body::GetPeerList(question)));
                }
                Ok(())
            }
            Input::Uptime(percent) => {
                self.uptime = percent.min(MAX_UPTIME);
                Ok(())
            }
            Input::ValidatorKey(key) => {
                self.validator_key = key;
                Ok(())
            }
            Input::Send(body) => {
                if self.stage == Stage::Connected {
                    out.push(Effect::Send(body));
                }
                Ok(())
            }
            Input::Tick => self.tick(now, out),
        };
        if let Err(reason) = done {
            self.stage = Stage::Closed;
            out.push(Effect::Disconnect(reason));
        }
    }

    fn deadline(&self) -> Option<Time> {
        let next = self.next_ping.min(self.heard.after(MAX_SILENCE));
        (self.stage != Stage::Closed).then_some(next)
    }
}

#[cfg(test)]
mod tests;
