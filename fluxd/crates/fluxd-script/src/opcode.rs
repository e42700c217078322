//! Opcodes by name. Values are those of Bitcoin's script; `NAMES` covers `OP_NOP` upwards, as test data names them.

macro_rules! opcodes {
    ($($(#[$doc:meta])* $name:ident = $value:literal),* $(,)?) => {
        $($(#[$doc])* #[allow(missing_docs)] pub const $name: u8 = $value;)*

        /// Every opcode with a name of its own, in ascending order, without the `OP_` prefix.
        pub const NAMES: &[(&str, u8)] = &[$((stringify!($name), $value)),*];
    };
}

/// Pushes nothing: the empty string.
pub const PUSH_EMPTY: u8 = 0x00;
/// Pushes as many bytes as the next byte says.
pub const PUSHDATA1: u8 = 0x4c;
/// Pushes as many bytes as the next two bytes say.
pub const PUSHDATA2: u8 = 0x4d;
/// Pushes as many bytes as the next four bytes say.
pub const PUSHDATA4: u8 = 0x4e;
/// Pushes -1.
pub const NEGATE_ONE: u8 = 0x4f;
/// Pushes 1; the opcodes up to [`PUSH_16`] push 2 to 16.
pub const PUSH_1: u8 = 0x51;
/// Pushes 16.
pub const PUSH_16: u8 = 0x60;

opcodes! {
    RESERVED = 0x50,
    NOP = 0x61, VER = 0x62, IF = 0x63, NOTIF = 0x64, VERIF = 0x65, VERNOTIF = 0x66, ELSE = 0x67, ENDIF = 0x68,
    VERIFY = 0x69, RETURN = 0x6a,
    TOALTSTACK = 0x6b, FROMALTSTACK = 0x6c, TWO_DROP = 0x6d, TWO_DUP = 0x6e, THREE_DUP = 0x6f, TWO_OVER = 0x70,
    TWO_ROT = 0x71, TWO_SWAP = 0x72, IFDUP = 0x73, DEPTH = 0x74, DROP = 0x75, DUP = 0x76, NIP = 0x77, OVER = 0x78,
    PICK = 0x79, ROLL = 0x7a, ROT = 0x7b, SWAP = 0x7c, TUCK = 0x7d,
    CAT = 0x7e, SUBSTR = 0x7f, LEFT = 0x80, RIGHT = 0x81, SIZE = 0x82,
    INVERT = 0x83, AND = 0x84, OR = 0x85, XOR = 0x86, EQUAL = 0x87, EQUALVERIFY = 0x88, RESERVED1 = 0x89,
    RESERVED2 = 0x8a,
    ONE_ADD = 0x8b, ONE_SUB = 0x8c, TWO_MUL = 0x8d, TWO_DIV = 0x8e, NEGATE = 0x8f, ABS = 0x90, NOT = 0x91,
    ZERO_NOTEQUAL = 0x92,
    ADD = 0x93, SUB = 0x94, MUL = 0x95, DIV = 0x96, MOD = 0x97, LSHIFT = 0x98, RSHIFT = 0x99,
    BOOLAND = 0x9a, BOOLOR = 0x9b, NUMEQUAL = 0x9c, NUMEQUALVERIFY = 0x9d, NUMNOTEQUAL = 0x9e, LESSTHAN = 0x9f,
    GREATERTHAN = 0xa0, LESSTHANOREQUAL = 0xa1, GREATERTHANOREQUAL = 0xa2, MIN = 0xa3, MAX = 0xa4, WITHIN = 0xa5,
    RIPEMD160 = 0xa6, SHA1 = 0xa7, SHA256 = 0xa8, HASH160 = 0xa9, HASH256 = 0xaa, CODESEPARATOR = 0xab,
    CHECKSIG = 0xac, CHECKSIGVERIFY = 0xad, CHECKMULTISIG = 0xae, CHECKMULTISIGVERIFY = 0xaf,
    NOP1 = 0xb0, CHECKLOCKTIMEVERIFY = 0xb1, NOP3 = 0xb2, NOP4 = 0xb3, NOP5 = 0xb4, NOP6 = 0xb5, NOP7 = 0xb6,
    NOP8 = 0xb7, NOP9 = 0xb8, NOP10 = 0xb9,
}

/// The textual name of an opcode as the C++ node prints it; `OP_UNKNOWN` for a value without one.
#[must_use]
pub fn name(opcode: u8) -> String {
    match opcode {
        PUSH_EMPTY => return "0".to_owned(),
        PUSHDATA1 => return "OP_PUSHDATA1".to_owned(),
        PUSHDATA2 => return "OP_PUSHDATA2".to_owned(),
        PUSHDATA4 => return "OP_PUSHDATA4".to_owned(),
        NEGATE_ONE => return "-1".to_owned(),
        PUSH_1..=PUSH_16 => return (opcode - PUSH_1 + 1).to_string(),
        0xff => return "OP_INVALIDOPCODE".to_owned(),
        _ => {}
    }
    let Some((name, _)) = NAMES.iter().find(|(_, value)| *value == opcode) else {
        return "OP_UNKNOWN".to_owned();
    };
    let spelled = [("TWO_", "2"), ("THREE_", "3"), ("ONE_", "1"), ("ZERO_", "0")]
        .iter()
        .find_map(|(word, digit)| name.strip_prefix(word).map(|rest| format!("{digit}{rest}")));
    format!("OP_{}", spelled.as_deref().unwrap_or(name))
}
