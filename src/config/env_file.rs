//! `.env`: variables for those that the environment does not set.
//!
//! One variable a line, `NAME=value` or `export NAME=value`. Blank lines and those that begin with `#` are passed over.
//!
//! | value | meaning |
//! |---|---|
//! | `value` | as it stands, up to a ` #` of a comment; blanks need quotes |
//! | `'value'` | as it stands, over several lines too |
//! | `"value"` | the same, with `\n` for a line's end |
//!
//! A backslash before `\`, `'`, `"`, `$`, `#` or a blank stands for that character, except in single quotes. A `$` is a
//! `$`: no other variable is put in its place.

use std::io::ErrorKind;
use std::path::Path;

/// Why a file cannot be read. No value is quoted: it may be a secret.
#[derive(Debug, thiserror::Error)]
pub enum EnvFileError {
    /// The file is there and cannot be opened.
    #[error(".env cannot be read: {0}")]
    Unreadable(#[source] std::io::Error),
    /// It is not text.
    #[error(".env, line {0}: is not UTF-8 text")]
    NotText(usize),
    /// A line is not as it should be.
    #[error(".env, line {line}: {reason}")]
    Line {
        /// Its number, from 1 on.
        line: usize,
        /// What is wrong with it.
        reason: String,
    },
    /// The process's environment refuses a value.
    #[error(".env: {0}")]
    NotSet(#[source] dotenvy::Error),
}

/// Sets the variables of a file that the environment does not set. A file that is not there has none.
pub fn load(path: &Path) -> Result<(), EnvFileError> {
    let bytes = match std::fs::read(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        read => read.map_err(EnvFileError::Unreadable)?,
    };
    let text = String::from_utf8(bytes).map_err(|error| {
        let before = &error.as_bytes()[..error.utf8_error().valid_up_to()];
        EnvFileError::NotText(before.split(|byte| *byte == b'\n').count())
    })?;
    let lines: String = parse(&text)?.iter().map(|(name, value)| quoted(name, value)).collect();
    // It sets variables, which only unsafe code can, before any other thread runs.
    dotenvy::from_read(lines.as_bytes()).map_err(EnvFileError::NotSet)
}

/// The variables of a file, in its order.
pub fn parse(text: &str) -> Result<Vec<(String, String)>, EnvFileError> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut rest = Rest { text, line: 1 };
    let mut variables = Vec::new();
    loop {
        rest.skip(char::is_whitespace);
        if rest.text.is_empty() {
            return Ok(variables);
        }
        let begun = rest.line;
        if rest.text.starts_with('#') {
            rest.take(|letter| letter != '\n');
            continue;
        }
        variables.push(rest.variable().map_err(|reason| EnvFileError::Line { line: begun, reason })?);
    }
}

/// A line that dotenvy reads as this variable.
fn quoted(name: &str, value: &str) -> String {
    let mut line = format!("{name}=\"");
    for letter in value.chars() {
        match letter {
            '\n' => line.push_str("\\n"),
            '\\' | '"' | '$' => line.extend(['\\', letter]),
            _ => line.push(letter),
        }
    }
    line.push_str("\"\n");
    line
}

/// What is left of a file.
struct Rest<'t> {
    text: &'t str,
    line: usize,
}

impl<'t> Rest<'t> {
    fn variable(&mut self) -> Result<(String, String), String> {
        let mut name = self.name();
        if name == "export" && self.text.starts_with([' ', '\t']) {
            self.skip(is_blank);
            name = self.name();
        }
        self.skip(is_blank);
        if name.is_empty() || !self.text.starts_with('=') {
            return Err("is not NAME=value, nor a comment (#)".to_owned());
        }
        self.advance('='.len_utf8());
        let has_blank = !self.take(is_blank).is_empty();
        let value = match self.text.chars().next() {
            Some(quote @ ('\'' | '"')) => self.quoted(quote),
            Some('#') if has_blank => Ok(String::new()),
            _ => self.bare(),
        };
        let value = value.map_err(|reason| format!("{name}: {reason}"))?;
        self.skip(is_blank);
        match self.text.chars().next() {
            None | Some('\n' | '\r') => Ok((name.to_owned(), value)),
            Some('#') => {
                self.take(|letter| letter != '\n');
                Ok((name.to_owned(), value))
            }
            Some(_) => {
                Err(format!("{name}: the value has more after a blank or a quote; put all of it in quotes"))
            }
        }
    }

