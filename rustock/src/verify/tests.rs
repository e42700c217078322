use super::{draft::Draft, fork_detection::Mark, *};
use crate::{
    params::Params,
    types::{Blame, BlockNumber, Difficulty, Header, Timestamp},
};

/// Above orchid, below wasabi: proofs are lists of siblings, no fork-detection data, no Bitcoin time rule.
const ORCHID: u64 = 800_000;
/// Above iris: every rule.
const IRIS: u64 = 4_000_000;
const BELOW_ORCHID: u64 = 500_000;

fn alone(number: u64, edit: impl FnOnce(&mut Draft)) -> Result<Checked, Rule> {
    let mut draft = Draft::at(number);
    edit(&mut draft);
    check(&Params::mainnet(), draft.mine(&Params::mainnet()), Some(Timestamp(1_600_000_000)))
}

/// The rule that the edited header breaks alone; without the edit it breaks none.
fn broken(number: u64, edit: impl FnOnce(&mut Draft)) -> Rule {
    alone(number, |_| {}).expect("the draft is valid");
    alone(number, edit).expect_err("the edit breaks a rule")
}

/// The rule that the edited child of a main network header breaks against its parent.
fn unlinked(edit: impl FnOnce(&mut Draft), edit_parent: impl FnOnce(&mut Draft)) -> Rule {
    let params = Params::mainnet();
    let family = |edit: &mut dyn FnMut(&mut Draft), edit_parent: &mut dyn FnMut(&mut Draft)| {
        let mut parent = Draft { difficulty: 8_000_000_000_000_000, ..Draft::at(IRIS) };
        edit_parent(&mut parent);
        let parent = parent.encode(&params, None);
        let mut child = Draft {
            parent: parent.hash(),
            difficulty: 8_000_000_000_000_000,
            timestamp: 1_600_000_014,
            ..Draft::at(IRIS + 1)
        };
        edit(&mut child);
        link(&params, &child.encode(&params, None), &parent)
    };
    assert_eq!(family(&mut |_| {}, &mut |_| {}), Ok(()));
    let (mut edit, mut edit_parent) = (Some(edit), Some(edit_parent));
    let once = &mut |draft: &mut Draft| edit.take().into_iter().for_each(|edit| edit(draft));
    let once_parent = &mut |draft: &mut Draft| edit_parent.take().into_iter().for_each(|edit| edit(draft));
    family(once, once_parent).expect_err("the edit breaks a rule")
}

#[test]
fn numbers_and_hashes_link_a_header_to_its_parent() {
    let number = unlinked(|child| child.number += 1, |_| {});
    assert_eq!(number, Rule::Number { actual: BlockNumber(IRIS + 2), parent: BlockNumber(IRIS) });
    assert_eq!(unlinked(|child| child.parent.0[0] ^= 1, |_| {}), Rule::ParentHash);
}

#[test]
fn the_difficulty_is_exactly_what_follows_from_the_parent() {
    let expected = Difficulty::from_u64(8_000_000_000_000_000);
    let actual = Difficulty::from_u64(8_000_000_000_000_001);
    assert_eq!(unlinked(|child| child.difficulty += 1, |_| {}), Rule::Difficulty { actual, expected });
    assert!(matches!(unlinked(|child| child.timestamp += 1, |_| {}), Rule::Difficulty { .. }));
    assert!(matches!(unlinked(|child| child.uncle_count = 1, |_| {}), Rule::Difficulty { .. }));
}

#[test]
fn times_lie_after_the_parent_near_bitcoin_and_not_in_the_future() {
    assert_eq!(unlinked(|child| child.timestamp = 1_600_000_000, |_| {}), Rule::TimestampNotAfterParent);
    let future = |ahead: u64| alone(ORCHID, |draft| draft.timestamp += ahead);
    assert!(future(60).is_ok());
    assert_eq!(future(61).unwrap_err(), Rule::TimestampInFuture { ahead: 61, allowed: 60 });
    assert!(alone(IRIS, |draft| draft.bitcoin_time -= 299).is_ok());
    let late = broken(IRIS, |draft| draft.bitcoin_time -= 300);
    assert_eq!(late, Rule::BitcoinTime { difference: 300, allowed: 300 });
    assert!(alone(ORCHID, |draft| draft.bitcoin_time = 0).is_ok(), "no such rule before iris");
}

