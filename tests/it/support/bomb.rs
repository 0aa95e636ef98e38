//! An answer that is small as long as it is packed.

use std::io::{self, Read, Write};

use axum::http::header;
use axum::response::{IntoResponse, Response};
use flate2::Compression;
use flate2::write::GzEncoder;

/// An empty JSON list of so many bytes, packed.
pub(crate) fn bomb(bytes: usize) -> Response {
    let mut packed = GzEncoder::new(Vec::new(), Compression::fast());
    packed.write_all(b"[").unwrap();
    io::copy(&mut io::repeat(b' ').take(bytes as u64), &mut packed).unwrap();
    packed.write_all(b"]").unwrap();
    ([(header::CONTENT_ENCODING, "gzip")], packed.finish().unwrap()).into_response()
}
