//! How long validators were seen online. Mirrors `snow/uptime/manager.go`. Times are Unix seconds.

use std::collections::BTreeMap;

use avalanche_ids::NodeId;

use crate::state::State;

/// Who is connected since when.
#[derive(Debug, Default)]
pub struct Uptimes {
    connected: BTreeMap<NodeId, u64>,
    tracking: bool,
}

impl Uptimes {
    /// A node has connected.
    pub fn connect(&mut self, node: NodeId, now: u64) {
        self.connected.insert(node, now);
    }

    /// A node has disconnected; the uptime to remember, if it validates.
    pub fn disconnect(&mut self, state: &State, node: NodeId, now: u64) -> Option<(u64, u64)> {
        let uptime = if self.tracking { self.uptime(state, node, now) } else { None };
        self.connected.remove(&node);
        uptime
    }

    /// From now on who is not connected is offline. The uptimes to remember: everyone was online while we were not.
    pub fn start_tracking(&mut self, state: &State, now: u64) -> Vec<(NodeId, (u64, u64))> {
        if self.tracking {
            return Vec::new();
        }
        let uptimes = self.all(state, now);
        self.tracking = true;
        uptimes
    }

    /// The uptimes of all validators, to be remembered before the node stops.
    #[must_use]
    pub fn all(&self, state: &State, now: u64) -> Vec<(NodeId, (u64, u64))> {
        state.primary_validators().filter_map(|node| Some((node, self.uptime(state, node, now)?))).collect()
    }

    /// True when uptimes count.
    #[must_use]
    pub const fn is_tracking(&self) -> bool {
        self.tracking
    }

    /// True while connected.
    #[must_use]
    pub fn is_connected(&self, node: NodeId) -> bool {
        self.connected.contains_key(&node)
    }

    /// Seconds online and until when they are counted; None for no validator.
    #[must_use]
    pub fn uptime(&self, state: &State, node: NodeId, now: u64) -> Option<(u64, u64)> {
        let (up, counted) = state.uptime(node)?;
        if now < counted {
            return Some((up, counted));
        }
        if !self.tracking {
            return Some((up.saturating_add(now - counted), now));
        }
        let Some(since) = self.connected.get(&node) else { return Some((up, now)) };
        let since = (*since).max(counted);
        Some((up.saturating_add(now.saturating_sub(since)), now))
    }

    /// Part of the time since `start` that a validator was online.
    #[must_use]
    #[allow(clippy::as_conversions, clippy::cast_precision_loss)] // a local preference, not consensus
    pub fn part_since(&self, state: &State, node: NodeId, start: u64, now: u64) -> Option<f64> {
        let (up, until) = self.uptime(state, node, now)?;
        match until.saturating_sub(start) {
            0 => Some(1.0),
            best => Some(up as f64 / best as f64),
        }
    }
}
