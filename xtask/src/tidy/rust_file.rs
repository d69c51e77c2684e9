//! A Rust file as a flat list of tokens, so that comments never count and macro bodies do.

use std::ops::RangeInclusive;

use proc_macro2::{Delimiter, Group, TokenStream, TokenTree};

/// One token, a delimiter or a literal.
pub(crate) struct Token {
    pub(crate) text: String,
    /// Counted from 1.
    pub(crate) line: usize,
}

/// A Rust source file.
pub(crate) struct RustFile {
    /// Relative to the workspace root, with forward slashes.
    pub(crate) path: String,
    /// Without comments; documentation counts as a comment.
    pub(crate) tokens: Vec<Token>,
    test_lines: Vec<RangeInclusive<usize>>,
    test_modules: Vec<String>,
}

impl RustFile {
    /// Splits `text`; the error is a line and a reason.
    pub(crate) fn parse(path: &str, text: &str) -> Result<Self, (usize, String)> {
        let stream: TokenStream = text.parse().map_err(|error: proc_macro2::LexError| {
            (error.span().start().line.max(1), format!("cannot be split into tokens: {error}"))
        })?;
        let mut tokens = Vec::new();
        flatten(stream, &mut tokens);
        let mut file = Self {
            path: path.to_owned(),
            tokens,
            test_lines: Vec::new(),
            test_modules: Vec::new(),
        };
        file.find_test_items();
        let in_test_folder = path.split('/').any(|part| ["tests", "benches"].contains(&part));
        if in_test_folder || path.ends_with("/tests.rs") || path.ends_with("_tests.rs") {
            file.mark_as_test();
        }
        Ok(file)
    }

    /// Counts every line as test code from now on.
    pub(crate) fn mark_as_test(&mut self) {
        self.test_lines = vec![1..=usize::MAX];
    }

    /// Whether the line is part of an item that only tests compile.
    pub(crate) fn is_test(&self, line: usize) -> bool {
        self.test_lines.iter().any(|lines| lines.contains(&line))
    }

    /// The paths where files of modules declared under `#[cfg(test)]` may be.
    pub(crate) fn test_modules(&self) -> Vec<String> {
        self.test_modules.clone()
    }

    /// The folder name under `crates/`, or the top folder outside it.
    pub(crate) fn crate_folder(&self) -> &str {
        let inner = self.path.strip_prefix("crates/").unwrap_or(&self.path);
        inner.split('/').next().unwrap_or(inner)
    }

    /// The lines at which these tokens follow each other.
    pub(crate) fn lines_with<'a>(&'a self, wanted: &'a [&str]) -> impl Iterator<Item = usize> + 'a {
        let matches = move |window: &[Token]| window.iter().map(|token| &token.text).eq(wanted);
        let windows = self.tokens.windows(wanted.len());
        windows.filter(move |window| matches(window)).map(|window| window[0].line)
    }

    fn find_test_items(&mut self) {
        for at in 0..self.tokens.len() {
            let Some(after) = self.test_attribute_end(at) else { continue };
            let end = self.item_end(after);
            self.test_lines.push(self.tokens[at].line..=self.tokens[end].line);
            if let Some(name) = self.declared_module(after, end) {
                self.test_modules.extend(module_files(&self.path, &name));
            }
        }
    }

    /// The index after `#[cfg(.. test ..)]` or `#[test]` if one starts at `at`.
    fn test_attribute_end(&self, at: usize) -> Option<usize> {
        let text = |offset: usize| self.tokens.get(at + offset).map(|token| token.text.as_str());
        if text(0)? != "#" || text(1)? != "[" || !["cfg", "test"].contains(&text(2)?) {
            return None;
        }
        let end = self.closing(at + 1)?;
        let inside = || self.tokens[at + 2..end].iter().map(|token| token.text.as_str());
        (inside().any(|t| t == "test") && !inside().any(|t| t == "not")).then_some(end + 1)
    }

    /// The index of the delimiter that closes the one at `open`.
    pub(crate) fn closing(&self, open: usize) -> Option<usize> {
        let mut depth = 0_usize;
        for (index, token) in self.tokens.iter().enumerate().skip(open) {
            match token.text.as_str() {
                "(" | "[" | "{" => depth += 1,
                ")" | "]" | "}" => depth = depth.checked_sub(1)?,
                _ => {}
            }
            if depth == 0 {
                return Some(index);
            }
        }
        None
    }

