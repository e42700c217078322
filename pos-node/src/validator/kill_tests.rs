//! A validator's process is killed again and again around its signatures. Every run wants to sign something else for the
//! same duties; of all signatures that ever left the process, no two are of different messages of one duty. `KILLS` sets
//! how often.

use super::vault::{LocalKeys, Vault};
use crate::{
    crypto::{
        bls::{Key, verify},
        derive::interop_key,
    },
    slashing_protection::{database::Database, rules::Rule},
    types::{
        domain::signing_root,
        operation::{AttestationData, BlockHeader, Checkpoint, FinalityVote},
        primitives::{Root, Signature},
    },
};
use std::{
    collections::BTreeMap,
    io::{BufRead, BufReader, Write},
    path::Path,
    process::{Command, Stdio},
    time::Duration,
};

const FOLDER: &str = "POS_NODE_SIGNER_FOLDER";
const RUN: &str = "POS_NODE_SIGNER_RUN";
const FROM: &str = "POS_NODE_SIGNER_FROM";
const CHAIN: Root = Root([7; 32]);
const DOMAIN: [u8; 32] = [9; 32];
/// Duties before the last one known that each run tries again.
const AGAIN: u64 = 4;

/// What a run wants to sign for the duty of a kind and number: something else than every other run.
fn message(kind: &str, number: u64, run: u64) -> Root {
    let own = Root(crate::types::ssz::sha256(&run.to_le_bytes()));
    match kind {
        "block" => signing_root(&header(number, own), DOMAIN),
        "vote" => signing_root(&vote(number, own), DOMAIN),
        _ => signing_root(&finality_vote(number, own), DOMAIN),
    }
}

fn header(slot: u64, own: Root) -> BlockHeader {
    BlockHeader { slot, state_root: own, ..BlockHeader::default() }
}

fn vote(target: u64, own: Root) -> AttestationData {
    let source = Checkpoint { epoch: target.saturating_sub(1), root: Root::ZERO };
    let target = Checkpoint { epoch: target, root: own };
    AttestationData { slot: target.epoch, index: 0, beacon_block_root: own, source, target }
}

fn finality_vote(epoch: u64, own: Root) -> FinalityVote {
    FinalityVote { epoch, block_root: own, state_root: own, next_set_root: own }
}

/// Not a test by itself: the process that is killed. Says each duty before it begins with it, and each signature.
#[test]
fn the_signer_that_is_killed() {
    let Ok(folder) = std::env::var(FOLDER) else { return };
    let number = |name| std::env::var(name).expect("set").parse::<u64>().expect("a number");
    let (run, from) = (number(RUN), number(FROM));
    let record =
        Database::open(&Path::new(&folder).join("signing.db"), Rule::Complete, CHAIN).expect("own file");
    let secret = interop_key(0).expect("a key");
    let key = secret.public_key();
    let mut vault = Vault::new(Box::new(LocalKeys::new([secret])), Box::new(record));
    let own = Root(crate::types::ssz::sha256(&run.to_le_bytes()));
    let mut out = std::io::stdout();
    for at in from.. {
        for kind in ["block", "vote", "finality"] {
            writeln!(out, "\nduty {kind} {at}").and_then(|()| out.flush()).expect("a pipe");
            let signature = match kind {
                "block" => vault.block(&key, &header(at, own), DOMAIN),
                "vote" => vault.vote(&key, &vote(at, own), DOMAIN),
                _ => vault.finality_vote(&key, &finality_vote(at, own), DOMAIN),
            };
            if let Ok(signature) = signature {
                writeln!(out, "\nsigned {kind} {at} {signature}").and_then(|()| out.flush()).expect("a pipe");
            }
        }
    }
}

/// The duty and, of a signature, the signature that a line tells.
fn told(line: &str) -> Option<((String, u64), Option<Signature>)> {
    let mut words = line.split(' ');
    let first = words.next().filter(|word| ["duty", "signed"].contains(word))?;
    let duty = (words.next()?.to_owned(), words.next()?.parse().ok()?);
    let signature = words.next().map(|text| text.parse().expect("a whole line"));
    assert_eq!(signature.is_some(), first == "signed", "{line}");
    Some((duty, signature))
}

#[test]
fn killed_around_its_signatures_a_validator_never_signs_two_messages_for_one_duty() {
    let kills = std::env::var("KILLS").ok().and_then(|text| text.parse().ok()).unwrap_or(4u64);
    let folder = tempfile::tempdir().expect("a folder");
    let key = Key::new(&interop_key(0).expect("a key").public_key()).expect("a key");
    let mut signed: BTreeMap<(String, u64), u64> = BTreeMap::new();
    let (mut seed, mut last, mut unsigned) = (1u64, 1u64, 0u64);
    for run in 0..kills {
        let mut random = |below: u64| {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (seed >> 33) % below
        };
        let mut child = Command::new(std::env::current_exe().expect("this test"))
            .args(["validator::kill_tests::the_signer_that_is_killed", "--exact", "--nocapture"])
            .env(FOLDER, folder.path())
            .env(RUN, run.to_string())
            .env(FROM, last.saturating_sub(AGAIN).max(1).to_string())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("a process");
        let mut lines = BufReader::new(child.stdout.take().expect("piped")).lines().map_while(Result::ok);
        // so far into its duties, and then at any moment of the next one
        let mut left = 3 * AGAIN + random(9);
        let (mut begun, mut done) = (None, false);
        let mut note = |line: String| {
            let Some((duty, signature)) = told(&line) else { return false };
            last = last.max(duty.1);
            let Some(signature) = signature else {
                begun = Some(duty);
                done = false;
                return true;
            };
            let root = message(&duty.0, duty.1, run);
            assert!(verify(&key, &root, &signature), "run {run} signed something else: {line}");
            let first = signed.entry(duty.clone()).or_insert(run);
            assert_eq!(*first, run, "two messages are signed for {duty:?}");
            done = true;
            false
        };
        while left > 0
            && let Some(line) = lines.next()
        {
            left -= u64::from(note(line));
        }
        std::thread::sleep(Duration::from_micros(random(3000)));
        child.kill().expect("alive");
        for line in lines.filter(|line| {
            !line.starts_with("signed") || line.split(' ').nth(3).is_some_and(|text| text.len() == 194)
        }) {
            note(line);
        }
        child.wait().expect("killed");
        unsigned += u64::from(begun.is_some() && !done);
    }
    assert!(u64::try_from(signed.len()).is_ok_and(|count| count >= kills), "it goes on: {}", signed.len());
    println!("{kills} kills: {} duties signed, {unsigned} runs ended within a duty", signed.len());
}
