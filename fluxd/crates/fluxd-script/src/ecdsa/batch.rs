//! Many recoverable signatures at once: the same keys and verdicts as one by one, several times faster where the
//! processor has the instructions of the kernel.
//!
//! Whatever the kernel is not made for (malformed signatures, sums that meet themselves) is left to libsecp256k1.

use fluxd_primitives::PublicKey;

use super::{message_hash, recover, verify_message};

/// A text message with its signature and the key that should have made it.
#[derive(Debug, Clone)]
pub struct SignedMessage<'a> {
    /// Whose signature it should be.
    pub key: &'a PublicKey,
    /// 65 bytes, if it is well-formed.
    pub signature: &'a [u8],
    /// What is signed.
    pub message: Vec<u8>,
}

impl SignedMessage<'_> {
    /// True when the key made the signature.
    #[must_use]
    pub fn is_good(&self) -> bool {
        verify_message(self.key, self.signature, &self.message)
    }
}

/// [`verify_message`] of each.
#[must_use]
pub fn verify_messages(messages: &[SignedMessage<'_>]) -> Vec<bool> {
    let signatures: Vec<_> =
        messages.iter().map(|signed| (message_hash(&signed.message), signed.signature)).collect();
    let is_by = |(recovered, signed): (Option<PublicKey>, &SignedMessage<'_>)| {
        recovered.is_some_and(|key| key == *signed.key || key.id() == signed.key.id())
    };
    recover_all(&signatures).into_iter().zip(messages).map(is_by).collect()
}

/// [`recover`] of each hash with its signature.
#[must_use]
pub fn recover_all(signatures: &[([u8; 32], &[u8])]) -> Vec<Option<PublicKey>> {
    #[cfg(target_arch = "x86_64")]
    if let Some(keys) = wide::recover_all(signatures) {
        return keys;
    }
    signatures.iter().map(|(hash, signature)| recover(hash, signature)).collect()
}

#[cfg(target_arch = "x86_64")]
mod wide {
    use super::{PublicKey, recover};
    use crate::ecdsa::{
        kernel::{self, Job, Sum},
        scalar::{self, Scalar},
    };

    /// Fewer signatures are faster one by one.
    const FEWEST: usize = 4;

    /// The numbers of a signature that may have a key.
    struct Parsed {
        place: usize,
        r: Scalar,
        s: Scalar,
        x: [u64; 4],
        odd: bool,
    }

    pub(super) fn recover_all(signatures: &[([u8; 32], &[u8])]) -> Option<Vec<Option<PublicKey>>> {
        if signatures.len() < FEWEST {
            return None;
        }
        let parsed: Vec<Parsed> =
            signatures.iter().enumerate().filter_map(|(place, (_, bytes))| parse(place, bytes)).collect();
        let inverses = scalar::inverses(parsed.iter().map(|signature| signature.r));
        let jobs = parsed.iter().zip(inverses).filter_map(|(parsed, inverse)| {
            let hash = scalar::reduced(&scalar::from_bytes(&signatures.get(parsed.place)?.0));
            let a = scalar::negated(&scalar::product(&hash, &inverse));
            Some(Job { x: parsed.x, odd: parsed.odd, a, b: scalar::product(&parsed.s, &inverse) })
        });
        let sums = kernel::sums(&jobs.collect::<Vec<_>>())?;
        let mut done = parsed.iter().zip(sums).peekable();
        let key = |(place, (hash, bytes)): (usize, &([u8; 32], &[u8]))| match done
            .next_if(|(parsed, _)| parsed.place == place)
        {
            Some((_, Sum::Point(x, y))) => Some(serialized(x, y, bytes.first()?.wrapping_sub(27) & 4 != 0)),
            Some((_, Sum::NoPoint)) => None,
            Some((_, Sum::Unsure)) | None => recover(hash, bytes),
        };
        Some(signatures.iter().enumerate().map(key).collect())
    }

    fn parse(place: usize, signature: &[u8]) -> Option<Parsed> {
        let (header, compact) = signature.split_first()?;
        let compact: &[u8; 64] = compact.try_into().ok()?;
        let candidate = header.wrapping_sub(27);
        let [r, s] = [compact.first_chunk()?, compact.last_chunk()?].map(scalar::from_bytes);
        if !(scalar::is_sound(&r) && scalar::is_sound(&s)) {
            return None;
        }
        let x = if candidate & 2 == 0 { r } else { scalar::plus_order(&r)? };
        Some(Parsed { place, r, s, x, odd: candidate & 1 == 1 })
    }

    fn serialized([x0, x1, x2, x3]: [u64; 4], [y0, y1, y2, y3]: [u64; 4], compressed: bool) -> PublicKey {
        let mut bytes = [0; 65];
        bytes[0] = if compressed { 2 + u8::from(y0 & 1 == 1) } else { 4 };
        for (bytes, word) in
            bytes[1..].as_chunks_mut::<8>().0.iter_mut().zip([x3, x2, x1, x0, y3, y2, y1, y0])
        {
            *bytes = word.to_be_bytes();
        }
        PublicKey::from_serialized(if compressed { &bytes[..33] } else { &bytes })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use secp256k1::{Message, PublicKey as Point, Scalar, SecretKey, ecdsa::RecoverableSignature};

    use super::*;

    const ORDER: [u8; 32] = [
        0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xfe, 0xba,
        0xae, 0xdc, 0xe6, 0xaf, 0x48, 0xa0, 0x3b, 0xbf, 0xd2, 0x5e, 0x8c, 0xd0, 0x36, 0x41, 0x41,
    ];
    /// The factor of the curve's endomorphism.
    const LAMBDA: [u8; 32] = [
        0x53, 0x63, 0xad, 0x4c, 0xc0, 0x5c, 0x30, 0xe0, 0xa5, 0x26, 0x1c, 0x02, 0x88, 0x12, 0x64, 0x5a, 0x12,
        0x2e, 0x22, 0xea, 0x20, 0x81, 0x66, 0x78, 0xdf, 0x02, 0x96, 0x7c, 0x1b, 0x23, 0xbd, 0x72,
    ];

    fn small(number: u64) -> [u8; 32] {
        let mut bytes = [0; 32];
        bytes[24..].copy_from_slice(&number.to_be_bytes());
        bytes
    }

    /// Numbers near a bound, small ones, halves of ones.
    fn edge() -> impl Strategy<Value = [u8; 32]> {
        let near_order = (0..4_u8).prop_map(|less| {
            let mut bytes = ORDER;
            bytes[31] -= less;
            bytes
        });
        prop_oneof![
            near_order,
            (0..20_u64).prop_map(small),
            Just([0xff; 32]),
            Just(LAMBDA),
            (0..256_usize).prop_map(|bit| {
                let mut bytes = [0; 32];
                bytes[31 - bit / 8] = 1 << (bit % 8);
                bytes
            }),
            any::<u64>().prop_map(small),
        ]
    }

    fn number() -> impl Strategy<Value = [u8; 32]> {
        prop_oneof![any::<[u8; 32]>(), edge()]
    }

    fn header() -> impl Strategy<Value = u8> {
        prop_oneof![4 => 27..35_u8, 1 => any::<u8>()]
    }

    /// Any three numbers.
    fn arbitrary() -> impl Strategy<Value = ([u8; 32], Vec<u8>)> {
        (number(), header(), number(), number())
            .prop_map(|(hash, header, r, s)| (hash, [&[header][..], &r, &s].concat()))
    }

    fn signed() -> impl Strategy<Value = ([u8; 32], Vec<u8>)> {
        (number(), number(), 0..2_u8).prop_filter_map("a scalar", |(secret, hash, form)| {
            let secret = SecretKey::from_secret_bytes(secret).ok()?;
            let signature = RecoverableSignature::sign_ecdsa_recoverable(Message::from_digest(hash), &secret);
            let (id, compact) = signature.serialize_compact();
            Some((hash, [&[27 + id.to_u8() + 4 * form][..], &compact].concat()))
        })
    }

    /// Signatures whose R is `k * G`, with chosen scalars of G and R, so that equal, opposite and infinite points meet.
    fn chosen() -> impl Strategy<Value = ([u8; 32], Vec<u8>)> {
        (number(), number(), number(), header(), any::<u8>()).prop_filter_map(
            "scalars",
            |(k, a, b, header, relation)| {
                let k = SecretKey::from_secret_bytes(k).ok()?;
                let b = SecretKey::from_secret_bytes(b).ok()?;
                let times = |x: SecretKey, y: SecretKey| {
                    x.mul_tweak(&Scalar::from_be_bytes(y.to_secret_bytes()).ok()?).ok()
                };
                let point = Point::from_secret_key(&k).serialize();
                let r = SecretKey::from_secret_bytes(*point.last_chunk()?).ok()?;
                let a = match relation % 4 {
                    0 => times(k, b)?,
                    1 => times(k, b)?.negate(),
                    _ => SecretKey::from_secret_bytes(a).ok()?,
                };
                let (hash, s) = (times(a, r)?.negate(), times(b, r)?);
                let header = header & !3 | (point[0] & 1);
                Some((
                    hash.to_secret_bytes(),
                    [&[header.wrapping_add(27)][..], &r.to_secret_bytes(), &s.to_secret_bytes()].concat(),
                ))
            },
        )
    }

    fn mutilated() -> impl Strategy<Value = ([u8; 32], Vec<u8>)> {
        (signed(), 0..70_usize, any::<u8>()).prop_map(|((hash, mut signature), place, byte)| {
            match signature.get_mut(place) {
                Some(old) => *old ^= byte,
                None => signature.truncate(usize::from(byte)),
            }
            (hash, signature)
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(
            std::env::var("ECDSA_CASES").ok().and_then(|text| text.parse().ok()).unwrap_or(24)
        ))]

        #[test]
        fn keys_recovered_together_are_those_of_libsecp256k1(
            signatures in prop::collection::vec(
                prop_oneof![arbitrary(), signed(), chosen(), mutilated()], 0..40)
        ) {
            let signatures: Vec<_> = signatures.iter().map(|(hash, bytes)| (*hash, &bytes[..])).collect();
            let alone: Vec<_> = signatures.iter().map(|(hash, bytes)| recover(hash, bytes)).collect();
            prop_assert_eq!(recover_all(&signatures), alone);
        }
    }

    #[test]
    fn small_r_small_scalars_and_every_candidate_give_the_keys_of_libsecp256k1() {
        let mut signatures = Vec::new();
        for r in 0..12 {
            for (hash, s) in [(0, 1), (1, 1), (1, 0), (2, 1), (3, 5)] {
                for header in [27, 28, 29, 30, 31, 34] {
                    signatures.push((small(hash), [&[header][..], &small(r), &small(s)].concat()));
                }
            }
        }
        let signatures: Vec<_> = signatures.iter().map(|(hash, bytes)| (*hash, &bytes[..])).collect();
        let alone: Vec<_> = signatures.iter().map(|(hash, bytes)| recover(hash, bytes)).collect();
        assert!(alone.iter().any(Option::is_some) && alone.iter().any(Option::is_none));
        assert_eq!(recover_all(&signatures), alone);
    }

    #[test]
    fn messages_are_verified_together_as_alone() {
        let secret = SecretKey::from_secret_bytes([7; 32]).expect("a scalar");
        let point = Point::from_secret_key(&secret);
        let keys = [&point.serialize()[..], &point.serialize_uncompressed()].map(PublicKey::from_serialized);
        let mut signatures = Vec::new();
        for message in 0..9_u8 {
            let hash = Message::from_digest(message_hash(&[message]));
            let (id, compact) =
                RecoverableSignature::sign_ecdsa_recoverable(hash, &secret).serialize_compact();
            signatures.push([&[27 + id.to_u8() + 4 * (message & 1)][..], &compact].concat());
        }
        let messages: Vec<SignedMessage<'_>> = (0..9_u8)
            .flat_map(|number| keys.iter().map(move |key| (number, key)))
            .zip(signatures.iter().flat_map(|signature| [signature, signature]))
            .map(|((number, key), signature)| SignedMessage {
                key,
                signature,
                message: vec![number / 8 + number],
            })
            .collect();
        let alone: Vec<bool> = messages.iter().map(SignedMessage::is_good).collect();
        assert_eq!(alone.iter().filter(|good| **good).count(), 8);
        assert_eq!(verify_messages(&messages), alone);
    }
}
