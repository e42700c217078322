//! What peers announce and we do not have: asked of one of those who have it, then of another. Mirrors the inventory
//! tasks of `TaskManager.cs`.

use std::{
    collections::{BTreeMap, VecDeque},
    time::Duration,
};

use neo_base::UInt256;
use shared_vendor::{
    clock::Time,
    machine::{Machine, Tick},
};

use crate::{
    message::Message,
    payload::{Hashes, InventoryKind, MAX_HASHES},
    seen::Seen,
    sync::PeerId,
};

/// Time for an answer; then the next one that has it is asked.
const TIMEOUT: Duration = Duration::from_secs(5);
/// Peers that are remembered to have a thing.
const MAX_OWNERS: usize = 8;
/// Things that are asked for at once.
const MAX_TASKS: usize = 20_000;
/// Hashes that are remembered as processed.
const REMEMBERED: usize = 50_000;

/// What the machine is told.
#[derive(Debug)]
pub enum Input {
    /// A deadline has come.
    Tick,
    /// A peer announces what we do not have.
    Announced(PeerId, Hashes),
    /// A thing has come, from whomever.
    Arrived(UInt256),
    /// A peer does not have what we asked for.
    NotFound(PeerId, Vec<UInt256>),
    /// We need these at once: ask these peers, whatever we asked before.
    Need(Hashes, Vec<PeerId>),
    /// A peer is gone.
    Gone(PeerId),
}

impl From<Tick> for Input {
    fn from(_: Tick) -> Self {
        Self::Tick
    }
}

/// Ask a peer.
#[derive(Debug)]
pub struct Ask(pub PeerId, pub Message);

/// The state machine; see the module.
#[derive(Debug)]
pub struct Inventory {
    processed: Seen,
    tasks: BTreeMap<UInt256, Task>,
    by_deadline: BTreeMap<Time, Vec<UInt256>>,
}

#[derive(Debug)]
struct Task {
    kind: InventoryKind,
    asked: PeerId,
    until: Time,
    others: VecDeque<PeerId>,
}

impl Default for Inventory {
    fn default() -> Self {
        Self { processed: Seen::new(REMEMBERED), tasks: BTreeMap::new(), by_deadline: BTreeMap::new() }
    }
}

impl Inventory {
    /// Whether a thing has come before.
    #[must_use]
    pub fn is_processed(&self, hash: &UInt256) -> bool {
        self.processed.contains(hash)
    }

    fn on_announced(&mut self, now: Time, id: PeerId, hashes: Hashes, out: &mut Vec<Ask>) {
        let mut wanted = Vec::new();
        for hash in hashes.hashes {
            if self.processed.contains(&hash) {
                continue;
            }
            let room = self.tasks.len() < MAX_TASKS;
            match self.tasks.get_mut(&hash) {
                Some(task)
                    if task.asked != id && task.others.len() < MAX_OWNERS && !task.others.contains(&id) =>
                {
                    task.others.push_back(id);
                }
                Some(_) => {}
                None if room => {
                    self.begin(now, hash, hashes.kind, id, VecDeque::new());
                    wanted.push(hash);
                }
                None => {}
            }
        }
        ask(id, hashes.kind, &wanted, out);
    }

    fn begin(
        &mut self,
        now: Time,
        hash: UInt256,
        kind: InventoryKind,
        asked: PeerId,
        others: VecDeque<PeerId>,
    ) {
        let until = now.after(TIMEOUT);
        self.by_deadline.entry(until).or_default().push(hash);
        self.tasks.insert(hash, Task { kind, asked, until, others });
    }

    /// Asks the next owner of each, or gives up.
    fn retry(&mut self, now: Time, hashes: Vec<UInt256>, out: &mut Vec<Ask>) {
        for hash in hashes {
            let Some(mut task) = self.tasks.remove(&hash) else { continue };
            if let Some(next) = task.others.pop_front() {
                self.begin(now, hash, task.kind, next, task.others);
                ask(next, task.kind, &[hash], out);
            }
        }
    }
}

