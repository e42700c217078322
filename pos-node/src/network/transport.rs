//! The only file with sockets: libp2p with TCP, Noise and Yamux; gossipsub with scoring, requests, Kademlia, multicast
//! discovery on development networks, identify, connection limits. Decides nothing about messages: gossip waits for a
//! verdict, requests for an answer.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use libp2p::{
    Multiaddr, PeerId, StreamProtocol, Swarm, SwarmBuilder,
    core::ConnectedPoint,
    futures::{AsyncReadExt, AsyncWriteExt, StreamExt},
    gossipsub::{self, IdentTopic, MessageAcceptance, MessageAuthenticity, MessageId, ValidationMode},
    identify,
    identity::Keypair,
    kad, mdns,
    multiaddr::Protocol as Part,
    noise, ping,
    request_response::{self, OutboundRequestId, ProtocolSupport, ResponseChannel},
    swarm::{NetworkBehaviour, SwarmEvent, behaviour::toggle::Toggle, dial_opts::DialOpts},
    tcp, yamux,
};
use libp2p_connection_limits::{self as connection_limits, ConnectionLimits};
use shared_vendor::tasks::Stop;
use tokio::sync::mpsc;

use super::{
    gossip::Verdict,
    limit::CONCURRENT,
    message::Gossip,
    request::{
        Answer, AnswerError, Code, Goodbye, MAX_ANSWER_BYTES, MAX_CHUNK_BYTES, MAX_REQUEST_BYTES, PROTOCOL,
        Protocol, Request, kad_protocol,
    },
    topic::{Topic, message_id},
};
use crate::types::{primitives::Root, ssz::sha256};

/// Gossip that waits for a verdict; beyond this the oldest is ignored.
const MAX_UNDECIDED: usize = 8192;
/// Requests of peers that wait for an answer.
const MAX_UNANSWERED: usize = 1024;
/// Peers from one part of the address space.
const MAX_PER_PREFIX: usize = 8;
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);
const REDIAL_EVERY: Duration = Duration::from_secs(5);
const KEEP_ALIVE: Duration = Duration::from_secs(120);

/// Number that a peer is known by everywhere else: the start of a hash of its id.
#[must_use]
pub fn number_of(peer: &PeerId) -> u64 {
    let digest = sha256(&peer.to_bytes());
    u64::from_le_bytes(*digest.first_chunk().expect("a digest is longer than a number"))
}

/// How to take part in a network.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Where to listen.
    pub listen: SocketAddr,
    /// Nodes to stay connected to.
    pub peers: Vec<Multiaddr>,
    /// Look for nodes on the local network.
    pub multicast: bool,
    /// Most peers.
    pub max_peers: usize,
    /// Name and version told to peers.
    pub agent: String,
    /// Root of the genesis block.
    pub genesis: Root,
    /// Digest of the rules in force.
    pub fork_digest: [u8; 4],
    /// How long a message is remembered, two epochs.
    pub seen_for: Duration,
}

/// Does something with the peers.
pub type Show = Box<dyn FnOnce(&BTreeMap<u64, Info>) + Send>;

/// What the transport is told.
pub enum Command {
    /// Gossip something of our own.
    Publish(Arc<Gossip>),
    /// What becomes of a message.
    Verdict(u64, Verdict),
    /// Ask a peer.
    Ask {
        /// Whom.
        peer: u64,
        /// Number for the answer.
        ask: u64,
        /// What.
        request: Request,
    },
    /// Answer a peer.
    Answer(u64, Answer),
    /// End the connections to a peer; with `true`, do not let it come back.
    Part(u64, bool),
    /// Tell a peer why, then end the connections to it.
    Farewell(u64, Goodbye),
    /// Let a banned peer come back.
    Unban(u64),
    /// Stay connected to a node.
    Dial(Multiaddr),
    /// What a peer's score is, for gossip.
    Score(u64, f64),
    /// Show the peers.
    List(Show),
}

