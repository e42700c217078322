//! Executable files. Mirrors `NefFile.cs` and `MethodToken.cs`.

use neo_base::{
    UInt160,
    codec::{
        DecodeError, Result, Wire, read_bool, read_list, read_var_bytes, read_var_text, write_list,
        write_var_bytes,
    },
};
use neo_crypto::hash::hash256;
use neo_vm::limits::MAX_ITEM_SIZE;
use shared_vendor::bytes::{Reader, Writer};

use crate::{base64, flags::CallFlags, json::Json};

/// First bytes of every file: `NEF3`.
const MAGIC: u32 = 0x3346_454E;

/// A script with what a contract needs to run it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Nef {
    /// Name and version of the compiler, at most 64 bytes.
    pub compiler: String,
    /// Where the source is, at most 256 bytes.
    pub source: String,
    /// Methods that `CALLT` calls, at most 128.
    pub tokens: Vec<MethodToken>,
    /// 1 to 131070 bytes.
    pub script: Vec<u8>,
    /// First four bytes of Hash256 of everything before, as a number.
    pub checksum: u32,
}

impl Nef {
    /// A file of these parts, with its checksum.
    #[must_use]
    pub fn new(compiler: &str, source: &str, tokens: Vec<MethodToken>, script: Vec<u8>) -> Self {
        let mut nef =
            Self { compiler: compiler.to_owned(), source: source.to_owned(), tokens, script, checksum: 0 };
        nef.checksum = nef.computed_checksum();
        nef
    }

    /// The checksum that the other fields have.
    #[must_use]
    pub fn computed_checksum(&self) -> u32 {
        let bytes = self.to_bytes();
        let covered = bytes.len().checked_sub(4).and_then(|len| bytes.get(..len)).unwrap_or_default();
        let [a, b, c, d, ..] = hash256(covered);
        u32::from_le_bytes([a, b, c, d])
    }

    /// The form of `getcontractstate`.
    #[must_use]
    pub fn to_json(&self) -> Json {
        Json::object([
            ("magic", Json::Number(MAGIC.into())),
            ("compiler", Json::text(&self.compiler)),
            ("source", Json::text(&self.source)),
            ("tokens", Json::array(self.tokens.iter().map(MethodToken::to_json))),
            ("script", Json::text(base64::encode(&self.script))),
            ("checksum", Json::Number(self.checksum.into())),
        ])
    }
}

/// Reading checks size and checksum.
impl Wire for Nef {
    fn read(reader: &mut Reader<'_>) -> Result<Self> {
        let start = reader.offset();
        if reader.u32_le()? != MAGIC {
            return Err(DecodeError::Invalid("not an executable file"));
        }
        let compiler = read_fixed_text(reader)?;
        let source = read_var_text(reader, 256)?;
        if reader.u8()? != 0 {
            return Err(DecodeError::Invalid("reserved bytes are not zero"));
        }
        let tokens = read_list(reader, 128, 25)?;
        if reader.u16_le()? != 0 {
            return Err(DecodeError::Invalid("reserved bytes are not zero"));
        }
        let script = read_var_bytes(reader, MAX_ITEM_SIZE)?.to_vec();
        if script.is_empty() {
            return Err(DecodeError::Invalid("executable file has no script"));
        }
        let checksum = reader.u32_le()?;
        let nef = Self { compiler, source, tokens, script, checksum };
        if checksum != nef.computed_checksum() {
            return Err(DecodeError::Invalid("wrong checksum of an executable file"));
        }
        if reader.since(start).len() > MAX_ITEM_SIZE {
            return Err(DecodeError::Invalid("executable file is too large"));
        }
        Ok(nef)
    }

    fn write(&self, writer: &mut Writer) {
        writer.u32_le(MAGIC);
        let mut compiler = [0; 64];
        compiler.iter_mut().zip(self.compiler.bytes()).for_each(|(to, from)| *to = from);
        writer.put(&compiler);
        write_var_bytes(writer, self.source.as_bytes());
        writer.u8(0);
        write_list(writer, &self.tokens);
        writer.u16_le(0);
        write_var_bytes(writer, &self.script);
        writer.u32_le(self.checksum);
    }
}

