//! Takes payload values out of a destination's messages (`docs/service.md`, section 7).
//!
//! Destinations quote what they refuse: often a name, a phone number or a position. Ids stay, because operators
//! search for them, and so do the vendor's own words and the names of fields. In doubt more is masked: a hole in a
//! message is an inconvenience, a name in a log is an incident.
//!
//! What a message quotes also says nothing of what it means: a farmer's comment may hold the words of an error.

mod folded;
mod known;
mod quotes;
mod vocabulary;

use std::borrow::Cow;
use std::collections::HashSet;

use crate::plan::Upsert;
use crate::text::{MASKED, shorten};
use folded::Folded;
use known::Known;
use quotes::{Place, Quotes};

/// Characters of a message that are kept: an Apex stack trace can be pages.
const MAX_MESSAGE: usize = 1_000;
/// Characters of a message that are read for that.
const MAX_READ: usize = 20 * MAX_MESSAGE;

/// The values of one plan, to be taken out of messages. The default masks nothing. One is made for each plan and few are
/// used, so that all the work waits for a message.
#[derive(Default)]
pub(super) struct Mask<'p> {
    upserts: &'p [Upsert],
    texts: Vec<Cow<'p, str>>,
    ids: Vec<&'p str>,
    names: HashSet<String>,
}

impl<'p> Mask<'p> {
    /// A mask of every value that `upserts` write, ids excepted: external ids, the ids that relationships name, and
    /// values that have an id's shape. The words of the names of objects and fields stay too.
    pub(super) fn from_upserts(upserts: &'p [Upsert]) -> Self {
        Self { upserts, ..Self::default() }
    }