/// What the transport tells.
#[derive(Debug)]
pub enum Event {
    /// It listens.
    Listening(Multiaddr),
    /// A peer is connected.
    Connected(Info),
    /// A peer is gone.
    Gone(u64),
    /// A peer told its program's name.
    Agent(u64, String),
    /// A message of gossip. It waits for [`Command::Verdict`].
    Gossip {
        /// Who passed it on.
        peer: u64,
        /// For the verdict.
        handle: u64,
        /// The message.
        message: Arc<Gossip>,
    },
    /// A peer sent something undecodable; gossip of it is rejected already.
    Malformed(u64),
    /// A peer's request. It waits for [`Command::Answer`].
    Asked {
        /// Who asks.
        peer: u64,
        /// For the answer.
        handle: u64,
        /// What.
        request: Request,
    },
    /// An answer; nothing when the request failed.
    Answered {
        /// Number of the request.
        ask: u64,
        /// The answer.
        answer: Option<Answer>,
    },
}

/// A connected peer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Info {
    /// Its number.
    pub number: u64,
    /// Its id.
    pub id: PeerId,
    /// Where it is.
    pub address: Multiaddr,
    /// Whether it called us.
    pub inbound: bool,
    /// Its program, once it has said so.
    pub agent: String,
}

/// Why the transport cannot start.
#[derive(Debug, thiserror::Error)]
pub enum TransportError {
    /// The encryption cannot be set up.
    #[error("noise: {0}")]
    Noise(#[from] noise::Error),
    /// A behaviour refuses its settings.
    #[error("{0}")]
    Settings(String),
    /// The address cannot be listened on.
    #[error("cannot listen: {0}")]
    Listen(#[from] libp2p::TransportError<io::Error>),
}

#[derive(NetworkBehaviour)]
struct Behaviour {
    limits: connection_limits::Behaviour,
    gossip: gossipsub::Behaviour,
    requests: request_response::Behaviour<Codec>,
    identify: identify::Behaviour,
    ping: ping::Behaviour,
    kad: kad::Behaviour<kad::store::MemoryStore>,
    multicast: Toggle<mdns::tokio::Behaviour>,
}

/// The network side of a node.
pub struct Transport {
    swarm: Swarm<Behaviour>,
    settings: Settings,
    peers: BTreeMap<u64, Info>,
    banned: HashSet<u64>,
    undecided: BTreeMap<u64, (MessageId, PeerId)>,
    unanswered: BTreeMap<u64, (PeerId, Protocol, ResponseChannel<Vec<u8>>)>,
    asked: HashMap<OutboundRequestId, (u64, Protocol)>,
    /// What was said to peers that are to go as soon as they have heard it.
    farewells: HashSet<OutboundRequestId>,
    next_handle: u64,
}

impl Transport {
    /// Binds the listening socket.
    ///
    /// # Errors
    /// The address is taken, or the settings are not usable.
    pub fn bind(key: Keypair, settings: Settings) -> Result<Self, TransportError> {
        let behaviour = behaviour(&key, &settings)?;
        let mut swarm = SwarmBuilder::with_existing_identity(key)
            .with_tokio()
            .with_tcp(tcp::Config::default().nodelay(true), noise::Config::new, yamux::Config::default)?
            .with_behaviour(|_| behaviour)
            .map_err(|err| TransportError::Settings(err.to_string()))?
            .with_swarm_config(|config| config.with_idle_connection_timeout(KEEP_ALIVE))
            .build();
        for topic in Topic::ALL {
            let topic = IdentTopic::new(topic.string(settings.fork_digest));
            let gossip = &mut swarm.behaviour_mut().gossip;
            gossip.subscribe(&topic).map_err(|err| TransportError::Settings(err.to_string()))?;
        }
        swarm.listen_on(multiaddr(settings.listen))?;
        swarm.behaviour_mut().kad.set_mode(Some(kad::Mode::Server));
        Ok(Self {
            swarm,
            settings,
            peers: BTreeMap::new(),
            banned: HashSet::new(),
            undecided: BTreeMap::new(),
            unanswered: BTreeMap::new(),
            asked: HashMap::new(),
            farewells: HashSet::new(),
            next_handle: 0,
        })
    }

    /// Waits until it listens, and says where.
    ///
    /// # Errors
    /// The address cannot be listened on.
    pub async fn listening(&mut self) -> Result<Multiaddr, TransportError> {
        loop {
            match self.swarm.select_next_some().await {
                SwarmEvent::NewListenAddr { address, .. } => return Ok(address),
                SwarmEvent::ListenerClosed { reason: Err(err), .. } => {
                    return Err(TransportError::Settings(err.to_string()));
                }
                _ => {}
            }
        }
    }

    /// Our id.
    #[must_use]
    pub fn id(&self) -> PeerId {
        *self.swarm.local_peer_id()
    }

    /// Carries messages until told to stop.
    pub async fn run(
        mut self,
        mut commands: mpsc::Receiver<Command>,
        events: mpsc::Sender<Event>,
        stop: Stop,
    ) {
        let mut redial = tokio::time::interval(REDIAL_EVERY);
        loop {
            let out = tokio::select! {
                () = stop.wait() => return,
                command = commands.recv() => match command {
                    Some(command) => self.on_command(command),
                    None => return,
                },
                event = self.swarm.select_next_some() => self.on_event(event),
                _ = redial.tick() => {
                    self.redial();
                    Vec::new()
                }
            };
            for event in out {
                if events.send(event).await.is_err() {
                    return;
                }
            }
        }
    }

    fn redial(&mut self) {
        let connected: Vec<PeerId> = self.peers.values().map(|peer| peer.id).collect();
        for address in self.settings.peers.clone() {
            let id = address.iter().find_map(|part| match part {
                Part::P2p(id) => Some(id),
                _ => None,
            });
            let here = id.is_some_and(|id| connected.contains(&id))
                || self.peers.values().any(|peer| !peer.inbound && starts_with(&peer.address, &address));
            if !here && id != Some(*self.swarm.local_peer_id()) {
                let _ = self.swarm.dial(address); // a failure is an event
            }
        }
        if self.peers.len() < self.settings.max_peers / 2 {
            self.swarm.behaviour_mut().kad.get_closest_peers(PeerId::random());
        }
    }

    fn on_command(&mut self, command: Command) -> Vec<Event> {
        match command {
            Command::Publish(message) => {
                let topic = IdentTopic::new(message.topic().string(self.settings.fork_digest));
                if let Err(error) = self.swarm.behaviour_mut().gossip.publish(topic, message.encode()) {
                    tracing::debug!(target: "net", topic = message.topic().name(), %error, "not published");
                }
            }
            Command::Verdict(handle, verdict) => {
                if let Some((id, peer)) = self.undecided.remove(&handle) {
                    self.report(&id, &peer, acceptance(verdict));
                }
            }
            Command::Ask { peer, ask, request } => {
                let Some(info) = self.peers.get(&peer) else {
                    return vec![Event::Answered { ask, answer: None }];
                };
                let protocol = request.protocol();
                let id = self.swarm.behaviour_mut().requests.send_request(&info.id, request);
                self.asked.insert(id, (ask, protocol));
            }
            Command::Answer(handle, answer) => {
                if let Some((.., channel)) = self.unanswered.remove(&handle) {
                    // fails when the peer has left
                    let _ = self.swarm.behaviour_mut().requests.send_response(channel, answer.encode());
                }
            }
            Command::Part(peer, ban) => {
                if ban {
                    self.banned.insert(peer);
                }
                if let Some(info) = self.peers.get(&peer) {
                    let id = info.id;
                    let _ = self.swarm.disconnect_peer_id(id);
                }
            }
            Command::Farewell(peer, reason) => {
                if let Some(info) = self.peers.get(&peer) {
                    let request = Request::Goodbye(reason.code());
                    let id = self.swarm.behaviour_mut().requests.send_request(&info.id, request);
                    self.farewells.insert(id);
                }
            }
            Command::Unban(peer) => {
                self.banned.remove(&peer);
            }
            Command::Dial(address) => {
                if !self.settings.peers.contains(&address) {
                    self.settings.peers.push(address.clone());
                }
                let _ = self.swarm.dial(address);
            }
            Command::List(show) => show(&self.peers),
            Command::Score(peer, score) => {
                if let Some(info) = self.peers.get(&peer) {
                    self.swarm.behaviour_mut().gossip.set_application_score(&info.id, score);
                }
            }
        }
        Vec::new()
    }

    fn report(&mut self, id: &MessageId, peer: &PeerId, acceptance: MessageAcceptance) {
        self.swarm.behaviour_mut().gossip.report_message_validation_result(id, peer, acceptance);
    }

    fn on_event(&mut self, event: SwarmEvent<BehaviourEvent>) -> Vec<Event> {
        match event {
            SwarmEvent::NewListenAddr { address, .. } => vec![Event::Listening(address)],
            SwarmEvent::ConnectionEstablished { peer_id, endpoint, num_established, .. } => {
                self.on_connected(peer_id, &endpoint, num_established.get())
            }
            SwarmEvent::ConnectionClosed { peer_id, num_established: 0, cause, .. } => {
                let number = number_of(&peer_id);
                tracing::debug!(target: "net", peer = %peer_id, ?cause, "connection closed");
                self.peers.remove(&number).map(|_| Event::Gone(number)).into_iter().collect()
            }
            SwarmEvent::Behaviour(event) => self.on_behaviour(event),
            _ => Vec::new(),
        }
    }

    fn on_connected(&mut self, id: PeerId, endpoint: &ConnectedPoint, count: u32) -> Vec<Event> {
        let number = number_of(&id);
        let address = endpoint.get_remote_address().clone();
        let crowded = ip(&address).filter(|ip| !ip.is_loopback()).is_some_and(|ip| {
            let near =
                |peer: &&Info| self::ip(&peer.address).is_some_and(|other| prefix(other) == prefix(ip));
            self.peers.values().filter(near).count() >= MAX_PER_PREFIX
        });
        if self.banned.contains(&number) || self.peers.len() >= self.settings.max_peers || crowded {
            let _ = self.swarm.disconnect_peer_id(id);
            return Vec::new();
        }
        if count > 1 {
            return Vec::new();
        }
        let inbound = endpoint.is_listener();
        let info = Info { number, id, address, inbound, agent: String::new() };
        self.peers.insert(number, info.clone());
        vec![Event::Connected(info)]
    }

    fn on_behaviour(&mut self, event: BehaviourEvent) -> Vec<Event> {
        match event {
            BehaviourEvent::Gossip(gossipsub::Event::Message { propagation_source, message_id, message }) => {
                self.on_gossip(propagation_source, message_id, &message)
            }
            BehaviourEvent::Requests(event) => self.on_request_event(event),
            BehaviourEvent::Identify(identify::Event::Received { peer_id, info, .. }) => {
                let local = self.settings.multicast;
                for address in info.listen_addrs {
                    if local || ip(&address).is_some_and(is_public) {
                        self.swarm.behaviour_mut().kad.add_address(&peer_id, address);
                    }
                }
                let number = number_of(&peer_id);
                let agent: String = info.agent_version.chars().take(64).collect();
                match self.peers.get_mut(&number) {
                    Some(peer) => {
                        peer.agent.clone_from(&agent);
                        vec![Event::Agent(number, agent)]
                    }
                    None => Vec::new(),
                }
            }
            BehaviourEvent::Multicast(mdns::Event::Discovered(found)) => {
                for (id, address) in found {
                    self.swarm.behaviour_mut().kad.add_address(&id, address);
                    self.meet(id);
                }
                Vec::new()
            }
            BehaviourEvent::Kad(kad::Event::RoutingUpdated { peer, .. }) => {
                self.meet(peer);
                Vec::new()
            }
            _ => Vec::new(),
        }
    }

    /// Dials a node that was heard of, while there is room.
    fn meet(&mut self, id: PeerId) {
        let room = self.peers.len() < self.settings.max_peers.saturating_sub(self.settings.max_peers / 5);
        let number = number_of(&id);
        if room && !self.peers.contains_key(&number) && !self.banned.contains(&number) {
            let _ = self.swarm.dial(DialOpts::peer_id(id).build());
        }
    }

    fn on_gossip(&mut self, from: PeerId, id: MessageId, message: &gossipsub::Message) -> Vec<Event> {
        let peer = number_of(&from);
        let topic = Topic::parse(message.topic.as_str(), self.settings.fork_digest);
        let decoded = topic.and_then(|topic| Gossip::decode(topic, &message.data).ok());
        let Some(gossip) = decoded else {
            self.report(&id, &from, MessageAcceptance::Reject);
            return vec![Event::Malformed(peer)];
        };
        let handle = self.handle();
        self.undecided.insert(handle, (id, from));
        if self.undecided.len() > MAX_UNDECIDED
            && let Some((_, (id, from))) = self.undecided.pop_first()
        {
            self.report(&id, &from, MessageAcceptance::Ignore);
        }
        vec![Event::Gossip { peer, handle, message: Arc::new(gossip) }]
    }

    fn on_request_event(&mut self, event: request_response::Event<Request, Vec<u8>>) -> Vec<Event> {
        match event {
            request_response::Event::Message { peer, message, .. } => match message {
                request_response::Message::Request { request, channel, .. } => {
                    let protocol = request.protocol();
                    let same = |(of, kind, _): &&(PeerId, Protocol, ResponseChannel<Vec<u8>>)| {
                        *of == peer && *kind == protocol
                    };
                    if self.unanswered.len() >= MAX_UNANSWERED
                        || self.unanswered.values().filter(same).count() >= CONCURRENT
                    {
                        let busy = Answer::Failed(Code::RateLimited).encode();
                        let _ = self.swarm.behaviour_mut().requests.send_response(channel, busy);
                        return Vec::new();
                    }
                    let handle = self.handle();
                    self.unanswered.insert(handle, (peer, protocol, channel));
                    vec![Event::Asked { peer: number_of(&peer), handle, request }]
                }
                request_response::Message::Response { request_id, .. }
                    if self.farewells.remove(&request_id) =>
                {
                    let _ = self.swarm.disconnect_peer_id(peer); // it may have left by itself
                    Vec::new()
                }
                request_response::Message::Response { request_id, response } => {
                    let Some((ask, protocol)) = self.asked.remove(&request_id) else { return Vec::new() };
                    match Answer::decode(protocol, &response) {
                        Ok(answer) => vec![Event::Answered { ask, answer: Some(answer) }],
                        Err(AnswerError::Cut) => vec![Event::Answered { ask, answer: None }],
                        Err(_) => {
                            vec![Event::Malformed(number_of(&peer)), Event::Answered { ask, answer: None }]
                        }
                    }
                }
            },
            request_response::Event::OutboundFailure { request_id, error, peer, .. } => {
                tracing::debug!(target: "net", %peer, %error, "request failed");
                if self.farewells.remove(&request_id) {
                    let _ = self.swarm.disconnect_peer_id(peer);
                }
                let asked = self.asked.remove(&request_id);
                asked.map(|(ask, _)| Event::Answered { ask, answer: None }).into_iter().collect()
            }
            request_response::Event::InboundFailure { .. } | request_response::Event::ResponseSent { .. } => {
                self.unanswered.retain(|_, (.., channel)| channel.is_open());
                Vec::new()
            }
        }
    }

    const fn handle(&mut self) -> u64 {
        self.next_handle = self.next_handle.wrapping_add(1);
        self.next_handle
    }
}

fn behaviour(key: &Keypair, settings: &Settings) -> Result<Behaviour, TransportError> {
    let refused = |text: &str| TransportError::Settings(text.to_owned());
    let id = key.public().to_peer_id();
    let inbound = settings.max_peers.saturating_mul(2) / 3;
    let number = |count: usize| u32::try_from(count).ok();
    let limits = ConnectionLimits::default()
        .with_max_pending_incoming(Some(128))
        .with_max_pending_outgoing(Some(128))
        .with_max_established_incoming(number(inbound.max(1)))
        .with_max_established(number(settings.max_peers.saturating_add(8)))
        .with_max_established_per_peer(Some(2));
    let mut store = kad::Config::new(
        StreamProtocol::try_from_owned(kad_protocol(&settings.genesis))
            .map_err(|_| refused("the name of the Kademlia protocol"))?,
    );
    store.disjoint_query_paths(true);
    store.set_periodic_bootstrap_interval(None); // the transport asks for nodes itself while it lacks peers
    let requests = request_response::Config::default().with_request_timeout(REQUEST_TIMEOUT);
    let multicast = if settings.multicast {
        // a machine without multicast still takes part
        mdns::tokio::Behaviour::new(mdns::Config::default(), id).ok()
    } else {
        None
    };
    Ok(Behaviour {
        limits: connection_limits::Behaviour::new(limits),
        gossip: gossip(settings)?,
        requests: request_response::Behaviour::new(
            [(StreamProtocol::new(PROTOCOL), ProtocolSupport::Full)],
            requests,
        ),
        identify: identify::Behaviour::new(
            identify::Config::new("/pos/id/1".to_owned(), key.public())
                .with_agent_version(settings.agent.clone()),
        ),
        ping: ping::Behaviour::default(),
        kad: kad::Behaviour::with_config(id, kad::store::MemoryStore::new(id), store),
        multicast: Toggle::from(multicast),
    })
}

fn gossip(settings: &Settings) -> Result<gossipsub::Behaviour, TransportError> {
    let refused = |text: &dyn ToString| TransportError::Settings(text.to_string());
    let config = gossipsub::ConfigBuilder::default()
        .mesh_n(8)
        .mesh_n_low(6)
        .mesh_n_high(12)
        .gossip_lazy(6)
        .heartbeat_interval(Duration::from_millis(700))
        .history_length(6)
        .history_gossip(3)
        .fanout_ttl(Duration::from_secs(60))
        .duplicate_cache_time(settings.seen_for)
        .flood_publish(true)
        .validate_messages()
        .validation_mode(ValidationMode::Anonymous)
        .max_transmit_size(Topic::Block.max_bytes() + 1024)
        .idontwant_message_size_threshold(1024)
        .message_id_fn(|message| MessageId::from(message_id(message.topic.as_str(), &message.data).to_vec()))
        .build()
        .map_err(|err| refused(&err))?;
    let mut gossip =
        gossipsub::Behaviour::new(MessageAuthenticity::Anonymous, config).map_err(|err| refused(&err))?;
    let weight = |topic: Topic| match topic {
        Topic::Block | Topic::Attestation => 0.5,
        Topic::Tx => 0.3,
        Topic::FinalityVote => 0.2,
        _ => 0.05,
    };
    let topic = |topic: Topic| {
        let params = gossipsub::TopicScoreParams {
            topic_weight: weight(topic),
            // who forwards late is not punished: blocks are too rare on small networks to measure it
            mesh_message_deliveries_weight: 0.0,
            mesh_failure_penalty_weight: 0.0,
            invalid_message_deliveries_weight: -140.0,
            invalid_message_deliveries_decay: 0.97,
            ..gossipsub::TopicScoreParams::default()
        };
        (IdentTopic::new(topic.string(settings.fork_digest)).hash(), params)
    };
    let params = gossipsub::PeerScoreParams {
        topics: Topic::ALL.into_iter().map(topic).collect(),
        ip_colocation_factor_weight: -35.0,
        ip_colocation_factor_threshold: 3.0,
        ip_colocation_factor_whitelist: HashSet::from([
            IpAddr::V4(Ipv4Addr::LOCALHOST),
            IpAddr::V6(Ipv6Addr::LOCALHOST),
        ]),
        app_specific_weight: 10.0,
        ..gossipsub::PeerScoreParams::default()
    };
    let thresholds = gossipsub::PeerScoreThresholds {
        gossip_threshold: -4000.0,
        publish_threshold: -8000.0,
        graylist_threshold: -16_000.0,
        accept_px_threshold: 100.0,
        opportunistic_graft_threshold: 5.0,
    };
    gossip.with_peer_score(params, thresholds).map_err(|err| refused(&err))?;
    Ok(gossip)
}

const fn acceptance(verdict: Verdict) -> MessageAcceptance {
    match verdict {
        Verdict::Accept => MessageAcceptance::Accept,
        Verdict::Reject(_) => MessageAcceptance::Reject,
        Verdict::Ignore(_) => MessageAcceptance::Ignore,
    }
}

/// The address to listen on or to dial.
#[must_use]
pub fn multiaddr(address: SocketAddr) -> Multiaddr {
    Multiaddr::from(address.ip()).with(Part::Tcp(address.port()))
}

/// The socket address in a multiaddress.
#[must_use]
pub fn socket_address(address: &Multiaddr) -> Option<SocketAddr> {
    let port = address.iter().find_map(|part| match part {
        Part::Tcp(port) => Some(port),
        _ => None,
    });
    Some(SocketAddr::new(ip(address)?, port?))
}

fn ip(address: &Multiaddr) -> Option<IpAddr> {
    address.iter().find_map(|part| match part {
        Part::Ip4(ip) => Some(IpAddr::V4(ip)),
        Part::Ip6(ip) => Some(ip.to_canonical()),
        _ => None,
    })
}

const fn is_public(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => {
            !ip.is_private() && !ip.is_loopback() && !ip.is_link_local() && !ip.is_unspecified()
        }
        IpAddr::V6(ip) => !ip.is_loopback() && !ip.is_unspecified() && !ip.is_unique_local(),
    }
}

/// The part of the address space: /24 or /48.
fn prefix(ip: IpAddr) -> (bool, u128) {
    match ip {
        IpAddr::V4(ip) => (true, u128::from(ip.to_bits() >> 8)),
        IpAddr::V6(ip) => (false, ip.to_bits() >> 80),
    }
}

fn starts_with(address: &Multiaddr, start: &Multiaddr) -> bool {
    start.iter().zip(address.iter()).all(|(a, b)| a == b || matches!(a, Part::P2p(_)))
}

/// Frames of requests and answers. Answers are decoded where it is known what was asked.
#[derive(Debug, Clone, Copy, Default)]
struct Codec;

impl request_response::Codec for Codec {
    type Protocol = StreamProtocol;
    type Request = Request;
    type Response = Vec<u8>;

