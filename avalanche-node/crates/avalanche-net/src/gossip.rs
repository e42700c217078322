//! What is known of where nodes listen, and what of it is passed on. Only nodes of interest (validators, and those named
//! by hand) are remembered, each with its newest signed address; only addresses of connected validators are passed on.
//! Pure: randomness comes from a seeded generator. Mirrors `network/ip_tracker.go` and `track` of `network/network.go`.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
};

use avalanche_crypto::staking::{Certificate, CertificateError};
use avalanche_ids::{Id, NodeId};
use avalanche_proto::p2p;
use avalanche_utils::bloom::{self, Filter, Size};
use rand::{Rng, SeedableRng, rngs::StdRng};

use crate::{
    handshake::{HandshakeError, ip_bytes, socket_address},
    signed_ip::{SignedIpError, UnsignedIp, gossip_id},
};

/// Most addresses in one answer.
pub const MAX_ADDRESSES: usize = 15;
/// Bytes of our filter's salt.
pub const SALT_LEN: usize = 32;

const MIN_COUNT: usize = 128;
const TARGET_FALSE_POSITIVES: f64 = 0.001;
const MAX_FALSE_POSITIVES: f64 = 0.01;
const MAX_ADDITIONS_PER_NODE: u8 = 2;

/// Why a list of peers is malformed. The connection is closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ClaimError {
    /// Not a staking certificate.
    #[error("certificate of a claimed address")]
    Certificate(#[from] CertificateError),
    /// Neither 4 nor 16 bytes, or port zero.
    #[error("claimed address")]
    Address(#[source] HandshakeError),
    /// Not signed by the certificate, or in the future.
    #[error("claimed address is not signed")]
    SignedIp(#[from] SignedIpError),
}

/// An address that a node is said to have signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClaimedIp {
    /// The node.
    pub node: NodeId,
    /// Its certificate.
    pub certificate: Certificate,
    /// The address.
    pub ip: UnsignedIp,
    /// By the certificate's key; not checked yet when it comes from a message.
    pub signature: Vec<u8>,
}

impl ClaimedIp {
    /// From a node's certificate and the address it signed.
    #[must_use]
    pub fn new(certificate: Certificate, ip: UnsignedIp, signature: Vec<u8>) -> Self {
        Self { node: certificate.node_id(), certificate, ip, signature }
    }

    /// From a message. The signature is not checked.
    ///
    /// # Errors
    /// [`ClaimError::Certificate`] and [`ClaimError::Address`].
    pub fn from_message(message: &p2p::ClaimedIpPort) -> Result<Self, ClaimError> {
        let certificate = Certificate::parse(&message.x509_certificate)?;
        let address = socket_address(&message.ip_addr, message.ip_port).map_err(ClaimError::Address)?;
        let ip = UnsignedIp { address, timestamp: message.timestamp };
        Ok(Self::new(certificate, ip, message.signature.clone()))
    }

    /// As messages carry it.
    #[must_use]
    pub fn to_message(&self) -> p2p::ClaimedIpPort {
        p2p::ClaimedIpPort {
            x509_certificate: self.certificate.raw().to_vec(),
            ip_addr: ip_bytes(self.ip.address.ip()),
            ip_port: u32::from(self.ip.address.port()),
            timestamp: self.ip.timestamp,
            signature: self.signature.clone(),
            tx_id: Id::EMPTY.0.to_vec(),
        }
    }

    fn gossip_id(&self) -> Id {
        gossip_id(self.node, self.ip.timestamp)
    }
}

/// Which addresses a peer asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// Subnets it tracks.
    pub subnets: BTreeSet<Id>,
    /// True when it asks for all subnets.
    pub all_subnets: bool,
    /// What it knows already, with the salt of the filter.
    pub known: Option<(Filter, Vec<u8>)>,
}

#[derive(Debug, Default)]
struct Tracked {
    by_hand: bool,
    validates: BTreeSet<Id>,
    newest: Option<ClaimedIp>,
}

#[derive(Debug)]
struct OurFilter {
    filter: Filter,
    salt: [u8; SALT_LEN],
    additions: BTreeMap<NodeId, u8>,
    count: usize,
    max_count: usize,
}

