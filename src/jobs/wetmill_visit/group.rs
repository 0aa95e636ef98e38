//! Changing the members of a survey's group before they are stored (`docs/mappings/commcare-to-postgis.md`,
//! section 6.2).

use serde_json::{Map, Value};

use crate::jobs::form::{Form, Labels, find_label};
use crate::jobs::wetmill::Attachments;

/// What a transformation knows apart from the survey.
pub(super) struct Context<'c> {
    /// Remembers codes without label.
    pub(super) form: &'c Form<'c>,
    pub(super) attachments: &'c Attachments,
    /// `form.survey_type`, which names the country.
    pub(super) survey_type: &'c str,
    /// `form.@version`, where it is a whole number.
    pub(super) version: Option<i64>,
}

/// What happens to one member.
#[derive(Clone, Copy)]
pub(super) enum Rule {
    /// A code becomes its label, where it has one.
    OneOf(Labels),
    /// Several codes become the list of their labels.
    ManyOf(Labels),
    /// The same; an answer that is null or missing becomes an empty list.
    ManyOrNone(Labels),
    /// `1` becomes `yes`, `0` becomes `no`.
    YesNo,
    /// `1` becomes `yes`, anything else `no`.
    YesIf1,
    /// A file becomes its URL, or null.
    PhotoOrNull,
    /// A file becomes its URL. Without a file name the member stays as it is.
    PhotoIfAny,
    /// The member is not stored.
    Removed,
}

impl Rule {
    /// The rule in words, and the labels that it knows.
    pub(super) fn words(self) -> (&'static str, Labels) {
        match self {
            Self::OneOf(labels) => ("the label of the code; the code itself where it has none", labels),
            Self::ManyOf(labels) | Self::ManyOrNone(labels) => {
                ("a row with the label of each code; codes without label are left out", labels)
            }
            Self::YesNo => ("the label of the code; anything else as sent", YES_NO),
            Self::YesIf1 => ("yes for 1, else no", &[]),
            Self::PhotoOrNull => ("the address of the photo; empty without one", &[]),
            Self::PhotoIfAny => ("the address of the photo; without one as sent", &[]),
            Self::Removed => ("not stored", &[]),
        }
    }
}

const YES_NO: Labels = &[("1", "yes"), ("0", "no")];

/// A group that is being transformed.
pub(super) struct Group<'g> {
    pub(super) context: &'g Context<'g>,
    /// The group's path in the form.
    path: String,
    pub(super) members: &'g mut Map<String, Value>,
}

impl<'g> Group<'g> {
    pub(super) fn new(context: &'g Context<'g>, path: String, members: &'g mut Map<String, Value>) -> Self {
        Self { context, path, members }
    }

    /// The group below this one, where there is one.
    pub(super) fn within(&mut self, name: &str) -> Option<Group<'_>> {
        let path = self.path(name);
        let members = self.members.get_mut(name)?.as_object_mut()?;
        Some(Group { context: self.context, path, members })
    }

    /// The form path of a member.
    pub(super) fn path(&self, name: &str) -> String {
        format!("{}.{name}", self.path)
    }

    /// The answer; null counts as missing.
    pub(super) fn get(&self, name: &str) -> Option<&Value> {
        self.members.get(name).filter(|value| !value.is_null())
    }

    /// The answer's text, where it is text.
    pub(super) fn text(&self, name: &str) -> Option<&str> {
        self.members.get(name)?.as_str()
    }

    pub(super) fn set(&mut self, name: &str, value: impl Into<Value>) {
        self.members.insert(name.to_owned(), value.into());
    }

    /// Removes the answer and returns it as sent; missing → null.
    pub(super) fn take(&mut self, name: &str) -> Value {
        self.members.remove(name).unwrap_or_default()
    }

    /// Removes the group of this name and returns its members; none where it is no group.
    pub(super) fn take_group(&mut self, name: &str) -> Map<String, Value> {
        match self.take(name) {
            Value::Object(members) => members,
            _ => Map::new(),
        }
    }

    /// Applies a rule to a member.
    pub(super) fn apply(&mut self, name: &str, rule: Rule) {
        let replacement: Option<Value> = match rule {
            Rule::OneOf(labels) => {
                self.text(name).and_then(|code| self.label(name, code, labels)).map(Value::from)
            }
            Rule::ManyOf(labels) => self.text(name).map(|codes| self.labels(name, codes, labels).into()),
            Rule::ManyOrNone(_) if self.get(name).is_none() => Some(Value::Array(Vec::new())),
            Rule::ManyOrNone(labels) => return self.apply(name, Rule::ManyOf(labels)),
            Rule::YesNo => self.text(name).and_then(|code| find_label(YES_NO, code)).map(Value::from),
            Rule::YesIf1 => Some(if self.text(name) == Some("1") { "yes" } else { "no" }.into()),
            Rule::PhotoOrNull => Some(self.context.attachments.url(self.get(name)).into()),
            Rule::PhotoIfAny if matches!(self.text(name), None | Some("")) => None,
            Rule::PhotoIfAny => return self.apply(name, Rule::PhotoOrNull),
            Rule::Removed => {
                self.members.remove(name);
                None
            }
        };
        if let Some(replacement) = replacement {
            self.set(name, replacement);
        }
    }

    /// The labels of an answer's codes. Codes without label are left out; order and repeats are kept
    /// (decision P4).
    pub(super) fn labels(&self, name: &str, codes: &str, labels: Labels) -> Vec<&'static str> {
        codes.split_whitespace().filter_map(|code| self.label(name, code, labels)).collect()
    }

    /// The label of a code. A code that `labels` lacks is remembered.
    fn label(&self, name: &str, code: &str, labels: Labels) -> Option<&'static str> {
        self.context.form.label_of(&self.path(name), code, labels)
    }
}
