//! `+`, `~`, `*`, `%` and slices with Python's meaning, each accounted for.

use minijinja::formatting::{self, FormatStyle};
use minijinja::value::{Rest, Tuple, ValueKind};
use minijinja::{Environment, Error, ErrorKind, State, Value};

use super::budget::{Bounded, charge, charge_elements, charge_object, charge_value};
use super::python;

/// Registers what [`super::rewrite`] calls.
pub(super) fn register(env: &mut Environment<'static>) {
    env.add_function("__raw", raw);
    env.add_function("__slice", slice);
    env.add_function("__new", new);
    env.add_function("__iter", iterable);
    env.add_function("__cat", cat);
    env.add_function("__add", |state: &mut State<'_, '_>, values: Rest<Value>| {
        fold(state, values, add)
    });
    env.add_function("__mul", |state: &mut State<'_, '_>, values: Rest<Value>| {
        fold(state, values, mul)
    });
    env.add_function("__mod", |state: &mut State<'_, '_>, values: Rest<Value>| {
        fold(state, values, modulo)
    });
}

/// Accounts for a chunk of template text.
fn raw(state: &mut State<'_, '_>, bytes: usize) -> Result<&'static str, Error> {
    charge(state, bytes)?;
    Ok("")
}

/// A list, tuple or map that the template writes out, or whatever it assigns: `a, b` is a tuple.
fn new(state: &mut State<'_, '_>, values: Rest<Value>) -> Result<Value, Error> {
    let mut values = values.0;
    let value = match values.len() {
        1 => values.swap_remove(0),
        _ => Tuple::from(values).into(),
    };
    if value.as_object().is_some() {
        charge_object(state)?;
        charge_elements(state, value.len().unwrap_or(0))?;
    }
    Ok(value)
}

/// What a loop runs over; `none` cannot be run over.
fn iterable(state: &mut State<'_, '_>, values: Rest<Value>) -> Result<Value, Error> {
    charge_object(state)?;
    let value = new(state, values)?;
    if value.is_none() {
        return Err(Error::new(ErrorKind::InvalidOperation, "none is not iterable"));
    }
    Ok(value)
}

/// A slice, which of a list is a list again; the engine's would refer to the one it came from.
fn slice(state: &mut State<'_, '_>, value: Value) -> Result<Value, Error> {
    if value.as_object().is_none() || value.is_tuple() {
        return charge_value(state, value);
    }
    charge_object(state)?;
    let items: Vec<Value> = value.try_iter()?.collect();
    charge_elements(state, items.len())?;
    Ok(items.into())
}

/// `a ~ b ~ …`
fn cat(state: &mut State<'_, '_>, values: Rest<Value>) -> Result<Value, Error> {
    let mut out = Bounded::default();
    for value in values.iter() {
        python::write_str(value, &mut out)?;
    }
    out.into_value(state)
}

type Operator = fn(&mut State<'_, '_>, &Value, &Value) -> Result<Value, Error>;

/// Applies a left-associative operator from the left.
fn fold(
    state: &mut State<'_, '_>,
    values: Rest<Value>,
    operator: Operator,
) -> Result<Value, Error> {
    let mut values = values.0.into_iter();
    let Some(mut result) = values.next() else { return Ok(Value::UNDEFINED) };
    for value in values {
        result = operator(state, &result, &value)?;
    }
    Ok(result)
}

fn unsupported(operator: &str, left: &Value, right: &Value) -> Error {
    let (left, right) = (left.kind(), right.kind());
    let detail = format!("unsupported operands for {operator}: {left} and {right}");
    Error::new(ErrorKind::InvalidOperation, detail)
}

/// Two numbers, as integers if both are.
enum Numbers {
    Integers(i128, i128),
    Floats(f64, f64),
}

