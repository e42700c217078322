//! Types a setting can have: how each is typed by people and how it is named in messages.

use std::{
    fmt::{self, Display},
    net::{IpAddr, Ipv4Addr, SocketAddr},
    path::PathBuf,
    time::Duration,
};

use super::Form;
use crate::log::Secret;

/// How a value is written in TOML.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Literal {
    /// In quotes.
    Text,
    /// Bare digits.
    Integer,
    /// `true` or `false`.
    Boolean,
    /// Digits, or text with a unit.
    Quantity,
}

impl Literal {
    pub(super) fn accepts(self, form: Form) -> bool {
        match self {
            Self::Text => form == Form::Text,
            Self::Integer => form == Form::Integer,
            Self::Boolean => form == Form::Boolean,
            Self::Quantity => matches!(form, Form::Text | Form::Integer),
        }
    }
}

/// What the frame knows about a type.
#[derive(Clone, Copy, Debug)]
pub struct Kind {
    /// For messages: "a whole number".
    pub name: &'static str,
    /// How TOML writes it.
    pub literal: Literal,
    /// Several values, by commas or by repetition.
    pub list: bool,
    /// Never shown.
    pub secret: bool,
    /// An address this process binds: `--instance` moves its port.
    pub listen: bool,
}

impl Kind {
    const fn new(name: &'static str, literal: Literal) -> Self {
        Self { name, literal, list: false, secret: false, listen: false }
    }

    /// A kind written as text, for a daemon's own types.
    #[must_use]
    pub const fn text(name: &'static str) -> Self {
        Self::new(name, Literal::Text)
    }
}

/// A type that a setting can have. Daemons implement it for their own enums.
pub trait Setting: Sized {
    /// Its description.
    const KIND: Kind;

    /// The value of these texts: one, or any number for a list.
    ///
    /// # Errors
    /// What is expected instead.
    fn parse(texts: &[String]) -> Result<Self, String>;

    /// The value of a key without default that is not set anywhere.
    #[must_use]
    fn unset() -> Option<Self> {
        None
    }
}

fn one<T>(texts: &[String], parse: impl Fn(&str) -> Option<T>, expected: &str) -> Result<T, String> {
    match texts {
        [text] => parse(text).ok_or_else(|| expected.to_owned()),
        _ => Err(expected.to_owned()),
    }
}

macro_rules! scalar {
    ($($ty:ty, $name:literal, $literal:ident, $parse:expr;)*) => {$(
        impl Setting for $ty {
            const KIND: Kind = Kind::new($name, Literal::$literal);
            fn parse(texts: &[String]) -> Result<Self, String> {
                one(texts, $parse, $name)
            }
        }
    )*};
}

scalar! {
    u16, "a whole number from 0 to 65535", Integer, |text| text.parse().ok();
    u32, "a whole number below 2^32", Integer, |text| text.parse().ok();
    u64, "a whole number", Integer, |text| text.parse().ok();
    usize, "a whole number", Integer, |text| text.parse().ok();
    String, "a text", Text, |text| Some(text.to_owned());
    PathBuf, "a path", Text, |text| (!text.is_empty()).then(|| Self::from(text));
    bool, "true or false", Boolean, |text| match text {
        "true" | "1" | "yes" | "on" => Some(true),
        "false" | "0" | "no" | "off" => Some(false),
        _ => None,
    };
    Duration, "a duration such as 10s, 5m, 2h or 250ms", Text, parse_duration;
    Size, "a size such as 64MiB or 512MB", Quantity, |text| parse_size(text).map(Self);
    SocketAddr, "an address such as 127.0.0.1:80 or [::1]:80", Text, |text| text.parse().ok();
}

impl Setting for Secret<String> {
    const KIND: Kind = Kind { secret: true, ..Kind::new("a secret text", Literal::Text) };

    fn parse(texts: &[String]) -> Result<Self, String> {
        String::parse(texts).map(Self::new)
    }
}

/// An empty text unsets an optional setting that a lower layer set.
impl<T: Setting> Setting for Option<T> {
    const KIND: Kind = T::KIND;

    fn parse(texts: &[String]) -> Result<Self, String> {
        if matches!(texts, [text] if text.is_empty()) { Ok(None) } else { T::parse(texts).map(Some) }
    }

    fn unset() -> Option<Self> {
        Some(None)
    }
}

impl<T: Setting> Setting for Vec<T> {
    const KIND: Kind = Kind { list: true, ..T::KIND };

    fn parse(texts: &[String]) -> Result<Self, String> {
        texts.iter().map(|text| T::parse(std::slice::from_ref(text))).collect()
    }

    fn unset() -> Option<Self> {
        Some(Self::new())
    }
}

/// A number of bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Size(pub u64);

/// An address to bind: `127.0.0.1:4444`, `[::]:5050`, `localhost:80`; port 0 takes any.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Listen(pub SocketAddr);

impl Listen {
    /// The same address with the port of another instance; nothing above port 65535. Port 0 stays.
    pub(super) fn shifted(self, instance: u16) -> Option<Self> {
        let port = match self.0.port() {
            0 => 0,
            port => port.checked_add(instance.checked_mul(100)?)?,
        };
        Some(Self(SocketAddr::new(self.0.ip(), port)))
    }
}

impl Display for Listen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Setting for Listen {
    const KIND: Kind =
        Kind { listen: true, ..Kind::new("an address such as 127.0.0.1:80 or [::]:80", Literal::Text) };

    fn parse(texts: &[String]) -> Result<Self, String> {
        let parse = |text: &str| match text.strip_prefix("localhost:") {
            Some(port) => {
                port.parse().ok().map(|port| SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port))
            }
            None => text.parse().ok(),
        };
        one(texts, parse, Self::KIND.name).map(Self)
    }
}

/// `250ms`, `10s`, `5m`, `2h`, `1d`, and sums such as `1h30m`. Bare numbers are refused: their unit would be a guess.
#[must_use]
pub fn parse_duration(text: &str) -> Option<Duration> {
    if text == "0" {
        return Some(Duration::ZERO);
    }
    let mut rest = text;
    let mut total = Duration::ZERO;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit())?;
        let (number, tail) = rest.split_at(digits);
        let unit = tail.find(|c: char| c.is_ascii_digit()).unwrap_or(tail.len());
        let (unit, tail) = tail.split_at(unit);
        let number: u64 = number.parse().ok()?;
        let part = match unit {
            "ms" => Duration::from_millis(number),
            "s" => Duration::from_secs(number),
            "m" => Duration::from_secs(number.checked_mul(60)?),
            "h" => Duration::from_secs(number.checked_mul(3600)?),
            "d" => Duration::from_secs(number.checked_mul(86_400)?),
            _ => return None,
        };
        total = total.checked_add(part)?;
        rest = tail;
    }
    (!text.is_empty()).then_some(total)
}

/// `512` (bytes), `64KiB`, `64MiB`, `2GiB`, `1TiB`, `512kB`, `512MB`, `2GB`, `1TB`.
#[must_use]
pub fn parse_size(text: &str) -> Option<u64> {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let factor: u64 = match unit.trim_start() {
        "" | "B" => 1,
        "kB" | "KB" => 1000,
        "MB" => 1_000_000,
        "GB" => 1_000_000_000,
        "TB" => 1_000_000_000_000,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        "TiB" => 1 << 40,
        _ => return None,
    };
    number.parse::<u64>().ok()?.checked_mul(factor)
}
