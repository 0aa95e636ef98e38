//! A typed reader over a form payload. Every answer is read through it, and every error about a payload
//! comes from it.
//!
//! The reader owns the rules of `docs/mappings/commcare-to-salesforce.md`, section 1, so that a mapping
//! only says *which* answer goes where. Paths are those of the page: a path that starts with `form` or
//! `payload` counts from the top, any other path from the group that the reader stands at.
//!
//! Answers are copied as sent. Where a mapping needs text (codes, ids, file names, coordinates), a number
//! or boolean counts as its JSON text, and a group or list is an error. An error names the path and the
//! fault. It never quotes the answer, because answers are personal data.
//!
//! A code without label is no error: the reader remembers the code, and the plan reports it.

use std::borrow::Cow;
use std::cell::RefCell;
use std::rc::Rc;

use serde_json::{Map, Value};

use crate::jobs::{Facts, MapError};
use crate::submission::Unmapped;

/// Codes and Salesforce's labels for them. Labels are picklist data: typos, double spaces and stray
/// capitals are kept exactly.
pub(super) type Labels = &'static [(&'static str, &'static str)];

/// The longest answer, in characters, that may be the code of an option.
const LONGEST_CODE: usize = 64;
/// Digits in a row that no code has, and every phone number.
const DIGITS_OF_A_NUMBER: usize = 7;

/// One group of a payload and the path to it. A missing group counts as an empty group.
pub(super) struct Form<'a> {
    payload: &'a Value,
    facts: &'a Facts,
    here: &'a Value,
    path: String,
    /// The codes without label. All readers of one payload share the list.
    unmapped: Rc<RefCell<Vec<Unmapped>>>,
}

impl<'a> Form<'a> {
    /// The whole payload.
    pub(super) fn new(payload: &'a Value, facts: &'a Facts) -> Self {
        Self { payload, facts, here: payload, path: "payload".to_owned(), unmapped: Rc::default() }
    }

    /// The group at `path`. A group that is missing, `""` or null counts as empty.
    pub(super) fn group(&self, path: &str) -> Result<Self, MapError> {
        self.stand_at(self.find(path)?.unwrap_or(&Value::Null), self.full_path(path))
    }

    /// The groups of a repeat, which the form sends as a list, or as one object for a single group.
    /// `None` where the repeat is missing, `""` or null.
    pub(super) fn repeat(&self, path: &str) -> Result<Option<Vec<Self>>, MapError> {
        if let Some(Value::Array(items)) = self.find(path)? {
            let stand_at = |(index, item)| self.stand_at(item, format!("{}[{index}]", self.full_path(path)));
            return items.iter().enumerate().map(stand_at).collect::<Result<_, _>>().map(Some);
        }
        let only = self.group(path)?;
        Ok(only.here.is_object().then(|| vec![only]))
    }

    /// The answer as sent; missing → `""`.
    pub(super) fn sent(&self, path: &str) -> Result<Value, MapError> {
        Ok(self.find(path)?.cloned().unwrap_or_else(empty))
    }

    /// The answer as sent; missing → null.
    pub(super) fn sent_or_null(&self, path: &str) -> Result<Value, MapError> {
        Ok(self.find(path)?.cloned().unwrap_or(Value::Null))
    }

    /// The answer as sent; missing or `""` → null.
    pub(super) fn filled_or_null(&self, path: &str) -> Result<Value, MapError> {
        Ok(self.filled(path)?.cloned().unwrap_or(Value::Null))
    }

    /// The first answer that is neither missing nor `""`; else `""`.
    pub(super) fn first_filled(&self, paths: &[&str]) -> Result<Value, MapError> {
        for path in paths {
            if let Some(value) = self.filled(path)? {
                return Ok(value.clone());
            }
        }
        Ok(empty())
    }

    /// The answer under a key that the form itself composes, as sent; missing → `""`.
    pub(super) fn sent_under_key(&self, key: &str) -> Value {
        self.here.get(key).filter(|value| !value.is_null()).cloned().unwrap_or_else(empty)
    }