    async fn read_request<T>(&mut self, _: &StreamProtocol, io: &mut T) -> io::Result<Request>
    where
        T: libp2p::futures::AsyncRead + Unpin + Send,
    {
        let mut head = [0; 5];
        io.read_exact(&mut head).await?;
        let [kind, a, b, c, d] = head;
        let malformed = |what: &str| io::Error::new(io::ErrorKind::InvalidData, what.to_owned());
        let protocol = Protocol::of_byte(kind).ok_or_else(|| malformed("unknown kind of request"))?;
        let len = usize::try_from(u32::from_le_bytes([a, b, c, d])).unwrap_or(usize::MAX);
        if len > MAX_REQUEST_BYTES {
            return Err(malformed("request too long"));
        }
        let mut bytes = vec![0; len];
        io.read_exact(&mut bytes).await?;
        Request::decode(protocol, &bytes).map_err(|err| malformed(&err.to_string()))
    }

    async fn read_response<T>(&mut self, _: &StreamProtocol, io: &mut T) -> io::Result<Vec<u8>>
    where
        T: libp2p::futures::AsyncRead + Unpin + Send,
    {
        let mut bytes = Vec::new();
        let limit = u64::try_from(MAX_ANSWER_BYTES + MAX_CHUNK_BYTES).unwrap_or(u64::MAX);
        io.take(limit).read_to_end(&mut bytes).await?;
        Ok(bytes)
    }

    async fn write_request<T>(&mut self, _: &StreamProtocol, io: &mut T, request: Request) -> io::Result<()>
    where
        T: libp2p::futures::AsyncWrite + Unpin + Send,
    {
        let bytes = request.encode();
        let len = u32::try_from(bytes.len()).unwrap_or(u32::MAX).to_le_bytes();
        io.write_all(&[request.protocol().byte()]).await?;
        io.write_all(&len).await?;
        io.write_all(&bytes).await?;
        io.close().await
    }

    async fn write_response<T>(&mut self, _: &StreamProtocol, io: &mut T, bytes: Vec<u8>) -> io::Result<()>
    where
        T: libp2p::futures::AsyncWrite + Unpin + Send,
    {
        io.write_all(&bytes).await?;
        io.close().await
    }
}
