//! Schemas in words: kinds of values, and their members.

use maud::{Markup, html};
use serde_json::Value;

/// The document that references of schemas point into.
#[derive(Clone, Copy)]
pub(super) struct Schemas<'d>(pub(super) &'d Value);

impl<'d> Schemas<'d> {
    /// The target of a reference; any other value unchanged.
    pub(super) fn resolve(self, value: &'d Value) -> &'d Value {
        let place = value["$ref"].as_str().and_then(|reference| reference.strip_prefix('#'));
        place.and_then(|place| self.0.pointer(place)).unwrap_or(value)
    }

    /// The kind of a value of this schema, in a few words.
    pub(super) fn kind(self, schema: &'d Value) -> String {
        let schema = self.resolve(schema);
        if let Some(words) = schema["enum"].as_array() {
            return alternatives(words.iter().map(|word| format!("“{}”", text(word))));
        }
        for choice in ["oneOf", "anyOf"] {
            if let Some(schemas) = schema[choice].as_array() {
                let mut kinds: Vec<String> = schemas.iter().map(|schema| self.kind(schema)).collect();
                kinds.dedup();
                return alternatives(kinds.into_iter());
            }
        }
        match &schema["type"] {
            Value::String(kind) => self.of_type(kind, schema),
            Value::Array(kinds) => alternatives(kinds.iter().map(|kind| self.of_type(text(kind), schema))),
            _ if schema["allOf"].is_array() => "an object".to_owned(),
            _ => "any value".to_owned(),
        }
    }

    fn of_type(self, kind: &str, schema: &'d Value) -> String {
        match kind {
            "array" => {
                let most =
                    bound(schema, "maxItems").map(|most| format!(" of at most {most}")).unwrap_or_default();
                format!("a list{most}: {}", self.kind(&schema["items"]))
            }
            "object" => "an object".to_owned(),
            "string" => {
                let format =
                    schema["format"].as_str().map(|format| format!(" ({format})")).unwrap_or_default();
                let most = bound(schema, "maxLength").map(|most| format!(" of at most {most} characters"));
                format!("text{format}{}", most.unwrap_or_default())
            }
            "integer" => match (bound(schema, "minimum"), bound(schema, "maximum")) {
                (Some(least), Some(most)) => format!("a whole number from {least} to {most}"),
                _ => "a whole number".to_owned(),
            },
            "number" => "a number".to_owned(),
            "boolean" => "true or false".to_owned(),
            other => other.to_owned(),
        }
    }

    /// The members of a value of this schema, each with its own members; empty where there are none.
    pub(super) fn members(self, schema: &'d Value) -> Markup {
        let schema = self.resolve(schema);
        let choices = ["oneOf", "anyOf"].into_iter().filter_map(|choice| schema[choice].as_array());
        let choices: Vec<&Value> = choices.flatten().map(|choice| self.resolve(choice)).collect();
        let required = |name: &str| {
            schema["required"].as_array().is_some_and(|required| required.iter().any(|member| member == name))
        };
        html! {
            @if choices.iter().any(|choice| self.has_members(choice)) {
                ul { @for choice in &choices { li { (prose(&choice["description"])) (self.members(choice)) } } }
            }
            @for part in schema["allOf"].as_array().into_iter().flatten() { (self.members(part)) }
            @if schema["items"].is_object() { (self.members(&schema["items"])) }
            @if let Some(members) = schema["properties"].as_object() {
                ul {
                    @for (name, member) in members {
                        li {
                            code { (name) } ": " (self.kind(member)) @if !required(name) { ", optional" } ". "
                            (prose(&member["description"]))
                            (self.members(member))
                        }
                    }
                }
            }
        }
    }

    fn has_members(self, schema: &'d Value) -> bool {
        let schema = self.resolve(schema);
        schema["properties"].is_object()
            || schema["allOf"].is_array()
            || schema["items"].is_object() && self.has_members(&schema["items"])
    }
}

fn alternatives(kinds: impl Iterator<Item = String>) -> String {
    kinds.collect::<Vec<_>>().join(" or ")
}

/// A bound as it is shown.
fn bound(schema: &Value, name: &str) -> Option<String> {
    schema.get(name).map(ToString::to_string)
}

/// A text of the document; blank where there is none.
pub(super) fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

/// A description, with what stands in backticks as code.
pub(super) fn prose(value: &Value) -> Markup {
    html! {
        @for (at, part) in text(value).split('`').enumerate() {
            @if at % 2 == 1 { code { (part) } } @else { (part) }
        }
    }
}
