//! The words of a page that came instead of an OpenRosa answer: what a person would read on it.

use crate::text::shorten;

/// Characters of a page that are kept: its title, and how it begins.
const KEPT: usize = 200;

/// The text of an HTML page, or of a plain one, as one short line; empty where there is none.
pub(super) fn words(body: &[u8]) -> String {
    let body = String::from_utf8_lossy(body);
    let mut text = String::new();
    let mut rest = body.as_ref();
    while let Some(start) = rest.find('<') {
        text.push_str(&rest[..start]);
        // Tags separate words.
        text.push(' ');
        let tag = &rest[start..];
        rest = match hidden(tag) {
            Some(end_tag) => after(tag, end_tag),
            None => after(tag, ">"),
        };
    }
    text.push_str(rest);
    let text = quick_xml::escape::unescape(&text).map_or_else(|_| text.clone(), std::borrow::Cow::into_owned);
    shorten(&text.split_whitespace().collect::<Vec<_>>().join(" "), KEPT)
}

/// What ends an element whose content nobody reads.
fn hidden(tag: &str) -> Option<&'static str> {
    const HIDDEN: [(&str, &str); 3] = [("<script", "</script>"), ("<style", "</style>"), ("<!--", "-->")];
    HIDDEN.into_iter().find(|(start, _)| starts_with(tag, start)).map(|(_, end)| end)
}

fn starts_with(text: &str, start: &str) -> bool {
    text.get(..start.len()).is_some_and(|begin| begin.eq_ignore_ascii_case(start))
}

/// The text after the first `end`, whatever its case; nothing where it does not end.
fn after<'t>(text: &'t str, end: &str) -> &'t str {
    let mut places = text.char_indices().map(|(at, _)| at);
    places.find(|at| starts_with(&text[*at..], end)).map_or("", |at| &text[at + end.len()..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_says_what_a_person_would_read() {
        for (page, expected) in [
            ("Unauthorized", "Unauthorized"),
            ("", ""),
            (
                "<!DOCTYPE html><html><head><title>Page Not Found | CommCare HQ</title><style>p{a:b}</style>\
                 <SCRIPT>if (a < b) { c }</Script></head><body><!-- <p>x</p> --><h1>404</h1>\n<p>No such\n page &amp; \
                 more</p></body></html>",
                "Page Not Found | CommCare HQ 404 No such page & more",
            ),
            ("<p>a &nbsp; b", "a b"),
            ("a < b", "a"),
            ("<script>never ends", ""),
        ] {
            assert_eq!(words(page.as_bytes()), expected, "{page}");
        }
        assert_eq!(words("é ".repeat(300).as_bytes()).chars().count(), KEPT + 1);
    }
}
