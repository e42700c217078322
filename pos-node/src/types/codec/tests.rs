//! The layout against `bincode`, and what decoding does with bytes that nobody encoded.

use super::*;
use crate::types::{
    block::{Body, ExecSummary, SignedBlock},
    operation::{
        Attestation, AttestationData, AttesterSlashing, Checkpoint, FinalitySlashing, FinalityVote, Fork,
        IndexedAttestation, ProposerSlashing, SignedFinalityVote, SignedHeader, SignedVoluntaryExit,
        SingleAttestation,
    },
    params::{Config, Params},
    primitives::{Address, Bitlist, List, PublicKey, Root, Signature},
    transaction::{Action, Auth, Event, ProposalKind, Receipt, Tx, TxBody},
};
use proptest::prelude::*;
use std::fmt::Debug;

fn oracle<T: bincode::Encode>(value: &T) -> Vec<u8> {
    let layout = bincode::config::standard().with_fixed_int_encoding().with_little_endian();
    bincode::encode_to_vec(value, layout).expect("encodes")
}

/// Whatever decodes is the encoding of what it decodes to.
fn canonical<T: Wire + PartialEq + Debug>(bytes: &[u8]) {
    if let Ok(value) = decode::<T>(bytes, usize::MAX) {
        assert_eq!(encode(&value), bytes, "{value:?}");
    }
}

fn every_type(bytes: &[u8]) {
    macro_rules! each {
        ($($ty:ty),* $(,)?) => { $(canonical::<$ty>(bytes);)* };
    }
    each!(
        bool,
        u128,
        Option<u16>,
        Bitlist<8192>,
        List<u64, 8192>,
        Checkpoint,
        Fork,
        Attestation,
        SingleAttestation,
        IndexedAttestation,
        AttesterSlashing,
        ProposerSlashing,
        FinalitySlashing,
        SignedVoluntaryExit,
        ExecSummary,
        Body,
        SignedBlock,
        Auth,
        Action,
        ProposalKind,
        TxBody,
        Tx,
        Event,
        Receipt,
        Config,
    );
}

fn data(byte: u8) -> AttestationData {
    let checkpoint = Checkpoint { epoch: u64::from(byte) << 33, root: Root([byte; 32]) };
    AttestationData {
        slot: byte.into(),
        index: 0,
        beacon_block_root: Root([byte; 32]),
        source: checkpoint,
        target: checkpoint,
    }
}

fn indexed(indices: &[u64], byte: u8) -> IndexedAttestation {
    IndexedAttestation {
        attesting_indices: List::new(indices.to_vec()).expect("bounded"),
        data: data(byte),
        signature: Signature([byte; 96]),
    }
}

fn block(byte: u8, indices: &[u64], bits: &[bool]) -> SignedBlock {
    let attestation = Attestation {
        aggregation_bits: Bitlist::from_bools(bits).expect("bounded"),
        data: data(byte),
        signature: Signature([byte; 96]),
    };
    let header = SignedHeader::default();
    let vote = SignedFinalityVote { validator_index: 3, vote: FinalityVote::default(), ..Default::default() };
    let slashing = AttesterSlashing { attestation_1: indexed(indices, byte), attestation_2: indexed(&[], 1) };
    let body = Body {
        graffiti: [byte; 32],
        protocol_version: u32::from(byte) << 20,
        proposer_slashings: List::new(vec![ProposerSlashing {
            signed_header_1: header,
            signed_header_2: header,
        }])
        .expect("one"),
        attester_slashings: List::new(vec![slashing]).expect("one"),
        finality_slashings: List::new(vec![FinalitySlashing { vote_1: vote, vote_2: vote }]).expect("one"),
        attestations: List::new(vec![attestation]).expect("one"),
        voluntary_exits: List::new(vec![SignedVoluntaryExit::default()]).expect("one"),
        tx_ids: List::new(indices.iter().map(|_| Root([byte; 32])).collect()).expect("bounded"),
        ..Body::default()
    };
    SignedBlock { header, body }
}

