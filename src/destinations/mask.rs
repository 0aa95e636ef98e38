//! Takes payload values out of a destination's messages (`docs/service.md`, section 7).
//!
//! Destinations quote what they refuse: often a name, a phone number or a position. Ids stay, because operators
//! search for them. In doubt more is masked: a hole in a message is an inconvenience, a name in a log is an incident.

use serde_json::Value;
use uuid::Uuid;

use crate::plan::Upsert;
use crate::plan::fields::FieldValue;
use crate::text::shorten;

/// What stands for a value.
const MASKED: &str = "[masked]";
/// A value of fewer characters is masked only as a word: "Al" is a name, but not in "already".
const SHORT: usize = 5;
/// From this many digits on only the digits are compared: phone numbers are written in many ways.
const PHONE_DIGITS: usize = 7;
/// Characters of a message that are kept: an Apex stack trace can be pages.
const MAX_MESSAGE: usize = 1_000;

/// The values of one plan, ready to be taken out of messages. The default masks nothing.
#[derive(Default)]
pub(super) struct Mask {
    values: Vec<Vec<char>>,
    phones: Vec<Vec<char>>,
    ids: Vec<Vec<char>>,
}

impl Mask {
    /// A mask of every value that `upserts` write, ids excepted: external ids, the ids that
    /// relationships name, and values that have an id's shape.
    pub(super) fn from_upserts(upserts: &[Upsert]) -> Self {
        let mut mask = Self::default();
        for upsert in upserts {
            mask.add_id(&upsert.external_id);
            for value in upsert.fields.values() {
                match value {
                    FieldValue::Plain(value) => mask.add(value),
                    FieldValue::Related { id, .. } => id.as_str().into_iter().for_each(|id| mask.add_id(id)),
                }
            }
        }
        mask
    }

    /// A mask of credentials, which a login's refusal may echo.
    pub(super) fn from_secrets(secrets: &[&str]) -> Self {
        let mut mask = Self::default();
        for secret in secrets {
            mask.add_text(secret);
        }
        mask
    }

    /// A mask of texts that a message may quote. Values that have an id's shape stay, as do `ids`.
    pub(super) fn from_texts(texts: &[String], ids: &[&str]) -> Self {
        let mut mask = Self::default();
        for id in ids {
            mask.add_id(id);
        }
        for text in texts {
            mask.add_text(text);
        }
        mask
    }

    fn add(&mut self, value: &Value) {
        match value {
            Value::String(text) => self.add_text(text),
            Value::Number(number) => self.add_text(&number.to_string()),
            Value::Array(items) => items.iter().for_each(|item| self.add(item)),
            Value::Object(related) => {
                for id in related.values().filter_map(Value::as_str) {
                    self.add_id(id);
                }
            }
            Value::Null | Value::Bool(_) => {}
        }
    }

    fn add_text(&mut self, text: &str) {
        if is_id(text) {
            return self.add_id(text);
        }
        // As it is, in XML, in HTML as Apex escapes it, and in JSON.
        let xml = quick_xml::escape::escape(text).into_owned();
        let html = xml.replace("&apos;", "&#39;");
        let spellings = [text.to_owned(), xml, html, text.replace('"', "\\\"")];
        for spelling in spellings {
            let value: Vec<char> = fold(&spelling).into_iter().map(|(_, c)| c).collect();
            // One letter or digit is an answer's code, and would hide half of every message.
            let tells_nothing = value.is_empty() || (value.len() == 1 && value[0].is_ascii());
            if !tells_nothing && !self.values.contains(&value) {
                self.values.push(value);
            }
        }
        let digits: Vec<char> = text.chars().filter(char::is_ascii_digit).collect();
        let is_phone = text.chars().all(|c| c.is_ascii_digit() || is_separator(c));
        if is_phone && digits.len() >= PHONE_DIGITS {
            self.phones.push(digits);
        }
    }

    fn add_id(&mut self, id: &str) {
        let id: Vec<char> = fold(id).into_iter().map(|(_, c)| c).collect();
        if !id.is_empty() {
            self.ids.push(id);
        }
    }

