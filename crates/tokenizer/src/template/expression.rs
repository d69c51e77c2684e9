//! The expressions of one tag, rewritten token by token.
//!
//! Only arithmetic, subscripts and brackets matter here. Everything of lower precedence (`and`,
//! comparisons, `if … else`, commas) merely separates what is looked at.

use super::lexer::{self, Kind, Token};

/// Deeper nesting of brackets and signs is refused.
const DEPTH_LIMIT: usize = 100;

/// Brackets or signs nest deeper than any real template has them.
pub(super) struct TooDeep;

/// Adds the content of a tag, rewritten.
pub(super) fn push_tag(open: &str, content: &str, out: &mut String) -> Result<(), TooDeep> {
    let (tokens, tail) = lexer::tokens(content);
    let mut rewriter =
        Rewriter { tokens: &tokens, at: 0, depth: 0, out: String::new(), inserts: Vec::new() };
    let is_statement = open.starts_with("{%");
    let (is_loop, is_set) = (rewriter.is_name("for"), rewriter.is_name("set"));
    if is_statement {
        rewriter.keyword();
    }
    if is_statement && is_loop {
        rewriter.loop_head()?;
    }
    if is_statement && is_set {
        rewriter.assignment()?;
    }
    rewriter.list()?;
    rewriter.finish(out);
    out.push_str(tail);
    Ok(())
}

/// Walks over one tag's tokens.
struct Rewriter<'t, 'a> {
    tokens: &'t [Token<'a>],
    at: usize,
    depth: usize,
    out: String,
    /// What goes where into `out` at the end. Of those for one place, the last is outermost.
    inserts: Vec<(usize, &'static str)>,
}

