//! NEP-6 wallets: the JSON model, its checks, and unlocking of keys. Mirrors `Wallets/NEP6` of the C# reference. Keys may come from
//! words that people keep (`mnemonic.rs`, `derivation.rs`).
//!
//! Not here: files, passwords from people, transactions.

mod derivation;
mod mnemonic;

pub use derivation::{DerivationError, ExtendedKey, FIRST_ACCOUNT, HARDENED, Key, KeyPath};
pub use mnemonic::{Language, Mnemonic, MnemonicError};
use neo_base::{
    UInt160,
    account::{AddressError, from_address, parse_multisig_script, script_hash, signature_script, to_address},
};
use neo_contract::{base64, manifest::ParameterType};
use neo_crypto::{
    nep2::{self, Nep2Error, ScryptParams},
    secp256r1::{PrivateKey, PublicKey},
};
use serde::{Deserialize, Serialize};

/// Why a text is not a wallet, or an account gives no key.
#[derive(Debug, thiserror::Error)]
pub enum WalletError {
    /// Not JSON of the form of NEP-6.
    #[error("not a NEP-6 wallet")]
    Json(#[from] serde_json::Error),
    /// A version other than 1.0.
    #[error("wallet version {0} is not known")]
    Version(String),
    /// An address that is none on this network.
    #[error("account {address} is not an address of this network")]
    Address {
        /// The text.
        address: String,
        /// What is wrong with it.
        #[source]
        source: AddressError,
    },
    /// A script that is not Base64, or not that of its account.
    #[error("the script of account {0} is not the account's own")]
    Script(String),
    /// A parameter of an unknown type.
    #[error("account {0} has a parameter of an unknown type")]
    Parameter(String),
    /// The account holds no key.
    #[error("account {0} can only be watched")]
    WatchOnly(String),
    /// The key cannot be decrypted.
    #[error("the key of account {address} cannot be decrypted")]
    Key {
        /// The account.
        address: String,
        /// Why.
        #[source]
        source: Nep2Error,
    },
    /// The decrypted key is not one that the account's script checks.
    #[error("the key in account {0} belongs to another account")]
    ForeignKey(String),
}

/// A wallet file. Members that NEP-6 does not name are dropped.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Wallet {
    /// A name for people.
    #[serde(default)]
    pub name: Option<String>,
    /// `1.0`.
    pub version: String,
    /// How passwords are stretched.
    pub scrypt: Scrypt,
    /// The accounts.
    pub accounts: Vec<Account>,
    /// Anything.
    #[serde(default)]
    pub extra: serde_json::Value,
}

/// Cost parameters of scrypt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Scrypt {
    /// Cost, a power of two above 1.
    pub n: u32,
    /// Block size.
    pub r: u32,
    /// Parallelism.
    pub p: u32,
}

/// An account of a wallet.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Account {
    /// Base58Check text of the account.
    pub address: String,
    /// A name for people.
    #[serde(default)]
    pub label: Option<String>,
    /// True for the account that receives change.
    #[serde(default, rename = "isDefault")]
    pub is_default: bool,
    /// True when the user does not want it to be used.
    #[serde(default)]
    pub lock: bool,
    /// NEP-2 text of a key that signs for the account; `None`: it can only be watched.
    #[serde(default)]
    pub key: Option<String>,
    /// The script of the account, if it is known.
    #[serde(default)]
    pub contract: Option<AccountContract>,
    /// Anything.
    #[serde(default)]
    pub extra: serde_json::Value,
}

/// The script of an account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccountContract {
    /// Base64 of the verification script; empty for a deployed contract.
    #[serde(default)]
    pub script: Option<String>,
    /// What the invocation script must push.
    pub parameters: Vec<ContractParameter>,
    /// True when the account is a contract on the chain.
    #[serde(default)]
    pub deployed: bool,
}

/// A parameter of a verification script.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContractParameter {
    /// Name.
    pub name: String,
    /// Name of the type.
    #[serde(rename = "type")]
    pub kind: String,
}