    /// `message` without the values, cut to a readable length.
    pub(super) fn apply(&self, message: &str) -> String {
        let text = fold(message);
        let chars: Vec<char> = text.iter().map(|(_, c)| *c).collect();
        let kept = self.kept(&chars);
        let mut hidden = vec![false; chars.len()];
        for (start, end) in self.found(&chars) {
            // A value that is only a piece of an id or an API name stays with it.
            if !kept.iter().any(|&(from, to)| from <= start && end <= to) {
                hidden[start..end].fill(true);
            }
        }
        let mut masked = String::with_capacity(message.len());
        for (at, (offset, _)) in text.iter().enumerate() {
            let next = text.get(at + 1).map_or(message.len(), |(offset, _)| *offset);
            match (hidden[at], at > 0 && hidden[at - 1]) {
                (true, false) => masked.push_str(MASKED),
                (true, true) => {}
                (false, _) => masked.push_str(&message[*offset..next]),
            }
        }
        shorten(&masked, MAX_MESSAGE)
    }

    /// Every place where a value stands.
    fn found(&self, text: &[char]) -> Vec<(usize, usize)> {
        let values = self.values.iter().flat_map(|value| {
            let as_word = value.len() < SHORT && !value.iter().all(char::is_ascii_digit) || value.len() < 4;
            places(text, value).filter(move |&place| !as_word || is_word(text, place))
        });
        let phones = self.phones.iter().flat_map(|digits| phone_places(text, digits));
        values.chain(phones).collect()
    }

    /// Every place of an id, or of an API name such as `Participant__c`, that has to stay.
    fn kept(&self, text: &[char]) -> Vec<(usize, usize)> {
        let ids = self.ids.iter().flat_map(|id| places(text, id).filter(|&place| is_word(text, place)));
        ids.chain(api_names(text)).collect()
    }
}

/// The text in lower case, runs of white space as one space, each character with the byte offset
/// that it came from. Offsets strictly increase.
fn fold(text: &str) -> Vec<(usize, char)> {
    let mut folded: Vec<(usize, char)> = Vec::with_capacity(text.len());
    for (offset, c) in text.trim().char_indices() {
        let offset = offset + text.len() - text.trim_start().len();
        let c = if c.is_whitespace() { ' ' } else { c.to_lowercase().next().unwrap_or(c) };
        if c != ' ' || folded.last().is_none_or(|(_, last)| *last != ' ') {
            folded.push((offset, c));
        }
    }
    folded
}

fn places<'t>(text: &'t [char], value: &'t [char]) -> impl Iterator<Item = (usize, usize)> + 't {
    let starts = text.windows(value.len()).enumerate().filter(move |(_, window)| *window == value);
    starts.map(move |(start, _)| (start, start + value.len()))
}

/// Places of `digits`, however they are separated.
fn phone_places<'t>(text: &'t [char], digits: &'t [char]) -> impl Iterator<Item = (usize, usize)> + 't {
    (0..text.len()).filter(|&start| text[start].is_ascii_digit()).filter_map(move |start| {
        let mut wanted = digits.iter().peekable();
        for (at, c) in text.iter().enumerate().skip(start) {
            match wanted.peek() {
                Some(&&digit) if digit == *c => drop(wanted.next()),
                Some(_) if is_separator(*c) => {}
                Some(_) => return None,
                None => return Some((start, at)),
            }
        }
        wanted.peek().is_none().then_some((start, text.len()))
    })
}

fn is_separator(c: char) -> bool {
    matches!(c, ' ' | '-' | '.' | '/' | '(' | ')' | '+')
}

fn is_word(text: &[char], (start, end): (usize, usize)) -> bool {
    let joins = |at: Option<usize>| at.and_then(|at| text.get(at)).is_some_and(|c| c.is_alphanumeric());
    !joins(start.checked_sub(1)) && !joins(Some(end))
}

/// Names with a double underscore, as in `Household__r`.
fn api_names(text: &[char]) -> impl Iterator<Item = (usize, usize)> + '_ {
    let ends_name = |c: &char| !(c.is_ascii_alphanumeric() || *c == '_');
    let mut start = 0;
    text.split(ends_name).filter_map(move |name| {
        let place = (start, start + name.len());
        start = place.1 + 1;
        name.windows(2).any(|pair| pair == ['_', '_']).then_some(place)
    })
}

