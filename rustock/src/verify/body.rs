//! Does a body belong to a header? The header commits to transactions, uncles and (versions 1 and 2) the extension by
//! hashes; a body that hashes to them is the block's, whoever sent it. Mirrors `BlockHashesHelper.java`,
//! `BlockUnclesHashValidationRule.java` and `BlockHeaderExtension.java`.

use bytes::Bytes;

use crate::{
    codec::{full::Extension, keccak::keccak256, rlp::Encoder, unitrie::list_root},
    params::{Params, Rskip},
    types::Header,
};

/// What a block has beside its header, proven by the header's hashes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Body {
    /// Encoded transactions in order; the last is the block's reward distribution.
    pub transactions: Vec<Bytes>,
    /// Encoded full headers of the uncles.
    pub uncles: Vec<Bytes>,
    /// What a header of version 1 or 2 keeps outside.
    pub extension: Option<Extension>,
}

/// Why a body is not the one of a header.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BodyError {
    /// The block is older than the trie that this daemon can build.
    #[error("transactions of a block before wasabi cannot be checked")]
    TooOld,
    /// `ProofOfTransactionsRoot`: the transactions hash to another root.
    #[error("transactions do not hash to the header's root")]
    Transactions,
    /// The uncles hash to another hash.
    #[error("uncles do not hash to the header's hash")]
    Uncles,
    /// The extension is missing, malformed, or not the one the header names.
    #[error("extension is not the one of the header")]
    Extension,
}

/// Checks what a peer sent as the body of `header`.
///
/// # Errors
/// The part that is not the block's.
pub fn verify_body(
    params: &Params,
    header: &Header,
    transactions: Vec<Bytes>,
    uncles: Vec<Bytes>,
    extension: Option<&[u8]>,
) -> Result<Body, BodyError> {
    if !params.is_active(Rskip::R126, header.number()) {
        return Err(BodyError::TooOld);
    }
    if list_root(&transactions) != header.transactions_root() {
        return Err(BodyError::Transactions);
    }
    let mut list = Encoder::new();
    list.list(|inner| {
        for uncle in &uncles {
            inner.raw(uncle);
        }
    });
    if keccak256(&[list.as_slice()]) != header.uncles_hash() {
        return Err(BodyError::Uncles);
    }
    let extension = match header.extension_data() {
        None => None,
        Some(data) => {
            let sent = extension.and_then(|bytes| Extension::decode(bytes).ok());
            Some(sent.filter(|sent| sent.data() == data).ok_or(BodyError::Extension)?)
        }
    };
    Ok(Body { transactions, uncles, extension })
}