fn ask(id: PeerId, kind: InventoryKind, hashes: &[UInt256], out: &mut Vec<Ask>) {
    for part in hashes.chunks(MAX_HASHES) {
        out.push(Ask(id, Message::GetData(Box::new(Hashes { kind, hashes: part.to_vec() }))));
    }
}

impl Machine for Inventory {
    type Input = Input;
    type Effect = Ask;

    fn step(&mut self, now: Time, input: Input, out: &mut Vec<Ask>) {
        match input {
            Input::Tick => {
                while let Some(first) = self.by_deadline.first_entry().filter(|first| *first.key() <= now) {
                    let (until, hashes) = first.remove_entry();
                    let late = |hash: &UInt256| self.tasks.get(hash).is_some_and(|task| task.until == until);
                    let late = hashes.into_iter().filter(late).collect();
                    self.retry(now, late, out);
                }
            }
            Input::Announced(id, hashes) => self.on_announced(now, id, hashes, out),
            Input::Arrived(hash) => {
                self.processed.insert(hash);
                self.tasks.remove(&hash);
            }
            Input::NotFound(id, hashes) => {
                let asked = |hash: &UInt256| self.tasks.get(hash).is_some_and(|task| task.asked == id);
                let missing = hashes.into_iter().filter(asked).collect();
                self.retry(now, missing, out);
            }
            Input::Need(hashes, peers) => {
                for hash in &hashes.hashes {
                    self.processed.remove(hash);
                }
                for id in peers {
                    ask(id, hashes.kind, &hashes.hashes, out);
                }
            }
            Input::Gone(id) => {
                self.tasks.values_mut().for_each(|task| task.others.retain(|other| *other != id));
                let asked = |(hash, task): (&UInt256, &Task)| (task.asked == id).then_some(*hash);
                let orphans = self.tasks.iter().filter_map(asked).collect();
                self.retry(now, orphans, out);
            }
        }
    }

    fn deadline(&self) -> Option<Time> {
        self.by_deadline.first_key_value().map(|(until, _)| *until)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn announced(id: PeerId, number: u8) -> Input {
        Input::Announced(id, Hashes { kind: InventoryKind::Transaction, hashes: vec![UInt256([number; 32])] })
    }

    #[test]
    fn one_peer_is_asked_and_the_next_when_it_does_not_answer() {
        let (mut machine, mut out) = (Inventory::default(), Vec::new());
        for id in [1, 2, 3] {
            machine.step(Time::ZERO, announced(id, 7), &mut out);
        }
        assert_eq!(out.iter().map(|ask| ask.0).collect::<Vec<_>>(), [1]);
        let late = machine.deadline().unwrap();
        machine.step(late, Input::Tick, &mut out);
        assert_eq!(out.last().map(|ask| ask.0), Some(2));
        machine.step(late, Input::NotFound(2, vec![UInt256([7; 32])]), &mut out);
        assert_eq!(out.last().map(|ask| ask.0), Some(3));
        machine.step(late, Input::Gone(3), &mut out);
        assert_eq!(out.len(), 3);
        assert!(machine.tasks.is_empty());
    }

    #[test]
    fn what_has_come_is_not_asked_for_unless_it_is_needed() {
        let (mut machine, mut out) = (Inventory::default(), Vec::new());
        machine.step(Time::ZERO, Input::Arrived(UInt256([7; 32])), &mut out);
        machine.step(Time::ZERO, announced(1, 7), &mut out);
        assert!(out.is_empty());
        let hashes = Hashes { kind: InventoryKind::Transaction, hashes: vec![UInt256([7; 32])] };
        machine.step(Time::ZERO, Input::Need(hashes, vec![1, 2]), &mut out);
        assert_eq!(out.len(), 2);
    }
}
