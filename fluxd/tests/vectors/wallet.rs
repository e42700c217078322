//! Keys out of seeds, Sapling keys and notes: vectors of the Zcash project. What Flux shares with it is everything but the
//! number of the coin.

use fluxd_keys::{
    HARDENED, account_path,
    notes::{OpenNote, Scanner, received, sent},
    sapling::{SpendingKey, ViewingKey},
    transparent::{self, ExtendedKey},
};
use fluxd_primitives::{
    Address, Hash256, Transaction,
    transaction::shielded::{SaplingOutput, SaplingSpend},
};
use sapling_crypto::{
    Diversifier, Rseed, SaplingIvk,
    keys::{ExpandedSpendingKey, FullViewingKey, OutgoingViewingKey},
    note_encryption::{PreparedIncomingViewingKey, prf_ock},
    value::{NoteValue, ValueCommitment},
};
use serde_json::Value;
use shared_vendor::{
    hex,
    testing::vectors::{Cases, File},
};
use zip32::{DiversifierIndex, Scope};

use crate::common::{bytes, number, table, text};

/// Number of Zcash among coins.
const COIN: u32 = 133;

fn array<const N: usize>(row: &Value, field: &str) -> [u8; N] {
    bytes(row, field).try_into().unwrap_or_else(|_| panic!("{field} has {N} bytes"))
}

/// The seed of all vectors that do not tell theirs.
fn seed() -> Vec<u8> {
    (0..32).collect()
}

/// Accounts of transparent keys.
pub(crate) fn transparent_accounts(file: &File<'_>, cases: &mut Cases) {
    let master = ExtendedKey::master(&seed()).expect("a key");
    for row in table(file) {
        let account = u32::try_from(number(&row, "account")).expect("an account");
        let key = master.descend(&account_path(transparent::PURPOSE, COIN, account)).expect("a key");
        let mut check = |field: &str, seen: &[u8]| {
            cases.equal(format!("{account} {field}"), &hex::encode(seen), &text(&row, field).to_owned());
        };
        check("c", key.chain_code());
        check("pk", key.public().as_bytes());
        let Address::PubkeyHash(hash) = key.address() else { panic!("a key has the address of a key") };
        check("address", &hash.0);
    }
    cases.skip(
        "external_ovk, internal_ovk: of unified accounts, and money that is shielded; Flux has neither",
    );
}

/// Keys, an address and a note of one spending key each.
pub(crate) fn components(file: &File<'_>, cases: &mut Cases) {
    for (number_of, row) in table(file).iter().enumerate() {
        let mut check = |field: &str, seen: &[u8]| {
            cases.equal(format!("{number_of} {field}"), &hex::encode(seen), &text(row, field).to_owned());
        };
        let (expanded, viewing) = keys(row);
        for (field, key) in ["ask", "nsk", "ovk"].into_iter().zip(expanded.to_bytes().chunks(32)) {
            check(field, key);
        }
        for (field, key) in ["ak", "nk", "ovk"].into_iter().zip(viewing.to_bytes().chunks(32)) {
            check(field, key);
        }
        check("ivk", &viewing.vk.ivk().to_repr());
        let diversifier = Diversifier(array(row, "default_d"));
        let address = viewing.vk.to_payment_address(diversifier).expect("a diversifier with a point");
        check("default_pk_d", &address.to_bytes()[11..]);
        let rcm = Option::from(jubjub::Fr::from_bytes(&array(row, "note_r"))).expect("a scalar");
        let value = NoteValue::from_raw(number(row, "note_v"));
        let note = address.create_note(value, Rseed::BeforeZip212(rcm));
        check("note_cmu", &note.cmu().to_bytes());
        let open = OpenNote { note, address, memo: Box::new([0; 512]) };
        check("note_nf", &open.nullifier(viewing.vk.nk(), number(row, "note_pos")).0);
    }
}

fn keys(row: &Value) -> (ExpandedSpendingKey, FullViewingKey) {
    let expanded = ExpandedSpendingKey::from_spending_key(&bytes(row, "sk")).expect("a key");
    let viewing = FullViewingKey::from_expanded_spending_key(&expanded);
    (expanded, viewing)
}