    /// The answer's text; missing → `""`.
    pub(super) fn text(&self, path: &str) -> Result<Cow<'a, str>, MapError> {
        Ok(self.text_if_sent(path)?.unwrap_or_default())
    }

    /// The answer's text, where there is an answer.
    pub(super) fn text_if_sent(&self, path: &str) -> Result<Option<Cow<'a, str>>, MapError> {
        let Some(value) = self.find(path)? else { return Ok(None) };
        match as_text(value) {
            Some(text) => Ok(Some(text)),
            None => Err(self.error(path, format!("must be text, but is {}", type_name(value)))),
        }
    }

    /// Whether the answer is exactly `code`.
    pub(super) fn is(&self, path: &str, code: &str) -> Result<bool, MapError> {
        Ok(self.text(path)? == code)
    }

    /// An external id, or a variable part of one: present, not blank, printable.
    pub(super) fn id(&self, path: &str) -> Result<Cow<'a, str>, MapError> {
        self.id_if_filled(path)?
            .ok_or_else(|| self.error(path, "an external id is built from it, but it is missing or blank"))
    }

    /// The same id; `None` where it is missing or blank.
    pub(super) fn id_if_filled(&self, path: &str) -> Result<Option<Cow<'a, str>>, MapError> {
        let id = self.text(path)?;
        if is_blank(&id) {
            return Ok(None);
        }
        self.printable(path, &id)?;
        Ok(Some(id))
    }

    /// The codes of a multi-select answer; missing or blank → none.
    pub(super) fn tokens(&self, path: &str) -> Result<Vec<String>, MapError> {
        let text = self.text(path)?;
        Ok(text.split(' ').filter(|token| !token.is_empty()).map(str::to_owned).collect())
    }

    /// The codes of a multi-select answer, each of which becomes part of an external id.
    pub(super) fn id_tokens(&self, path: &str) -> Result<Vec<String>, MapError> {
        let tokens = self.tokens(path)?;
        for token in &tokens {
            self.printable(path, token)?;
            if is_blank(token) {
                return Err(
                    self.error(path, "an external id is built from each of its codes, but one is blank")
                );
            }
        }
        Ok(tokens)
    }

    /// The URL of an attached file. The URL is `""` where the domain, the instance id or the file
    /// name is missing or blank.
    pub(super) fn attachment(&self, path: &str) -> Result<String, MapError> {
        let domain = self.text("payload.domain")?;
        let instance = self.text("form.meta.instanceID")?;
        let file = self.text(path)?;
        if [&domain, &instance, &file].into_iter().any(|part| is_blank(part)) {
            return Ok(String::new());
        }
        Ok(format!("{}{file}", attachments(self.facts, &domain, &instance)))
    }

    /// Piece `index` of coordinates, which are split at every single space; `""` where there is no such piece.
    pub(super) fn gps(&self, path: &str, index: usize) -> Result<String, MapError> {
        Ok(self.text(path)?.split(' ').nth(index).unwrap_or_default().to_owned())
    }

    /// The label of a coded answer; `None` where the answer is missing or blank, or `labels` lacks the
    /// code. A code that `labels` lacks is remembered.
    pub(super) fn label(&self, path: &str, labels: Labels) -> Result<Option<&'static str>, MapError> {
        let code = self.text(path)?;
        Ok(self.label_of(path, &code, labels))
    }

    /// The label of one code of the answer at `path`. A code that `labels` lacks is remembered.
    pub(super) fn label_of(&self, path: &str, code: &str, labels: Labels) -> Option<&'static str> {
        let label = find_label(labels, code);
        if label.is_none() {
            self.remember_unmapped(path, code);
        }
        label
    }

    /// Remembers a code that no label table knows, once per form. An answer that doesn't look like a
    /// code is left out, because it may be somebody's words.
    pub(super) fn remember_unmapped(&self, path: &str, code: &str) {
        let found = Unmapped { path: self.full_path(path), code: code.to_owned() };
        let mut unmapped = self.unmapped.borrow_mut();
        if looks_like_a_code(code) && !unmapped.contains(&found) {
            unmapped.push(found);
        }
    }

    /// The codes remembered so far, in the order in which they were read.
    pub(super) fn unmapped(&self) -> Vec<Unmapped> {
        self.unmapped.borrow().clone()
    }

    /// A decimal number in text, or a JSON number; missing, blank or anything else → 0.
    pub(super) fn decimal(&self, path: &str) -> Result<f64, MapError> {
        Ok(self.find(path)?.and_then(as_decimal).unwrap_or(0.0))
    }

    /// A whole number in text; missing or blank → null; anything else is an error.
    pub(super) fn whole_number(&self, path: &str) -> Result<Value, MapError> {
        let text = self.text(path)?;
        if is_blank(&text) {
            return Ok(Value::Null);
        }
        let number: i64 = text.trim().parse().map_err(|_| self.error(path, "must be a whole number"))?;
        Ok(number.into())
    }

    /// The app's build version; missing or blank → 0. `None` where it is no number.
    pub(super) fn version(&self) -> Result<Option<f64>, MapError> {
        Ok(match self.find(VERSION)? {
            None => Some(0.0),
            Some(Value::String(text)) if is_blank(text) => Some(0.0),
            Some(value) => as_decimal(value),
        })
    }

    /// The app's build version, for a form that depends on it. It is an error where it is no number.
    pub(super) fn required_version(&self) -> Result<f64, MapError> {
        self.version()?.ok_or_else(|| self.error(VERSION, "must be a number"))
    }

    fn stand_at(&self, here: &'a Value, path: String) -> Result<Self, MapError> {
        match members(here) {
            Ok(_) => {
                let Self { payload, facts, .. } = *self;
                Ok(Self { payload, facts, here, path, unmapped: Rc::clone(&self.unmapped) })
            }
            Err(found) => Err(MapError { path, rule: format!("must be a group, but is {found}") }),
        }
    }

    fn filled(&self, path: &str) -> Result<Option<&'a Value>, MapError> {
        Ok(self.find(path)?.filter(|value| value.as_str() != Some("")))
    }

    /// The value at `path`, null counting as missing.
    fn find(&self, path: &str) -> Result<Option<&'a Value>, MapError> {
        let (mut value, mut keys) = match path.strip_prefix("payload.") {
            Some(keys) => (self.payload, keys),
            None if is_from_top(path) => (self.payload, path),
            None => (self.here, path),
        };
        loop {
            let group = members(value).map_err(|found| self.not_a_group(path, keys, found))?;
            let (key, rest) = match keys.split_once('.') {
                Some((key, rest)) => (key, Some(rest)),
                None => (keys, None),
            };
            let Some(found) = group.and_then(|group| group.get(key)).filter(|value| !value.is_null()) else {
                return Ok(None);
            };
            let Some(rest) = rest else { return Ok(Some(found)) };
            (value, keys) = (found, rest);
        }
    }

    /// The error of a type, `found`, in place of a group: the group above `keys`, which end `path`.
    fn not_a_group(&self, path: &str, keys: &str, found: &str) -> MapError {
        let path = self.full_path(path);
        let above = path.strip_suffix(keys).unwrap_or(&path).trim_end_matches('.');
        let above = if above.is_empty() { "payload" } else { above };
        MapError { path: above.to_owned(), rule: format!("must be a group, but is {found}") }
    }

    /// `path` as counted from the top.
    fn full_path(&self, path: &str) -> String {
        if is_from_top(path) || path.starts_with("payload.") {
            path.to_owned()
        } else {
            format!("{}.{path}", self.path)
        }
    }

    fn printable(&self, path: &str, id: &str) -> Result<(), MapError> {
        if id.chars().any(char::is_control) {
            return Err(self.error(path, "an external id is built from it, but it holds a control character"));
        }
        Ok(())
    }

    pub(super) fn error(&self, path: &str, rule: impl Into<String>) -> MapError {
        MapError { path: self.full_path(path), rule: rule.into() }
    }
}