/// Addresses of the nodes of interest.
#[derive(Debug)]
pub struct Tracker {
    subnets: BTreeSet<Id>,
    all_subnets: bool,
    nodes: BTreeMap<NodeId, Tracked>,
    connected: BTreeMap<NodeId, (ClaimedIp, BTreeSet<Id>)>,
    ours: OurFilter,
    random: StdRng,
}

impl Tracker {
    /// Knows nobody. `subnets` are those tracked beside the primary network; with `all_subnets` validators of every
    /// subnet are of interest.
    #[must_use]
    pub fn new(subnets: BTreeSet<Id>, all_subnets: bool, seed: [u8; 32]) -> Self {
        let mut random = StdRng::from_seed(seed);
        let ours = OurFilter::new(&BTreeMap::new(), &mut random);
        Self { subnets, all_subnets, nodes: BTreeMap::new(), connected: BTreeMap::new(), ours, random }
    }

    /// A node is wanted, whether or not it validates.
    pub fn track_by_hand(&mut self, node: NodeId) {
        self.nodes.entry(node).or_default().by_hand = true;
        self.learn_from_connection(node);
    }

    /// A node validates a subnet.
    pub fn validator_added(&mut self, subnet: Id, node: NodeId) {
        self.nodes.entry(node).or_default().validates.insert(subnet);
        self.learn_from_connection(node);
    }

    /// A node validates a subnet no longer.
    pub fn validator_removed(&mut self, subnet: Id, node: NodeId) {
        if let Some(tracked) = self.nodes.get_mut(&node) {
            tracked.validates.remove(&subnet);
            if tracked.validates.is_empty() && !tracked.by_hand {
                self.nodes.remove(&node);
            }
        }
    }

    /// True for a node that validates a subnet of interest or was named by hand.
    #[must_use]
    pub fn knows(&self, node: NodeId) -> bool {
        self.nodes.contains_key(&node)
    }

    /// True when a connection to the node is wanted.
    #[must_use]
    pub fn wants(&self, node: NodeId) -> bool {
        self.nodes.get(&node).is_some_and(|tracked| self.is_wanted(tracked))
    }

    /// The newest address of a node of interest.
    #[must_use]
    pub fn address(&self, node: NodeId) -> Option<SocketAddr> {
        self.nodes.get(&node)?.newest.as_ref().map(|claim| claim.ip.address)
    }

    /// Takes a list from a peer and returns the nodes to dial at their new addresses. Signatures are checked only where
    /// the address is news of a node of interest. `max_timestamp` in Unix seconds.
    ///
    /// # Errors
    /// A signature that does not hold; the list up to it stays.
    pub fn receive(
        &mut self,
        claims: Vec<ClaimedIp>,
        max_timestamp: u64,
    ) -> Result<Vec<(NodeId, SocketAddr)>, ClaimError> {
        let mut dial = Vec::new();
        for claim in claims {
            if !self.is_news(&claim) {
                continue;
            }
            claim.ip.verify_tls(&claim.certificate, &claim.signature, max_timestamp)?;
            let (node, address) = (claim.node, claim.ip.address);
            self.learn(claim);
            if self.wants(node) && !self.connected.contains_key(&node) {
                dial.push((node, address));
            }
        }
        Ok(dial)
    }

    /// A peer finished its handshake with this address, tracking these subnets.
    pub fn connected(&mut self, claim: ClaimedIp, subnets: BTreeSet<Id>) {
        self.connected.insert(claim.node, (claim.clone(), subnets));
        if self.is_newer(&claim) {
            self.learn(claim);
        }
    }

    /// A peer is gone.
    pub fn disconnected(&mut self, node: NodeId) {
        self.connected.remove(&node);
    }

    /// Our filter, for handshakes and questions.
    #[must_use]
    pub fn known_peers(&self) -> p2p::BloomFilter {
        p2p::BloomFilter { filter: self.ours.filter.to_bytes(), salt: self.ours.salt.to_vec() }
    }

    /// Makes the filter anew, so that nodes that left are forgotten. To be called every minute.
    pub fn reset_filter(&mut self) {
        self.ours = OurFilter::new(&self.nodes, &mut self.random);
    }