impl Wallet {
    /// A wallet without accounts, whose passwords are stretched as NEP-2 says.
    #[must_use]
    pub fn new() -> Self {
        Self {
            name: None,
            version: "1.0".to_owned(),
            scrypt: Scrypt { n: 16384, r: 8, p: 8 },
            accounts: Vec::new(),
            extra: serde_json::Value::Null,
        }
    }

    /// Reads and checks a wallet of a network with this address version.
    ///
    /// # Errors
    /// Not a NEP-6 wallet of version 1.0, an address of another network, or a script of another account.
    pub fn parse(text: &str, address_version: u8) -> Result<Self, WalletError> {
        let wallet: Self = serde_json::from_str(text)?;
        if wallet.version != "1.0" {
            return Err(WalletError::Version(wallet.version));
        }
        wallet.accounts.iter().try_for_each(|account| account.check(address_version))?;
        Ok(wallet)
    }

    /// JSON of the wallet, indented.
    ///
    /// # Errors
    /// `extra` holds a map that JSON cannot express.
    pub fn to_json(&self) -> Result<String, WalletError> {
        Ok(serde_json::to_string_pretty(self)?)
    }

    /// The account with this address.
    #[must_use]
    pub fn account(&self, address: &str) -> Option<&Account> {
        self.accounts.iter().find(|account| account.address == address)
    }

    /// The account marked as default, else the first.
    #[must_use]
    pub fn default_account(&self) -> Option<&Account> {
        self.accounts.iter().find(|account| account.is_default).or_else(|| self.accounts.first())
    }

    /// Adds an account of one key, encrypted under the password. The first account of a wallet is its default.
    ///
    /// # Errors
    /// The scrypt parameters of the wallet are out of range.
    pub fn add(
        &mut self,
        key: &PrivateKey,
        password: &[u8],
        address_version: u8,
    ) -> Result<&Account, WalletError> {
        let script = signature_script(&key.public_key());
        let address = to_address(&script_hash(&script), address_version);
        let encrypted =
            nep2::encrypt(key, password, self.scrypt.into(), |key| address_of(key, address_version))
                .map_err(|source| WalletError::Key { address: address.clone(), source })?;
        let parameter = ContractParameter {
            name: "signature".to_owned(),
            kind: ParameterType::Signature.name().to_owned(),
        };
        self.accounts.push(Account {
            address,
            label: None,
            is_default: self.accounts.is_empty(),
            lock: false,
            key: Some(encrypted),
            contract: Some(AccountContract {
                script: Some(base64::encode(&script)),
                parameters: vec![parameter],
                deployed: false,
            }),
            extra: serde_json::Value::Null,
        });
        Ok(self.accounts.last().expect("an account was just added"))
    }

    /// Adds an account of one key, unless the wallet has it.
    ///
    /// # Errors
    /// As [`Self::add`].
    pub fn add_new(
        &mut self,
        key: &PrivateKey,
        password: &[u8],
        address_version: u8,
    ) -> Result<(), WalletError> {
        if self.account(&address_of(&key.public_key(), address_version)).is_none() {
            self.add(key, password, address_version)?;
        }
        Ok(())
    }

    /// Decrypts the key of an account of this wallet.
    ///
    /// # Errors
    /// No key, a wrong password, or a key that the account's script does not check.
    pub fn unlock(
        &self,
        account: &Account,
        password: &[u8],
        address_version: u8,
    ) -> Result<PrivateKey, WalletError> {
        let address = || account.address.clone();
        let text = account.key.as_ref().ok_or_else(|| WalletError::WatchOnly(address()))?;
        let key = nep2::decrypt(text, password, self.scrypt.into(), |key| address_of(key, address_version))
            .map_err(|source| WalletError::Key { address: address(), source })?;
        let public = key.public_key();
        let own = match account.script()? {
            None => address_of(&public, address_version) == account.address,
            Some(script) => {
                let one_of_many =
                    parse_multisig_script(&script).is_some_and(|(_, keys)| keys.contains(&public));
                script == signature_script(&public) || one_of_many
            }
        };
        if own { Ok(key) } else { Err(WalletError::ForeignKey(address())) }
    }
}