fn action(choice: u8, byte: u8, numbers: &[u64]) -> Action {
    let address = Address([byte; 32]);
    let number = numbers.first().copied().unwrap_or(0);
    match choice % 14 {
        0 => Action::Transfer { to: address, amount: number },
        1 => Action::MultiTransfer {
            transfers: List::new(numbers.iter().map(|amount| (address, *amount)).collect()).expect("few"),
        },
        2 => Action::RegisterValidator {
            pubkey: PublicKey([byte; 48]),
            proof: Signature([byte; 96]),
            amount: number,
            commission_bps: byte.into(),
            max_commission_bps: 500,
            effective_cap: number,
            fee_recipient: address,
        },
        3 => Action::Delegate { validator: number, amount: 1 },
        4 => Action::Undelegate { validator: number, shares: u128::from(number) << 64 },
        5 => Action::Redelegate { from: number, to: 2, shares: number.into() },
        6 => Action::EditValidator {
            validator: number,
            commission_bps: byte.is_multiple_of(2).then_some(byte.into()),
            fee_recipient: byte.is_multiple_of(3).then_some(address),
        },
        7 => Action::ExitValidator { validator: number },
        8 => Action::Deploy { code: list(byte), init: list(3), value: number },
        9 => Action::Call { contract: address, input: list(byte), value: number },
        10 => Action::Vote { proposal: number, validator: 1, option: byte },
        11 => Action::CancelProposal { proposal: number },
        other => Action::Propose {
            kind: match (other, byte % 2) {
                (12, 0) => ProposalKind::Text {},
                (12, _) => ProposalKind::Spend { to: address, amount: number },
                (_, 0) => {
                    ProposalKind::ParamChange { changes: List::new(vec![(1, number), (2, 3)]).expect("few") }
                }
                _ => ProposalKind::Upgrade {
                    protocol_version: 2,
                    fork_version: [0, 0, 0, byte],
                    activation_epoch: number,
                    name: list(byte % 140),
                },
            },
            deposit: number,
            title: list(byte % 140),
            body_hash: Root([byte; 32]),
        },
    }
}

fn list<const N: usize>(len: u8) -> List<u8, N> {
    List::new(vec![len; len.into()]).expect("short")
}

fn tx(choice: u8, byte: u8, numbers: &[u64]) -> Tx {
    let auth = if byte.is_multiple_of(2) {
        Auth::Single { pubkey: [byte; 32], signature: [1; 64] }
    } else {
        Auth::Multi {
            k: 2,
            keys: List::new(vec![[1; 32], [2; 32], [byte | 4; 32]]).expect("few"),
            signatures: List::new(vec![(0, [byte; 64]), (2, [3; 64])]).expect("few"),
        }
    };
    let body = TxBody {
        chain_id: 1,
        nonce: numbers.len() as u64,
        valid_until: 3,
        gas_limit: u64::MAX,
        max_fee: 4,
        tip: 5,
        action: action(choice, byte, numbers),
    };
    Tx { auth, body }
}

/// The variants of [`Auth`] for the oracle.
#[derive(bincode::Encode)]
enum AuthLayout {
    Single([u8; 32], [u8; 64]),
    Multi(u8, Vec<[u8; 32]>, Vec<(u8, [u8; 64])>),
}

/// The first variants of [`Action`] for the oracle; their order is their tag.
#[derive(bincode::Encode)]
enum ActionLayout {
    Transfer([u8; 32], u64),
    MultiTransfer(Vec<([u8; 32], u64)>),
    _Register,
    Delegate(u64, u64),
    Undelegate(u64, u128),
    Redelegate(u64, u64, u128),
    EditValidator(u64, Option<u16>, Option<[u8; 32]>),
    ExitValidator(u64),
}

fn auth_layout(auth: &Auth) -> AuthLayout {
    match auth {
        Auth::Single { pubkey, signature } => AuthLayout::Single(*pubkey, *signature),
        Auth::Multi { k, keys, signatures } => AuthLayout::Multi(*k, keys.to_vec(), signatures.to_vec()),
    }
}

fn action_layout(action: &Action) -> ActionLayout {
    match action {
        Action::Transfer { to, amount } => ActionLayout::Transfer(to.0, *amount),
        Action::MultiTransfer { transfers } => {
            ActionLayout::MultiTransfer(transfers.iter().map(|(to, amount)| (to.0, *amount)).collect())
        }
        Action::Delegate { validator, amount } => ActionLayout::Delegate(*validator, *amount),
        Action::Undelegate { validator, shares } => ActionLayout::Undelegate(*validator, *shares),
        Action::Redelegate { from, to, shares } => ActionLayout::Redelegate(*from, *to, *shares),
        Action::EditValidator { validator, commission_bps, fee_recipient } => {
            ActionLayout::EditValidator(*validator, *commission_bps, fee_recipient.map(|address| address.0))
        }
        Action::ExitValidator { validator } => ActionLayout::ExitValidator(*validator),
        other => panic!("{other:?} is not compared"),
    }
}

