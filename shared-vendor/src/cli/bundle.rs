//! The archive that `support-bundle` writes: texts in a tar.gz, each cleaned of secrets, and of addresses unless they
//! are asked for. What goes in is decided in `app::support`.

use std::{
    collections::HashMap,
    io::{self, Write},
    net::{IpAddr, SocketAddr},
};

use flate2::{Compression, write::GzEncoder};

use crate::exit::Report;

/// Shorter secrets are not looked for in running text: they would be found in every word.
const LEAST_SECRET: usize = 4;

/// Names after which a value is hidden wherever it stands.
const SECRET_NAMES: [&str; 12] = [
    "password",
    "passwd",
    "passphrase",
    "secret",
    "token",
    "cookie",
    "authorization",
    "private key",
    "private_key",
    "privkey",
    "mnemonic",
    "wif",
];

/// A part of a path from this length on may be a key of a service.
const KEY_IN_PATH: usize = 20;

/// An archive in the making.
#[derive(Debug)]
pub struct Bundle {
    folder: String,
    made: u64,
    secrets: Vec<String>,
    /// Stand-ins of the addresses met so far; nothing when addresses stay.
    addresses: Option<HashMap<IpAddr, usize>>,
    files: Vec<(String, String)>,
    absent: Vec<String>,
}

impl Bundle {
    /// An empty one whose files will lie in `folder` and be of `made`, in seconds since 1970. `secrets` are the texts
    /// that must not be told.
    #[must_use]
    pub fn new(folder: String, made: u64, mut secrets: Vec<String>, with_addresses: bool) -> Self {
        secrets.retain(|secret| secret.len() >= LEAST_SECRET);
        secrets.sort_by_key(|secret| std::cmp::Reverse(secret.len())); // a longer one may hold a shorter
        let addresses = (!with_addresses).then(HashMap::new);
        Self { folder, made, secrets, addresses, files: Vec::new(), absent: Vec::new() }
    }

    /// Puts a text in, or the reason why there is none into the list of what is absent.
    pub fn add(&mut self, name: &str, text: Result<String, Report>) {
        match text {
            Ok(text) => {
                let text = self.clean(&text);
                self.files.push((name.to_owned(), text));
            }
            Err(report) => {
                let line = self.clean(&format!("{name}: {report}"));
                self.absent.push(line);
            }
        }
    }

    /// What is not in it, each with the reason.
    #[must_use]
    pub fn absent(&self) -> &[String] {
        &self.absent
    }

    /// The archive. A list of its files, `contents.txt`, comes first.
    ///
    /// # Errors
    /// None in memory; the writer's otherwise.
    pub fn write(&self, out: impl Write) -> io::Result<()> {
        let files: String =
            self.files.iter().map(|(name, text)| format!("{:>9} {name}\n", text.len())).collect();
        let absent: String = self.absent.iter().map(|line| format!("absent: {line}\n")).collect();
        let addresses = match self.addresses {
            Some(_) => "Addresses other than this machine's own are numbered: address-1.",
            None => "Addresses of peers are included.",
        };
        let contents = format!("{}\nSecrets are shown as ***. {addresses}\n\n{files}{absent}", self.folder);
        let mut zip = GzEncoder::new(out, Compression::default());
        let all = std::iter::once(("contents.txt", contents.as_str()));
        for (name, text) in all.chain(self.files.iter().map(|(name, text)| (name.as_str(), text.as_str()))) {
            zip.write_all(&header(&format!("{}/{name}", self.folder), text.len(), self.made))?;
            zip.write_all(text.as_bytes())?;
            zip.write_all(&vec![0; text.len().next_multiple_of(BLOCK) - text.len()])?;
        }
        zip.write_all(&[0; 2 * BLOCK])?;
        zip.finish()?.flush()
    }

    fn clean(&mut self, text: &str) -> String {
        let mut text = hide_named(&hide_in_urls(text));
        for secret in &self.secrets {
            text = text.replace(secret, "***");
        }
        match &mut self.addresses {
            Some(known) => number_addresses(&text, known),
            None => text,
        }
    }
}