impl Default for Wallet {
    fn default() -> Self {
        Self::new()
    }
}

impl Account {
    /// The account's hash.
    ///
    /// # Errors
    /// The address is none of this network.
    pub fn script_hash(&self, address_version: u8) -> Result<UInt160, WalletError> {
        from_address(&self.address, address_version)
            .map_err(|source| WalletError::Address { address: self.address.clone(), source })
    }

    /// The verification script, if it is known.
    ///
    /// # Errors
    /// It is not Base64.
    pub fn script(&self) -> Result<Option<Vec<u8>>, WalletError> {
        let text = self.contract.as_ref().and_then(|contract| contract.script.as_ref());
        text.filter(|text| !text.is_empty())
            .map(|text| base64::decode(text).ok_or_else(|| WalletError::Script(self.address.clone())))
            .transpose()
    }

    fn check(&self, address_version: u8) -> Result<(), WalletError> {
        let hash = self.script_hash(address_version)?;
        let deployed = self.contract.as_ref().is_some_and(|contract| contract.deployed);
        if let Some(script) = self.script()?
            && !deployed
            && script_hash(&script) != hash
        {
            return Err(WalletError::Script(self.address.clone()));
        }
        let mut parameters = self.contract.iter().flat_map(|contract| &contract.parameters);
        if parameters.any(|parameter| ParameterType::from_name(&parameter.kind).is_none()) {
            return Err(WalletError::Parameter(self.address.clone()));
        }
        Ok(())
    }
}

impl From<Scrypt> for ScryptParams {
    fn from(Scrypt { n, r, p }: Scrypt) -> Self {
        Self { n, r, p }
    }
}

fn address_of(key: &PublicKey, address_version: u8) -> String {
    to_address(&script_hash(&signature_script(key)), address_version)
}

#[cfg(test)]
mod tests {
    use super::*;

    const VERSION: u8 = 0x35;

    fn wallet() -> Wallet {
        Wallet { scrypt: Scrypt { n: 2, r: 1, p: 1 }, ..Wallet::new() }
    }

    #[test]
    fn an_added_account_is_read_and_unlocked_again() {
        let key = PrivateKey::from_bytes(&[5; 32]).expect("a key");
        let mut wallet = wallet();
        wallet.add(&key, b"secret", VERSION).expect("small parameters");
        let read = Wallet::parse(&wallet.to_json().expect("plain values"), VERSION).expect("own text");
        assert_eq!(read, wallet);
        let account = read.default_account().expect("one account");
        assert_eq!(read.unlock(account, b"secret", VERSION).map(|key| *key.to_bytes()).ok(), Some([5; 32]));
        let wrong = read.unlock(account, b"Secret", VERSION);
        assert!(matches!(wrong, Err(WalletError::Key { source: Nep2Error::Password, .. })));
    }

    #[test]
    fn a_wallet_of_another_network_or_with_a_foreign_script_is_refused() {
        let mut wallet = wallet();
        wallet
            .add(&PrivateKey::from_bytes(&[5; 32]).expect("a key"), b"", VERSION)
            .expect("small parameters");
        let text = wallet.to_json().expect("plain values");
        assert!(matches!(Wallet::parse(&text, 0x17), Err(WalletError::Address { .. })));
        wallet
            .add(&PrivateKey::from_bytes(&[6; 32]).expect("a key"), b"", VERSION)
            .expect("small parameters");
        let [first, second] = &mut wallet.accounts[..] else { panic!("two accounts") };
        std::mem::swap(&mut first.contract, &mut second.contract);
        let text = wallet.to_json().expect("plain values");
        assert!(matches!(Wallet::parse(&text, VERSION), Err(WalletError::Script(_))));
    }
}
