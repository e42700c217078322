//! Scripts as text and as JSON.

use fluxd_consensus::params::Params;
use fluxd_primitives::{Address, Script};
use fluxd_script::{instruction::instructions, number, opcode, standard::Standard};
use shared_vendor::hex;

use crate::json::Json;

/// Names of the opcodes from 0x61 (`OP_NOP`) on.
const NAMES: [&str; 89] = [
    "OP_NOP",
    "OP_VER",
    "OP_IF",
    "OP_NOTIF",
    "OP_VERIF",
    "OP_VERNOTIF",
    "OP_ELSE",
    "OP_ENDIF",
    "OP_VERIFY",
    "OP_RETURN",
    "OP_TOALTSTACK",
    "OP_FROMALTSTACK",
    "OP_2DROP",
    "OP_2DUP",
    "OP_3DUP",
    "OP_2OVER",
    "OP_2ROT",
    "OP_2SWAP",
    "OP_IFDUP",
    "OP_DEPTH",
    "OP_DROP",
    "OP_DUP",
    "OP_NIP",
    "OP_OVER",
    "OP_PICK",
    "OP_ROLL",
    "OP_ROT",
    "OP_SWAP",
    "OP_TUCK",
    "OP_CAT",
    "OP_SUBSTR",
    "OP_LEFT",
    "OP_RIGHT",
    "OP_SIZE",
    "OP_INVERT",
    "OP_AND",
    "OP_OR",
    "OP_XOR",
    "OP_EQUAL",
    "OP_EQUALVERIFY",
    "OP_RESERVED1",
    "OP_RESERVED2",
    "OP_1ADD",
    "OP_1SUB",
    "OP_2MUL",
    "OP_2DIV",
    "OP_NEGATE",
    "OP_ABS",
    "OP_NOT",
    "OP_0NOTEQUAL",
    "OP_ADD",
    "OP_SUB",
    "OP_MUL",
    "OP_DIV",
    "OP_MOD",
    "OP_LSHIFT",
    "OP_RSHIFT",
    "OP_BOOLAND",
    "OP_BOOLOR",
    "OP_NUMEQUAL",
    "OP_NUMEQUALVERIFY",
    "OP_NUMNOTEQUAL",
    "OP_LESSTHAN",
    "OP_GREATERTHAN",
    "OP_LESSTHANOREQUAL",
    "OP_GREATERTHANOREQUAL",
    "OP_MIN",
    "OP_MAX",
    "OP_WITHIN",
    "OP_RIPEMD160",
    "OP_SHA1",
    "OP_SHA256",
    "OP_HASH160",
    "OP_HASH256",
    "OP_CODESEPARATOR",
    "OP_CHECKSIG",
    "OP_CHECKSIGVERIFY",
    "OP_CHECKMULTISIG",
    "OP_CHECKMULTISIGVERIFY",
    "OP_NOP1",
    "OP_NOP2",
    "OP_NOP3",
    "OP_NOP4",
    "OP_NOP5",
    "OP_NOP6",
    "OP_NOP7",
    "OP_NOP8",
    "OP_NOP9",
    "OP_NOP10",
];

fn name(code: u8) -> String {
    match code {
        0 => "0".to_owned(),
        0x4c => "OP_PUSHDATA1".to_owned(),
        0x4d => "OP_PUSHDATA2".to_owned(),
        0x4e => "OP_PUSHDATA4".to_owned(),
        0x4f => "-1".to_owned(),
        0x50 => "OP_RESERVED".to_owned(),
        0x51..=0x60 => (code - 0x50).to_string(),
        0xff => "OP_INVALIDOPCODE".to_owned(),
        other => {
            let at = usize::from(other).checked_sub(0x61);
            at.and_then(|at| NAMES.get(at)).map_or("OP_UNKNOWN", |name| name).to_owned()
        }
    }
}

/// A script as text: pushes of up to four bytes as numbers, longer ones in hexadecimal. `signatures` shows the hash type
/// of what looks like a signature by name.
#[must_use]
pub fn asm(script: &[u8], signatures: bool) -> String {
    let unspendable = script.first() == Some(&opcode::RETURN);
    let mut words = Vec::new();
    for instruction in instructions(script) {
        let Ok(instruction) = instruction else {
            words.push("[error]".to_owned());
            break;
        };
        let data = instruction.data;
        words.push(if instruction.opcode > opcode::PUSHDATA4 || (instruction.opcode == 0) {
            name(instruction.opcode)
        } else if data.len() <= 4 {
            small_number(data).to_string()
        } else if signatures && !unspendable {
            signature(data)
        } else {
            hex::encode(data)
        });
    }
    words.join(" ")
}

/// A short push as the number that the interpreter would read.
fn small_number(data: &[u8]) -> i64 {
    number::decode(data, false, number::DEFAULT_SIZE).unwrap_or_default()
}

fn signature(data: &[u8]) -> String {
    let kinds = [
        (0x01, "ALL"),
        (0x81, "ALL|ANYONECANPAY"),
        (0x02, "NONE"),
        (0x82, "NONE|ANYONECANPAY"),
        (0x03, "SINGLE"),
        (0x83, "SINGLE|ANYONECANPAY"),
    ];
    if let Some((kind, rest)) = data.split_last()
        && fluxd_script::interpreter::is_strict_der(rest)
        && let Some((_, name)) = kinds.iter().find(|(code, _)| code == kind)
    {
        return format!("{}[{name}]", hex::encode(rest));
    }
    hex::encode(data)
}

/// The addresses that a script pays, how many of them must sign, and the name of its form.
#[must_use]
pub fn destinations(script: &[u8]) -> (&'static str, Option<(u8, Vec<Address>)>) {
    let Some(standard) = Standard::of(script) else { return ("nonstandard", None) };
    let single = standard.address().map(|address| (1, vec![address]));
    match &standard {
        Standard::PubKey(_) => ("pubkey", single),
        Standard::PubKeyHash(_) => ("pubkeyhash", single),
        Standard::ScriptHash(_) => ("scripthash", single),
        Standard::NullData => ("nulldata", None),
        Standard::MultiSig { required, .. } => {
            let addresses: Vec<Address> =
                standard.multisig_keys().iter().map(|key| Address::PubkeyHash(key.id())).collect();
            ("multisig", (!addresses.is_empty()).then_some((*required, addresses)))
        }
    }
}

/// The members of a `scriptPubKey` object.
#[must_use]
pub fn locking(script: &Script, params: &Params, with_hex: bool) -> Json {
    let mut out = Json::object();
    out.push("asm", asm(script.as_bytes(), false));
    if with_hex {
        out.push("hex", hex::encode(script.as_bytes()));
    }
    let (kind, paid) = destinations(script.as_bytes());
    if let Some((required, addresses)) = paid {
        let texts =
            addresses.iter().map(|address| Json::from(address.encode(&params.addresses))).collect::<Vec<_>>();
        out.push("reqSigs", required).push("type", kind).push("addresses", texts);
    } else {
        out.push("type", kind);
    }
    out
}
