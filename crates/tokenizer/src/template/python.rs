//! `str()` and `repr()` as Python has them, and `json.dumps`.

use minijinja::value::ValueKind;
use minijinja::{Error, ErrorKind, Value};

use super::budget::Bounded;

/// Deeper values are refused: they come from requests, and writing them recurses.
const DEPTH_LIMIT: usize = 128;

fn too_deep() -> Error {
    Error::new(ErrorKind::InvalidOperation, "a value is nested more than 128 levels deep")
}

/// Appends `str(value)`; undefined is nothing.
pub(super) fn write_str(value: &Value, out: &mut Bounded) -> Result<(), Error> {
    match value.as_str() {
        Some(text) => out.push(text),
        None if value.is_undefined() => Ok(()),
        None => write_repr(value, out, 0),
    }
}

/// `str(value)`
pub(super) fn to_str(value: &Value) -> Result<String, Error> {
    let mut out = Bounded::default();
    write_str(value, &mut out)?;
    Ok(out.0)
}

/// `repr(value)`
pub(super) fn to_repr(value: &Value) -> Result<String, Error> {
    let mut out = Bounded::default();
    write_repr(value, &mut out, 0)?;
    Ok(out.0)
}

fn write_repr(value: &Value, out: &mut Bounded, depth: usize) -> Result<(), Error> {
    if depth > DEPTH_LIMIT {
        return Err(too_deep());
    }
    match value.kind() {
        ValueKind::Undefined => out.push("Undefined"),
        ValueKind::String => out.push(&repr_text(value.as_str().unwrap_or_default())),
        ValueKind::Number if !value.is_integer() => out.push(&float(value)),
        ValueKind::Seq | ValueKind::Iterable if value.as_object().is_some() => {
            write_sequence(value, out, depth)
        }
        ValueKind::Map => {
            out.push("{")?;
            for (index, key) in value.try_iter()?.enumerate() {
                if index > 0 {
                    out.push(", ")?;
                }
                write_repr(&key, out, depth + 1)?;
                out.push(": ")?;
                write_repr(&value.get_item(&key)?, out, depth + 1)?;
            }
            out.push("}")
        }
        _ => out.push(&value.to_string()),
    }
}

fn write_sequence(value: &Value, out: &mut Bounded, depth: usize) -> Result<(), Error> {
    let tuple = value.is_tuple();
    out.push(if tuple { "(" } else { "[" })?;
    let mut len = 0;
    for item in value.try_iter()? {
        if len > 0 {
            out.push(", ")?;
        }
        write_repr(&item, out, depth + 1)?;
        len += 1;
    }
    if tuple && len == 1 {
        out.push(",")?;
    }
    out.push(if tuple { ")" } else { "]" })
}

/// A float as Python prints it: shortest digits, an exponent below 1e-4 and from 1e16.
fn float(value: &Value) -> String {
    let Ok(float) = f64::try_from(value.clone()) else { return value.to_string() };
    if float.is_nan() {
        return "nan".to_owned();
    }
    if float.is_infinite() {
        return if float > 0.0 { "inf" } else { "-inf" }.to_owned();
    }
    let size = float.abs();
    if size != 0.0 && !(1e-4..1e16).contains(&size) {
        let text = format!("{float:e}");
        let (digits, exponent) = text.split_once('e').unwrap_or((&text, "0"));
        let (sign, exponent) = match exponent.strip_prefix('-') {
            Some(rest) => ('-', rest),
            None => ('+', exponent),
        };
        return format!("{digits}e{sign}{exponent:0>2}");
    }
    format!("{float:?}")
}

/// A string literal: single quotes unless only those occur in it.
fn repr_text(text: &str) -> String {
    let quote = if text.contains('\'') && !text.contains('"') { '"' } else { '\'' };
    let mut out = String::with_capacity(text.len() + 2);
    out.push(quote);
    for c in text.chars() {
        match c {
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if c == quote => out.extend(['\\', c]),
            c if (c as u32) < 0x20 || (0x7f..0xa1).contains(&(c as u32)) || c == '\u{ad}' => {
                out.push_str(&format!("\\x{:02x}", c as u32));
            }
            c => out.push(c),
        }
    }
    out.push(quote);
    out
}

/// How `json.dumps` lays its output out.
#[derive(Debug, Clone)]
pub(super) struct JsonStyle {
    pub(super) indent: Option<String>,
    pub(super) item_separator: String,
    pub(super) key_separator: String,
    pub(super) ensure_ascii: bool,
    pub(super) sort_keys: bool,
}