/// A chain of keys, each the child of the one before it: with the spending key while it is told, then with the viewing
/// key alone.
pub(crate) fn derivation(file: &File<'_>, cases: &mut Cases) {
    let mut last: Option<(Option<SpendingKey>, ViewingKey)> = None;
    for (depth, row) in table(file).iter().enumerate() {
        let place: [u8; 169] = array(row, "xfvk");
        let index = u32::from_le_bytes([place[5], place[6], place[7], place[8]]);
        let spends = row["xsk"].is_string();
        let (spending, viewing) = match &last {
            None => {
                let key = SpendingKey::master(&seed()).expect("a key");
                (Some(key.clone()), key.viewing_key().expect("a key"))
            }
            Some((Some(parent), above)) if spends => {
                let key = parent.child(index).expect("a key");
                let viewing = key.viewing_key().expect("a key");
                let below = (index & HARDENED == 0).then(|| viewing.clone());
                cases.equal(format!("{depth} by the viewing key"), &above.child(index), &below);
                (Some(key), viewing)
            }
            Some((_, above)) => (None, above.child(index).expect("a key")),
        };
        check_key(cases, &format!("{depth}"), row, "", spending.as_ref(), &viewing);
        let inner = spending.as_ref().map(|key| key.internal().expect("a key"));
        let inner_viewing = viewing.internal().expect("a key");
        check_key(cases, &format!("{depth} internal"), row, "internal_", inner.as_ref(), &inner_viewing);
        let keys = viewing.keys();
        for (scope, field) in [(Scope::External, "ivk"), (Scope::Internal, "internal_ivk")] {
            let seen = hex::encode(keys.to_ivk(scope).to_repr());
            cases.equal(format!("{depth} {field}"), &seen, &text(row, field).to_owned());
        }
        let numbers = [0_u32, 1, 2].map(DiversifierIndex::from);
        let most = DiversifierIndex::from([0xff; 11]);
        for (field, number) in ["d0", "d1", "d2", "dmax"].into_iter().zip(numbers.into_iter().chain([most])) {
            let seen = viewing.diversifier(number).map(|found| hex::encode(found.0));
            cases.equal(format!("{depth} {field}"), &seen.as_deref(), &row[field].as_str());
        }
        if let Some(key) = &spending {
            let again = SpendingKey::from_bytes(&key.to_bytes()).map(|key| key.to_bytes());
            cases.equal(format!("{depth} read again"), &again, &Some(key.to_bytes()));
        }
        cases.equal(format!("{depth} seen again"), &ViewingKey::from_bytes(&place), &Some(viewing.clone()));
        last = Some((spending, viewing));
    }
}

/// All that is told of one key, under names with a prefix; those that concern spending are absent where only the viewing key
/// is known.
fn check_key(
    cases: &mut Cases,
    name: &str,
    row: &Value,
    prefix: &str,
    spending: Option<&SpendingKey>,
    viewing: &ViewingKey,
) {
    let mut check = |field: &str, seen: Option<&[u8]>| {
        let field = format!("{prefix}{field}");
        if let Some(expected) = row.get(&field) {
            cases.equal(format!("{name} {field}"), &seen.map(hex::encode).as_deref(), &expected.as_str());
        }
    };
    let secret = spending.map(SpendingKey::to_bytes);
    let public = viewing.to_bytes();
    let part = |bytes: &[u8; 169], at: usize| bytes[9 + 32 * at..41 + 32 * at].to_vec();
    check("xsk", secret.as_ref().map(|key| &key[..]));
    check("xfvk", Some(&public));
    for (at, field) in ["c", "ask", "nsk", "ovk", "dk"].into_iter().enumerate() {
        let from = if ["ask", "nsk"].contains(&field) { secret } else { Some(public) };
        check(field, from.map(|key| part(&key, at)).as_deref());
    }
    for (at, field) in [(1, "ak"), (2, "nk")] {
        check(field, Some(&part(&public, at)));
    }
    check("fp", Some(&viewing.fingerprint()));
}

