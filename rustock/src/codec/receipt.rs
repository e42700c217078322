//! Transaction receipts and the bloom filter of their logs. Decoding only: nothing here makes receipts.
//!
//! Mirrors `org/ethereum/core/{TransactionReceipt,Bloom}.java` and `org/ethereum/vm/LogInfo.java`.

use super::{
    keccak::keccak256,
    rlp::{Items, Result},
};

/// Bytes of a bloom filter.
pub const BLOOM_LEN: usize = 256;

/// What executing a transaction left behind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Receipt {
    /// Gas of this and the transactions before it in the block, big-endian.
    pub cumulative_gas: Vec<u8>,
    /// Gas of this transaction, big-endian.
    pub gas_used: Vec<u8>,
    /// Filter over the logs.
    pub logs_bloom: [u8; BLOOM_LEN],
    /// Logs in order.
    pub logs: Vec<Log>,
    /// One byte 1 after success, nothing after failure.
    pub status: Vec<u8>,
}

/// One log of a contract.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Log {
    /// The contract.
    pub address: Vec<u8>,
    /// Topics in order.
    pub topics: Vec<[u8; 32]>,
    /// Data.
    pub data: Vec<u8>,
}

impl Receipt {
    /// Decodes a receipt.
    ///
    /// # Errors
    /// The bytes are no receipt.
    pub fn decode(bytes: &[u8]) -> Result<Self> {
        let mut fields = Items::of_list(bytes)?;
        fields.string()?; // the state afterwards: the status since there is one
        let cumulative_gas = fields.string()?.to_vec();
        let logs_bloom = fields.array()?;
        let mut list = fields.list()?;
        let mut logs = Vec::new();
        while !list.is_empty() {
            logs.push(Log::decode(list.list()?)?);
        }
        let gas_used = fields.string()?.to_vec();
        let status = if fields.is_empty() { Vec::new() } else { fields.string()?.to_vec() };
        fields.finish()?;
        Ok(Self { cumulative_gas, gas_used, logs_bloom, logs, status })
    }
}

impl Log {
    fn decode(mut fields: Items<'_>) -> Result<Self> {
        let address = fields.string()?.to_vec();
        let mut list = fields.list()?;
        let mut topics = Vec::new();
        while !list.is_empty() {
            topics.push(list.array()?);
        }
        let data = fields.string()?.to_vec();
        fields.finish()?;
        Ok(Self { address, topics, data })
    }
}

/// Whether a filter says that `value` (an address or a topic) may be among the logs. It never says no wrongly.
#[must_use]
pub fn bloom_may_hold(bloom: &[u8], value: &[u8]) -> bool {
    let hash = keccak256(&[value]);
    hash.chunks(2).take(3).all(|pair| {
        let [high, low] = *pair else { return false };
        let bit = usize::from(u16::from_be_bytes([high & 7, low]));
        // Bit 0 is the last bit of the last byte.
        let byte = BLOOM_LEN.checked_sub(1 + bit / 8).and_then(|at| bloom.get(at));
        byte.is_some_and(|byte| byte >> (bit % 8) & 1 == 1)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::rlp::encode_list;

    #[test]
    fn a_receipt_reads_back_with_its_logs() {
        let bytes = encode_list(|list| {
            list.string(&[1]).u64(21_000).string(&[0; BLOOM_LEN]);
            list.list(|logs| {
                logs.list(|log| {
                    log.string(&[7; 20]);
                    log.list(|topics| {
                        topics.string(&[9; 32]);
                    });
                    log.string(b"data");
                });
            });
            list.u64(21_000).string(&[1]);
        });
        let receipt = Receipt::decode(&bytes).unwrap();
        assert_eq!(
            receipt.logs,
            [Log { address: vec![7; 20], topics: vec![[9; 32]], data: b"data".to_vec() }]
        );
        assert_eq!((receipt.status, receipt.gas_used), (vec![1], vec![0x52, 0x08]));
        assert!(Receipt::decode(&bytes[1..]).is_err());
    }

    #[test]
    fn an_empty_filter_holds_nothing_and_a_full_one_anything() {
        assert!(!bloom_may_hold(&[0; BLOOM_LEN], b"anything"));
        assert!(bloom_may_hold(&[0xff; BLOOM_LEN], b"anything"));
        assert!(!bloom_may_hold(&[0xff; 3], b"anything"), "a filter of another length holds nothing");
    }
}
