//! The script interpreter and the signature hashes of all eras.

use fluxd_consensus::check::{check_transaction, transaction::EXPIRY_HEIGHT_THRESHOLD};
use fluxd_primitives::{Amount, Codec, Hash256, OutPoint, Script, Transaction, TxId, TxIn, TxOut};
use fluxd_script::{
    Flags, InputContext, ScriptError, SighashParts, number, opcode,
    sighash::{SignedInput, signature_hash},
    verify_script,
};
use serde_json::Value;
use shared_vendor::{
    hex,
    testing::vectors::{Cases, File},
};

use crate::common::{bytes, rows, table, text, wire};

/// The branch ids that the reference repeats its script tests for: before and after Acadia, and its test dummy.
const BRANCHES: [u32; 3] = [0, 0x76b8_09bb, 0x7473_6554];

/// Pairs of scripts that unlock.
pub(crate) fn valid(file: &File<'_>, cases: &mut Cases) {
    script_pairs(file, cases, true);
}

/// Pairs of scripts that do not unlock.
pub(crate) fn invalid(file: &File<'_>, cases: &mut Cases) {
    script_pairs(file, cases, false);
}

fn script_pairs(file: &File<'_>, cases: &mut Cases, expected: bool) {
    for row in rows(file) {
        let cells: Vec<&str> =
            row.as_array().expect("a row is a list").iter().filter_map(Value::as_str).collect();
        let [script_sig, script_pubkey, flags, ..] = cells.as_slice() else {
            continue; // a comment
        };
        for branch_id in BRANCHES {
            let outcome = run_pair(
                &parse_script(script_sig),
                &parse_script(script_pubkey),
                parse_flags(flags),
                branch_id,
            );
            cases.check(format!("{row} for branch {branch_id:08x}"), outcome.is_ok() == expected, || {
                format!("{outcome:?}")
            });
        }
    }
}

/// Spends an output of a made-up transaction, as the reference's tests build it.
fn run_pair(
    script_sig: &Script,
    script_pubkey: &Script,
    flags: Flags,
    branch_id: u32,
) -> Result<(), ScriptError> {
    let transaction = |prevout, script_sig: &Script, script_pubkey: &Script| Transaction {
        version: 1,
        inputs: vec![TxIn { prevout, script_sig: script_sig.clone(), sequence: u32::MAX }],
        outputs: vec![TxOut { value: Amount::ZERO, script_pubkey: script_pubkey.clone() }],
        ..Transaction::default()
    };
    let credit = transaction(OutPoint::NULL, &Script(vec![0, 0]), script_pubkey);
    let prevout = OutPoint { txid: credit.txid(), index: 0 };
    let tx = transaction(prevout, script_sig, &Script::default());
    let context =
        InputContext { tx: &tx, parts: &SighashParts::new(&tx), index: 0, amount: Amount::ZERO, branch_id };
    verify_script(&script_sig.0, &script_pubkey.0, flags, &context)
}

/// Rows of transaction, script, input, hash type, branch and hash.
pub(crate) fn sighash(file: &File<'_>, cases: &mut Cases) {
    for (number, row) in rows(file).iter().enumerate().skip(1) {
        let tx = Transaction::from_bytes(&cell_bytes(&row[0])).expect("a transaction");
        let script_code = cell_bytes(&row[1]);
        let index = usize::try_from(row[2].as_u64().expect("an index")).expect("a small index");
        let hash_type = i32::try_from(row[3].as_i64().expect("a hash type")).expect("32 bits");
        let branch_id = u32::try_from(row[4].as_u64().expect("a branch")).expect("32 bits");
        cases.equal(format!("row {number} rules"), &check_transaction(&tx).is_ok(), &expected_valid(&tx));
        let input = SignedInput { index, script_code: &script_code, amount: Amount::ZERO };
        let hash = signature_hash(&tx, &SighashParts::new(&tx), Some(input), hash_type, branch_id);
        let expected: Hash256 = row[5].as_str().expect("a hash").parse().expect("a hash");
        cases.equal(format!("row {number}"), &hash, &Ok(expected));
    }
}

/// The reference's test expects every row to pass but those without a version or with an expiry out of range.
fn expected_valid(tx: &Transaction) -> bool {
    if tx.overwintered { tx.expiry_height < EXPIRY_HEIGHT_THRESHOLD } else { tx.version >= 1 }
}

/// Vectors of ZIP-143 and ZIP-243: the hash is in wire order.
pub(crate) fn zip_sighash(file: &File<'_>, cases: &mut Cases) {
    for (number, row) in table(file).iter().enumerate() {
        let tx: Transaction = wire(row, "tx");
        let script_code = bytes(row, "script_code");
        let amount = Amount::from_zat(row["amount"].as_i64().expect("an amount"));
        let input = usize::try_from(row["transparent_input"].as_i64().expect("an index"))
            .ok()
            .map(|index| SignedInput { index, script_code: &script_code, amount });
        let hash_type = i32::try_from(row["hash_type"].as_i64().expect("a hash type")).expect("32 bits");
        let branch_id =
            u32::try_from(row["consensus_branch_id"].as_u64().expect("a branch")).expect("32 bits");
        let hash = signature_hash(&tx, &SighashParts::new(&tx), input, hash_type, branch_id);
        cases.equal(
            format!("row {number}"),
            &hash.map(|hash| hex::encode(hash.0)),
            &Ok(text(row, "sighash").to_owned()),
        );
    }
}

