//! The types that a configuration value can be read as.

use serde_json::{Map, Value};

/// A type that a configuration value can be read as: unsigned integers, floats, `bool`, `&str`,
/// `String`, and vectors of these.
///
/// Floats accept integers and the `{"__float__": "Infinity"}` objects that newer files write for
/// numbers that JSON lacks.
pub trait ConfigValue<'a>: Sized {
    /// The type in words, for messages.
    const EXPECTED: &'static str;
    /// The same for a vector of this type.
    const EXPECTED_MANY: &'static str;

    /// The value as this type, or `None` if it is of another type.
    fn from_json(value: &'a Value) -> Option<Self>;
}

macro_rules! config_value {
    ($type:ty, $one:literal, $many:literal, $read:expr) => {
        impl<'a> ConfigValue<'a> for $type {
            const EXPECTED: &'static str = $one;
            const EXPECTED_MANY: &'static str = $many;

            fn from_json(value: &'a Value) -> Option<Self> {
                let read: fn(&'a Value) -> Option<Self> = $read;
                read(value)
            }
        }
    };
}

config_value!(u64, "an unsigned integer", "an array of unsigned integers", Value::as_u64);
config_value!(u32, "an unsigned integer", "an array of unsigned integers", |v| {
    v.as_u64()?.try_into().ok()
});
config_value!(usize, "an unsigned integer", "an array of unsigned integers", |v| {
    v.as_u64()?.try_into().ok()
});
config_value!(f64, "a number", "an array of numbers", float);
config_value!(f32, "a number", "an array of numbers", |v| Some(float(v)? as f32));
config_value!(bool, "true or false", "an array of true or false", Value::as_bool);
config_value!(&'a str, "a string", "an array of strings", |v| v.as_str());
config_value!(String, "a string", "an array of strings", |v| Some(v.as_str()?.to_owned()));

impl<'a, T: ConfigValue<'a>> ConfigValue<'a> for Vec<T> {
    const EXPECTED: &'static str = T::EXPECTED_MANY;
    const EXPECTED_MANY: &'static str = "an array of arrays";

    fn from_json(value: &'a Value) -> Option<Self> {
        value.as_array()?.iter().map(T::from_json).collect()
    }
}

fn float(value: &Value) -> Option<f64> {
    match value {
        Value::Object(object) => tagged_float(object),
        _ => value.as_f64(),
    }
}

/// The number in `{"__float__": "Infinity"}`.
pub(super) fn tagged_float(object: &Map<String, Value>) -> Option<f64> {
    if object.len() != 1 {
        return None;
    }
    match object.get("__float__")?.as_str()? {
        "Infinity" => Some(f64::INFINITY),
        "-Infinity" => Some(f64::NEG_INFINITY),
        "NaN" => Some(f64::NAN),
        text => text.parse().ok(),
    }
}

/// Whether two values are equal, numbers by value rather than by spelling.
pub(super) fn same(a: &Value, b: &Value) -> bool {
    a == b || a.as_f64().is_some_and(|number| b.as_f64() == Some(number))
}

/// Longest value quoted in a message.
const MAX_QUOTED: usize = 80;

/// The value as JSON, cut to a length that fits a message.
pub(super) fn shortened(value: &Value) -> String {
    let text = value.to_string();
    match text.char_indices().nth(MAX_QUOTED) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text,
    }
}
