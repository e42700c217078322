//! What the protocol promises, over many seeds.

use std::{collections::BTreeSet, time::Duration};

use super::{
    actor::Fault,
    for_seeds,
    network::{Network, Plan, mix},
    on_one_thread,
    signatures::Scheme,
};

/// Epochs after which a network that is whole again has finalized an epoch that began then: those who signed twice count
/// until they have left, which takes five epochs and more when several leave, and finality two more.
const BOUND: u64 = 10;
const MS: fn(u64) -> Duration = Duration::from_millis;

/// Validators 128, on as many nodes as `SIM_NODES` says.
fn large(seed: u64) -> Plan {
    let nodes = std::env::var("SIM_NODES").ok().and_then(|text| text.parse().ok()).unwrap_or(16);
    Plan {
        scheme: Scheme::Real,
        validators_per_node: 128 / nodes,
        latency: MS(100)..MS(300),
        loss: 0.2,
        ..Plan::new(seed, nodes)
    }
}

#[test]
fn with_128_validators_a_fifth_of_messages_lost_and_200_ms_latency_every_epoch_finalizes() {
    for_seeds(1, |seed| {
        let mut network = Network::new(large(seed));
        for epoch in 4..8 {
            network.run_to_epoch(epoch);
            network.sim.run_until(network.epoch_start(epoch).after(MS(5_000)));
            let last = network.finalized();
            assert!(last + 2 >= epoch, "seed {seed}: {last} in epoch {epoch}\n{}", network.describe());
        }
        network.assert_safe();
        2
    });
}

/// Up to five of sixteen validators are faulty in one way or another; the network splits at random, an honest node
/// crashes. Once it is whole again, the first epoch that begins is final within [`BOUND`] epochs; gives how many it took.
fn byzantine(seed: u64) -> u64 {
    let mut plan = Plan { loss: 0.05, ..Plan::new(seed, 16) };
    for at in 0..mix(seed, 100) % 6 {
        let who = usize::try_from((mix(seed, 101) + 3 * at) % 16).unwrap();
        let fault = match mix(seed, 102 + usize::try_from(at).unwrap()) % 4 {
            0 => Fault::Silent,
            1 => Fault::Withholder(MS(mix(seed, 110) % 9_000)),
            _ => Fault::Equivocator,
        };
        plan.faults.insert(who, fault);
    }
    let mut network = Network::new(plan);
    network.run_to_epoch(2);
    let split = network.plan.nodes + network.plan.faults.len();
    let groups =
        (0..2).map(|half| (0..split).filter(|at| mix(seed, 200 + at) % 2 == half).collect::<BTreeSet<_>>());
    network.sim.partition(groups.collect::<Vec<_>>());
    network.sim.run_until(network.epoch_start(2).after(MS(mix(seed, 300) % 60_000)));
    network.sim.heal();
    let crashed = network.honest[usize::try_from(mix(seed, 301)).unwrap() % network.honest.len()];
    network.crash(crashed);
    let whole = network.epoch() + 1;
    let mut epochs = 0;
    while network.finalized() < whole {
        epochs += 1;
        assert!(epochs <= BOUND, "seed {seed}: whole in epoch {whole}\n{}", network.describe());
        network.run_to_epoch(whole + epochs);
        network.assert_safe();
    }
    epochs
}

#[test]
fn with_under_a_third_byzantine_no_two_honest_nodes_finalize_different_blocks() {
    for_seeds(6, byzantine);
}

/// In this one, evidence against those who signed twice takes back, in a block, what the block before it has justified.
#[test]
fn a_justification_taken_back_in_the_next_block_does_not_end_the_chain() {
    on_one_thread(|| byzantine(2075));
}

#[test]
fn the_same_seed_gives_the_same_log_of_events() {
    on_one_thread(|| {
        let run = |seed| {
            let mut network = Network::new(Plan { loss: 0.1, ..Plan::new(seed, 8) });
            network.run_to_epoch(2);
            network.crash(3);
            network.run_to_epoch(3);
            (network.sim.digest(), network.sim.log().len())
        };
        assert_eq!(run(1), run(1));
        assert_ne!(run(1), run(2));
    });
}

