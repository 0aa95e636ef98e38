//! The values of a document that HQ's messages may quote.

use std::collections::HashSet;

use quick_xml::Reader;
use quick_xml::events::Event;

use crate::destinations::mask::Mask;
use crate::destinations::xml::resolve_or_keep;
use crate::plan::Document;

/// Masks the document's values, except its ids and the names of its elements.
pub(super) fn mask(document: &Document) -> Mask<'_> {
    let mut texts = Vec::new();
    let mut names = HashSet::new();
    let mut reader = Reader::from_str(&document.xml);
    let mut text = String::new();
    let mut in_meta = false;
    loop {
        match reader.read_event() {
            Ok(Event::Start(start)) => {
                in_meta |= start.name().0 == "meta";
                names.insert(start.name().0.to_owned());
                text.clear();
            }
            Ok(Event::Text(part)) => text.push_str(&part.xml10_content()),
            Ok(Event::GeneralRef(reference)) => text.push_str(&resolve_or_keep(&reference)),
            Ok(Event::End(end)) => {
                let value = std::mem::take(&mut text);
                if matches!(end.name().0, "case_type" | "owner_id") {
                    names.insert(value);
                } else if !in_meta && !value.trim().is_empty() {
                    texts.push(value);
                }
            }
            // The document is ours: it ends before it could break.
            Ok(Event::Eof) | Err(_) => break,
            Ok(_) => {}
        }
    }
    let ids: Vec<&str> =
        std::iter::once(document.case_id.as_str()).chain(document.parent_id.as_deref()).collect();
    Mask::from_texts(texts, &ids, names)
}
