//! The two moments of a shutdown (`service.md`, guarantee 9): stop starting, then stop waiting.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

/// Time that running work has to end. Cloud Run kills an instance 10 seconds after SIGTERM.
const GRACE: Duration = Duration::from_secs(7);

/// Says when the service stops; cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Shutdown {
    stopping: CancellationToken,
    grace_over: CancellationToken,
}

impl Shutdown {
    /// Begins: nothing new is started, and what runs has until the grace period ends.
    pub fn begin(&self) {
        self.stopping.cancel();
        let grace_over = self.grace_over.clone();
        tokio::spawn(async move {
            tokio::time::sleep(GRACE).await;
            grace_over.cancel();
        });
    }

    /// Whether it has begun.
    pub fn is_stopping(&self) -> bool {
        self.stopping.is_cancelled()
    }

    /// Waits until it begins.
    pub async fn begun(&self) {
        self.stopping.cancelled().await;
    }

    /// Waits until the grace period is over.
    pub async fn grace_is_over(&self) {
        self.grace_over.cancelled().await;
    }
}