const BLOCK: usize = 512;

/// The header of a file in the format of POSIX tar (ustar): readable for its owner only, owned by root.
fn header(name: &str, len: usize, made: u64) -> [u8; BLOCK] {
    let mut block = [0; BLOCK];
    let mut put = |at: usize, text: &str| block[at..at + text.len()].copy_from_slice(text.as_bytes());
    put(0, &name.chars().filter(char::is_ascii).take(99).collect::<String>());
    put(100, "0000600\0");
    put(108, "0000000\0");
    put(116, "0000000\0");
    put(124, &format!("{len:011o}\0"));
    put(136, &format!("{made:011o}\0"));
    put(148, "        ");
    put(156, "0");
    put(257, "ustar\x0000");
    let sum: u32 = block.iter().copied().map(u32::from).sum();
    block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    block
}

/// Hides what follows a name of a secret and `=` or `:`, up to a space, a quotation mark, a comma or a bracket.
fn hide_named(text: &str) -> String {
    let lower = text.to_ascii_lowercase();
    let mut clean = String::with_capacity(text.len());
    let mut from = 0;
    while let Some(at) =
        SECRET_NAMES.iter().filter_map(|name| lower[from..].find(name).map(|at| from + at + name.len())).min()
    {
        let after = &text[at..];
        let sign = after.trim_start_matches(['"', '\'', ']', ' ']);
        let Some(value) = sign.strip_prefix(['=', ':']) else {
            clean.push_str(&text[from..at]);
            from = at;
            continue;
        };
        let mut value = value.trim_start_matches(['"', '\'', ' ']);
        for scheme in ["Basic ", "Bearer ", "basic ", "bearer "] {
            value = value.strip_prefix(scheme).unwrap_or(value);
        }
        let end = value.find(|c: char| c.is_whitespace() || "\"',)}]".contains(c)).unwrap_or(value.len());
        let start = text.len() - value.len();
        clean.push_str(&text[from..start]);
        clean.push_str(if end > 0 { "***" } else { "" });
        from = start + end;
    }
    clean.push_str(&text[from..]);
    clean
}

/// Hides what is secret in a URL: the user before the host, long parts of the path, the query.
fn hide_in_urls(text: &str) -> String {
    let mut clean = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("://") {
        let (before, after) = rest.split_at(at + 3);
        clean.push_str(before);
        let end = after.find(|c: char| c.is_whitespace() || "\"'<>,)".contains(c)).unwrap_or(after.len());
        let (url, tail) = after.split_at(end);
        let host = url.find(['/', '?', '#']).unwrap_or(url.len());
        let (authority, path) = url.split_at(host);
        match authority.rsplit_once('@') {
            // The user of an enode is the public name of a node.
            Some((_, host)) if !before.ends_with("enode://") => clean.push_str(&format!("***@{host}")),
            _ => clean.push_str(authority),
        }
        let (path, query) = path.split_at(path.find(['?', '#']).unwrap_or(path.len()));
        let part = |part: &str| if part.len() < KEY_IN_PATH { part.to_owned() } else { "***".to_owned() };
        clean.push_str(&path.split('/').map(part).collect::<Vec<_>>().join("/"));
        clean.push_str(if query.is_empty() { "" } else { "?***" });
        rest = tail;
    }
    clean.push_str(rest);
    clean
}