#[test]
fn gas_and_extra_data_have_bounds() {
    assert!(alone(ORCHID, |draft| draft.gas_limit = 3_000_000).is_ok());
    assert_eq!(broken(ORCHID, |draft| draft.gas_limit = 2_999_999), Rule::GasLimitMinimum);
    assert!(alone(ORCHID, |draft| draft.gas_used = 6_800_000).is_ok());
    assert_eq!(broken(ORCHID, |draft| draft.gas_used = 6_800_001), Rule::GasUsed);
    assert_eq!(broken(ORCHID, |draft| draft.gas_limit = 1 << 63), Rule::GasUsed, "read as a negative number");
    assert!(alone(ORCHID, |draft| draft.extra_data = vec![1; 32]).is_ok());
    assert_eq!(broken(ORCHID, |draft| draft.extra_data = vec![1; 33]), Rule::ExtraDataLength(33));
    // 6_800_000 * 1025 / 1024 = 6_806_640, * 1023 / 1024 = 6_793_359
    assert_eq!(unlinked(|child| child.gas_limit = 6_806_641, |_| {}), Rule::GasLimitStep);
    assert_eq!(unlinked(|child| child.gas_limit = 6_793_358, |_| {}), Rule::GasLimitStep);
    assert_eq!(unlinked(|child| child.minimum_gas_price = Some(1011), |_| {}), Rule::MinimumGasPriceStep);
    assert_eq!(unlinked(|child| child.minimum_gas_price = Some(989), |_| {}), Rule::MinimumGasPriceStep);
    assert_eq!(unlinked(|child| child.minimum_gas_price = None, |_| {}), Rule::MinimumGasPriceMissing);
    let tiny = |parent: &mut Draft| parent.minimum_gas_price = Some(5);
    assert_eq!(unlinked(|child| child.minimum_gas_price = Some(7), tiny), Rule::MinimumGasPriceStep);
}

#[test]
fn the_proof_has_its_form() {
    let rule = |spoil| broken(IRIS, |draft| draft.spoil = spoil);
    let params = Params::mainnet();
    let bare = Draft::at(ORCHID).encode(&params, None);
    assert_eq!(check(&params, bare, None).unwrap_err(), Rule::MergedMiningMissing);
    assert_eq!(rule(|mut mining| (mining.proof.push(0), mining).1), Rule::MerkleProofFormat(65));
    assert_eq!(rule(|mut mining| (mining.proof = vec![0; 992], mining).1), Rule::MerkleProofLength(992));
    assert_eq!(rule(|mut mining| (mining.coinbase.clear(), mining).1), Rule::CoinbaseMissing);
    assert_eq!(rule(|mut mining| (mining.header.pop(), mining).1), Rule::BitcoinHeaderLength(79));
    assert_eq!(rule(|mut mining| (mining.coinbase.truncate(39), mining).1), Rule::CoinbaseMidstate(39));
    assert_eq!(broken(IRIS, |draft| draft.difficulty = u64::MAX), Rule::ProofOfWork);
    assert_eq!(Rule::ProofOfWork.blame(), Blame::Peer);
}

#[test]
fn the_coinbase_commits_to_the_header_in_one_way() {
    let flip = |draft: &mut Draft| draft.spoil = |mut mining| (mining.coinbase[45] ^= 1, mining).1;
    assert_eq!(broken(ORCHID, flip), Rule::TagMissing);
    assert_eq!(broken(IRIS, flip), Rule::ForkDetectionDataMissing);
    assert!(alone(ORCHID, |draft| draft.before_tag = vec![0; 63]).is_ok());
    assert_eq!(broken(ORCHID, |draft| draft.before_tag = vec![0; 64]), Rule::TagPosition(64));
    assert_eq!(broken(ORCHID, |draft| draft.after_hash = b"RSKBLOCK:".to_vec()), Rule::TagNotLast);
    assert!(alone(ORCHID, |draft| draft.after_hash = vec![0; 128]).is_ok());
    assert_eq!(broken(ORCHID, |draft| draft.after_hash = vec![0; 129]), Rule::BytesAfterTag(129));
    // the tail has 1 + 9 + 32 + 8 bytes
    assert!(alone(ORCHID, |draft| draft.byte_count = 15).is_ok());
    assert_eq!(broken(ORCHID, |draft| draft.byte_count = 14), Rule::CoinbaseLength);
    assert_eq!(broken(ORCHID, |draft| draft.byte_count = 1 << 63), Rule::CoinbaseLength);
}

#[test]
fn the_branch_leads_to_the_root() {
    let flip = |draft: &mut Draft| draft.spoil = |mut mining| (mining.proof[0] ^= 1, mining).1;
    assert_eq!(broken(ORCHID, flip), Rule::MerkleRoot);
    let reversed = |draft: &mut Draft| draft.spoil = |mut mining| (mining.proof[..32].reverse(), mining).1;
    assert!(alone(ORCHID, reversed).is_ok(), "a sibling of equal bytes has one order");
    let disguised = (0..).find_map(|salt: u32| {
        let outcome = alone(ORCHID, |draft| {
            draft.before_tag = salt.to_be_bytes().to_vec();
            let sibling = &mut draft.siblings[0];
            *sibling = [0; 32];
            // as the second half of a transaction: script of 2 bytes, 1 output of 9 satoshis, script of 2 bytes
            (sibling[9], sibling[16], sibling[17], sibling[25]) = (2, 1, 9, 2);
        });
        outcome.err()
    });
    assert_eq!(disguised, Some(Rule::SixtyFourByteTransaction));
}