/// Booleans count as numbers, as in Python.
fn numbers(left: &Value, right: &Value) -> Option<Numbers> {
    let is_number = |value: &Value| matches!(value.kind(), ValueKind::Number | ValueKind::Bool);
    if !is_number(left) || !is_number(right) {
        return None;
    }
    let integer = |value: &Value| match value.kind() {
        ValueKind::Bool => Some(i128::from(value.is_true())),
        _ if value.is_integer() => i128::try_from(value.clone()).ok(),
        _ => None,
    };
    if let (Some(left), Some(right)) = (integer(left), integer(right)) {
        return Some(Numbers::Integers(left, right));
    }
    let float = |value: &Value| match integer(value) {
        Some(integer) => Some(integer as f64),
        None => f64::try_from(value.clone()).ok(),
    };
    Some(Numbers::Floats(float(left)?, float(right)?))
}

fn is_list(value: &Value) -> bool {
    value.kind() == ValueKind::Seq
}

fn add(state: &mut State<'_, '_>, left: &Value, right: &Value) -> Result<Value, Error> {
    let fail = || unsupported("+", left, right);
    let safe = (left.is_safe(), right.is_safe());
    if let (Some(left), Some(right)) = (left.as_str(), right.as_str()) {
        return join_texts(state, (left, safe.0), (right, safe.1));
    }
    match numbers(left, right) {
        Some(Numbers::Integers(a, b)) => a.checked_add(b).map(Value::from).ok_or_else(fail),
        Some(Numbers::Floats(a, b)) => Ok(Value::from(a + b)),
        None if is_list(left) && is_list(right) && left.is_tuple() == right.is_tuple() => {
            charge_object(state)?;
            charge_elements(state, left.len().unwrap_or(0) + right.len().unwrap_or(0))?;
            let items: Vec<Value> = left.try_iter()?.chain(right.try_iter()?).collect();
            Ok(if left.is_tuple() { Tuple::from(items).into() } else { items.into() })
        }
        None => Err(fail()),
    }
}

/// Two texts joined. Markup, which `|safe` makes, escapes what is added to it, even in an
/// environment that escapes nothing else.
fn join_texts(
    state: &mut State<'_, '_>,
    (left, left_safe): (&str, bool),
    (right, right_safe): (&str, bool),
) -> Result<Value, Error> {
    if !left_safe && !right_safe {
        charge(state, left.len() + right.len())?;
        return Ok(Value::from([left, right].concat()));
    }
    // An escape is at most five bytes.
    charge(state, (left.len() + right.len()).saturating_mul(5))?;
    let escaped = |text: &str, safe: bool| if safe { text.to_owned() } else { escape(text) };
    Ok(Value::from_safe_string(escaped(left, left_safe) + &escaped(right, right_safe)))
}

/// As the `markupsafe` package does it.
fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '\'' => out.push_str("&#39;"),
            '"' => out.push_str("&#34;"),
            c => out.push(c),
        }
    }
    out
}

fn mul(state: &mut State<'_, '_>, left: &Value, right: &Value) -> Result<Value, Error> {
    let fail = || unsupported("*", left, right);
    match numbers(left, right) {
        Some(Numbers::Integers(a, b)) => return a.checked_mul(b).map(Value::from).ok_or_else(fail),
        Some(Numbers::Floats(a, b)) => return Ok(Value::from(a * b)),
        None => {}
    }
    let (repeated, count) = if right.is_integer() { (left, right) } else { (right, left) };
    let count = count.as_i64().ok_or_else(fail)?.max(0) as usize;
    if let Some(text) = repeated.as_str() {
        charge(state, text.len().saturating_mul(count))?;
        return Ok(Value::from(text.repeat(count)));
    }
    if !is_list(repeated) {
        return Err(fail());
    }
    let items: Vec<Value> = repeated.try_iter()?.collect();
    charge_object(state)?;
    charge_elements(state, items.len().saturating_mul(count))?;
    Ok((0..count).flat_map(|_| items.iter().cloned()).collect())
}

