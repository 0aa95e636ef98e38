//! From a transformed survey to its rows of answers (`docs/mappings/commcare-to-postgis.md`, section 6.1).

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use serde_json::{Map, Value};

use super::answer::typed;
use crate::plan::rows::Answer;

/// The answers of a survey. Their submission ids begin with `prefix`. Where two members compose the same
/// id, the later member wins.
pub(super) fn answers(prefix: &str, survey: &Map<String, Value>) -> Vec<Answer> {
    let mut found = Found { prefix, answers: Vec::new(), positions: HashMap::new() };
    for (name, value) in survey {
        match value {
            Value::Array(entries) => found.entries(name, name, name, entries),
            Value::Object(members) => found.section(name, members),
            _ if name.ends_with("_label") || name.starts_with("survey_") => {}
            _ => found.add(name, None, name, value),
        }
    }
    found.answers
}

struct Found<'a> {
    prefix: &'a str,
    answers: Vec<Answer>,
    /// The position of each submission id in `answers`.
    positions: HashMap<String, usize>,
}

impl Found<'_> {
    fn section(&mut self, section: &str, members: &Map<String, Value>) {
        for (question, answer) in members {
            match answer {
                Value::Array(entries) => {
                    self.entries(&format!("{section}-{question}"), section, question, entries);
                }
                _ if question.ends_with("_label") => {}
                _ => self.add(&format!("{section}-{question}"), Some(section), question, answer),
            }
        }
    }

    /// One answer for each entry of a list. Null entries give no answer and take no position
    /// (decision P4).
    fn entries(&mut self, key: &str, section: &str, question: &str, entries: &[Value]) {
        let entries = entries.iter().filter(|entry| !entry.is_null());
        for (position, entry) in (1..).zip(entries) {
            self.add(&format!("{key}-{position}"), Some(section), question, entry);
        }
    }

    fn add(&mut self, key: &str, section: Option<&str>, question: &str, answer: &Value) {
        let answer = Answer {
            submission_id: format!("{}{key}", self.prefix),
            section_name: section.map(str::to_owned),
            question_name: question.to_owned(),
            value: typed(answer),
        };
        match self.positions.entry(answer.submission_id.clone()) {
            Entry::Occupied(position) => self.answers[*position.get()] = answer,
            Entry::Vacant(position) => {
                position.insert(self.answers.len());
                self.answers.push(answer);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn of_two_members_that_compose_one_id_the_later_wins() {
        let survey = json!({ "a": { "b-1": "first", "b": ["second"] }, "a-b": { "1": "last" } });
        let found = answers("", survey.as_object().unwrap());
        let found: Vec<_> = found.iter().map(|a| (&*a.submission_id, &*a.question_name)).collect();
        assert_eq!(found, [("a-b-1", "1")]);
    }
}
