//! What the readers of SOAP and OpenRosa answers share.

use quick_xml::escape::resolve_xml_entity;
use quick_xml::events::BytesRef;

/// The text that a reference stands for (`&amp;`, `&#65;`); `None` where XML does not define it.
pub(super) fn resolve(reference: &BytesRef<'_>) -> Option<String> {
    match reference.resolve_char_ref().ok()? {
        Some(c) => Some(c.to_string()),
        None => resolve_xml_entity(&reference.xml10_content()).map(str::to_owned),
    }
}

/// The same; the reference itself where XML does not define it.
pub(super) fn resolve_or_keep(reference: &BytesRef<'_>) -> String {
    resolve(reference).unwrap_or_else(|| format!("&{};", reference.xml10_content()))
}
