//! Methods of Python's `str`, `dict` and `list`.
//!
//! `minijinja-contrib` has the harmless ones. Here are those whose results can outgrow their
//! inputs, those it lacks, and those where its notion of white space is not Python's.

use minijinja::formatting::FormatStyle;
use minijinja::value::{Kwargs, Tuple, ValueKind, from_args};
use minijinja::{Error, ErrorKind, State, Value};
use minijinja_contrib::pycompat;

use super::budget::{Bounded, charge, charge_value};
use super::{operators, python};

/// What the engine calls for a method it does not know.
pub(super) fn call(
    state: &mut State<'_, '_>,
    value: &Value,
    method: &str,
    args: &[Value],
) -> Result<Value, Error> {
    let known = match (value.as_str(), value.kind()) {
        (Some(text), _) => text_method(state, text, method, args)?,
        (None, ValueKind::Seq) => list_method(value, method, args)?,
        (None, ValueKind::Map) if method == "copy" => {
            let () = from_args(args)?;
            Some(value.clone())
        }
        _ => None,
    };
    let result = match known {
        Some(result) => result,
        None => pycompat::unknown_method_callback(state, value, method, args)?,
    };
    charge_value(state, result)
}

/// White space as `str.strip` sees it.
fn is_space(c: char) -> bool {
    c.is_whitespace() || ('\u{1c}'..='\u{1f}').contains(&c)
}

fn text_method(
    state: &mut State<'_, '_>,
    text: &str,
    method: &str,
    args: &[Value],
) -> Result<Option<Value>, Error> {
    let value = match method {
        "strip" | "lstrip" | "rstrip" => strip(text, method, args)?.into(),
        "split" => Value::from(split(text, &positional(args, &["sep", "maxsplit"])?)?),
        "rsplit" => Value::from(rsplit(text, &positional(args, &["sep", "maxsplit"])?)?),
        "splitlines" => Value::from(split_lines(text, &positional(args, &["keepends"])?)?),
        "title" | "swapcase" => {
            let () = from_args(args)?;
            if method == "title" { title(text) } else { swap_case(text) }.into()
        }
        "partition" | "rpartition" => partition(text, method, args)?,
        "removeprefix" => {
            let (prefix,): (&str,) = from_args(args)?;
            text.strip_prefix(prefix).unwrap_or(text).into()
        }
        "removesuffix" => {
            let (suffix,): (&str,) = from_args(args)?;
            text.strip_suffix(suffix).unwrap_or(text).into()
        }
        "replace" => {
            let (old, new, count): (&str, &str, Option<i64>) = from_args(args)?;
            replace(state, text, (old, new), count)?
        }
        "join" => {
            let (values,): (&Value,) = from_args(args)?;
            join(values, text)?.into_value(state)?
        }
        "format" => operators::format(state, FormatStyle::StrFormat, text, args)?,
        "ljust" | "rjust" | "center" | "zfill" => pad(state, text, method, args)?,
        "index" | "rindex" => {
            let (what,): (&str,) = from_args(args)?;
            let missing = || Error::new(ErrorKind::InvalidOperation, "substring not found");
            let at = if method == "index" { text.find(what) } else { text.rfind(what) };
            let at = at.ok_or_else(missing)?;
            text[..at].chars().count().into()
        }
        _ => return Ok(None),
    };
    Ok(Some(value))
}

/// The arguments with those given by name at their places; `none` where one between is missing.
fn positional(args: &[Value], names: &[&str]) -> Result<Vec<Value>, Error> {
    let Some((last, first)) = args.split_last().filter(|(last, _)| last.is_kwargs()) else {
        return Ok(args.to_vec());
    };
    let named = Kwargs::try_from(last.clone())?;
    let mut args = first.to_vec();
    for name in names.iter().skip(first.len()) {
        args.push(named.get::<Option<Value>>(name)?.unwrap_or(Value::from(())));
    }
    named.assert_all_used()?;
    Ok(args)
}

/// `str.title`: a letter after anything but a letter is a capital.
fn title(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut after_letter = false;
    for c in text.chars() {
        if after_letter {
            out.extend(c.to_lowercase())
        } else {
            out.extend(c.to_uppercase())
        }
        after_letter = c.is_uppercase() || c.is_lowercase();
    }
    out
}

fn swap_case(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_uppercase() { out.extend(c.to_lowercase()) } else { out.extend(c.to_uppercase()) }
    }
    out
}

fn strip<'t>(text: &'t str, method: &str, args: &[Value]) -> Result<&'t str, Error> {
    let (chars,): (Option<&str>,) = from_args(args)?;
    let drop = |c: char| chars.map_or_else(|| is_space(c), |chars| chars.contains(c));
    Ok(match method {
        "lstrip" => text.trim_start_matches(drop),
        "rstrip" => text.trim_end_matches(drop),
        _ => text.trim_matches(drop),
    })
}

/// Separator and number of splits; without a number all of them.
fn split_args(args: &[Value]) -> Result<(Option<&str>, usize), Error> {
    let (separator, most): (Option<&str>, Option<i64>) = from_args(args)?;
    if separator == Some("") {
        return Err(Error::new(ErrorKind::InvalidOperation, "empty separator"));
    }
    Ok((separator, most.and_then(|most| usize::try_from(most).ok()).unwrap_or(usize::MAX)))
}