#[test]
fn who_signs_twice_is_slashed_and_its_stake_is_burnt() {
    on_one_thread(|| {
        let mut plan = Plan::new(5, 8);
        plan.faults.insert(2, Fault::Equivocator);
        let mut network = Network::new(plan);
        network.run_to_epoch(4);
        for at in &network.honest {
            let node = network.sim.node(*at).unwrap();
            let chain = node.core.chain();
            let state = chain.state(&chain.head()).unwrap();
            let slashed: Vec<u64> =
                (0..8).filter(|at| state.validators.slashed.at(*at) == Some(&true)).collect();
            assert_eq!(slashed, [2], "as node {at} sees it");
        }
        network.assert_safe();
        // the first penalty and what it was not paid for; what correlation takes is judged by vectors
        let (before, stake) = (balance_of(&network, 2), 32_000_000_000);
        assert!((stake * 9 / 10..=stake - stake / 4096).contains(&before), "{before}");
    });
}

fn balance_of(network: &Network, validator: u64) -> u64 {
    let chain = network.sim.node(network.honest[0]).unwrap().core.chain();
    *chain.state(&chain.head()).unwrap().balances.at(validator).unwrap()
}

/// Half of the stake is absent. The other half finalizes again when the leak has made the absent a third, and when all is
/// whole again the absent follow. The real leak takes thousands of epochs, so the default run has one a thousand times as
/// fast, in which the absent are cut off, each node of them alone; `SIM_LEAK=real` runs the real one (some minutes), in
/// which they are switched off: it brings the balances of all others to where they are ejected in the same epoch, so that
/// a node that went on alone would be the whole of its own chain, and final there, at the moment the half is.
#[test]
fn half_a_network_finalizes_through_the_leak_and_the_rest_follows() {
    on_one_thread(|| {
        let mut plan = Plan { validators_per_node: 4, ..Plan::new(9, 4) };
        let real = std::env::var("SIM_LEAK").is_ok_and(|text| text == "real");
        if !real {
            plan.leak_quotient = Some(1 << 14);
        }
        let mut network = Network::new(plan);
        network.run_to_epoch(5);
        assert!(network.finalized() >= 2);
        let mut off = Vec::new();
        if real {
            off.extend((2..4).map(|at| (at, network.sim.crash(at).unwrap())));
        } else {
            network.sim.partition([(0..2).collect()]);
        }
        let limit = if real { 6_000 } else { 250 };
        // who is cut off alone would eject all others a few epochs later: so every epoch is looked at
        let mut epoch = 5;
        let final_in_half = |network: &Network| {
            (0..2).map(|at| network.sim.node(at).unwrap().core.chain().finalized().epoch).min().unwrap()
        };
        while final_in_half(&network) < 6 {
            epoch += 1;
            assert!(epoch < limit, "no finality by epoch {epoch}");
            network.run_to_epoch(epoch);
            if epoch.is_multiple_of(500) {
                eprintln!("epoch {epoch}:\n{}", network.describe());
            }
        }
        assert!(epoch > 20, "half of the stake finalizes nothing before the leak has worked: epoch {epoch}");
        let regained = final_in_half(&network);
        network.sim.heal();
        for (at, node) in off {
            network.sim.restart(at, node.restarted());
        }
        assert!((0..4).all(|at| network.sim.node(at).is_some()));
        network.run_to_epoch(epoch + 8);
        let last = network.finalized();
        assert!(last >= epoch + 2, "final is {last} in epoch {}", epoch + 8);
        network.assert_safe();
        eprintln!(
            "half finalized epoch {regained} in epoch {epoch}, all had {last} final by epoch {}",
            epoch + 8
        );
    });
}

/// Two halves that both live build two chains of which neither is final; whole again, they agree within four epochs.
#[test]
fn two_halves_finalize_nothing_and_agree_when_they_are_whole_again() {
    on_one_thread(|| {
        let mut network = Network::new(Plan::new(9, 8));
        network.run_to_epoch(5);
        network.sim.partition([(0..4).collect(), (4..8).collect()]);
        network.run_to_epoch(14);
        let before = network.finalized();
        assert!(before <= 5, "half of the stake finalizes nothing: {before}");
        network.sim.heal();
        network.run_to_epoch(19);
        assert!(network.finalized() >= 15, "final is {}", network.finalized());
        network.assert_safe();
    });
}