    /// The index of the token that ends the item starting at `start`: `;` or a closing brace.
    fn item_end(&self, start: usize) -> usize {
        let last = self.tokens.len() - 1;
        let mut index = start;
        while index < last {
            match self.tokens[index].text.as_str() {
                ";" => return index,
                "{" => return self.closing(index).unwrap_or(last),
                "(" | "[" => index = self.closing(index).unwrap_or(last),
                _ => {}
            }
            index += 1;
        }
        last
    }

    fn declared_module(&self, start: usize, end: usize) -> Option<String> {
        let item = &self.tokens[start.min(end)..=end];
        let at = item.windows(3).position(|w| w[0].text == "mod" && w[2].text == ";")?;
        Some(item[at + 1].text.clone())
    }
}

/// Where `mod name;` written in the file at `path` may live.
fn module_files(path: &str, name: &str) -> [String; 2] {
    let (folder, file) = path.rsplit_once('/').unwrap_or((".", path));
    let folder = match file {
        "lib.rs" | "main.rs" | "mod.rs" => folder.to_owned(),
        _ => format!("{folder}/{}", file.trim_end_matches(".rs")),
    };
    [format!("{folder}/{name}.rs"), format!("{folder}/{name}/mod.rs")]
}

fn flatten(stream: TokenStream, tokens: &mut Vec<Token>) {
    for tree in stream {
        let line = tree.span().start().line;
        match tree {
            TokenTree::Group(group) if is_doc(&group) => drop_hash(tokens),
            TokenTree::Group(group) => flatten_group(&group, tokens),
            other => tokens.push(Token { text: other.to_string(), line }),
        }
    }
}

fn flatten_group(group: &Group, tokens: &mut Vec<Token>) {
    let (open, close) = match group.delimiter() {
        Delimiter::Parenthesis => ("(", ")"),
        Delimiter::Brace => ("{", "}"),
        Delimiter::Bracket => ("[", "]"),
        Delimiter::None => return flatten(group.stream(), tokens),
    };
    tokens.push(Token { text: open.to_owned(), line: group.span_open().start().line });
    flatten(group.stream(), tokens);
    tokens.push(Token { text: close.to_owned(), line: group.span_close().start().line });
}

/// Doc comments reach us as `[doc = "text"]` after `#` or `#!`.
fn is_doc(group: &Group) -> bool {
    let mut inside = group.stream().into_iter();
    let doc = matches!(inside.next(), Some(TokenTree::Ident(name)) if name == "doc");
    let assigned = matches!(inside.next(), Some(TokenTree::Punct(sign)) if sign.as_char() == '=');
    group.delimiter() == Delimiter::Bracket && doc && assigned
}

fn drop_hash(tokens: &mut Vec<Token>) {
    tokens.pop_if(|token| token.text == "!");
    tokens.pop_if(|token| token.text == "#");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> RustFile {
        RustFile::parse("crates/decoder/src/a.rs", text).expect("the sample is Rust")
    }

    #[test]
    fn comments_and_documentation_are_not_tokens() {
        let file = parse("//! top\n/// doc\n// plain\nfn f() { \"text\" }\n");
        let texts: Vec<&str> = file.tokens.iter().map(|token| token.text.as_str()).collect();
        assert_eq!(texts, ["fn", "f", "(", ")", "{", "\"text\"", "}"]);
        assert_eq!(file.tokens[0].line, 4);
    }

    #[test]
    fn test_items_are_known_by_their_lines() {
        let file = parse("fn a() {}\n#[cfg(test)]\nmod tests {\n    fn b() {}\n}\nfn c() {}\n");
        let tests: Vec<bool> = (1..=6).map(|line| file.is_test(line)).collect();
        assert_eq!(tests, [false, true, true, true, true, false]);
        assert!(!parse("#[cfg(not(test))]\nfn a() {}\n").is_test(2));
        assert!(parse("#[cfg(all(test, unix))]\nfn a() {}\n").is_test(2));
        assert!(parse("#[cfg(test)]\nfn a(x: [u8; 2]) {\n1;\n}\n").is_test(4));
    }

    #[test]
    fn sequences_are_found_with_their_line() {
        let file = parse("fn f() {\n    std::env::var(\"X\");\n}\n");
        assert_eq!(file.lines_with(&["env", ":", ":", "var"]).collect::<Vec<_>>(), [2]);
        assert_eq!(file.crate_folder(), "decoder");
    }
}
