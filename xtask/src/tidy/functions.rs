//! How long functions may be, with a list of exceptions that can only shrink.

use super::rust_file::RustFile;
use super::{Violation, Workspace};

const MAX_LINES: usize = 70;
const ALLOW_LIST: &str = "xtask/tidy-allow.txt";

/// A function with a body, from `fn` to its closing brace.
struct Function<'a> {
    path: &'a str,
    name: &'a str,
    line: usize,
    num_lines: usize,
}

/// One line of the allow list: `path name lines`.
struct Exception<'a> {
    list_line: usize,
    path: &'a str,
    name: &'a str,
    num_lines: usize,
}

/// Functions over 70 lines that are not listed, and listed ones that became shorter.
pub(super) fn check(workspace: &Workspace) -> Vec<Violation> {
    let long: Vec<Function<'_>> = workspace
        .rust
        .iter()
        .flat_map(functions)
        .filter(|function| function.num_lines > MAX_LINES)
        .collect();
    let list = workspace.file(ALLOW_LIST).map_or("", |file| &file.text);
    let (exceptions, mut violations) = parse_exceptions(list);
    violations.extend(long.iter().filter_map(|function| check_function(function, &exceptions)));
    violations.extend(exceptions.iter().filter_map(|exception| check_exception(exception, &long)));
    violations
}

fn functions(file: &RustFile) -> Vec<Function<'_>> {
    let starts = (0..file.tokens.len()).filter(|&at| file.tokens[at].text == "fn");
    starts.filter_map(|at| function(file, at)).collect()
}

/// The function whose `fn` is token `at`; none for declarations and function pointer types.
fn function(file: &RustFile, at: usize) -> Option<Function<'_>> {
    let text = |index: usize| file.tokens.get(index).map(|token| token.text.as_str());
    // In the body of a macro the name may be `$name`.
    let name_at = if text(at + 1)? == "$" { at + 2 } else { at + 1 };
    let name = text(name_at).filter(|name| *name != "(")?;
    let mut index = name_at + 1;
    let end = loop {
        match text(index)? {
            "{" => break file.closing(index)?,
            "(" | "[" => index = file.closing(index)? + 1,
            ";" | "}" => return None,
            _ => index += 1,
        }
    };
    let line = file.tokens[at].line;
    let num_lines = file.tokens[end].line + 1 - line;
    Some(Function { path: &file.path, name, line, num_lines })
}

fn parse_exceptions(list: &str) -> (Vec<Exception<'_>>, Vec<Violation>) {
    let (mut exceptions, mut violations) = (Vec::new(), Vec::new());
    for (index, line) in list.lines().enumerate() {
        let line = line.split('#').next().unwrap_or_default().trim();
        let fields: Vec<&str> = line.split_whitespace().collect();
        match fields[..] {
            [] => {}
            [path, name, lines] if lines.parse::<usize>().is_ok() => {
                let num_lines = lines.parse().unwrap_or_default();
                exceptions.push(Exception { list_line: index + 1, path, name, num_lines });
            }
            _ => {
                let message = format!("`{line}` is not `path function lines`");
                violations.push(Violation::new(ALLOW_LIST, index + 1, message));
            }
        }
    }
    (exceptions, violations)
}

fn check_function(function: &Function<'_>, exceptions: &[Exception<'_>]) -> Option<Violation> {
    let Function { path, name, line, num_lines } = *function;
    let exception = exceptions.iter().find(|e| e.path == path && e.name == name);
    let allowed = exception.map_or(MAX_LINES, |exception| exception.num_lines);
    (num_lines > allowed).then(|| {
        let message = format!("`{name}` has {num_lines} lines; at most {allowed}");
        Violation::new(path, line, message)
    })
}

fn check_exception(exception: &Exception<'_>, long: &[Function<'_>]) -> Option<Violation> {
    let Exception { list_line, path, name, num_lines } = *exception;
    let named = long.iter().filter(|function| function.path == path && function.name == name);
    let message = match named.map(|function| function.num_lines).max() {
        None => format!("`{name}` in {path} needs no exception any more: delete this line"),
        Some(now) if now < num_lines => format!("`{name}` has only {now} lines now: write {now}"),
        Some(_) => return None,
    };
    Some(Violation::new(ALLOW_LIST, list_line, message))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(name: &str, num_lines: usize) -> String {
        format!("fn {name}(x: [u8; 3]) -> u8 {{\n{}}}\n", "    f();\n".repeat(num_lines - 2))
    }

    fn messages(source: &str, list: &str) -> Vec<String> {
        let workspace = Workspace::planted(&[("crates/a/src/b.rs", source), (ALLOW_LIST, list)]);
        check(&workspace).into_iter().map(|violation| violation.message).collect()
    }

    #[test]
    fn functions_over_the_limit_fail() {
        assert!(messages(&sample("f", 70), "# nothing\n").is_empty());
        assert_eq!(messages(&sample("f", 71), ""), ["`f` has 71 lines; at most 70"]);
    }

    #[test]
    fn methods_and_macro_bodies_count_too() {
        let method = format!("struct A;\nimpl A {{\n{}}}\n", sample("m", 80));
        assert_eq!(messages(&method, ""), ["`m` has 80 lines; at most 70"]);
        let made = format!("macro_rules! make {{ ($x:ident) => {{ {} }} }}", sample("$x", 90));
        assert_eq!(messages(&made, ""), ["`x` has 90 lines; at most 70"]);
        let declared = "trait T { fn d(&self); const P: fn(u8) -> u8; }\n";
        assert!(messages(&format!("{declared}{}", "\n".repeat(90)), "").is_empty());
    }

    #[test]
    fn exceptions_hold_exactly() {
        let allow = "crates/a/src/b.rs f 75 # one table\n";
        assert!(messages(&sample("f", 75), allow).is_empty());
        assert_eq!(messages(&sample("f", 76), allow), ["`f` has 76 lines; at most 75"]);
        assert_eq!(messages(&sample("f", 74), allow), ["`f` has only 74 lines now: write 74"]);
        assert_eq!(messages(&sample("f", 70), allow).len(), 1);
        assert_eq!(messages("", "a b\n"), ["`a b` is not `path function lines`"]);
    }
}
