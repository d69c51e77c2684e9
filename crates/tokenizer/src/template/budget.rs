//! How many bytes a rendering may create.

use minijinja::value::ValueKind;
use minijinja::{Error, ErrorKind, State, Value};

/// The largest single value.
const VALUE_LIMIT_BYTES: usize = 32 << 20;
/// All values and output of one rendering together. Nothing is given back when a value is
/// dropped, which is unknown here.
const TOTAL_LIMIT_BYTES: usize = 256 << 20;
/// What an element of a list or map is taken to cost.
const ELEMENT_BYTES: usize = 64;

/// Lists, maps, loops and other objects that one rendering may create. Each can hold the one
/// before, and the engine drops such a chain recursively, which [`super::STACK_BYTES`] allows for.
const OBJECTS_LIMIT: usize = 100_000;

/// What one rendering has used up so far.
#[derive(Debug, Default)]
struct Spent {
    bytes: usize,
    objects: usize,
}

/// The reason inside a [`minijinja::Error`] when a rendering creates too many objects.
#[derive(Debug, thiserror::Error)]
#[error("the rendering creates more than {limit} lists, maps and loops")]
pub(super) struct TooManyObjects {
    pub(super) limit: usize,
}

/// The reason inside a [`minijinja::Error`] when a rendering grows too large.
#[derive(Debug, thiserror::Error)]
#[error("the rendering creates more than {limit_bytes} bytes")]
pub(super) struct OverBudget {
    pub(super) limit_bytes: usize,
}

fn over(limit_bytes: usize) -> Error {
    Error::new(ErrorKind::InvalidOperation, "the rendering grows too large")
        .with_source(OverBudget { limit_bytes })
}

/// Accounts for `bytes` about to be created or just created.
pub(super) fn charge(state: &mut State<'_, '_>, bytes: usize) -> Result<(), Error> {
    if bytes > VALUE_LIMIT_BYTES {
        return Err(over(VALUE_LIMIT_BYTES));
    }
    let spent = state.get_or_insert_extension_with(Spent::default);
    spent.bytes = spent.bytes.saturating_add(bytes);
    if spent.bytes > TOTAL_LIMIT_BYTES { Err(over(TOTAL_LIMIT_BYTES)) } else { Ok(()) }
}

/// Accounts for `count` elements of a list.
pub(super) fn charge_elements(state: &mut State<'_, '_>, count: usize) -> Result<(), Error> {
    charge(state, count.saturating_mul(ELEMENT_BYTES))
}

/// Accounts for one object, whatever its size.
pub(super) fn charge_object(state: &mut State<'_, '_>) -> Result<(), Error> {
    let spent = state.get_or_insert_extension_with(Spent::default);
    spent.objects += 1;
    if spent.objects <= OBJECTS_LIMIT {
        return Ok(());
    }
    Err(Error::new(ErrorKind::InvalidOperation, "the rendering creates too many objects")
        .with_source(TooManyObjects { limit: OBJECTS_LIMIT }))
}

/// Accounts for a value that some operation returned, its elements not included.
pub(super) fn charge_value(state: &mut State<'_, '_>, value: Value) -> Result<Value, Error> {
    match value.kind() {
        ValueKind::String => charge(state, value.as_str().map_or(0, str::len))?,
        ValueKind::Seq | ValueKind::Map | ValueKind::Iterable => {
            charge_object(state)?;
            charge_elements(state, value.len().unwrap_or(0))?;
        }
        _ if value.as_object().is_some() => charge_object(state)?,
        _ => {}
    }
    Ok(value)
}

/// Text under construction that may not outgrow a single value.
#[derive(Debug, Default)]
pub(super) struct Bounded(pub(super) String);

impl Bounded {
    /// Adds text.
    pub(super) fn push(&mut self, text: &str) -> Result<(), Error> {
        if self.0.len() + text.len() > VALUE_LIMIT_BYTES {
            return Err(over(VALUE_LIMIT_BYTES));
        }
        self.0.push_str(text);
        Ok(())
    }

    /// The text as a value, accounted for.
    pub(super) fn into_value(self, state: &mut State<'_, '_>) -> Result<Value, Error> {
        charge(state, self.0.len())?;
        Ok(Value::from(self.0))
    }
}
