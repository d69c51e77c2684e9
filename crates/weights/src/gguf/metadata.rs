//! The metadata of a GGUF file. Arrays stay in the file, checked, until somebody wants them.

use std::collections::BTreeMap;

use super::cursor::Cursor;
use crate::GgufError;

/// Longest text value. The one longer text in use is a whole tokenizer.json.
const MAX_TEXT_BYTES: u64 = 1 << 20;
const MAX_TOKENIZER_JSON_BYTES: u64 = 64 << 20;
const TOKENIZER_JSON_KEY: &str = "tokenizer.huggingface.json";
/// Longest text in an array: a token.
const MAX_TOKEN_BYTES: u64 = 64 << 10;
const MAX_KEY_BYTES: u64 = 64 << 10;
/// Most metadata keys.
pub(super) const MAX_KEYS: u64 = 100_000;

/// A metadata value.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Value {
    Uint(u64),
    Int(i64),
    F32(f32),
    F64(f64),
    Bool(bool),
    Text(String),
    Array(Array),
}

/// An array in the file, whose elements have been checked.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Array {
    pub(super) kind: Kind,
    pub(super) len: usize,
    start: usize,
}

/// The type of a value, by its number in the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    U8,
    I8,
    U16,
    I16,
    U32,
    I32,
    F32,
    Bool,
    Text,
    Array,
    U64,
    I64,
    F64,
}

const KINDS: [Kind; 13] = [
    Kind::U8,
    Kind::I8,
    Kind::U16,
    Kind::I16,
    Kind::U32,
    Kind::I32,
    Kind::F32,
    Kind::Bool,
    Kind::Text,
    Kind::Array,
    Kind::U64,
    Kind::I64,
    Kind::F64,
];

impl Kind {
    /// Bytes of a value, or the fewest that one can have.
    fn min_bytes(self) -> u64 {
        match self {
            Self::U8 | Self::I8 | Self::Bool => 1,
            Self::U16 | Self::I16 => 2,
            Self::U32 | Self::I32 | Self::F32 => 4,
            Self::U64 | Self::I64 | Self::F64 | Self::Text => 8,
            Self::Array => 12,
        }
    }
}

/// All metadata of one file by key.
#[derive(Debug, Default)]
pub(crate) struct Metadata {
    values: BTreeMap<String, Value>,
}

impl Metadata {
    /// Reads `num_keys` keys and values.
    pub(super) fn parse(cursor: &mut Cursor<'_>, num_keys: u64) -> Result<Self, GgufError> {
        let mut values = BTreeMap::new();
        for _ in 0..num_keys {
            let key = cursor.text(MAX_KEY_BYTES, "a metadata key")?.to_owned();
            let value = parse_value(cursor, &key)?;
            if values.contains_key(&key) {
                return Err(GgufError::Duplicate { what: "metadata key", name: key });
            }
            values.insert(key, value);
        }
        Ok(Self { values })
    }

    pub(super) fn get(&self, key: &str) -> Option<&Value> {
        self.values.get(key)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, &Value)> {
        self.values.iter().map(|(key, value)| (key.as_str(), value))
    }

    pub(super) fn text(&self, key: &str) -> Result<Option<&str>, GgufError> {
        match self.get(key) {
            None => Ok(None),
            Some(Value::Text(text)) => Ok(Some(text)),
            Some(other) => Err(unexpected(key, "a text", other)),
        }
    }

    pub(super) fn uint(&self, key: &str) -> Result<Option<u64>, GgufError> {
        match self.get(key) {
            None => Ok(None),
            Some(&Value::Uint(number)) => Ok(Some(number)),
            Some(&Value::Int(number)) if number >= 0 => Ok(Some(number as u64)),
            Some(other) => Err(unexpected(key, "an unsigned integer", other)),
        }
    }

    pub(super) fn id(&self, key: &str) -> Result<Option<u32>, GgufError> {
        let Some(number) = self.uint(key)? else { return Ok(None) };
        let id = u32::try_from(number);
        id.map(Some).map_err(|_| unexpected(key, "a 32-bit number", &Value::Uint(number)))
    }

    pub(super) fn flag(&self, key: &str) -> Result<Option<bool>, GgufError> {
        match self.get(key) {
            None => Ok(None),
            Some(&Value::Bool(flag)) => Ok(Some(flag)),
            Some(other) => Err(unexpected(key, "true or false", other)),
        }
    }

    pub(super) fn float(&self, key: &str) -> Result<Option<f32>, GgufError> {
        match self.get(key) {
            None => Ok(None),
            Some(&Value::F32(number)) => Ok(Some(number)),
            Some(&Value::F64(number)) => Ok(Some(number as f32)),
            Some(other) => Err(unexpected(key, "a number", other)),
        }
    }

    pub(super) fn array(
        &self,
        key: &str,
        kind: Kind,
        expected: &'static str,
    ) -> Result<Option<Array>, GgufError> {
        match self.get(key) {
            None => Ok(None),
            Some(&Value::Array(array)) if array.kind == kind => Ok(Some(array)),
            Some(other) => Err(unexpected(key, expected, other)),
        }
    }
}