/// Whether a value looks like a CommCare case id (a UUID) or a Salesforce record id: 15 or 18
/// characters whose key prefix starts with a digit, or with `a` for a custom object (SOAP API
/// guide, ID field type), letters and digits among them. A phone number is not one.
fn is_id(text: &str) -> bool {
    let bytes = text.as_bytes();
    let has_prefix = match bytes {
        [b'a', rest @ ..] => rest.iter().take(2).any(u8::is_ascii_digit),
        [first, ..] => first.is_ascii_digit(),
        [] => false,
    };
    let is_record_id = matches!(bytes.len(), 15 | 18)
        && has_prefix
        && bytes.iter().all(u8::is_ascii_alphanumeric)
        && bytes.iter().any(u8::is_ascii_alphabetic);
    is_record_id || (bytes.len() == 36 && Uuid::try_parse(text).is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const CASE: &str = "3f2a7f0e-6a55-4b5f-9d1c-0a9c8a7b6c5d";

    fn masked(values: &[Value], message: &str) -> String {
        let mut upsert = Upsert::new("Participant__c", "CommCare_Case_Id__c", CASE);
        for (at, value) in values.iter().enumerate() {
            upsert = upsert.set(format!("F{at}__c"), value.clone());
        }
        Mask::from_upserts(&[upsert]).apply(message)
    }

    #[test]
    fn names_are_masked_whatever_their_case_and_spacing() {
        assert_eq!(masked(&[json!("Uwimana")], "bad UWIMANA's name"), "bad [masked]'s name");
        assert_eq!(masked(&[json!("Jean  Bosco")], "no jean bosco: x"), "no [masked]: x");
        assert_eq!(masked(&[json!(" Zoë ")], "(ZOË)"), "([masked])");
        let spelt = "O&apos;Hara, O&#39;Hara or O'Hara";
        assert_eq!(masked(&[json!("O'Hara")], spelt), "[masked], [masked] or [masked]");
    }

    #[test]
    fn a_short_name_is_masked_as_a_word_only() {
        assert_eq!(
            masked(&[json!("Al")], "Al is already there, al!"),
            "[masked] is already there, [masked]!"
        );
        assert_eq!(masked(&[json!("Male")], "Female or Male"), "Female or [masked]");
    }

    #[test]
    fn a_longer_value_hides_the_shorter_ones_in_it() {
        let values = [json!("Bosco"), json!("Jean Bosco"), json!("Bosco Mugabo")];
        assert_eq!(masked(&values, "is Jean Bosco Mugabo new?"), "is [masked] new?");
    }

    #[test]
    fn phone_numbers_are_masked_however_they_are_written() {
        for message in ["0788123456", "0788-123-456", "(0788) 123 456", "0788.123.456"] {
            let text = masked(&[json!("0788123456")], &format!("Phone: {message} is taken"));
            assert!(!text.contains("123") && text.ends_with("is taken"), "{text}");
        }
        assert_eq!(masked(&[json!("+250 788 123 456")], "at 250788123456."), "at [masked].");
        assert_eq!(masked(&[json!("0788123456")], "+2500788123456"), "+250[masked]");
    }

    #[test]
    fn positions_and_numbers_are_masked() {
        let values = [json!("-1.94"), json!("30.0644"), json!(1_567), json!(30.5)];
        assert_eq!(
            masked(&values, "latitude -1.94, longitude 30.06440, altitude 1567.0, error 30.5"),
            "latitude [masked], longitude [masked]0, altitude [masked].0, error [masked]"
        );
    }

    #[test]
    fn ids_stay() {
        let related = json!({ "Household_ID__c": "HH-77" });
        let values = [related, json!("a0X5g000001AbCdEAK"), json!("HH"), json!("77"), json!("9d1c")];
        let message = format!("Foreign key external ID: HH-77 of {CASE}, a0x5g000001abcdeak, HH, 77");
        let expected =
            format!("Foreign key external ID: HH-77 of {CASE}, a0x5g000001abcdeak, [masked], [masked]");
        assert_eq!(masked(&values, &message), expected);
        assert!(
            masked(&[json!("254712345678901")], "254712345678901").contains("[masked]"),
            "a phone is no id"
        );
        assert_eq!(masked(&[json!("called by 3f2a")], "called by 3f2a"), "[masked]");
    }

    #[test]
    fn api_names_stay() {
        let values = [json!("Training"), json!("Name")];
        assert_eq!(
            masked(&values, "field Name__c in entity Training_Session__c: Training"),
            "field Name__c in entity Training_Session__c: [masked]"
        );
    }

    #[test]
    fn an_answers_code_does_not_riddle_the_message() {
        assert_eq!(
            masked(&[json!("1"), json!(""), json!(true), json!(null)], "row 1 is true"),
            "row 1 is true"
        );
    }

    #[test]
    fn a_long_message_is_cut() {
        assert_eq!(masked(&[], &"é".repeat(3_000)).chars().count(), MAX_MESSAGE + 1);
    }
}
