//! A text as it reads, however it is written: without escapes, accents, case and runs of white space.
//!
//! Vendors quote a value in HTML (Apex's `escapeHtml4`), in JSON, in an address, in another Unicode normal form or with
//! its line breaks written out. Value and message are folded alike, so that they compare equal.

use quick_xml::escape::resolve_html5_entity;
use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::is_combining_mark;

/// Escapes in escapes that are resolved: HTML in JSON in an address.
const NESTED: usize = 3;
/// Characters of the longest escape that is read: HTML's longest entities are no letters.
const LONGEST_ESCAPE: usize = 12;

/// A character, and the byte of the source that it comes from.
type Char = (usize, char);

/// A folded text. Positions count its characters.
pub(super) struct Folded {
    pub(super) chars: Vec<char>,
    /// The byte of the source that each character comes from, in order.
    offsets: Vec<usize>,
}

impl Folded {
    pub(super) fn new(source: &str) -> Self {
        let mut chars: Vec<Char> = source.char_indices().collect();
        for _ in 0..NESTED {
            match unescaped(&chars) {
                Some(plain) => chars = plain,
                None => break,
            }
        }
        let mut folded =
            Self { chars: Vec::with_capacity(chars.len()), offsets: Vec::with_capacity(chars.len()) };
        for (offset, c) in chars {
            for c in std::iter::once(c).nfkd().filter(|c| !is_combining_mark(*c) && !is_invisible(*c)) {
                for c in c.to_lowercase() {
                    folded.push(offset, c);
                }
            }
        }
        if folded.chars.last() == Some(&' ') {
            folded.chars.pop();
            folded.offsets.pop();
        }
        folded
    }

    fn push(&mut self, offset: usize, c: char) {
        let c = if c.is_whitespace() || c.is_control() { ' ' } else { c };
        if c != ' ' || self.chars.last().is_some_and(|last| *last != ' ') {
            self.chars.push(c);
            self.offsets.push(offset);
        }
    }

    /// The source with `by` in place of each run of hidden characters.
    pub(super) fn replaced(&self, source: &str, hidden: &[bool], by: &str) -> String {
        let mut text = String::with_capacity(source.len());
        let mut was_hidden = false;
        let mut at = 0;
        while at < self.chars.len() {
            let start = self.offsets[at];
            // Characters of one byte of the source are shown or hidden together.
            let of_byte = self.offsets[at..].iter().take_while(|offset| **offset == start).count();
            let end = self.offsets.get(at + of_byte).map_or(source.len(), |offset| *offset);
            let is_hidden = hidden[at..at + of_byte].contains(&true);
            match (is_hidden, was_hidden) {
                (true, false) => text.push_str(by),
                (true, true) => {}
                (false, _) => text.push_str(&source[start..end]),
            }
            was_hidden = is_hidden;
            at += of_byte;
        }
        text
    }
}

/// Soft hyphens, marks of direction and other characters that nobody sees.
fn is_invisible(c: char) -> bool {
    matches!(c, '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2064}' | '\u{feff}')
}

/// The characters with escapes resolved once; `None` where there are none.
fn unescaped(chars: &[Char]) -> Option<Vec<Char>> {
    let mut plain = Vec::with_capacity(chars.len());
    let mut at = 0;
    while let Some(&(offset, c)) = chars.get(at) {
        if let Some((meant, taken)) = escape_at(chars, at) {
            plain.extend(meant.chars().map(|c| (offset, c)));
            at += taken;
        } else {
            plain.push((offset, c));
            at += 1;
        }
    }
    (plain.len() != chars.len() || plain.iter().zip(chars).any(|(a, b)| a.1 != b.1)).then_some(plain)
}

/// What the escape that begins at a position means, and how many characters it has.
fn escape_at(chars: &[Char], at: usize) -> Option<(String, usize)> {
    let first = chars[at].1;
    if !matches!(first, '&' | '%' | '\\' | '<' | '+') {
        return None;
    }
    let rest: String = chars[at + 1..].iter().take(LONGEST_ESCAPE).map(|(_, c)| *c).collect();
    match first {
        '&' => entity(&rest),
        '%' => percent(&rest),
        '\\' => backslash(&rest),
        '<' => line_break(&rest),
        _ => {
            // A space in a form's address; a phone number begins with one that is none.
            let follows = at > 0 && chars[at - 1].1.is_alphanumeric();
            (follows && rest.starts_with(char::is_alphabetic)).then(|| (" ".to_owned(), 1))
        }
    }
}

