//! The key that signs JWT logins.

use std::fmt;
use std::fs;

use jsonwebtoken::crypto::aws_lc;
use jsonwebtoken::{Algorithm, EncodingKey, crypto};

/// An RSA key that can sign; prints nothing of itself.
#[derive(Clone)]
pub struct PrivateKey(EncodingKey);

/// Why a text is no private key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotAPrivateKey {
    /// It is a path, and nothing can be read there.
    #[error("neither a private key in PEM nor the path of a file that can be read")]
    Unreadable,
    /// It is no key, or a key of another kind.
    #[error("not an RSA private key of 2048 bits or more in PEM without a pass phrase")]
    Broken,
}

impl PrivateKey {
    /// Reads a key in PEM, or the file that holds one. `\n` may stand for a line's end, as in
    /// environments that hold one line only.
    pub fn from_pem_or_path(text: &str) -> Result<Self, NotAPrivateKey> {
        let pem = if text.contains("-----BEGIN") {
            text.replace("\\n", "\n")
        } else {
            fs::read_to_string(text).map_err(|_| NotAPrivateKey::Unreadable)?
        };
        // Fails where a provider is installed already: that one serves as well.
        let _ = aws_lc::DEFAULT_PROVIDER.install_default();
        let key = EncodingKey::from_rsa_pem(pem.trim().as_bytes()).map_err(|_| NotAPrivateKey::Broken)?;
        // The PEM is unpacked when it is first used. Signing here finds a broken key at the start.
        crypto::sign(b"", &key, Algorithm::RS256).map_err(|_| NotAPrivateKey::Broken)?;
        Ok(Self(key))
    }

    /// The key, to sign with.
    pub(crate) fn signing(&self) -> &EncodingKey {
        &self.0
    }
}

impl fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PrivateKey(********)")
    }
}
