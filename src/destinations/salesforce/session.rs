//! The one session that all calls share.
//!
//! Logins are slow, counted by Salesforce, and lock the user when they fail often. So however many calls find the
//! session missing or refused, one task logs in and the others take the outcome, good or bad.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use secrecy::SecretString;
use tokio::sync::Mutex;
use tokio::time::Instant;
use tracing::debug;
use url::Url;

use super::gate::Pass;
use super::login::Grant;
use crate::destinations::trouble::{Blame, Trouble};

/// What a login yielded, to be used until Salesforce refuses it.
pub(super) struct Session {
    pub(super) access_token: SecretString,
    pub(super) server: Url,
    /// Tells sessions apart: Salesforce may hand out the same token twice.
    number: u64,
}

/// Keeps the current session.
#[derive(Default)]
pub(super) struct Sessions {
    /// The last login's outcome; the lock is held while logging in.
    last: Mutex<Option<Result<Arc<Session>, Trouble>>>,
    /// Logins that have ended.
    ended: AtomicU64,
}

impl Sessions {
    /// A session other than `refused`. `log_in` makes one where there is none.
    pub(super) async fn get(
        &self,
        pass: &Pass<'_>,
        refused: Option<&Session>,
        log_in: impl Future<Output = Result<Grant, Trouble>>,
    ) -> Result<Arc<Session>, Trouble> {
        let ended_before = self.ended.load(Ordering::SeqCst);
        let mut last = self.last.lock().await;
        let number = self.ended.load(Ordering::SeqCst);
        let is_new = |session: &Session| refused.is_none_or(|refused| refused.number != session.number);
        match last.as_ref() {
            Some(Ok(session)) if is_new(session) && !pass.takes_new_session() => {
                return Ok(Arc::clone(session));
            }
            Some(Err(trouble)) if number > ended_before || !pass.may_log_in(Instant::now()) => {
                return Err(trouble.clone());
            }
            _ => {}
        }
        let outcome = log_in.await.map(|Grant { access_token, server }| {
            debug!(server = server.host_str(), "logged in to Salesforce");
            Arc::new(Session { access_token, server, number })
        });
        // Before anyone else can come here: the next one is not to repeat a refused login.
        if let Err(trouble) = &outcome
            && trouble.blame == Blame::Refusal
        {
            pass.failed(Instant::now(), trouble);
        }
        *last = Some(outcome.clone());
        self.ended.store(number + 1, Ordering::SeqCst);
        outcome
    }
}