/// `&eacute;`, `&#233;`, `&#xE9;`.
fn entity(rest: &str) -> Option<(String, usize)> {
    let (name, _) = rest.split_once(';')?;
    let meant = match name.strip_prefix('#') {
        Some(number) => {
            let code = match number.strip_prefix(['x', 'X']) {
                Some(hex) => u32::from_str_radix(hex, 16).ok()?,
                None => number.parse().ok()?,
            };
            char::from_u32(code)?.to_string()
        }
        None => resolve_html5_entity(name)?.to_owned(),
    };
    Some((meant, name.chars().count() + 2))
}

/// `%C3%A9`: one character.
fn percent(rest: &str) -> Option<(String, usize)> {
    let mut bytes = Vec::new();
    for group in rest.split('%').take(4) {
        bytes.push(u8::from_str_radix(group.get(..2)?, 16).ok()?);
        if let Ok(text) = std::str::from_utf8(&bytes) {
            return Some((text.to_owned(), 3 * bytes.len()));
        }
        if group.len() != 2 {
            return None;
        }
    }
    None
}

/// JSON's escapes, which SOQL and stack traces share.
fn backslash(rest: &str) -> Option<(String, usize)> {
    let next = rest.chars().next()?;
    match next {
        'n' | 'r' | 't' | 'f' | 'b' => Some((" ".to_owned(), 2)),
        '"' | '\'' | '\\' | '/' => Some((next.to_string(), 2)),
        'u' => {
            let unit = |at: usize| u16::from_str_radix(rest.get(at..at + 4)?, 16).ok();
            let first = unit(1)?;
            if let Ok(text) = String::from_utf16(&[first]) {
                return Some((text, 6));
            }
            let second = unit(7).filter(|_| rest.get(5..7) == Some(r"\u"))?;
            String::from_utf16(&[first, second]).ok().map(|text| (text, 12))
        }
        _ => None,
    }
}

/// `<br>`, `<BR />`.
fn line_break(rest: &str) -> Option<(String, usize)> {
    let (tag, _) = rest.split_once('>')?;
    let name = tag.trim_end_matches('/').trim_end();
    name.eq_ignore_ascii_case("br").then(|| (" ".to_owned(), tag.chars().count() + 2))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folded(text: &str) -> String {
        Folded::new(text).chars.into_iter().collect()
    }

    #[test]
    fn one_text_folds_alike_however_it_is_written() {
        for spelling in [
            "Zoë O'Wolde\nand sons",
            "  zoe   o'wolde and SONS ",
            "Zoe\u{308} O'Wolde\r\nand sons",
            "Zo&euml; O&#39;Wolde<br>and sons",
            "Zo&#xEB; O&apos;Wolde<BR />and&nbsp;sons",
            r"Zo\u00eb O\'Wolde\nand sons",
            "Zo%C3%AB%20O%27Wolde%0Aand%20sons",
            "Zo%c3%ab+O'Wolde+and+sons",
            "Zo&amp;euml; O&amp;#39;Wolde&lt;br/&gt;and sons",
            "Zo\u{ad}ë O'Wolde\u{200b} and sons",
        ] {
            assert_eq!(folded(spelling), "zoe o'wolde and sons", "{spelling}");
        }
        assert_eq!(folded(r"\ud83c\udf31 \u0041"), "🌱 a");
    }

    #[test]
    fn what_is_no_escape_stays() {
        for text in [
            "a & b; c",
            "100% of it",
            "%zz",
            "%c3x",
            r"c:\dir",
            r"\u12",
            "a < b > c",
            "+250 7",
            "c++",
            "&nope;",
            "&#;",
        ] {
            assert_eq!(folded(text), text, "{text}");
        }
    }

    #[test]
    fn hidden_characters_are_replaced_in_the_source() {
        let source = "a  Zo&euml; ﬁ b";
        let folded = Folded::new(source);
        assert_eq!(folded.chars.iter().collect::<String>(), "a zoe fi b");
        let hide = |from: usize, to: usize| {
            let hidden: Vec<bool> = (0..folded.chars.len()).map(|at| (from..to).contains(&at)).collect();
            folded.replaced(source, &hidden, "*")
        };
        assert_eq!(hide(0, 0), source);
        assert_eq!(hide(2, 5), "a  * ﬁ b");
        assert_eq!(hide(6, 7), "a  Zo&euml; * b", "a ligature is one character of the source");
    }
}