#[test]
fn below_orchid_the_proof_is_a_partial_tree_or_a_signature() {
    let rule = |spoil| broken(BELOW_ORCHID, |draft| draft.spoil = spoil);
    assert_eq!(rule(|mut mining| (mining.proof.push(0), mining).1), Rule::PartialTreeSize);
    assert_eq!(rule(|mut mining| (mining.proof[0] = 0, mining).1), Rule::PartialTreeStructure);
    assert_eq!(rule(|mut mining| (mining.proof[5] ^= 1, mining).1), Rule::MerkleRoot);
    let unmatched = |mut mining: draft::Mining| {
        if let Some(flags) = mining.proof.last_mut() {
            *flags = 0;
        }
        mining
    };
    assert_eq!(rule(unmatched), Rule::PartialTreeMatch);
    let signed = |mining: draft::Mining| draft::Mining { proof: vec![], coinbase: vec![], ..mining };
    assert_eq!(rule(signed), Rule::FallbackSignature);
    let difficult = |draft: &mut Draft| (draft.difficulty, draft.spoil) = (14_000_000_000_000_001, signed);
    assert_eq!(broken(BELOW_ORCHID, difficult), Rule::PartialTreeSize, "too difficult to be signed");
}

#[test]
fn fork_detection_data_is_that_of_the_ancestors() {
    let params = Params::mainnet();
    let mark = Mark { bitcoin_hash_byte: 9, uncle_count: 1 };
    let window = ForkWindow::new(BlockNumber(IRIS - 1), [mark; 449]);
    let draft = Draft { fork_data: window.expected().unwrap(), ..Draft::at(IRIS) };
    assert_eq!(fork_data(&params, &draft.mine(&params), &window), Ok(()));
    let other = Draft { fork_data: [0; 12], ..draft.clone() }.mine(&params);
    let expected = "0909090909090920003d0900".to_owned();
    let actual = "0".repeat(24);
    assert_eq!(fork_data(&params, &other, &window), Err(Rule::ForkDetectionData { actual, expected }));
    let short = ForkWindow::new(BlockNumber(IRIS - 1), [mark; 448]);
    let history = fork_data(&params, &draft.mine(&params), &short).unwrap_err();
    assert_eq!((history.blame(), history), (Blame::Local, Rule::ForkDetectionHistory));
    assert_eq!(fork_data(&params, &Draft::at(ORCHID).mine(&params), &short), Ok(()), "not before wasabi");
}

#[test]
fn a_run_starts_at_genesis_or_at_a_checkpoint() {
    let params = Params::regtest();
    let genesis = crate::codec::genesis(&params).unwrap();
    let other = Draft { number: 0, ..Draft::at(0) }.encode(&params, None);
    assert_eq!(Sequence::at_genesis(&params, other).unwrap_err(), Rule::Genesis);
    let mut run = Sequence::at_genesis(&params, genesis.clone()).unwrap();
    let child = Draft::child_of(&genesis).mine(&params);
    let checked = verify(&params, child.clone(), &genesis, Some(run.window()), None).unwrap();
    assert_eq!(run.push(&params, checked.clone()), Ok(()));
    assert_eq!(run.last(), &child);
    assert!(matches!(run.push(&params, checked), Err(Rule::Number { .. })));
}

#[test]
fn an_impossible_byte_count_is_valid_but_not_canonical() {
    let valid = alone(ORCHID, |draft| draft.byte_count = (1 << 61) + 64).unwrap();
    assert_eq!(canonical(valid.header()), Err(Rule::CoinbaseByteCount));
    assert_eq!(canonical(alone(ORCHID, |_| {}).unwrap().header()), Ok(()));
}

#[test]
fn regtest_has_no_rules_about_time() {
    let params = Params::regtest();
    let genesis = crate::codec::genesis(&params).unwrap();
    let late = Draft { timestamp: 4_000_000_000, ..Draft::child_of(&genesis) };
    let early = |parent: &Header| Draft { timestamp: 1, ..Draft::child_of(parent) };
    let late = late.mine(&params);
    assert!(verify(&params, late.clone(), &genesis, None, Some(Timestamp(0))).is_ok());
    assert!(verify(&params, early(&late).mine(&params), &late, None, Some(Timestamp(0))).is_ok());
}
