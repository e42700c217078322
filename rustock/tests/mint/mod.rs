//! Makes chains of version 2 headers that keep every rule of regtest: proof of work (one try in three succeeds there),
//! links, gas, fork-detection data. For tests and measurements that need more headers than a recording holds.

#![allow(clippy::expect_used, dead_code, unreachable_pub)] // shared by several binaries, each of which uses a part

use rustock::{
    codec::{
        decode_header, genesis,
        header::{EMPTY_UNCLES_HASH, MERGED_MINING_TAG},
        rlp::encode_list,
        sha256::{MIDSTATE_LEN, resume_and_hash_twice, sha256d_header},
    },
    params::Params,
    types::{Difficulty, Header},
    verify::{ForkWindow, difficulty::meets_target, fork_detection::Mark},
};

/// The end of a chain that can be continued.
#[derive(Clone)]
pub struct Mint {
    params: Params,
    last: Header,
    window: ForkWindow,
    branch: u8,
}

impl Mint {
    /// At the genesis of regtest.
    pub fn new() -> Self {
        let params = Params::regtest();
        let last = genesis::genesis(&params).expect("regtest has a genesis");
        let window = ForkWindow::new(last.number(), [Mark::of(&last)]);
        Self { params, last, window, branch: 0 }
    }

    /// From here on other blocks than those of every other branch.
    pub fn branch(&self, branch: u8) -> Self {
        Self { branch, ..self.clone() }
    }

    /// Headers in their wire encoding, ascending.
    pub fn make(&mut self, count: usize) -> Vec<Vec<u8>> {
        (0..count).map(|_| self.next()).collect()
    }

    /// The last header that was made.
    pub fn last(&self) -> &Header {
        &self.last
    }

    fn next(&mut self) -> Vec<u8> {
        let base = self.encode(None);
        let mut commitment =
            decode_header(&self.params, base.into()).expect("it is canonical").fields().merged_mining_base.0;
        if let Some(data) = self.window.expected().filter(|_| self.last.number().0 >= 449) {
            commitment[20..].copy_from_slice(&data);
        }
        let mut coinbase = vec![5; MIDSTATE_LEN];
        coinbase[..8].copy_from_slice(&64_u64.to_be_bytes());
        coinbase.extend_from_slice(&[0x6a]);
        coinbase.extend_from_slice(MERGED_MINING_TAG);
        coinbase.extend_from_slice(&commitment);
        coinbase.extend_from_slice(&[0xff; 4]);
        let (midstate, tail) = coinbase.split_first_chunk().expect("it is long enough");
        let mut bitcoin = [0; 80];
        bitcoin[36..68].copy_from_slice(&resume_and_hash_twice(midstate, tail));
        let mut nonce = 0_u32;
        while !meets_target(&sha256d_header(&bitcoin), Difficulty::from_u64(1)) {
            nonce += 1;
            bitcoin[76..].copy_from_slice(&nonce.to_le_bytes());
        }
        let wire = self.encode(Some((&bitcoin, &coinbase)));
        self.last = decode_header(&self.params, wire.clone().into()).expect("it is canonical");
        self.window.push(Mark::of(&self.last));
        wire
    }

    fn encode(&self, mining: Option<(&[u8], &[u8])>) -> Vec<u8> {
        let last = &self.last;
        let number = last.number().0 + 1;
        let extension = encode_list(|list| {
            list.u64(2).string(&[8; 32]);
        });
        encode_list(|list| {
            list.string(last.hash().as_bytes()).string(&EMPTY_UNCLES_HASH).string(&[4; 20]);
            list.string(&[5; 32]).string(&[6; 32]).string(&[7; 32]).string(&extension);
            list.signed(&[1]).u64(number).string(last.bytes(last.fields().gas_limit_bytes));
            list.u64(0).u64(last.timestamp().0 + 10).string(&[self.branch]).u64(0).signed(&[0]);
            list.u64(0).string(&[]);
            if let Some((bitcoin, coinbase)) = mining {
                list.string(bitcoin).string(&[]).string(coinbase);
            }
        })
    }
}
