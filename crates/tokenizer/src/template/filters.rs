//! Filters and functions: the engine's own, accounted for, and ours where Jinja2's differ or grow.

use minijinja::value::{Kwargs, Rest, ValueKind, ValueOrKwargs};
use minijinja::{Environment, Error, ErrorKind, State, Value, filters, functions};

use super::budget::{Bounded, charge_elements, charge_value};
use super::generator::Generator;
use super::python::{self, JsonStyle};
use super::{methods, operators};

/// The most parts that `batch` and `slice` may be asked for.
const PARTS_LIMIT: usize = 100_000;

/// Replaces the filters whose results need watching.
pub(super) fn register(env: &mut Environment<'static>) {
    watch_engine_filters(env);
    watch_generators(env);
    watch_functions(env);
    env.add_filter("tojson", to_json);
    env.add_filter("string", |state: &mut State<'_, '_>, value: Value| {
        let mut out = Bounded::default();
        python::write_str(&value, &mut out)?;
        out.into_value(state)
    });
    env.add_filter(
        "trim",
        |state: &mut State<'_, '_>, value: Value, chars: Rest<ValueOrKwargs>| {
            let text = Value::from(python::to_str(&value)?);
            methods::call(state, &text, "strip", &chars.into_values())
        },
    );
    for name in ["length", "count"] {
        env.add_filter(name, |value: Value| match value.is_undefined() {
            true => Ok(0),
            false => filters::length(&value),
        });
    }
    env.add_filter("join", join);
    env.add_filter("indent", indent);
    env.add_filter(
        "replace",
        |state: &mut State<'_, '_>, value: Value, old: String, new: String, count: Option<i64>| {
            methods::replace(state, &python::to_str(&value)?, (&old, &new), count)
        },
    );
    env.add_filter(
        "format",
        |state: &mut State<'_, '_>, template: String, args: Rest<ValueOrKwargs>| {
            operators::format(
                state,
                minijinja::formatting::FormatStyle::Printf,
                &template,
                &args.into_values(),
            )
        },
    );
    for (name, watched) in [
        ("batch", Value::from_function(filters::batch)),
        ("slice", Value::from_function(filters::slice)),
    ] {
        env.add_filter(name, move |state: &mut State<'_, '_>, args: Rest<ValueOrKwargs>| {
            let args = args.into_values();
            let parts = args.get(1).and_then(Value::as_usize).unwrap_or(0);
            if parts > PARTS_LIMIT {
                let detail = format!("{parts} parts; at most {PARTS_LIMIT} are accepted");
                return Err(Error::new(ErrorKind::InvalidOperation, detail));
            }
            charge_elements(state, parts)?;
            let result = watched.call(state, &args)?;
            Generator::wrap(charge_value(state, result)?)
        });
    }
    // Its output is Rust's, not Python's, and unbounded.
    env.remove_filter("pprint");
}

/// Functions that make objects.
fn watch_functions(env: &mut Environment<'static>) {
    for (name, function) in [
        ("dict", Value::from_function(functions::dict)),
        ("namespace", Value::from_function(functions::namespace)),
        ("range", Value::from_function(functions::range)),
    ] {
        env.add_function(name, move |state: &mut State<'_, '_>, args: Rest<ValueOrKwargs>| {
            let result = function.call(state, &args.into_values())?;
            charge_value(state, result)
        });
    }
}

/// Filters that return generators in Python: to be run over once, with no length.
fn watch_generators(env: &mut Environment<'static>) {
    let watched = [
        ("select", Value::from_function(filters::select)),
        ("reject", Value::from_function(filters::reject)),
        ("selectattr", Value::from_function(filters::selectattr)),
        ("rejectattr", Value::from_function(filters::rejectattr)),
        ("map", Value::from_function(filters::map)),
        ("unique", Value::from_function(filters::unique)),
        ("items", Value::from_function(filters::items)),
        ("reverse", Value::from_function(filters::reverse)),
    ];
    for (name, filter) in watched {
        env.add_filter(name, move |state: &mut State<'_, '_>, args: Rest<ValueOrKwargs>| {
            let result = filter.call(state, &args.into_values())?;
            let result = charge_value(state, result)?;
            Generator::wrap(result)
        });
    }
}

/// Filters whose results are at most a small multiple of their inputs.
fn watch_engine_filters(env: &mut Environment<'static>) {
    let watched = [
        ("upper", Value::from_function(filters::upper)),
        ("lower", Value::from_function(filters::lower)),
        ("title", Value::from_function(filters::title)),
        ("capitalize", Value::from_function(filters::capitalize)),
        ("list", Value::from_function(filters::list)),
        ("sort", Value::from_function(filters::sort)),
        ("dictsort", Value::from_function(filters::dictsort)),
        ("split", Value::from_function(filters::split)),
        ("lines", Value::from_function(filters::lines)),
        ("groupby", Value::from_function(filters::groupby)),
        ("chain", Value::from_function(filters::chain)),
        ("zip", Value::from_function(filters::zip)),
        ("escape", Value::from_function(filters::escape)),
        ("e", Value::from_function(filters::escape)),
    ];
    for (name, filter) in watched {
        env.add_filter(name, move |state: &mut State<'_, '_>, args: Rest<ValueOrKwargs>| {
            let result = filter.call(state, &args.into_values())?;
            charge_value(state, result)
        });
    }
}