    fn name(&mut self) -> &'t str {
        if self.text.starts_with(|letter: char| letter.is_ascii_digit()) {
            return "";
        }
        self.take(|letter| letter.is_ascii_alphanumeric() || letter == '_' || letter == '.')
    }

    fn bare(&mut self) -> Result<String, String> {
        let mut value = String::new();
        loop {
            value.push_str(self.take(|letter| !letter.is_whitespace() && letter != '\\'));
            if !self.text.starts_with('\\') {
                return Ok(value);
            }
            value.push(self.escaped());
        }
    }

    fn quoted(&mut self, quote: char) -> Result<String, String> {
        self.advance(quote.len_utf8());
        let mut value = String::new();
        loop {
            value.push_str(self.take(|letter| letter != quote && (letter != '\\' || quote == '\'')));
            match self.text.chars().next() {
                None => return Err(format!("the quote {quote} before the value has no other at its end")),
                Some('\\') if quote == '"' => value.push(self.escaped()),
                Some(_) => {
                    self.advance(quote.len_utf8());
                    return Ok(value);
                }
            }
        }
    }

    /// The character that a backslash and the next one stand for: the backslash itself, where they stand for none.
    fn escaped(&mut self) -> char {
        let next = self.text.chars().nth(1);
        let (letter, length) = match next {
            Some('n') => ('\n', 2),
            Some(letter @ ('\\' | '\'' | '"' | '$' | '#' | ' ')) => (letter, 2),
            _ => ('\\', 1),
        };
        self.advance(length);
        letter
    }

    fn skip(&mut self, which: impl Fn(char) -> bool) {
        self.take(which);
    }

    fn take(&mut self, which: impl Fn(char) -> bool) -> &'t str {
        let end = self.text.find(|letter| !which(letter)).unwrap_or(self.text.len());
        let taken = &self.text[..end];
        self.advance(end);
        taken
    }

    fn advance(&mut self, bytes: usize) {
        self.line += self.text[..bytes].matches('\n').count();
        self.text = &self.text[bytes..];
    }
}

fn is_blank(letter: char) -> bool {
    matches!(letter, ' ' | '\t')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn one(line: &str) -> (String, String) {
        let mut variables = parse(line).unwrap();
        assert_eq!(variables.len(), 1, "{line}");
        variables.remove(0)
    }

    #[test]
    fn a_dollar_is_a_dollar() {
        for line in [
            "A=pa$word9",
            "A='pa$word9'",
            "A=\"pa$word9\"",
            "export A=pa$word9",
            "A=pa\\$word9",
            "A = pa$word9 # x",
        ] {
            assert_eq!(one(line), ("A".to_owned(), "pa$word9".to_owned()), "{line}");
        }
        assert_eq!(one("A=${HOME}$").1, "${HOME}$");
        assert_eq!(one("B=\"${A}\"").1, "${A}");
    }

    #[test]
    fn values_are_read_in_every_spelling() {
        for (line, value) in [
            ("A=", ""),
            ("A= # none", ""),
            ("A=''", ""),
            ("A=#b", "#b"),
            ("A=a#b", "a#b"),
            ("A=a #b", "a"),
            ("A='a #b' # c", "a #b"),
            ("A=\"a\\\"b\\nc\\\\d\\e\"", "a\"b\nc\\d\\e"),
            ("A='a\\n\"b'", "a\\n\"b"),
            ("A=a\\ b\\#", "a b#"),
            ("A=O'Brien\"s", "O'Brien\"s"),
            ("A=C:\\dir", "C:\\dir"),
            ("A='first\nsecond'", "first\nsecond"),
            ("A=postgres://u:p@h/d?sslmode=require&a=b", "postgres://u:p@h/d?sslmode=require&a=b"),
            ("\tA\t=\tcafé\r", "café"),
            ("export=x", "x"),
        ] {
            assert_eq!(one(line).1, value, "{line}");
        }
        let file = "\u{feff}# first\r\nA=1\r\n\r\n  export B='2\n3' # c\nA_1.x=4\n#B=5";
        let pairs = parse(file).unwrap();
        let pairs: Vec<(&str, &str)> = pairs.iter().map(|(name, value)| (&**name, &**value)).collect();
        assert_eq!(pairs, [("A", "1"), ("B", "2\n3"), ("A_1.x", "4")]);
    }

    #[test]
    fn a_line_that_is_none_is_told_by_number_and_name() {
        for (file, told) in [
            (
                "A=1\n\nB='s3cr3t\nC=2",
                ".env, line 3: B: the quote ' before the value has no other at its end",
            ),
            ("B=\"s3cr3t", ".env, line 1: B: the quote \" before the value has no other at its end"),
            (
                "A='a\nb'\nB=s3cr3t s3cr3t",
                ".env, line 3: B: the value has more after a blank or a quote; put all of it in quotes",
            ),
            (
                "B='s3cr3t'x",
                ".env, line 1: B: the value has more after a blank or a quote; put all of it in quotes",
            ),
            ("s3cr3t", ".env, line 1: is not NAME=value, nor a comment (#)"),
            ("9A=s3cr3t", ".env, line 1: is not NAME=value, nor a comment (#)"),
            ("export s3cr3t", ".env, line 1: is not NAME=value, nor a comment (#)"),
            ("A-B=s3cr3t", ".env, line 1: is not NAME=value, nor a comment (#)"),
        ] {
            assert_eq!(parse(file).unwrap_err().to_string(), told, "{file}");
        }
    }

    proptest! {
        #[test]
        fn every_value_reaches_the_environment(value in "[^\\x00\r]{0,40}") {
            let line = quoted("NAME", &value);
            let read = dotenvy::from_read_iter(line.as_bytes()).collect::<Result<Vec<_>, _>>().unwrap();
            prop_assert_eq!(read, [("NAME".to_owned(), value.clone())]);
            prop_assert_eq!(parse(&line).unwrap(), [("NAME".to_owned(), value)]);
        }
    }
}