/// Transactions that pass the checks and unlock every output they spend.
pub(crate) fn valid_transactions(file: &File<'_>, cases: &mut Cases) {
    for row in rows(file).iter().filter(|row| row[0].is_array()) {
        cases.equal(row.to_string(), &spend(row), &Ok(()));
    }
}

/// Transactions that fail a check, or do not unlock an output they spend.
pub(crate) fn invalid_transactions(file: &File<'_>, cases: &mut Cases) {
    for row in rows(file).iter().filter(|row| row[0].is_array()) {
        cases.check(row.to_string(), spend(row).is_err(), || "it passes".to_owned());
    }
}

/// Decodes, checks and runs a row of `tx_valid` or `tx_invalid`: spent outputs, transaction, flags.
fn spend(row: &Value) -> Result<(), String> {
    let tx = Transaction::from_bytes(&cell_bytes(&row[1])).expect("a transaction");
    check_transaction(&tx).map_err(|rule| rule.to_string())?;
    let (spent, parts) = (spent_outputs(row), SighashParts::new(&tx));
    let flags = parse_flags(row[2].as_str().expect("flags"));
    for (index, input) in tx.inputs.iter().enumerate() {
        let script =
            spent.iter().rev().find(|(prevout, _)| *prevout == input.prevout).map(|(_, script)| script);
        let script = script.unwrap_or_else(|| panic!("no output for input {index}"));
        let context = InputContext { tx: &tx, parts: &parts, index, amount: Amount::ZERO, branch_id: 0 };
        verify_script(&input.script_sig.0, &script.0, flags, &context).map_err(|rule| rule.to_string())?;
    }
    Ok(())
}

/// The outputs that a row of `tx_valid` or `tx_invalid` spends.
fn spent_outputs(row: &Value) -> Vec<(OutPoint, Script)> {
    row[0]
        .as_array()
        .expect("a list of outputs")
        .iter()
        .map(|output| {
            let txid: TxId = output[0].as_str().expect("an id").parse().expect("an id");
            let index = output[1].as_i64().expect("an index");
            let index = u32::try_from(index).unwrap_or(u32::MAX); // -1 stands for the null index
            (OutPoint { txid, index }, parse_script(output[2].as_str().expect("a script")))
        })
        .collect()
}

/// Flags by their names in the reference's tests.
fn parse_flags(names: &str) -> Flags {
    names.split(',').filter(|name| !name.is_empty()).fold(Flags::NONE, |flags, name| {
        flags
            | match name {
                "NONE" => Flags::NONE,
                "P2SH" => Flags::P2SH,
                "STRICTENC" => Flags::STRICT_ENC,
                "LOW_S" => Flags::LOW_S,
                "SIGPUSHONLY" => Flags::SIG_PUSH_ONLY,
                "MINIMALDATA" => Flags::MINIMAL_DATA,
                "NULLDUMMY" => Flags::NULL_DUMMY,
                "DISCOURAGE_UPGRADABLE_NOPS" => Flags::DISCOURAGE_UPGRADABLE_NOPS,
                "CLEANSTACK" => Flags::CLEAN_STACK,
                "CHECKLOCKTIMEVERIFY" => Flags::CHECK_LOCK_TIME,
                other => panic!("unknown flag {other}"),
            }
    })
}

/// Scripts as the reference's tests write them: numbers, raw hex, quoted text and opcode names.
fn parse_script(text: &str) -> Script {
    let mut script = Vec::new();
    for word in text.split_ascii_whitespace() {
        if let Ok(value) = word.parse::<i64>() {
            match value {
                -1 => script.push(opcode::NEGATE_ONE),
                0 => script.push(opcode::PUSH_EMPTY),
                1..=16 => script.push(opcode::PUSH_1 + u8::try_from(value).expect("small") - 1),
                _ => push(&mut script, &number::encode(value)),
            }
        } else if let Some(raw) = word.strip_prefix("0x") {
            script.extend(hex::decode(raw).expect("raw bytes"));
        } else if let Some(quoted) = word.strip_prefix('\'') {
            push(&mut script, quoted.strip_suffix('\'').expect("a closing quote").as_bytes());
        } else {
            script.push(opcode_by_name(word));
        }
    }
    Script(script)
}

fn push(script: &mut Vec<u8>, data: &[u8]) {
    match data.len() {
        length @ 0..=75 => script.push(u8::try_from(length).expect("small")),
        length @ ..=255 => script.extend([opcode::PUSHDATA1, u8::try_from(length).expect("small")]),
        length => {
            script.push(opcode::PUSHDATA2);
            script.extend(u16::try_from(length).expect("small").to_le_bytes());
        }
    }
    script.extend(data);
}

fn opcode_by_name(word: &str) -> u8 {
    let word = word.strip_prefix("OP_").unwrap_or(word);
    let code = (0..=u8::MAX).find(|code| opcode::name(*code).strip_prefix("OP_") == Some(word));
    match (code, word) {
        (Some(code), _) => code,
        (None, "NOP2") => opcode::CHECKLOCKTIMEVERIFY,
        (None, _) => panic!("unknown opcode {word}"),
    }
}

fn cell_bytes(cell: &Value) -> Vec<u8> {
    hex::decode(cell.as_str().expect("hexadecimal text")).expect("hexadecimal text")
}