/// `value|join(separator, attribute)`
fn join(
    state: &mut State<'_, '_>,
    values: Value,
    separator: Option<Value>,
    kwargs: Kwargs,
) -> Result<Value, Error> {
    let separator = match separator {
        Some(separator) => Some(separator),
        None => kwargs.get::<Option<Value>>("d")?,
    };
    let separator = separator.map_or(Ok(String::new()), |value| python::to_str(&value))?;
    let attribute: Option<String> = kwargs.get("attribute")?;
    kwargs.assert_all_used()?;
    if values.is_undefined() {
        return Ok(Value::from(""));
    }
    let values = match attribute {
        Some(name) => {
            let items = values.try_iter()?.map(|item| item.get_attr(&name));
            Value::from(items.collect::<Result<Vec<_>, _>>()?)
        }
        None => values,
    };
    methods::join(&values, &separator)?.into_value(state)
}

/// `value|indent(width, first, blank)`; the width is a number of spaces or the text itself.
fn indent(
    state: &mut State<'_, '_>,
    value: Value,
    args: Rest<ValueOrKwargs>,
) -> Result<Value, Error> {
    let args = args.into_values();
    let (args, kwargs) = split_kwargs(&args)?;
    let arg = |index: usize, name: &str| match args.get(index) {
        Some(value) => Ok(Some(value.clone())),
        None => kwargs.get::<Option<Value>>(name),
    };
    let indention = match arg(0, "width")? {
        Some(width) => indention(&width)?,
        None => " ".repeat(4),
    };
    let first = arg(1, "first")?.is_some_and(|value| value.is_true());
    let blank = arg(2, "blank")?.is_some_and(|value| value.is_true());
    kwargs.assert_all_used()?;
    let mut text = python::to_str(&value)?;
    text.push('\n');
    let mut out = Bounded::default();
    for (index, (line, _)) in methods::lines(&text).enumerate() {
        if index > 0 {
            out.push("\n")?;
        }
        if if index == 0 { first } else { blank || !line.is_empty() } {
            out.push(&indention)?;
        }
        out.push(line)?;
    }
    out.into_value(state)
}

/// Spaces by number, or a text as it is.
fn indention(width: &Value) -> Result<String, Error> {
    if let Some(text) = width.as_str() {
        return Ok(text.to_owned());
    }
    let limit = 1000;
    let spaces = width.as_i64().map_or(usize::MAX, |width| width.max(0) as usize);
    if spaces > limit {
        let detail = format!("an indentation of {width}; at most {limit} is accepted");
        return Err(Error::new(ErrorKind::InvalidOperation, detail));
    }
    Ok(" ".repeat(spaces))
}

fn split_kwargs(args: &[Value]) -> Result<(&[Value], Kwargs), Error> {
    match args.split_last() {
        Some((last, rest)) if last.is_kwargs() => Ok((rest, Kwargs::try_from(last.clone())?)),
        _ => Ok((args, Kwargs::from_iter(std::iter::empty::<(String, Value)>()))),
    }
}

/// `value|tojson(ensure_ascii, indent, separators, sort_keys)` as chat templates have it: Python's
/// `json.dumps`, without the escapes for HTML that Jinja2's own filter adds.
fn to_json(
    state: &mut State<'_, '_>,
    value: Value,
    args: Rest<ValueOrKwargs>,
) -> Result<Value, Error> {
    let args = args.into_values();
    let (args, kwargs) = split_kwargs(&args)?;
    let arg = |index: usize, name: &str| {
        let value = match args.get(index) {
            Some(value) => Some(value.clone()),
            None => kwargs.get::<Option<Value>>(name)?,
        };
        Ok::<_, Error>(value.filter(|value| !value.is_none()))
    };
    let indent = arg(1, "indent")?.map(|width| indention(&width)).transpose()?;
    let separators = arg(2, "separators")?;
    let (item_separator, key_separator) = match separators {
        Some(pair) if pair.kind() == ValueKind::Seq && pair.len() == Some(2) => {
            let text = |index| python::to_str(&pair.get_item_by_index(index)?);
            (text(0)?, text(1)?)
        }
        Some(_) => {
            let detail = "separators must be two strings";
            return Err(Error::new(ErrorKind::InvalidOperation, detail));
        }
        None if indent.is_some() => (",".to_owned(), ": ".to_owned()),
        None => (", ".to_owned(), ": ".to_owned()),
    };
    let style = JsonStyle {
        indent,
        item_separator,
        key_separator,
        ensure_ascii: arg(0, "ensure_ascii")?.is_some_and(|value| value.is_true()),
        sort_keys: arg(3, "sort_keys")?.is_some_and(|value| value.is_true()),
    };
    kwargs.assert_all_used()?;
    let mut out = Bounded::default();
    style.write(&value, &mut out, 0)?;
    out.into_value(state)
}
