//! What peers are told without asking: new blocks, transactions and addresses. Mirrors `RelayTransaction` and the end of
//! `ActivateBestChain` of `src/main.cpp`.

use std::sync::Arc;

use fluxd_consensus::check::CheckedBlock;
use fluxd_p2p::{
    Message,
    alert::Alerts,
    message::{
        address::{TimedAddress, is_routable},
        compact::CompactBlock,
        inventory::Inventory,
    },
    siphash::siphash,
    sync::PeerKey,
};
use fluxd_primitives::{Hash256, TxId};
use rand::RngExt;

use super::Loop;
use crate::node::{run_notify, zmq::News};

/// Headers announced at once; more blocks than that are announced by the name of the last.
const ANNOUNCED: usize = 8;

/// Addresses that came in a message of at most so many are news, and passed on while they are this young, seconds.
const NEWS: usize = 10;
const YOUNG: i64 = 10 * 60;
/// Peers that an address is passed on to, the same ones for a day.
const LISTENERS: usize = 2;
const DAY: i64 = 24 * 60 * 60;

impl Loop {
    /// Passes on addresses of nodes that were heard of just now, each to a few peers.
    pub(super) fn pass_on(&mut self, told: &[TimedAddress]) {
        let now = (self.now)();
        let is_young = |one: &&TimedAddress| (now - YOUNG..=now + YOUNG).contains(&i64::from(one.time));
        let fresh = told.iter().filter(is_young).filter(|one| is_routable(one.address.socket.ip()));
        for one in fresh.filter(|_| told.len() <= NEWS) {
            let socket = one.address.socket;
            let turn = now.saturating_add(i64::from(socket.port())) / DAY;
            let mut ranked: Vec<(u64, u64)> = self
                .peers
                .all
                .keys()
                .map(|key| (siphash(self.salt, format!("{socket} {turn} {key}").as_bytes()), *key))
                .collect();
            ranked.sort_unstable();
            for (_, key) in ranked.into_iter().take(LISTENERS) {
                if let Some(peer) = self.peers.all.get_mut(&key)
                    && peer.has_addresses([socket])
                {
                    peer.send(Message::Addr(vec![*one]));
                }
            }
        }
    }

    /// Judges an alert, runs the operator's command for it, and passes it on.
    pub(super) fn alert(&mut self, key: PeerKey, payload: &[u8], signature: &[u8]) {
        let (Some(alerts), Some(peer)) = (&self.alerts, self.peers.all.get_mut(&key)) else { return };
        let name = Alerts::name(payload);
        if peer.known.contains(&name) {
            return;
        }
        let now = (self.now)();
        let mut alerts = alerts.lock();
        let taken = match alerts.accept(payload, signature, now) {
            Ok(alert) => alert.clone(),
            // Whoever sends many of them is parted from; other programs may have other keys.
            Err(refused) => {
                tracing::debug!(target: "net", peer = key, reason = %refused, "alert not taken");
                return peer.misbehave(10, "invalid alert");
            }
        };
        peer.knows(name);
        let for_us = alerts.is_for_us(&taken, now);
        drop(alerts);
        tracing::warn!(target: "net", id = taken.id, for_us, text = taken.safe_status(), "alert of the network");
        if let Some(command) = self.alert_notify.as_deref().filter(|_| for_us) {
            run_notify(command, &format!("'{}'", taken.safe_status()));
        }
        self.pass_alerts_on();
    }

    /// Sends every peer the alerts that it should know.
    pub(super) fn pass_alerts_on(&mut self) {
        let Some(alerts) = &self.alerts else { return };
        let (alerts, now) = (alerts.lock(), (self.now)());
        for peer in self.peers.all.values_mut() {
            let remote = peer.connection.remote.clone();
            for (name, message) in alerts.for_peer(remote.version, &remote.user_agent, now) {
                if !peer.knows(name) {
                    peer.send(message.clone());
                }
            }
        }
    }

    /// Tells peers of a transaction of the pool.
    pub(super) fn relay(&mut self, txid: &TxId) {
        let Some((tx, rate)) =
            self.mempool.lock().get(txid).map(|entry| (Arc::clone(&entry.tx), entry.rate()))
        else {
            return;
        };
        if let Some(sender) = &self.events {
            let _ = sender.try_send(News::Pool(*txid, Arc::clone(&tx))); // as with blocks
        }
        for peer in self.peers.all.values_mut() {
            let filtered = match peer.filter.lock().as_mut() {
                Some(filter) => !filter.matches(txid, &tx),
                None => !peer.connection.remote.relay,
            };
            if !filtered && rate.zat_per_kb >= peer.least_fee && !peer.knows(Hash256(txid.0)) {
                peer.send(Message::Inv(vec![Inventory::tx(*txid)]));
            }
        }
    }

    /// Tells peers of new blocks: as compact block, as headers, or by name, as each prefers.
    pub(super) fn announce(&mut self, connected: &[&Arc<CheckedBlock>]) {
        let (Some(first), Some(tip)) = (connected.first(), connected.last()) else { return };
        let name = Hash256(tip.hash().0);
        for peer in self.peers.all.values_mut() {
            if peer.knows(name) {
                continue;
            }
            let joins = peer.has(&first.block().header.prev);
            if joins && peer.wants_compact && connected.len() == 1 {
                let compact = CompactBlock::of(tip.block(), self.random.random());
                peer.send(Message::CmpctBlock(Box::new(compact)));
            } else if joins && peer.prefers_headers && connected.len() <= ANNOUNCED {
                let headers = connected.iter().map(|block| block.block().header.clone()).collect();
                peer.send(Message::Headers(headers));
            } else {
                peer.send(Message::Inv(vec![Inventory::block(tip.hash())]));
            }
        }
    }
}
