//! Documents as trees, to be compared as `docs/mappings/salesforce-to-commcare.md`, section 5, says.

use std::collections::BTreeMap;

use quick_xml::XmlVersion;
use quick_xml::events::{BytesStart, Event};
use quick_xml::name::ResolveResult;
use quick_xml::reader::NsReader;

/// An element; names are `{namespace}local`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Element {
    pub(crate) name: String,
    pub(crate) attributes: BTreeMap<String, String>,
    /// Of an element without children.
    pub(crate) text: String,
    pub(crate) children: Vec<Element>,
}

impl Element {
    /// Its name without the namespace.
    pub(crate) fn local(&self) -> &str {
        self.name.rsplit('}').next().unwrap()
    }

    /// This element and all below it, in document order.
    pub(crate) fn all(&self) -> Vec<&Element> {
        let mut found = vec![self];
        found.extend(self.children.iter().flat_map(Element::all));
        found
    }

    /// The first element of this local name.
    pub(crate) fn find(&self, local: &str) -> Option<&Element> {
        self.all().into_iter().find(|element| element.local() == local)
    }
}

/// Reads a document; an error where it is not well-formed.
pub(crate) fn parse(xml: &str) -> Result<Element, String> {
    let forbidden = |c: char| !matches!(c, '\t' | '\n' | '\r' | ' '..='\u{fffd}' | '\u{10000}'..);
    if xml.chars().any(forbidden) {
        return Err("a character that XML forbids".to_owned());
    }
    let mut reader = NsReader::from_str(xml);
    reader.config_mut().expand_empty_elements = true;
    let mut open: Vec<Element> = Vec::new();
    let mut root = None;
    loop {
        match reader.read_event().map_err(|error| error.to_string())? {
            Event::Start(start) => {
                if root.is_some() {
                    return Err("a second root".to_owned());
                }
                open.push(element(&reader, &start)?);
            }
            Event::End(_) => {
                let mut element = open.pop().ok_or("an end without a start")?;
                if !element.children.is_empty() {
                    if !element.text.trim().is_empty() {
                        return Err(format!("text beside the children of {}", element.name));
                    }
                    element.text.clear();
                }
                match open.last_mut() {
                    Some(parent) => parent.children.push(element),
                    None => root = Some(element),
                }
            }
            Event::Text(text) => add(&mut open, &text.xml10_content())?,
            Event::CData(text) => add(&mut open, &text.xml10_content())?,
            Event::GeneralRef(reference) => {
                let c = match reference.resolve_char_ref().map_err(|error| error.to_string())? {
                    Some(c) => c,
                    None => match &*reference.xml10_content() {
                        "lt" => '<',
                        "gt" => '>',
                        "amp" => '&',
                        "apos" => '\'',
                        "quot" => '"',
                        other => return Err(format!("unknown entity {other}")),
                    },
                };
                add(&mut open, &c.to_string())?;
            }
            Event::Eof if open.is_empty() => return root.ok_or_else(|| "no root".to_owned()),
            Event::Eof => return Err("an element is not closed".to_owned()),
            _ => {}
        }
    }
}

fn add(open: &mut [Element], text: &str) -> Result<(), String> {
    match open.last_mut() {
        Some(element) => element.text.push_str(text),
        None if text.trim().is_empty() => {}
        None => return Err("text outside the root".to_owned()),
    }
    Ok(())
}

fn element(reader: &NsReader<&[u8]>, start: &BytesStart<'_>) -> Result<Element, String> {
    let namespace = |resolved: ResolveResult<'_>| match resolved {
        ResolveResult::Bound(namespace) => format!("{{{}}}", namespace.0),
        _ => String::new(),
    };
    let (resolved, local) = reader.resolver().resolve_element(start.name());
    let name = format!("{}{}", namespace(resolved), local.as_ref());
    let mut attributes = BTreeMap::new();
    for attribute in start.attributes() {
        let attribute = attribute.map_err(|error| error.to_string())?;
        if attribute.key.as_namespace_binding().is_some() {
            continue;
        }
        let (resolved, local) = reader.resolver().resolve_attribute(attribute.key);
        let value = attribute.normalized_value(XmlVersion::Implicit1_0).map_err(|error| error.to_string())?;
        let name = format!("{}{}", namespace(resolved), local.as_ref());
        if attributes.insert(name, value.into_owned()).is_some() {
            return Err("an attribute twice".to_owned());
        }
    }
    Ok(Element { name, attributes, ..Element::default() })
}
