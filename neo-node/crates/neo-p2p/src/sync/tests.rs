use std::collections::BTreeSet;

use neo_base::ledger::{HeaderBody, Witness};

use super::*;

/// A chain of empty blocks; the nonce makes chains differ.
fn chain(length: u32, nonce: u64) -> Vec<Block> {
    let mut previous = UInt256::ZERO;
    (1..=length)
        .map(|index| {
            let body = HeaderBody {
                previous,
                merkle_root: UInt256::ZERO,
                timestamp: index.into(),
                nonce,
                index,
                primary: 0,
                next_consensus: neo_base::UInt160::ZERO,
            };
            let header = Header::new(body, Witness::default());
            previous = header.hash();
            Block { header, transactions: Vec::new() }
        })
        .collect()
}

/// How a simulated peer answers.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Honest,
    Silent,
    /// Right headers, other blocks.
    Forger,
    /// Claims a height it does not have.
    Braggart,
}

/// Runs our machine against peers that answer at once or never; returns the order of blocks and who was blamed.
fn run(length: u32, kinds: &[Kind]) -> (Vec<u32>, BTreeSet<PeerId>, u32) {
    let (truth, forged) = (chain(length, 0), chain(length, 1));
    let mut sync = Sync::new(0, UInt256::ZERO);
    let (mut now, mut added, mut blamed) = (Time::ZERO, Vec::new(), BTreeSet::new());
    let mut inputs: std::collections::VecDeque<Input> = kinds
        .iter()
        .enumerate()
        .map(|(id, kind)| {
            let height = if *kind == Kind::Braggart { length * 2 } else { length };
            Input::Ready(u64::try_from(id).unwrap(), height)
        })
        .collect();
    let mut requests = 0;
    while added.len() < usize::try_from(length).unwrap() {
        let input = inputs.pop_front().unwrap_or_else(|| {
            now = sync.deadline().unwrap_or_else(|| panic!("stuck at {}", added.len()));
            Input::Tick
        });
        let mut out = Vec::new();
        sync.step(now, input, &mut out);
        for effect in out {
            match effect {
                Effect::Send(id, message) => {
                    requests += 1;
                    let kind = kinds[usize::try_from(id).unwrap()];
                    let (start, count) = match &message {
                        Message::GetHeaders(request) => (request.start, 2000),
                        Message::GetBlocksByIndex(request) => (request.start, request.count.unwrap().into()),
                        other => panic!("{other:?}"),
                    };
                    let blocks = if kind == Kind::Forger { &forged } else { &truth };
                    let from = usize::try_from(start).unwrap() - 1;
                    match message {
                        _ if kind == Kind::Silent => {}
                        Message::GetHeaders(_) => {
                            let headers: Vec<_> = truth
                                .iter()
                                .skip(from)
                                .take(count)
                                .map(|block| block.header.clone())
                                .collect();
                            if !headers.is_empty() {
                                inputs.push_back(Input::Headers(id, headers));
                            }
                        }
                        _ => inputs.extend(
                            blocks
                                .iter()
                                .skip(from)
                                .take(count)
                                .map(|block| Input::Block(id, Box::new(block.clone()))),
                        ),
                    }
                }
                Effect::CheckHeaders(_) => inputs.push_back(Input::HeadersChecked(true)),
                Effect::Add(block) => {
                    let height = block.header.body().index;
                    added.push(height);
                    inputs.push_back(Input::Stored(height, block.header.hash()));
                }
                Effect::Misbehaved(id, _) | Effect::Slow(id) => {
                    blamed.insert(id);
                    inputs.push_back(Input::Gone(id));
                }
            }
        }
    }
    (added, blamed, requests)
}

#[test]
fn blocks_come_in_order_from_many_peers() {
    let (added, blamed, requests) = run(3_000, &[Kind::Honest; 4]);
    assert!(added.iter().copied().eq(1..=3_000));
    assert!(blamed.is_empty());
    assert!(requests < 200, "{requests} requests");
}

#[test]
fn silent_forging_and_boasting_peers_do_not_stop_it() {
    let kinds = [Kind::Silent, Kind::Forger, Kind::Honest, Kind::Braggart];
    let (added, blamed, _) = run(1_200, &kinds);
    assert!(added.iter().copied().eq(1..=1_200));
    assert!(blamed.contains(&1) && !blamed.contains(&2));
}

#[test]
fn headers_that_do_not_link_are_an_offence_and_unasked_ones_are_nothing() {
    let mut sync = Sync::new(0, UInt256::ZERO);
    let mut out = Vec::new();
    let headers = |nonce| chain(5, nonce).into_iter().map(|block| block.header).collect::<Vec<_>>();
    sync.step(Time::ZERO, Input::Ready(1, 5), &mut out);
    sync.step(Time::ZERO, Input::Ready(2, 5), &mut out);
    out.clear();
    sync.step(Time::ZERO, Input::Headers(2, headers(0)), &mut out);
    assert!(out.is_empty());
    let mut broken = headers(0);
    broken.remove(2);
    sync.step(Time::ZERO, Input::Headers(1, broken), &mut out);
    assert!(matches!(out.first(), Some(Effect::Misbehaved(1, _))));
}

#[test]
fn a_refused_block_blames_its_sender_and_is_asked_for_again() {
    let mut sync = Sync::new(0, UInt256::ZERO);
    let mut out = Vec::new();
    let blocks = chain(1, 0);
    sync.step(Time::ZERO, Input::Ready(1, 1), &mut out);
    sync.step(Time::ZERO, Input::Block(1, Box::new(blocks[0].clone())), &mut out);
    assert!(matches!(out.last(), Some(Effect::Add(_))));
    out.clear();
    sync.step(Time::ZERO, Input::Refused(1), &mut out);
    assert!(matches!(out.first(), Some(Effect::Misbehaved(1, _))));
    sync.step(Time::ZERO, Input::Ready(2, 1), &mut out);
    sync.step(Time::ZERO, Input::Gone(1), &mut out);
    sync.step(Time::ZERO, Input::Block(2, Box::new(blocks[0].clone())), &mut out);
    assert!(matches!(out.last(), Some(Effect::Add(_))));
}
