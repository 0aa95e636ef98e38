//! A typed reader over a form payload: every answer is read through it, and every error about a
//! payload comes from it.
//!
//! It owns the reading rules of `commcare-to-salesforce.md`, section 1, so that a mapping only
//! says *which* answer goes where. Paths are those of the page: one that starts with `form.` or
//! `payload.` counts from the top, any other from the group that the reader stands at.
//!
//! Answers are copied as sent. Where their text is needed (codes, ids, file names, coordinates)
//! a number or boolean counts as its JSON text, and a group or list is an error. An error names
//! the path and what is wrong there, never the answer: answers are personal data.

use std::borrow::Cow;

use serde_json::{Map, Value};

use crate::jobs::MapError;

/// Where CommCare keeps a form's photos and signatures.
const ATTACHMENTS: &str = "https://www.commcarehq.org/a";

/// One group of a payload and the path to it. The group may be absent: then it is empty.
pub(super) struct Form<'a> {
    payload: &'a Value,
    here: &'a Value,
    path: String,
}

impl<'a> Form<'a> {
    /// The whole payload.
    pub(super) fn new(payload: &'a Value) -> Self {
        Self { payload, here: payload, path: "payload".to_owned() }
    }

    /// The group at `path`; missing, `""` or null is an empty group.
    pub(super) fn group(&self, path: &str) -> Result<Self, MapError> {
        self.stand_at(self.find(path)?.unwrap_or(&Value::Null), self.full_path(path))
    }

    /// The groups of a repeat: a list, or one object for a single one. `None` where the form has
    /// no such repeat (missing, `""` or null).
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
        let id = self.text(path)?;
        if is_blank(&id) {
            return Err(self.error(path, "an external id is built from it, but it is missing or blank"));
        }
        self.printable(path, &id)?;
        Ok(id)
    }

    /// The codes of a multi-select answer; missing or blank → none.
    pub(super) fn tokens(&self, path: &str) -> Result<Vec<String>, MapError> {
        let text = self.text(path)?;
        Ok(text.split(' ').filter(|token| !token.is_empty()).map(str::to_owned).collect())
    }

    /// The same, where each code becomes part of an external id.
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

    /// The URL of an attached file; `""` where the domain, the instance id or the file name is
    /// missing or blank.
    pub(super) fn attachment(&self, path: &str) -> Result<String, MapError> {
        let domain = self.text("payload.domain")?;
        let instance = self.text("form.meta.instanceID")?;
        let file = self.text(path)?;
        if [&domain, &instance, &file].into_iter().any(|part| is_blank(part)) {
            return Ok(String::new());
        }
        Ok(format!("{ATTACHMENTS}/{domain}/api/form/attachment/{instance}/{file}"))
    }

    /// Piece `index` of coordinates: split at every single space, `""` where there is none.
    pub(super) fn gps(&self, path: &str, index: usize) -> Result<String, MapError> {
        Ok(self.text(path)?.split(' ').nth(index).unwrap_or_default().to_owned())
    }

    fn stand_at(&self, here: &'a Value, path: String) -> Result<Self, MapError> {
        match members(here) {
            Ok(_) => Ok(Self { payload: self.payload, here, path }),
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
            None if path.starts_with("form.") => (self.payload, path),
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

    /// The error of a `found` type where the group above `keys`, the end of `path`, should be.
    fn not_a_group(&self, path: &str, keys: &str, found: &str) -> MapError {
        let path = self.full_path(path);
        let above = path.strip_suffix(keys).unwrap_or(&path).trim_end_matches('.');
        let above = if above.is_empty() { "payload" } else { above };
        MapError { path: above.to_owned(), rule: format!("must be a group, but is {found}") }
    }

    /// `path` from the top.
    fn full_path(&self, path: &str) -> String {
        if path.starts_with("form.") || path.starts_with("payload.") {
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

    fn error(&self, path: &str, rule: impl Into<String>) -> MapError {
        MapError { path: self.full_path(path), rule: rule.into() }
    }
}

/// The members of a group, none where it is `""` or null; the type of anything else.
fn members(value: &Value) -> Result<Option<&Map<String, Value>>, &'static str> {
    match value {
        Value::Object(members) => Ok(Some(members)),
        Value::Null => Ok(None),
        Value::String(text) if text.is_empty() => Ok(None),
        other => Err(type_name(other)),
    }
}

fn empty() -> Value {
    Value::String(String::new())
}

fn is_blank(text: &str) -> bool {
    text.trim().is_empty()
}

fn as_text(value: &Value) -> Option<Cow<'_, str>> {
    match value {
        Value::String(text) => Some(Cow::Borrowed(text)),
        Value::Number(_) | Value::Bool(_) => Some(Cow::Owned(value.to_string())),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

fn type_name(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "text",
        Value::Array(_) => "a list",
        Value::Object(_) => "a group",
    }
}
