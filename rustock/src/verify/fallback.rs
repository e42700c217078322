//! Fallback mining: below orchid a header of low difficulty may be signed by one of two known keys instead of mined.
//!
//! Mirrors `ProofOfWorkRule.validFallbackBlockSignature`. The signature sits in the field of the Bitcoin header.

use secp256k1::{
    Message,
    ecdsa::{RecoverableSignature, RecoveryId},
};

use super::rule::Rule;
use crate::{
    codec::hash_for_merged_mining,
    params::{Params, Rskip},
    types::Header,
};

/// Uncompressed public keys of the fallback miners: of even heights, of odd heights.
const PUBLIC_KEYS: [&str; 2] = [
    "041e2b148c024770e19c4f31db2233cac791583df95b4d14a5e9fd4b38dc8254b3048f937f169446b19d2eca40db1dd93fab34c0cd8a310afd6e6211f9a89e4bca",
    "04b55031870df5de88bdb84f65bd1c6f8331c633e759caa5ac7cad3fa4f8a36791e995804bba1558ddcf330a67ff5bfa253fa1d8789735f97a97e849686527976e",
];

/// Half of the order of secp256k1, rounded down.
const HALF_ORDER: [u8; 32] = [
    0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x5d,
    0x57, 0x6e, 0x73, 0x57, 0xa4, 0x50, 0x1d, 0xdf, 0xe9, 0x2f, 0x46, 0x68, 0x1b, 0x20, 0xa0,
];

/// Is the header one that may be signed: below orchid, no coinbase, no proof, low difficulty?
pub(super) fn applies(params: &Params, header: &Header) -> bool {
    !params.is_active(Rskip::R98, header.number())
        && header.coinbase_transaction().is_empty()
        && header.merkle_proof().is_empty()
        && header.difficulty() <= params.fallback_mining_difficulty
}

/// Checks the signature over the hash for merged mining.
///
/// # Errors
/// It is not a signature by the key of this height.
pub(super) fn check(params: &Params, header: &Header) -> Result<(), Rule> {
    let [even, odd] = PUBLIC_KEYS;
    check_with_key(params, header, if header.number().0.is_multiple_of(2) { even } else { odd })
}

fn check_with_key(params: &Params, header: &Header, key: &str) -> Result<(), Rule> {
    let signer = signer(params, header).ok_or(Rule::FallbackSignature)?;
    if shared_vendor::hex::encode(signer) == key { Ok(()) } else { Err(Rule::FallbackSignature) }
}

fn signer(params: &Params, header: &Header) -> Option<[u8; 65]> {
    let list = lenient_items(header.bitcoin_header())?;
    let [(true, list)] = *list else { return None };
    let [(_, &[v]), (_, r), (_, s)] = *lenient_items(list)? else { return None };
    let recovery = RecoveryId::try_from(i32::from(v.checked_sub(27)?)).ok()?;
    let (r, s) = (positive(r)?, positive(s)?);
    if s >= HALF_ORDER {
        return None;
    }
    let mut compact = [0; 64];
    let (to_r, to_s) = compact.split_at_mut(32);
    to_r.copy_from_slice(&r);
    to_s.copy_from_slice(&s);
    let message = Message::from_digest(hash_for_merged_mining(params, header)?.0);
    let signature = RecoverableSignature::from_compact(&compact, recovery).ok()?;
    Some(signature.recover(message).ok()?.serialize_uncompressed())
}

/// A positive integer in the shortest two's complement form that fits 32 bytes.
fn positive(content: &[u8]) -> Option<[u8; 32]> {
    let digits = match content {
        [0, digits @ ..] if digits.first().is_some_and(|top| *top >= 0x80) => digits,
        [top, ..] if (1..0x80).contains(top) => content,
        _ => return None,
    };
    let mut out = [0; 32];
    out.get_mut(32_usize.checked_sub(digits.len())?..)?.copy_from_slice(digits);
    Some(out)
}

