//! The machine against peers that are functions. Every slot from 1 on has a block; its root is its slot and a fork.

use super::*;

/// What a peer sends for a range of slots: slots, and whether the answer was cut; nothing when it does not answer.
type Serve = fn(Peer, Slot, u64) -> Option<(Vec<Slot>, bool)>;

struct Net {
    sync: RangeSync<Slot>,
    now: Time,
    imported: BTreeSet<Slot>,
    blamed: Vec<Peer>,
    short: Vec<Peer>,
    asked: Vec<(Peer, Slot, u64)>,
    serve: Serve,
}

fn root(slot: Slot) -> Root {
    let mut root = Root::ZERO;
    root.0[..8].copy_from_slice(&slot.to_le_bytes());
    root
}

fn claim(head_slot: Slot) -> Claim {
    Claim { head_root: root(head_slot), head_slot, ..Claim::default() }
}

/// All blocks of a range up to a head.
fn up_to(head: Slot, start: Slot, count: u64) -> Option<(Vec<Slot>, bool)> {
    Some(((start..start + count).filter(|slot| *slot <= head).collect(), false))
}

impl Net {
    fn new(serve: Serve) -> Self {
        Self {
            sync: RangeSync::new(8, Local::default()),
            now: Time::ZERO,
            imported: BTreeSet::new(),
            blamed: Vec::new(),
            short: Vec::new(),
            asked: Vec::new(),
            serve,
        }
    }

    /// Peers tell their heads, all before the first of them answers anything.
    fn meet(&mut self, peers: &[(Peer, Slot)]) {
        let claims = peers.iter().map(|(peer, head)| Input::Claim(*peer, claim(*head)));
        self.steps(claims.collect());
    }

    fn step(&mut self, input: Input<Slot>) {
        self.steps(vec![input]);
    }

    /// Answers come in the order of the questions.
    fn steps(&mut self, inputs: Vec<Input<Slot>>) {
        let mut inputs = std::collections::VecDeque::from(inputs);
        for _ in 0..10_000 {
            let Some(input) = inputs.pop_front() else { return };
            let mut effects = Vec::new();
            self.sync.step(self.now, input, &mut effects);
            for effect in effects {
                match effect {
                    Effect::Ask { peer, batch, start, count } => {
                        self.asked.push((peer, start, count));
                        let answer = (self.serve)(peer, start, count);
                        let cut = answer.as_ref().is_some_and(|(_, cut)| *cut);
                        let item =
                            |slot: Slot| Item { slot, root: root(slot), parent: root(slot - 1), block: slot };
                        let blocks = answer.map(|(slots, _)| slots.into_iter().map(item).collect());
                        inputs.push_back(Input::Blocks { batch, peer, blocks, cut });
                    }
                    Effect::Import { batch, blocks } => {
                        let result = self.import(&blocks);
                        let head_slot = self.imported.last().copied().unwrap_or(0);
                        let final_slot = self.sync.local.final_slot;
                        inputs.push_front(Input::Imported { batch, result });
                        inputs.push_front(Input::Local(Local { head_slot, final_slot }));
                    }
                    Effect::Blame(peer) => self.blamed.push(peer),
                    Effect::Short(peer) => self.short.push(peer),
                    Effect::Slow(_) => {}
                }
            }
        }
        panic!("it never comes to rest: {:?}", self.sync);
    }

    fn import(&mut self, slots: &[Slot]) -> Imported {
        for slot in slots {
            if *slot > 1 && !self.imported.contains(&(slot - 1)) {
                return Imported::Unlinked;
            }
            self.imported.insert(*slot);
        }
        Imported::All
    }

    fn assert_done(&self, blocks: usize) {
        assert_eq!(self.imported.len(), blocks);
        assert_eq!(self.sync.target(), None, "{:?}", self.sync);
    }
}

#[test]
fn everything_to_the_best_head_is_imported_in_order() {
    let mut net = Net::new(|_, start, count| up_to(100, start, count));
    net.meet(&[(1, 100), (2, 90)]);
    net.assert_done(100);
    assert!(net.blamed.is_empty() && net.short.is_empty());
    let of = |peer| net.asked.iter().filter(|(asked, ..)| *asked == peer).count();
    assert!(of(1) >= 3 && of(2) >= 3, "both are asked: {:?}", net.asked);
}

