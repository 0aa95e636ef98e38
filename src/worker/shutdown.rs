//! The two moments of a shutdown (`docs/service.md`, guarantee 9): stop starting, then stop waiting.

use std::time::Duration;

use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Time that running work has to end. Cloud Run kills an instance 10 seconds after SIGTERM.
const GRACE: Duration = Duration::from_secs(7);

/// Says when the service stops; cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Shutdown {
    stopping: CancellationToken,
    grace_over: CancellationToken,
    work: TaskTracker,
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

    /// Starts work that goes on where its caller hangs up, and that a shutdown waits for.
    pub fn work<T: Send + 'static>(&self, work: impl Future<Output = T> + Send + 'static) -> JoinHandle<T> {
        self.work.spawn(work)
    }

    /// Waits until the work that was started has ended.
    pub async fn work_ended(&self) {
        self.work.close();
        self.work.wait().await;
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
