//! Emergency blocks: when nodes make no blocks, two holders of four fixed keys can. Mirrors `src/emergencyblock.cpp`.

use fluxd_primitives::{
    BlockHash, OutPoint, PublicKey,
    codec::{Reader, compact_size},
};
use fluxd_script::ecdsa;

use crate::MAX_SIGNATURE;

/// What a network says about emergency blocks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EmergencyRules {
    /// The collateral that marks an emergency block.
    pub collateral: OutPoint,
    /// The keys that may sign.
    pub keys: Vec<PublicKey>,
    /// Distinct keys that must sign.
    pub required: usize,
    /// Regression tests: the number of signatures counts, not who made them.
    pub any_signature: bool,
}

impl EmergencyRules {
    /// True for the collateral of emergency blocks.
    #[must_use]
    pub fn is_emergency(&self, collateral: &OutPoint) -> bool {
        *collateral == self.collateral
    }

    /// True when enough distinct keys signed the block hash. Signatures that fit no key are skipped; one that is too
    /// long ends the search.
    #[must_use]
    pub fn check(&self, hash: &BlockHash, signatures: &[u8]) -> bool {
        let Some(signatures) = split(signatures, self.keys.len()) else {
            return false;
        };
        if signatures.len() < self.required {
            return false;
        }
        if self.any_signature {
            return true;
        }
        let mut unused: Vec<&PublicKey> = self.keys.iter().collect();
        for signature in signatures {
            if signature.len() > MAX_SIGNATURE {
                return false;
            }
            if let Some(signer) = unused.iter().position(|key| ecdsa::verify(key, &hash.0, &signature)) {
                unused.remove(signer);
            }
            if self.keys.len().saturating_sub(unused.len()) >= self.required {
                return true;
            }
        }
        false
    }
}

/// The signatures of a list of at most `most`, as the reference's stream leaves them: a list that is cut off keeps its
/// claimed number of elements, the one at the cut filled with zeros and those behind it empty.
fn split(bytes: &[u8], most: usize) -> Option<Vec<Vec<u8>>> {
    let mut reader = Reader::new(bytes);
    let count =
        usize::try_from(compact_size(&mut reader).unwrap_or_default()).ok().filter(|count| *count <= most)?;
    let mut signatures = Vec::with_capacity(count);
    for _ in 0..count {
        let length = compact_size(&mut reader)
            .ok()
            .and_then(|length| usize::try_from(length).ok())
            .unwrap_or_default();
        let Ok(signature) = reader.take(length) else {
            signatures.push(vec![0; length.min(MAX_SIGNATURE + 1)]);
            break;
        };
        signatures.push(signature.to_vec());
    }
    signatures.resize(count, Vec::new());
    Some(signatures)
}

#[cfg(test)]
mod tests {
    use fluxd_primitives::TxId;
    use secp256k1::{Message, SecretKey, ecdsa::Signature};

    use super::*;

    fn signature(secret: u8, hash: &BlockHash) -> Vec<u8> {
        let secret = SecretKey::from_secret_bytes([secret; 32]).expect("a scalar");
        let signed: Signature = secp256k1::ecdsa::sign(Message::from_digest(hash.0), &secret);
        signed.serialize_der().to_vec()
    }

    fn rules() -> EmergencyRules {
        let key = |secret: u8| {
            let secret = SecretKey::from_secret_bytes([secret; 32]).expect("a scalar");
            PublicKey::from_serialized(&secp256k1::PublicKey::from_secret_key(&secret).serialize())
        };
        EmergencyRules {
            collateral: OutPoint { txid: TxId([0x11; 32]), index: 0 },
            keys: (1..=4).map(key).collect(),
            required: 2,
            any_signature: false,
        }
    }

    fn list(signatures: &[Vec<u8>]) -> Vec<u8> {
        let mut bytes = vec![signatures.len() as u8];
        for signature in signatures {
            bytes.push(signature.len() as u8);
            bytes.extend(signature);
        }
        bytes
    }

    #[test]
    fn two_distinct_keys_are_enough_and_one_key_twice_is_not() {
        let hash = BlockHash([9; 32]);
        let (one, two, stranger) = (signature(1, &hash), signature(2, &hash), signature(7, &hash));
        assert!(rules().check(&hash, &list(&[one.clone(), two.clone()])));
        assert!(rules().check(&hash, &list(&[stranger.clone(), one.clone(), two.clone()])));
        assert!(!rules().check(&hash, &list(&[one.clone(), one.clone()])));
        assert!(!rules().check(&hash, &list(&[one.clone(), stranger])));
        assert!(!rules().check(&BlockHash([8; 32]), &list(&[one, two])));
    }

    #[test]
    fn an_oversized_signature_counts_only_before_the_second_good_one() {
        let hash = BlockHash([9; 32]);
        let (one, two, long) = (signature(1, &hash), signature(2, &hash), vec![0x30; 74]);
        assert!(rules().check(&hash, &list(&[one.clone(), two.clone(), long.clone()])));
        assert!(!rules().check(&hash, &list(&[one, long, two])));
    }

    #[test]
    fn bytes_after_the_list_are_ignored() {
        let hash = BlockHash([9; 32]);
        let mut bytes = list(&[signature(1, &hash), signature(2, &hash)]);
        bytes.extend([1, 2, 3]);
        assert!(rules().check(&hash, &bytes));
        assert!(!rules().check(&hash, &[]));
        bytes[0] = 4;
        assert!(rules().check(&hash, &bytes), "a list that is cut keeps its good signatures");
        bytes[0] = 5;
        assert!(!rules().check(&hash, &bytes), "more signatures than keys");
    }
}