/// Notes as their recipient and their sender open them, alone and as outputs of one transaction.
pub(crate) fn encryption(file: &File<'_>, cases: &mut Cases) {
    let rows = table(file);
    let beside = std::fs::read(file.root().join("zcash/sapling_key_components.json")).expect("keys");
    let beside: Vec<Vec<Value>> = serde_json::from_slice(&beside).expect("JSON");
    let outputs: Vec<SaplingOutput> = rows.iter().map(output).collect();
    for (number_of, (row, output)) in rows.iter().zip(&outputs).enumerate() {
        let name = |what: &str| format!("{number_of} {what}");
        let ivk = Option::<SaplingIvk>::from(SaplingIvk::from_bytes(&array(row, "ivk"))).expect("a key");
        let (prepared, ovk) = (PreparedIncomingViewingKey::new(&ivk), OutgoingViewingKey(array(row, "ovk")));
        let Some((note, again)) = received(&prepared, output).zip(sent(&ovk, output)) else {
            cases.fail(name("note"), &"closed", &"open to recipient and sender");
            continue;
        };
        let plain = |note: &OpenNote| {
            let mut plain = vec![1];
            plain.extend(note.address.diversifier().0);
            plain.extend(note.note.value().inner().to_le_bytes());
            plain.extend(note.note.rcm().to_bytes());
            plain.extend(note.memo.iter());
            hex::encode(plain)
        };
        for (who, note) in [("recipient", &note), ("sender", &again)] {
            let mut check = |field: &str, seen: String| {
                cases.equal(format!("{} {field}", name(who)), &seen, &text(row, field).to_owned());
            };
            check("p_enc", plain(note));
            check("memo", hex::encode(*note.memo));
            check("rcm", hex::encode(note.note.rcm().to_bytes()));
            check("cmu", hex::encode(note.note.cmu().to_bytes()));
            check("default_d", hex::encode(note.address.diversifier().0));
            check("default_pk_d", hex::encode(&note.address.to_bytes()[11..]));
            cases.equal(name("value"), &note.value().zat().unsigned_abs(), &number(row, "v"));
        }
        let cv = Option::from(ValueCommitment::from_bytes_not_small_order(&output.cv)).expect("a point");
        let ock = prf_ock(&ovk, &cv, &output.cmu.0, &output.ephemeral_key.into());
        cases.equal(name("ock"), &hex::encode(ock.0), &text(row, "ock").to_owned());
        // What the sender keeps for himself: whom he paid, and the secret of the ephemeral key.
        let kept = [&note.address.to_bytes()[11..], &bytes(row, "esk")].concat();
        cases.equal(name("op"), &hex::encode(kept), &text(row, "op").to_owned());
        let mut changed = output.clone();
        changed.enc_ciphertext[0] ^= 1;
        cases.equal(name("changed"), &received(&prepared, &changed).is_none(), &true);
        let other = &outputs[(number_of + 1) % outputs.len()];
        cases.equal(name("another's"), &received(&prepared, other).is_none(), &true);

        // The same note among all others, and what spends it.
        let components = &beside[2 + number_of];
        let sk = components[0].as_str().expect("a key");
        let viewing = keys(&serde_json::json!({ "sk": sk })).1;
        let nk = *viewing.vk.nk();
        let all = Transaction { shielded_outputs: outputs.clone(), ..Transaction::default() };
        let mut scanner = Scanner::new(&[(Scope::External, ivk, nk)]);
        scanner.see(&all, 7);
        scanner.see(&spending(Hash256::ZERO), 8);
        let found: Vec<_> =
            scanner.found().iter().map(|note| (note.output, note.height, note.spent)).collect();
        cases.equal(name("found"), &found, &vec![(number_of, 7, None)]);
        let position = u64::try_from(number_of).expect("few");
        let spend = spending(note.nullifier(&nk, position));
        scanner.see(&spend, 9);
        let spent: Vec<_> = scanner.found().iter().map(|note| note.spent).collect();
        cases.equal(name("spent"), &spent, &vec![Some(spend.txid())]);
    }
    cases.skip("shared_secret, k_enc: inside the library, and right where the note opens");
}

fn output(row: &Value) -> SaplingOutput {
    SaplingOutput {
        cv: array(row, "cv"),
        cmu: Hash256(array(row, "cmu")),
        ephemeral_key: array(row, "epk"),
        enc_ciphertext: array(row, "c_enc"),
        out_ciphertext: array(row, "c_out"),
        proof: [0; 192],
    }
}

fn spending(nullifier: Hash256) -> Transaction {
    let spend = SaplingSpend {
        cv: [0; 32],
        anchor: Hash256::ZERO,
        nullifier,
        rk: [0; 32],
        proof: [0; 192],
        spend_auth_sig: [0; 64],
    };
    Transaction { spends: vec![spend], ..Transaction::default() }
}
