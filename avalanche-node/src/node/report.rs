//! What operators see: progress lines, the status page and metrics, from one sample a second.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use shared_vendor::{
    app::{Context, Daemon},
    clock::Time,
    ops::{Beat, Phase, Section},
    progress::Progress,
};

use super::Shared;

const LINE_WHILE_SYNCING: Duration = Duration::from_secs(10);
const LINE_IN_STEP: Duration = Duration::from_secs(60);
/// Time after which a line with the same text may come again.
const SAME_LINE: Duration = Duration::from_secs(600);
/// Different lines in that time.
const LINES_REMEMBERED: usize = 64;
/// Peers on the status page.
const PEERS_SHOWN: usize = 50;

/// Lets a line with the same text pass once in a while, so that who connects in vain again and again cannot fill the log.
#[derive(Debug, Default)]
pub(super) struct Once(BTreeMap<String, Time>);

impl Once {
    /// True when the text may be logged now.
    pub(super) fn admit(&mut self, text: &str, now: Time) -> bool {
        self.0.retain(|_, at| now < at.after(SAME_LINE));
        if self.0.len() >= LINES_REMEMBERED || self.0.contains_key(text) {
            return false;
        }
        self.0.insert(text.to_owned(), now);
        true
    }
}

pub(super) struct Reporter {
    beat: Beat,
    progress: Progress,
    height: u64,
    last_line: Time,
    dropped: u64,
    accepted: u64,
}

impl Reporter {
    pub(super) fn new<D: Daemon>(ctx: &Context<D>) -> Self {
        let now = ctx.clock.now();
        Self {
            beat: ctx.status.beat("node", now),
            progress: Progress::new("blocks", now, 0, 0.0),
            height: 0,
            last_line: now,
            dropped: 0,
            accepted: 0,
        }
    }

    /// A message was lost because its chain is too busy.
    pub(super) const fn dropped(&mut self) {
        self.dropped = self.dropped.saturating_add(1);
    }

    /// Consensus accepted a block.
    pub(super) const fn accepted(&mut self) {
        self.accepted = self.accepted.saturating_add(1);
    }

    pub(super) fn tick<D: Daemon>(&mut self, ctx: &Context<D>, shared: &Arc<Shared>) {
        let now = ctx.clock.now();
        self.beat.tick(now);
        let views: Vec<_> =
            shared.chains.read().iter().map(|chain| (chain.alias, chain.view.lock().clone())).collect();
        let is_synced = !views.is_empty() && views.iter().all(|(_, view)| view.is_following);
        let phase = if is_synced { Phase::Synced } else { Phase::Syncing };
        let sum = |of: &dyn Fn(&super::chain::View) -> u64| {
            views.iter().fold(0_u64, |sum, (_, view)| sum.saturating_add(of(view)))
        };
        let height = sum(&|view| view.last_accepted.1);
        let target = sum(&|view| view.progress.map_or(view.last_accepted.1, |progress| progress.tip));
        let work = f64::from(u32::try_from(height.saturating_sub(self.height)).unwrap_or(u32::MAX));
        self.height = height;
        self.progress.advance(now, height, work);
        self.progress.aim(target, f64::from(u32::try_from(target).unwrap_or(u32::MAX)));
        let numbers = self.progress.numbers(now);
        let peers = shared.network.peers();
        let inbound = peers.values().filter(|vitals| vitals.inbound).count();
        let every = if is_synced { LINE_IN_STEP } else { LINE_WHILE_SYNCING };
        if now.since(self.last_line) >= every {
            self.last_line = now;
            let heights: Vec<_> =
                views.iter().map(|(alias, view)| format!("{alias}={}", view.last_accepted.1)).collect();
            tracing::info!(target: "sync", "{numbers} {} peers={}", heights.join(" "), peers.len());
        }
        numbers.export(&ctx.metrics, phase);
        let float = |count: usize| f64::from(u32::try_from(count).unwrap_or(u32::MAX));
        ctx.metrics.peers.with(&["in"]).set(float(inbound));
        ctx.metrics.peers.with(&["out"]).set(float(peers.len().saturating_sub(inbound)));
        let sections = vec![chains(&views), nodes(shared), counts(self.accepted, self.dropped)];
        ctx.status.update(now, |status| {
            numbers.show(status);
            if status.phase != Phase::Stopping {
                status.phase = phase;
                status.sentence = match (is_synced, peers.len()) {
                    (true, peers) => format!("In consensus with {peers} peers"),
                    (false, 0) => "Looking for peers".to_owned(),
                    (false, _) => "Bootstrapping".to_owned(),
                };
            }
            (status.peers_in, status.peers_out) = (inbound, peers.len().saturating_sub(inbound));
            status.tip = views.first().map(|(_, view)| view.last_accepted.0.to_string()).unwrap_or_default();
            status.sections = sections;
        });
    }
}

fn text(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

fn chains(views: &[(&'static str, super::chain::View)]) -> Section {
    let row = |(alias, view): &(&'static str, super::chain::View)| {
        let state = match (view.is_following, view.progress) {
            (true, _) => "in consensus".to_owned(),
            (false, Some(progress)) if progress.executing => format!("executing up to {}", progress.tip),
            (false, Some(progress)) => format!("fetching, {} of {} at hand", progress.fetched, progress.tip),
            (false, None) => "starting".to_owned(),
        };
        let (id, height) = view.last_accepted;
        let part = format!("{:.0} %", view.connected_part * 100.0);
        vec![
            (*alias).to_owned(),
            state,
            height.to_string(),
            id.to_string(),
            view.processing.to_string(),
            part,
        ]
    };
    Section {
        title: "Chains".to_owned(),
        columns: text(&["chain", "state", "height", "last accepted", "processing", "stake connected"]),
        rows: views.iter().map(row).collect(),
    }
}

fn nodes(shared: &Shared) -> Section {
    let set = shared.validators.read();
    let rows = shared.peers.read();
    let row = |(node, peer): (&avalanche_ids::NodeId, &super::Peer)| {
        let role = if set.contains_key(node) { "validator" } else { "" };
        vec![node.to_string(), peer.info.ip.address.to_string(), role.to_owned(), peer.info.client.clone()]
    };
    Section {
        title: "Peers".to_owned(),
        columns: text(&["node", "address", "role", "client"]),
        rows: rows.iter().take(PEERS_SHOWN).map(row).collect(),
    }
}

fn counts(accepted: u64, dropped: u64) -> Section {
    let row = |name: &str, value: u64| vec![name.to_owned(), value.to_string()];
    Section {
        title: "Since the start".to_owned(),
        columns: Vec::new(),
        rows: vec![row("blocks accepted in consensus", accepted), row("messages dropped", dropped)],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_comes_once_and_again_much_later_and_many_different_ones_end() {
        let mut once = Once::default();
        let later = Time::ZERO.after(SAME_LINE);
        assert!(once.admit("certificate", Time::ZERO));
        assert!(!once.admit("certificate", Time::ZERO));
        assert!(once.admit("wrong network", Time::ZERO));
        let others = (0..1000).filter(|number| once.admit(&number.to_string(), Time::ZERO)).count();
        assert_eq!(others, LINES_REMEMBERED - 2);
        assert!(once.admit("certificate", later));
    }
}
