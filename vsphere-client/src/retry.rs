//! Retry policy and backoff.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::time::Duration;

use tokio::time::Instant;

/// The policy for retrying requests that failed below the API.
///
/// A request is retried only if it was certainly not carried out, or if it only reads; see
/// [`Error::OutcomeUnknown`](crate::Error::OutcomeUnknown).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RetryPolicy {
    /// The maximum number of attempts; 1 means no retry. Default: as many as fit into the
    /// budget.
    pub attempts: u32,
    /// The time after which there are no more retries. Default 30 s, which covers a restart of
    /// the server.
    pub budget: Duration,
    /// The pause before the second attempt, which doubles with each further attempt. Default
    /// 200 ms.
    pub pause: Duration,
    /// The longest pause. Default 5 s.
    pub longest_pause: Duration,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self {
            attempts: u32::MAX,
            budget: Duration::from_secs(30),
            pause: Duration::from_millis(200),
            longest_pause: Duration::from_secs(5),
        }
    }
}

impl RetryPolicy {
    /// Returns a policy without retries.
    #[must_use]
    pub fn never() -> Self {
        Self {
            attempts: 1,
            ..Self::default()
        }
    }
}

/// Counts the attempts of one call, and pauses between them.
#[derive(Debug)]
pub(crate) struct Backoff {
    policy: RetryPolicy,
    deadline: Instant,
    made: u32,
}

impl Backoff {
    pub(crate) fn new(policy: RetryPolicy) -> Self {
        Self {
            policy,
            deadline: Instant::now() + policy.budget,
            made: 1,
        }
    }

    /// Returns the number of the current attempt, from 1.
    pub(crate) const fn number(&self) -> u32 {
        self.made
    }

    /// Pauses before the next attempt; returns `false` if no attempts are left.
    pub(crate) async fn again(&mut self) -> bool {
        self.again_after(Duration::ZERO).await
    }

    /// Like [`again`](Self::again), but pauses at least this long, within the budget.
    pub(crate) async fn again_after(&mut self, least: Duration) -> bool {
        if self.made >= self.policy.attempts {
            return false;
        }
        let doubled = self
            .policy
            .pause
            .saturating_mul(1 << (self.made - 1).min(16));
        let pause = doubled
            .min(self.policy.longest_pause)
            .mul_f64(0.5 + 0.5 * fraction())
            .max(least);
        let left = self.deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return false;
        }
        // Shorten the pause, so that the last attempt is at the end of the budget.
        tokio::time::sleep(pause.min(left)).await;
        self.made += 1;
        true
    }
}

/// Returns a random number from 0 to 1 (jitter), so that clients do not retry at the same
/// time.
fn fraction() -> f64 {
    let random = RandomState::new().build_hasher().finish();
    (random >> 11) as f64 / (1u64 << 53) as f64
}

/// Returns a short name that is unlikely to be used by another client.
pub(crate) fn random_name() -> String {
    let random = RandomState::new().build_hasher().finish();
    format!("{:08x}", random as u32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn attempts_end_by_number() {
        let policy = RetryPolicy {
            attempts: 5,
            ..RetryPolicy::default()
        };
        let mut attempts = Backoff::new(policy);
        let mut made = 1;
        while attempts.again().await {
            made += 1;
        }
        assert_eq!((made, attempts.number()), (5, 5));
    }

    #[tokio::test(start_paused = true)]
    async fn attempts_end_by_time() {
        let start = Instant::now();
        let mut attempts = Backoff::new(RetryPolicy::default());
        while attempts.again().await {}
        // The attempts use the whole budget.
        assert!(start.elapsed() >= Duration::from_secs(30));
        assert!(start.elapsed() <= Duration::from_secs(31));
        assert!(
            (6..20).contains(&attempts.number()),
            "{}",
            attempts.number()
        );
    }
}
