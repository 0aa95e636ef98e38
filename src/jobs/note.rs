//! The words of a plan that sends nothing. A note quotes the answer to the question that decided, but
//! only an answer that looks like an option: operators read notes, so notes hold no personal data.

/// The longest answer, in characters, that may be an option.
const LONGEST_OPTION: usize = 48;

/// How many different answers a note quotes.
const MOST_QUOTED: usize = 5;

/// The answer in quotes where it looks like an option, else words that replace it.
pub(super) fn quote(answer: Option<&str>) -> String {
    match answer {
        None => "(missing)".to_owned(),
        Some(text) if text.chars().count() <= LONGEST_OPTION && !text.chars().any(char::is_control) => {
            format!("\"{text}\"")
        }
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