type CheckpointLayout = (u64, [u8; 32]);
type DataLayout = (u64, u64, [u8; 32], CheckpointLayout, CheckpointLayout);

fn data_layout(data: &AttestationData) -> DataLayout {
    let checkpoint = |checkpoint: &Checkpoint| (checkpoint.epoch, checkpoint.root.0);
    (data.slot, data.index, data.beacon_block_root.0, checkpoint(&data.source), checkpoint(&data.target))
}

proptest! {
    #[test]
    fn layouts_equal_those_of_bincode(
        choice in prop_oneof![0u8..2, 3u8..8],
        byte in any::<u8>(),
        numbers in proptest::collection::vec(any::<u64>(), 0..9),
    ) {
        let tx = tx(choice, byte, &numbers);
        let body = &tx.body;
        let layout = (
            auth_layout(&tx.auth),
            (body.chain_id, body.nonce, body.valid_until, body.gas_limit, body.max_fee, body.tip),
            action_layout(&body.action),
        );
        prop_assert_eq!(encode(&tx), oracle(&layout));
        let indexed = indexed(&numbers, byte);
        let layout = (numbers, data_layout(&indexed.data), indexed.signature.0);
        prop_assert_eq!(encode(&indexed), oracle(&layout));
    }

    #[test]
    fn values_come_back_and_changed_bytes_are_refused_or_canonical(
        choice in any::<u8>(),
        byte in any::<u8>(),
        numbers in proptest::collection::vec(any::<u64>(), 0..9),
        bits in proptest::collection::vec(any::<bool>(), 0..40),
        flips in proptest::collection::vec((any::<proptest::sample::Index>(), any::<u8>()), 0..3),
        cut in proptest::option::of(any::<proptest::sample::Index>()),
    ) {
        let (tx, block) = (tx(choice, byte, &numbers), block(byte, &numbers, &bits));
        let config =
            Config { params: Params::minimal(), chain_id: 1, genesis_fork_version: [0, 0, 0, 1], genesis_time: 2 };
        prop_assert_eq!(decode::<Tx>(&encode(&tx), usize::MAX), Ok(tx.clone()));
        prop_assert_eq!(decode::<SignedBlock>(&encode(&block), usize::MAX), Ok(block.clone()));
        for mut bytes in [encode(&tx), encode(&block), encode(&block.body), encode(&config)] {
            if let Some(cut) = cut {
                bytes.truncate(cut.index(bytes.len()));
            }
            for (at, value) in &flips {
                if !bytes.is_empty() {
                    let at = at.index(bytes.len());
                    bytes[at] = *value;
                }
            }
            every_type(&bytes);
        }
    }

    #[test]
    fn arbitrary_bytes_never_panic_and_decode_to_their_own_encoding(
        bytes in proptest::collection::vec(prop_oneof![3 => Just(0u8), 1 => Just(1u8), 1 => any::<u8>()], 0..700),
    ) {
        every_type(&bytes);
    }
}

#[test]
fn lengths_flags_tags_and_padding_are_checked() {
    let huge = [u64::MAX.to_le_bytes().as_slice(), &[0; 64]].concat();
    assert!(matches!(
        decode::<List<u64, 8192>>(&huge, 1024),
        Err(DecodeError::Bytes(ReadError::TooLong { .. }))
    ));
    let missing = [8000u64.to_le_bytes().as_slice(), &[0; 64]].concat();
    assert!(matches!(
        decode::<List<u64, 8192>>(&missing, 1024),
        Err(DecodeError::Bytes(ReadError::Short { .. }))
    ));
    assert_eq!(decode::<bool>(&[2], 9), Err(DecodeError::Flag(2)));
    assert_eq!(decode::<Option<u8>>(&[3, 0], 9), Err(DecodeError::Flag(3)));
    let unjail = decode::<Action>(&[13, 0, 0, 0], 9);
    assert_eq!(unjail, Err(DecodeError::Tag { kind: "Action", tag: 13 }));
    let bits = [3u64.to_le_bytes().as_slice(), &[0b1000]].concat();
    assert_eq!(decode::<Bitlist<8>>(&bits, 99), Err(DecodeError::Padding));
    assert!(decode::<u8>(&[1, 2], 9).is_err());
    assert!(decode::<u64>(&[0; 8], 7).is_err());
}
