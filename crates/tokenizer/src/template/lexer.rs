//! Where text, tags and tokens are in a Jinja template.
//!
//! Only as much of the language as [`super::rewrite`] needs: whatever looks wrong is passed on
//! unchanged, and the engine reports it.

/// A part of a template's source. The parts cover it completely.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part<'a> {
    /// Output as it stands.
    Text(&'a str),
    /// `{# … #}`, or a whole `{% raw %}` block.
    Opaque(&'a str),
    /// `{{ … }}` or `{% … %}`: opening mark, content, closing mark.
    Tag(&'a str, &'a str, &'a str),
}

/// What a token is, as far as it matters here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Name,
    Number,
    Text,
    Operator,
}

/// A token with the white space before it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Token<'a> {
    pub(super) space: &'a str,
    pub(super) kind: Kind,
    pub(super) text: &'a str,
}

/// Cuts a template into its parts.
pub(super) fn parts(source: &str) -> Vec<Part<'_>> {
    let mut parts = Vec::new();
    let mut rest = source;
    while let Some(start) = find_opening(rest) {
        if start > 0 {
            parts.push(Part::Text(&rest[..start]));
        }
        rest = &rest[start..];
        let (part, len) = tag(rest);
        parts.push(part);
        rest = &rest[len..];
    }
    if !rest.is_empty() {
        parts.push(Part::Text(rest));
    }
    parts
}

fn find_opening(source: &str) -> Option<usize> {
    let bytes = source.as_bytes();
    bytes.windows(2).position(|pair| pair[0] == b'{' && matches!(pair[1], b'{' | b'%' | b'#'))
}

/// The tag at the start of `source` and its length.
fn tag(source: &str) -> (Part<'_>, usize) {
    let closing = match source.as_bytes()[1] {
        b'#' => {
            let len = source.find("#}").map_or(source.len(), |at| at + 2);
            return (Part::Opaque(&source[..len]), len);
        }
        b'{' => "}}",
        _ => "%}",
    };
    let open = if source[2..].starts_with(['-', '+']) { 3 } else { 2 };
    let Some(end) = content_end(&source[open..], closing) else {
        return (Part::Opaque(source), source.len());
    };
    let end = open + end;
    let mut content = &source[open..end];
    let mut mark_start = end;
    if content.ends_with(['-', '+']) {
        mark_start -= 1;
        content = &content[..content.len() - 1];
    }
    let len = end + 2;
    if closing == "%}" && content.trim() == "raw" {
        let len = raw_end(source, len);
        return (Part::Opaque(&source[..len]), len);
    }
    (Part::Tag(&source[..open], content, &source[mark_start..len]), len)
}

/// Where the closing mark is, not counting those inside strings or braces.
fn content_end(content: &str, closing: &str) -> Option<usize> {
    let mut depth = 0usize;
    let mut at = 0;
    while at < content.len() {
        let rest = &content[at..];
        if rest.starts_with(closing) && (depth == 0 || closing == "%}") {
            return Some(at);
        }
        let c = rest.chars().next()?;
        match c {
            '\'' | '"' => {
                at += string_len(rest);
                continue;
            }
            '{' => depth += 1,
            '}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        at += c.len_utf8();
    }
    None
}

/// The end of the `{% endraw %}` after `from`.
fn raw_end(source: &str, from: usize) -> usize {
    let mut at = from;
    while let Some(start) = source[at..].find("{%").map(|start| at + start) {
        let Some(end) = source[start..].find("%}").map(|end| start + end) else { break };
        let content = source[start + 2..end].trim_matches(['-', '+']).trim();
        if content == "endraw" {
            return end + 2;
        }
        at = start + 2;
    }
    source.len()
}

/// The length of the string literal at the start of `source`, quotes included.
fn string_len(source: &str) -> usize {
    let quote = source.as_bytes()[0];
    let mut escaped = false;
    for (at, byte) in source.bytes().enumerate().skip(1) {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            _ if byte == quote => return at + 1,
            _ => {}
        }
    }
    source.len()
}

const OPERATORS: &[&str] = &["**", "//", "==", "!=", "<=", ">="];

/// Cuts a tag's content into tokens; white space after the last one is the second value.
pub(super) fn tokens(content: &str) -> (Vec<Token<'_>>, &str) {
    let mut tokens = Vec::new();
    let mut rest = content;
    loop {
        let text = rest.trim_start();
        let space = &rest[..rest.len() - text.len()];
        let Some(first) = text.chars().next() else { return (tokens, space) };
        let (kind, len) = match first {
            '\'' | '"' => (Kind::Text, string_len(text)),
            '0'..='9' => (Kind::Number, number_len(text)),
            c if c.is_alphabetic() || c == '_' => (Kind::Name, name_len(text)),
            c => {
                let long = OPERATORS.iter().find(|operator| text.starts_with(**operator));
                (Kind::Operator, long.map_or(c.len_utf8(), |operator| operator.len()))
            }
        };
        tokens.push(Token { space, kind, text: &text[..len] });
        rest = &text[len..];
    }
}

fn name_len(text: &str) -> usize {
    text.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(text.len())
}

/// Digits, underscores, a fraction and an exponent; `1.foo` is a number and an attribute.
fn number_len(text: &str) -> usize {
    let bytes = text.as_bytes();
    let digits = |from: usize| {
        from + bytes[from..].iter().take_while(|b| b.is_ascii_alphanumeric() || **b == b'_').count()
    };
    let mut len = digits(0);
    if bytes.get(len) == Some(&b'.') && bytes.get(len + 1).is_some_and(u8::is_ascii_digit) {
        len = digits(len + 1);
    }
    if bytes[len - 1].eq_ignore_ascii_case(&b'e')
        && matches!(bytes.get(len), Some(b'+' | b'-'))
        && !text.starts_with("0x")
    {
        len = digits(len + 1);
    }
    len
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_cover_the_source() {
        let source = "a{{ {'b': '}}'} -}}{# {{ #}{%- raw %}{{ x }}{% endraw -%}{%+ if x %}c{% oops";
        let joined: String = parts(source)
            .into_iter()
            .map(|part| match part {
                Part::Text(text) | Part::Opaque(text) => text.to_owned(),
                Part::Tag(open, content, close) => format!("{open}{content}{close}"),
            })
            .collect();
        assert_eq!(joined, source);
        assert_eq!(parts(source)[1], Part::Tag("{{", " {'b': '}}'} ", "-}}"));
    }

    #[test]
    fn token_boundaries() {
        let (tokens, tail) = tokens(" a.b[1:2] ~ 'x\\'y' ** 1.5e-3 ");
        let texts: Vec<_> = tokens.iter().map(|token| token.text).collect();
        let expected = ["a", ".", "b", "[", "1", ":", "2", "]", "~", "'x\\'y'", "**", "1.5e-3"];
        assert_eq!(texts, expected);
        assert_eq!(tail, " ");
    }
}
