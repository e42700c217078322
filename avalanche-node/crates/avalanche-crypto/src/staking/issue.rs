//! New staking certificates: P-256, signed by themselves, with empty names. Nobody on the network reads more than the
//! key, but the certificate must be well-formed X.509 v3. Mirrors `NewCertAndKeyBytes` of `staking/tls.go`.

use ring::{
    rand::SecureRandom,
    signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair as _},
};

use super::{EC_OID, KeyError};
use crate::der::{BIT_STRING, CONTEXT_0, INTEGER, OBJECT_ID, SEQUENCE};

const OCTET_STRING: u8 = 0x04;
const BOOLEAN: u8 = 0x01;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;
const CONTEXT_3: u8 = 0xa3;
const P256_OID: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07];
const ECDSA_SHA256_OID: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x02];
const KEY_USAGE_OID: &[u8] = &[0x55, 0x1d, 0x0f];
const BASIC_CONSTRAINTS_OID: &[u8] = &[0x55, 0x1d, 0x13];
const DIGITAL_SIGNATURE: &[u8] = &[BIT_STRING, 2, 7, 0x80];
const NOT_BEFORE: &[u8] = b"991231000000Z";

/// A certificate valid from the end of 1999 to the first second of the year `expires` (2050..=9999), and its key in
/// PKCS #8; both in DER.
///
/// # Errors
/// The source of randomness failed, or the year is outside its range.
pub fn self_signed(expires: u16, random: &dyn SecureRandom) -> Result<(Vec<u8>, Vec<u8>), KeyError> {
    if !(2050..=9999).contains(&expires) {
        return Err(KeyError::Signing);
    }
    let algorithm = &ECDSA_P256_SHA256_ASN1_SIGNING;
    let pkcs8 = EcdsaKeyPair::generate_pkcs8(algorithm, random).map_err(|_| KeyError::Signing)?;
    let key = EcdsaKeyPair::from_pkcs8(algorithm, pkcs8.as_ref(), random).map_err(|_| KeyError::Rejected)?;
    let signature_algorithm = element(SEQUENCE, &element(OBJECT_ID, ECDSA_SHA256_OID));
    let name = element(SEQUENCE, &[]);
    let not_after = format!("{expires}0101000000Z");
    let validity = [element(UTC_TIME, NOT_BEFORE), element(GENERALIZED_TIME, not_after.as_bytes())];
    let key_algorithm = [element(OBJECT_ID, EC_OID), element(OBJECT_ID, P256_OID)];
    let public_key = [
        element(SEQUENCE, &key_algorithm.concat()),
        element(BIT_STRING, &[&[0], key.public_key().as_ref()].concat()),
    ];
    let extensions = [
        critical(KEY_USAGE_OID, DIGITAL_SIGNATURE),
        critical(BASIC_CONSTRAINTS_OID, &element(SEQUENCE, b"")),
    ];
    let to_sign = [
        element(CONTEXT_0, &element(INTEGER, &[2])),
        element(INTEGER, &[0]),
        signature_algorithm.clone(),
        name.clone(),
        element(SEQUENCE, &validity.concat()),
        name,
        element(SEQUENCE, &public_key.concat()),
        element(CONTEXT_3, &element(SEQUENCE, &extensions.concat())),
    ];
    let to_sign = element(SEQUENCE, &to_sign.concat());
    let signature = key.sign(random, &to_sign).map_err(|_| KeyError::Signing)?;
    let signature = element(BIT_STRING, &[&[0], signature.as_ref()].concat());
    let certificate = element(SEQUENCE, &[to_sign, signature_algorithm, signature].concat());
    Ok((certificate, pkcs8.as_ref().to_vec()))
}

fn critical(oid: &[u8], value: &[u8]) -> Vec<u8> {
    let parts = [element(OBJECT_ID, oid), element(BOOLEAN, &[0xff]), element(OCTET_STRING, value)];
    element(SEQUENCE, &parts.concat())
}

/// An element of DER; its content is shorter than 64 KiB.
pub(super) fn element(tag: u8, content: &[u8]) -> Vec<u8> {
    let mut out = vec![tag];
    match u16::try_from(content.len()).unwrap_or(u16::MAX).to_be_bytes() {
        [0, len @ 0..0x80] => out.push(len),
        [0, len] => out.extend([0x81, len]),
        [high, low] => out.extend([0x82, high, low]),
    }
    out.extend_from_slice(content);
    out
}

#[cfg(test)]
mod tests {
    use ring::rand::SystemRandom;

    use super::*;
    use crate::staking::{Certificate, PrivateKey};

    #[test]
    fn a_new_certificate_is_read_back_and_belongs_to_its_key() {
        let random = SystemRandom::new();
        let (certificate, key) = self_signed(2126, &random).unwrap();
        let certificate = Certificate::parse(&certificate).unwrap();
        let signature = PrivateKey::from_der(&key, &random).unwrap().sign(b"text", &random).unwrap();
        assert_eq!(certificate.check_signature(b"text", &signature), Ok(()));
        assert!(certificate.check_signature(b"next", &signature).is_err());
        assert!(self_signed(2049, &random).is_err());
    }
}
