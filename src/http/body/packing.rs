//! `Content-Encoding` of a request: none, or gzip, as Apex's `setCompressed` sends it.

use std::io::{self, ErrorKind, Write};

use axum::http::{HeaderMap, header};
use flate2::write::MultiGzDecoder;

use bytes::Bytes;

use super::HttpError;
use super::budget::Held;

/// Characters of another encoding's name that are quoted.
const NAME_LIMIT: usize = 40;

/// A body that arrives piece by piece.
pub(super) enum Unpacking {
    Plain(Bounded),
    Gzip(Box<MultiGzDecoder<Bounded>>),
}

impl Unpacking {
    /// A body with these headers, of at most `limit` bytes packed and unpacked, whose share of the memory is `held`.
    pub(super) fn new(headers: &HeaderMap, held: Held, limit: usize) -> Result<Self, HttpError> {
        let bounded = Bounded { bytes: Vec::new(), held, limit };
        let values = headers.get_all(header::CONTENT_ENCODING).into_iter();
        let text =
            values.map(|value| String::from_utf8_lossy(value.as_bytes())).collect::<Vec<_>>().join(",");
        let names: Vec<String> = text.split(',').map(|name| name.trim().to_ascii_lowercase()).collect();
        let is_coding = |name: &&str| !matches!(*name, "" | "identity");
        match names.iter().map(String::as_str).filter(is_coding).collect::<Vec<_>>()[..] {
            [] => Ok(Self::Plain(bounded)),
            ["gzip" | "x-gzip"] => Ok(Self::Gzip(Box::new(MultiGzDecoder::new(bounded)))),
            ref others => Err(HttpError::Encoding(quotable(&others.join(", ")))),
        }
    }

    /// The body with its next piece.
    pub(super) fn with(mut self, piece: &[u8]) -> Result<Self, HttpError> {
        let (added, limit) = match &mut self {
            Self::Plain(body) => (body.write_all(piece), body.limit),
            Self::Gzip(body) => (body.write_all(piece), body.get_ref().limit),
        };
        added.map_err(|error| trouble(&error, limit))?;
        Ok(self)
    }

    /// The whole body.
    pub(super) fn finish(self) -> Result<(Bytes, Held), HttpError> {
        let body = match self {
            Self::Plain(body) => body,
            Self::Gzip(body) => {
                let limit = body.get_ref().limit;
                body.finish().map_err(|error| trouble(&error, limit))?
            }
        };
        Ok((body.bytes.into(), body.held))
    }
}

fn trouble(error: &io::Error, limit: usize) -> HttpError {
    match error.kind() {
        ErrorKind::FileTooLarge => return HttpError::BodyTooLarge { limit },
        ErrorKind::QuotaExceeded => return HttpError::Busy,
        _ => {}
    }
    let details = "Content-Encoding says gzip, and the body is none, or is cut".to_owned();
    HttpError::InvalidPayload { details }
}

/// Memory for a body.
pub(super) struct Bounded {
    bytes: Vec<u8>,
    held: Held,
    limit: usize,
}

impl Write for Bounded {
    fn write(&mut self, piece: &[u8]) -> io::Result<usize> {
        let size = self.bytes.len() + piece.len();
        let trouble = if size > self.limit {
            ErrorKind::FileTooLarge
        } else if self.held.grow(size) {
            self.bytes.extend_from_slice(piece);
            return Ok(piece.len());
        } else {
            ErrorKind::QuotaExceeded
        };
        // Freed at once: the rest of the body may take a while.
        self.bytes = Vec::new();
        self.held.release();
        Err(trouble.into())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A stranger's text as it may be shown.
fn quotable(name: &str) -> String {
    let shown = |letter: char| if letter.is_ascii_graphic() || letter == ' ' { letter } else { '?' };
    name.chars().take(NAME_LIMIT).map(shown).collect()
}