fn unexpected(key: &str, expected: &'static str, found: &Value) -> GgufError {
    let found = match found {
        Value::Array(array) => format!("an array of {} {:?}", array.len, array.kind),
        Value::Text(text) => format!("the text {:?}", text.chars().take(40).collect::<String>()),
        other => format!("{other:?}"),
    };
    GgufError::Value { key: key.to_owned(), expected, found }
}

impl Array {
    /// The elements, read from the file's bytes.
    pub(super) fn values(self, bytes: &[u8]) -> impl Iterator<Item = Value> {
        let mut cursor = Cursor::new(bytes, self.start);
        (0..self.len).map(move |_| {
            parse_scalar(&mut cursor, self.kind, MAX_TOKEN_BYTES, "an array")
                .expect("checked when the file was opened")
        })
    }

    /// The elements of an array of texts.
    pub(super) fn texts(self, bytes: &[u8]) -> impl Iterator<Item = &str> {
        let mut cursor = Cursor::new(bytes, self.start);
        (0..self.len).map(move |_| {
            cursor.text(MAX_TOKEN_BYTES, "a token").expect("checked when the file was opened")
        })
    }
}

fn parse_value(cursor: &mut Cursor<'_>, key: &str) -> Result<Value, GgufError> {
    let kind = parse_kind(cursor, key)?;
    if kind == Kind::Array {
        return parse_array(cursor, key).map(Value::Array);
    }
    let is_tokenizer = key == TOKENIZER_JSON_KEY;
    let cap = if is_tokenizer { MAX_TOKENIZER_JSON_BYTES } else { MAX_TEXT_BYTES };
    parse_scalar(cursor, kind, cap, "a metadata value")
}

fn parse_kind(cursor: &mut Cursor<'_>, key: &str) -> Result<Kind, GgufError> {
    let id = cursor.u32("a value type")?;
    KINDS
        .get(id as usize)
        .copied()
        .ok_or_else(|| GgufError::ValueType { key: key.to_owned(), found: format!("number {id}") })
}

fn parse_array(cursor: &mut Cursor<'_>, key: &str) -> Result<Array, GgufError> {
    let kind = parse_kind(cursor, key)?;
    if kind == Kind::Array {
        let found = "array of arrays".into();
        return Err(GgufError::ValueType { key: key.to_owned(), found });
    }
    let at = cursor.at() as u64;
    let len = cursor.u64("an array length")?;
    let start = cursor.at();
    if len > cursor.remaining() / kind.min_bytes() {
        return Err(GgufError::Truncated { what: "an array", at });
    }
    let array = Array { kind, len: len as usize, start };
    match kind {
        Kind::Text | Kind::Bool => {
            for _ in 0..len {
                skip_checked(cursor, kind)?;
            }
        }
        _ => {
            cursor.take(len * kind.min_bytes(), "an array")?;
        }
    }
    Ok(array)
}

/// Steps over an element whose bytes can be wrong, without keeping it.
fn skip_checked(cursor: &mut Cursor<'_>, kind: Kind) -> Result<(), GgufError> {
    if kind == Kind::Text {
        cursor.text(MAX_TOKEN_BYTES, "a token").map(drop)
    } else {
        parse_scalar(cursor, kind, 0, "an array").map(drop)
    }
}

fn parse_scalar(
    cursor: &mut Cursor<'_>,
    kind: Kind,
    cap: u64,
    what: &'static str,
) -> Result<Value, GgufError> {
    Ok(match kind {
        Kind::U8 => Value::Uint(u8::from_le_bytes(cursor.array(what)?).into()),
        Kind::I8 => Value::Int(i8::from_le_bytes(cursor.array(what)?).into()),
        Kind::U16 => Value::Uint(u16::from_le_bytes(cursor.array(what)?).into()),
        Kind::I16 => Value::Int(i16::from_le_bytes(cursor.array(what)?).into()),
        Kind::U32 => Value::Uint(u32::from_le_bytes(cursor.array(what)?).into()),
        Kind::I32 => Value::Int(i32::from_le_bytes(cursor.array(what)?).into()),
        Kind::U64 => Value::Uint(u64::from_le_bytes(cursor.array(what)?)),
        Kind::I64 => Value::Int(i64::from_le_bytes(cursor.array(what)?)),
        Kind::F32 => Value::F32(f32::from_le_bytes(cursor.array(what)?)),
        Kind::F64 => Value::F64(f64::from_le_bytes(cursor.array(what)?)),
        Kind::Bool => Value::Bool(parse_flag(cursor, what)?),
        Kind::Text => Value::Text(cursor.text(cap, what)?.to_owned()),
        Kind::Array => unreachable!("arrays are not scalars"),
    })
}

fn parse_flag(cursor: &mut Cursor<'_>, what: &'static str) -> Result<bool, GgufError> {
    match cursor.array::<1>(what)? {
        [0] => Ok(false),
        [1] => Ok(true),
        [found] => {
            let (what, found) = ("a truth value".into(), found.into());
            Err(GgufError::OutOfRange { what, found, accepted: "0 and 1".into() })
        }
    }
}
