//! Texts for people.

/// At most `most` characters of `text`; a cut shows as `…`.
pub(crate) fn shorten(text: &str, most: usize) -> String {
    match text.char_indices().nth(most) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

/// What stands for a value that is shown to nobody.
pub(crate) const MASKED: &str = "[masked]";

/// An error with its causes, joined by colons.
pub(crate) fn with_causes(error: &(dyn std::error::Error + 'static)) -> String {
    let chain = std::iter::successors(Some(error), |error| error.source()).map(ToString::to_string);
    chain.collect::<Vec<_>>().join(": ")
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

    #[test]
    fn an_error_is_said_with_its_causes() {
        let error = anyhow::anyhow!("no route").context("no connection").context("reading");
        assert_eq!(with_causes(error.as_ref()), "reading: no connection: no route");
    }
}
