//! The reader of what CommCare answers, for the fuzz targets (`tests/fuzz`).

use reqwest::StatusCode;

use super::failure;
use super::response::Response;
use crate::plan::Document;

/// A value that no error may quote.
const NAME: &str = "Zawditu Wolde";

/// Reads an answer; whether it says that the form was taken.
///
/// # Panics
/// Where the reader panics, takes for a success what is none, or quotes what was sent.
pub(crate) fn read(status: u16, body: &[u8]) -> bool {
    let Ok(status) = StatusCode::from_u16(status) else { return false };
    let response = Response { status, body: body.to_vec(), retry_after: None, location: None };
    match failure::judge(&response, &document()) {
        Ok(()) => {
            let text = String::from_utf8_lossy(body);
            assert!(status == StatusCode::CREATED && text.contains("message"), "no success: {text}");
            true
        }
        Err(error) => {
            assert!(!error.to_string().contains(NAME), "{error}");
            false
        }
    }
}

fn document() -> Document {
    let xml = format!(
        "<data><Name>{NAME}</Name><case><create><case_name>{NAME}</case_name></create></case></data>"
    );
    Document { position: 1, case_id: "case-1".to_owned(), parent_id: None, xml }
}
