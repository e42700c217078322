//! Contract manifests: what a contract declares about itself. Mirrors `Manifest/*.cs`.
//!
//! A manifest is read from JSON when a contract is deployed (`from_json`) and kept in storage as a stack item
//! (`to_item`, `from_item`), which is part of the state root.

mod from_json;
pub(crate) mod item;
mod to_json;

use neo_base::UInt160;
use neo_crypto::secp256r1::PublicKey;

pub use from_json::ManifestError;
pub use item::ItemError;

use crate::json::Json;

/// Largest JSON text of a manifest, in bytes.
pub const MAX_MANIFEST_SIZE: usize = 65535;

/// What a contract declares about itself.
#[derive(Debug, Clone, PartialEq)]
pub struct Manifest {
    /// Name, not empty.
    pub name: String,
    /// Groups that the contract belongs to, each key once.
    pub groups: Vec<Group>,
    /// Names of standards it claims to follow, each once.
    pub supported_standards: Vec<String>,
    /// Methods and events.
    pub abi: Abi,
    /// What it may call, each target once.
    pub permissions: Vec<Permission>,
    /// Who may call it without being asked about; `None`: everyone.
    pub trusts: Option<Vec<Target>>,
    /// Anything else: an object, or `Null`.
    pub extra: Json,
}

/// Membership in a group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    /// Key of the group.
    pub key: PublicKey,
    /// Signature of the contract's hash by the group.
    pub signature: [u8; 64],
}

impl Group {
    /// True when the group has signed this contract.
    #[must_use]
    pub fn is_valid(&self, contract: &UInt160) -> bool {
        self.key.verify(contract.as_bytes(), &self.signature)
    }
}

/// Methods and events of a contract.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Abi {
    /// At least one.
    pub methods: Vec<Method>,
    /// Any number.
    pub events: Vec<Event>,
}

impl Abi {
    /// The method with this name and number of parameters.
    #[must_use]
    pub fn method(&self, name: &str, parameters: usize) -> Option<&Method> {
        self.methods.iter().find(|method| method.name == name && method.parameters.len() == parameters)
    }

    /// The first method with this name.
    #[must_use]
    pub fn method_named(&self, name: &str) -> Option<&Method> {
        self.methods.iter().find(|method| method.name == name)
    }

    /// The first event with this name.
    #[must_use]
    pub fn event(&self, name: &str) -> Option<&Event> {
        self.events.iter().find(|event| event.name == name)
    }
}

/// A method that can be called.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Method {
    /// Name, not empty.
    pub name: String,
    /// Parameters with distinct names.
    pub parameters: Vec<Parameter>,
    /// Type of the result.
    pub return_type: ParameterType,
    /// Offset in the script, not negative.
    pub offset: i32,
    /// True when it changes nothing.
    pub safe: bool,
}

/// An event that can be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// Name, not empty.
    pub name: String,
    /// Parameters with distinct names.
    pub parameters: Vec<Parameter>,
}

/// A parameter of a method or event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parameter {
    /// Name, not empty.
    pub name: String,
    /// Type, not `Void`.
    pub kind: ParameterType,
}

/// What a contract may call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Permission {
    /// Which contracts.
    pub contract: Target,
    /// Which methods, each once; `None`: all.
    pub methods: Option<Vec<String>>,
}

/// A contract, a group, or everything.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// Every contract.
    Any,
    /// The contract with this hash.
    Hash(UInt160),
    /// The contracts of this group.
    Group(PublicKey),
}

impl Permission {
    /// True when a method of the contract with this hash and manifest may be called.
    #[must_use]
    pub fn allows(&self, hash: &UInt160, manifest: &Manifest, method: &str) -> bool {
        let target = match &self.contract {
            Target::Any => true,
            Target::Hash(allowed) => allowed == hash,
            Target::Group(key) => manifest.groups.iter().any(|group| group.key == *key),
        };
        target && self.methods.as_ref().is_none_or(|methods| methods.iter().any(|allowed| allowed == method))
    }
}

macro_rules! parameter_types {
    ($($name:ident = $byte:literal,)*) => {
        /// Types of parameters and results.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum ParameterType {
            $(#[doc = concat!("`", stringify!($name), "`.")] $name,)*
        }

        impl ParameterType {
            /// The type with this number.
            #[must_use]
            pub fn from_byte(byte: u8) -> Option<Self> {
                match byte {
                    $($byte => Some(Self::$name),)*
                    _ => None,
                }
            }

            /// The number of the type.
            #[must_use]
            pub fn to_byte(self) -> u8 {
                match self {
                    $(Self::$name => $byte,)*
                }
            }

            /// The type with this name.
            #[must_use]
            pub fn from_name(name: &str) -> Option<Self> {
                match name {
                    $(stringify!($name) => Some(Self::$name),)*
                    _ => None,
                }
            }

            /// The name of the type.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$name => stringify!($name),)*
                }
            }
        }
    };
}

parameter_types! {
    Any = 0x00,
    Boolean = 0x10,
    Integer = 0x11,
    ByteArray = 0x12,
    String = 0x13,
    Hash160 = 0x14,
    Hash256 = 0x15,
    PublicKey = 0x16,
    Signature = 0x17,
    Array = 0x20,
    Map = 0x22,
    InteropInterface = 0x30,
    Void = 0xff,
}