/// Items of RLP as the reference reads it here: lengths need not be in their shortest form. For a list inside, the
/// content is returned too, marked with `true`.
fn lenient_items(mut bytes: &[u8]) -> Option<Vec<(bool, &[u8])>> {
    const MAX_ITEMS: usize = 4;
    let mut items = Vec::new();
    while let [first, rest @ ..] = bytes {
        let (is_list, content, after) = match *first {
            0..0x80 => (false, bytes.get(..1)?, rest),
            first => {
                let short = usize::from(first & 0x3f);
                let (len, rest) = match short.checked_sub(55) {
                    None | Some(0) => (short, rest),
                    Some(digits) => {
                        let (digits, rest) = rest.split_at_checked(digits)?;
                        let len = digits.iter().try_fold(0_usize, |len, digit| {
                            len.checked_mul(256)?
                                .checked_add(usize::from(*digit))
                                .filter(|len| *len <= bytes.len())
                        })?;
                        (len, rest)
                    }
                };
                let (content, rest) = rest.split_at_checked(len)?;
                (first >= 0xc0, content, rest)
            }
        };
        items.push((is_list, content));
        bytes = after;
        if items.len() > MAX_ITEMS {
            return None;
        }
    }
    Some(items)
}

#[cfg(test)]
mod tests {
    use secp256k1::SecretKey;

    use super::*;
    use crate::codec::{decode_header, rlp};

    /// A header below orchid whose Bitcoin header field holds `signature`.
    fn header(number: u64, signature: &[u8]) -> Header {
        let wire = rlp::encode_list(|list| {
            for len in [32, 32, 20, 32, 32, 32, 256] {
                list.string(&vec![7; len]);
            }
            list.signed(&[5])
                .u64(number)
                .string(&[0x67, 0xc2, 0x80])
                .u64(0)
                .u64(1_500_000_000)
                .string(&[])
                .u64(0);
            list.signed(&[0]).u64(0).string(signature).string(&[]).string(&[]);
        });
        decode_header(&Params::mainnet(), wire.into()).unwrap()
    }

    fn sign(
        secret: &SecretKey,
        number: u64,
        edit: impl FnOnce(&mut u8, &mut Vec<u8>, &mut Vec<u8>),
    ) -> Header {
        let params = Params::mainnet();
        let digest = hash_for_merged_mining(&params, &header(number, &[1])).unwrap();
        let signature = RecoverableSignature::sign_ecdsa_recoverable(Message::from_digest(digest.0), secret);
        let (recovery, compact) = signature.serialize_compact();
        let mut v = 27 + recovery.to_u8();
        let signed = |digits: &[u8]| {
            let mut encoder = rlp::Encoder::new();
            encoder.signed(digits);
            rlp::Items::new(encoder.as_slice()).string().unwrap().to_vec()
        };
        let (mut r, mut s) = (signed(&compact[..32]), signed(&compact[32..]));
        edit(&mut v, &mut r, &mut s);
        let list = rlp::encode_list(|list| {
            list.string(&[v]).string(&r).string(&s);
        });
        header(number, &list)
    }

    #[test]
    fn a_signature_is_accepted_from_its_key_in_canonical_form_only() {
        let secret = SecretKey::from_secret_bytes([9; 32]).unwrap();
        let key = shared_vendor::hex::encode(secret.public_key().serialize_uncompressed());
        let check = |header: &Header| check_with_key(&Params::mainnet(), header, &key);
        for number in 1..20 {
            assert_eq!(check(&sign(&secret, number, |_, _, _| {})), Ok(()));
            assert!(check(&sign(&secret, number, |v, _, _| *v += 4)).is_err());
            assert!(check(&sign(&secret, number, |v, _, _| *v -= 27)).is_err());
            assert!(check(&sign(&secret, number, |_, r, _| r.insert(0, 0))).is_err());
            assert!(check(&sign(&secret, number, |_, _, s| s.clear())).is_err());
            assert_eq!(
                super::check(&Params::mainnet(), &sign(&secret, number, |_, _, _| {})),
                Err(Rule::FallbackSignature)
            );
        }
    }

    #[test]
    fn the_published_keys_are_points_of_the_curve() {
        for key in PUBLIC_KEYS {
            let bytes = shared_vendor::hex::decode(key).unwrap();
            assert!(secp256k1::PublicKey::from_slice(&bytes).is_ok());
        }
    }
}