/// Puts the same number in place of the same address; addresses of this machine and ports stay.
fn number_addresses(text: &str, known: &mut HashMap<IpAddr, usize>) -> String {
    let of_word = |c: char| c.is_ascii_alphanumeric() || ".:[]-_".contains(c);
    let mut clean = String::with_capacity(text.len());
    let mut rest = text;
    while !rest.is_empty() {
        let other = rest.find(of_word).unwrap_or(rest.len());
        clean.push_str(&rest[..other]);
        rest = &rest[other..];
        let end = rest.find(|c| !of_word(c)).unwrap_or(rest.len());
        let word = rest[..end].trim_end_matches(['.', ':']);
        let whole = word.parse::<SocketAddr>().map(|addr| (addr.ip(), Some(addr.port())));
        let bare = word.trim_matches(['[', ']']).parse::<IpAddr>().map(|ip| (ip, None));
        match whole.or(bare).map(|(ip, port)| (ip.to_canonical(), port)) {
            Ok((ip, port)) if !ip.is_loopback() && !ip.is_unspecified() => {
                let next = known.len() + 1;
                clean.push_str(&format!("address-{}", known.entry(ip).or_insert(next)));
                clean.push_str(&port.map_or_else(String::new, |port| format!(":{port}")));
            }
            _ => clean.push_str(word),
        }
        rest = &rest[word.len()..];
        let tail = rest.find(|c: char| c != '.' && c != ':').unwrap_or(rest.len());
        clean.push_str(&rest[..tail]);
        rest = &rest[tail..];
    }
    clean
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    #[test]
    fn values_of_secret_names_are_hidden_wherever_they_stand() {
        for (text, clean) in [
            ("rpc.password = \"hunter2\"   # file", "rpc.password = \"***\"   # file"),
            ("{\"token\":\"abc\",\"height\":7}", "{\"token\":\"***\",\"height\":7}"),
            ("Authorization: Basic eDp5 end", "Authorization: Basic *** end"),
            ("password-file = \"/etc/p\" tokens=5", "password-file = \"/etc/p\" tokens=5"),
            ("rpcpassword=a wif: b.", "rpcpassword=*** wif: ***"),
            ("secret", "secret"),
            ("secret = \"\"", "secret = \"\""),
        ] {
            assert_eq!(hide_named(text), clean);
        }
    }

    #[test]
    fn users_queries_and_keys_in_urls_are_hidden() {
        for (text, clean) in [
            ("http://user:pass@node.example:80/a/b x", "http://***@node.example:80/a/b x"),
            ("\"https://node.example/v3/0123456789abcdef0123?k=v\"", "\"https://node.example/v3/***?***\""),
            ("enode://00ff@127.0.0.1:1", "enode://00ff@127.0.0.1:1"),
            ("a://b c://d", "a://b c://d"),
        ] {
            assert_eq!(hide_in_urls(text), clean);
        }
    }

    #[test]
    fn the_same_address_has_the_same_number_and_ports_stay() {
        let mut known = HashMap::new();
        let text = "peer=192.0.2.1:5050 [2001:db8::1]:80, 192.0.2.1. /ip4/::ffff:192.0.2.2/tcp 127.0.0.1:9 [::]:1 \
                    at 03:10:21.123Z e::dec state::decode v1.2.3";
        let clean = "peer=address-1:5050 address-2:80, address-1. /ip4/address-3/tcp 127.0.0.1:9 [::]:1 \
                     at 03:10:21.123Z address-4 state::decode v1.2.3";
        assert_eq!(number_addresses(text, &mut known), clean);
    }

    #[test]
    fn the_archive_is_one_that_tar_reads() {
        let mut bundle = Bundle::new("demo-support".into(), 1_700_000_000, vec!["hunter2".into()], false);
        bundle.add("a.txt", Ok("x hunter2 y 192.0.2.1".into()));
        bundle.add("b.txt", Err(Report::new(crate::exit::NOT_REACHABLE, "no hunter2")));
        assert_eq!(bundle.absent(), ["b.txt: no ***"]);
        let mut zipped = Vec::new();
        bundle.write(&mut zipped).unwrap();
        let mut tar = Vec::new();
        flate2::read::GzDecoder::new(&zipped[..]).read_to_end(&mut tar).unwrap();
        assert_eq!(tar.len() % BLOCK, 0);
        assert!(tar.starts_with(b"demo-support/contents.txt\0"));
        let second = tar.windows(18).position(|window| window == b"demo-support/a.txt").unwrap();
        assert_eq!(second % BLOCK, 0);
        assert_eq!(&tar[second + BLOCK..second + BLOCK + 19], b"x *** y address-1\0\0");
        assert_eq!(&tar[second + 124..second + 136], b"00000000021\0");
    }
}