impl<'a> Rewriter<'_, 'a> {
    fn finish(mut self, out: &mut String) {
        self.inserts.reverse();
        self.inserts.sort_by_key(|(at, _)| *at);
        let mut done = 0;
        for (at, text) in self.inserts {
            out.push_str(&self.out[done..at]);
            out.push_str(text);
            done = at;
        }
        out.push_str(&self.out[done..]);
    }

    fn peek(&self) -> Option<Token<'a>> {
        self.tokens.get(self.at).copied()
    }

    fn is(&self, operator: &str) -> bool {
        self.peek().is_some_and(|t| t.kind == Kind::Operator && t.text == operator)
    }

    fn is_name(&self, name: &str) -> bool {
        self.peek().is_some_and(|token| token.kind == Kind::Name && token.text == name)
    }

    /// Copies one token.
    fn copy(&mut self) {
        if let Some(token) = self.peek() {
            self.out.push_str(token.space);
            self.out.push_str(token.text);
            self.at += 1;
        }
    }

    /// Copies one token as another.
    fn replace(&mut self, text: &str) {
        if let Some(token) = self.peek() {
            self.out.push_str(token.space);
            self.out.push_str(text);
            self.at += 1;
        }
    }

    fn keyword(&mut self) {
        if self.is_name("generation") {
            self.replace("with");
        } else if self.is_name("endgeneration") {
            self.replace("endwith");
        } else {
            self.copy();
        }
    }

    /// `x in` of a loop, and what it runs over, which becomes the argument of a call that refuses
    /// `none` as Python does.
    fn loop_head(&mut self) -> Result<(), TooDeep> {
        while self.peek().is_some() && !self.is_name("in") {
            self.copy();
        }
        self.copy();
        let start = self.start();
        while let Some(token) = self.peek() {
            match token.kind {
                Kind::Name if matches!(token.text, "if" | "recursive") => break,
                Kind::Operator if !matches!(token.text, "(" | "[" | "{" | "-" | "+") => self.copy(),
                Kind::Name if is_word_operator(token.text) => self.copy(),
                _ => self.sum()?,
            }
        }
        self.wrap(start, "__iter(");
        Ok(())
    }

    /// `x =` and its value, which becomes the argument of a call. A block has neither.
    fn assignment(&mut self) -> Result<(), TooDeep> {
        while self.peek().is_some() && !self.is("=") && !self.is("|") {
            self.copy();
        }
        if !self.is("=") {
            return Ok(());
        }
        self.copy();
        let start = self.start();
        self.list()?;
        self.wrap(start, "__new(");
        Ok(())
    }

    /// Expressions and whatever stands between them, up to a closing bracket or the end.
    fn list(&mut self) -> Result<(), TooDeep> {
        while let Some(token) = self.peek() {
            match token.kind {
                Kind::Operator if matches!(token.text, ")" | "]" | "}") => return Ok(()),
                Kind::Operator if !matches!(token.text, "(" | "[" | "{" | "-" | "+") => self.copy(),
                Kind::Name if is_word_operator(token.text) => self.copy(),
                _ => self.sum()?,
            }
        }
        Ok(())
    }

    /// `a + b - c`
    fn sum(&mut self) -> Result<(), TooDeep> {
        self.chain(&[("+", Some("__add(")), ("-", None)], Self::concat)
    }

    /// `a ~ b`, which binds tighter than `+` and looser than `*`.
    fn concat(&mut self) -> Result<(), TooDeep> {
        self.chain(&[("~", Some("__cat("))], Self::product)
    }

    /// `a * b / c // d % e`
    fn product(&mut self) -> Result<(), TooDeep> {
        let operators = [("*", Some("__mul(")), ("%", Some("__mod(")), ("/", None), ("//", None)];
        self.chain(&operators, Self::unary)
    }

    /// Operands joined by left-associative operators, some of which become calls. A run of one
    /// operator becomes one call of several arguments.
    fn chain(
        &mut self,
        operators: &[(&str, Option<&'static str>)],
        operand: fn(&mut Self) -> Result<(), TooDeep>,
    ) -> Result<(), TooDeep> {
        let start = self.start();
        let mut call: Option<&'static str> = None;
        operand(self)?;
        while let Some((_, next)) = operators.iter().find(|(operator, _)| self.is(operator)) {
            if call.is_some() && call != *next {
                self.out.push(')');
            }
            match *next {
                Some(name) => {
                    if call != Some(name) {
                        // Its closing bracket follows the last operand of its run.
                        self.inserts.push((start, name));
                    }
                    self.replace(",");
                }
                None => self.copy(),
            }
            call = *next;
            operand(self)?;
        }
        if call.is_some() {
            self.out.push(')');
        }
        Ok(())
    }

    /// Makes what was written since `start` the argument of a call.
    fn wrap(&mut self, start: usize, call: &'static str) {
        self.inserts.push((start, call));
        self.out.push(')');
    }

    /// Where the next token's text will begin.
    fn start(&self) -> usize {
        self.out.len() + self.peek().map_or(0, |token| token.space.len())
    }

    /// `-a`, `a ** b`
    fn unary(&mut self) -> Result<(), TooDeep> {
        self.nested(|this| {
            if this.is("-") || this.is("+") {
                this.copy();
                return this.unary();
            }
            this.postfix()?;
            if this.is("**") {
                this.copy();
                return this.unary();
            }
            Ok(())
        })
    }

    fn nested(
        &mut self,
        inner: impl FnOnce(&mut Self) -> Result<(), TooDeep>,
    ) -> Result<(), TooDeep> {
        self.depth += 1;
        if self.depth > DEPTH_LIMIT {
            return Err(TooDeep);
        }
        inner(self)?;
        self.depth -= 1;
        Ok(())
    }

    /// `a.b`, `a[b]`, `a(b)`, `a|b(c)`, `a is b`
    fn postfix(&mut self) -> Result<(), TooDeep> {
        let start = self.start();
        self.primary()?;
        loop {
            if self.is(".") {
                self.copy();
                self.copy();
            } else if self.is("(") {
                self.brackets()?;
            } else if self.is("[") {
                let slice = self.has_own(":");
                self.brackets()?;
                if slice {
                    self.wrap(start, "__slice(");
                }
            } else if self.is("|") {
                self.copy();
                self.copy();
            } else if self.is_name("is") {
                self.test()?;
            } else {
                return Ok(());
            }
        }
    }

    /// `is not divisibleby 3`
    fn test(&mut self) -> Result<(), TooDeep> {
        self.copy();
        if self.is_name("not") {
            self.copy();
        }
        self.copy();
        match self.peek() {
            Some(token) if token.kind == Kind::Name => {
                if is_word_operator(token.text) || token.text == "is" {
                    Ok(())
                } else {
                    self.primary()
                }
            }
            Some(token) if token.kind == Kind::Operator && token.text == "[" => self.primary(),
            Some(token) if token.kind != Kind::Operator => self.primary(),
            _ => Ok(()),
        }
    }

    fn primary(&mut self) -> Result<(), TooDeep> {
        if self.is("[") || self.is("{") || (self.is("(") && self.has_own(",")) {
            let start = self.start();
            self.brackets()?;
            self.wrap(start, "__new(");
            return Ok(());
        }
        if self.is("(") {
            return self.brackets();
        }
        let text = self.peek().is_some_and(|token| token.kind == Kind::Text);
        self.copy();
        while text && self.peek().is_some_and(|token| token.kind == Kind::Text) {
            self.copy();
        }
        Ok(())
    }

    fn brackets(&mut self) -> Result<(), TooDeep> {
        self.nested(|this| {
            this.copy();
            this.list()?;
            this.copy();
            Ok(())
        })
    }

    /// Whether the bracket here holds `operator`, not counting brackets inside.
    fn has_own(&self, operator: &str) -> bool {
        let mut depth = 0;
        for token in self.tokens[self.at..].iter().filter(|t| t.kind == Kind::Operator) {
            match token.text {
                "(" | "[" | "{" => depth += 1,
                ")" | "]" | "}" if depth == 1 => return false,
                ")" | "]" | "}" => depth -= 1,
                text if depth == 1 && text == operator => return true,
                _ => {}
            }
        }
        false
    }
}

/// Names that join expressions rather than being one.
fn is_word_operator(name: &str) -> bool {
    matches!(name, "and" | "or" | "not" | "in" | "if" | "else" | "is")
}
