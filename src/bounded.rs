//! Reading what others answer, up to a limit: a few megabytes of gzip can unpack to more than the memory holds.

use std::fmt;

use reqwest::Response;

/// Bytes of an answer that are read, unpacked (`docs/service.md`, section 5): far more than any honest one has.
pub(crate) const ANSWER_LIMIT: usize = 16 * 1024 * 1024;

/// Why an answer could not be read.
#[derive(Debug)]
pub(crate) enum ReadError {
    /// It broke off, or was not what its encoding promised.
    Broken(reqwest::Error),
    /// It has more bytes than this.
    TooLong(usize),
}

impl From<reqwest::Error> for ReadError {
    fn from(error: reqwest::Error) -> Self {
        Self::Broken(error)
    }
}

impl fmt::Display for ReadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Broken(error) => write!(f, "the answer broke off ({error})"),
            Self::TooLong(limit) => write!(f, "the answer has more than {limit} bytes"),
        }
    }
}

impl std::error::Error for ReadError {}

/// The body of an answer of at most `limit` bytes. Of a longer one no more than that is unpacked.
pub(crate) async fn read(mut response: Response, limit: usize) -> Result<Vec<u8>, ReadError> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await? {
        if chunk.len() > limit - body.len() {
            return Err(ReadError::TooLong(limit));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}
