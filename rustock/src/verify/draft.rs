//! Headers for tests: a draft with every field open to change, mined to the work it states.

use std::convert::identity;

use super::difficulty::meets_target;
use crate::{
    codec::{
        decode_header,
        header::{EMPTY_UNCLES_HASH, MERGED_MINING_TAG},
        rlp::{Encoder, encode_list},
        sha256::{resume_and_hash_twice, sha256d_header, sha256d_pair},
    },
    params::{Params, Rskip},
    types::{BlockHash, BlockNumber, Difficulty, ForkDetectionData, Header},
};

/// A header to be; [`Draft::mine`] fills in a proof that fits.
#[derive(Clone)]
pub(crate) struct Draft {
    pub(crate) parent: BlockHash,
    pub(crate) number: u64,
    pub(crate) difficulty: u64,
    pub(crate) timestamp: u64,
    pub(crate) gas_limit: u64,
    pub(crate) gas_used: u64,
    pub(crate) extra_data: Vec<u8>,
    pub(crate) paid_fees: u64,
    pub(crate) minimum_gas_price: Option<u64>,
    pub(crate) uncle_count: u64,
    /// Bytes that the midstate stands for.
    pub(crate) byte_count: u64,
    pub(crate) before_tag: Vec<u8>,
    pub(crate) after_hash: Vec<u8>,
    pub(crate) fork_data: ForkDetectionData,
    /// In display byte order, as a header carries them.
    pub(crate) siblings: Vec<[u8; 32]>,
    pub(crate) bitcoin_time: u32,
    /// Last changes to Bitcoin header, proof and coinbase, after mining.
    pub(crate) spoil: fn(Mining) -> Mining,
}

/// The three merged-mining fields.
pub(crate) struct Mining {
    pub(crate) header: Vec<u8>,
    pub(crate) proof: Vec<u8>,
    pub(crate) coinbase: Vec<u8>,
}

impl Draft {
    /// A header that keeps every rule that looks at it alone, except that its difficulty is tiny.
    pub(crate) fn at(number: u64) -> Self {
        Self {
            parent: BlockHash([1; 32]),
            number,
            difficulty: 3,
            timestamp: 1_600_000_000,
            gas_limit: 6_800_000,
            gas_used: 21_000,
            extra_data: vec![],
            paid_fees: 0,
            minimum_gas_price: Some(1000),
            uncle_count: 0,
            byte_count: 64,
            before_tag: vec![0x6a],
            after_hash: vec![0xff; 8],
            fork_data: ForkDetectionData::default(),
            siblings: vec![[2; 32], [3; 32]],
            bitcoin_time: 1_600_000_000,
            spoil: identity,
        }
    }

    /// The child of a header on regtest: as hard as it must be, with a proof without siblings as its miners make it.
    pub(crate) fn child_of(parent: &Header) -> Self {
        Self {
            parent: parent.hash(),
            difficulty: 1,
            timestamp: parent.timestamp().0 + 10,
            gas_limit: parent.fields().gas_limit.to(),
            minimum_gas_price: Some(0),
            siblings: vec![],
            ..Self::at(parent.number().0 + 1)
        }
    }

    pub(crate) fn mine(&self, params: &Params) -> Header {
        let base = self.encode(params, None);
        let base_hash = base.fields().merged_mining_base;
        let mut hash = base_hash.0;
        if params.has_fork_detection_data(BlockNumber(self.number)) {
            hash[20..].copy_from_slice(&self.fork_data);
        }
        let tail = [&self.before_tag, &MERGED_MINING_TAG[..], &hash, &self.after_hash].concat();
        let mut midstate = [5; 40];
        midstate[..8].copy_from_slice(&self.byte_count.to_be_bytes());
        let coinbase_hash = resume_and_hash_twice(&midstate, &tail);
        let proof = if params.is_active(Rskip::R92, BlockNumber(self.number)) {
            self.siblings.as_flattened().to_vec()
        } else {
            [&[1, 0, 0, 0, 1], &coinbase_hash[..], &[1, 1]].concat()
        };
        let root = match params.is_active(Rskip::R92, BlockNumber(self.number)) {
            false => coinbase_hash,
            true => self.siblings.iter().fold(coinbase_hash, |node, sibling| {
                let mut right = *sibling;
                right.reverse();
                sha256d_pair(&node, &right)
            }),
        };
        let mut header = [0; 80];
        header[36..68].copy_from_slice(&root);
        header[68..72].copy_from_slice(&self.bitcoin_time.to_le_bytes());
        let mut nonce = 0_u32;
        while !meets_target(&sha256d_header(&header), Difficulty::from_u64(self.difficulty.min(3))) {
            nonce += 1;
            header[76..].copy_from_slice(&nonce.to_le_bytes());
        }
        let mining = Mining { header: header.to_vec(), proof, coinbase: [&midstate[..], &tail].concat() };
        self.encode(params, Some((self.spoil)(mining)))
    }

    pub(crate) fn encode(&self, params: &Params, mining: Option<Mining>) -> Header {
        let number = BlockNumber(self.number);
        let extension_data = if params.is_active(Rskip::R351, number) {
            encode_list(|list| {
                list.u64(2).string(&[8; 32]);
            })
        } else {
            vec![0; 256]
        };
        let wire = encode_list(|list: &mut Encoder| {
            list.string(&self.parent.0).string(&EMPTY_UNCLES_HASH).string(&[4; 20]);
            list.string(&[5; 32]).string(&[6; 32]).string(&[7; 32]).string(&extension_data);
            list.signed(&self.difficulty.to_be_bytes())
                .u64(self.number)
                .signed(&self.gas_limit.to_be_bytes());
            list.u64(self.gas_used).u64(self.timestamp).string(&self.extra_data).u64(self.paid_fees);
            match self.minimum_gas_price {
                Some(price) => list.signed(&price.to_be_bytes()),
                None => list.string(&[]),
            };
            list.u64(self.uncle_count);
            if params.is_active(Rskip::Umm, number) {
                list.string(&[]);
            }
            if let Some(mining) = mining {
                list.string(&mining.header).string(&mining.proof).string(&mining.coinbase);
            }
        });
        decode_header(params, wire.into()).expect("the draft is canonical")
    }
}
