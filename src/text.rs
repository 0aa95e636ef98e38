//! Texts for people.

/// At most `most` characters of `text`; a cut shows as `…`.
pub(crate) fn shorten(text: &str, most: usize) -> String {
    match text.char_indices().nth(most) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_cut_between_characters_and_only_where_it_is_too_long() {
        for (text, expected) in [("", ""), ("éé", "éé"), ("ééé", "éé…")] {
            assert_eq!(shorten(text, 2), expected);
        }
    }
}