#[test]
fn a_peer_little_ahead_or_whose_head_is_known_is_not_synced_from() {
    let mut net = Net::new(|_, _, _| None);
    net.meet(&[(1, 8)]);
    net.step(Input::Claim(2, Claim { known: true, ..claim(50) }));
    net.step(Input::Claim(3, Claim { earliest_slot: 40, ..claim(50) }));
    net.assert_done(0);
    assert!(net.asked.is_empty());
}

#[test]
fn a_peer_that_leaves_blocks_out_pays_and_does_not_stop_the_rest() {
    let mut net = Net::new(|peer, start, count| {
        let (slots, cut) = up_to(60, start, count)?;
        Some((if peer == 1 { slots.into_iter().skip(2).collect() } else { slots }, cut))
    });
    net.meet(&[(1, 60), (2, 60), (3, 60)]);
    net.assert_done(60);
    assert!(!net.blamed.is_empty() && net.blamed.iter().all(|peer| *peer == 1), "{:?}", net.blamed);
}

#[test]
fn blocks_outside_the_batch_or_that_do_not_link_are_blamed() {
    let mut net = Net::new(|peer, start, count| match peer {
        1 => Some((vec![start + count], false)),
        2 => Some((vec![start, start + 2], false)),
        _ => up_to(60, start, count),
    });
    net.meet(&[(1, 60), (2, 60), (3, 60)]);
    net.assert_done(60);
    assert!([1, 2].iter().all(|peer| net.blamed.contains(peer)) && !net.blamed.contains(&3));
}

#[test]
fn an_answer_that_was_cut_goes_on_with_the_same_peer() {
    let mut net = Net::new(|_, start, count| {
        let (mut slots, _) = up_to(20, start, count)?;
        slots.truncate(3);
        Some((slots, true))
    });
    net.meet(&[(1, 20)]);
    net.assert_done(20);
    assert!(net.asked.contains(&(1, 4, 5)) && net.asked.contains(&(1, 7, 2)), "{:?}", net.asked);
}

#[test]
fn a_head_that_is_claimed_and_not_shown_is_not_believed_again() {
    let mut net = Net::new(|_, start, count| up_to(30, start, count));
    net.meet(&[(1, 500), (2, 30)]);
    net.assert_done(30);
    assert_eq!(net.short, [1]);
    let asked = net.asked.len();
    net.step(Input::Tick);
    assert_eq!(net.asked.len(), asked, "not until it says something new");
    net.meet(&[(1, 500)]);
    assert!(net.asked.len() > asked);
    assert_eq!((net.sync.target(), net.short.as_slice()), (None, [1, 1].as_slice()));
}

#[test]
fn when_the_only_peer_with_a_better_head_leaves_the_node_is_not_behind_any_more() {
    let mut net = Net::new(|_, _, _| None);
    let mut effects = Vec::new();
    net.sync.step(Time::ZERO, Input::Claim(1, claim(60)), &mut effects);
    net.sync.step(Time::ZERO, Input::Claim(2, claim(4)), &mut effects);
    assert_eq!(net.sync.target(), Some(60));
    net.step(Input::Gone(1));
    net.assert_done(0);
}

#[test]
fn a_fork_is_fetched_from_the_final_block_on_and_from_its_peer_alone() {
    let mut net = Net::new(|peer, start, count| {
        assert_eq!(peer, 2);
        up_to(40, start, count)
    });
    net.sync.local = Local { head_slot: 40, final_slot: 8 };
    net.imported = (1..=8).collect();
    net.meet(&[(1, 40), (2, 40)]);
    net.step(Input::Forked(2));
    net.assert_done(40);
    assert_eq!(net.asked.first(), Some(&(2, 9, 8)));
}

#[test]
fn who_is_on_another_fork_gets_the_chain_from_the_final_block_on() {
    let mut net = Net::new(|_, start, count| up_to(60, start, count));
    // our head is at 30, but the others' blocks from 17 on are not ours
    net.sync.local = Local { head_slot: 30, final_slot: 8 };
    net.imported = (1..=16).collect();
    net.meet(&[(1, 60), (2, 60)]);
    net.assert_done(60);
    assert!(net.blamed.is_empty(), "{:?}", net.blamed);
}

#[test]
fn when_nobody_answers_the_attempt_ends_and_begins_again_later() {
    let mut net = Net::new(|_, _, _| None);
    net.meet(&[(1, 60)]);
    net.assert_done(0);
    net.now = net.sync.deadline().expect("a pause");
    net.serve = |_, start, count| up_to(60, start, count);
    net.step(Input::Tick);
    net.assert_done(60);
}
