//! The 196 instructions: number, operand and relative price on one page.
//! Mirrors `OpCode.cs` of neo-vm and `ApplicationEngine.OpCodePrices.cs` of the C# core.

/// The bytes that follow the number of an instruction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operand {
    /// So many bytes.
    Fixed(usize),
    /// A little-endian length of so many bytes, then that many bytes.
    Prefixed(usize),
}

use Operand::{Fixed, Prefixed};

macro_rules! opcodes {
    ($($name:ident = $byte:literal, $operand:expr, $price:literal;)*) => {
        /// An instruction.
        #[allow(non_camel_case_types, clippy::upper_case_acronyms)] // the names of the protocol
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[repr(u8)]
        pub enum OpCode {
            $(#[doc = concat!("Instruction `", stringify!($name), "`.")] $name = $byte,)*
        }

        impl OpCode {
            /// The instruction with this number.
            #[inline]
            #[must_use]
            pub const fn from_byte(byte: u8) -> Option<Self> {
                match byte {
                    $($byte => Some(Self::$name),)*
                    _ => None,
                }
            }

            /// The number of the instruction.
            #[must_use]
            pub const fn to_byte(self) -> u8 {
                match self {
                    $(Self::$name => $byte,)*
                }
            }

            /// The instruction with this name, in upper case.
            #[must_use]
            pub fn from_name(name: &str) -> Option<Self> {
                match name {
                    $(stringify!($name) => Some(Self::$name),)*
                    _ => None,
                }
            }

            /// The name in upper case.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$name => stringify!($name),)*
                }
            }

            /// What follows the number.
            #[inline]
            #[must_use]
            pub const fn operand(self) -> Operand {
                match self {
                    $(Self::$name => $operand,)*
                }
            }

            /// Price of one execution, to be multiplied by the network's execution fee factor.
            #[inline]
            #[must_use]
            pub const fn price(self) -> u32 {
                match self {
                    $(Self::$name => $price,)*
                }
            }
        }
    };
}