fn split(text: &str, args: &[Value]) -> Result<Vec<Value>, Error> {
    let (separator, most) = split_args(args)?;
    if let Some(separator) = separator {
        return Ok(text.splitn(most.saturating_add(1), separator).map(Value::from).collect());
    }
    let mut words = Vec::new();
    let mut rest = text.trim_start_matches(is_space);
    while !rest.is_empty() {
        let end = if words.len() == most { None } else { rest.find(is_space) };
        let Some(end) = end else {
            words.push(Value::from(rest.trim_end_matches(|c| words.len() < most && is_space(c))));
            break;
        };
        words.push(Value::from(&rest[..end]));
        rest = rest[end..].trim_start_matches(is_space);
    }
    Ok(words)
}

fn rsplit(text: &str, args: &[Value]) -> Result<Vec<Value>, Error> {
    let (separator, most) = split_args(args)?;
    let mut parts: Vec<Value> = Vec::new();
    if let Some(separator) = separator {
        parts.extend(text.rsplitn(most.saturating_add(1), separator).map(Value::from));
    } else {
        let mut rest = text.trim_end_matches(is_space);
        while !rest.is_empty() {
            let start = if parts.len() == most { None } else { rest.rfind(is_space) };
            let Some(start) = start else {
                parts.push(Value::from(rest));
                break;
            };
            let word = rest[start..].trim_start_matches(is_space);
            parts.push(Value::from(word));
            rest = rest[..start].trim_end_matches(is_space);
        }
    }
    parts.reverse();
    Ok(parts)
}

fn split_lines(text: &str, args: &[Value]) -> Result<Vec<Value>, Error> {
    let (keep_ends,): (Option<bool>,) = from_args(args)?;
    let keep_ends = keep_ends.unwrap_or(false);
    Ok(lines(text)
        .map(|(line, end)| Value::from(if keep_ends { [line, end].concat() } else { line.into() }))
        .collect())
}

/// Lines and what ends each, by Python's list of line boundaries.
pub(super) fn lines(text: &str) -> impl Iterator<Item = (&str, &str)> {
    let mut rest = text;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let end = rest.find(ends_line).unwrap_or(rest.len());
        let (line, tail) = rest.split_at(end);
        let ending = if tail.starts_with("\r\n") {
            2
        } else {
            tail.chars().next().map_or(0, char::len_utf8)
        };
        rest = &tail[ending..];
        Some((line, &tail[..ending]))
    })
}

/// Python's line boundaries, of which `\r\n` is one.
fn ends_line(c: char) -> bool {
    let separators = ['\u{85}', '\u{2028}', '\u{2029}'];
    ('\n'..='\r').contains(&c) || ('\u{1c}'..='\u{1e}').contains(&c) || separators.contains(&c)
}

fn partition(text: &str, method: &str, args: &[Value]) -> Result<Value, Error> {
    let (separator,): (&str,) = from_args(args)?;
    let parts = if method == "partition" {
        text.split_once(separator).map_or([text, "", ""], |(a, b)| [a, separator, b])
    } else {
        text.rsplit_once(separator).map_or(["", "", text], |(a, b)| [a, separator, b])
    };
    Ok(Tuple::from(parts.map(Value::from)).into())
}

/// `str.replace`, whose result can be as long as the product of its inputs.
pub(super) fn replace(
    state: &mut State<'_, '_>,
    text: &str,
    (old, new): (&str, &str),
    count: Option<i64>,
) -> Result<Value, Error> {
    let most = count.and_then(|count| usize::try_from(count).ok()).unwrap_or(usize::MAX);
    let found = text.matches(old).take(most).count();
    charge(state, text.len().saturating_add(found.saturating_mul(new.len())))?;
    Ok(Value::from(text.replacen(old, new, found)))
}

/// `separator.join(values)`
pub(super) fn join(values: &Value, separator: &str) -> Result<Bounded, Error> {
    let mut out = Bounded::default();
    for (index, value) in values.try_iter()?.enumerate() {
        if index > 0 {
            out.push(separator)?;
        }
        python::write_str(&value, &mut out)?;
    }
    Ok(out)
}

fn pad(
    state: &mut State<'_, '_>,
    text: &str,
    method: &str,
    args: &[Value],
) -> Result<Value, Error> {
    let (width, fill): (usize, Option<char>) = from_args(args)?;
    let missing = width.saturating_sub(text.chars().count());
    let fill = fill.unwrap_or(if method == "zfill" { '0' } else { ' ' });
    charge(state, text.len().saturating_add(missing.saturating_mul(fill.len_utf8())))?;
    let left = match method {
        "ljust" => 0,
        // CPython puts the odd one on the left if the width is odd as well.
        "center" => missing / 2 + (missing & width & 1),
        _ => missing,
    };
    let signed = method == "zfill" && text.starts_with(['+', '-']);
    let (sign, digits) = text.split_at(usize::from(signed));
    let fill = |count: usize| std::iter::repeat_n(fill, count);
    let padded: String =
        sign.chars().chain(fill(left)).chain(digits.chars()).chain(fill(missing - left)).collect();
    Ok(Value::from(padded))
}

fn list_method(value: &Value, method: &str, args: &[Value]) -> Result<Option<Value>, Error> {
    match method {
        "index" => {
            let (what,): (&Value,) = from_args(args)?;
            let missing = || Error::new(ErrorKind::InvalidOperation, "value is not in list");
            let at = value.try_iter()?.position(|item| item == *what).ok_or_else(missing)?;
            Ok(Some(Value::from(at)))
        }
        "copy" => {
            let () = from_args(args)?;
            Ok(Some(value.clone()))
        }
        _ => Ok(None),
    }
}