const VERSION: &str = "payload.metadata.app_build_version";

/// The members of a group; `None` where the group is `""` or null. The error is the type of any other value.
fn members(value: &Value) -> Result<Option<&Map<String, Value>>, &'static str> {
    match value {
        Value::Object(members) => Ok(Some(members)),
        Value::Null => Ok(None),
        Value::String(text) if text.is_empty() => Ok(None),
        other => Err(type_name(other)),
    }
}

/// The label of a code.
pub(super) fn find_label(labels: Labels, code: &str) -> Option<&'static str> {
    labels.iter().find(|(known, _)| *known == code).map(|(_, label)| *label)
}

/// Whether an answer may be the code of an option. Anything else may be somebody's words or number, and is shown to
/// nobody.
pub(super) fn looks_like_a_code(answer: &str) -> bool {
    !answer.is_empty()
        && answer.chars().count() <= LONGEST_CODE
        && !answer.chars().any(|c| c.is_whitespace() || c.is_control())
        && !has_a_number(answer)
}

/// Whether a text has as many digits in a row as a phone number.
pub(super) fn has_a_number(text: &str) -> bool {
    text.split(|c: char| !c.is_numeric()).any(|digits| digits.chars().count() >= DIGITS_OF_A_NUMBER)
}

/// Whether a path counts from the top wherever it is read.
pub(super) fn is_from_top(path: &str) -> bool {
    path == "form" || path.starts_with("form.")
}

fn empty() -> Value {
    Value::String(String::new())
}

fn is_blank(text: &str) -> bool {
    text.trim().is_empty()
}

/// The URL at which CommCare keeps a file of a form.
pub(super) fn attachments(facts: &Facts, domain: &str, instance: &str) -> String {
    format!("{}/a/{domain}/api/form/attachment/{instance}/", facts.hq)
}

/// The text of an answer: a number or boolean counts as its JSON text.
pub(super) fn as_text(value: &Value) -> Option<Cow<'_, str>> {
    match value {
        Value::String(text) => Some(Cow::Borrowed(text)),
        Value::Number(_) | Value::Bool(_) => Some(Cow::Owned(value.to_string())),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

/// The value of plain decimal notation: no exponent, no `inf`, no `nan`.
fn as_decimal(value: &Value) -> Option<f64> {
    match value {
        Value::Number(number) => number.as_f64(),
        Value::String(text) => {
            let text = text.trim();
            let plain = text.bytes().all(|byte| byte.is_ascii_digit() || b"+-.".contains(&byte));
            plain.then(|| text.parse().ok()).flatten()
        }
        _ => None,
    }
}

/// What an error calls a value of the wrong type.
pub(super) fn type_name(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "text",
        Value::Array(_) => "a list",
        Value::Object(_) => "a group",
    }
}