opcodes! {
    PUSHINT8 = 0x00, Fixed(1), 1;
    PUSHINT16 = 0x01, Fixed(2), 1;
    PUSHINT32 = 0x02, Fixed(4), 1;
    PUSHINT64 = 0x03, Fixed(8), 1;
    PUSHINT128 = 0x04, Fixed(16), 4;
    PUSHINT256 = 0x05, Fixed(32), 4;
    PUSHT = 0x08, Fixed(0), 1;
    PUSHF = 0x09, Fixed(0), 1;
    PUSHA = 0x0a, Fixed(4), 4;
    PUSHNULL = 0x0b, Fixed(0), 1;
    PUSHDATA1 = 0x0c, Prefixed(1), 8;
    PUSHDATA2 = 0x0d, Prefixed(2), 512;
    PUSHDATA4 = 0x0e, Prefixed(4), 4096;
    PUSHM1 = 0x0f, Fixed(0), 1;
    PUSH0 = 0x10, Fixed(0), 1;
    PUSH1 = 0x11, Fixed(0), 1;
    PUSH2 = 0x12, Fixed(0), 1;
    PUSH3 = 0x13, Fixed(0), 1;
    PUSH4 = 0x14, Fixed(0), 1;
    PUSH5 = 0x15, Fixed(0), 1;
    PUSH6 = 0x16, Fixed(0), 1;
    PUSH7 = 0x17, Fixed(0), 1;
    PUSH8 = 0x18, Fixed(0), 1;
    PUSH9 = 0x19, Fixed(0), 1;
    PUSH10 = 0x1a, Fixed(0), 1;
    PUSH11 = 0x1b, Fixed(0), 1;
    PUSH12 = 0x1c, Fixed(0), 1;
    PUSH13 = 0x1d, Fixed(0), 1;
    PUSH14 = 0x1e, Fixed(0), 1;
    PUSH15 = 0x1f, Fixed(0), 1;
    PUSH16 = 0x20, Fixed(0), 1;
    NOP = 0x21, Fixed(0), 1;
    JMP = 0x22, Fixed(1), 2;
    JMP_L = 0x23, Fixed(4), 2;
    JMPIF = 0x24, Fixed(1), 2;
    JMPIF_L = 0x25, Fixed(4), 2;
    JMPIFNOT = 0x26, Fixed(1), 2;
    JMPIFNOT_L = 0x27, Fixed(4), 2;
    JMPEQ = 0x28, Fixed(1), 2;
    JMPEQ_L = 0x29, Fixed(4), 2;
    JMPNE = 0x2a, Fixed(1), 2;
    JMPNE_L = 0x2b, Fixed(4), 2;
    JMPGT = 0x2c, Fixed(1), 2;
    JMPGT_L = 0x2d, Fixed(4), 2;
    JMPGE = 0x2e, Fixed(1), 2;
    JMPGE_L = 0x2f, Fixed(4), 2;
    JMPLT = 0x30, Fixed(1), 2;
    JMPLT_L = 0x31, Fixed(4), 2;
    JMPLE = 0x32, Fixed(1), 2;
    JMPLE_L = 0x33, Fixed(4), 2;
    CALL = 0x34, Fixed(1), 512;
    CALL_L = 0x35, Fixed(4), 512;
    CALLA = 0x36, Fixed(0), 512;
    CALLT = 0x37, Fixed(2), 32768;
    ABORT = 0x38, Fixed(0), 0;
    ASSERT = 0x39, Fixed(0), 1;
    THROW = 0x3a, Fixed(0), 512;
    TRY = 0x3b, Fixed(2), 4;
    TRY_L = 0x3c, Fixed(8), 4;
    ENDTRY = 0x3d, Fixed(1), 4;
    ENDTRY_L = 0x3e, Fixed(4), 4;
    ENDFINALLY = 0x3f, Fixed(0), 4;
    RET = 0x40, Fixed(0), 0;
    SYSCALL = 0x41, Fixed(4), 0;
    DEPTH = 0x43, Fixed(0), 2;
    DROP = 0x45, Fixed(0), 2;
    NIP = 0x46, Fixed(0), 2;
    XDROP = 0x48, Fixed(0), 16;
    CLEAR = 0x49, Fixed(0), 16;
    DUP = 0x4a, Fixed(0), 2;
    OVER = 0x4b, Fixed(0), 2;
    PICK = 0x4d, Fixed(0), 2;
    TUCK = 0x4e, Fixed(0), 2;
    SWAP = 0x50, Fixed(0), 2;
    ROT = 0x51, Fixed(0), 2;
    ROLL = 0x52, Fixed(0), 16;
    REVERSE3 = 0x53, Fixed(0), 2;
    REVERSE4 = 0x54, Fixed(0), 2;
    REVERSEN = 0x55, Fixed(0), 16;
    INITSSLOT = 0x56, Fixed(1), 16;
    INITSLOT = 0x57, Fixed(2), 64;
    LDSFLD0 = 0x58, Fixed(0), 2;
    LDSFLD1 = 0x59, Fixed(0), 2;
    LDSFLD2 = 0x5a, Fixed(0), 2;
    LDSFLD3 = 0x5b, Fixed(0), 2;
    LDSFLD4 = 0x5c, Fixed(0), 2;
    LDSFLD5 = 0x5d, Fixed(0), 2;
    LDSFLD6 = 0x5e, Fixed(0), 2;
    LDSFLD = 0x5f, Fixed(1), 2;
    STSFLD0 = 0x60, Fixed(0), 2;
    STSFLD1 = 0x61, Fixed(0), 2;
    STSFLD2 = 0x62, Fixed(0), 2;
    STSFLD3 = 0x63, Fixed(0), 2;
    STSFLD4 = 0x64, Fixed(0), 2;
    STSFLD5 = 0x65, Fixed(0), 2;
    STSFLD6 = 0x66, Fixed(0), 2;
    STSFLD = 0x67, Fixed(1), 2;
    LDLOC0 = 0x68, Fixed(0), 2;
    LDLOC1 = 0x69, Fixed(0), 2;
    LDLOC2 = 0x6a, Fixed(0), 2;
    LDLOC3 = 0x6b, Fixed(0), 2;
    LDLOC4 = 0x6c, Fixed(0), 2;
    LDLOC5 = 0x6d, Fixed(0), 2;
    LDLOC6 = 0x6e, Fixed(0), 2;
    LDLOC = 0x6f, Fixed(1), 2;
    STLOC0 = 0x70, Fixed(0), 2;
    STLOC1 = 0x71, Fixed(0), 2;
    STLOC2 = 0x72, Fixed(0), 2;
    STLOC3 = 0x73, Fixed(0), 2;
    STLOC4 = 0x74, Fixed(0), 2;
    STLOC5 = 0x75, Fixed(0), 2;
    STLOC6 = 0x76, Fixed(0), 2;
    STLOC = 0x77, Fixed(1), 2;
    LDARG0 = 0x78, Fixed(0), 2;
    LDARG1 = 0x79, Fixed(0), 2;
    LDARG2 = 0x7a, Fixed(0), 2;
    LDARG3 = 0x7b, Fixed(0), 2;
    LDARG4 = 0x7c, Fixed(0), 2;
    LDARG5 = 0x7d, Fixed(0), 2;
    LDARG6 = 0x7e, Fixed(0), 2;
    LDARG = 0x7f, Fixed(1), 2;
    STARG0 = 0x80, Fixed(0), 2;
    STARG1 = 0x81, Fixed(0), 2;
    STARG2 = 0x82, Fixed(0), 2;
    STARG3 = 0x83, Fixed(0), 2;
    STARG4 = 0x84, Fixed(0), 2;
    STARG5 = 0x85, Fixed(0), 2;
    STARG6 = 0x86, Fixed(0), 2;
    STARG = 0x87, Fixed(1), 2;
    NEWBUFFER = 0x88, Fixed(0), 256;
    MEMCPY = 0x89, Fixed(0), 2048;
    CAT = 0x8b, Fixed(0), 2048;
    SUBSTR = 0x8c, Fixed(0), 2048;
    LEFT = 0x8d, Fixed(0), 2048;
    RIGHT = 0x8e, Fixed(0), 2048;
    INVERT = 0x90, Fixed(0), 4;
    AND = 0x91, Fixed(0), 8;
    OR = 0x92, Fixed(0), 8;
    XOR = 0x93, Fixed(0), 8;
    EQUAL = 0x97, Fixed(0), 32;
    NOTEQUAL = 0x98, Fixed(0), 32;
    SIGN = 0x99, Fixed(0), 4;
    ABS = 0x9a, Fixed(0), 4;
    NEGATE = 0x9b, Fixed(0), 4;
    INC = 0x9c, Fixed(0), 4;
    DEC = 0x9d, Fixed(0), 4;
    ADD = 0x9e, Fixed(0), 8;
    SUB = 0x9f, Fixed(0), 8;
    MUL = 0xa0, Fixed(0), 8;
    DIV = 0xa1, Fixed(0), 8;
    MOD = 0xa2, Fixed(0), 8;
    POW = 0xa3, Fixed(0), 64;
    SQRT = 0xa4, Fixed(0), 64;
    MODMUL = 0xa5, Fixed(0), 32;
    MODPOW = 0xa6, Fixed(0), 2048;
    SHL = 0xa8, Fixed(0), 8;
    SHR = 0xa9, Fixed(0), 8;
    NOT = 0xaa, Fixed(0), 4;
    BOOLAND = 0xab, Fixed(0), 8;
    BOOLOR = 0xac, Fixed(0), 8;
    NZ = 0xb1, Fixed(0), 4;
    NUMEQUAL = 0xb3, Fixed(0), 8;
    NUMNOTEQUAL = 0xb4, Fixed(0), 8;
    LT = 0xb5, Fixed(0), 8;
    LE = 0xb6, Fixed(0), 8;
    GT = 0xb7, Fixed(0), 8;
    GE = 0xb8, Fixed(0), 8;
    MIN = 0xb9, Fixed(0), 8;
    MAX = 0xba, Fixed(0), 8;
    WITHIN = 0xbb, Fixed(0), 8;
    PACKMAP = 0xbe, Fixed(0), 2048;
    PACKSTRUCT = 0xbf, Fixed(0), 2048;
    PACK = 0xc0, Fixed(0), 2048;
    UNPACK = 0xc1, Fixed(0), 2048;
    NEWARRAY0 = 0xc2, Fixed(0), 16;
    NEWARRAY = 0xc3, Fixed(0), 512;
    NEWARRAY_T = 0xc4, Fixed(1), 512;
    NEWSTRUCT0 = 0xc5, Fixed(0), 16;
    NEWSTRUCT = 0xc6, Fixed(0), 512;
    NEWMAP = 0xc8, Fixed(0), 8;
    SIZE = 0xca, Fixed(0), 4;
    HASKEY = 0xcb, Fixed(0), 64;
    KEYS = 0xcc, Fixed(0), 16;
    VALUES = 0xcd, Fixed(0), 8192;
    PICKITEM = 0xce, Fixed(0), 64;
    APPEND = 0xcf, Fixed(0), 8192;
    SETITEM = 0xd0, Fixed(0), 8192;
    REVERSEITEMS = 0xd1, Fixed(0), 8192;
    REMOVE = 0xd2, Fixed(0), 16;
    CLEARITEMS = 0xd3, Fixed(0), 16;
    POPITEM = 0xd4, Fixed(0), 16;
    ISNULL = 0xd8, Fixed(0), 2;
    ISTYPE = 0xd9, Fixed(1), 2;
    CONVERT = 0xdb, Fixed(1), 8192;
    ABORTMSG = 0xe0, Fixed(0), 0;
    ASSERTMSG = 0xe1, Fixed(0), 1;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_are_196_instructions_whose_numbers_and_names_read_back() {
        let all: Vec<_> = (0..=u8::MAX).filter_map(OpCode::from_byte).collect();
        assert_eq!(all.len(), 196);
        for op in all {
            assert_eq!(OpCode::from_byte(op.to_byte()), Some(op));
            assert_eq!(OpCode::from_name(op.name()), Some(op));
        }
    }
}
