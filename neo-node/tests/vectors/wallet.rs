//! NEP-6 wallets: read, checked, written again, and every key unlocked with the passwords of the recorded set.

use neo_wallet::Wallet;
use shared_vendor::testing::vectors::{Cases, Claim, File};

use super::core_vectors::same;

const ADDRESS_VERSION: u8 = 0x35;

/// Passwords that the sources of the wallets use.
const PASSWORDS: [&str; 6] = ["pass", "testpass", "one", "two", "three", "four"];

pub(crate) fn claim(file: &File<'_>) -> Option<Claim> {
    if !file.path.ends_with(".json") {
        return None;
    }
    let json = file.json();
    (json.get("scrypt").is_some() && json.get("accounts").is_some()).then_some(Claim::Run(wallet))
}

fn wallet(file: &File<'_>, cases: &mut Cases) {
    let wallet = match Wallet::parse(file.text(), ADDRESS_VERSION) {
        Ok(wallet) => wallet,
        Err(err) => return cases.fail("wallet", &err.to_string(), &"a wallet"),
    };
    cases.case("written again", || {
        let text = wallet.to_json().map_err(|err| err.to_string())?;
        same("wallet", &Wallet::parse(&text, ADDRESS_VERSION).ok(), &Some(wallet.clone()))
    });
    for account in &wallet.accounts {
        cases.case(&account.address, || {
            let script = account.script().map_err(|err| err.to_string())?.ok_or("no script")?;
            let hash = account.script_hash(ADDRESS_VERSION).map_err(|err| err.to_string())?;
            same("hash of the script", &neo_base::account::script_hash(&script), &hash)?;
            let unlock =
                |password: &&str| wallet.unlock(account, password.as_bytes(), ADDRESS_VERSION).is_ok();
            same(
                "unlocked by one password",
                &PASSWORDS.iter().filter(|password| unlock(password)).count(),
                &1,
            )
        });
    }
}