impl JsonStyle {
    /// `json.dumps(value)` in this style.
    pub(super) fn write(
        &self,
        value: &Value,
        out: &mut Bounded,
        depth: usize,
    ) -> Result<(), Error> {
        if depth > DEPTH_LIMIT {
            return Err(too_deep());
        }
        match value.kind() {
            ValueKind::Undefined => Err(Error::new(
                ErrorKind::InvalidOperation,
                "an undefined value is not JSON serializable",
            )),
            ValueKind::None => out.push("null"),
            ValueKind::Bool => out.push(if value.is_true() { "true" } else { "false" }),
            ValueKind::Number if value.is_integer() => out.push(&value.to_string()),
            ValueKind::Number => out.push(match float(value).as_str() {
                "nan" => "NaN",
                "inf" => "Infinity",
                "-inf" => "-Infinity",
                number => number,
            }),
            ValueKind::String => out.push(&self.text(value.as_str().unwrap_or_default())),
            ValueKind::Seq => self.write_list(value, out, depth),
            ValueKind::Map => self.write_map(value, out, depth),
            kind => Err(Error::new(
                ErrorKind::InvalidOperation,
                format!("a {kind} is not JSON serializable"),
            )),
        }
    }

    fn write_list(&self, value: &Value, out: &mut Bounded, depth: usize) -> Result<(), Error> {
        out.push("[")?;
        let mut empty = true;
        for item in value.try_iter()? {
            self.separate(empty, out, depth + 1)?;
            self.write(&item, out, depth + 1)?;
            empty = false;
        }
        self.close(empty, out, depth)?;
        out.push("]")
    }

    fn write_map(&self, value: &Value, out: &mut Bounded, depth: usize) -> Result<(), Error> {
        let mut keys: Vec<Value> = value.try_iter()?.collect();
        if self.sort_keys {
            keys.sort();
        }
        out.push("{")?;
        let mut empty = true;
        for key in keys {
            self.separate(empty, out, depth + 1)?;
            let text = match key.as_str() {
                Some(text) => self.text(text),
                None => {
                    let mut inner = Bounded::default();
                    self.write(&key, &mut inner, depth + 1)?;
                    format!("\"{}\"", inner.0)
                }
            };
            out.push(&text)?;
            out.push(&self.key_separator)?;
            self.write(&value.get_item(&key)?, out, depth + 1)?;
            empty = false;
        }
        self.close(empty, out, depth)?;
        out.push("}")
    }

    fn separate(&self, first: bool, out: &mut Bounded, depth: usize) -> Result<(), Error> {
        if !first {
            out.push(&self.item_separator)?;
        }
        self.new_line(out, depth)
    }

    fn close(&self, empty: bool, out: &mut Bounded, depth: usize) -> Result<(), Error> {
        if empty { Ok(()) } else { self.new_line(out, depth) }
    }

    fn new_line(&self, out: &mut Bounded, depth: usize) -> Result<(), Error> {
        if let Some(indent) = &self.indent {
            out.push("\n")?;
            for _ in 0..depth {
                out.push(indent)?;
            }
        }
        Ok(())
    }

    fn text(&self, text: &str) -> String {
        let mut out = String::with_capacity(text.len() + 2);
        out.push('"');
        for c in text.chars() {
            match c {
                '"' => out.push_str("\\\""),
                '\\' => out.push_str("\\\\"),
                '\n' => out.push_str("\\n"),
                '\r' => out.push_str("\\r"),
                '\t' => out.push_str("\\t"),
                '\u{8}' => out.push_str("\\b"),
                '\u{c}' => out.push_str("\\f"),
                c if (c as u32) < 0x20 || (self.ensure_ascii && !c.is_ascii()) => {
                    let mut units = [0; 2];
                    for unit in c.encode_utf16(&mut units) {
                        out.push_str(&format!("\\u{unit:04x}"));
                    }
                }
                c => out.push(c),
            }
        }
        out.push('"');
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn floats_and_strings_look_like_pythons() {
        for (number, text) in [
            (1.0, "1.0"),
            (0.1, "0.1"),
            (1e16, "1e+16"),
            (1.5e-7, "1.5e-07"),
            (123_456_789_012_345.6, "123456789012345.6"),
            (-0.0, "-0.0"),
        ] {
            assert_eq!(to_str(&Value::from(number)).unwrap(), text);
        }
        let list = Value::from(vec![
            Value::from("it's"),
            Value::from("\"'\n"),
            Value::from(true),
            Value::from(()),
        ]);
        assert_eq!(to_str(&list).unwrap(), r#"["it's", '"\'\n', True, None]"#);
    }
}