/// A method of another contract that a script calls by number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MethodToken {
    /// The contract.
    pub hash: UInt160,
    /// The method, at most 32 bytes, not starting with `_`.
    pub method: String,
    /// Number of parameters.
    pub parameters: u16,
    /// Whether a value is returned.
    pub has_return: bool,
    /// What the call may do.
    pub flags: CallFlags,
}

impl MethodToken {
    fn to_json(&self) -> Json {
        Json::object([
            ("hash", Json::text(self.hash.to_string())),
            ("method", Json::text(&self.method)),
            ("paramcount", Json::Number(self.parameters.into())),
            ("hasreturnvalue", Json::Bool(self.has_return)),
            ("callflags", Json::text(self.flags.to_string())),
        ])
    }
}

impl Wire for MethodToken {
    fn read(reader: &mut Reader<'_>) -> Result<Self> {
        let hash = Wire::read(reader)?;
        let method = read_var_text(reader, 32)?;
        if method.starts_with('_') {
            return Err(DecodeError::Invalid("method of a token starts with an underscore"));
        }
        let parameters = reader.u16_le()?;
        let has_return = read_bool(reader)?;
        let flags = CallFlags::from_bits(reader.u8()?).ok_or(DecodeError::Invalid("unknown call flags"))?;
        Ok(Self { hash, method, parameters, has_return, flags })
    }

    fn write(&self, writer: &mut Writer) {
        self.hash.write(writer);
        write_var_bytes(writer, self.method.as_bytes());
        writer.u16_le(self.parameters).u8(self.has_return.into()).u8(self.flags.bits());
    }
}

/// 64 bytes of text, filled up with zeros.
fn read_fixed_text(reader: &mut Reader<'_>) -> Result<String> {
    let bytes: [u8; 64] = reader.array()?;
    let len = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
    let (text, padding) = bytes.split_at(len);
    if padding.iter().any(|byte| *byte != 0) {
        return Err(DecodeError::Invalid("padding of a text is not zero"));
    }
    std::str::from_utf8(text).map(str::to_owned).map_err(|_| DecodeError::Invalid("text is not UTF-8"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn damaged_files_are_refused() {
        let token = MethodToken {
            hash: UInt160([1; 20]),
            method: "foo".to_owned(),
            parameters: 2,
            has_return: true,
            flags: CallFlags::ALL,
        };
        let good = Nef::new("compiler", "source", vec![token], vec![0x11, 0x12, 0x9e]);
        let bytes = good.to_bytes();
        assert_eq!(Nef::from_bytes(&bytes), Ok(good));
        for cut in 0..bytes.len() {
            assert!(Nef::from_bytes(&bytes[..cut]).is_err(), "cut at {cut}");
        }
        for at in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[at] ^= 1;
            assert!(Nef::from_bytes(&changed).is_err(), "byte {at} changed");
        }
        assert!(Nef::from_bytes(&[&bytes[..], &[0]].concat()).is_err(), "a byte more");
    }

    #[test]
    fn good_checksums_do_not_excuse_bad_parts() {
        let refused = |change: &dyn Fn(&mut Nef)| {
            let mut nef = Nef::new("c", "", Vec::new(), vec![0x40]);
            change(&mut nef);
            nef.checksum = nef.computed_checksum();
            Nef::from_bytes(&nef.to_bytes()).is_err()
        };
        assert!(!refused(&|_| {}));
        assert!(refused(&|nef| nef.script.clear()), "no script");
        assert!(refused(&|nef| nef.script = vec![0x21; MAX_ITEM_SIZE]), "too large as a whole");
        assert!(refused(&|nef| nef.source = "s".repeat(257)), "a long source");
        let token = |method: &str| MethodToken {
            hash: UInt160::ZERO,
            method: method.to_owned(),
            parameters: 0,
            has_return: false,
            flags: CallFlags::NONE,
        };
        assert!(!refused(&|nef| nef.tokens = vec![token("m"); 128]));
        assert!(refused(&|nef| nef.tokens = vec![token("m"); 129]), "too many tokens");
        assert!(refused(&|nef| nef.tokens = vec![token("_m")]), "a token of a hidden method");
    }
}
