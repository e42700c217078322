//! Staking certificates. Only the public key is read from them, leniently: version, serial number, algorithms, names,
//! validity, extensions and the certificate's own signature are not looked at. A strict X.509 parser must never see
//! certificates of peers or blocks. Mirrors `staking/parse.go` and `staking/verify.go`.

mod issue;

use std::fmt;

use avalanche_ids::NodeId;
use ring::{
    rand::SecureRandom,
    signature::{self, EcdsaKeyPair, RsaKeyPair, RsaPublicKeyComponents, UnparsedPublicKey},
};

use crate::der::{CONTEXT_0, Der, INTEGER, OBJECT_ID, SEQUENCE};

pub use issue::self_signed;

/// Longest certificate, in bytes of DER.
pub const MAX_CERTIFICATE_LEN: usize = 2048;

const RSA_OID: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01];
const EC_OID: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01];
const RSA_EXPONENT: &[u8] = &[1, 0, 1];
const RSA_MODULUS_BITS: [usize; 2] = [2048, 4096];
const UNCOMPRESSED_POINT_LEN: usize = 65;

/// Which part of a certificate is not acceptable.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CertificateError {
    /// Above [`MAX_CERTIFICATE_LEN`].
    #[error("certificate of {0} bytes is too large")]
    TooLarge(usize),
    /// An element before the public key is missing or malformed.
    #[error("malformed {0}")]
    Malformed(&'static str),
    /// The key is neither RSA nor elliptic-curve.
    #[error("unknown public key algorithm")]
    UnknownAlgorithm,
    /// The RSA key is not two positive integers.
    #[error("invalid RSA public key")]
    RsaKey,
    /// The RSA modulus has neither 2048 nor 4096 bits.
    #[error("RSA modulus of {0} bits")]
    RsaModulusBits(usize),
    /// The RSA modulus is even.
    #[error("RSA modulus is even")]
    RsaModulusEven,
    /// The RSA exponent is not 65537.
    #[error("RSA exponent is not 65537")]
    RsaExponent,
    /// Not an uncompressed point of P-256.
    #[error("not a point of P-256")]
    EcPoint,
}

/// The signature was not made by the certificate's key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("invalid signature")]
pub struct InvalidSignature;

#[derive(Debug, Clone, PartialEq, Eq)]
enum PublicKey {
    Rsa { modulus: Vec<u8> },
    P256 { point: Vec<u8> },
}

/// How a peer signs a TLS 1.3 handshake.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HandshakeScheme {
    /// ECDSA over P-256 with SHA-256.
    EcdsaP256Sha256,
    /// RSA-PSS with SHA-256.
    RsaPssSha256,
    /// RSA-PSS with SHA-384.
    RsaPssSha384,
    /// RSA-PSS with SHA-512.
    RsaPssSha512,
}

/// A staking certificate with an acceptable public key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Certificate {
    raw: Vec<u8>,
    key: PublicKey,
}

impl Certificate {
    /// Reads a certificate.
    ///
    /// # Errors
    /// As [`CertificateError`] says.
    pub fn parse(raw: &[u8]) -> Result<Self, CertificateError> {
        if raw.len() > MAX_CERTIFICATE_LEN {
            return Err(CertificateError::TooLarge(raw.len()));
        }
        let malformed = CertificateError::Malformed;
        let certificate = Der(raw).read(SEQUENCE).ok_or(malformed("certificate"))?;
        let mut tbs = Der(Der(certificate).read(SEQUENCE).ok_or(malformed("tbs certificate"))?);
        if !tbs.skip_optional(CONTEXT_0) {
            return Err(malformed("version"));
        }
        tbs.read(INTEGER).ok_or(malformed("serial number"))?;
        for part in ["signature algorithm identifier", "issuer", "validity", "subject"] {
            tbs.read(SEQUENCE).ok_or(malformed(part))?;
        }
        let mut info = Der(tbs.read(SEQUENCE).ok_or(malformed("spki"))?);
        let mut algorithm = Der(info.read(SEQUENCE).ok_or(malformed("public key algorithm identifier"))?);
        let oid = algorithm.read(OBJECT_ID).ok_or(malformed("oid"))?;
        let bits = info.right_aligned_bits().ok_or(malformed("subject public key"))?;
        let key = match oid {
            RSA_OID => parse_rsa(&bits)?,
            EC_OID => parse_p256(bits)?,
            _ => return Err(CertificateError::UnknownAlgorithm),
        };
        Ok(Self { raw: raw.to_vec(), key })
    }

