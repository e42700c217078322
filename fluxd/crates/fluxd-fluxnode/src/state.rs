//! The nodes that a chain knows, and what a block changes: starts, confirms, expiry, payments. Mirrors `FluxnodeCache`
//! of `src/fluxnode/fluxnode.cpp`, above all its `Flush`.
//!
//! All decisions of a block read the state before it. The reference keeps sorted lists that it cleans lazily; an
//! ordered set per tier gives the same order.

use std::collections::{BTreeMap, BTreeSet};

use fluxd_primitives::{Address, Amount, OutPoint, PublicKey, Script, transaction::fluxnode::Owner};
use fluxd_script::{instruction::pay_to, standard::script_id};

use crate::rules::{NodeRules, Tier};

/// A node, from its START on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// Who owns the collateral.
    pub owner: Owner,
    /// Where the collateral lies, when the owner's key does not say it: the P2SH collateral of the foundation's nodes.
    pub collateral_script: Option<Script>,
    /// The operator key, which signs CONFIRMs and blocks.
    pub node_key: PublicKey,
    /// The tier of the collateral.
    pub tier: Tier,
    /// The value of the collateral.
    pub collateral: Amount,
    /// Height of the START.
    pub added: u32,
    /// Height of the first CONFIRM; 0 before it.
    pub confirmed: u32,
    /// Height of the last CONFIRM; 0 before the first.
    pub last_confirmed: u32,
    /// Height of the last payment; 0 before the first.
    pub last_paid: u32,
    /// Address text of the last CONFIRM.
    pub ip: Vec<u8>,
}

impl Node {
    /// The script that payments go to.
    #[must_use]
    pub fn payee(&self) -> Script {
        match (&self.collateral_script, &self.owner) {
            (Some(script), _) => script.clone(),
            (None, Owner::Key(key)) => pay_to(&Address::PubkeyHash(key.id())),
            (None, Owner::RedeemScript(script)) => pay_to(&Address::ScriptHash(script_id(&script.0))),
        }
    }

    /// Place in the queue of the tier: longest without payment first; of two with the same height, one that was never
    /// paid first; then by the bytes of the outpoint.
    fn queue_key(&self, outpoint: OutPoint) -> QueueKey {
        let waiting_since = if self.last_paid > 0 { self.last_paid } else { self.confirmed };
        (waiting_since, self.last_paid > 0, outpoint)
    }
}

type QueueKey = (u32, bool, OutPoint);

/// A rule of the node list that a transaction breaks; `Display` is the reject reason of the reference.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NodeError {
    /// A START of a collateral that is started at another height or on the DoS list (`CheckNewStartTx`).
    #[error("fluxnode-tx-already-in-chain-or-waiting-for-dos-unban")]
    AlreadyStarted,
    /// A START of a confirmed node.
    #[error("fluxnode-tx-already-in-confirm-chain")]
    AlreadyConfirmed,
    /// A CONFIRM for a collateral without a node.
    #[error("fluxnode-tx-not-found")]
    UnknownNode,
    /// A first CONFIRM of a node that is not started (`CheckIfStarted`).
    #[error("fluxnode-tx-invalid-confirm-outpoint-not-started")]
    NotStarted,
    /// An update of a node that is not confirmed (`CheckIfConfirmed`).
    #[error("fluxnode-tx-invalid-update-confirm-outpoint-not-confirmed")]
    NotConfirmed,
    /// An update too soon after the last (`CheckUpdateHeight`).
    #[error("fluxnode-tx-invalid-update-confirm-outpoint-not-confirmed-or-too-soon")]
    TooSoon,
    /// A benchmark that does not reach the tier of the collateral.
    #[error("fluxnode-tx-benchmark-tier-to-low-for-collateral")]
    BenchmarkTierTooLow,
}