    /// A mask of credentials, which a login's refusal may echo.
    pub(super) fn from_secrets(secrets: &[&'p str]) -> Self {
        Self { texts: secrets.iter().map(|secret| Cow::Borrowed(*secret)).collect(), ..Self::default() }
    }

    /// A mask of texts that a message may quote. Values that have an id's shape stay, as do `ids` and the words of
    /// `names`.
    pub(super) fn from_texts(texts: Vec<String>, ids: &[&'p str], names: HashSet<String>) -> Self {
        let texts = texts.into_iter().map(Cow::Owned).collect();
        Self { texts, ids: ids.to_vec(), names, ..Self::default() }
    }

    /// `message` without the values, cut to a readable length.
    pub(super) fn apply(&self, message: &str) -> String {
        let message = shorten(message.trim(), MAX_READ);
        let folded = Folded::new(&message);
        let Known { values, ids, names } = Known::of(self);
        let quotes = Quotes::new(&folded, &names);
        let ids = ids.iter().flat_map(|id| quotes.whole(id)).filter(|&place| quotes.is_word(place));
        // Where the longest id or API name ends that a position is in.
        let mut kept_until = vec![0; folded.chars.len()];
        for (start, end) in ids.chain(api_names(&folded.chars)) {
            kept_until[start..end].iter_mut().for_each(|until| *until = end.max(*until));
        }
        let mut hidden = vec![false; folded.chars.len()];
        for value in values {
            let passages = quotes.passages(&value).into_iter().filter(|place| quotes.tells(*place));
            for (start, end) in passages.chain(quotes.words(&value)).chain(quotes.phones(&value)) {
                // A value that is only a piece of an id or an API name stays with it.
                if kept_until[start] < end {
                    hidden[start..end].fill(true);
                }
            }
        }
        shorten(&folded.replaced(&message, &hidden, MASKED), MAX_MESSAGE)
    }

    /// `message` in lower case and in plain characters, without the values that hold one of the `phrases` by which errors
    /// are told apart: what is left of them is the destination's own word.
    pub(super) fn unquoted(&self, message: &str, phrases: impl Iterator<Item = &'static str>) -> String {
        let message = shorten(message, MAX_READ);
        let folded = Folded::new(&message);
        let text = |(start, end): Place| folded.chars[start..end].iter().collect::<String>();
        let whole = text((0, folded.chars.len()));
        let phrases: Vec<String> =
            phrases.map(str::to_lowercase).filter(|phrase| whole.contains(phrase.as_str())).collect();
        if phrases.is_empty() {
            return whole;
        }
        let names = HashSet::new();
        let quotes = Quotes::new(&folded, &names);
        let mut hidden = vec![false; folded.chars.len()];
        let Known { values, ids, .. } = Known::of(self);
        for value in values.iter().chain(&ids) {
            let holds = |place: &Place| phrases.iter().any(|phrase| text(*place).contains(phrase.as_str()));
            // A piece that is the phrase itself may be either's.
            let holds_more = |place: &Place| {
                let text = text(*place);
                let text = text.trim_matches(|c: char| !c.is_alphanumeric());
                phrases.iter().any(|phrase| text.contains(phrase.as_str()) && text.len() > phrase.len())
            };
            let pieces = quotes.passages(value).into_iter().filter(holds_more);
            for (start, end) in quotes.whole(value).into_iter().filter(holds).chain(pieces) {
                hidden[start..end].fill(true);
            }
        }
        folded.chars.iter().zip(hidden).filter(|(_, hidden)| !hidden).map(|(c, _)| *c).collect()
    }
}

/// Names with a double underscore, as in `Household__r`.
fn api_names(text: &[char]) -> impl Iterator<Item = Place> + '_ {
    let ends_name = |c: &char| !(c.is_ascii_alphanumeric() || *c == '_');
    let mut start = 0;
    text.split(ends_name).filter_map(move |name| {
        let place = (start, start + name.len());
        start = place.1 + 1;
        name.windows(2).any(|pair| pair == ['_', '_']).then_some(place)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

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
        for message in ["+250788123456", "+250 788 123 456", "250-788-123456", "00250788123456"] {
            let text = masked(&[json!("0788123456")], &format!("Phone {message} is taken"));
            assert!(!text.contains("88") && text.ends_with("is taken"), "{text}");
        }
        assert_eq!(
            masked(&[json!("reach me at 0788-123456 or so")], "no 788123456 here"),
            "no [masked] here"
        );
        assert_eq!(masked(&[json!("0788123456")], "limit 788123455"), "limit 788123455");
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
        let values = [json!("a0X5g000001AbCdEAK"), json!("HH"), json!("77"), json!("9d1c")];
        let fields = values.iter().enumerate();
        let upsert = Upsert::new("Participant__c", "CommCare_Case_Id__c", CASE);
        let related = upsert.relate("Household__r", "Household_ID__c", "HH-77");
        let upsert =
            fields.fold(related, |upsert, (at, value)| upsert.set(format!("F{at}__c"), value.clone()));
        let message = format!("Foreign key external ID: HH-77 of {CASE}, a0x5g000001abcdeak, HH, 77");
        let expected =
            format!("Foreign key external ID: HH-77 of {CASE}, a0x5g000001abcdeak, [masked], [masked]");
        assert_eq!(Mask::from_upserts(&[upsert]).apply(&message), expected);
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

    const COMMENT: &str = "The household of Zawditu Wolde, near Kirinyaga, cannot obtain exclusive access to the well: \
                           value not found";

    #[test]
    fn a_value_is_masked_however_it_is_cut() {
        let long = json!(format!("{COMMENT} {COMMENT} {COMMENT} {COMMENT}"));
        let start: String = long.as_str().unwrap().chars().take(255).collect();
        let middle = long.as_str().unwrap()[40..90].to_owned();
        for (values, message) in [
            (long.clone(), format!("data value too large: {start} (max length=255)")),
            (long.clone(), format!("data value too large: {start}…")),
            (long, format!("data value too large: ...{middle}... (max length=255)")),
            (json!("Zawditu O'Wolde"), "data value too large: Zawditu O'Wo…".to_owned()),
            (json!("Zawditu O'Wolde"), "data value too large: Zawditu O&#39;W...".to_owned()),
            (json!("Zawditu O'Wolde"), "data value too large: Zawd".to_owned()),
            (json!("Al Wu"), "data value too large: Al W...".to_owned()),
        ] {
            let text = masked(&[values], &message);
            assert!(text.starts_with("data value too large: ") && text.contains("[masked]"), "{text}");
            for part in ["Zaw", "Wo", "Al", "Kirin", "house", "well"] {
                assert!(!text.contains(part), "{text}");
            }
        }
    }

    #[test]
    fn a_value_is_masked_however_it_is_escaped() {
        let name = json!("Zoë\nO'Wolde <Q> & sons");
        for message in [
            r"bad value: Zoë\nO'Wolde <Q> & sons!",
            r"bad value: Zo\u00eb\r\nO\'Wolde <Q> & sons!",
            "bad value: Zoë<br>O&apos;Wolde &lt;Q&gt; &amp; sons!",
            "bad value: Zo&euml;<br/>O&#39;Wolde &lt;Q&gt; &amp; sons!",
            "bad value: Zoe\u{308} O'Wolde <Q> & sons!",
            "bad value: Zo%C3%AB%0AO%27Wolde%20%3CQ%3E%20%26%20sons!",
        ] {
            assert_eq!(masked(std::slice::from_ref(&name), message), "bad value: [masked]!", "{message}");
        }
        assert_eq!(masked(&[json!("Zoe\u{308}")], "no ZOË here"), "no [masked] here", "NFD in the form");
    }

    #[test]
    fn a_long_word_of_a_value_is_masked_alone() {
        let values = [json!("Zawditu Wolde, Kirinyaga 25567"), json!("jina langu ni Uwimana")];
        for (message, expected) in [
            ("first name ZAWDITU is taken", "first name [masked] is taken"),
            ("Uwimana's farm", "[masked]'s farm"),
            ("no place Kirinyaga, 25567", "no place [masked], [masked]"),
            ("langu: WOLDE", "[masked]: [masked]"),
            ("Woldemariam stays, and so do jina and ni", "Woldemariam stays, and so do jina and ni"),
        ] {
            assert_eq!(masked(&values, message), expected);
        }
    }

    #[test]
    fn the_vendors_own_words_and_the_names_of_fields_stay() {
        let values = [
            json!(COMMENT),
            json!("No"),
            json!("not found"),
            json!("The participant of that case"),
            json!("error"),
        ];
        for message in [
            "unable to obtain exclusive access to this record or 1 records: a0X5g0000012345AAA",
            "No such column 'Farm_Size__c' on sobject of type Household__c",
            "Required fields are missing: [CommCare_Case_Id__c]",
            "Participant: bad value for restricted picklist field: Status",
            "Entity of type Case not found",
            "InvalidCaseIndex: Case 'x' references non-existent case",
            "PostgreSQL error: duplicate key value violates unique constraint",
        ] {
            assert_eq!(masked(&values, message), message);
        }
    }

    #[test]
    fn a_quoted_phrase_is_no_word_of_the_destination() {
        const PHRASE: &str = "Too many SOQL queries";
        let is_said = |note: &str, message: &str| {
            let upserts = [Upsert::new("A__c", "Key__c", "a").set("Note__c", note).set("Word__c", "soql")];
            let text = Mask::from_upserts(&upserts).unquoted(message, [PHRASE].into_iter());
            text.contains(&PHRASE.to_lowercase())
        };
        let note = "Say: Too many SOQL queries, please";
        for message in [
            "Note: value too large: Say: Too many SOQL queries, please",
            "Note: value too large: say: too many&nbsp;soql queries, pl…",
        ] {
            assert!(!is_said(note, message), "{message}");
        }
        for message in
            ["System.LimitException: Too many SOQL queries: 101", "npsp:TOO  many\nSOQL&#32;queries"]
        {
            assert!(is_said("none", message) && is_said(note, message), "{message}");
        }
        assert!(!is_said(PHRASE, "Note: Too many SOQL queries is not allowed"), "in doubt it is the phone's");
    }

    #[test]
    fn a_plan_of_thousands_is_searched_in_no_time_that_matters() {
        let upserts: Vec<Upsert> = (0..2_000)
            .map(|n| {
                Upsert::new("A__c", "Key__c", format!("id-{n}"))
                    .set("Name", format!("Farmer number {n} of Kirinyaga"))
            })
            .collect();
        let text = Mask::from_upserts(&upserts).apply(&"no Farmer number 1999 of Kirinyaga ".repeat(500));
        assert!(!text.contains("Kirinyaga"), "{text}");
    }
}
