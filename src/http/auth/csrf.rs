//! The token that each form of the dashboard carries, so that no page of another site can send one.
//!
//! A browser adds the operator's password to every request, also to one that another site makes it send;
//! but the other site cannot read this token. A token is a random number with an HMAC of the number. The key of
//! the HMAC is derived from the operators' credentials: every instance of the service can check a token, no
//! instance keeps one, and rotating the credential ends them. The check of `Sec-Fetch-Site` stands beside
//! this one; old browsers do not send that header.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};

/// Bytes of the random number.
const NONCE: usize = 16;

/// Makes and checks tokens.
pub(in crate::http) struct Csrf([u8; 32]);

impl Csrf {
    /// Tokens under a key of these credentials. Without credentials everybody may do everything, and the key
    /// is this process's own.
    pub(super) fn new(operator_tokens: &[SecretString]) -> Self {
        let mut hasher = Sha256::new_with_prefix("dashboard forms");
        for token in operator_tokens {
            let secret = token.expose_secret();
            // Without the length, `ab` and `c` would hash like `a` and `bc`.
            hasher.update(secret.len().to_be_bytes());
            hasher.update(secret);
        }
        if operator_tokens.is_empty() {
            hasher.update(rand::random::<[u8; 32]>());
        }
        Self(hasher.finalize().into())
    }

    /// A fresh token.
    pub(in crate::http) fn token(&self) -> String {
        let nonce: [u8; NONCE] = rand::random();
        let tag = self.mac(&nonce).finalize().into_bytes();
        URL_SAFE_NO_PAD.encode([&nonce[..], &tag[..]].concat())
    }

    /// Whether a token was made with this key.
    pub(in crate::http) fn accepts(&self, token: &str) -> bool {
        let Ok(bytes) = URL_SAFE_NO_PAD.decode(token) else { return false };
        match bytes.split_at_checked(NONCE) {
            Some((nonce, tag)) => self.mac(nonce).verify_slice(tag).is_ok(),
            None => false,
        }
    }

    fn mac(&self, nonce: &[u8]) -> Hmac<Sha256> {
        let Ok(mac) = Hmac::<Sha256>::new_from_slice(&self.0) else {
            unreachable!("HMAC takes keys of every length");
        };
        mac.chain_update(nonce)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(secrets: &[&str]) -> Csrf {
        Csrf::new(&secrets.iter().map(|secret| SecretString::from(*secret)).collect::<Vec<_>>())
    }

    #[test]
    fn a_token_holds_wherever_the_credentials_are_the_same() {
        let token = of(&["a", "b"]).token();
        assert!(of(&["a", "b"]).accepts(&token));
        for other in [&["ab"][..], &["a"], &["b", "a"], &[]] {
            assert!(!of(other).accepts(&token), "{other:?}");
        }
    }

    #[test]
    fn what_nobody_made_is_no_token() {
        let csrf = of(&["a"]);
        let token = csrf.token();
        let mut changed = token.clone();
        changed.replace_range(..1, if token.starts_with('A') { "B" } else { "A" });
        for bad in ["", "x", "AAAA", &token[1..], &token[..20], &changed] {
            assert!(!csrf.accepts(bad), "{bad:?}");
        }
        assert_ne!(token, csrf.token());
    }

    #[test]
    fn without_credentials_a_token_is_of_its_process() {
        let (one, other) = (of(&[]), of(&[]));
        assert!(one.accepts(&one.token()) && !other.accepts(&one.token()));
    }
}