/// What the transactions of a block ask of the node list. Each collateral appears at most once among them.
#[derive(Debug, Clone, Default)]
pub struct BlockChanges {
    /// New nodes.
    pub starts: Vec<(OutPoint, Node)>,
    /// First CONFIRMs with their addresses.
    pub confirms: Vec<(OutPoint, Vec<u8>)>,
    /// Further CONFIRMs with their addresses.
    pub updates: Vec<(OutPoint, Vec<u8>)>,
    /// Nodes that the coinbase paid.
    pub paid: Vec<OutPoint>,
    /// Outputs that the block spends.
    pub spent: BTreeSet<OutPoint>,
    /// Delegate keys to store; an empty list erases.
    pub delegates: Vec<(OutPoint, Vec<PublicKey>)>,
}

/// Where a collateral stood before a block changed it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Before {
    /// Among the started nodes.
    pub started: Option<Node>,
    /// On the DoS list.
    pub dos: Option<Node>,
    /// Among the confirmed nodes.
    pub confirmed: Option<Node>,
    /// Its delegate keys.
    pub delegates: Option<Vec<PublicKey>>,
}

/// Everything that takes a block's changes back: all collaterals it touched.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Undo(pub BTreeMap<OutPoint, Before>);

/// The node list.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NodeState {
    started: BTreeMap<OutPoint, Node>,
    dos: BTreeMap<OutPoint, Node>,
    confirmed: BTreeMap<OutPoint, Node>,
    delegates: BTreeMap<OutPoint, Vec<PublicKey>>,
    queues: [BTreeSet<QueueKey>; 3],
    /// Confirmed nodes by the height of their last CONFIRM, so that expiry looks at the oldest only.
    by_confirm: BTreeSet<(u32, OutPoint)>,
}

impl NodeState {
    /// Started nodes that are not confirmed.
    #[must_use]
    pub fn started(&self) -> &BTreeMap<OutPoint, Node> {
        &self.started
    }

    /// Nodes that were not confirmed in time and may not start again yet.
    #[must_use]
    pub fn dos_list(&self) -> &BTreeMap<OutPoint, Node> {
        &self.dos
    }

    /// Confirmed nodes.
    #[must_use]
    pub fn confirmed(&self) -> &BTreeMap<OutPoint, Node> {
        &self.confirmed
    }

    /// The node of a collateral, wherever it stands (`GetFluxnodeData`).
    #[must_use]
    pub fn node(&self, outpoint: &OutPoint) -> Option<&Node> {
        self.started.get(outpoint).or_else(|| self.dos.get(outpoint)).or_else(|| self.confirmed.get(outpoint))
    }

    /// The delegate keys of a collateral.
    #[must_use]
    pub fn delegates(&self, outpoint: &OutPoint) -> &[PublicKey] {
        self.delegates.get(outpoint).map_or(&[], Vec::as_slice)
    }

    /// The confirmed nodes of a tier, next to be paid first.
    pub fn queue(&self, tier: Tier) -> impl Iterator<Item = (&OutPoint, &Node)> {
        let [cumulus, nimbus, stratus] = &self.queues;
        let queue = match tier {
            Tier::Cumulus => cumulus,
            Tier::Nimbus => nimbus,
            Tier::Stratus => stratus,
        };
        queue.iter().filter_map(|(_, _, outpoint)| self.confirmed.get_key_value(outpoint))
    }

    /// The node of a tier that the next block must pay, if the tier has any.
    #[must_use]
    pub fn next_payee(&self, tier: Tier) -> Option<(&OutPoint, &Node)> {
        self.queue(tier).next()
    }

    /// Checks a START in a block of this height. Two blocks of the same height may start the same node.
    ///
    /// # Errors
    /// [`NodeError::AlreadyStarted`] or [`NodeError::AlreadyConfirmed`].
    pub fn check_start(&self, outpoint: &OutPoint, height: u32) -> Result<(), NodeError> {
        match self.started.get(outpoint) {
            Some(node) if node.added != height => return Err(NodeError::AlreadyStarted),
            None if self.dos.contains_key(outpoint) => return Err(NodeError::AlreadyStarted),
            _ => {}
        }
        if self.confirmed.contains_key(outpoint) { Err(NodeError::AlreadyConfirmed) } else { Ok(()) }
    }

