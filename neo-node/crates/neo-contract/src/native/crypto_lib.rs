//! The methods of CryptoLib. Mirrors `Native/CryptoLib.cs` and `Native/CryptoLib.BLS12_381.cs`.
//!
//! They need nothing but their arguments. Which rows of the table are in force at a height, and what they cost, is
//! for the caller; where a fork changed a method, the row itself says which behaviour is meant.

use std::{any::Any, sync::Arc};

use neo_crypto::{bls::Point, ed25519, hash, secp256k1, secp256r1};
use neo_vm::{Fault, Heap, Interop, InteropObject, StackItem};

use super::Method;
use crate::hardfork::Hardfork;

/// Why a method faults.
#[derive(Debug, thiserror::Error)]
pub enum CryptoError {
    /// The method is not one of CryptoLib.
    #[error("no such method")]
    NoMethod,
    /// An argument is missing, null, or of another type.
    #[error("an argument has another type")]
    Argument,
    /// An argument of the right type is not an item that converts.
    #[error("an argument cannot be converted")]
    Convert(#[from] Fault),
    /// A number that names no curve and hash function.
    #[error("unknown curve or hash function")]
    Curve,
    /// Bytes that are no point of the curve.
    #[error("not a point of the curve")]
    Key,
    /// From Gorgon: a signature of another length than 64 bytes, or an Ed25519 key of another length than 32.
    #[error("signature or key of a wrong length")]
    Length,
    /// Bytes that are no point or scalar of BLS12-381, or points that do not go together.
    #[error("BLS12-381 points or scalars that do not go together")]
    Bls,
}

type Result<T> = std::result::Result<T, CryptoError>;

/// Runs a method of CryptoLib with its arguments in order.
///
/// # Errors
/// See [`CryptoError`]; every error is a fault of the script.
pub fn invoke(heap: &Heap, method: &Method, arguments: &[StackItem]) -> Result<StackItem> {
    let arguments = Arguments { heap, items: arguments };
    let strict = method.since == Some(Hardfork::Gorgon);
    Ok(match method.name {
        "sha256" => StackItem::bytes(hash::sha256(&arguments.bytes(0)?)),
        "ripemd160" => StackItem::bytes(hash::ripemd160(&arguments.bytes(0)?)),
        "keccak256" => StackItem::bytes(hash::keccak256(&arguments.bytes(0)?)),
        "murmur32" => {
            let seed = arguments.get(1)?.to_int()?.to_u64().and_then(|seed| u32::try_from(seed).ok());
            StackItem::bytes(hash::murmur32(&arguments.bytes(0)?, seed.ok_or(CryptoError::Argument)?))
        }
        "recoverSecp256K1" => match secp256k1::recover(&arguments.bytes(0)?, &arguments.bytes(1)?) {
            Some(key) => StackItem::bytes(key),
            None => StackItem::Null,
        },
        "verifyWithECDsa" => {
            let keccak = method.until != Some(Hardfork::Cockatrice);
            let curve = CurveHash::of(&arguments, keccak)?;
            let valid =
                verify_ecdsa(&arguments.bytes(0)?, &arguments.bytes(1)?, &arguments.bytes(2)?, curve)?;
            StackItem::Boolean(lenient(valid, strict)?)
        }
        "verifyWithEd25519" => {
            let (message, key, signature) = (arguments.bytes(0)?, arguments.bytes(1)?, arguments.bytes(2)?);
            let sized = <[u8; 32]>::try_from(key).ok().zip(<[u8; 64]>::try_from(signature).ok());
            let valid = sized.map(|(key, signature)| ed25519::verify(&message, &key, &signature));
            StackItem::Boolean(lenient(valid, strict)?)
        }
        "bls12381Serialize" => StackItem::bytes(arguments.point(0)?.serialize()),
        "bls12381Deserialize" => point(Point::deserialize(&arguments.bytes(0)?))?,
        "bls12381Equal" => {
            let equal = arguments.point(0)?.equals(arguments.point(1)?);
            StackItem::Boolean(equal.ok_or(CryptoError::Bls)?)
        }
        "bls12381Add" => point(arguments.point(0)?.add(arguments.point(1)?))?,
        "bls12381Mul" => {
            let negate = arguments.get(2)?.to_bool()?;
            point(arguments.point(0)?.mul(&arguments.bytes(1)?, negate))?
        }
        "bls12381Pairing" => point(arguments.point(0)?.pairing(arguments.point(1)?))?,
        _ => return Err(CryptoError::NoMethod),
    })
}

/// Wrong lengths (`None`) are simply not valid before Gorgon, and a fault since.
fn lenient(valid: Option<bool>, strict: bool) -> Result<bool> {
    match valid {
        Some(valid) => Ok(valid),
        None if strict => Err(CryptoError::Length),
        None => Ok(false),
    }
}

/// A curve and the hash function of the message.
#[derive(Debug, Clone, Copy)]
struct CurveHash {
    koblitz: bool,
    keccak: bool,
}

impl CurveHash {
    /// The numbers with Keccak-256 exist from Cockatrice.
    fn of(arguments: &Arguments<'_>, with_keccak: bool) -> Result<Self> {
        let (koblitz, keccak) = match arguments.get(3)?.to_int()?.to_u64() {
            Some(22) => (true, false),
            Some(23) => (false, false),
            Some(122) if with_keccak => (true, true),
            Some(123) if with_keccak => (false, true),
            _ => return Err(CryptoError::Curve),
        };
        Ok(Self { koblitz, keccak })
    }
}

/// `None` when the signature has not 64 bytes. A key that is no point is an error whatever the signature.
fn verify_ecdsa(message: &[u8], key: &[u8], signature: &[u8], curve: CurveHash) -> Result<Option<bool>> {
    let signature = <[u8; 64]>::try_from(signature).ok();
    if curve.koblitz {
        let key = secp256k1::public_key(key).ok_or(CryptoError::Key)?;
        let hash = if curve.keccak { hash::keccak256(message) } else { hash::sha256(message) };
        return Ok(signature.map(|signature| secp256k1::verify_prehashed(&key, hash, &signature)));
    }
    let key = secp256r1::PublicKey::from_bytes(key).ok_or(CryptoError::Key)?;
    Ok(signature.map(|signature| match curve.keccak {
        true => key.verify_prehashed(&hash::keccak256(message), &signature),
        false => key.verify(message, &signature),
    }))
}

/// A point on the stack; equal to another when type and value are.
#[derive(Debug)]
struct BlsPoint(Point);

impl InteropObject for BlsPoint {
    fn as_any(&self) -> &dyn Any {
        self
    }

    fn equals(&self, other: &dyn InteropObject) -> bool {
        other.as_any().downcast_ref::<Self>().is_some_and(|other| self.0 == other.0)
    }
}

fn point(point: Option<Point>) -> Result<StackItem> {
    let point = point.ok_or(CryptoError::Bls)?;
    Ok(StackItem::Interop(Interop(Arc::new(BlsPoint(point)))))
}

struct Arguments<'a> {
    heap: &'a Heap,
    items: &'a [StackItem],
}

impl<'a> Arguments<'a> {
    fn get(&self, index: usize) -> Result<&'a StackItem> {
        self.items.get(index).ok_or(CryptoError::Argument)
    }

    fn bytes(&self, index: usize) -> Result<Vec<u8>> {
        Ok(self.heap.bytes_of(self.get(index)?)?)
    }

    fn point(&self, index: usize) -> Result<&'a Point> {
        match self.get(index)? {
            StackItem::Interop(object) => {
                object.0.as_any().downcast_ref::<BlsPoint>().map(|point| &point.0).ok_or(CryptoError::Bls)
            }
            _ => Err(CryptoError::Argument),
        }
    }
}