    /// The bytes it was read from.
    #[must_use]
    pub fn raw(&self) -> &[u8] {
        &self.raw
    }

    /// The node that owns this certificate.
    #[must_use]
    pub fn node_id(&self) -> NodeId {
        NodeId(crate::short_hash(&self.raw))
    }

    /// Checks a signature over SHA-256 of `message`: PKCS #1 v1.5, or ECDSA in ASN.1.
    ///
    /// # Errors
    /// The signature was not made by this key.
    pub fn check_signature(&self, message: &[u8], signature: &[u8]) -> Result<(), InvalidSignature> {
        match &self.key {
            PublicKey::Rsa { modulus } => RsaPublicKeyComponents { n: modulus.as_slice(), e: RSA_EXPONENT }
                .verify(&signature::RSA_PKCS1_2048_8192_SHA256, message, signature),
            PublicKey::P256 { point } => {
                UnparsedPublicKey::new(&signature::ECDSA_P256_SHA256_ASN1, point).verify(message, signature)
            }
        }
        .map_err(|_| InvalidSignature)
    }

    /// Checks the signature of a TLS 1.3 handshake.
    ///
    /// # Errors
    /// The signature was not made by this key, or the scheme is not one of its kind.
    pub fn check_handshake(
        &self,
        scheme: HandshakeScheme,
        message: &[u8],
        signature: &[u8],
    ) -> Result<(), InvalidSignature> {
        let (modulus, parameters) = match (&self.key, scheme) {
            (PublicKey::P256 { .. }, HandshakeScheme::EcdsaP256Sha256) => {
                return self.check_signature(message, signature);
            }
            (PublicKey::Rsa { modulus }, HandshakeScheme::RsaPssSha256) => {
                (modulus, &signature::RSA_PSS_2048_8192_SHA256)
            }
            (PublicKey::Rsa { modulus }, HandshakeScheme::RsaPssSha384) => {
                (modulus, &signature::RSA_PSS_2048_8192_SHA384)
            }
            (PublicKey::Rsa { modulus }, HandshakeScheme::RsaPssSha512) => {
                (modulus, &signature::RSA_PSS_2048_8192_SHA512)
            }
            _ => return Err(InvalidSignature),
        };
        RsaPublicKeyComponents { n: modulus.as_slice(), e: RSA_EXPONENT }
            .verify(parameters, message, signature)
            .map_err(|_| InvalidSignature)
    }
}

/// The key of a staking certificate. Its `Debug` shows nothing.
pub struct PrivateKey(KeyPair);

enum KeyPair {
    Rsa(RsaKeyPair),
    P256(EcdsaKeyPair),
}

/// Why a key is of no use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// Neither RSA (PKCS #1 or #8) nor P-256 (PKCS #8).
    #[error("not an RSA or P-256 key")]
    Rejected,
    /// No signature could be made.
    #[error("signing failed")]
    Signing,
}

impl PrivateKey {
    /// Reads a key in DER.
    ///
    /// # Errors
    /// It is of another kind.
    pub fn from_der(der: &[u8], random: &dyn SecureRandom) -> Result<Self, KeyError> {
        let p256 = || EcdsaKeyPair::from_pkcs8(&signature::ECDSA_P256_SHA256_ASN1_SIGNING, der, random);
        RsaKeyPair::from_pkcs8(der)
            .or_else(|_| RsaKeyPair::from_der(der))
            .map(KeyPair::Rsa)
            .or_else(|_| p256().map(KeyPair::P256))
            .map(Self)
            .map_err(|_| KeyError::Rejected)
    }

    /// Signs SHA-256 of `message`: PKCS #1 v1.5, or ECDSA in ASN.1.
    ///
    /// # Errors
    /// The source of randomness failed.
    pub fn sign(&self, message: &[u8], random: &dyn SecureRandom) -> Result<Vec<u8>, KeyError> {
        match &self.0 {
            KeyPair::Rsa(key) => {
                let mut out = vec![0; key.public().modulus_len()];
                key.sign(&signature::RSA_PKCS1_SHA256, random, message, &mut out)
                    .map(|()| out)
                    .map_err(|_| KeyError::Signing)
            }
            KeyPair::P256(key) => {
                key.sign(random, message).map(|made| made.as_ref().to_vec()).map_err(|_| KeyError::Signing)
            }
        }
    }
}