fn modulo(state: &mut State<'_, '_>, left: &Value, right: &Value) -> Result<Value, Error> {
    if let Some(template) = left.as_str() {
        let args: Vec<Value> =
            if right.is_tuple() { right.try_iter()?.collect() } else { vec![right.clone()] };
        return format(state, FormatStyle::Printf, template, &args);
    }
    let fail = || unsupported("%", left, right);
    match numbers(left, right) {
        Some(Numbers::Integers(a, b)) if b != 0 => {
            let remainder = a.checked_rem(b).ok_or_else(fail)?;
            let python = if remainder != 0 && (remainder < 0) != (b < 0) {
                remainder + b
            } else {
                remainder
            };
            Ok(Value::from(python))
        }
        Some(Numbers::Floats(a, b)) if b != 0.0 => Ok(Value::from(a - b * (a / b).floor())),
        _ => Err(fail()),
    }
}

/// `'…' % args` and `'…'.format(args)`, refused where a width could make the result large.
pub(super) fn format(
    state: &mut State<'_, '_>,
    style: FormatStyle,
    template: &str,
    args: &[Value],
) -> Result<Value, Error> {
    let fields = template.matches(['%', '{']).count();
    let long_number = template
        .split(|c: char| !c.is_ascii_digit())
        .map(|digits| digits.trim_start_matches('0'))
        .find(|digits| digits.len() > 4);
    if fields > 0 && long_number.is_some() {
        let detail = "a number of more than four digits in a format string is not supported";
        return Err(Error::new(ErrorKind::InvalidOperation, detail));
    }
    let mut args: Vec<Value> = args.iter().map(printable).collect::<Result<_, _>>()?;
    let template = match style {
        FormatStyle::Printf => &write_reprs(template, &mut args)?,
        FormatStyle::StrFormat => template,
    };
    let longest = args.iter().filter_map(|arg| arg.as_str().map(str::len)).max().unwrap_or(0);
    let most = template.len().saturating_add(fields.saturating_mul(longest.saturating_add(10_000)));
    let worst_case_is_small = most < 1 << 20;
    if !worst_case_is_small {
        charge(state, most)?;
    }
    let text = formatting::format(style, template, &args)?;
    charge(state, text.len())?;
    Ok(Value::from(text))
}

/// Turns each bare `%r` into `%s` of an argument that is its own `repr`.
fn write_reprs(template: &str, args: &mut [Value]) -> Result<String, Error> {
    let mut out = String::with_capacity(template.len());
    let mut rest = template;
    let mut index = 0;
    while let Some(start) = rest.find('%') {
        let directive = &rest[start + 1..];
        let len = directive.find(|c: char| c.is_alphabetic() || c == '%').unwrap_or(0);
        let kind = directive[len..].chars().next().unwrap_or('%');
        out.push_str(&rest[..start + 1 + len]);
        rest = directive[len..].strip_prefix(kind).unwrap_or_default();
        out.push(if kind == 'r' { 's' } else { kind });
        if let Some(arg) = args.get_mut(index).filter(|_| kind == 'r' && len == 0) {
            *arg = Value::from(python::to_repr(arg)?);
        }
        index += usize::from(kind != '%');
    }
    Ok(out + rest)
}

/// Lists and maps as bounded text, since the engine would write them without bound. Keyword
/// arguments stay, with their values treated alike.
fn printable(value: &Value) -> Result<Value, Error> {
    match value.kind() {
        ValueKind::Map => {
            let pairs = value.try_iter()?.map(|key| {
                let item = value.get_item(&key)?;
                let item = if item.as_object().is_some() {
                    Value::from(python::to_str(&item)?)
                } else {
                    item
                };
                Ok((key, item))
            });
            let pairs: Vec<(Value, Value)> = pairs.collect::<Result<_, Error>>()?;
            if value.is_kwargs() {
                let pairs =
                    pairs.into_iter().filter_map(|(k, v)| Some((k.as_str()?.to_owned(), v)));
                return Ok(minijinja::value::Kwargs::from_iter(pairs).into());
            }
            Ok(Value::from_pairs(pairs))
        }
        ValueKind::Seq | ValueKind::Iterable => Ok(Value::from(python::to_str(value)?)),
        _ => Ok(value.clone()),
    }
}