    /// Checks a first CONFIRM and returns the node, whose key must have signed it.
    ///
    /// # Errors
    /// No such node, not started, or a benchmark below its tier.
    pub fn check_confirm(&self, outpoint: &OutPoint, benchmark_tier: i8) -> Result<&Node, NodeError> {
        let node = self.node(outpoint).ok_or(NodeError::UnknownNode)?;
        check_benchmark(node, benchmark_tier)?;
        if self.started.contains_key(outpoint) { Ok(node) } else { Err(NodeError::NotStarted) }
    }

    /// Checks a further CONFIRM in a block of this height and returns the node, whose key must have signed it.
    ///
    /// # Errors
    /// No such node, not confirmed, too soon, or a benchmark below its tier.
    pub fn check_update(
        &self,
        rules: &NodeRules,
        outpoint: &OutPoint,
        ip: &[u8],
        benchmark_tier: i8,
        height: u32,
    ) -> Result<&Node, NodeError> {
        check_benchmark(self.node(outpoint).ok_or(NodeError::UnknownNode)?, benchmark_tier)?;
        let node = self.confirmed.get(outpoint).ok_or(NodeError::NotConfirmed)?;
        let distance = height.saturating_sub(node.last_confirmed);
        let moved = node.ip != ip && rules.ip_change_distance(height).is_some_and(|least| distance >= least);
        if moved || distance > rules.confirm_distance(height) { Ok(node) } else { Err(NodeError::TooSoon) }
    }

    /// Changes the list by the block of a height, whose transactions were checked against the list as it is now.
    pub fn apply(&mut self, rules: &NodeRules, height: u32, changes: BlockChanges) -> Undo {
        let mut undo = Undo::default();
        let moves_to_dos = self.expired_starts(rules, height, &changes);
        let leaves_dos = self.expired_dos(rules, height);
        let expired = self.expired_confirms(rules, height, &changes);

        for (outpoint, node) in changes.starts {
            self.remember(&mut undo, outpoint);
            self.started.insert(outpoint, Node { added: height, ..node });
        }
        for outpoint in moves_to_dos {
            self.remember(&mut undo, outpoint);
            if let Some(node) = self.started.remove(&outpoint) {
                self.dos.insert(outpoint, node);
            }
        }
        for outpoint in leaves_dos {
            self.remember(&mut undo, outpoint);
            self.dos.remove(&outpoint);
        }
        for (outpoint, ip) in changes.confirms {
            self.remember(&mut undo, outpoint);
            if let Some(node) = self.started.remove(&outpoint) {
                self.set_confirmed(
                    outpoint,
                    Some(Node { confirmed: height, last_confirmed: height, last_paid: 0, ip, ..node }),
                );
            }
        }
        for (outpoint, ip) in changes.updates {
            self.remember(&mut undo, outpoint);
            if let Some(node) = self.confirmed.get_mut(&outpoint) {
                self.by_confirm.remove(&(node.last_confirmed, outpoint));
                self.by_confirm.insert((height, outpoint));
                node.last_confirmed = height;
                node.ip = ip;
            }
        }
        for outpoint in expired {
            self.remember(&mut undo, outpoint);
            self.set_confirmed(outpoint, None);
        }
        for outpoint in changes.paid {
            self.remember(&mut undo, outpoint);
            if let Some(node) = self.confirmed.get(&outpoint).cloned() {
                self.set_confirmed(outpoint, Some(Node { last_paid: height, ..node }));
            }
        }
        for (outpoint, keys) in changes.delegates {
            self.remember(&mut undo, outpoint);
            if keys.is_empty() {
                self.delegates.remove(&outpoint);
            } else {
                self.delegates.insert(outpoint, keys);
            }
        }
        undo
    }

    /// Takes the changes of the last block back, and returns what makes them again.
    pub fn revert(&mut self, undo: Undo) -> Undo {
        let mut redo = Undo::default();
        for (outpoint, before) in undo.0 {
            self.remember(&mut redo, outpoint);
            set(&mut self.started, outpoint, before.started);
            set(&mut self.dos, outpoint, before.dos);
            set(&mut self.delegates, outpoint, before.delegates);
            self.set_confirmed(outpoint, before.confirmed);
        }
        redo
    }

