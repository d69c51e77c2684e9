//! Texts with places to be filled in: `{model}`, `{port}`, `{name}`.

use super::Error;

/// What is filled in.
#[derive(Debug, Clone, Copy)]
pub struct Values<'a> {
    /// For `{model}`.
    pub model: &'a str,
    /// For `{port}`.
    pub port: u16,
    /// For `{name}`.
    pub name: &'a str,
}

impl Values<'_> {
    /// `text` with its places filled in. Braces around anything but one word stay as they are, so
    /// JSON may be written as it is.
    ///
    /// # Errors
    /// [`Error::Template`] if there is another word between braces.
    pub fn fill(&self, text: &str) -> Result<String, Error> {
        let mut filled = String::new();
        let mut rest = text;
        while let Some(open) = rest.find('{') {
            filled += &rest[..open];
            rest = &rest[open..];
            let word = rest[1..].split_once('}').map_or("", |(word, _)| word);
            if !is_word(word) {
                filled.push('{');
                rest = &rest[1..];
                continue;
            }
            match word {
                "model" => filled += self.model,
                "port" => filled += &self.port.to_string(),
                "name" => filled += self.name,
                _ => return Err(Error::Template { text: text.to_owned(), found: word.to_owned() }),
            }
            rest = &rest[word.len() + 2..];
        }
        Ok(filled + rest)
    }
}

fn is_word(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_')
}

#[cfg(test)]
mod tests {
    use super::*;

    const VALUES: Values<'_> = Values { model: "/models/a", port: 81, name: "mine" };

    #[test]
    fn places_are_filled_in() {
        let filled = VALUES.fill("--model={model} {port}/{port} {name}").unwrap();
        assert_eq!(filled, "--model=/models/a 81/81 mine");
        assert_eq!(VALUES.fill("").unwrap(), "");
    }

    #[test]
    fn braces_that_are_no_places_stay() {
        for text in ["{\"a\": {\"b\": 1}}", "{}", "{", "}", "{Port}", "{ port }", "{port"] {
            assert_eq!(VALUES.fill(text).unwrap(), text);
        }
        assert_eq!(VALUES.fill("{{port}}").unwrap(), "{81}");
    }

    #[test]
    fn what_is_filled_in_is_not_a_template_itself() {
        let values = Values { model: "{port}", ..VALUES };
        assert_eq!(values.fill("{model}").unwrap(), "{port}");
    }

    #[test]
    fn other_words_are_refused_with_what_is_accepted() {
        let error = VALUES.fill("--api-port {api_port}").unwrap_err().to_string();
        let parts = ["`{api_port}`", "--api-port", "{model}, {port}, {name}"];
        assert!(parts.iter().all(|part| error.contains(part)), "{error}");
    }
}