    /// What to tell a peer: at most [`MAX_ADDRESSES`], in random order, none of them its own or known to it.
    pub fn answer(&mut self, peer: NodeId, wanted: &Wanted) -> Vec<p2p::ClaimedIpPort> {
        let is_new = |claim: &ClaimedIp| {
            wanted.known.as_ref().is_none_or(|(filter, salt)| {
                !filter.contains(bloom::hash(claim.gossip_id().as_bytes(), salt))
            })
        };
        let tells = |subnet: &Id| self.all_subnets || *subnet == Id::EMPTY || self.subnets.contains(subnet);
        let asks = |subnet: &Id| (self.all_subnets && wanted.all_subnets) || wanted.subnets.contains(subnet);
        let mut claims: Vec<&ClaimedIp> = Vec::new();
        for (node, (_, syncs)) in &self.connected {
            let Some(Tracked { validates, newest: Some(claim), .. }) = self.nodes.get(node) else { continue };
            let is_of_subnet = validates.iter().any(|id| syncs.contains(id) && tells(id) && asks(id));
            if *node != peer && is_of_subnet && is_new(claim) {
                claims.push(claim);
            }
        }
        let mut messages = Vec::new();
        while messages.len() < MAX_ADDRESSES && !claims.is_empty() {
            let len = u64::try_from(claims.len()).unwrap_or(u64::MAX);
            let drawn = usize::try_from(self.random.next_u64() % len).unwrap_or_default();
            messages.push(claims.swap_remove(drawn).to_message());
        }
        messages
    }

    fn is_wanted(&self, tracked: &Tracked) -> bool {
        let is_ours = |subnet: &Id| *subnet == Id::EMPTY || self.subnets.contains(subnet);
        tracked.by_hand || tracked.validates.iter().any(|subnet| self.all_subnets || is_ours(subnet))
    }

    fn is_newer(&self, claim: &ClaimedIp) -> bool {
        self.nodes.get(&claim.node).is_some_and(|tracked| {
            tracked.newest.as_ref().is_none_or(|newest| newest.ip.timestamp < claim.ip.timestamp)
        })
    }

    fn is_news(&self, claim: &ClaimedIp) -> bool {
        self.is_newer(claim) && (self.all_subnets || self.wants(claim.node))
    }

    fn learn_from_connection(&mut self, node: NodeId) {
        let claim = self.connected.get(&node).map(|(claim, _)| claim.clone());
        if let Some(claim) = claim.filter(|claim| self.is_newer(claim)) {
            self.learn(claim);
        }
    }

    fn learn(&mut self, claim: ClaimedIp) {
        let Some(tracked) = self.nodes.get_mut(&claim.node) else { return };
        let (node, id) = (claim.node, claim.gossip_id());
        tracked.newest = Some(claim);
        if self.ours.additions.get(&node).is_some_and(|count| *count >= MAX_ADDITIONS_PER_NODE) {
            return;
        }
        if self.ours.count >= self.ours.max_count {
            self.reset_filter();
        } else {
            self.ours.add(node, id);
        }
    }
}

impl OurFilter {
    fn new(nodes: &BTreeMap<NodeId, Tracked>, random: &mut StdRng) -> Self {
        let keys = nodes.len().saturating_mul(usize::from(MAX_ADDITIONS_PER_NODE)).max(MIN_COUNT);
        let size = Size::optimal(keys, TARGET_FALSE_POSITIVES, MAX_FALSE_POSITIVES);
        let mut salt = [0; SALT_LEN];
        random.fill_bytes(&mut salt);
        let seeds = (0..size.hashes).map(|_| random.next_u64()).collect();
        #[allow(clippy::expect_used)]
        let filter = Filter::new(seeds, size.entries).expect("sizes are within the filter's bounds");
        let mut ours = Self { filter, salt, additions: BTreeMap::new(), count: 0, max_count: size.max_count };
        for (node, tracked) in nodes {
            if let Some(claim) = &tracked.newest {
                ours.add(*node, claim.gossip_id());
            }
        }
        ours
    }

    fn add(&mut self, node: NodeId, id: Id) {
        if self.filter.add(bloom::hash(id.as_bytes(), &self.salt)) {
            self.count = self.count.saturating_add(1);
            let additions = self.additions.entry(node).or_default();
            *additions = additions.saturating_add(1);
        }
    }
}

#[cfg(test)]
mod tests;
