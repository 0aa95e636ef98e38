//! Reads an answer of the form receiver (`docs/mappings/salesforce-to-commcare.md`, section 4): an OpenRosa
//! response with a message and its nature, or something else.

use quick_xml::XmlVersion;
use quick_xml::events::{BytesStart, Event};
use quick_xml::name::ResolveResult;
use quick_xml::reader::NsReader;

use crate::destinations::xml::resolve_or_keep;

/// What an answer says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct OpenRosaAnswer {
    /// The nature of the message; `None` where there is no message.
    pub(super) nature: Option<String>,
    /// The text of the message, or what is wrong with the answer.
    pub(super) message: String,
}

impl OpenRosaAnswer {
    /// Reads an answer's body, whatever its status.
    pub(super) fn from_body(body: &[u8]) -> Self {
        let nothing = |message: &str| Self { nature: None, message: message.to_owned() };
        match std::str::from_utf8(body).ok().and_then(first_message) {
            None => nothing("Invalid XML response"),
            Some(Found::Nothing) => nothing("No <message> element found"),
            Some(Found::Message(answer)) => answer,
        }
    }
}

/// What well-formed XML holds.
enum Found {
    Nothing,
    Message(OpenRosaAnswer),
}

/// The first `message` below the root in the root's namespace; `None` where the XML is broken.
fn first_message(xml: &str) -> Option<Found> {
    let mut reader = NsReader::from_str(xml);
    reader.config_mut().expand_empty_elements = true;
    let mut root: Option<Vec<u8>> = None;
    let mut depth = 0_usize;
    let mut found: Option<OpenRosaAnswer> = None;
    // Text is read until the first tag after the message's own.
    let mut reading = false;
    loop {
        match reader.read_event().ok()? {
            Event::Start(start) => {
                reading = false;
                let namespace = namespace_of(&reader, &start)?;
                match &root {
                    None => root = Some(namespace),
                    Some(_) if depth == 0 => return None,
                    Some(root) => {
                        if found.is_none() && start.local_name().as_ref() == "message" && namespace == *root {
                            found = Some(OpenRosaAnswer {
                                nature: Some(nature(&start)?),
                                message: String::new(),
                            });
                            reading = true;
                        }
                    }
                }
                depth += 1;
            }
            Event::End(_) => {
                reading = false;
                depth -= 1;
            }
            Event::Text(text) if depth == 0 && !text.xml10_content().trim().is_empty() => return None,
            Event::Text(text) => append(&mut found, reading, &text.xml10_content()),
            Event::CData(text) => append(&mut found, reading && depth > 0, &text.xml10_content()),
            Event::GeneralRef(reference) => append(&mut found, reading, &resolve_or_keep(&reference)),
            Event::Eof if depth == 0 && root.is_some() => {
                let Some(answer) = found else { return Some(Found::Nothing) };
                let message = answer.message.trim().to_owned();
                return Some(Found::Message(OpenRosaAnswer { message, ..answer }));
            }
            Event::Eof => return None,
            _ => {}
        }
    }
}

fn append(found: &mut Option<OpenRosaAnswer>, reading: bool, text: &str) {
    if let Some(answer) = found.as_mut().filter(|_| reading) {
        answer.message.push_str(text);
    }
}

/// The namespace of an element; empty without one, `None` where its prefix is not declared.
fn namespace_of(reader: &NsReader<&[u8]>, start: &BytesStart<'_>) -> Option<Vec<u8>> {
    match reader.resolver().resolve_element(start.name()).0 {
        ResolveResult::Bound(namespace) => Some(namespace.0.as_bytes().to_vec()),
        ResolveResult::Unbound => Some(Vec::new()),
        ResolveResult::Unknown(_) => None,
    }
}

/// The attribute `nature`, which is `unknown` where it is missing.
fn nature(start: &BytesStart<'_>) -> Option<String> {
    for attribute in start.attributes() {
        let attribute = attribute.ok()?;
        if attribute.key.0 == "nature" {
            return attribute
                .normalized_value(XmlVersion::Implicit1_0)
                .ok()
                .map(std::borrow::Cow::into_owned);
        }
    }
    Some("unknown".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(body: &str) -> (Option<String>, String) {
        let answer = OpenRosaAnswer::from_body(body.as_bytes());
        (answer.nature, answer.message)
    }

    fn message(nature: &str, text: &str) -> (Option<String>, String) {
        (Some(nature.to_owned()), text.to_owned())
    }

    #[test]
    fn the_first_message_counts_at_any_depth() {
        let openrosa = |inner: &str| {
            format!(
                r#"<?xml version="1.0"?><OpenRosaResponse xmlns="http://openrosa.org/http/response">{inner}</OpenRosaResponse>"#
            )
        };
        for (body, expected) in [
            (
                openrosa(r#"<message nature="submit_success">   √   </message>"#),
                message("submit_success", "√"),
            ),
            (openrosa(r#"<a><message nature="x">t</message></a>"#), message("x", "t")),
            (openrosa("<message>no nature</message>"), message("unknown", "no nature")),
            (
                openrosa(r#"<message nature="a">first</message><message nature="b">second</message>"#),
                message("a", "first"),
            ),
            (openrosa(r#"<message nature="a"/>"#), message("a", "")),
            (
                openrosa(r#"<message nature="a"> x &lt;&amp;&#65; <b>not this</b> nor this</message>"#),
                message("a", "x <&A"),
            ),
            (
                r#"<r><message nature="submit_success">y</message></r>"#.to_owned(),
                message("submit_success", "y"),
            ),
            (r#"<x:r xmlns:x="u"><x:message nature="n">y</x:message></x:r>"#.to_owned(), message("n", "y")),
        ] {
            assert_eq!(read(&body), expected, "{body}");
        }
    }

    #[test]
    fn an_answer_without_a_message_says_so() {
        let none = (None, "No <message> element found".to_owned());
        for body in [
            r#"<message nature="submit_success">root</message>"#,
            r#"<r xmlns="u"><message xmlns="v" nature="submit_success">y</message></r>"#,
            r#"<r xmlns="u"><message xmlns="" nature="submit_success">y</message></r>"#,
            "<html><body/></html>",
        ] {
            assert_eq!(read(body), none, "{body}");
        }
    }

    #[test]
    fn what_is_not_xml_says_so() {
        let invalid = (None, "Invalid XML response".to_owned());
        for body in
            ["", "Unauthorized", "<a>", "<a></b>", "<a/><b/>", "<a/>text", "<html><br></html>", "<x:a/>"]
        {
            assert_eq!(read(body), invalid, "{body}");
        }
        assert_eq!(OpenRosaAnswer::from_body(b"<a>\xff</a>").message, "Invalid XML response");
    }
}
