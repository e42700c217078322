//! Base58, addresses and private keys.

use fluxd_primitives::{
    Address, AddressFormat,
    address::{SecretText, decode_base58, encode_base58},
};
use fluxd_script::instruction::pay_to;
use shared_vendor::{
    hex,
    testing::vectors::{Cases, File},
};

/// Pairs of bytes and Base58 text.
pub(crate) fn base58(file: &File<'_>, cases: &mut Cases) {
    for (bytes, text) in file.parse::<Vec<(String, String)>>() {
        let bytes = hex::decode(&bytes).expect("hexadecimal text");
        cases.equal(format!("encode {text}"), &encode_base58(&bytes), &text);
        cases.equal(format!("decode {text}"), &decode_base58(&text), &Some(bytes));
    }
}

/// Addresses with their scripts, private keys with their bytes.
pub(crate) fn valid_keys(file: &File<'_>, cases: &mut Cases) {
    for (text, payload, about) in file.parse::<Vec<(String, String, serde_json::Value)>>() {
        let format = if about["chain"] == "testnet" { AddressFormat::TEST } else { AddressFormat::MAIN };
        let (address, secret) = (Address::decode(&text, &format), SecretText::decode(&text, &format));
        if about["isPrivkey"] == true {
            let seen = secret.as_ref().map(|key| (hex::encode(key.secret), key.compressed));
            cases.equal(&text, &seen, &Some((payload, about["isCompressed"] == true)));
            cases.equal(format!("{text} as an address"), &address, &None);
            cases.equal(
                format!("{text} again"),
                &secret.map(|key| key.encode(&format)).as_deref(),
                &Some(text.as_str()),
            );
        } else {
            let script = address.map(|address| hex::encode(pay_to(&address).0));
            cases.equal(&text, &script, &Some(payload));
            cases.check(format!("{text} as a private key"), secret.is_none(), || "it decodes".to_owned());
            let again = address.map(|address| address.encode(&format));
            cases.equal(format!("{text} again"), &again.as_deref(), &Some(text.as_str()));
        }
    }
}

/// Texts that are neither address nor private key of the main network.
pub(crate) fn invalid_keys(file: &File<'_>, cases: &mut Cases) {
    for (text,) in file.parse::<Vec<(String,)>>() {
        let address = Address::decode(&text, &AddressFormat::MAIN);
        let secret = SecretText::decode(&text, &AddressFormat::MAIN);
        cases.check(&text, address.is_none() && secret.is_none(), || format!("{address:?}"));
    }
}
