//! Makes every operation that can grow a value a call that is accounted for.
//!
//! The engine's fuel counts instructions, not bytes: forty doublings of a string would take all
//! memory. It offers no way to watch `~`, `+`, `*`, `%` or slices, so they become calls of
//! functions of ours (`a ~ b` turns into `__cat(a, b)`), which also gives them Python's meaning.
//! `{% generation %}` blocks, which mark what an assistant wrote, become `{% with %}` blocks.
//! Lines stay where they are, so errors name the right one.

use super::expression::{self, TooDeep};
use super::lexer::{self, Part};

/// Text chunks up to this long are not accounted for one by one.
const SMALL_CHUNK_BYTES: usize = 64;

/// A template ready for the engine.
#[derive(Debug)]
pub(super) struct Rewritten {
    pub(super) source: String,
    /// The longest text that is output without being accounted for.
    pub(super) largest_uncounted_bytes: usize,
}

/// Rewrites a template; the error is the number of the line that nests too deeply.
pub(super) fn rewrite(source: &str) -> Result<Rewritten, usize> {
    let mut out = String::with_capacity(source.len() + source.len() / 4);
    let mut largest_uncounted_bytes = SMALL_CHUNK_BYTES;
    let mut line = 1;
    for part in lexer::parts(source) {
        match part {
            Part::Text(text) => {
                if !push_counted(text, &mut out) {
                    largest_uncounted_bytes = largest_uncounted_bytes.max(text.len());
                }
            }
            Part::Opaque(text) => {
                if !text.starts_with("{#") {
                    largest_uncounted_bytes = largest_uncounted_bytes.max(text.len());
                }
                out.push_str(text);
            }
            Part::Tag(open, content, close) => {
                out.push_str(open);
                expression::push_tag(open, content, &mut out).map_err(|TooDeep| line)?;
                out.push_str(close);
            }
        }
        line += newlines(part);
    }
    Ok(Rewritten { source: out, largest_uncounted_bytes })
}

fn newlines(part: Part<'_>) -> usize {
    let (Part::Text(text) | Part::Opaque(text) | Part::Tag(_, text, _)) = part;
    text.bytes().filter(|byte| *byte == b'\n').count()
}

/// Adds a chunk of text with a call that accounts for it, placed where it cannot change how white
/// space is trimmed at either end. False if there is no such place.
fn push_counted(text: &str, out: &mut String) -> bool {
    let place = if text.len() > SMALL_CHUNK_BYTES { inner_place(text) } else { None };
    let Some(at) = place else {
        out.push_str(text);
        return false;
    };
    out.push_str(&text[..at]);
    out.push_str("{{__raw(");
    out.push_str(&text.len().to_string());
    out.push_str(")}}");
    out.push_str(&text[at..]);
    true
}

/// A place with something other than white space on both sides, and no brace before it.
fn inner_place(text: &str) -> Option<usize> {
    let first = text.find(|c: char| !c.is_whitespace())?;
    let mut previous = '{';
    text[first..].char_indices().find_map(|(at, c)| {
        let fits = previous != '{' && !c.is_whitespace();
        previous = c;
        fits.then_some(first + at)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tag(content: &str) -> String {
        rewrite(content).unwrap().source
    }

    #[test]
    fn growing_operations_become_calls() {
        for (before, after) in [
            ("{{ a ~ b ~ 'c' }}", "{{ __cat(a , b , 'c') }}"),
            ("{{ a + b - c * 2 }}", "{{ __add(a , b) - __mul(c , 2) }}"),
            ("{{ a - b + c }}", "{{ __add(a - b , c) }}"),
            ("{% set x = (a+1) ~ -b|int %}", "{% set x = __new(__cat((__add(a,1)) , -b|int)) %}"),
            ("{{ f(*a, **b) }}", "{{ f(*a, **b) }}"),
            ("{{ m['a'][1:-2] }}", "{{ __slice(m['a'][1:-2]) }}"),
            ("{{ a if b is not none else c + d }}", "{{ a if b is not none else __add(c , d) }}"),
            ("{{ '%s' % x }}", "{{ __mod('%s' , x) }}"),
            (
                "{% for k, v in a.items() if k in b + c %}",
                "{% for k, v in __iter(a.items()) if k in __add(b , c) %}",
            ),
            (
                "{{ a is divisibleby 3 and b * 2 > 1 }}",
                "{{ a is divisibleby 3 and __mul(b , 2) > 1 }}",
            ),
            ("{%- generation -%}", "{%- with -%}"),
            ("{%- endgeneration %}", "{%- endwith %}"),
            ("{% macro f(a, b=1+2) %}", "{% macro f(a, b=__add(1,2)) %}"),
            (
                "{# a ~ b #}{% raw %}{{ a ~ b }}{% endraw %}",
                "{# a ~ b #}{% raw %}{{ a ~ b }}{% endraw %}",
            ),
            ("{{ {'a': b ~ c} }}", "{{ __new({'a': __cat(b , c)}) }}"),
            ("{{ a\n~\nb }}", "{{ __cat(a\n,\nb) }}"),
        ] {
            assert_eq!(tag(before), after);
        }
    }

    #[test]
    fn long_text_is_counted() {
        let text = "x".repeat(100);
        assert_eq!(tag(&text), format!("x{{{{__raw(100)}}}}{}", &text[1..]));
        assert_eq!(rewrite(&" ".repeat(100)).unwrap().largest_uncounted_bytes, 100);
        let raw = format!("{{% raw %}}{text}{{% endraw %}}");
        assert!(rewrite(&raw).unwrap().largest_uncounted_bytes >= 100);
        // A comment is never output.
        let comment = rewrite(&format!("{{# {text} #}}")).unwrap();
        assert_eq!(comment.largest_uncounted_bytes, SMALL_CHUNK_BYTES);
    }

    #[test]
    fn deep_nesting_is_refused() {
        assert_eq!(rewrite(&format!("\n{{{{ {} }}}}", "(".repeat(5000))).unwrap_err(), 2);
        assert_eq!(rewrite(&format!("{{{{ {}1 }}}}", "-".repeat(5000))).unwrap_err(), 1);
    }
}