    /// Where a collateral stands now.
    #[must_use]
    pub fn standing(&self, outpoint: &OutPoint) -> Before {
        Before {
            started: self.started.get(outpoint).cloned(),
            dos: self.dos.get(outpoint).cloned(),
            confirmed: self.confirmed.get(outpoint).cloned(),
            delegates: self.delegates.get(outpoint).cloned(),
        }
    }

    fn expired_starts(&self, rules: &NodeRules, height: u32, changes: &BlockChanges) -> Vec<OutPoint> {
        let due = height.checked_sub(rules.start_expiry(height));
        let is_confirmed =
            |outpoint: &OutPoint| changes.confirms.iter().any(|(confirmed, _)| confirmed == outpoint);
        let expired = self.started.iter().filter(|(_, node)| Some(node.added) == due);
        expired.map(|(outpoint, _)| *outpoint).filter(|outpoint| !is_confirmed(outpoint)).collect()
    }

    fn expired_dos(&self, rules: &NodeRules, height: u32) -> Vec<OutPoint> {
        let expired = self.dos.iter().filter(|(_, node)| rules.leaves_dos_list(height, node.added));
        expired.map(|(outpoint, _)| *outpoint).collect()
    }

    fn expired_confirms(&self, rules: &NodeRules, height: u32, changes: &BlockChanges) -> BTreeSet<OutPoint> {
        let updated: BTreeSet<&OutPoint> = changes.updates.iter().map(|(outpoint, _)| outpoint).collect();
        let oldest = height.saturating_sub(rules.confirm_expiry(height));
        let silent = self.by_confirm.iter().take_while(|(confirmed, _)| *confirmed < oldest);
        let mut expired: BTreeSet<OutPoint> =
            silent.map(|(_, outpoint)| *outpoint).filter(|outpoint| !updated.contains(outpoint)).collect();
        expired.extend(changes.spent.iter().filter(|outpoint| self.confirmed.contains_key(outpoint)));
        if rules.has_outdated(height) {
            let outdated = self
                .confirmed
                .iter()
                .filter(|(_, node)| rules.is_outdated(height, node.tier, node.collateral));
            expired.extend(outdated.map(|(outpoint, _)| *outpoint));
        }
        expired
    }

    fn remember(&self, undo: &mut Undo, outpoint: OutPoint) {
        undo.0.entry(outpoint).or_insert_with(|| self.standing(&outpoint));
    }

    /// Puts a node into the confirmed list and its queue, or takes it out of both.
    fn set_confirmed(&mut self, outpoint: OutPoint, node: Option<Node>) {
        if let Some(old) = self.confirmed.remove(&outpoint) {
            self.by_confirm.remove(&(old.last_confirmed, outpoint));
            let key = old.queue_key(outpoint);
            self.queue_mut(old.tier).remove(&key);
        }
        if let Some(node) = node {
            let key = node.queue_key(outpoint);
            self.queue_mut(node.tier).insert(key);
            self.by_confirm.insert((node.last_confirmed, outpoint));
            self.confirmed.insert(outpoint, node);
        }
    }

    fn queue_mut(&mut self, tier: Tier) -> &mut BTreeSet<QueueKey> {
        let [cumulus, nimbus, stratus] = &mut self.queues;
        match tier {
            Tier::Cumulus => cumulus,
            Tier::Nimbus => nimbus,
            Tier::Stratus => stratus,
        }
    }
}

fn check_benchmark(node: &Node, benchmark_tier: i8) -> Result<(), NodeError> {
    if node.tier.number() > benchmark_tier { Err(NodeError::BenchmarkTierTooLow) } else { Ok(()) }
}

fn set<V>(map: &mut BTreeMap<OutPoint, V>, outpoint: OutPoint, value: Option<V>) {
    match value {
        Some(value) => map.insert(outpoint, value),
        None => map.remove(&outpoint),
    };
}

#[cfg(test)]
mod tests;
