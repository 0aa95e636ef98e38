//! The words of a plan that sends nothing. A note quotes the answer to the question that decided, but
//! only an answer that looks like an option: operators read notes, so notes hold no personal data.

use super::form::{has_a_number, looks_like_a_code};

/// The longest answer of several words, in characters, that may be an option.
const LONGEST_OPTION: usize = 48;

/// How many different answers a note quotes.
const MOST_QUOTED: usize = 5;

/// The answer in quotes where it looks like the code of an option, else words that replace it.
pub(super) fn quote(answer: Option<&str>) -> String {
    quote_if(answer, looks_like_a_code)
}

/// The same for a question whose options have several words, such as `New Farmer New Household`, and which the app
/// answers by itself: nobody types a name there.
pub(super) fn quote_words(answer: Option<&str>) -> String {
    quote_if(answer, |text| {
        text.chars().count() <= LONGEST_OPTION
            && !has_a_number(&text.replace(' ', ""))
            && text.split(' ').all(looks_like_a_code)
    })
}

fn quote_if(answer: Option<&str>, is_option: impl Fn(&str) -> bool) -> String {
    match answer {
        None => "(missing)".to_owned(),
        Some(text) if text.is_empty() || is_option(text) => format!("\"{text}\""),
        Some(_) => "(text that is no option)".to_owned(),
    }
}

/// Several answers to the same question, each once.
pub(super) fn all<T: AsRef<str>>(answers: &[Option<T>]) -> String {
    let mut found: Vec<String> = Vec::new();
    for answer in answers {
        let answer = quote(answer.as_ref().map(AsRef::as_ref));
        if !found.contains(&answer) && found.len() < MOST_QUOTED {
            found.push(answer);
        }
    }
    if found.is_empty() { quote(None) } else { found.join(", ") }
}