impl fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PrivateKey(..)")
    }
}

fn parse_rsa(bits: &[u8]) -> Result<PublicKey, CertificateError> {
    let mut key = Der(Der(bits).read(SEQUENCE).ok_or(CertificateError::RsaKey)?);
    let modulus = key.positive_integer().ok_or(CertificateError::RsaKey)?;
    let exponent = key.positive_integer().ok_or(CertificateError::RsaKey)?;
    let unused = modulus.first().map_or(0, |first| first.leading_zeros());
    let len = modulus.len().saturating_mul(8).saturating_sub(usize::try_from(unused).unwrap_or(0));
    if !RSA_MODULUS_BITS.contains(&len) {
        return Err(CertificateError::RsaModulusBits(len));
    }
    if modulus.last().is_none_or(|last| last & 1 == 0) {
        return Err(CertificateError::RsaModulusEven);
    }
    if exponent != RSA_EXPONENT {
        return Err(CertificateError::RsaExponent);
    }
    Ok(PublicKey::Rsa { modulus: modulus.to_vec() })
}

fn parse_p256(point: Vec<u8>) -> Result<PublicKey, CertificateError> {
    if point.len() != UNCOMPRESSED_POINT_LEN || p256::PublicKey::from_sec1_bytes(&point).is_err() {
        return Err(CertificateError::EcPoint);
    }
    Ok(PublicKey::P256 { point })
}

#[cfg(test)]
mod tests {
    use super::{issue::element, *};

    fn certificate_with(oid: &[u8], key: &[u8]) -> Vec<u8> {
        let algorithm = element(SEQUENCE, &element(OBJECT_ID, oid));
        let bits = element(crate::der::BIT_STRING, &[&[0], key].concat());
        let info = element(SEQUENCE, &[algorithm, bits].concat());
        let empty = element(SEQUENCE, &[]).repeat(4);
        let tbs = element(SEQUENCE, &[element(INTEGER, &[0]), empty, info].concat());
        element(SEQUENCE, &tbs)
    }

    fn rsa(modulus: &[u8], exponent: &[u8]) -> Vec<u8> {
        let parts = [element(INTEGER, modulus), element(INTEGER, exponent)].concat();
        certificate_with(RSA_OID, &element(SEQUENCE, &parts))
    }

    #[test]
    fn each_rule_about_keys_has_its_error() {
        let mut modulus = vec![0; 257];
        modulus[1] = 0x80;
        modulus[256] = 1;
        assert!(Certificate::parse(&rsa(&modulus, RSA_EXPONENT)).is_ok());
        assert_eq!(Certificate::parse(&rsa(&modulus, &[3])), Err(CertificateError::RsaExponent));
        assert_eq!(Certificate::parse(&rsa(&[0x7f], &[3])), Err(CertificateError::RsaModulusBits(7)));
        assert_eq!(Certificate::parse(&rsa(&[0x80], &[3])), Err(CertificateError::RsaKey));
        modulus[256] = 2;
        assert_eq!(Certificate::parse(&rsa(&modulus, RSA_EXPONENT)), Err(CertificateError::RsaModulusEven));
        assert_eq!(Certificate::parse(&certificate_with(EC_OID, &[4; 65])), Err(CertificateError::EcPoint));
        assert_eq!(
            Certificate::parse(&certificate_with(&[0x2a], &[])),
            Err(CertificateError::UnknownAlgorithm)
        );
        assert_eq!(Certificate::parse(&[0; 2049]), Err(CertificateError::TooLarge(2049)));
    }

    #[test]
    fn no_prefix_of_a_certificate_parses_or_panics() {
        let mut modulus = vec![0; 257];
        modulus[1] = 0x80;
        modulus[256] = 1;
        let whole = rsa(&modulus, RSA_EXPONENT);
        for len in 0..whole.len() {
            assert!(Certificate::parse(&whole[..len]).is_err());
        }
    }
}
